"""find_n: the curve of success against size, designs made larger, and the search itself."""

import numpy as np
import pytest
from scipy import stats

import progression as pg
from progression.design import Design
from progression.size_curve import fitted_curve
from progression.sizing import sized

RULE = pg.Rule("slope_difference", ">", 0, probability=0.975)
BASE = {
    "mean_level": 38.0,
    "sd_level": 5.0,
    "mean_slope": -1.0,
    "sd_slope": 0.5,
    "sd_residual": 1.0,
    "correlation": 0.0,
}
DESIGN = Design(arms={"control": 20, "treated": 20}, visits_months=[0, 2, 4, 6])
QUICK = {"n_trials": 256, "progressbar": False, "cores": 1}


def normal_power(n: np.ndarray, effect: float) -> np.ndarray:
    """Two means of patients' own slopes, written anew: variance of the spread and of the regression."""
    months = np.array([0, 2, 4, 6])
    of_slope = BASE["sd_slope"] ** 2 + BASE["sd_residual"] ** 2 / ((months - 3.0) ** 2).sum()
    return stats.norm.cdf(effect / np.sqrt(of_slope * 4 / n) - stats.norm.ppf(0.975))


@pytest.mark.slow
def test_the_line_is_recovered_and_its_band_covers():
    rng, sizes = np.random.default_rng(3), np.array([100, 180, 260])
    truth = stats.norm.cdf(-1.9 + 0.17 * np.sqrt(sizes))
    solution = ((stats.norm.ppf(0.8) + 1.9) / 0.17) ** 2
    inside = []
    for _ in range(100):
        curve = fitted_curve({n: (rng.binomial(1000, p), 1000) for n, p in zip(sizes, truth, strict=True)}, 0.975)
        lower, upper = curve.limits(0.8)
        inside.append(lower <= solution <= upper)
    # 95 % but for Monte Carlo error of 100 binomials
    assert stats.binomtest(sum(inside), 100, 0.95).pvalue > 0.001
    exact = fitted_curve({int(n): (round(p * 1e6), 10**6) for n, p in zip(sizes, truth, strict=True)}, 0.975)
    assert exact.solved(0.8) == pytest.approx(solution, rel=0.003)
    assert exact(200) == pytest.approx(stats.norm.cdf(-1.9 + 0.17 * np.sqrt(200)), abs=0.002)


@pytest.mark.parametrize(("won", "rises"), [(0, False), (400, True)])
def test_one_size_is_enough_to_begin_with(won, rises):
    curve = fitted_curve({100: (won, 400)}, 0.975)
    assert (curve.solved(0.8) < 100) == rises
    assert np.isfinite(curve.covariance).all()


def test_arms_grow_in_their_allocation():
    design = Design(arms={"placebo": 17, "low": 34, "high": 34}, visits_weeks=[0, 4])
    assert dict(sized(design, 100).arms) == {"placebo": 20, "low": 40, "high": 40}
    for n in range(5, 60):
        arms = np.array(list(sized(design, n).arms.values()))
        assert arms.sum() == n
        assert (np.abs(arms - n * np.array([0.2, 0.4, 0.4])) < 1).all()
    with pytest.raises(pg.SettingError, match="placebo"):
        sized(design, 1)


@pytest.mark.slow
def test_size_found_is_that_of_the_normal_closed_form(tmp_path):
    found = pg.find_n(
        DESIGN, "als_slope", RULE, truth={**BASE, "slope_difference": 0.4}, random_seed=4, path=tmp_path, **QUICK
    )
    grid = np.arange(2, 200, 2)
    wanted = grid[np.argmax(normal_power(grid, 0.4) >= 0.8)]
    assert found.lower <= found.n <= found.upper
    assert found.lower - 4 <= wanted <= found.upper + 4  # a t rather than a normal: two patients an arm at such sizes
    assert sum(found.design.arms.values()) == found.n
    assert found.nearest in found.runs
    assert found.table.loc[found.nearest, "closed_form"] == pytest.approx(normal_power(found.nearest, 0.4), abs=1e-6)
    assert "SIMULATED" in repr(found)
    again = pg.find_n(DESIGN, "als_slope", RULE, truth={**BASE, "slope_difference": 0.4}, path=tmp_path, **QUICK)
    assert (again.n, again.table.to_json()) == (found.n, found.table.to_json())


@pytest.mark.slow
def test_a_function_says_what_n_patients_are():
    def more_treated(n):
        return Design(arms={"control": 20, "treated": n - 20}, visits_months=[0, 2, 4, 6])

    found = pg.find_n(more_treated, "als_slope", RULE, truth={**BASE, "slope_difference": 0.5}, random_seed=4, **QUICK)
    assert found.design.arms["control"] == 20
    assert found.design.arms["treated"] == found.n - 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"truth": {**BASE, "slope_difference": 0.0}}, "false: more patients do not help"),
        ({"truth": {**BASE, "slope_difference": 0.05}, "largest": 60}, "largest"),
        ({"truth": {**BASE, "slope_effect": pg.Prior("Normal", mu=0.1, sigma=0.3)}, "target": 0.95}, "out of reach"),
    ],
)
def test_targets_that_no_size_meets(change, words):
    with pytest.raises(pg.SettingError, match=words):
        pg.find_n(DESIGN, "als_slope", RULE, random_seed=1, **{**QUICK, "n_trials": 64}, **change)


def test_every_fault_of_the_settings_at_once():
    with pytest.raises(pg.SettingError) as error:
        pg.find_n("design.toml", "als_slope", "drr < 1", truth=BASE, target=80, n_trials=0)
    assert len(error.value.faults) == 4
    assert "did you mean 0.8?" in str(error.value).lower()
