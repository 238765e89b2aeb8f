"""What no answer may depend on: the order of rows, the names of patients, the unit of time, how far arrays are padded."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import progression as pg
from progression import encoding
from progression.encoding import encode
from progression.engines.nuts import label
from progression.engines.program import build
from tests.posed import ARMS, CASES, IDS, cohort, posed, tables

few = settings(derandomize=True, deadline=None, database=None, max_examples=2, phases=[Phase.generate])
SEEDS = st.integers(0, 2**32 - 1)
each = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
plain = pytest.mark.parametrize(("name", "options"), [one for one in CASES if one[0] != "als_shared" or not one[1]])


def coded(name, options, made, **how):
    model = pg.models()[name]
    return encode(model, cohort(model, made, ARMS[:2], **how), options=model.with_options(dict(options)))


def same(found, wanted, *, subjects=None, rtol=0.0):
    """The same arrays, bit by bit unless told otherwise; `subjects`: where each of the wanted ones is found."""
    assert list(found.arrays) == list(wanted.arrays) and found.n_padded == wanted.n_padded
    for key, (dims, array) in wanted.arrays.items():
        own = found.arrays[key]
        assert own[0] == dims and own[1].dtype == array.dtype and own[1].shape == array.shape, key
        if subjects is not None and dims[0] == "subject":
            own = (dims, np.concatenate([own[1][subjects], own[1][len(subjects) :]]))
        np.testing.assert_allclose(own[1], array, rtol=rtol, atol=rtol, err_msg=key)


def shuffled(made, rng):
    return [None if one is None else one.sample(frac=1, random_state=int(rng.integers(2**31))) for one in made]


def renamed(made, names):
    return [None if one is None else one.assign(subject=one["subject"].map(names)) for one in made]


@plain
@few
@given(seed=SEEDS, n=st.integers(4, 9))
def test_order_of_rows_and_names_of_patients(name, options, seed, n):
    rng = np.random.default_rng(seed)
    made = tables(pg.models()[name], ARMS[:2], rng, n=n)
    wanted = coded(name, options, made)
    same(coded(name, options, shuffled(made, rng)), wanted)
    letters = dict(zip(wanted.coords["subject"], "abcdefghi", strict=False))  # in the same order
    same(coded(name, options, renamed(made, letters)), wanted)
    drawn = {one: f"P{k}" for one, k in zip(wanted.coords["subject"], rng.permutation(n), strict=True)}
    found = coded(name, options, renamed(shuffled(made, rng), drawn))
    place = [found.coords["subject"].index(drawn[one]) for one in wanted.coords["subject"]]
    moved = dict(found.arrays)
    for block in wanted.observed:  # rows go by patients: bring them into the order of the others
        rows = np.array(place).argsort()[moved[f"{block}_subject"][1]]
        keys = [key for key, (dims, _) in moved.items() if dims[0] == f"{block}_row"]
        where = np.lexsort((*(moved[key][1] for key in (f"{block}_month",) if key in moved), rows,
                            *(moved[key][1] for key in (f"{block}_outcome",) if key in moved)))  # fmt: skip
        for key in keys:
            dims, array = moved[key]
            moved[key] = (dims, (rows if key == f"{block}_subject" else array)[where])
    # Means over patients are summed in another order.
    same(replace(found, arrays=moved), wanted, subjects=place, rtol=1e-12)


@plain
@few
@given(seed=SEEDS, unit=st.sampled_from(["days", "weeks", "years"]), end=st.floats(3, 20))
def test_units_of_time(name, options, seed, unit, end):
    rng = np.random.default_rng(seed)
    months = (0.0, 2.0, 4.5, round(5 + end, 3))
    made = tables(pg.models()[name], ARMS[:2], rng, months=months)
    same(coded(name, options, made, unit=unit), coded(name, options, made), rtol=1e-9)


def test_a_fit_of_the_same_data_told_otherwise():
    """Rows in another order and other names: the same draws, bit by bit; another unit of time: the same within rounding."""
    model = pg.models()["als_slope"]
    rng = np.random.default_rng(4)
    made = tables(model, ARMS[:2], rng, n=12)
    letters = {f"S{i + 1}": "abcdefghijkl"[i] for i in range(12)}
    reversed_ids = {f"S{i + 1}": f"S{12 - i}" for i in range(12)}

    def drawn(made, **how):
        fit = pg.fit(
            "als_slope", cohort(model, made, ARMS[:2], **how), draws=200, chains=2, random_seed=5, progressbar=False
        )
        return fit.posterior

    first = drawn(made)
    population = [key for key in first if "subject" not in first[key].dims]
    xr.testing.assert_identical(drawn(shuffled(made, rng)), first)
    other = drawn(renamed(made, letters))
    xr.testing.assert_identical(other.assign_coords(subject=first["subject"]), first)
    xr.testing.assert_allclose(drawn(renamed(made, reversed_ids))[population], first[population], rtol=1e-6)
    for unit in ("weeks", "days"):
        xr.testing.assert_allclose(drawn(made, unit=unit)[population], first[population], rtol=1e-6)


@each
def test_padding_changes_no_estimand(name, options, monkeypatch):
    """Draws with more padded patients, whatever their values: the same contrast, bit by bit. (Densities: test_every_model.)"""
    model = pg.models()[name]
    fit = posed(name, options, ARMS[:2], rng=np.random.default_rng(8))
    slow = {"als_items", "als_bounded"} | ({name} if "flare" in dict(options) else set())  # integrals over patients
    asked = [e.name for e in model.estimands if e.refusal(fit.cohort) is None][: 1 if name in slow else None]
    wanted = pg.contrast(fit, asked).draws
    plain = {key: one.to_numpy() for key, one in fit.posterior.data_vars.items()}
    for more in (0, 13):
        monkeypatch.setattr(encoding, "size_bucket", lambda n, more=more: n + more)
        wider = encode(model, fit.cohort, options=fit.options)
        assert wider.n_padded == fit.cohort.n_subjects + (more if model.padded else 0)
        built = build(model, wider, fit.priors)
        dims = built.model.named_vars_to_dims
        rng = np.random.default_rng(more)
        of_subjects = {
            rv.name: rng.normal(size=(2, 30, *(len(built.model.coords[dim]) for dim in dims[rv.name])))
            for rv in built.model.free_RVs if "subject" in (dims.get(rv.name) or ())
        }  # fmt: skip
        assert all(one.shape[2] == wider.n_padded for one in of_subjects.values()) and of_subjects
        labelled = label({**of_subjects, **plain}, built)
        assert labelled.sizes["subject"] == fit.cohort.n_subjects
        again = replace(fit, idata=xr.DataTree.from_dict({**wider.groups(), "posterior": labelled}))
        xr.testing.assert_identical(pg.contrast(again, asked).draws, wanted)
        rest = wider.unpadded()
        same(rest, fit.encoded().unpadded())
        for key, (axes, array) in wider.arrays.items():
            if axes[0] == "subject":
                assert not np.asarray(array[rest.n_subjects :], float).any() or key.startswith(
                    ("linked", "on_event")
                ), key


def test_ids_that_look_alike_stay_apart():
    """Leading zeros, blanks about and capitals: what the door says are two patients are two patients in every array."""
    model = pg.models()["als_slope"]
    visits, people, _ = tables(model, ARMS[:1], np.random.default_rng(2), n=3)
    names = dict(zip(["S1", "S2", "S3"], ["1", "01", "001"], strict=True))
    made = [one.assign(subject=one["subject"].map(names)) for one in (visits, people)]
    found = cohort(model, [*made, None], ARMS[:1])
    wanted = cohort(model, [visits, people, None], ARMS[:1])
    assert sorted(found.subjects.index) == ["001", "01", "1"] and found.n_visits == wanted.n_visits
    ages = pd.Series(people["age"].to_numpy(), index=[names[one] for one in people["subject"]])
    pd.testing.assert_series_equal(found.subjects["age"].sort_index(), ages.sort_index(), check_names=False)
