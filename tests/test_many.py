"""`fit_many`: many data sets of one design, each as it would be by itself, whoever computes it."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import progression as pg
from progression import fitters
from progression.encoding import encode
from progression.engines import batches, data_sets, prepared
from progression.faults import CohortError, SettingError
from tests.evidence.calibration.truths import simulated

ALS = {"random_seed": 1, "progressbar": False}


@pytest.fixture(scope="module")
def design():
    return pg.datasets.simulated_als(n=(8, 8), visits_weeks=(0, 12, 24, 36), random_seed=2)


@pytest.fixture(scope="module")
def values(design):
    """260 data sets, more than a group: levels near 3 points, so that many scores lie below zero; a third of them cut short."""
    rng = np.random.default_rng(7)
    visits = design.visits
    who = design.subjects.index.get_indexer(visits["subject"])
    level, slope = rng.normal(3, 4, (260, 16)), rng.normal(-1, 0.7, (260, 16))
    made = rng.normal(level[:, who] + slope[:, who] * visits["month"].to_numpy(), 1.5)
    made[(rng.random(made.shape) < 0.3) & (visits["month"] > 6).to_numpy()] = np.nan
    return made


@pytest.fixture(scope="module")
def fits(design, values):
    return pg.fit_many("als_slope", pg.Replicates(design, {"alsfrsr": values}), **ALS)


def one_of(design, values, s):
    """Data set `s` as a cohort."""
    visits = design.visits.assign(alsfrsr=values[s]).rename(columns={"month": "time"})
    return pg.Cohort.from_table(visits[["subject", "time", "alsfrsr"]].dropna(), design.subjects.reset_index(), time_unit="months",
                                outcomes=list(design.outcomes), arms=list(design.arms), provenance="simulated",
                                allocation="randomised")  # fmt: skip


@pytest.mark.parametrize("s", [0, 131, 259])
def test_each_data_set_has_the_posterior_it_has_alone(s, fits, design, values):
    """Scores below zero among them: nothing is taken for a limit that was not declared."""
    assert (values[s] < 0).any()
    alone = pg.contrast(pg.fit("als_slope", one_of(design, values, s), random_seed=3, progressbar=False)).draws
    for name in ("slope_difference", "slope", "change"):
        many, one = fits.draws[name].sel(data_set=s), alone[name]
        sd = one.std(("chain", "draw"))
        assert float((abs(many.mean("draw") - one.mean(("chain", "draw"))) / sd).max()) < 0.12, name
        assert float(abs(many.std("draw") / sd - 1).max()) < 0.1, name


def test_no_data_set_needs_help(fits):
    """The closed form is the program's for all of them: none went one by one, none to NUTS."""
    assert not len(fits.problems) and set(fits.diagnostics["engine"]) == {"marginal"}
    assert fits.diagnostics["pareto_k"].max() < 0.7 and (fits.diagnostics["quadrature_error"] == 0).all()


def test_the_coding_of_a_data_set_keeps_what_lies_below_zero(design, values):
    model = pg.models()["als_slope"]
    encoded = encode(model, design, options=model.with_options(None)).unpadded()
    one = data_sets.data_set(encoded, {"score": values[0]})
    np.testing.assert_array_equal(one.arrays["score_value"][1], values[0][np.isfinite(values[0])])


def test_a_limit_is_kept_where_one_is_declared(sle_trial):
    model = pg.models()["sle_crp"]
    encoded = encode(model, sle_trial, options=model.with_options(None)).unpadded()
    value = np.linspace(0.1, 2, len(encoded.arrays["crp_value"][1]))
    one = data_sets.data_set(encoded, {"crp": value})
    np.testing.assert_array_equal(one.arrays["crp_value"][1], np.maximum(value, 0.8))
    np.testing.assert_array_equal(one.arrays["crp_censored"][1], value <= 0.8)


@pytest.mark.parametrize("model", list(pg.models()))
def test_a_data_set_is_coded_as_its_cohort_is(model):
    """Where all its rows are there: values, what lies below a limit, events, and what each subject and visit says."""
    program, of = pg.models()[model], simulated(model, "sparse", 3)
    laid = pg.Replicates.from_cohorts([of.cohort()])
    encoded = encode(program, of.cohort(), options=program.with_options(of.options)).unpadded()
    values = laid.rows(encode(program, laid.cohort, options=program.with_options(of.options)).unpadded(), strict=False)
    one = data_sets.data_set(encoded, {name: value[0] for name, value in values.items()})
    assert set(one.arrays) == set(encoded.arrays) and one.coords == encoded.coords
    for name, (dims, array) in encoded.arrays.items():
        assert one.arrays[name][0] == dims
        np.testing.assert_allclose(one.arrays[name][1], array, rtol=1e-8, err_msg=name)  # a follow-up is told to 1e-8


def test_rows_a_data_set_lacks_are_as_if_never_seen():
    of = simulated("sle_activity", "sparse", 3)
    program, cohort = pg.models()["sle_activity"], of.cohort()
    encoded = encode(program, cohort).unpadded()
    values = {name: one[0] for name, one in pg.Replicates.from_cohorts([cohort]).rows(encoded, strict=False).items()}
    values["counts"][1::3] = values["markers"][::4] = np.nan
    one = data_sets.data_set(encoded, values)
    seen, visit = np.isfinite(values["counts"]), encoded.arrays["counts_visit"][1]
    own = np.zeros(one.arrays["counts_n_at_visit"][1].shape)
    np.add.at(own, tuple(encoded.arrays[f"counts_{name}"][1][seen] for name in ("subject", "visit", "outcome")), 1)
    np.testing.assert_array_equal(one.arrays["counts_n_at_visit"][1], own)
    np.testing.assert_array_equal(one.arrays["counts_n"][1], own.sum(axis=1))
    assert one.arrays["counts_visit"][1].tolist() == visit[seen].tolist() and not seen.all()


@pytest.mark.slow
def test_the_same_draws_on_two_cores(fits, design, values):
    again = pg.fit_many("als_slope", pg.Replicates(design, {"alsfrsr": values}), cores=2, **ALS)
    xr.testing.assert_identical(again.draws, fits.draws)
    pd.testing.assert_frame_equal(again.diagnostics, fits.diagnostics)


def test_more_data_sets_change_nothing_in_the_first(fits, design, values):
    """A run may grow."""
    first = pg.fit_many("als_slope", pg.Replicates(design, {"alsfrsr": values[:256]}), **ALS)
    xr.testing.assert_identical(first.draws, fits.draws.isel(data_set=slice(256)))


def test_summary_and_probability(fits):
    summary = fits.summary()
    draws = fits.draws["slope_difference"]
    found = summary["slope_difference"].sel(statistic="lower")
    np.testing.assert_allclose(found, np.quantile(draws, 0.025, axis=1))
    np.testing.assert_allclose(fits.probability(">", 0.2), (draws > 0.2).mean("draw"))
    assert "SIMULATED" in repr(fits) and "none with problems" in repr(fits)
    with pytest.raises(SettingError, match="did you mean 'slope_difference'"):
        fits.probability(">", 0, estimand="slope_diference")
    with pytest.raises(SettingError, match="not a comparison"):
        fits.probability("=", 0)


@pytest.mark.slow  # minutes of a busy machine, most of them compiling; test_marginal_placing.py has the rule itself
def test_a_data_set_of_another_shape_is_begun_anew_by_quadrature():
    """Two of the sets of calibration: begun from the mode and curvature of the first, the second has 2 % of its points effective."""
    sets = [simulated("sle_crp", "dense", 250_000 + k) for k in (0, 8)]
    found = pg.fit_many("sle_crp", [of.cohort() for of in sets], options=sets[0].options, random_seed=1, progressbar=False,
                        fallback=False)  # fmt: skip
    assert not len(found.problems), found.problems


def test_a_data_set_that_cannot_be_trusted_goes_to_nuts_or_is_named(design, values, monkeypatch):
    data = pg.Replicates(design, {"alsfrsr": values[:3]})
    monkeypatch.setattr(batches.importance, "reasons", lambda weighted: ("", "a made-up reason", "")[: len(weighted.x)])
    monkeypatch.setattr(
        "progression.fitters._by_nuts", lambda model, own, priors, draws, seed: pytest.fail("NUTS was run")
    )
    kept = pg.fit_many("als_slope", data, fallback=False, **ALS)
    assert kept.problems.to_dict() == {1: "a made-up reason"} and "1 with problems" in repr(kept)
    with pytest.raises(pytest.fail.Exception, match="NUTS was run"):
        pg.fit_many("als_slope", data, **ALS)


def test_a_posterior_that_is_not_the_programs_is_done_one_by_one(design, values, monkeypatch):
    """The check at draws is what stands between a misread program and a wrong answer."""
    data, checks = pg.Replicates(design, {"alsfrsr": values[:4]}), iter([False])
    real = batches.closed_form_holds
    monkeypatch.setattr(batches, "closed_form_holds", lambda *given: next(checks, None) is None and real(*given))
    one_by_one = pg.fit_many("als_slope", data, **ALS)
    assert next(checks, None) is None and not len(one_by_one.problems)
    monkeypatch.undo()
    together = pg.fit_many("als_slope", data, **ALS)
    gap = one_by_one.draws["slope_difference"].mean("draw") - together.draws["slope_difference"].mean("draw")
    assert float(abs(gap / together.draws["slope_difference"].std("draw")).max()) < 0.15


@pytest.mark.parametrize(
    ("how", "error", "text"),
    [({"data": [1, 2]}, SettingError, "neither Replicates"), ({"estimands": "slope_diff"}, SettingError, "slope_difference"),
     ({"draws": 0}, SettingError, "draws"), ({"cores": 0}, SettingError, "cores"), ({"mont": 3}, SettingError, "month"),
     ({"engine": "margnal"}, SettingError, "did you mean 'marginal'")],
)  # fmt: skip
def test_wrong_settings_are_refused(how, error, text, design, values):
    data = how.pop("data", pg.Replicates(design, {"alsfrsr": values[:2]}))
    with pytest.raises(error, match=text):
        pg.fit_many("als_slope", data, **(ALS | how))


@pytest.mark.parametrize(
    ("change", "text"),
    [(lambda v: {"alsfrsr": v[:, :-1]}, "have the shape"), (lambda v: {"alsfrs": v}, "no such outcome"),
     (lambda v: {"alsfrsr": np.where(np.arange(v.shape[1]) == 3, np.inf, v)}, "infinite"), (lambda v: {}, "no values")],
)  # fmt: skip
def test_wrong_replicates_are_refused(change, text, design, values):
    with pytest.raises(CohortError, match=text):
        pg.Replicates(design, change(values[:2]))


def test_a_value_below_a_limit_is_refused_by_a_model_that_takes_it_for_measured(design, values):
    """In one data set of many too: `fit` refuses the same."""
    outcome = pg.Outcome("distance", unit="m", detection_limit=5.0)
    visits = design.visits.rename(columns={"month": "time", "alsfrsr": "distance"})[["subject", "time", "distance"]]
    limited = pg.Cohort.from_table(visits.assign(distance=visits["distance"] + 100), design.subjects.reset_index(), time_unit="months",
                                   outcomes=[outcome], arms=list(design.arms), provenance="simulated", allocation="randomised")  # fmt: skip
    low = values[:3] + 100
    pg.fit_many("als_slope", pg.Replicates(limited, {"distance": low}), **ALS)
    low[1, 4] = 3.0
    with pytest.raises(CohortError, match="data set 1 has a value at or below the detection limit"):
        pg.fit_many("als_slope", pg.Replicates(limited, {"distance": low}), **ALS)


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_a_data_set_without_values_has_the_prior(empty, design, values):
    some = values[:3].copy()
    some[empty] = np.nan
    fits = pg.fit_many("als_slope", pg.Replicates(design, {"alsfrsr": some}), fallback=False, **ALS)
    assert np.isfinite(fits.draws["slope_difference"].sel(data_set=[s for s in range(3) if s != empty])).all()
    if not fits.diagnostics.at[empty, "problem"]:
        prior = pg.models()["als_slope"].priors["slope_effect"].parameters["sigma"]
        assert abs(float(fits.draws["slope_difference"].sel(data_set=empty).std()) / prior - 1) < 0.15


@pytest.mark.slow
def test_a_program_is_prepared_once_for_data_sets_that_come_in_turn(values, design):
    """Priors of a drift are made anew for each call; what was prepared for those of the same content is found again."""
    subjects = design.subjects.index[design.subjects["arm"] == design.arms[0]][:4]
    people = design.subjects.reset_index()
    people["arm"] = people["arm"].where(~people["subject"].isin(subjects), "historical control")
    visits = design.visits.rename(columns={"month": "time"})[["subject", "time", "alsfrsr"]]
    cohort = pg.Cohort.from_table(visits, people, time_unit="months", outcomes=list(design.outcomes), provenance="simulated",
                                  arms=[*design.arms, "historical control"], allocation="historical")  # fmt: skip
    prepared._prepared.cache_clear()  # tests of other files may have had the same program
    counts = []
    for part in (values[:2], values[2:4]):
        pg.fit_many(
            "als_slope", pg.Replicates(cohort, {"alsfrsr": part}), borrowing=pg.Commensurate(0.2), draws=100, **ALS
        )
        counts.append(prepared._prepared.cache_info().misses)
    assert counts == [1, 1]


@pytest.mark.slow
def test_a_worker_lets_go_of_what_earlier_jobs_prepared(values, design, monkeypatch):
    data = pg.Replicates(design, {"alsfrsr": values[:2]})
    alone = pg.fit_many("als_slope", data, draws=100, **ALS).draws
    monkeypatch.setattr(fitters, "_PROGRAMS", 1)
    # As if each call came from another process.
    monkeypatch.setattr(fitters, "os", SimpleNamespace(getpid=count().__next__))
    again = pg.fit_many("als_slope", data, draws=100, **ALS).draws
    assert prepared._prepared.cache_info()[:2] == (0, 1)  # hits and misses since it was emptied
    xr.testing.assert_identical(again, alone)


def test_a_data_set_gives_the_same_whichever_others_are_fitted_with_it(values, design):
    data = pg.Replicates(design, {"alsfrsr": values[:6]})
    made = fitters.recipe("als_slope", design, estimands="slope_difference", draws=100, options=ALS.get("options"))
    rows = made.values(data)
    ready = made.ready({block: value[0] for block, value in rows.items()})
    seeds = [np.random.SeedSequence(1, spawn_key=(i,)) for i in range(6)]

    def fitted(which):
        return ready.fit({block: value[which] for block, value in rows.items()}, [seeds[i] for i in which])[
            0
        ].to_array()

    together = fitted(range(6))
    for which in ([3], [4, 1], [5, 0, 2]):
        np.testing.assert_array_equal(fitted(which), together.isel(data_set=which))
