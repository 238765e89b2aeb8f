"""als_antibody: the two engines against each other, truths given back, the pilot's warning, onsets simulated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import progression as pg
from tests import simulators
from tests.evidence import antibody
from tests.recovery.yardsticks import QUICK, assert_covers, assert_no_shift, rank

pytestmark = [pytest.mark.recovery, pytest.mark.filterwarnings("ignore::progression.fitting.FitWarning")]

QUIET = {"random_seed": 1, "progressbar": False}
MODEL = pg.models()["als_antibody"]


def trial(seed: int, n: int, months: list[float], tests: list[float], **how: float) -> pd.DataFrame:
    truth = antibody.FIXED | {"effect_before": 0.6, "effect_after": 0.0} | how
    return simulators.als_antibody(np.random.default_rng(seed), n_per_arm={"control": n, "treated": n}, months=months,
                                   tests=tests, **truth)  # fmt: skip


@pytest.mark.slow
def test_both_engines_say_the_same() -> None:
    """With an onset of every kind that NUTS is for: between tests, to the day, and after the last."""
    visits = trial(3, 20, [0, 1, 2, 4, 6, 9], [0, 2, 6, 9])
    some = visits["subject"].isin(["p21", "p22"])
    visits.loc[some, ["onset_lower", "onset_upper"]] = 2.5
    own = antibody.cohort(visits)
    fit = pg.fit("als_antibody", own, engine="marginal", draws=250, **QUIET)
    assert fit.settings["engine"] == "marginal" and not fit.problems
    nuts = pg.fit("als_antibody", own, engine="nuts", draws=2000, cores=2, **QUIET)
    assert not nuts.problems
    for name in MODEL.priors:
        if fit.posterior[name].size:
            one, other = fit.posterior[name].squeeze(), nuts.posterior[name].squeeze()
            sd = float(other.std())
            assert abs(float(one.mean() - other.mean())) < 0.12 * sd, name
            assert abs(float(one.std()) / sd - 1) < 0.12, name
    for fitted in (fit, nuts):
        onset = fitted.posterior["onset"].sel(subject="p21")
        assert abs(onset - 2.5).max() < 0.017  # half a day
    found = [
        f.posterior["onset"].sel(subject=visits.loc[visits["onset_upper"] == 6, "subject"].iloc[0]) for f in (fit, nuts)
    ]
    assert abs(float(found[0].mean() - found[1].mean())) < 0.15 * float(found[1].std())


@pytest.mark.slow
def test_on_the_pilot_the_warning_is_raised() -> None:
    """Most convert within weeks: the slope before is hardly observed. Reconstructed: no direction is read from it."""
    fit = pg.fit("als_antibody", pg.datasets.als_anakinra(direction="none"), cores=2, **QUIET)
    assert not fit.problems
    found = pg.contrast(fit)
    before, after = (found.learned.loc[f"slope_difference_{when}[anakinra]"] for when in ("before", "after"))
    assert any(text.startswith("slope_difference_before[anakinra]") for text in found.warnings)
    assert not any(text.startswith("slope_difference_after[anakinra]") for text in found.warnings)
    assert before["posterior_sd"] > 1.5 * after["posterior_sd"]


@pytest.mark.slow
def test_new_patients_get_onsets_of_their_own() -> None:
    visits = trial(5, 20, [0, 2, 4, 8], [0, 2, 4, 8])
    fit = pg.fit("als_antibody", antibody.cohort(visits), cores=2, **QUIET)
    new = fit.predict([0.0, 12.0], new_patients={"control": 200, "treated": 200}, draws=200)
    change = new["score"].sel(month=12) - new["score"].sel(month=0)
    expected = pg.contrast(fit, "change", month=12)
    for arm, subjects in (("control", slice(0, 200)), ("treated", slice(200, 400))):
        got, wanted = change.isel(subject=subjects).mean(), expected.select(arm=arm)
        assert abs(float(got - wanted.mean())) < 0.35 * float(wanted.std()), arm


@pytest.mark.slow
def test_effects_before_and_after_are_given_back() -> None:
    """A few trials, the truths drawn from the priors; two hundred in tests/evidence/antibody.json."""
    ranks: dict[str, list[float]] = {name: [] for name in antibody.ASKED}
    z: dict[str, list[float]] = {name: [] for name in antibody.ASKED}
    for k in range(8):
        at = antibody.truth("coverage", 1000 + k)
        visits = trial(100 + k, 20, [0, 1, 2, 3, 4, 6, 8, 10], [0, 1, 2, 3, 4, 6, 8, 10], **at)
        draws = pg.contrast(pg.fit("als_antibody", antibody.cohort(visits), **{**QUICK, "random_seed": k})).draws
        for name, value in antibody.asked(at).items():
            ranks[name].append(rank(draws[name], value))
            z[name].append(float((draws[name].mean() - value) / draws[name].std()))
    for name in antibody.ASKED:
        assert_covers(np.array(ranks[name]), name, 0.9)
        assert_no_shift(np.array(z[name]), name)
