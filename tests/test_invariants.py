"""What no answer may depend on: which arm is called control, the order of draws, how a probability is asked for."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import progression as pg
from tests.posed import ARMS, CASES, IDS, posed, recast, with_posterior

SEEDS = st.integers(0, 2**32 - 1)
each = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)


def examples(name, options=(), most=3):
    """So many tries; one of the models whose estimands are integrals over patients that take seconds."""
    slow = name in ("als_items", "als_bounded") or "flare" in dict(options)
    return settings(derandomize=True, deadline=None, database=None, max_examples=1 if slow else most,
                    phases=[Phase.generate])  # fmt: skip  # a smaller seed says no more


# ---- which arm is called control ----

# Which parameter of the control arm moves with which of the others.
ADDED = {"als_slope": ("mean_slope", "slope_effect"), "als_bounded": ("mean_slope", "slope_effect"),
         "als_items": ("mean_slope", "slope_effect"), "sle_crp": ("time_course", "effect"),
         "sle_joints": ("time_course", "effect"), "sle_activity": ("time_course", "effect")}  # fmt: skip
ONE_WAY = {"als_antibody"}  # antibodies come with treatment: a treated arm cannot be its control


def of_every_arm(parameter, arms, new, none):
    """A parameter of treated arms by all arms, `none` in the control; and that of the arm to come."""
    dim = parameter.dims[-1] if "followup_visit" not in parameter.dims else "active_arm"
    every = parameter.reindex({dim: list(arms)}, fill_value=none)
    return every, every.sel({dim: new}, drop=True)


def relabelled(fit, new):
    """The same posterior told with another arm as control: in each arm the same is expected of patients."""
    p, old = fit.posterior, fit.cohort.arms
    arms = [new, *(arm for arm in old if arm != new)]
    if fit.model.name in ADDED:
        base, effect = ADDED[fit.model.name]
        every, own = of_every_arm(p[effect], old, new, 0.0)
        told = {base: p[base] + own, effect: (every - own).sel(active_arm=arms[1:])}
    else:  # als_shared: rates are multiplied, and with them their spread and the common bend; hazards by their own ratio
        every, own = of_every_arm(p["rate_ratio"], old, new, 1.0)
        told = {"mean_rate": p["mean_rate"] * own, "rate_ratio": (every / own).sel(active_arm=arms[1:]),
                "sd_rate": (p["sd_rate"] * own).sel(arm=arms), "bend": p["bend"] * own,
                "hazard_by_rate": p["hazard_by_rate"] / own, "hazard": p["hazard"] * own}  # fmt: skip
        if p["hazard_ratio"].size:
            every, own = of_every_arm(p["hazard_ratio"], old, new, 1.0)
            told |= {"hazard_ratio": (every / own).sel(separate_arm=arms[1:]), "hazard": p["hazard"] * own}
    kept = {name: one.variable for name, one in p.data_vars.items() if name not in told}
    coords = {
        dim: one for dim, one in p.coords.items() if dim not in ("arm", "active_arm", "separate_arm", "shared_arm")
    }
    told = {name: one.transpose(*p[name].dims) for name, one in told.items()}
    return with_posterior(replace(fit, cohort=recast(fit.cohort, arms)), xr.Dataset({**kept, **told}, coords=coords))


def test_every_model_has_its_mirror():
    named = {"als_shared", *ADDED, *ONE_WAY}
    assert named == {name for name, _ in CASES}


@pytest.mark.parametrize(("name", "options"), [one for one in CASES if one[0] not in ONE_WAY],
                         ids=[i for i, one in zip(IDS, CASES, strict=True) if one[0] not in ONE_WAY])  # fmt: skip
def test_another_arm_as_control(name, options):
    """A difference changes sign, a ratio is inverted; what is said of one arm, or between two others, stays the same."""

    @examples(name, options)
    @given(seed=SEEDS, new=st.sampled_from(ARMS[1:]), month=st.floats(0.5, 24))
    def holds(seed, new, month):
        fit = posed(name, options, rng=np.random.default_rng(seed))
        at = {"month": month} if any("month" in e.at for e in fit.model.estimands) else {}
        asked = (
            ["slope_difference", "slope"] if name == "als_items" else None
        )  # the others are made of the same integrals
        here, there = (pg.contrast(one, asked, **at).draws for one in (fit, relabelled(fit, new)))
        assert set(here) == set(there) and len(here)
        other = next(arm for arm in ARMS[1:] if arm != new)
        for key, before in here.items():
            after, scale = there[key].transpose(*before.dims), fit.model.estimand(str(key)).scale
            if "arm" in before.dims:
                pairs = [(after.sel(arm=list(ARMS)), before)]
            else:
                own, rest = (before.sel(active_arm=arm, drop=True) for arm in (new, other))
                mirror = {"difference": (-own, rest - own), "ratio": (1 / own, rest / own)}[scale]
                pairs = [(after.sel(active_arm=arm), one) for arm, one in zip((ARMS[0], other), mirror, strict=True)]
            for found, wanted in pairs:
                if not wanted.size:  # of an event or a marker that is not in the model
                    continue
                size = float(abs(wanted).max())
                np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-10 * size, err_msg=str(key))

    holds()


def test_a_fit_with_the_arms_the_other_way_round(als):
    """Priors so wide that they weigh nothing: the same answer with the other sign, within the error of the draws."""
    wide = {"mean_slope": pg.Prior("Normal", mu=0, sigma=100), "slope_effect": pg.Prior("Normal", mu=0, sigma=100)}
    fits = [pg.fit("als_slope", one, priors=wide, random_seed=1, draws=2000, chains=2, progressbar=False)
            for one in (als, recast(als, ["treated", "control"]))]  # fmt: skip
    tables = [pg.contrast(fit, ["slope_difference", "slope"]).summary() for fit in fits]
    there, back = (one.loc[f"slope_difference[{arm}]"] for one, arm in zip(tables, ("treated", "control"), strict=True))
    noise = np.hypot(there["mcse_mean"], back["mcse_mean"])
    assert abs(there["mean"] + back["mean"]) < 4 * noise and noise < 0.05 * there["sd"]
    assert there["sd"] == pytest.approx(back["sd"], rel=0.1)
    chance = [float(pg.contrast(fit).probability(sign, 0)) for fit, sign in zip(fits, "><", strict=True)]
    assert chance[0] == pytest.approx(chance[1], abs=4 * np.sqrt(0.5 / 4000))


# ---- draw by draw ----


@each
def test_a_contrast_is_computed_draw_by_draw(name, options):
    """Draws in another order, or fewer of them: the same numbers, bit by bit, in that order."""

    @examples(name, options)
    @given(seed=SEEDS, arms=st.sampled_from([ARMS[:1], ARMS[:2], ARMS]), n=st.sampled_from([1, 7, 30]))
    def holds(seed, arms, n):
        rng = np.random.default_rng(seed)
        fit = posed(name, options, arms, rng=rng)
        asked = [e.name for e in fit.model.estimands if e.refusal(fit.cohort) is None]
        asked = asked[:1] if name == "als_items" or "flare" in dict(options) else asked
        chosen = {"draw": rng.permutation(30)[:n], "chain": [1, 0]}
        part = with_posterior(fit, fit.posterior.isel(chosen))
        found, whole = (pg.contrast(one, asked).draws for one in (part, fit))
        xr.testing.assert_identical(found, whole.isel(chosen))

    holds()


# ---- probabilities and intervals ----


@pytest.mark.parametrize("name", ["als_slope", "sle_joints"])
def test_probabilities_add_up_and_fall(name):
    """Between 0 and 1; above and not above add up to 1, at a draw and between draws; the higher the bar, the fewer above."""

    @examples(name, most=3)
    @given(seed=SEEDS, share=st.floats(-0.1, 1.1))
    def holds(seed, share):
        index, one, ask, _ = component(name, seed)
        draws = np.sort(one.to_numpy().ravel())
        bars = sorted([draws[seed % draws.size], draws[0] + share * np.ptp(draws), draws[0], draws[-1] + 1])
        above = []
        for bar in map(float, bars):
            p = {sign: ask(sign, bar) for sign in ("<", "<=", ">", ">=")}
            assert all(0 <= one.value <= 1 and 0 <= one.mcse < 1 for one in p.values()), index
            assert p[">"].value + p["<="].value == pytest.approx(1, abs=1e-12)
            assert p[">="].value + p["<"].value == pytest.approx(1, abs=1e-12)
            assert p[">"].value == np.mean(draws > bar) and p["<"].value == np.mean(draws < bar)
            above.append(p[">"].value)
        assert above == sorted(above, reverse=True) and above[-1] == 0 and len(above) == 4

    holds()


@pytest.mark.parametrize("name", ["als_slope", "sle_crp"])
def test_intervals_are_nested(name):
    """The wider about the narrower, each about the median and of the share of draws that it names."""

    @examples(name, most=2)
    @given(seed=SEEDS, width=st.floats(0.51, 0.99))
    def holds(seed, width):
        _, _, _, found = component(name, seed)
        widths = sorted([0.5, 0.9, 0.95, width])
        tables = [found.summary(ci_prob=one) for one in widths]
        columns = [[one for one in table if one.startswith("eti")] for table in tables]
        low, high = (np.array([table[pair[k]] for table, pair in zip(tables, columns, strict=True)]) for k in (0, 1))
        draws = [one.to_numpy().ravel() for one in found.components().values()]
        median = np.median(draws, axis=1)
        assert (np.diff(low, axis=0) <= 0).all() and (np.diff(high, axis=0) >= 0).all()
        assert (low <= median).all() and (median <= high).all()
        for k, (one, sizes) in enumerate(zip(draws, zip(low.T, high.T, strict=True), strict=True)):
            inside = [np.mean((one >= a) & (one <= b)) for a, b in zip(*sizes, strict=True)]
            np.testing.assert_allclose(inside, widths, atol=2.5 / one.size, err_msg=str(k))

    holds()


def component(name, seed):
    """One component of a posed posterior by its index, its draws, a way to ask for its probability, and the contrast."""
    found = pg.contrast(posed(name, arms=ARMS[:2], rng=np.random.default_rng(seed)))
    index, one = list(found.components().items())[seed % len(found.components())]
    labels = {str(dim): one[dim].item() for dim in one.coords if dim not in ("chain", "draw")}
    return index, one, lambda sign, bar: found.probability(sign, bar, estimand=index.partition("[")[0], **labels), found
