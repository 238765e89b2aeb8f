"""Cohorts, a pretended sampler and a few real fits, shared by all tests."""

import warnings
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import progression as pg
from progression.encoding import encode
from progression.engines import forward, nuts
from progression.registry import _registered, _shelves


@cache
def _prior_pool(key):
    """Draws from the prior for one model, its priors and its labels: made once, drawn from for ever."""
    model, encoded, priors = key.content
    return forward.prior_draws(model, encoded, priors, draws=150, random_seed=7)[0]


class _Key:
    def __init__(self, model, encoded, priors):
        self.content = (model, encoded, priors)
        self.text = repr((id(model.program), sorted(encoded.coords.items()), encoded.n_padded, sorted(priors.items())))

    def __hash__(self):
        return hash(self.text)

    def __eq__(self, other):
        return self.text == other.text


class FakeEngine:
    """Stands in for `progression.engines.nuts.sample`: independent draws in milliseconds, faults at will."""

    def __init__(self):
        self.calls = []
        self.apart = 0.0  # distance of each chain from the one before: bad R-hat
        self.divergences = 0
        self.cut_short = 0  # draws missing from each chain
        self.rename = {}  # names of statistics to change
        self.replace = {}  # variable -> function of its draws

    def sample(self, model, encoded, priors, *, draws, tune, chains, random_seed, sampler="nutpie", progressbar=True,
               **kwargs):  # fmt: skip
        self.calls.append(SimpleNamespace(model=model, encoded=encoded, priors=priors, draws=draws, tune=tune,
                                          chains=chains, random_seed=random_seed, sampler=sampler, kwargs=kwargs))  # fmt: skip
        pool = _prior_pool(_Key(model, encoded, priors)).isel(chain=0)
        rng = np.random.default_rng(random_seed)
        n = draws - self.cut_short
        pick = rng.integers(pool.sizes["draw"], size=(chains, n))
        made = {}
        for name, variable in pool.data_vars.items():
            values = variable.to_numpy()[pick]
            lift = self.apart * np.arange(chains).reshape(-1, *(1,) * (values.ndim - 1))
            made[name] = (("chain", "draw", *variable.dims[1:]), self.replace.get(name, lambda v: v)(values + lift))
        diverging = np.zeros((chains, n), bool)
        diverging.flat[: self.divergences] = True
        depth = "maxdepth_reached" if sampler == "nutpie" else "reached_max_treedepth"
        stats = {"diverging": diverging, depth: np.zeros((chains, n), bool), "energy": rng.normal(size=(chains, n))}
        stats = {self.rename.get(name, name): (("chain", "draw"), array) for name, array in stats.items()}
        return xr.Dataset(made, coords={d: c for d, c in pool.coords.items() if d != "draw"}), xr.Dataset(stats)


@pytest.fixture
def fake_engine(monkeypatch):
    engine = FakeEngine()
    monkeypatch.setattr(nuts, "sample", engine.sample)
    return engine


@pytest.fixture
def fake_fit(fake_engine):
    """A fit in milliseconds: ``fake_fit("als_slope", cohort, ...)``."""

    def make(model, cohort, **how):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pg.FitWarning)
            return pg.fit(model, cohort, **({"random_seed": 1, "progressbar": False, "engine": "nuts"} | how))

    make.engine = fake_engine
    return make


@pytest.fixture(scope="session")
def als():
    """Two randomised arms of six, four visits, whole scores."""
    rng = np.random.default_rng(11)
    month = np.array([0.0, 2.0, 4.0, 6.0])
    rows, people = [], []
    for i in range(12):
        arm = ("control", "treated")[i % 2]
        line = 38 + 3 * rng.normal() + (-1.0 + 0.3 * (i % 2) + 0.5 * rng.normal()) * month
        score = np.clip(np.round(line + 1.5 * rng.normal(size=4)), 0, 48)
        rows += [(f"P{i + 1}", m, s) for m, s in zip(month, score, strict=True)]
        people.append((f"P{i + 1}", arm, 50 + 2 * i + rng.normal(), "fm"[i // 6]))
    outcome = pg.Outcome("alsfrsr", unit="points", lower=0, upper=48, integer=True, higher_is_better=True)
    return pg.Cohort.from_table(
        pd.DataFrame(rows, columns=["subject", "time", "alsfrsr"]),
        pd.DataFrame(people, columns=["subject", "arm", "age", "sex"]),
        time_unit="months", outcomes=[outcome], covariates=["age", "sex"], allocation="randomised", name="tiny ALS",
    )  # fmt: skip


@pytest.fixture(scope="session")
def lupus():
    """The published pilot: four patients on treatment, no controls."""
    return pg.datasets.sle_anakinra()


@pytest.fixture(scope="session")
def als_trial():
    return pg.datasets.simulated_als(n=(24, 24), random_seed=3)


@pytest.fixture(scope="session")
def sle_trial():
    """CRP with values below the detection limit, and joint counts that vary strongly from visit to visit."""
    return pg.datasets.simulated_sle(n=(20, 20), detection_limit=0.8, joints_overdispersion=(0.3, 0.3), random_seed=5)


@cache
def _tiny(model, n_arms, unit):
    rng = np.random.default_rng(23)
    scale = {"months": 1.0, "weeks": 365.25 / 12 / 7}[unit]
    arms = ["control", "treated"][:n_arms] if n_arms > 1 else ["treated"]
    rows, people = [], []
    for i in range(6):
        people.append({"subject": f"S{i + 1}", "arm": arms[i % n_arms], "age": 40.0 + 3 * i})
        if model.events:
            died = i in (2, 3)
            people[-1] |= {"event": "death" if died else None, "event_time": (3.5 + i / 10) * scale if died else np.nan,
                           "end_of_follow_up": np.nan if died else 4.0 * scale}  # fmt: skip
        for month in (0.0, 1.0, 3.0):
            row = {"subject": f"S{i + 1}", "time": month * scale}
            for outcome in model.outcomes:
                high = outcome.upper if outcome.upper is not None else 20
                value = rng.uniform(0.3, 0.9) * high
                row[outcome.name] = float(round(value)) if outcome.integer else value
            rows.append(row)
    return pg.Cohort.from_table(
        pd.DataFrame(rows), pd.DataFrame(people), time_unit=unit, outcomes=list(model.outcomes), covariates=["age"],
        allocation="randomised" if n_arms > 1 else "single arm", name="tiny",
    )  # fmt: skip


@pytest.fixture(scope="session")
def tiny_cohort():
    """A cohort of six that suits a model: ``tiny_cohort(model, n_arms, unit="months")``."""
    return lambda model, n_arms, unit="months": _tiny(model, n_arms, unit)


@pytest.fixture
def own_registry():
    """Restore what was registered and forget the shelves, before and after."""
    kept = dict(_registered)
    _shelves.cache_clear()
    yield
    _registered.clear()
    _registered.update(kept)
    _shelves.cache_clear()


def _fit(model, cohort, **how):
    settings = {"draws": 1000, "tune": 700, "chains": 2, "cores": 2, "random_seed": 1, "progressbar": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pg.FitWarning)
        return pg.fit(model, cohort, **(settings | how))


@pytest.fixture(scope="session")
def real_fit():
    """``real_fit(model, cohort, **settings)``: the sampler itself, with few draws."""
    return _fit


@pytest.fixture(scope="session")
def als_fit(als_trial):
    return _fit("als_slope", als_trial)


@pytest.fixture(scope="session")
def crp_fit(sle_trial):
    return _fit("sle_crp", sle_trial)


@pytest.fixture(scope="session")
def joints_fit(sle_trial):
    return _fit("sle_joints", sle_trial, draws=2000, tune=1000)


@pytest.fixture(scope="session")
def coded():
    """``coded(model, cohort, **options)``: a cohort as a program sees it."""
    return lambda model, cohort, **how: encode(pg.models()[model] if isinstance(model, str) else model, cohort, **how)
