"""A parameter computed from unknowns may leave its range: the density is zero there, for the rows it concerns only."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import progression as pg
from progression.encoding import encode
from progression.engines import integration, native, prepared, program


@pg.model(observes={"score": pg.Outcome("alsfrsr")}, estimands=[], reference="of this test",
          priors={"shape": pg.Prior("HalfNormal", sigma=3)})  # fmt: skip
def gamma(data, prior):
    level = pm.Normal("level", 0, 1, dims="subject")
    pm.Gamma(
        "score", alpha=prior("shape") + level[data.score.subject], beta=1, observed=data.score.value, dims="score_row"
    )


@pytest.fixture(scope="module")
def made():
    cohort = pg.datasets.simulated_als(n=(3, 3), visits_weeks=(0, 4), random_seed=1)
    encoded = encode(gamma, cohort, options=gamma.with_options(None)).unpadded()
    return encoded, prepared.prepare(gamma, encoded, gamma.with_priors(None))


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_density_is_zero_out_of_range(compiled, made):
    encoded, ready = made
    inner = ready.compiled() if compiled else ready.inner
    integration.put(inner, ready, encoded)
    u = np.zeros((2, 6, 1))
    u[1, 0] = -2.5  # alpha = -1.5, where log|gamma| is finite
    found = inner.units(np.zeros((2, 1)), u)[..., 0]
    of, value = encoded.arrays["score_subject"][1], encoded.arrays["score_value"][1]
    expected = np.bincount(of, stats.gamma(1.0).logpdf(value)) + stats.norm.logpdf(0)
    np.testing.assert_allclose(found[0], expected)
    np.testing.assert_allclose(found[1, 1:], expected[1:])
    assert found[1, 0] == -np.inf


@pytest.mark.slow
def test_code_for_nuts_knows_it_too(made):
    """The same functions serve NUTS: PyMC's own checks must still reach them."""
    built = program.build(gamma, made[0], gamma.with_priors(None)).model
    run = pm.compile([*built.value_vars], built.logp(), mode=native.COMPILED, on_unused_input="ignore")
    point = dict(built.initial_point())
    point["level"] = np.array([-2.5, 0, 0, 0, 0, 0])
    point["shape_log__"] = np.array(0.0)
    assert run(*(point[v.name] for v in built.value_vars)) == -np.inf
    point["level"] = np.zeros(6)
    assert np.isfinite(run(*(point[v.name] for v in built.value_vars)))
