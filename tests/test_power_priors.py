"""Patients counted in part: held against patients counted twice, against dense normals, and at both of its ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import progression as pg
from progression.encoding import encode
from progression.engines import forward, marginal, normalised, powered
from progression.engines.integration import put
from progression.engines.prepared import prepare
from progression.faults import CohortError, SettingError
from tests import simulators
from tests.test_borrowing import HISTORICAL, effect, trial

MONTHS = [0, 3, 6, 9]


def doubled(cohort: pg.Cohort) -> pg.Cohort:
    """Every historical control a second time, under another name."""
    subjects, visits = cohort.subjects, cohort.visits
    again = {key: f"{key} again" for key in subjects.index[subjects["arm"] == HISTORICAL]}
    extra = visits[visits["subject"].isin(list(again))].assign(subject=lambda table: table["subject"].map(again))
    more = subjects.loc[list(again)].rename(index=again)
    table = (
        pd.concat([subjects, more]).rename(columns={"event_month": "event_time"}).rename_axis("subject").reset_index()
    )
    rows = pd.concat([visits, extra]).rename(columns={"month": "time"})
    kept = ["subject", "arm", *(key for key in ("event", "event_time", "end_of_follow_up") if key in table)]
    return pg.Cohort.from_table(rows[["subject", "time", "alsfrsr"]], table[kept], time_unit="months", outcomes=["alsfrsr"],
                                arms=list(cohort.arms), allocation="historical", provenance="simulated")  # fmt: skip


def with_deaths(seed: int = 1) -> pg.Cohort:
    visits, subjects = simulators.als_shared(np.random.default_rng(seed), n_per_arm={"control": 15, "treated": 15, HISTORICAL: 30},
                                             months=MONTHS, rate_ratio={"treated": 0.8, HISTORICAL: 1.3}, hazard=0.03)  # fmt: skip
    return pg.Cohort.from_table(visits, subjects[["subject", "arm", "event", "event_time", "end_of_follow_up"]], time_unit="months",
                                outcomes=["alsfrsr"], arms=["control", "treated", HISTORICAL], allocation="historical", provenance="simulated")  # fmt: skip


def bounded(seed: int = 1) -> pg.Cohort:
    table = simulators.als_bounded(np.random.default_rng(seed), n_per_arm={"control": 4, "treated": 4, HISTORICAL: 8}, months=MONTHS[:3],
                                   mean_level=0.7, sd_level=0.8, mean_slope=-0.12, sd_slope=0.08, correlation=0.2, overdispersion=0.01,
                                   slope_effect={"treated": 0.05, HISTORICAL: -0.05}, dropout_per_month=0.0)  # fmt: skip
    return pg.Cohort.from_table(table[["subject", "arm", "time", "alsfrsr"]], time_unit="months", outcomes=["alsfrsr"],
                                arms=["control", "treated", HISTORICAL], allocation="historical", provenance="simulated")  # fmt: skip


def draws_of(model: str, cohort: pg.Cohort, weight: float | None, **how: Any) -> Mapping[str, tuple[float, float]]:
    """Mean and SD of each population parameter, historical controls counted `weight` times."""
    chosen = pg.models()[model]
    encoded = encode(chosen, cohort)
    settings = {"draws": 500, "chains": 4, "random_seed": 1, **how}
    if weight is None:
        found, _ = marginal.sample(chosen, encoded, chosen.priors, **settings)
    else:
        weights = np.where(cohort.subjects["arm"] == HISTORICAL, weight, 1.0)
        found, _ = powered.sample(chosen, encoded, chosen.priors, weights=weights, **settings)
    names = [
        name for name, one in found.items() if one.size and "subject" not in one.dims and not str(name).endswith("_raw")
    ]
    flat = {str(name): found[name].to_numpy().reshape(2000, -1) for name in names}
    return {
        f"{name}{i}": (column.mean(), column.std()) for name, array in flat.items() for i, column in enumerate(array.T)
    }


@pytest.mark.slow
@pytest.mark.parametrize(("model", "make"), [
    ("als_slope", trial), ("als_shared", with_deaths),
])  # fmt: skip
def test_a_weight_of_two_is_the_patient_twice(model: str, make: Any) -> None:
    cohort = make()
    twice, weighted, once = (
        draws_of(model, doubled(cohort), None),
        draws_of(model, cohort, 2.0),
        draws_of(model, cohort, None),
    )
    for name, (mean, sd) in twice.items():
        assert weighted[name][0] == pytest.approx(mean, abs=0.1 * sd), name
        assert weighted[name][1] == pytest.approx(sd, rel=0.1), name
    assert max(abs(once[name][0] - twice[name][0]) / twice[name][1] for name in twice) > 0.2


@pytest.mark.slow
def test_a_weight_of_two_is_the_patient_twice_where_effects_are_integrated_numerically() -> None:
    cohort, chosen = bounded(), pg.models()["als_bounded"]
    x = np.random.default_rng(2).normal(0, 0.2, (4, 40))
    weights = np.where(cohort.subjects["arm"] == HISTORICAL, 2.0, 1.0)
    values, slopes = [], []
    for one, own in ((cohort, weights), (doubled(cohort), None)):
        encoded = encode(chosen, one).unpadded()
        program = prepare(chosen, encoded, chosen.priors)
        inner: Any = program.inner if own is None else powered.powered_integral(program, fast=False, weights=own)
        put(inner, program, encoded)
        x = x[:, : inner.x.size]
        inner.refer(x[0])
        values.append(inner.log_density(x, order=7))
        slopes.append(inner.gradient(x[:1], order=7)[1][0])
    assert values[0] == pytest.approx(values[1], abs=1e-8)
    # By differences of the quadrature here, by Fisher's identity there: they meet as far as the quadrature is exact.
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-3, abs=0.01)


def test_the_weighted_density_is_that_of_dense_normals() -> None:
    """Each subject's rows one normal raised to its weight, the straight-line parameters integrated by linear algebra."""
    cohort = trial(n=6, historical=9)
    chosen = pg.models()["als_slope"]
    encoded = encode(chosen, cohort).unpadded()
    program = prepare(chosen, encoded, chosen.priors)
    rng = np.random.default_rng(3)
    weights = np.where(cohort.subjects["arm"] == HISTORICAL, rng.uniform(0, 1, cohort.n_subjects), 1.0)
    inner: Any = program.inner
    x = rng.normal(0, 0.4, (6, inner.form.rest.size))
    ours = []
    for own in (weights, np.ones(cohort.n_subjects)):
        _, cells = powered.reduced(program, inner, encoded, own)
        ours.append(inner.log_density(cells, x[None])[0][0])
    program.split.with_data(program.arrays(encoded), encoded.n_subjects)
    known = program.population(x, np.zeros((len(x), inner.n_linear)))
    dense = [
        [dense_density(cohort, {name: known[name][k] for name in known}, own) for k in range(len(x))]
        for own in (weights, np.ones(cohort.n_subjects))
    ]
    gap = (ours[0] - ours[1]) - (np.array(dense[0]) - np.array(dense[1]))
    assert np.ptp(gap) < 1e-7 and abs(gap[0]) < 1e-6
    assert np.ptp(ours[0] - ours[1]) > 1  # the weights do matter


def dense_density(cohort: pg.Cohort, at: Mapping[str, Any], weights: np.ndarray) -> float:
    """Log of the integral over (mean_level, mean_slope, level differences, slope effects) of weighted normals, with NumPy alone."""
    sd_level, sd_slope, rho, noise = (
        float(at[name]) for name in ("sd_level", "sd_slope", "correlation", "sd_residual")
    )
    between = np.array([[sd_level**2, rho * sd_level * sd_slope], [rho * sd_level * sd_slope, sd_slope**2]])
    arms = list(cohort.arms[1:])
    sd = np.array([10.0, 1.0, *[5.0] * len(arms), *[0.5] * len(arms)])
    mean = np.array([38.0, -1.0, *[0.0] * (2 * len(arms))])
    precision, line, constant = (
        np.diag(sd**-2),
        mean / sd**2,
        float(-0.5 * (mean**2 / sd**2).sum() - np.log(sd).sum() - 0.5 * len(sd) * np.log(2 * np.pi)),
    )
    visits = cohort.visits
    for i, (subject, row) in enumerate(cohort.subjects.iterrows()):
        own = visits[visits["subject"] == subject]
        month, y = own["month"].to_numpy(float), own["alsfrsr"].to_numpy(float)
        z = np.column_stack([np.ones_like(month), month])
        v = z @ between @ z.T + noise**2 * np.eye(len(y))
        on = np.array([row["arm"] == arm for arm in arms], float)
        a = np.column_stack(
            [np.ones_like(month), month, *(np.full_like(month, one) for one in on), *(month * one for one in on)]
        )
        inverse = np.linalg.inv(v)
        precision = precision + weights[i] * a.T @ inverse @ a
        line = line + weights[i] * a.T @ inverse @ y
        constant += weights[i] * (-0.5 * y @ inverse @ y - 0.5 * np.linalg.slogdet(2 * np.pi * v)[1])
    return (
        constant + 0.5 * line @ np.linalg.solve(precision, line) - 0.5 * np.linalg.slogdet(precision / (2 * np.pi))[1]
    )


@pytest.mark.slow
def test_its_ends_are_pooling_and_leaving_out() -> None:
    cohort = trial(drift=0.9)
    alone = cohort.select(f"arm != '{HISTORICAL}'")
    pooled, one, none = (
        effect(cohort, pg.Pooled()),
        effect(cohort, pg.PowerPrior(1)),
        effect(cohort, pg.PowerPrior(0.0)),
    )
    without = effect(alone, None, options={"baseline": "free"})
    assert one == pytest.approx(pooled, abs=1e-6) and none == pytest.approx(without, abs=0.01 * without[1])
    half = effect(cohort, pg.PowerPrior(0.4))
    assert sorted([one[0], half[0], none[0]])[1] == half[0] and pooled[1] < half[1] < without[1]


@pytest.mark.slow
def test_many_fits_count_patients_in_part_as_one_fit_does() -> None:
    sets = [trial(seed=seed) for seed in (1, 2)]
    many = pg.fit_many("als_slope", sets, borrowing=pg.PowerPrior(0.3), random_seed=1, progressbar=False)
    assert not len(many.problems)
    for number, one in enumerate(sets):
        own = many.draws["slope_difference"].isel(data_set=number)
        mean, sd = effect(one, pg.PowerPrior(0.3))
        assert float(own.mean()) == pytest.approx(mean, abs=0.1 * sd) and float(own.std()) == pytest.approx(sd, rel=0.1)


@pytest.mark.slow
def test_the_constant_of_nothing_is_one_and_grows_as_its_derivative_says() -> None:
    """log C(0) = 0; d log C / d a0 is the mean log likelihood of the historical patients under that power."""
    cohort = trial(n=6, historical=12)
    chosen, encoded = pg.models()["als_slope"], encode(pg.models()["als_slope"], cohort)
    historical = (cohort.subjects["arm"] == HISTORICAL).to_numpy(float)
    nothing, error = powered.log_evidence(chosen, encoded, chosen.priors, weights=0 * historical, random_seed=1)
    assert abs(nothing) < 4 * max(error, 0.01)
    power = np.array([0.3, 0.325, 0.35])
    logs = [
        powered.log_evidence(chosen, encoded, chosen.priors, weights=one * historical, random_seed=1) for one in power
    ]
    found, _ = powered.sample(
        chosen, encoded, chosen.priors, weights=power[1] * historical, draws=500, chains=4, random_seed=2
    )
    flat = forward.stack(found.drop_vars([name for name, one in found.items() if "subject" in one.dims]))
    own, _ = marginal.subject_log_likelihood(chosen, encoded, chosen.priors, flat)
    slope = (logs[2][0] - logs[0][0]) / (power[2] - power[0])
    by_draw = own @ historical
    assert slope == pytest.approx(by_draw.mean(), abs=4 * by_draw.std() / np.sqrt(len(by_draw)) + 4 * logs[1][1] / 0.05)


@pytest.mark.slow
def test_a_power_that_is_learned_trusts_what_agrees() -> None:
    prior = pg.PowerPrior(pg.Prior("Beta", alpha=1, beta=1))
    powers = {}
    for drift in (0.0, 1.5):
        fit = pg.fit("als_slope", trial(drift=drift, n=30, historical=80, seed=3), borrowing=prior, random_seed=1)
        assert not fit.problems
        powers[drift] = float(fit.posterior["a0"].mean())
    assert powers[0.0] > 0.5 > 0.15 > powers[1.5]


@pytest.mark.slow
def test_a_weight_of_nothing_leaves_a_patient_out_where_the_power_is_learned() -> None:
    cohort, prior = trial(n=8, historical=20, drift=0.6), pg.Prior("Beta", alpha=2, beta=2)
    subjects, visits = cohort.subjects, cohort.visits.rename(columns={"month": "time"})
    own = {key: float(i % 2) for i, key in enumerate(subjects.index[subjects["arm"] == HISTORICAL])}
    out = [key for key, weight in own.items() if not weight]
    without = pg.Cohort.from_table(visits.loc[~visits["subject"].isin(out), ["subject", "time", "alsfrsr"]],
                                   subjects.drop(index=out)[["arm"]].reset_index(), time_unit="months", outcomes=["alsfrsr"],
                                   arms=list(cohort.arms), allocation="historical", provenance="simulated")  # fmt: skip
    one = pg.fit("als_slope", cohort, borrowing=pg.PowerPrior(prior, weights=own), random_seed=1)
    other = pg.fit("als_slope", without, borrowing=pg.PowerPrior(prior), random_seed=1)
    for name in ("a0", "slope_effect", "mean_slope"):
        a, b = one.posterior[name], other.posterior[name]
        assert float(a.mean()) == pytest.approx(float(b.mean()), abs=0.1 * float(b.std())), name
        assert float(a.std()) == pytest.approx(float(b.std()), rel=0.1), name


def test_the_nodes_are_those_of_the_beta() -> None:
    for alpha, beta in ((1.0, 1.0), (2.0, 5.0), (0.5, 0.5)):
        node, share = normalised.beta_nodes(alpha, beta)
        known = stats.beta(alpha, beta)
        assert share @ node == pytest.approx(known.mean()) and share @ node**2 == pytest.approx(
            known.var() + known.mean() ** 2
        )
        assert share @ np.exp(node) == pytest.approx(
            float(integrate.quad(lambda t, d=known: np.exp(t) * d.pdf(t), 0, 1)[0]), rel=1e-6
        )


def test_weights_of_patients_multiply_the_power() -> None:
    cohort = trial(drift=0.9)
    own = dict.fromkeys(cohort.subjects.index[cohort.subjects["arm"] == HISTORICAL], 0.5)
    assert effect(cohort, pg.PowerPrior(0.6, weights=own)) == pytest.approx(
        effect(cohort, pg.PowerPrior(0.3)), abs=1e-6
    )
    assert effect(cohort, pg.PowerPrior(0.6, weights=pd.Series(own))) == pytest.approx(
        effect(cohort, pg.PowerPrior(0.3)), abs=1e-6
    )
    some = dict(list(own.items())[:-1])
    with pytest.raises(CohortError, match="without a weight"):
        pg.fit("als_slope", cohort, borrowing=pg.PowerPrior(0.6, weights=some), random_seed=1)
    with pytest.raises(CohortError, match="no historical control"):
        pg.fit("als_slope", cohort, borrowing=pg.PowerPrior(0.6, weights=own | {"nobody": 1.0}), random_seed=1)


@pytest.mark.parametrize("a0", [-0.1, 1.2, 50, float("nan"), "half", True, pg.Prior("Normal", mu=0, sigma=1)])
def test_a_power_outside_its_range_is_refused(a0: Any) -> None:
    with pytest.raises(SettingError, match="a0"):
        pg.PowerPrior(a0)


def test_what_a_power_prior_cannot_do_is_refused() -> None:
    cohort = trial()
    with pytest.raises(SettingError, match="marginal"):
        pg.fit("als_slope", cohort, borrowing=pg.PowerPrior(0.5), engine="nuts", random_seed=1)
    with pytest.raises(SettingError, match="level"):
        pg.PowerPrior(0.5, level=2.0)
    with pytest.raises(SettingError, match="one fit at a time"):
        pg.fit_many("als_slope", [cohort], borrowing=pg.PowerPrior(pg.Prior("Beta", alpha=1, beta=1)), random_seed=1)
    with pytest.raises(SettingError, match=r"weights.*between 0 and 1"):
        pg.PowerPrior(0.5, weights={"a": 1.5})
    fit = pg.fit("als_slope", cohort, borrowing=pg.PowerPrior(0.5), random_seed=1)
    assert any("counts as 0.5 of a patient" in text for text in pg.contrast(fit).assumptions())
    with pytest.raises(SettingError, match="in part"):
        pg.loo(fit)
