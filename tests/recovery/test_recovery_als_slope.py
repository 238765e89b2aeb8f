"""als_slope against exact posteriors, and against simulated cohorts whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import progression as pg
from tests import simulators
from tests.recovery.yardsticks import (
    ALPHA,
    FULL,
    QUICK,
    assert_calibrated,
    assert_covers,
    assert_exact,
    assert_no_shift,
    assert_unbiased,
    draw,
    pinned,
    rank,
)

pytestmark = [pytest.mark.recovery, pytest.mark.filterwarnings("ignore::progression.fitting.FitWarning")]

PRIORS = {
    "mean_level": pg.Prior("Normal", mu=38, sigma=10),
    "level_difference": pg.Prior("Normal", mu=0, sigma=5),
    "level_coefficient": pg.Prior("Normal", mu=0, sigma=3),
    "sd_level": pg.Prior("HalfNormal", sigma=8),
    "mean_slope": pg.Prior("Normal", mu=-1, sigma=1),
    "slope_effect": pg.Prior("Normal", mu=0, sigma=0.5),
    "slope_coefficient": pg.Prior("Normal", mu=0, sigma=0.5),
    "sd_slope": pg.Prior("HalfNormal", sigma=1),
    "correlation": pg.Prior("Uniform", lower=-1, upper=1),
    "sd_residual": pg.Prior("LogNormal", mu=0.6, sigma=0.5),
}
SCALARS = ("mean_level", "sd_level", "mean_slope", "sd_slope", "correlation", "sd_residual")
# Slopes and noise of the HEALEY simulation base (SCIENCE.md, section 2), two-monthly visits.
TYPICAL = {"mean_level": 38.0, "sd_level": 5.0, "mean_slope": -1.03, "sd_slope": 0.76, "correlation": 0.3,
           "sd_residual": 1.77}  # fmt: skip
MONTHS = [0, 2, 4, 6, 8, 10]


def cohort(table: pd.DataFrame, **how: object) -> pg.Cohort:
    covariates = [name for name in table if name.startswith("x")]
    settings = {"allocation": "randomised", "arms": list(dict.fromkeys(table["arm"])), "covariates": covariates}
    return pg.Cohort.from_table(table, time_unit="months", outcomes=["alsfrsr"], provenance="simulated",
                                **(settings | how))  # fmt: skip


def from_priors(
    rng: np.random.Generator, arms: dict[str, int], *, free: bool = False, covariates: int = 0
) -> tuple[dict, pd.DataFrame]:
    truth = {name: float(draw(rng, PRIORS[name])) for name in SCALARS}
    active = list(arms)[1:]
    truth["slope_effect"] = {arm: float(draw(rng, PRIORS["slope_effect"])) for arm in active}
    truth["level_difference"] = {arm: float(draw(rng, PRIORS["level_difference"])) for arm in active if free}
    for name in ("level_coefficient", "slope_coefficient"):
        truth[name] = draw(rng, PRIORS[name], covariates)
    return truth, simulators.als_slope(rng, n_per_arm=arms, months=MONTHS, dropout_per_month=0.02, **truth)


def calibrate(arms: dict[str, int], n_fits: int, seed: int, *, free: bool = False, covariates: int = 0) -> None:
    ranks: dict[str, list[float]] = {}
    for k in range(n_fits):
        truth, table = from_priors(np.random.default_rng([seed, k]), arms, free=free, covariates=covariates)
        options = {"baseline": "free" if free else "common", "covariates": [f"x{j}" for j in range(covariates)]}
        fit = pg.fit("als_slope", cohort(table), priors=PRIORS, options=options, random_seed=k, **QUICK)
        found = pg.contrast(fit, month=10).draws
        for name in SCALARS:
            ranks.setdefault(name, []).append(rank(fit.posterior[name], truth[name]))
        for name in ("level_coefficient", "slope_coefficient"):
            for j in range(covariates):
                own = fit.posterior[name].sel(covariate=f"x{j}")
                ranks.setdefault(f"{name} {j}", []).append(rank(own, truth[name][j]))
        for arm, effect in truth["slope_effect"].items():
            control = truth["mean_slope"]
            wanted = {"slope_difference": effect, "slope_ratio": 1 + effect / control, "change_difference": 10 * effect}
            for name, value in wanted.items():
                ranks.setdefault(f"{name} {arm}", []).append(rank(found[name].sel(active_arm=arm), value))
            own = found["change"].sel(arm=arm)
            ranks.setdefault(f"change {arm}", []).append(rank(own, 10 * (control + effect)))
        for arm, difference in truth["level_difference"].items():
            own = fit.posterior["level_difference"].sel(baseline_arm=arm)
            ranks.setdefault(f"level_difference {arm}", []).append(rank(own, difference))
    assert_calibrated(ranks)


def test_fixed_effects_equal_generalised_least_squares() -> None:
    """With the variances known the posterior is normal: three arms, covariate, free baseline, one-visit patients."""
    rng = np.random.default_rng(5)
    arms = {"control": 9, "low": 8, "high": 8}
    table = simulators.als_slope(
        rng, n_per_arm=arms, months=[-1, 0, 1, 3, 6, 9], **TYPICAL, slope_effect={"low": 0.2, "high": 0.5},
        level_difference={"low": 2.0, "high": -1.0}, level_coefficient=[2.0], slope_coefficient=[0.3],
        dropout_per_month=0.08,
    )  # fmt: skip
    table = table[(table["subject"] != "p3") | (table["time"] == 0)]  # one patient with a single visit
    assert table.groupby("subject").size().nunique() > 3
    known = {name: pinned(TYPICAL[name]) for name in ("sd_level", "sd_slope", "correlation", "sd_residual")}
    priors = PRIORS | known
    fit = pg.fit("als_slope", cohort(table), priors=priors, options={"baseline": "free", "covariates": ["x0"]},
                 random_seed=1, **FULL)  # fmt: skip
    assert not fit.problems

    subjects = table.groupby("subject", sort=False).first()
    order = {subject: i for i, subject in enumerate(subjects.index)}
    n = len(subjects)
    who, t = table["subject"].map(order).to_numpy(), table["time"].to_numpy()
    x = ((subjects["x0"] - subjects["x0"].mean()) / subjects["x0"].std(ddof=0)).to_numpy()[who]
    low, high = (table["arm"] == "low").to_numpy(float), (table["arm"] == "high").to_numpy(float)
    names = ["mean_level", "mean_slope", ("slope_effect", "low"), ("slope_effect", "high"),
             ("level_difference", "low"), ("level_difference", "high"), "level_coefficient", "slope_coefficient"]  # fmt: skip
    treated = np.maximum(t, 0)  # treatment does nothing at the screening visit, a month before time 0
    fixed = np.column_stack([np.ones_like(t), t, low * treated, high * treated, low, high, x, x * t])
    random = np.zeros((len(t), 2 * n))
    random[np.arange(len(t)), who], random[np.arange(len(t)), n + who] = 1, t
    design = np.hstack([fixed, random])
    family = [PRIORS[name if isinstance(name, str) else name[0]].parameters for name in names]
    prior_mean = np.r_[[p["mu"] for p in family], np.zeros(2 * n)]
    a, b, r = TYPICAL["sd_level"], TYPICAL["sd_slope"], TYPICAL["correlation"]
    of_effects = np.kron(np.array([[a**2, r * a * b], [r * a * b, b**2]]), np.eye(n))
    prior_precision = np.zeros((len(names) + 2 * n,) * 2)
    prior_precision[: len(names), : len(names)] = np.diag([p["sigma"] ** -2.0 for p in family])
    prior_precision[len(names) :, len(names) :] = np.linalg.inv(of_effects)
    residual = TYPICAL["sd_residual"] ** 2
    covariance = np.linalg.inv(prior_precision + design.T @ design / residual)
    mean = covariance @ (prior_precision @ prior_mean + design.T @ table["alsfrsr"].to_numpy() / residual)

    for i, name in enumerate(names):
        variable = fit.posterior[name if isinstance(name, str) else name[0]]
        if not isinstance(name, str):
            variable = variable.sel({variable.dims[2]: name[1]})
        assert_exact(variable.squeeze(), mean[i], covariance[i, i] ** 0.5, str(name))
    # Patients: level and slope are fixed part plus own effect, so their exact means and variances are linear forms too.
    firsts = np.array([np.flatnonzero(who == i)[0] for i in range(n)])
    for i, subject in enumerate(subjects.index):
        row = firsts[i]
        forms = {"level": np.zeros(len(mean)), "slope": np.zeros(len(mean))}
        forms["level"][[0, 4, 5, 6, len(names) + i]] = [1, low[row], high[row], x[row], 1]
        forms["slope"][[1, 2, 3, 7, len(names) + n + i]] = [1, low[row], high[row], x[row], 1]
        for name, form in forms.items():
            exact_sd = float(form @ covariance @ form) ** 0.5
            assert_exact(fit.posterior[name].sel(subject=subject), float(form @ mean), exact_sd, f"{name} of {subject}")


@pytest.mark.slow
def test_log_likelihood_and_priors_of_patients_are_those_of_the_maths() -> None:
    table = simulators.als_slope(np.random.default_rng(2), n_per_arm={"control": 9, "treated": 9}, months=MONTHS,
                                 **TYPICAL, slope_effect={"treated": 0.3})  # fmt: skip
    made = cohort(table)
    known = {name: pinned(TYPICAL[name]) for name in ("sd_level", "sd_slope", "correlation")}
    prior = pg.prior_check("als_slope", made, priors=PRIORS | known, draws=4000, random_seed=1).fit.posterior
    # Whatever the data say and however unequal they weigh, effects are drawn from their population.
    expected = prior["mean_slope"] + prior["slope_effect"].squeeze() * (made.subjects["arm"] == "treated").to_xarray()
    slope = ((prior["slope"] - expected) / TYPICAL["sd_slope"]).isel(subject=0).to_numpy().ravel()
    level = ((prior["level"] - prior["mean_level"]) / TYPICAL["sd_level"]).isel(subject=0).to_numpy().ravel()
    for z in (slope, level):
        assert stats.kstest(z, "norm").pvalue > ALPHA
    z = (np.arctanh(np.corrcoef(slope, level)[0, 1]) - np.arctanh(TYPICAL["correlation"])) * np.sqrt(len(slope) - 3)
    assert abs(z) < 3.3

    fit = pg.fit("als_slope", made, random_seed=1, **(QUICK | {"draws": 50})).with_log_likelihood()
    at = fit.posterior.isel(chain=1, draw=7)
    rows = made.visits
    expected = at["level"].sel(subject=rows["subject"].to_numpy()).to_numpy()
    expected = expected + at["slope"].sel(subject=rows["subject"].to_numpy()).to_numpy() * rows["month"].to_numpy()
    exact = stats.norm.logpdf(rows["alsfrsr"].to_numpy(), expected, float(at["sd_residual"]))
    found = fit.idata["log_likelihood"]["score"].isel(chain=1, draw=7)
    np.testing.assert_allclose(found, exact, rtol=1e-8)


@pytest.mark.parametrize(("n_visits", "n"), [(2, 60), (12, 60)])
def test_treatment_effect_mixes_whatever_the_number_of_visits(n_visits: int, n: int) -> None:
    """Two visits leave the four variance parameters one short of identified: only there may the gate object."""
    months = np.linspace(0, 11, n_visits)
    table = simulators.als_slope(np.random.default_rng(n_visits), n_per_arm={"control": n // 2, "treated": n // 2},
                                 months=months, **TYPICAL, slope_effect={"treated": 0.3})  # fmt: skip
    fit = pg.fit("als_slope", cohort(table), priors=PRIORS, random_seed=3, **FULL)
    effect = fit.diagnostics.table.loc["slope_effect[treated]"]
    assert effect["ess_bulk"] >= 1000 and effect["ess_tail"] >= 1000
    if n_visits == 12:
        assert not fit.problems


@pytest.mark.slow
def test_calibrated_with_a_common_baseline() -> None:
    calibrate({"control": 20, "treated": 20}, 40, seed=1)


@pytest.mark.slow
def test_calibrated_with_a_free_baseline() -> None:
    calibrate({"control": 20, "treated": 20}, 30, seed=2, free=True)


@pytest.mark.slow
def test_calibrated_with_three_arms_and_a_covariate() -> None:
    calibrate({"control": 16, "low": 12, "high": 12}, 30, seed=3, covariates=1)


@pytest.mark.slow
def test_a_covariate_that_matters_narrows_the_contrast() -> None:
    """Posterior SDs of the effect with and without the covariate stand as those of generalised least squares."""
    truth = TYPICAL | {"sd_slope": 0.4}
    a, b, r, on_level, on_slope = truth["sd_level"], truth["sd_slope"], truth["correlation"], 2.0, 0.6
    given_x = np.array([[a**2, r * a * b], [r * a * b, b**2]])
    without_x = given_x + np.outer([on_level, on_slope], [on_level, on_slope])
    narrowed, expected, errors = [], [], []
    for k in range(12):
        table = simulators.als_slope(
            np.random.default_rng([4, k]), n_per_arm={"control": 32, "treated": 32}, months=MONTHS, **truth,
            slope_effect={"treated": 0.3}, level_coefficient=[on_level], slope_coefficient=[on_slope],
            dropout_per_month=0.02,
        )  # fmt: skip
        with_, without = (
            pg.fit("als_slope", cohort(table), priors=PRIORS, options={"covariates": names}, random_seed=k, **QUICK)
            for names in (["x0"], [])
        )
        narrowed.append(float(with_.posterior["slope_effect"].std() / without.posterior["slope_effect"].std()))
        errors.append(float(with_.posterior["slope_coefficient"].mean()) - on_slope)
        expected.append(_gls_sd(table, given_x, covariate=True) / _gls_sd(table, without_x, covariate=False))
    assert np.mean(expected) < 0.75  # it does matter
    assert_unbiased(np.log(narrowed) - np.log(expected), "log ratio of posterior SDs")
    assert_unbiased(np.array(errors), "slope_coefficient")


def _gls_sd(table: pd.DataFrame, of_effects: np.ndarray, *, covariate: bool) -> float:
    """Standard deviation of the slope effect, variances known, with its prior and flat ones for the rest."""
    information = np.zeros((5, 5))
    information[2, 2] = PRIORS["slope_effect"].parameters["sigma"] ** -2
    for _, own in table.groupby("subject"):
        t = own["time"].to_numpy()
        x = (own["x0"].to_numpy() - 50) / 10
        z = np.column_stack([np.ones_like(t), t])
        fixed = np.column_stack([z, t * (own["arm"] == "treated"), x, x * t])
        precision = np.linalg.inv(z @ of_effects @ z.T + TYPICAL["sd_residual"] ** 2 * np.eye(len(t)))
        information += fixed.T @ precision @ fixed
    kept = slice(0, 5 if covariate else 3)
    return float(np.linalg.inv(information[kept, kept])[2, 2] ** 0.5)


@pytest.fixture(scope="module")
def null_fits() -> list[tuple[pd.DataFrame, pg.Cohort, object]]:
    """Sixty trials without an effect, random slopes, drop-out at random that depends on the scores seen."""
    found = []
    for k in range(60):
        table = simulators.als_slope(np.random.default_rng([6, k]), n_per_arm={"control": 40, "treated": 40},
                                     months=MONTHS, **TYPICAL, dropout_per_month=0.03)  # fmt: skip
        made = cohort(table)
        found.append((table, made, pg.fit("als_slope", made, priors=PRIORS, random_seed=k, **QUICK)))
    return found


@pytest.mark.slow
def test_estimates_are_unbiased_under_drop_out_at_random(null_fits: list) -> None:
    assert np.mean([len(table) for table, _, _ in null_fits]) < 0.9 * 80 * len(MONTHS)  # drop-out did happen
    for name, truth in {**TYPICAL, "slope_effect": 0.0}.items():
        draws = [fit.posterior[name] for _, _, fit in null_fits]
        estimate = np.array([float(one.median()) for one in draws])
        spread = np.array([float(one.std()) for one in draws])
        assert_covers(np.array([rank(one, truth) for one in draws]), name)
        assert_no_shift((estimate - truth) / spread, name)
        assert_unbiased(estimate - truth, name)


@pytest.mark.slow
def test_type_one_error_is_nominal_with_random_slopes_and_not_without(null_fits: list) -> None:
    def excludes_zero(fit: object) -> bool:
        low, high = np.quantile(pg.contrast(fit, "slope_difference").draws["slope_difference"], [0.025, 0.975])
        return not low < 0 < high

    rejected, n = sum(excludes_zero(fit) for _, _, fit in null_fits), len(null_fits)
    assert rejected <= stats.binom.ppf(1 - ALPHA, n, 0.05)
    # The same trials with the slopes' spread held at nearly zero: a random intercept alone (SCIENCE.md, section 3).
    flat = PRIORS | {"sd_slope": pg.Prior("Uniform", lower=0.001, upper=0.0011), "correlation": pinned(0.0)}
    wrong = [pg.fit("als_slope", made, priors=flat, random_seed=k, **QUICK)
             for k, (_, made, _) in enumerate(null_fits)]  # fmt: skip
    assert sum(excludes_zero(fit) for fit in wrong) > stats.binom.ppf(1 - ALPHA, len(wrong), 0.05)
