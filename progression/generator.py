"""A program run forwards with its parameters given: complete data of many trials in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.pytensorf import find_rng_nodes
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import toposort
from pytensor.tensor.random.op import RandomVariable

from progression.encoding import Encoded
from progression.engines.program import build
from progression.modeling import Model

__all__ = ["BLOCK", "ONSET", "Complete", "Generator", "generator", "stream"]

# Trials drawn together: fixed, so that a trial is the same whatever else is asked for.
BLOCK = 64

# Interpreted: a pass handles a block, and compiling would cost more than a thousand passes.
_MODE = "FAST_COMPILE"

# What a program calls a patient's own course and the onset of antibodies; a rate is one of loss.
_SLOPES, ONSET = {"slope": 1.0, "rate": -1.0}, "onset"


@dataclass(frozen=True, eq=False)
class Complete:
    """What would be seen of a block of trials if nothing happened to them.

    Attributes
    ----------
    scores : mapping of str to array, shape (trials, subjects, visits)
        By outcome.
    events : mapping of str to array, shape (trials, subjects)
        Months to each event that the program has; infinite where it does not come within the planned follow-up.
    slope, onset : array, shape (trials, subjects), or None
        Each subject's own slope (higher is slower decline) and month of onset, where the program has them.
    left : array, shape (trials, subjects), or None
        Month at which each leaves by itself, where that is known: real patients.
    """

    scores: Mapping[str, np.ndarray]
    events: Mapping[str, np.ndarray]
    slope: np.ndarray | None
    onset: np.ndarray | None
    left: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Generator:
    """A program whose population parameters are inputs with a leading dim of trials.

    Attributes
    ----------
    model : Model
    encoded : Encoded
        Subjects and planned rows, unpadded.
    dims : mapping of str to tuple of str
        Dims of each population parameter.
    effects : tuple of str
        The subjects' own effects that the program names.
    """

    model: Model
    encoded: Encoded
    dims: Mapping[str, tuple[str, ...]]
    effects: tuple[str, ...]
    _run: Callable[..., list[np.ndarray]]

    @property
    def slope(self) -> str | None:
        """The program's name for a subject's own slope, None where it has none."""
        return next((name for name in _SLOPES if name in self.effects), None)

    def draw(self, parameters: Mapping[str, np.ndarray], seed: np.random.SeedSequence) -> Complete:
        """Complete data of a block of trials, each with parameters of its own, (trials, ...)."""
        size = len(next(iter(parameters.values())))
        values = self._run(seed, np.zeros(size, np.int8), *(parameters[name] for name in self.dims))
        found = dict(zip((*self.encoded.observed, *self.effects), values, strict=True))
        n, scores = self.encoded.n_subjects, {}
        for block, members in self.encoded.blocks.items():
            which = self.encoded.arrays[f"{block}_outcome"][1]
            for index, outcome in enumerate(members):
                scores[outcome.name] = found[block][:, which == index].reshape(size, n, -1).astype(float)
        events = {name: self.encoded.times(name, np.asarray(found[name], float)) for name in self.encoded.events}
        slope = None if self.slope is None else _SLOPES[self.slope] * found[self.slope]
        return Complete(scores, events, slope, found.get(ONSET))


def generator(model: Model, encoded: Encoded) -> Generator:
    """Make a generator of a model's program: ``pm.do`` fixes the population, and every graph is given a dim of trials.

    Parameters
    ----------
    model : Model
    encoded : Encoded
        Of the schedule, unpadded.
    """
    built = build(model, _uninformed(encoded), model.priors).model
    dims = {rv.name: tuple(built.named_vars_to_dims.get(rv.name) or ()) for rv in built.free_RVs}
    dims = {name: own for name, own in dims.items() if "subject" not in own}
    fixed = pm.do(built, {name: np.zeros([len(built.coords[dim] or ()) for dim in own]) for name, own in dims.items()})
    effects = tuple(one.name for one in fixed.deterministics
                    if one.name in (*_SLOPES, ONSET) and tuple(fixed.named_vars_to_dims.get(one.name) or ()) == ("subject",))  # fmt: skip
    trials, nothing = pt.vector("trials", dtype="int8"), pt.scalar("nothing", dtype="int8")
    inputs = {name: pt.tensor(name, shape=(None, *fixed[name].type.shape), dtype="float64") for name in dims}
    wanted = [fixed[name] for name in (*encoded.observed, *effects)]
    graphs = vectorize_graph(
        _by_trial(wanted, nothing), {nothing: trials, **{fixed[name]: one for name, one in inputs.items()}}
    )
    return Generator(model, encoded, dims, effects, seeded([trials, *inputs.values()], graphs))


def seeded(inputs: Sequence[Any], outputs: Sequence[Any]) -> Callable[..., list[np.ndarray]]:
    """Compile graphs with random variables into a function of a seed and of the inputs."""
    run = pm.compile(list(inputs), list(outputs), mode=_MODE, random_seed=0, on_unused_input="ignore")
    sources = find_rng_nodes(list(outputs))

    def call(seed: np.random.SeedSequence, *values: np.ndarray) -> list[np.ndarray]:
        for source, own in zip(sources, seed.spawn(len(sources)), strict=True):
            source.set_value(np.random.Generator(np.random.PCG64(own)), borrow=True)
        found: list[np.ndarray] = run(*values)
        return found

    return call


def stream(random_seed: int, block: int, purpose: int) -> np.random.SeedSequence:
    """Random numbers for one purpose in one block of trials, from these three numbers alone."""
    return np.random.SeedSequence([random_seed, block, purpose])


def _by_trial(outputs: Sequence[Any], nothing: Any) -> list[Any]:
    """The same graphs with `nothing`, a zero, added to the first parameter of every random variable.

    A random variable gets the dim of trials from its parameters. One whose parameters are all fixed, or whose first is data, would
    be drawn once for all trials.
    """
    memo: dict[Any, Any] = {}
    for node in toposort(list(outputs)):
        inputs = [memo.get(one, one) for one in node.inputs]
        if isinstance(node.op, RandomVariable):
            inputs[2] = inputs[2] + nothing  # after the source of random numbers and the size
            made = node.op.make_node(*inputs)
        else:
            made = node.clone_with_new_inputs(inputs)
        memo |= dict(zip(node.outputs, made.outputs, strict=True))
    return [memo.get(one, one) for one in outputs]


def _uninformed(encoded: Encoded) -> Encoded:
    """The coding without what rows say of their subjects: it only chooses coordinates to sample in, and there are no values yet."""
    arrays = dict(encoded.arrays)
    for block in encoded.blocks:
        for name, (dims, array) in encoded.arrays.items():
            if name.startswith(f"{block}_") and dims[0] == "subject":
                arrays[name] = (dims, np.zeros_like(array))
    return Encoded(
        coords=encoded.coords, arrays=arrays, blocks=encoded.blocks, n_padded=encoded.n_padded, events=encoded.events
    )
