"""Modes and weighted points of densities whose moments are known; the weights' tail against ArviZ's own smoothing."""

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy import special, stats

from progression.engines import importance
from progression.engines.importance import MAX_PARETO_K, Mode, find_modes, resample, sample
from progression.engines.pareto import smooth
from progression.engines.proposal import Proposal, around, cube, upright


def target(*densities):
    """Each density, a function of (..., size), as a data set of its own; each point keeps its square length."""

    def run(x, which):
        made = np.stack([densities[s](x[i]) for i, s in enumerate(which)])
        return made, (x**2).sum(axis=-1, keepdims=True)

    return run


CENTRE, COV = np.array([30.0, -200.0, 0.01]), np.array([[4.0, 3.0, 0.01], [3.0, 9.0, 0.0], [0.01, 0.0, 1e-4]])


def far(x):
    return stats.multivariate_normal.logpdf(x, CENTRE, COV)


def banana(x):
    """x0 standard normal; x1 about a parabola in it, SD 1/2."""
    return stats.norm.logpdf(x[..., 0]) + stats.norm.logpdf(x[..., 1], 0.5 * (x[..., 0] ** 2 - 1), 0.5)


def log_gamma(shape):
    """The logarithm of gamma variables with rate 1: skewed, its mode at log(shape)."""
    return lambda x: (shape * x - np.exp(x)).sum(axis=-1)


def weighted(density, size, *, points=2048, seed=0, start=None, **how):
    run = target(density)
    mode = find_modes(run, np.zeros((1, size)) if start is None else np.asarray(start, float)[None])
    return sample(run, mode, points=points, seeds=[np.random.default_rng(seed)], **how)


def moments(found, functions):
    """Weighted means of functions of the points."""
    weight = np.exp(found.log_weight[0])
    assert weight.sum() == pytest.approx(1)
    return np.array([weight @ one(found.x[0]) for one in functions])


# --------------------------------------------------------------------------------------------------- modes


# density, mode, curvature there, and what may be off: derivatives are differences over a third of an SD
KNOWN = {
    "normal, far away": (far, CENTRE, np.linalg.inv(COV), 1e-3),
    "banana": (banana, [0.0, -0.5], np.diag([1.0, 4.0]), 0.3),
    "log gamma": (log_gamma(2.0), [np.log(2)] * 2, 2 * np.eye(2), 0.12),
    "log gamma, small": (log_gamma(0.3), [np.log(0.3)], [[0.3]], 0.12),
}


@pytest.mark.parametrize("name", KNOWN)
def test_mode_and_curvature_of_a_known_density(name):
    density, at, curvature, off = KNOWN[name]
    found = find_modes(target(density), np.zeros((1, len(at))))
    assert found.found.all()
    spread = np.sqrt(np.diag(np.linalg.inv(curvature)))
    np.testing.assert_allclose((found.at[0] - at) / spread, 0, atol=0.06)
    turned = found.root[0].T @ np.asarray(curvature) @ found.root[0]  # the identity, in the root's own coordinates
    np.testing.assert_allclose(turned, np.eye(len(at)), atol=off)


def test_a_mode_hundreds_of_local_sds_away_is_found():
    """The log SD of residuals of some hundreds, started at 0: the density falls like exp(exp(x))."""
    n, square, at = 180, 180 * 250.0**2, np.log(250.0)
    found = find_modes(target(lambda x: -n * x[..., 0] - 0.5 * square * np.exp(-2 * x[..., 0])), np.zeros((1, 1)))
    assert found.found.all() and abs(found.at[0, 0] - at) < 0.06 / np.sqrt(2 * n)


def test_modes_of_several_densities_at_once_are_those_found_one_by_one():
    densities = [banana, log_gamma(2.0), lambda x: stats.norm.logpdf(x, [5.0, -7.0], [0.01, 40.0]).sum(axis=-1)]
    together = find_modes(target(*densities), np.zeros((3, 2)))
    for i, density in enumerate(densities):
        alone = find_modes(target(density), np.zeros((1, 2)))
        np.testing.assert_allclose(together.at[i], alone.at[0], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(together.root[i], alone.root[0], rtol=1e-9, atol=1e-9)
    started = find_modes(target(*densities[:1] * 4), np.zeros((4, 2)), root=together.root[:1])
    np.testing.assert_allclose(started.at, np.tile([0.0, -0.5], (4, 1)), atol=0.03)


# --------------------------------------------------------------------------------------------------- weighted points


FUNCTIONS = [
    lambda x: x[:, 0],
    lambda x: x[:, 1],
    lambda x: x[:, 0] ** 2,
    lambda x: x[:, 1] ** 2,
    lambda x: x[:, 0] ** 2 * x[:, 1],
]
SIZES = {
    "banana": (banana, FUNCTIONS, [0.0, 0.0, 1.0, 0.75, 1.0]),
    "log gamma": (log_gamma(2.0), [lambda x: np.exp(x[:, 0]), lambda x: np.exp(x).prod(axis=1), lambda x: x[:, 1], lambda x: np.exp(2 * x[:, 0])],
                  [2.0, 4.0, special.psi(2), 6.0]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_moments_of_a_density_that_is_not_normal(name):
    """Over independent seeds the mean is the truth, to the standard error seen between them."""
    density, functions, truth = SIZES[name]
    found = np.array([moments(weighted(density, 2, seed=seed), functions) for seed in range(24)])
    error = found.std(axis=0, ddof=1)
    assert np.all(np.abs(found.mean(axis=0) - truth) < 4 * error / np.sqrt(24) + 1e-3)
    assert np.all(error < 0.1)


def test_a_normal_density_is_met_almost_exactly():
    found = weighted(far, 3, points=4096)
    weight = np.exp(found.log_weight[0])
    mean = weight @ found.x[0]
    np.testing.assert_allclose((mean - CENTRE) / np.sqrt(np.diag(COV)), 0, atol=0.01)
    off = (found.x[0] - mean) / np.sqrt(np.diag(COV))
    np.testing.assert_allclose((weight * off.T) @ off, COV / np.sqrt(np.outer(np.diag(COV), np.diag(COV))), atol=0.02)
    assert found.pareto_k[0] < 0 and found.share[0] > 0.8 and len(found.x[0]) == 4096  # one round was enough


def test_several_data_sets_at_once_are_weighted_as_each_alone():
    """Also where one needs more rounds than another."""
    densities = [lambda x: stats.norm.logpdf(x).sum(axis=-1), banana, lambda x: stats.t.logpdf(x, 2).sum(axis=-1)]
    run = target(*densities)
    mode = find_modes(run, np.zeros((3, 2)))
    found = sample(run, mode, points=512, seeds=[np.random.default_rng(s) for s in range(3)])
    rounds = []
    for i, density in enumerate(densities):
        own = Mode(mode.at[i : i + 1], mode.root[i : i + 1], mode.found[i : i + 1])
        alone = sample(target(density), own, points=512, seeds=[np.random.default_rng(i)])
        n = alone.x.shape[1]
        rounds.append(n // 512)
        np.testing.assert_allclose(found.x[i, :n], alone.x[0], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found.log_weight[i, :n], alone.log_weight[0], rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(found.kept[i, :n], alone.kept[0], rtol=1e-9, atol=1e-9)
        assert np.all(found.log_weight[i, n:] == -np.inf)  # padding weighs nothing
        np.testing.assert_allclose([found.pareto_k[i], found.share[i]], [alone.pareto_k[0], alone.share[0]], rtol=1e-6)
    assert rounds[0] == 1 and max(rounds) > 1


def test_what_is_kept_belongs_to_its_point():
    found = weighted(lambda x: stats.t.logpdf(x, 2).sum(axis=-1), 2, points=512)
    np.testing.assert_allclose(found.kept[0, :, 0], (found.x[0] ** 2).sum(axis=1))


@pytest.mark.parametrize("chains", [1, 2, 3, 4])
def test_points_of_each_chain_are_a_sample_of_their_own(chains):
    density = log_gamma(2.0)
    found = weighted(density, 2, points=512 * chains, chains=chains)
    assert found.x.shape[1] % (512 * chains) == 0
    means = []
    for chain in range(chains):
        own = np.arange(chain, found.x.shape[1], chains)
        weight = np.exp(found.log_weight[0, own])
        means.append(weight @ np.exp(found.x[0, own, 0]) / weight.sum())
    np.testing.assert_allclose(means, 2.0, atol=0.15)
    assert len(np.unique(means)) == chains  # no chain repeats another


def test_the_same_seed_gives_the_same_points():
    one, again, other = (weighted(banana, 2, points=512, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.x, again.x)
    np.testing.assert_array_equal(one.log_weight, again.log_weight)
    assert not np.any(one.x == other.x)


# --------------------------------------------------------------------------------------------------- what cannot be covered


def two_modes(apart):
    return lambda x: np.logaddexp(stats.norm.logpdf(x[..., 0], -apart), stats.norm.logpdf(x[..., 0], apart))


@pytest.mark.parametrize("size", [1, 2])
def test_tails_far_heavier_than_the_proposal_are_told_or_covered(size):
    """Cauchy: half its mass beyond the quartiles, no moments."""

    def cauchy(x):
        return -0.5 * (1 + size) * np.log1p((x**2).sum(axis=-1))

    for seed in range(4):
        found = weighted(cauchy, size, points=4096, seed=seed)
        weight = np.exp(found.log_weight[0])
        middle = weight[np.abs(found.x[0, :, 0]) < 1].sum()
        far_out = weight[np.abs(found.x[0, :, 0]) > 12.7].sum()  # 5 % of a Cauchy variable
        assert found.pareto_k[0] > MAX_PARETO_K or (abs(middle - 0.5) < 0.02 and abs(far_out - 0.05) < 0.02)


def test_tails_that_no_round_can_cover_are_told():
    """A tail that falls like x^-1.05: half its mass lies beyond a million."""
    for seed in range(4):
        found = weighted(lambda x: -1.05 * np.log1p(np.abs(x[..., 0])), 1, points=4096, seed=seed)
        assert found.pareto_k[0] > MAX_PARETO_K


@pytest.mark.parametrize("apart", [2.0, 3.0, 4.0])
def test_a_second_mode_within_reach_is_found_by_later_rounds(apart):
    found = weighted(two_modes(apart), 1, points=4096, start=[-1.0])
    mean, square = moments(found, [lambda x: x[:, 0], lambda x: x[:, 0] ** 2])
    assert found.pareto_k[0] > MAX_PARETO_K or (abs(mean) < 0.1 and square == pytest.approx(1 + apart**2, rel=0.03))
    assert apart < 4 or found.x.shape[1] > 4096  # the first round alone would not do


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_density_that_is_nowhere_finite_is_never_trusted(value):
    """Such as one that overflows: no weight means nothing, not that all is well."""
    run = target(lambda x: np.full(x.shape[:-1], value))
    mode = Mode(np.zeros((1, 2)), np.eye(2)[None], np.ones(1, bool))
    try:
        found = sample(run, mode, points=512, seeds=[np.random.default_rng(0)])
    except (ValueError, FloatingPointError, np.linalg.LinAlgError) as error:
        pytest.fail(f"an error from inside instead of a verdict: {error}")
    assert not found.pareto_k[0] <= MAX_PARETO_K  # as `_refuse` of the engine asks


def test_a_density_that_is_zero_in_places_is_sampled_elsewhere():
    """Half the plane is impossible."""
    found = weighted(lambda x: np.where(x[..., 0] > 0, 2 * np.log(np.maximum(x[..., 0], 1e-9)) - x[..., 0], -np.inf)
                     + stats.norm.logpdf(x[..., 1]), 2, points=4096, start=[2.0, 0.0])  # fmt: skip
    assert np.exp(found.log_weight[0])[found.x[0, :, 0] <= 0].sum() == 0
    assert found.pareto_k[0] > MAX_PARETO_K or moments(found, [lambda x: x[:, 0]])[0] == pytest.approx(3.0, abs=0.1)


# --------------------------------------------------------------------------------------------------- smoothing


WEIGHTS = {
    "light": lambda rng, n: 0.5 * rng.normal(size=n),
    "bounded": lambda rng, n: np.log(rng.random(n)),
    "medium": lambda rng, n: 1.5 * rng.normal(size=n),
    "k 0.3": lambda rng, n: np.log(stats.genpareto.rvs(0.3, size=n, random_state=rng)),
    "k 0.7": lambda rng, n: np.log(stats.genpareto.rvs(0.7, size=n, random_state=rng)),
    "k 1.2": lambda rng, n: np.log(stats.genpareto.rvs(1.2, size=n, random_state=rng)) + 300,
    "skewed": lambda rng, n: -rng.exponential(size=n) * 4,
}


@pytest.mark.parametrize("n", [225, 1024, 4096])  # squares: ArviZ rounds the number of tail values down, others up
@pytest.mark.parametrize("tail", WEIGHTS)
def test_smoothing_agrees_with_arviz(tail, n):
    rng = np.random.default_rng(12)
    log_weight = np.stack([WEIGHTS[tail](rng, n) for _ in range(3)])
    found, k = smooth(log_weight)
    for one, own, row in zip(found, k, log_weight, strict=True):
        expected, expected_k = array_stats.psislw(-row)
        assert own == pytest.approx(float(expected_k), abs=1e-6)
        expected = expected - special.logsumexp(expected)
        np.testing.assert_allclose(np.exp(one), np.exp(expected), rtol=1e-6, atol=1e-12)
        assert special.logsumexp(one) == pytest.approx(0, abs=1e-9)


def test_smoothing_leaves_the_order_of_the_weights():
    log_weight = np.random.default_rng(4).normal(size=(2, 800)) * 2
    found, _ = smooth(log_weight)
    np.testing.assert_array_equal(found.argsort(axis=1), log_weight.argsort(axis=1))


def test_equal_weights_are_trusted_and_too_few_are_not():
    found, k = smooth(np.zeros((1, 300)))
    assert k[0] == -np.inf and np.allclose(found, -np.log(300))
    assert smooth(np.random.default_rng(0).normal(size=(1, 20)))[1][0] == np.inf


# --------------------------------------------------------------------------------------------------- resampling


def test_resampling_is_unbiased():
    rng = np.random.default_rng(6)
    weight = rng.dirichlet(np.full(40, 0.3))
    times, draws = 3000, 25
    counts = np.stack([np.bincount(resample(np.log(weight), draws, rng), minlength=40) for _ in range(times)])
    expected = draws * weight
    assert np.all(counts.sum(axis=1) == draws)
    assert np.all(
        (counts >= np.floor(expected - 1e-9)) & (counts <= np.ceil(expected + 1e-9))
    )  # systematic: nothing is left to chance
    share = expected - np.floor(expected)
    error = np.sqrt(np.maximum(share * (1 - share), 1e-12) / times)
    assert np.all(np.abs(counts.mean(axis=0) - expected) < 5 * error + 1e-9)


def test_resampled_draws_are_in_random_order():
    """Else neighbouring draws would be neighbouring points, and halves of a chain would differ."""
    rng = np.random.default_rng(7)
    where = np.stack([resample(np.zeros(100), 100, rng) for _ in range(400)])
    np.testing.assert_allclose(where.mean(axis=0), 49.5, atol=5 * np.sqrt(100**2 / 12 / 400))
    assert abs(np.corrcoef(where[:, :-1].ravel(), where[:, 1:].ravel())[0, 1]) < 0.03


def test_weights_of_zero_are_never_drawn():
    log_weight = np.full(50, -np.inf)
    log_weight[7] = -1e4
    assert set(resample(log_weight, 30, np.random.default_rng(0))) == {7}


def test_constants_are_those_the_gate_reads():
    from progression import gate

    assert gate.MAX_PARETO_K is importance.MAX_PARETO_K and gate.MAX_QUADRATURE_ERROR is importance.MAX_QUADRATURE_ERROR


# ------------------------------------------------------------------------------------------- where points come from


def proposal(stretch, root=None):
    stretch = np.asarray(stretch, float)
    d = stretch.shape[1]
    return Proposal(np.full((1, d), 3.0), (np.eye(d) if root is None else np.asarray(root, float))[None], stretch[None])


LOPSIDED = [[2.5, 0.8, 1.0], [1.0, 1.5, 4.0]]
TURNED = [[1.0, 0.4, 0.0], [0.2, 0.5, 0.1], [0.0, -0.3, 2.0]]


def test_points_are_those_of_the_density_that_is_said():
    """Against a normal in their middle, whose integral is one: by points, that of normal / proposal."""
    own = proposal(LOPSIDED, TURNED)
    x = own.points(cube(4, 2**15, [np.random.default_rng(1)]))
    degrees = 7.0  # of so few parameters
    constant = special.gammaln((degrees + 3) / 2) - special.gammaln(degrees / 2) - 1.5 * np.log(degrees * np.pi)
    cov = np.asarray(TURNED) @ np.asarray(TURNED).T
    for middle in (np.full(3, 3.0), 3.0 + np.array([-1.0, 0.5, 1.5])):
        ratio = np.exp(stats.multivariate_normal.logpdf(x, middle, cov) - own.log_density(x) - constant)
        assert ratio.mean() == pytest.approx(1, abs=0.01)


def test_a_proposal_is_continuous_and_has_its_mode_where_it_is_put():
    own = proposal([[3.0], [0.8]])
    x = 3.0 + np.array([-1e-7, 0.0, 1e-7, -0.5, 0.5])[None, :, None]
    below, at, above, *off = own.log_density(x)[0]
    assert below == pytest.approx(at, abs=1e-6) and above == pytest.approx(at, abs=1e-6) and max(off) < at
    share = (own.points(cube(2, 4096, [np.random.default_rng(0)])) < 3.0).mean()
    assert share == pytest.approx(3.0 / 3.8, abs=0.01)


def test_proposals_of_several_densities_are_kept_apart():
    one, other = proposal(LOPSIDED), proposal(np.ones((2, 3)), TURNED)
    both = Proposal(*(np.concatenate([getattr(one, name), getattr(other, name)]) for name in ("at", "root", "stretch")))
    np.testing.assert_array_equal(both.take(np.array([1])).root, other.root)
    put = both.put(np.array([0]), other)
    np.testing.assert_array_equal(put.stretch, np.ones((2, 2, 3)))
    np.testing.assert_array_equal(both.stretch[0], LOPSIDED)  # the first is left as it was


def hardly_bounded(x):
    """Logs of three SDs that the data bound from above only: half-normal SDs, each with its Jacobian."""
    return (x - 0.5 * np.exp(2 * x)).sum(axis=-1)


def test_an_upright_root_is_a_root_of_the_same_covariance_along_the_axes():
    rng = np.random.default_rng(3)
    loose = rng.normal(size=(4, 3, 3)) * np.array([1.0, 10.0, 0.1])[:, None]
    straight = upright(loose)
    np.testing.assert_allclose(straight @ straight.transpose(0, 2, 1), loose @ loose.transpose(0, 2, 1), rtol=1e-8)
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for scale in (1.0, 1e-200):
        found = upright((scale * np.diag([2.0, 0.5, 7.0]) @ turned)[None])[0]
        np.testing.assert_allclose(found / scale, np.diag([2.0, 0.5, 7.0]), atol=1e-8)
    assert np.all(upright(np.zeros((1, 2, 2))) == 0)
    ridge = np.array([[[1.0, 0.0], [1.0, 1e-7]]])  # a correlation of 1 - 5e-15: squared, all its digits would be lost
    assert np.linalg.det(upright(ridge)[0]) == pytest.approx(1e-7, rel=1e-6)


def test_tails_of_sds_have_their_weight_however_the_root_is_turned():
    """Few points: with the axes turned, or with as many points on both sides of the mode, it is too small by a quarter or more."""
    rng, run = np.random.default_rng(8), target(hardly_bounded)
    cut = np.log(stats.halfnorm.ppf(0.01))
    below = []
    for seed in range(60):
        turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        mode = Mode(np.zeros((1, 3)), (np.sqrt(0.5) * turned)[None], np.ones(1, bool))
        found = sample(run, mode, points=128, seeds=[np.random.default_rng(seed)], good_k=0.45)
        below.append(np.exp(found.log_weight[0]) @ (found.x[0] < cut))
    assert np.mean(below) == pytest.approx(0.01, abs=0.0007)


def one_measured_difference(small):
    """A drift that is small or anything at all, an effect, and one measurement of effect less drift: 1 (SD 0.15)."""
    drifts = {small: 0.8, 1.0: 0.2}  # SDs and their probabilities

    def density(x):
        drift, effect, other = x[..., 0], x[..., 1], x[..., 2]
        prior = special.logsumexp([np.log(p) + stats.norm.logpdf(drift, 0, sd) for sd, p in drifts.items()], axis=0)
        read = stats.norm.logpdf(1, effect - drift, 0.15) + stats.norm.logpdf(effect, 0, 2)
        return prior + read + stats.norm.logpdf(other, 2 * effect, 0.3)

    whole, below = [], []  # of each component, by conjugacy: its weight, and P(effect < 0)
    for sd, p in drifts.items():
        var = sd**2 + 0.15**2
        whole.append(p * stats.norm.pdf(1, 0, np.sqrt(4 + var)))
        below.append(stats.norm.cdf(0, 4 / (4 + var), np.sqrt(4 * var / (4 + var))))
    return density, np.array(whole) @ below / np.sum(whole)


@pytest.mark.parametrize("small", [0.05, 0.1, 0.3])
def test_a_component_far_out_along_a_ridge_has_its_weight(small):
    """Few points. With axes along the parameters, or a reach that is measured from near by, nine tenths of it are lost, unsaid."""
    density, exact = one_measured_difference(small)
    found = []
    for seed in range(20):
        one = weighted(density, 3, points=512, seed=seed, good_k=0.45)
        found.append(np.exp(one.log_weight[0]) @ (one.x[0, :, 1] < 0))
    assert np.mean(found) == pytest.approx(exact, rel=0.05) and np.std(found) < 0.2 * exact


def two_sds(n, of_one, value):
    """log SDs: n observations of the sum of two variances, mean square 1, and some of the second alone; half-normal priors."""

    def density(x):
        a, b = x[..., 0], x[..., 1]
        v = np.exp(2 * a) + np.exp(2 * b)
        read = -0.5 * n * (np.log(v) + 1 / v) - 0.5 * of_one * (2 * b + value * np.exp(-2 * b))
        return read + a + b - 0.5 * np.exp(2 * a) - 0.5 * np.exp(2 * b)

    return density


def test_an_sd_near_zero_keeps_its_upright_axis_beside_another():
    """Along its own column the other SD reaches far, along its axis farther."""
    run = target(two_sds(40, 40, 1.0))
    mode = find_modes(run, np.zeros((1, 2)))
    np.testing.assert_allclose(around(run, mode.at, mode.root).root, 1.1 * upright(mode.root))


@pytest.mark.parametrize(("n", "of_one", "value"), [(100, 50, 0.8), (200, 100, 0.9), (60, 30, 1.2)])
def test_the_weaker_of_two_sds_has_its_lower_tail_though_the_other_must_give_way(n, of_one, value):
    """Few points. By the reach along a straight line the first two have 0.6 to 0.7 of their lowest hundredth, unsaid."""
    density, a = two_sds(n, of_one, value), np.linspace(-12, 2, 2801)
    grid = density(np.stack(np.meshgrid(a, np.linspace(-1.5, 1.2, 901), indexing="ij"), axis=-1))
    below = np.exp(grid - grid.max()).sum(axis=1).cumsum()
    below /= below[-1]
    where = np.searchsorted(below, [0.01, 0.05])
    found = []
    for seed in range(60):
        one = weighted(density, 2, points=512, seed=seed, good_k=0.45)
        assert len(one.x[0]) == 512 and one.pareto_k[0] < 0.3  # one round: nothing far out was met by surprise
        found.append([np.exp(one.log_weight[0]) @ (one.x[0, :, 0] <= a[i] + 0.0025) for i in where])
    assert np.all(np.abs(np.mean(found, axis=0) / below[where] - 1) < [0.15, 0.05])


def test_a_density_that_seems_to_rise_again_past_its_end_is_not_followed_there():
    """As where a variance is so small that arithmetic gives out."""

    def rising(x):
        return np.where(x < -50, 1.0, stats.norm.logpdf(x)).sum(axis=-1)

    for size in (1, 2):
        even = around(target(rising), np.zeros((1, size)), np.eye(size)[None]).stretch[0]
        np.testing.assert_allclose(even, 1, atol=0.02)


def test_a_second_hump_behind_a_dip_is_reached():
    """A tenth of the mass at ten SDs, as of a prior with two components: the dip between is deeper than the search looks."""

    def humps(x):
        narrow, wide = stats.norm.logpdf(x[..., 0]), stats.norm.logpdf(x[..., 0], 10, 1.5)
        return np.logaddexp(np.log(0.9) + narrow, np.log(0.1) + wide)

    for seed in range(5):
        found = weighted(humps, 1, points=512, seed=seed, good_k=0.45)
        assert np.exp(found.log_weight[0]) @ (found.x[0, :, 0] > 5) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("sets", [0, 2])
def test_nothing_to_draw_from_is_drawn_from(sets):
    made = around(lambda x, which: (np.zeros(x.shape[:2]), x), np.zeros((sets, 0)), np.zeros((sets, 0, 0)))
    assert made.stretch.shape == (sets, 2, 0)


def test_an_axis_that_is_already_at_its_best_does_not_give_way():
    """Its curvature at the end of the line is not that at the mode: a step would be spurious, and spoil the others'."""

    def funnel(x):
        return two_sds(100, 50, 0.8)(x[..., :2]) - 0.5 * x[..., 2] ** 2 * np.exp(np.maximum(-2 * x[..., 0], 2))

    run, plain = target(funnel), target(two_sds(100, 50, 0.8))
    mode, own = find_modes(run, np.zeros((1, 3))), find_modes(plain, np.zeros((1, 2)))
    below = around(run, mode.at, mode.root).stretch[0, 0, 0]
    assert below == pytest.approx(around(plain, own.at, own.root).stretch[0, 0, 0], rel=0.1)


def test_the_stretch_is_measured_on_both_sides_and_a_longer_lower_one_is_stretched_further():
    """The density has fallen by 8 at -8.5, twelve SDs of the curvature: three times as far as a normal."""
    below, above = around(target(hardly_bounded), np.zeros((1, 3)), np.sqrt(0.5) * np.eye(3)[None]).stretch[0]
    reach = 8.5 / np.sqrt(0.5) / 4
    np.testing.assert_allclose(below, 1.3 * reach, rtol=0.01)
    assert np.all(above < 1)
    even = around(target(far), CENTRE[None], np.linalg.cholesky(COV)[None]).stretch[0]
    np.testing.assert_allclose(even, 1, atol=0.01)
