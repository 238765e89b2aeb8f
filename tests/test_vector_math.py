"""Logarithm, exponential and log gamma without branches: against SciPy over all that a double can hold."""

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import special

from progression.engines import vector_math


def looped(function):
    """Over an array, compiled, as the loops of a program are."""

    @numba.njit(error_model="numpy")
    def run(x):
        out = np.empty_like(x)
        for i in range(len(x)):
            out[i] = function(x[i])
        return out

    return lambda x: run(np.asarray(x, float))


@pytest.fixture(scope="module")
def fast():
    return {
        name: looped(getattr(vector_math, name)) for name in ("log", "exp", "sigmoid", "gammaln", "psi", "trigamma")
    }


WIDE = np.concatenate([10.0 ** np.linspace(-307, 308, 4001), np.linspace(1e-3, 40, 4001), 1 + np.linspace(-1e-6, 1e-6, 101),
                       2.0 ** np.arange(-1021, 1023)])  # fmt: skip


def test_log(fast):
    np.testing.assert_allclose(fast["log"](WIDE), np.log(WIDE), rtol=1e-12, atol=1e-15)
    near = 1 + np.array([-1e-9, -1e-12, 1e-12, 1e-9])  # where the logarithm itself is small, relative digits count
    np.testing.assert_allclose(fast["log"](near), np.log(near), rtol=1e-12)
    np.testing.assert_array_equal(fast["log"]([0.0, -0.0, np.inf, np.nan, -1.0, -np.inf, 1.0]),
                                  [-np.inf, -np.inf, np.inf, np.nan, np.nan, np.nan, 0.0])  # fmt: skip


def test_exp(fast):
    x = np.concatenate([np.linspace(-745, 709.7, 20_001), np.linspace(-1, 1, 2001), [1e-300, -1e-300, 5e-324]])
    found, expected = fast["exp"](x), np.exp(x)
    normal = expected > 1e-307
    np.testing.assert_allclose(found[normal], expected[normal], rtol=1e-12)
    np.testing.assert_allclose(found[~normal], expected[~normal], rtol=0, atol=1e-318)  # few bits are left down there
    np.testing.assert_array_equal(fast["exp"]([-np.inf, -1e6, -746.0, 0.0, 710.0, 1e6, np.inf, np.nan]),
                                  [0, 0, 0, 1, np.inf, np.inf, np.inf, np.nan])  # fmt: skip


def test_sigmoid(fast):
    x = np.concatenate([np.linspace(-700, 700, 10_001), np.linspace(-5, 5, 1001)])
    np.testing.assert_allclose(fast["sigmoid"](x), special.expit(x), rtol=1e-12, atol=0)
    np.testing.assert_array_equal(fast["sigmoid"]([-np.inf, 0.0, np.inf, np.nan, -1e5, 1e5]), [0, 0.5, 1, np.nan, 0, 1])


POSITIVE = np.concatenate(
    [10.0 ** np.linspace(-300, 12, 4001), np.linspace(1e-4, 60, 6001), [1.0, 2.0, 1e3, 1e3 + 1e-9]]
)


def test_gammaln(fast):
    expected = special.gammaln(POSITIVE)
    np.testing.assert_allclose(fast["gammaln"](POSITIVE), expected, rtol=1e-11, atol=1e-11)
    huge = np.array([1e20, 1e100, 1e300])
    np.testing.assert_allclose(fast["gammaln"](huge), special.gammaln(huge), rtol=1e-12)
    assert fast["gammaln"]([0.0])[0] == np.inf and np.isnan(fast["gammaln"]([np.nan])[0])


def test_psi(fast):
    moderate = POSITIVE[POSITIVE > 1e-100]
    np.testing.assert_allclose(fast["psi"](moderate), special.psi(moderate), rtol=1e-10, atol=1e-10)
    assert np.isnan(fast["psi"]([np.nan])[0])


def test_trigamma(fast):
    moderate = POSITIVE[(POSITIVE > 1e-100) & (POSITIVE < 1e6)]
    np.testing.assert_allclose(fast["trigamma"](moderate), special.polygamma(1, moderate), rtol=1e-9)
    assert np.isnan(fast["trigamma"]([np.nan])[0])


def test_outside_their_domain_nothing_wrong_is_given(fast):
    """Below zero they are not meant to be used: what they give there is right, or not a number."""
    x = -np.array([1e-12, 1e-3, 0.2, 0.5, 0.9, 1.3, 2.7])
    for name, exact in (
        ("gammaln", special.gammaln),
        ("psi", special.psi),
        ("trigamma", lambda x: special.polygamma(1, x)),
    ):
        found = fast[name](x)
        np.testing.assert_allclose(found, np.where(np.isnan(found), np.nan, exact(x)), rtol=1e-6)
    for name in ("gammaln", "psi"):
        assert np.isnan(fast[name](-np.array([8.5, 20.5, 1e3]))).all()
        assert not np.isfinite(fast[name]([np.inf, -np.inf])).any()


def test_numbers_too_small_for_all_their_digits_keep_their_order(fast):
    x = np.array([1e-310, 1e-305, 1e-300])
    assert np.all(np.diff(fast["log"](x)) > 0) and np.all(fast["log"](x) < -690)


def test_they_are_derivatives_of_one_another(fast):
    x, h = np.linspace(0.3, 30, 200), 1e-5
    np.testing.assert_allclose((fast["gammaln"](x + h) - fast["gammaln"](x - h)) / (2 * h), fast["psi"](x), atol=1e-6)
    np.testing.assert_allclose((fast["psi"](x + h) - fast["psi"](x - h)) / (2 * h), fast["trigamma"](x), atol=1e-6)


def graph():
    """A beta-binomial log density with its gradient: log gamma, its derivative, exponential, logarithm and inverse logit."""
    x, n, k = pt.vector("x"), pt.vector("n"), pt.vector("k")
    share, total = pt.sigmoid(x), pt.exp(0.3 * x) + 0.1
    a, b = share * total, (1 - share) * total
    log = (pt.gammaln(n + 1) - pt.gammaln(k + 1) - pt.gammaln(n - k + 1) + pt.gammaln(k + a) + pt.gammaln(n - k + b)
           - pt.gammaln(n + total) + pt.gammaln(total) - pt.gammaln(a) - pt.gammaln(b) + pt.log(total))  # fmt: skip
    gradient = pt.grad(log.sum(), x)
    return [x, n, k], [log, gradient, pt.grad(gradient.sum(), x)]


@pytest.mark.slow
def test_a_compiled_graph_agrees_with_the_interpreted_one():
    inputs, outputs = graph()
    fast = pytensor.function(inputs, outputs, mode=vector_math.COMPILED)
    plain = pytensor.function(inputs, outputs, mode="FAST_COMPILE")
    used = {getattr(node.op.scalar_op, "name", "") for node in _nodes(fast)}
    assert any("FastGammaLn" in str(name) for name in used), "the functions were not exchanged: nothing was tested"
    rng = np.random.default_rng(0)
    n = np.full(500, 28.0)
    x, k = rng.normal(0, 2, 500), rng.integers(0, 29, 500).astype(float)
    for found, expected in zip(fast(x, n, k), plain(x, n, k), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def _nodes(function):
    """Elementwise nodes, those inside fused loops too."""
    for node in function.maker.fgraph.apply_nodes:
        if isinstance(node.op, pytensor.tensor.elemwise.Elemwise):
            yield node
            inner = getattr(node.op.scalar_op, "fgraph", None)
            for one in inner.apply_nodes if inner is not None else ():
                yield type("Inner", (), {"op": type("Op", (), {"scalar_op": one.op})})
