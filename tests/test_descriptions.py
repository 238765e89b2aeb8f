"""What a run is known by: alike for the same thing made twice, different for two things that give different results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from dataclasses import replace

import numpy as np
import pandas as pd
import pymc as pm
import pytest

import progression as pg
from progression.decisions import Statement
from progression.descriptions import described

SCORE = pg.Outcome("score", unit="points")


def own(sd=1.0, factor=2.0, shift=0.0, label="mean"):
    """A model of a user's; what differs between two of them is in no text of the program."""

    def mean(posterior, facts):
        return factor * posterior["mean"]

    @pg.model(observes={"score": SCORE}, priors={"mean": pg.Prior("Normal", mu=0, sigma=sd)}, reference="none",
              estimands=[pg.Estimand("mean", mean, label=label, unit="points", scale="direct", reference="none", null=None, benefit=None,
                                     population="population-averaged")])  # fmt: skip
    def mine(data, prior):
        pm.Normal("score", prior("mean") + shift, 1.0, observed=data.score.value, dims="score_row")

    return mine


def typed(text):
    """A function typed at a prompt: there is no file to read its source from."""
    made = {}
    exec(text, made)
    return made["f"]


class Odd:
    """Somebody else's prior, whose repr is its address."""

    def __init__(self, scale):
        self.scale = scale

    def to_pymc(self, name, **kwargs):
        return pm.HalfNormal(name, self.scale, **kwargs)


ALIKE = {
    "numbers": lambda: {"a": 1, "b": np.float64(2.5), "c": np.array([1, 2.0])},
    "priors": lambda: pg.Prior("Normal", mu=0, sigma=0.123456789),
    "a model of a user": own,
    "a prior of another library": lambda: Odd(2.0),
    "a typed function": lambda: typed("def f(x):\n    return x in {'a', 'b', 'c'} and 2.0 * x"),
    "a lambda": lambda: lambda x: x + 1,
    "an outcome": lambda: [pg.Outcome("crp", detection_limit=0.8)],
    "a way of borrowing": lambda: pg.RobustMAP(scale=0.2),
    "statements": lambda: (Statement("drr", "<", 1.0, (("arm", "high"),)),),
    "patients": lambda: pg.Patients(pg.datasets.sle_anakinra(), slowing={"treated": 0.3}),
}


@pytest.mark.parametrize("make", ALIKE.values(), ids=ALIKE)
def test_the_same_made_twice_is_the_same(make):
    first, second = json.dumps(described(make())), json.dumps(described(make()))
    assert first == second and " at 0x" not in first


def test_equal_numbers_are_one():
    assert json.dumps(described({"drr": 1, "n": 3})) == json.dumps(described({"drr": 1.0, "n": np.int64(3)}))
    assert described(True) is True and described(1) is not True
    assert described((1, 2.5)) == described(np.array([1, 2.5])) == described(pd.Series([1, 2.5])) == [1, 2.5]
    assert described(np.float64(0.5)) == 0.5 == described(np.array(0.5))


close = 1 + 1e-9  # what a repr with six digits does not see
DIFFERENT = {
    "a prior's seventh digit": (pg.Prior("Normal", mu=0, sigma=1), pg.Prior("Normal", mu=0, sigma=close)),
    "a statement's": (Statement("drr", "<", 1.0), Statement("drr", "<", close)),
    "a statement's direction": (Statement("drr", "<", 1.0), Statement("drr", "<=", 1.0)),
    "a statement's labels": (Statement("drr", "<", 1.0, (("arm", "low"),)), Statement("drr", "<", 1.0, (("arm", "high"),))),
    "a long series of values": (pd.Series(np.arange(100.0)), pd.Series(np.where(np.arange(100) == 50, 0, np.arange(100.0)))),
    "a model's priors": (own(), own(sd=2.0)),
    "what its program closes over": (own(), own(shift=0.1)),
    "what its estimand closes over": (own(), own(factor=3.0)),
    "its sampler": (own(), replace(own(), sampling={"target_accept": 0.99})),
    "a number in a typed function": (typed("def f(x):\n    return 2.0 * x"), typed("def f(x):\n    return 3.0 * x")),
    "a function that it calls": (typed("def g(x):\n    return x + 1\ndef f(x):\n    return g(x)"),
                                 typed("def g(x):\n    return x - 1\ndef f(x):\n    return g(x)")),
    "two lambdas of a line": (lambda x: x + 1, lambda x: x - 1),
    "a default": (typed("def f(x, y=1):\n    return x"), typed("def f(x, y=2):\n    return x")),
    "a prior of another library": (Odd(2.0), Odd(2.1)),
    "an outcome's limit": (pg.Outcome("crp", detection_limit=0.8), pg.Outcome("crp", detection_limit=0.4)),
    "a weight of a mixture": (pg.RobustMAP(scale=0.2), pg.RobustMAP(scale=0.2, weight=0.3)),
    "a library's function": (np.sort, np.argsort),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_two_things_are_two(one, other):
    assert json.dumps(described(one)) != json.dumps(described(other))


def test_patients_by_all_their_settings():
    cohort = pg.datasets.sle_anakinra()
    made = [pg.Patients(cohort), pg.Patients(cohort, change_per_month=0.1), pg.Patients(cohort, slowing=0.1),
            pg.Patients(cohort, matched=False), pg.Patients(cohort, outcome="crp_mg_dl")]  # fmt: skip
    assert len({json.dumps(described(one)) for one in made}) == len(made)


def test_fits_by_their_draws_and_labels(fake_fit, als):
    fit = fake_fit("als_slope", als)
    again, other = fake_fit("als_slope", als), fake_fit("als_slope", als, random_seed=2)
    assert described(fit) == described(again) != described(other)
    dims = fit.posterior["slope_effect"].dims
    labels = fit.idata.copy()
    labels["posterior"] = labels["posterior"].to_dataset().assign_coords({dims[-1]: ["another"]})
    assert described(fit) != described(replace(fit, idata=labels))


def test_a_shelf_is_known_by_name_and_what_is_registered_by_content(own_registry):
    assert described(pg.models()["als_slope"]) == "als_slope"
    pg.register(own())
    first = described(pg.models()["mine"])
    pg.register(own(shift=0.1))
    assert first["model"] == "mine" and described(pg.models()["mine"]) != first


def test_functions_that_call_each_other_end():
    loop = typed("def g(x):\n    return f(x)\ndef f(x):\n    return g(x) if x else 0")
    assert described(loop) == described(typed("def g(x):\n    return f(x)\ndef f(x):\n    return g(x) if x else 0"))
    here = types.SimpleNamespace()
    here.me = here
    assert described(here)["me"] == "the same again"


@pytest.mark.slow
def test_the_same_in_another_process():
    """Where texts hash otherwise, so that sets have another order."""
    text = "def f(x):\n    return x in {'a', 'b', 'c', 'd', 'e'}"
    code = f"from progression.descriptions import described\nmade = {{}}\nexec({text!r}, made)\nprint(described(made['f']))"
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == described(typed(text))
