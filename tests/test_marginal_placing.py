"""Where each integral over a patient's effects is placed, and whether one that is placed badly is seen."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import special, stats

import progression as pg
from progression.encoding import encode
from progression.engines import batches, importance, integration, roots
from progression.engines.importance import Mode, Weighted
from progression.engines.integration import Untrusted, _error
from progression.engines.prepared import Program
from progression.engines.quadrature import Integrated

COUNT = [pg.Outcome("attacks")]
Density = Callable[[np.ndarray, int, bool], np.ndarray]


class Standing:
    """In the place of an integral: a density of the points, of the order, and of whether integrals are placed anew."""

    def __init__(self, density: Density) -> None:
        self.density, self.close = density, False

    def log_density(self, x: np.ndarray, *, order: int) -> np.ndarray:
        return self.density(x[:, 0], order, self.close)


X = np.linspace(-4, 12, 512)[:, None]


def error(density: Density, *, order: int = 5, close: bool = False) -> tuple[float, float]:
    """What is measured, and the SD at draws alone."""
    standing = Standing(density)
    standing.close = close
    with np.errstate(invalid="ignore"):
        held = standing.log_density(X, order=order)
        known = np.where(np.isfinite(held), held, -np.inf)
        log_weight = known - special.logsumexp(known)
    weighted = Weighted(X[None], log_weight[None], held[None, :, None], np.zeros(1), np.ones(1), np.full((1, 512), 0.7))
    where = np.random.default_rng(1).choice(512, 400, p=np.exp(log_weight))
    found = _error(standing, weighted, where, order)  # type: ignore[arg-type]
    assert standing.close is close
    standing.close = True
    return found, float(np.std(standing.log_density(X[where], order=order + 4) - held[where]))


def near(x: np.ndarray) -> np.ndarray:
    return stats.norm.logpdf(x)


def both(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(near(x), stats.norm.logpdf(x, 8))


@pytest.mark.parametrize(
    "density",
    [
        pytest.param(lambda x, order, close: both(x) if order >= 9 else near(x), id="too few points"),
        pytest.param(lambda x, order, close: both(x) if close else near(x), id="placed badly, by either order alike"),
        pytest.param(lambda x, order, close: both(x) if order >= 9 else np.where(x < 4, near(x), -np.inf), id="nothing there"),
        pytest.param(lambda x, order, close: both(x) if order >= 9 else np.where(x < 4, near(x), np.nan), id="no number there"),
    ],
)  # fmt: skip
def test_a_place_that_is_missed_is_seen_though_no_draw_lies_there(density: Density) -> None:
    """Weights of points all over the proposal are compared, not the log density at draws alone."""
    found, at_draws = error(density)
    assert found > 0.5 and at_draws < 0.02
    assert error(density, order=9, close=True)[0] < 1e-9


def test_a_finer_density_that_is_nowhere_a_number_is_no_small_error() -> None:
    found, _ = error(lambda x, order, close: near(x) if order < 9 else np.full(len(x), np.nan))
    assert found == np.inf
    found, _ = error(lambda x, order, close: near(x) if order < 9 else np.where(np.abs(x) < 2, np.nan, near(x)))
    assert found == np.inf


def test_a_value_beyond_all_numbers_hides_nothing() -> None:
    found, _ = error(lambda x, order, close: np.where(x > 11.9, np.inf, both(x)) if order >= 9 else near(x))
    assert found > 0.5


def test_what_is_off_by_a_constant_is_not_off() -> None:
    assert error(lambda x, order, close: near(x) + 3.0 * (order >= 9))[0] < 1e-9


def normal(mu: float = 0.0, sigma: float = 1.0) -> pg.Prior:
    return pg.Prior("Normal", mu=mu, sigma=sigma)


@pg.model(observes={"attacks": COUNT}, estimands=[], reference="none",
          priors={"mean": normal(0, 2), "change": normal(0, 1), "sd": pg.Prior("HalfNormal", sigma=1.0), "sd_change": pg.Prior("HalfNormal", sigma=1.0)})  # fmt: skip
def attacks(data, prior):
    level = pm.Normal("level", prior("mean"), prior("sd"), dims="subject")
    change = pm.Normal("change_of_own", prior("change"), prior("sd_change"), dims="subject")
    row = data.attacks
    pm.Poisson("attacks", pm.math.exp(level[row.subject] + change[row.subject] * row.month), observed=row.value, dims="attacks_row")  # fmt: skip


@pytest.fixture(scope="module")
def integral() -> Integrated:
    """Patients of very different counts, so that one reference is far from some."""
    rng = np.random.default_rng(5)
    rows = [(f"P{i}", m, rng.poisson(np.exp(i - 1 + 0.3 * m))) for i in range(8) for m in (0, 1, 2)]
    cohort = pg.Cohort.from_table(pd.DataFrame(rows, columns=["subject", "time", "attacks"]), time_unit="months", outcomes=COUNT)  # fmt: skip
    encoded = encode(attacks, cohort).unpadded()
    program = Program(attacks, attacks.priors, encoded)
    assert isinstance(program.inner, Integrated)
    program.inner.prepare(
        program.arrays(encoded), encoded.n_subjects, {"attacks": encoded.arrays["attacks_subject"][1]}
    )
    return program.inner


def exactly(inner: Integrated, at: np.ndarray) -> np.ndarray:
    """Each subject's integral with the mode looked for at this very point."""
    inner.refer(at)
    inner.close = False
    return inner.by_subject(at[None], order=25)[0]


# From a reference in the middle to where patients hardly differ and all have few, or differ much and have many.
AWAY = [(-3.0, -1.0, -3.0, -3.0), (6.0, 1.0, -2.5, -2.0), (0.0, 0.0, 2.5, 2.0), (-5.0, 2.0, 1.0, 1.5), (7.0, -2.0, 0.0, -4.0)]  # fmt: skip


@pytest.mark.parametrize("start", [(2.0, 0.3, 0.5, -1.0), (-4.0, -1.5, -4.0, -4.0)])
def test_integrals_placed_anew_do_not_depend_on_the_reference(integral: Integrated, start: tuple[float, ...]) -> None:
    """Newton's method overshoots where a rate is an exponential: steps that go down are shortened, not given up."""
    exact = np.array([exactly(integral, np.array(at)) for at in AWAY])
    integral.reference = None
    integral.refer(np.array(start))
    integral.close = True
    np.testing.assert_allclose(integral.by_subject(np.array(AWAY), order=25), exact, rtol=0, atol=0.01)
    integral.close = False
    with np.errstate(all="ignore"):
        moved = integral.by_subject(np.array(AWAY), order=25)
    assert not np.abs(moved - exact).max() < 1  # along a line from there they are lost


@pytest.mark.parametrize("size", [2, 3])
def test_curvatures_are_mended_only_where_they_must_be(size: int) -> None:
    rng = np.random.default_rng(2)
    square = rng.normal(size=(200, size, size))
    good = square @ square.swapaxes(-1, -2) + 0.01 * np.eye(size)
    np.testing.assert_allclose(roots.positive(good, alone=False), good, atol=1e-12)
    turned = np.linalg.qr(square)[0]
    value = rng.uniform(1, 9, (200, size)) * np.array([1, -1, 1])[:size]
    indefinite = (turned * value[:, None, :]) @ turned.swapaxes(-1, -2)
    mended = roots.positive(indefinite, alone=False)
    assert np.linalg.eigvalsh(mended).min() > 0.1 and np.abs(mended).max() < 100
    own = 10.0 ** rng.uniform(-2, 9, (200, size))  # scales of their own: one SD may be a millionth of another
    scaled = good * own[:, :, None] * own[:, None, :]
    np.testing.assert_allclose(roots.positive(scaled, alone=False) / scaled, np.ones(good.shape), rtol=1e-4)
    drawn = roots.plain(roots.root_of_inverse(scaled, alone=False)) * own[:, :, None]
    np.testing.assert_allclose(drawn @ drawn.swapaxes(-1, -2) @ good, np.tile(np.eye(size), (200, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(roots.positive(-np.eye(size)[None], alone=False)[0], np.eye(size))
    root = roots.root_of_inverse(good, alone=False)
    np.testing.assert_allclose(roots.plain(root), np.linalg.cholesky(np.linalg.inv(good)), rtol=1e-8)
    gradient = rng.normal(size=(200, size))
    np.testing.assert_allclose(roots.newton(roots.plain(root), gradient), np.linalg.solve(good, gradient[..., None])[..., 0], rtol=1e-8)  # fmt: skip
    apart = good * np.eye(size)
    np.testing.assert_allclose(roots.root_of_inverse(apart, alone=True), roots.root_of_inverse(apart, alone=False), atol=1e-12)  # fmt: skip


WORST = {"far apart": np.diag([1e12, 1e-12]), "huge": np.diag([-1e200, 1.0]), "endless": np.full((2, 2), np.inf), "no number": np.full((2, 2), np.nan),
         "a ridge": np.ones((2, 2)), "steep ridge": 1e9 * np.array([[1, 1 - 1e-16], [1 - 1e-16, 1]]), "flat": np.zeros((2, 2))}  # fmt: skip


@pytest.mark.parametrize(("size", "alone"), [(2, False), (3, False), (2, True)])
@pytest.mark.parametrize("kind", WORST)
def test_the_root_of_any_curvature_can_be_taken(kind: str, size: int, alone: bool) -> None:
    """Far out curvatures are of any kind: no such point may end a fit."""
    worst = np.eye(size)[None].copy()
    worst[:, :2, :2] = WORST[kind]
    mended = roots.positive(worst, alone=alone)
    root = roots.plain(roots.root_of_inverse(mended, alone=alone))
    assert np.isfinite(root).all()
    np.testing.assert_allclose(root @ root.swapaxes(-1, -2) @ mended, np.eye(size)[None], atol=1e-4)


@pytest.mark.parametrize(("approached", "starts"), [(True, ["near", "own"]), (False, ["near"])])
def test_a_second_start_is_made_only_where_it_is_another(monkeypatch: pytest.MonkeyPatch, approached: bool, starts: list[str]) -> None:  # fmt: skip
    """A search of its own that ended in nothing ends in it again, after as long."""
    begun = []

    def integrate(*_: object, near: Mode | None, **how: object) -> None:
        begun.append("own" if near is None else "near")
        untrusted = Untrusted("of no use")
        untrusted.approached = approached and near is not None
        raise untrusted

    monkeypatch.setattr(batches, "integrate", integrate)
    near = Mode(np.zeros((1, 2)), np.eye(2)[None], np.array([True]))
    with pytest.raises(Untrusted):
        batches._integral(None, None, None, 100, np.random.default_rng(1), near)  # type: ignore[arg-type]
    assert begun == starts


@pytest.mark.parametrize(("k", "tried"), [(0.2, [(4, False), (5, True), (9, True), (15, True)]), (3.0, [(4, False), (5, True)])])  # fmt: skip
def test_no_finer_sum_is_tried_of_points_that_cannot_be_trusted(monkeypatch: pytest.MonkeyPatch, k: float, tried: list[tuple[int, bool]]) -> None:  # fmt: skip
    """They are too few where the density is; once integrals are placed, a finer sum changes nothing of that."""
    standing, seen = Standing(lambda x, order, close: near(x)), []

    def sample(*_: object, **how: object) -> Weighted:
        return Weighted(
            X[None], np.full((1, 512), -np.log(512)), near(X)[None], np.array([k]), np.ones(1), np.zeros((1, 512))
        )

    def off(inner: Standing, weighted: Weighted, where: np.ndarray, order: int) -> float:
        seen.append((order, inner.close))
        return 1.0

    monkeypatch.setattr(importance, "sample", sample)
    monkeypatch.setattr(integration, "_error", off)
    mode = Mode(np.zeros((1, 1)), np.eye(1)[None], np.array([True]))
    rngs = [np.random.default_rng(1)] * 2
    stages = ((4, False), (5, True), (9, True), (15, True))
    found = integration._weigh(standing, mode, 100, 512, rngs, 1, stages, 0.45)  # type: ignore[arg-type]
    assert seen == tried and found[2] == 1.0
