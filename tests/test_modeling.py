"""Priors are values that cannot be wrong silently; a model's definition is checked where it is made."""

import pickle

import numpy as np
import pymc as pm
import pytest

import progression as pg
from progression.encoding import encode
from progression.engines.program import build
from progression.faults import SettingError
from progression.modeling import prior_names

SCORE = pg.Outcome("alsfrsr", unit="points")


def level_only(data, prior):
    """A level and nothing else."""
    mean = prior("mean")
    pm.Normal("score", mean, prior("sd"), observed=data.score.value, dims="score_row")


def _mean(posterior, facts):
    return posterior["mean"]


MEAN = pg.Estimand("mean", _mean, label="mean, points", unit="points", scale="direct", reference="none", null=None,
                   benefit="higher", population="population-averaged")  # fmt: skip
PRIORS = {"mean": pg.Prior("Normal", mu=30, sigma=10), "sd": pg.Prior("HalfNormal", sigma=5)}


def define(program=level_only, **how):
    facts = {"observes": {"score": SCORE}, "priors": PRIORS, "estimands": [MEAN], "reference": "none"}
    return pg.model(**(facts | how))(program)


@pytest.mark.parametrize(
    ("distribution", "parameters", "what"),
    [
        ("HalfNormal", {"sigma": -1}, "must be above zero"),
        ("HalfNormal", {"sigma": 0}, "must be above zero"),
        ("Normal", {"mu": float("nan"), "sigma": 1}, "is not a number"),
        ("Normal", {"mu": float("inf"), "sigma": 1}, "is infinite"),
        ("Normal", {"mu": "0", "sigma": 1}, "is not a number"),
        ("Normal", {"mu": True, "sigma": 1}, "is not a number"),
        ("Normal", {"mu": None, "sigma": 1}, "is not a number"),
        ("Uniform", {"lower": 1, "upper": 1}, "out of order"),
        ("Uniform", {"lower": 2, "upper": 1}, "out of order"),
        ("Exponential", {"lam": -0.5}, "must be above zero"),
        ("StudentT", {"nu": 0, "mu": 0, "sigma": 1}, "must be above zero"),
        ("Gamma", {"alpha": 1, "beta": -1}, "must be above zero"),
    ],
)
def test_impossible_priors_are_refused(distribution, parameters, what):
    with pytest.raises(SettingError, match=what) as caught:
        pg.Prior(distribution, **parameters)
    assert distribution in str(caught.value) and len(caught.value.faults) == 1


def test_all_faults_of_a_prior_at_once():
    with pytest.raises(SettingError) as caught:
        pg.Prior("Normal", mu=float("nan"), sigma=-1)
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize("number", [np.float64(1), 1])
def test_numbers_are_numbers(number):
    assert pg.Prior("Normal", mu=number, sigma=1) == pg.Prior("Normal", mu=1, sigma=1)


@pytest.mark.parametrize("number", [np.int64(1), np.float32(1)])
def test_numpy_numbers_are_numbers(number):
    assert pg.Prior("Normal", mu=number, sigma=1) == pg.Prior("Normal", mu=1, sigma=1)


def test_a_prior_is_a_value():
    prior = pg.Prior("TruncatedNormal", mu=0, sigma=1.5, lower=0, upper=float("inf"))
    assert repr(prior) == "TruncatedNormal(mu=0, sigma=1.5, lower=0, upper=inf)"
    again = pickle.loads(pickle.dumps(prior))
    assert again == prior and hash(again) == hash(prior) and again is not prior
    other = pg.Prior("TruncatedNormal", lower=0, upper=float("inf"), sigma=1.5, mu=0)
    assert hash(other) == hash(prior) and other == prior
    assert pg.Prior("Normal", mu=0, sigma=1) != pg.Prior("Normal", mu=0, sigma=2)
    assert pg.Prior("Normal", mu=0, sigma=1) != pg.Prior("LogNormal", mu=0, sigma=1)
    with pytest.raises(AttributeError):
        prior.distribution = "Normal"
    with pytest.raises(TypeError):
        prior.parameters["mu"] = 3


def test_a_prior_makes_its_variable():
    with pm.Model(coords={"arm": ["a", "b"]}):
        variable = pg.Prior("Normal", mu=5, sigma=0.001).to_pymc("x", dims="arm")
    draws = pm.draw(variable, 20, random_seed=1)
    assert draws.shape == (20, 2) and np.allclose(draws, 5, atol=0.01)


@pytest.mark.parametrize(("prior", "what"), [(pg.Prior("Norml", mu=0), "is not a distribution"),
                                             (pg.Prior("SkewNormal", mu=0, wrong=1), "is not a parameter of SkewNormal")])  # fmt: skip
def test_unknown_distributions_and_parameters_are_refused_where_they_are_built(prior, what):
    with pm.Model(), pytest.raises(SettingError, match=what) as caught:
        prior.to_pymc("mean_slope")
    assert "mean_slope" in str(caught.value)


@pytest.mark.parametrize(
    ("distribution", "parameters"), [("HalfNormal", {"sgma": 0.1}), ("Normal", {"mu": 0, "sd": 0.1})]
)
def test_a_misspelt_parameter_is_refused(distribution, parameters):
    with pytest.raises(SettingError), pm.Model():
        pg.Prior(distribution, **parameters).to_pymc("x")


def test_a_good_definition():
    made = define(presets={"trial": {"mean": pg.Prior("Normal", mu=40, sigma=1)}}, options={"joints": 28})
    assert made.name == "level_only" and made.title == "A level and nothing else."
    assert made.observes == {"score": (SCORE,)} and made.outcomes == (SCORE,)
    assert prior_names(level_only) == {"mean", "sd"}
    assert made.with_priors("trial")["mean"].parameters["mu"] == 40 and made.with_priors("trial")["sd"] is PRIORS["sd"]
    assert made.with_priors({"sd": pg.Prior("HalfNormal", sigma=1)})["mean"] is PRIORS["mean"]
    assert made.with_options({"joints": 66}) == {"joints": 66}
    for text in ("mean ~ Normal(mu=30, sigma=10)", "estimand   mean", "joints = 28", "reference  none"):
        assert text in repr(made)
    assert define(name="other", title="Words").name == "other"


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"priors": {"mean": PRIORS["mean"]}}, r"prior\('sd'\) is asked for but not declared"),
        ({"priors": {**PRIORS, "slope": PRIORS["mean"]}}, "'slope' is declared but never asked for"),
        ({"estimands": [MEAN, MEAN]}, "declared twice"),
        ({"needs": ("basline",)}, "needs is unknown"),
        ({"observes": {}}, "observes nothing"),
        ({"presets": {"trial": {"slop": PRIORS["mean"]}}}, "preset 'trial' names a prior that is not declared"),
    ],
)
def test_faulty_definitions_are_refused(facts, what):
    with pytest.raises(SettingError, match=what):
        define(**facts)


def test_all_faults_of_a_definition_at_once():
    with pytest.raises(SettingError) as caught:
        define(priors={"mean": PRIORS["mean"], "slope": PRIORS["mean"]}, needs=("x",), estimands=[MEAN, MEAN])
    assert len(caught.value.faults) == 4


def sourceless(text):
    space = {"pm": pm}
    exec(text, space)
    return space["program"]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("pm.Normal('score', prior('mean'), prior('sdd'), observed=data.score.value)", r"prior\('sdd'\).*did you mean 'sd'"),
        ("pm.Normal('score', prior('mean'), 1, observed=data.score.value)", "'sd' that its program never asks for"),
        ("pm.Normal('x', prior('mean'), prior('sd'), observed=data.score.value)", "no observed variable named 'score'"),
        ("pm.Normal('score', prior('mean'), prior('sd'), observed=data.score.valeu)", "data.score.valeu does not exist.*'value'"),
        ("pm.Normal('score', prior('mean'), prior('sd'), observed=data.on_am)", "data.on_am does not exist.*'on_arm'"),
    ],
)  # fmt: skip
def test_a_program_without_source_is_checked_when_built(lines, what, als):
    program = sourceless(f"def program(data, prior):\n    {lines}")
    assert prior_names(program) is None
    made = define(program)
    with pytest.raises(SettingError, match=what):
        build(made, encode(made, als), made.priors)


def test_unknown_names_suggest_the_nearest():
    made = define(presets={"healey": {"mean": PRIORS["mean"]}}, options={"joints": 28})
    for ask, nearest in (
        (lambda: made.with_priors("haeley"), "did you mean 'healey'"),
        (lambda: made.with_priors({"meen": PRIORS["mean"]}), "did you mean 'mean'"),
        (lambda: made.with_options({"joint": 3}), "did you mean 'joints'"),
        (lambda: made.estimand("maen"), "did you mean 'mean'"),
    ):
        with pytest.raises(SettingError, match=nearest):
            ask()
    with pytest.raises(SettingError, match="is not a Prior") as caught:
        made.with_priors({"mean": 3, "sd": "HalfNormal", "x": PRIORS["mean"]})
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize(("prior", "refused"), [
    (pg.Prior("Normal", mu=0, sigma=1), True), (pg.Prior("Uniform", lower=-1, upper=1), True), (pg.Prior("Uniform", lower=0, upper=1), False),
    (pg.Prior("TruncatedNormal", mu=1, sigma=1, lower=0), False), (pg.Prior("Gamma", alpha=2, beta=1), False),
])  # fmt: skip
def test_a_prior_of_an_sd_lies_above_zero(prior, refused):
    model = pg.models()["als_slope"]
    if not refused:
        assert model.with_priors({"sd_slope": prior})["sd_slope"] is prior
        return
    with pytest.raises(SettingError, match="'sd_slope' of model 'als_slope' lies above zero") as caught:
        model.with_priors({"sd_slope": prior})
    assert "TruncatedNormal" in str(caught.value)


def test_a_coefficient_may_be_of_either_sign():
    """A loading has a default above zero, and is no SD."""
    assert pg.models()["sle_activity"].with_priors({"flare_loading": pg.Prior("Normal", mu=0, sigma=1)})


def test_a_prior_of_a_share_lies_between_zero_and_one():
    shared = [
        (m, name) for m in pg.models().values() for name, prior in m.priors.items() if prior.distribution == "Beta"
    ]
    assert shared
    for model, name in shared:
        with pytest.raises(SettingError, match="between 0 and 1"):
            model.with_priors({name: pg.Prior("HalfNormal", sigma=0.1)})
        assert model.with_priors({name: pg.Prior("Uniform", lower=0.1, upper=0.2)})
