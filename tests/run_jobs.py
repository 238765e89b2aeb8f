"""Jobs for tests of runs: each replicate draws a few numbers, and some misbehave. Importable by workers.

And how these tests run them and look at what is left.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from progression.runs import run


@dataclass(frozen=True)
class Draws:
    """The mean and SD of 50 normal numbers; `spy` is a file that gets a line whenever something is prepared or run."""

    shift: float = 0.0
    spy: str | None = None
    seconds: float = 0.0

    def identity(self):
        return {"what": "draws", "shift": self.shift, "sizes": (50,)}

    def prepare(self):
        self.say(f"prepare {os.getpid()}")
        return np.linalg.cholesky(np.eye(50) + 0.5)

    def run(self, prepared, indices, seeds):
        self.say(f"run {indices[0]} {indices[-1] + 1} {os.getpid()}")
        made = []
        for index, seed in zip(indices, seeds, strict=True):
            self.before(index)
            time.sleep(self.seconds)
            x = self.shift + prepared @ np.random.default_rng(seed).normal(size=50)
            made.append((x.mean(), x.std(), "odd" if index % 2 else "even"))
        return pd.DataFrame(made, columns=["mean", "sd", "kind"])

    def before(self, index):
        """What may go wrong with one replicate."""

    def say(self, line):
        if self.spy:
            with Path(self.spy).open("a") as file:
                file.write(line + "\n")


@dataclass(frozen=True)
class Raises(Draws):
    """Replicate `bad` raises, the first `times` times."""

    bad: tuple = ()
    times: int = 99

    def before(self, index):
        if index in self.bad:
            self.say(f"bad {index}")
            if self.spy is None or Path(self.spy).read_text().count(f"bad {index}\n") <= self.times:
                raise ArithmeticError(f"no mode for {index}")


@dataclass(frozen=True)
class Dies(Raises):
    """Replicate `bad` ends its process, the first `times` times."""

    def before(self, index):
        try:
            super().before(index)
        except ArithmeticError:
            os._exit(9)


@dataclass(frozen=True)
class Interrupts(Raises):
    """Replicate `bad` is where somebody presses Ctrl-C."""

    def before(self, index):
        try:
            super().before(index)
        except ArithmeticError:
            raise KeyboardInterrupt from None


def go(job, n=40, **how):
    return run(job, n, **({"chunk": 10, "random_seed": 7, "progressbar": False} | how))


def same(found, wanted):
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def chunks(path):
    return sorted((path / "chunks").iterdir())


def lines(spy, word):
    return [line for line in Path(spy).read_text().splitlines() if line.startswith(word)]


def log(path, event):
    entries = [json.loads(line) for line in (path / "log").read_text().splitlines()]
    return [one for one in entries if one["event"] == event]
