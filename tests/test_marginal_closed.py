"""The closed form against one dense multivariate normal for all rows, made with NumPy and SciPy from the equations."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import linalg, stats

import progression as pg
from progression.encoding import encode
from progression.engines.closed import ClosedForm
from progression.engines.elimination import draw_linear
from progression.engines.marginal import alike
from progression.engines.prepared import Program, _prepared
from progression.time_course import course
from tests import simulators


def normal(mu=0.0, sigma=1.0):
    return pg.Prior("Normal", mu=mu, sigma=sigma)


def half(sigma=1.0):
    return pg.Prior("HalfNormal", sigma=sigma)


def free(prior, x):
    """A parameter from its place on the unconstrained scale, and its log prior there, Jacobian included."""
    p = prior.parameters
    if prior.distribution == "Normal":
        return x, stats.norm.logpdf(x, p["mu"], p["sigma"])
    if prior.distribution == "HalfNormal":
        return np.exp(x), stats.halfnorm.logpdf(np.exp(x), scale=p["sigma"]) + x
    if prior.distribution == "LogNormal":
        return np.exp(x), stats.lognorm.logpdf(np.exp(x), p["sigma"], scale=np.exp(p["mu"])) + x
    assert prior.distribution == "Uniform"
    width, share = p["upper"] - p["lower"], 1 / (1 + np.exp(-x))
    return p["lower"] + width * share, np.log(share) + np.log1p(-share)  # 1 / width times width


def condition(y, columns, mean, cov, noise):
    """log N(y; X m, V + X P X'), and mean and covariance of the coefficients given y."""
    spread = noise + columns @ cov @ columns.T
    gain = np.linalg.solve(spread, columns @ cov).T
    log = stats.multivariate_normal.logpdf(y, columns @ mean, spread)
    return log, mean + gain @ (y - columns @ mean), cov - gain @ columns @ cov


def ready(model, cohort, *, priors=None, options=None):
    encoded = encode(model, cohort, options=options).unpadded()
    program = Program(model, model.with_priors(priors), encoded)
    assert isinstance(program.inner, ClosedForm)
    arrays, n, inner = program.arrays(encoded), encoded.n_subjects, program.inner
    rows = inner.rows(arrays, encoded)
    own, plain = inner.cells(arrays, n, rows, every=True), inner.cells(program.coordinates(arrays), n, rows)
    return SimpleNamespace(
        program=program, encoded=encoded, inner=inner, arrays=arrays, n=n, rows=rows, own=own, plain=plain
    )


def some_points(inner, n=4, seed=2):
    return np.random.default_rng(seed).normal(0, 0.6, (n, inner.form.rest.size))


# ---------------------------------------------------------------------------------------------------- als_slope

ALS_PRIORS = {
    "mean_level": normal(38, 10), "level_difference": normal(0, 5), "level_coefficient": normal(0, 3),
    "sd_level": half(8), "mean_slope": normal(-1, 1), "slope_effect": normal(0, 0.5), "slope_coefficient": normal(0, 0.5),
    "sd_slope": half(1), "correlation": pg.Prior("Uniform", lower=-1, upper=1),
    "sd_residual": pg.Prior("LogNormal", mu=0.6, sigma=0.5), "bend": normal(0, 2),
}  # fmt: skip
TWO, THREE, ONE = {"control": 7, "treated": 6}, {"control": 5, "high": 4, "low": 5}, {"treated": 9}
ALS = {
    "drop-out": ({"n_per_arm": TWO, "dropout_per_month": 0.12}, {}),
    "a free baseline": ({"n_per_arm": THREE, "level_difference": {"high": 2.0}}, {"baseline": "free"}),
    "a covariate": ({"n_per_arm": TWO, "level_coefficient": [2.0], "slope_coefficient": [-0.2]}, {"covariates": ["x0"]}),
    "visits before month 0": ({"n_per_arm": TWO, "months": [-2.5, -1.0, 0.0, 3.0, 6.0]}, {}),
    "one arm": ({"n_per_arm": ONE}, {}),
    "a course that bends": ({"n_per_arm": TWO, "months": [-1.0, 0.0, 1.5, 3.0, 6.0, 9.0]}, {"time_course": (3.0, 6.0, 9.0)}),
    "all of it": ({"n_per_arm": THREE, "months": [-2.5, 0.0, 3.0, 6.0], "level_coefficient": [2.0, 1.0],
                   "slope_coefficient": [-0.2, 0.1], "dropout_per_month": 0.1},
                  {"baseline": "free", "covariates": ["x0", "x1"]}),
}  # fmt: skip


def als_cohort(case, seed=4):
    truth = {"mean_level": 38, "sd_level": 5, "mean_slope": -1, "sd_slope": 0.7, "correlation": 0.3, "sd_residual": 1.8,
             "slope_effect": {"treated": 0.4, "high": 0.5}, "months": [0.0, 1.5, 3.0, 6.0, 9.0]}  # fmt: skip
    how, options = ALS[case]
    made = simulators.als_slope(np.random.default_rng(seed), **(truth | how))
    covariates = [name for name in made if name.startswith("x")]
    cohort = pg.Cohort.from_table(made.rename(columns={"alsfrsr": "score"}), time_unit="months", outcomes=["score"],
                                  arms=list(how["n_per_arm"]), covariates=covariates,
                                  allocation="randomised" if len(how["n_per_arm"]) > 1 else "single arm")  # fmt: skip
    return cohort, options


def als_design(cohort, options):
    """Columns of each population coefficient, by row; subject and month of each row."""
    visits, subjects = cohort.visits, cohort.subjects
    place = {subject: i for i, subject in enumerate(subjects.index)}
    subject, month = visits["subject"].map(place).to_numpy(), visits["month"].to_numpy(float)
    arm = subjects["arm"].astype(str).to_numpy()[subject]
    on = np.array([arm == one for one in list(cohort.arms)[1:]], float).reshape(-1, len(month)).T
    names = list(options.get("covariates", []))
    covariates = subjects[names].to_numpy(float)
    covariates = ((covariates - covariates.mean(axis=0)) / covariates.std(axis=0))[subject]
    columns = {
        "mean_level": np.ones((len(month), 1)), "mean_slope": month[:, None],
        "level_difference": on if options.get("baseline") == "free" else on[:, :0],
        "slope_effect": on * np.maximum(month, 0)[:, None],  # nothing works before month 0
        "level_coefficient": covariates, "slope_coefficient": covariates * month[:, None],
        "bend": course(month, [3.0, 6.0], 9.0) if "time_course" in options else on[:, :0],
    }  # fmt: skip
    return columns, subject, month, visits["score"].to_numpy(float)


def als_dense(cohort, options, names, x):
    """Log density at x, the parts of the normal, and the parameters."""
    columns, subject, month, y = als_design(cohort, options)
    placed = {name: free(ALS_PRIORS[name], value) for name, value in zip(
        ("sd_level", "sd_slope", "correlation", "sd_residual"), x, strict=True)}  # fmt: skip
    p = {name: value for name, (value, _) in placed.items()}
    between = p["correlation"] * p["sd_level"] * p["sd_slope"]
    between = np.array([[p["sd_level"] ** 2, between], [between, p["sd_slope"] ** 2]])
    lines = np.column_stack([np.ones(len(month)), month])
    noise = (lines @ between @ lines.T) * (subject[:, None] == subject) + p["sd_residual"] ** 2 * np.eye(len(y))
    wide = [columns[name] for name in names]
    facts = [ALS_PRIORS[name].parameters for name, one in zip(names, wide, strict=True) for _ in range(one.shape[1])]
    mean, sd = (np.array([fact[key] for fact in facts]) for key in ("mu", "sigma"))
    found = condition(y, np.hstack(wide), mean, np.diag(sd**2), noise)
    return found[0] + sum(log for _, log in placed.values()), found[1:], p, between


@cache
def als_ready(case):
    cohort, options = als_cohort(case)
    made = ready(pg.models()["als_slope"], cohort, priors=ALS_PRIORS, options=options)
    assert made.inner.form.rest.names == ("sd_level", "sd_slope", "correlation", "sd_residual")
    return cohort, options, made


@pytest.mark.parametrize("case", ALS)
def test_als_slope_has_the_density_of_one_dense_normal(case):
    cohort, options, made = als_ready(case)
    x = some_points(made.inner)
    names = made.inner.form.linear.names
    expected = [als_dense(cohort, options, names, point)[0] for point in x]
    for cells in (made.own, made.plain):  # with coordinates set to zero or not, the same
        found, _ = made.inner.log_density(cells, x[None])
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-8)
    assert any(np.any(made.arrays[name]) for name in made.arrays if name.startswith("score_n"))
    assert not any(np.any(array) for name, array in made.plain.kinds.items() if name.startswith("score_"))
    assert alike(made.inner, made.own, made.plain)


def within(values, mean, cov, level=5.0):
    """Whether draws (n, size) have this mean and covariance, to `level` standard errors."""
    n = len(values)
    sd = np.sqrt(np.diag(cov))
    off = values - mean
    assert np.all(np.abs(off.mean(axis=0)) < level * sd / np.sqrt(n))
    error = np.sqrt((cov**2 + np.outer(sd, sd) ** 2) / n)
    assert np.all(np.abs(off.T @ off / n - cov) < level * error)


@pytest.mark.parametrize("case", ["drop-out", "all of it"])
def test_population_coefficients_are_drawn_from_their_exact_conditional(case):
    cohort, options, made = als_ready(case)
    rng = np.random.default_rng(8)
    for point in some_points(made.inner, 2):
        _, factor = made.inner.log_density(made.plain, point[None, None])
        drawn = draw_linear(np.repeat(factor[0], 20_000, axis=0), rng.standard_normal((20_000, made.inner.n_linear)))
        within(drawn, *als_dense(cohort, options, made.inner.form.linear.names, point)[1])


@pytest.mark.parametrize("case", ["drop-out", "all of it"])
def test_subject_effects_are_drawn_from_their_exact_conditional(case):
    cohort, options, made = als_ready(case)
    columns, subject, month, y = als_design(cohort, options)
    names, n = made.inner.form.linear.names, 4000
    rng = np.random.default_rng(9)
    x = some_points(made.inner, 1)
    _, (centre, cov), p, between = als_dense(cohort, options, names, x[0])
    linear = rng.multivariate_normal(centre, cov)
    effects = made.inner.draw_effects(made.own, np.repeat(x, n, axis=0), np.repeat(linear[None], n, axis=0), rng)
    made.program.split.with_data(made.arrays, made.n)
    drawn = made.program.subjects(effects, np.repeat(x, n, axis=0), np.repeat(linear[None], n, axis=0))
    drawn = np.stack([drawn["level"], drawn["slope"]], axis=2)
    at, parts = 0, {}
    for name in names:
        parts[name] = linear[at : at + columns[name].shape[1]]
        at += columns[name].shape[1]
    for i in range(made.n):
        rows = np.flatnonzero(subject == i)
        own = {name: columns[name][rows[0]] @ parts[name] for name in names if name.startswith("level")}
        lines = np.column_stack([np.ones(len(rows)), month[rows]])
        active = _on(cohort, i) @ parts["slope_effect"]
        slope = parts["mean_slope"][0] + _covariates(cohort, options, i) @ parts["slope_coefficient"] + active
        prior = np.array([parts["mean_level"][0] + sum(own.values()), slope])
        offset = -active * np.minimum(month[rows], 0)
        noise = p["sd_residual"] ** 2 * np.eye(len(rows))
        _, mean, spread = condition(y[rows] - offset, lines, prior, between, noise)
        within(drawn[:, i], mean, spread)


def _on(cohort, i):
    return np.array([float(cohort.subjects["arm"].iloc[i] == arm) for arm in list(cohort.arms)[1:]])


def _covariates(cohort, options, i):
    table = cohort.subjects[list(options.get("covariates", []))].to_numpy(float)
    return ((table - table.mean(axis=0)) / table.std(axis=0))[i]


def test_many_data_sets_of_one_design_are_each_what_they_are_alone():
    cohort, options, made = als_ready("a covariate")
    _, subject, _, y = als_design(cohort, options)
    rng = np.random.default_rng(5)
    values = y + rng.normal(0, 2, (5, len(y)))
    values[1:][rng.random((4, len(y))) < 0.3] = np.nan
    values[2, subject == 3] = np.nan  # a patient of whom nothing is known
    rows = made.inner.rows(made.arrays, made.encoded, {"score": values})
    cells = made.inner.cells(made.program.coordinates(made.arrays), made.n, rows)
    x = np.random.default_rng(6).normal(0, 0.6, (5, 3, 4))
    together, _ = made.inner.log_density(cells, x)
    names = made.inner.form.linear.names
    for s in range(5):
        seen = np.isfinite(values[s])
        visits = cohort.visits[seen].assign(score=values[s][seen])
        part = SimpleNamespace(visits=visits, subjects=cohort.subjects, arms=cohort.arms)
        expected = [als_dense(part, options, names, point)[0] for point in x[s]]
        np.testing.assert_allclose(together[s], expected, rtol=0, atol=1e-8)
    made.inner.specialise()
    np.testing.assert_allclose(made.inner.log_density(cells, x)[0], together, rtol=0, atol=1e-8)
    picked = np.array([3, 1])
    np.testing.assert_allclose(made.inner.log_density(cells.take(picked), x[picked])[0], together[picked], atol=1e-9)


# --------------------------------------------------------------------------------------------- programs of other shapes

FIRST, SECOND = pg.Outcome("first"), pg.Outcome("second")
SDS = {"sd": half(3), "res": half(2)}


@pg.model(observes={"y": FIRST}, estimands=[], reference="none", priors={"mu": normal(10, 5)} | SDS)
def intercept(data, prior):
    u = pm.Normal("u", prior("mu"), prior("sd"), dims="subject")
    pm.Normal("y", u[data.y.subject], prior("res"), observed=data.y.value, dims="y_row")


@pg.model(observes={"y": FIRST, "z": SECOND}, estimands=[], reference="none",
          priors={"mu": normal(10, 5), "alpha": normal(0, 5), "beta": normal(), "res2": half(1)} | SDS)  # fmt: skip
def two_outcomes(data, prior):
    u = pm.Normal("u", prior("mu"), prior("sd"), dims="subject")
    pm.Normal("y", u[data.y.subject], prior("res"), observed=data.y.value, dims="y_row")
    second = prior("alpha") + prior("beta") * u
    pm.Normal("z", second[data.z.subject], prior("res2"), observed=data.z.value, dims="z_row")


@pg.model(observes={"y": FIRST}, estimands=[], reference="none",
          priors={"level": normal(10, 5), "slope": normal(-1, 1), "ratio": normal(0, 0.5), "sd_slope": half(1)} | SDS)  # fmt: skip
def relative_effect(data, prior):
    own = prior("slope") * (1 + (data.on_arm * prior("ratio")).sum(axis=1))
    u = pm.Normal("u", prior("level"), prior("sd"), dims="subject")
    v = pm.Normal("v", own, prior("sd_slope"), dims="subject")
    pm.Normal(
        "y", u[data.y.subject] + v[data.y.subject] * data.y.month, prior("res"), observed=data.y.value, dims="y_row"
    )


@pg.model(observes={"y": pg.Outcome("positive", positive=True)}, estimands=[], reference="none",
          priors={"mu": normal(2, 2)} | SDS)  # fmt: skip
def lognormal(data, prior):
    u = pm.Normal("u", prior("mu"), prior("sd"), dims="subject")
    pm.LogNormal("y", u[data.y.subject], prior("res"), observed=data.y.value, dims="y_row")


@pg.model(
    observes={"y": FIRST}, estimands=[], reference="none", priors={"mu": normal(10, 5), "wider": normal(0, 0.5)} | SDS
)
def spread_by_arm(data, prior):
    sd = prior("sd") * pm.math.exp(prior("wider") * data.on_arm[:, 0])
    u = pm.Normal("u", prior("mu"), sd, dims="subject")
    pm.Normal("y", u[data.y.subject], prior("res"), observed=data.y.value, dims="y_row")


@pg.model(
    observes={"y": FIRST}, estimands=[], reference="none", priors={"mu": normal(10, 5), "overall": normal()} | SDS
)
def pooled_arms(data, prior):
    effect = pm.Normal("effect", prior("overall"), 0.5, dims="active_arm")
    u = pm.Normal("u", prior("mu") + (data.on_arm * effect).sum(axis=1), prior("sd"), dims="subject")
    pm.Normal("y", u[data.y.subject], prior("res"), observed=data.y.value, dims="y_row")


@pg.model(observes={"y": FIRST}, estimands=[], reference="none", needs=("visits",),
          priors={"mu": normal(10, 5), "early": normal(), "late": normal(0, 2)} | SDS)  # fmt: skip
def named_visits(data, prior):
    early, late = prior("early"), prior("late")
    course = pt.stack([0.0, early, late, 2 * late])
    u = pm.Normal("u", prior("mu"), prior("sd"), dims="subject")
    pm.Normal("y", u[data.y.subject] + course[data.y.visit], prior("res"), observed=data.y.value, dims="y_row")


@pg.model(observes={"y": FIRST}, estimands=[], reference="none", priors={"mu": normal(10, 5), "fall": normal()} | SDS)
def array_of_effects(data, prior):
    pm.modelcontext(None).add_coord("line", ["level", "slope"])
    u = pm.Normal("u", pt.stack([prior("mu"), prior("fall")]), prior("sd"), dims=("subject", "line"))
    mean = u[:, 0][data.y.subject] + u[:, 1][data.y.subject] * data.y.month
    pm.Normal("y", mean, prior("res"), observed=data.y.value, dims="y_row")


@pg.model(
    observes={"y": FIRST},
    estimands=[],
    reference="none",
    priors={"mu": normal(10, 5), "per_visit": normal(0, 0.5)} | SDS,
)
def number_of_visits(data, prior):
    u = pm.Normal("u", prior("mu") + prior("per_visit") * data.y.n, prior("sd"), dims="subject")
    pm.Normal("y", u[data.y.subject], prior("res"), observed=data.y.value, dims="y_row")


@pg.model(observes={"y": FIRST}, estimands=[], reference="none", needs=("visits",),
          priors={"course": normal(10, 5)} | SDS)  # fmt: skip
def free_visits(data, prior):
    u = pm.Normal("u", 0, prior("sd"), dims="subject")
    pm.Normal("y", u[data.y.subject] + prior("course", dims="visit")[data.y.visit], prior("res"), observed=data.y.value,
              dims="y_row")  # fmt: skip


@pg.model(observes={"y": FIRST}, estimands=[], reference="none", priors={"mu": normal(10, 5)})
def nothing_left(data, prior):
    u = pm.Normal("u", prior("mu"), 2.0, dims="subject")
    pm.Normal("y", u[data.y.subject], 0.7, observed=data.y.value, dims="y_row")


MONTHS = (0.0, 1.0, 3.0, 6.0)


@pytest.fixture(scope="module")
def cohort():
    """Three arms, ragged visits, a second outcome that is often missing, a positive one."""
    rng = np.random.default_rng(0)
    rows, people = [], []
    for i in range(15):
        a, b = 10 + 2 * rng.normal(), -1 + 0.5 * rng.normal() + 0.3 * (i % 3)
        people.append((f"p{i}", ("control", "low", "high")[i % 3]))
        for month in MONTHS[: rng.integers(2, 5)]:
            second = 2 + 0.5 * a + 0.3 * rng.normal() if rng.random() < 0.6 or month == 0 else np.nan
            rows.append(
                (f"p{i}", month, a + b * month + 0.7 * rng.normal(), second, np.exp(0.2 * a + 0.3 * rng.normal()))
            )
    return pg.Cohort.from_table(
        pd.DataFrame(rows, columns=["subject", "time", "first", "second", "positive"]),
        pd.DataFrame(people, columns=["subject", "arm"]), time_unit="months", allocation="randomised",
        arms=["control", "low", "high"],
        outcomes=["first", "second", pg.Outcome("positive", positive=True)],
    )  # fmt: skip


def by_row(cohort, outcomes):
    """Value, subject, month and arm of every row, one outcome after the other."""
    visits = cohort.visits
    parts = []
    for number, outcome in enumerate(outcomes):
        own = visits[visits[outcome].notna()]
        arm = cohort.subjects["arm"].loc[own["subject"]].astype(str).to_numpy()
        on = np.column_stack([arm == one for one in list(cohort.arms)[1:]]).astype(float)
        number_of = own.groupby("subject")[outcome].transform("size").to_numpy()
        parts.append(SimpleNamespace(y=own[outcome].to_numpy(), subject=own["subject"].to_numpy(), second=np.full(len(own), number),
                                     month=own["month"].to_numpy(), on=on, n=number_of))  # fmt: skip
    rows = SimpleNamespace(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})
    rows.same = (rows.subject[:, None] == rows.subject).astype(float)
    rows.one = np.ones(len(rows.y))
    rows.visit = np.searchsorted(MONTHS, rows.month)
    return rows


def plain_noise(r, p):
    return p["sd"] ** 2 * r.same + p["res"] ** 2 * np.eye(len(r.y))


def shared_noise(r, p):
    load = np.where(r.second, p["beta"], 1.0)
    return p["sd"] ** 2 * r.same * np.outer(load, load) + np.diag(np.where(r.second, p["res2"], p["res"]) ** 2)


def line_noise(r, p, sd_slope="sd_slope"):
    return plain_noise(r, p) + p[sd_slope] ** 2 * r.same * np.outer(r.month, r.month)


def arm_noise(r, p):
    sd = p["sd"] * np.exp(p["wider"] * r.on[:, 0])
    return r.same * np.outer(sd, sd) + p["res"] ** 2 * np.eye(len(r.y))


def relative_columns(r, p):
    treated = 1 + r.on.sum(axis=1) * p["ratio"] if "ratio" in p else r.one
    slope = p.get("slope", 1.0)
    return {"level": r.one, "slope": r.month * treated, "ratio": r.month * r.on.sum(axis=1) * slope}


# program: outcomes, columns of the normal parameters, covariance of the rows
SHAPES = {
    "intercept": (intercept, ["first"], lambda r, p: {"mu": r.one}, plain_noise),
    "two outcomes": (two_outcomes, ["first", "second"],
                     lambda r, p: {"mu": np.where(r.second, p["beta"], 1.0), "alpha": 1.0 * r.second}, shared_noise),
    "bilinear": (relative_effect, ["first"], relative_columns, line_noise),
    "lognormal": (lognormal, ["positive"], lambda r, p: {"mu": r.one}, plain_noise),
    "spread by arm": (spread_by_arm, ["first"], lambda r, p: {"mu": r.one}, arm_noise),
    "pooled arms": (pooled_arms, ["first"], lambda r, p: {"mu": r.one, "effect": r.on, "overall": 0 * r.one}, plain_noise),
    "named visits": (named_visits, ["first"], lambda r, p: {
        "mu": r.one, "early": 1.0 * (r.visit == 1), "late": (r.visit == 2) + 2.0 * (r.visit == 3)}, plain_noise),
    "array of effects": (array_of_effects, ["first"], lambda r, p: {"mu": r.one, "fall": r.month},
                         lambda r, p: line_noise(r, p, "sd")),
    "number of visits": (number_of_visits, ["first"], lambda r, p: {"mu": r.one, "per_visit": 1.0 * r.n}, plain_noise),
    "free visits": (free_visits, ["first"], lambda r, p: {"course": np.eye(4)[r.visit]}, plain_noise),
}  # fmt: skip


def dense(shape, r, rest, linear, x):
    """Log density of `rest` at x, and mean and covariance of `linear` given x and the rows r."""
    model, _, columns, noise = SHAPES[shape]
    placed = {name: free(model.priors[name], value) for name, value in zip(rest, x, strict=True)}
    p = {name: value for name, (value, _) in placed.items()}
    wide = [columns(r, p)[name].reshape(len(r.y), -1) for name in linear]
    mean, blocks = [], []
    for name, one in zip(linear, wide, strict=True):
        prior = model.priors[name].parameters if name in model.priors else {"mu": 0.0, "sigma": 0.5}
        mean += [prior["mu"]] * one.shape[1]
        blocks.append(prior["sigma"] ** 2 * np.eye(one.shape[1]))
    cov = linalg.block_diag(*blocks)
    if shape == "pooled arms":  # effect = overall + 0.5 times a standard normal
        names = [name for name, one in zip(linear, wide, strict=True) for _ in range(one.shape[1])]
        cov = cov + np.array([[float({a, b} != {"overall"} and "mu" not in (a, b)) for a in names] for b in names])
    y = np.log(r.y) if shape == "lognormal" else r.y
    if shape == "bilinear" and "slope" in p:
        y = y - p["slope"] * r.month
    log, centre, spread = condition(y, np.hstack(wide), np.array(mean), cov, noise(r, p))
    return log + sum(one for _, one in placed.values()), centre, spread


OUTSIDE = {
    "intercept": {"sd", "res"}, "two outcomes": {"sd", "res", "res2", "beta"}, "lognormal": {"sd", "res"},
    "spread by arm": {"sd", "res", "wider"}, "pooled arms": {"sd", "res"}, "named visits": {"sd", "res"},
    "array of effects": {"sd", "res"}, "number of visits": {"sd", "res"},
}  # fmt: skip


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "free visits"])
def test_a_program_of_another_shape_has_the_density_of_one_dense_normal(shape, cohort):
    made = ready(SHAPES[shape][0], cohort)
    rest, linear = made.inner.form.rest.names, made.inner.form.linear.names
    if shape == "bilinear":  # the product of two normal parameters is not normal: one of them must stay
        assert set(rest) - {"sd", "sd_slope", "res"} in ({"slope"}, {"ratio"})
    else:
        assert set(rest) == OUTSIDE[shape]
    assert set(rest) | set(linear) == set(SHAPES[shape][0].priors) | ({"effect"} if shape == "pooled arms" else set())
    x, r = some_points(made.inner, 5), by_row(cohort, SHAPES[shape][1])
    expected = np.array([dense(shape, r, rest, linear, point)[0] for point in x])
    found, factor = made.inner.log_density(made.own, x[None])
    np.testing.assert_allclose(found[0] - found[0, 0], expected - expected[0], rtol=0, atol=1e-8)
    rng = np.random.default_rng(1)
    drawn = draw_linear(np.repeat(factor[0, :1], 20_000, axis=0), rng.standard_normal((20_000, made.inner.n_linear)))
    within(drawn, *dense(shape, r, rest, linear, x[0])[1:])


def test_two_effects_that_depend_on_each_other_are_drawn_together(cohort):
    """A level and a slope sampled as they are: given a patient's rows they are strongly correlated."""
    made, n = ready(array_of_effects, cohort), 4000
    assert (made.inner.form.rest.names, set(made.inner.form.linear.names)) == (("sd", "res"), {"mu", "fall"})
    x, fixed = np.log([[2.0, 0.7]]), {"mu": 9.5, "fall": -0.8}
    linear = np.array([[fixed[name] for name in made.inner.form.linear.names]])
    effects = made.inner.draw_effects(
        made.own, np.repeat(x, n, axis=0), np.repeat(linear, n, axis=0), np.random.default_rng(4)
    )
    r = by_row(cohort, ["first"])
    for i, subject in enumerate(cohort.subjects.index):
        own = r.subject == subject
        lines = np.column_stack([np.ones(own.sum()), r.month[own]])
        _, mean, cov = condition(r.y[own], lines, np.array([9.5, -0.8]), 4 * np.eye(2), 0.49 * np.eye(own.sum()))
        assert abs(cov[0, 1]) > 0.3 * np.sqrt(cov[0, 0] * cov[1, 1])
        within(effects[:, i], mean, cov)


def test_data_that_only_choose_coordinates_are_told_from_a_covariate(cohort):
    made = ready(number_of_visits, cohort)
    assert not alike(made.inner, made.own, made.plain)
    als = als_ready("drop-out")[2]
    assert alike(als.inner, als.own, als.plain)
    assert als.plain.count.shape[1] < als.own.count.shape[1]  # patients alike share a cell: that is what it is for


def exact_moments(shape, cohort, rest, linear):
    """Posterior mean and SD of every population parameter: a grid over the SDs, the rest in closed form."""
    first, r = np.array([0.5, 0.0]), by_row(cohort, SHAPES[shape][1])
    for width, n in ((2.0, 11), (2.4, 31)):
        axes = [np.linspace(at - 1.5 * width, at + width, n) for at in first]  # an SD may be near zero
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        found = [dense(shape, r, rest, linear, point) for point in points]
        log = np.array([one[0] for one in found])
        weight = np.exp(log - log.max())
        weight /= weight.sum()
        first = weight @ points
    assert weight[np.abs(points - np.mean(axes, axis=1)).max(axis=1) > 2.7].sum() < 1e-3  # the grid holds the posterior
    sds = np.exp(points)
    mean = np.array([one[1] for one in found])
    second = np.array([np.diag(one[2]) for one in found]) + mean**2
    values, squares = np.hstack([sds, mean]), np.hstack([sds**2, second])
    centre = weight @ values
    return centre, np.sqrt(weight @ squares - centre**2)


@pytest.mark.parametrize("shape", ["intercept", "number of visits", "free visits", "pooled arms"])
def test_a_fit_has_the_exact_posterior(shape, cohort):
    model = SHAPES[shape][0]
    linear = [
        name for name in (*model.priors, *(["effect"] if shape == "pooled arms" else [])) if name not in ("sd", "res")
    ]
    centre, spread = exact_moments(shape, cohort, ["sd", "res"], linear)
    fit = pg.fit(model, cohort, engine="marginal", random_seed=3)
    assert fit.problems == () and "fell_back" not in fit.settings
    drawn = np.hstack([fit.posterior[name].to_numpy().reshape(4000, -1) for name in ("sd", "res", *linear)])
    np.testing.assert_allclose((drawn.mean(axis=0) - centre) / spread, 0, atol=0.07)
    np.testing.assert_allclose(drawn.std(axis=0) / spread, 1, atol=0.06)


def test_with_nothing_left_the_posterior_is_normal(cohort):
    fit = pg.fit(nothing_left, cohort, engine="marginal", random_seed=3, draws=5000)
    assert fit.problems == ()
    r = by_row(cohort, ["first"])
    _, mean, cov = condition(
        r.y, r.one[:, None], np.array([10.0]), np.array([[25.0]]), 4 * r.same + 0.49 * np.eye(len(r.y))
    )
    within(fit.posterior["mu"].to_numpy().reshape(-1, 1), mean, cov)
    # The effects beside it: of each patient, given all data.
    own = (r.subject[:, None] == cohort.subjects.index.to_numpy()).astype(float)
    prior = 25.0 + 4 * np.eye(own.shape[1])
    _, mean, cov = condition(r.y, own, np.full(own.shape[1], 10.0), prior, 0.49 * np.eye(len(r.y)))
    within(fit.posterior["u"].to_numpy().reshape(-1, own.shape[1]), mean, cov)


def test_a_program_kept_for_further_cohorts_reads_their_data(cohort):
    """The second cohort has fewer patients and other visits; what was made ready for the first is used again."""
    pg.fit(number_of_visits, cohort, engine="marginal", random_seed=3)
    before = _prepared.cache_info()
    few = list(cohort.subjects.index[:9])
    visits = cohort.visits[cohort.visits["subject"].isin(few)].rename(columns={"month": "time"})
    people = cohort.subjects.loc[few].reset_index()[["subject", "arm"]]
    part = pg.Cohort.from_table(visits[["subject", "time", "first"]], people, time_unit="months", outcomes=["first"],
                                allocation="randomised", arms=["control", "low", "high"])  # fmt: skip
    fit = pg.fit(number_of_visits, part, engine="marginal", random_seed=3)
    after = _prepared.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)
    assert fit.problems == () and "fell_back" not in fit.settings
    centre, spread = exact_moments("number of visits", part, ["sd", "res"], ["mu", "per_visit"])
    drawn = np.hstack([fit.posterior[name].to_numpy().reshape(4000, -1) for name in ("sd", "res", "mu", "per_visit")])
    np.testing.assert_allclose((drawn.mean(axis=0) - centre) / spread, 0, atol=0.07)
    assert fit.posterior.sizes["subject"] == 9 and fit.posterior["subject"].to_numpy().tolist() == few


# ------------------------------------------------------------------------------- programs that must not be taken for more


@pg.model(
    observes={"y": FIRST},
    estimands=[],
    reference="none",
    priors={"mu": normal(10, 5), "centre": normal(), "sd": half(3)},
)
def noise_with_a_mean_of_its_own(data, prior):
    log_res = pm.Normal("log_res", prior("centre"), 1.0)  # normal, but not linear: its exponential is an SD
    u = pm.Normal("u", prior("mu"), prior("sd"), dims="subject")
    pm.Normal("y", u[data.y.subject], pm.math.exp(log_res), observed=data.y.value, dims="y_row")


def test_a_normal_parameter_above_one_that_stays_stays_too(cohort):
    made = ready(noise_with_a_mean_of_its_own, cohort)
    assert set(made.inner.form.rest.names) == {"sd", "centre", "log_res"} and made.inner.form.linear.names == ("mu",)


@pg.model(observes={"y": FIRST}, estimands=[], reference="none",
          priors={"overall": normal(0, 0.5), "level": normal(10, 5), "slope": normal(-1, 1), "sd_slope": half(1)} | SDS)  # fmt: skip
def relative_effects_of_arms(data, prior):
    ratio = pm.Normal("ratio", prior("overall"), 0.5, dims="active_arm")
    own = prior("slope") * (1 + (data.on_arm * ratio).sum(axis=1))
    u = pm.Normal("u", prior("level"), prior("sd"), dims="subject")
    v = pm.Normal("v", own, prior("sd_slope"), dims="subject")
    pm.Normal(
        "y", u[data.y.subject] + v[data.y.subject] * data.y.month, prior("res"), observed=data.y.value, dims="y_row"
    )


def test_a_bilinear_program_with_a_parameter_above_the_product_is_fitted(cohort):
    made = ready(relative_effects_of_arms, cohort)
    stays = set(made.inner.form.rest.names)
    assert "slope" in stays or {"ratio", "overall"} <= stays


@pg.model(observes={"y": FIRST}, estimands=[], reference="none", priors={"mu": normal(10, 5)} | SDS)
def of_the_mean_of_each_patient(data, prior):
    u = pm.Normal("u", prior("mu"), prior("sd"), dims="subject")
    pm.Normal("y", u, prior("res"), observed=data.y.mean, dims="subject")


@pytest.mark.filterwarnings("ignore::progression.fitting.FitWarning")
def test_a_summary_by_patient_is_fitted_as_such_or_refused_in_words(cohort):
    """It observes something other than `data.y.value`."""
    fit, refusal = None, ""
    try:
        fit = pg.fit(of_the_mean_of_each_patient, cohort, engine="marginal", random_seed=3)
    except pg.SettingError as error:
        refusal = str(error)
    average = cohort.visits.groupby("subject")["first"].mean()
    assert 'engine="nuts"' in refusal or abs(float(fit.posterior["mu"].mean()) - average.mean()) < 0.3
