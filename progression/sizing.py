"""find_n: the smallest trial that meets a target, from simulated trials of several sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from progression.characteristics import OperatingCharacteristics
from progression.design import Design
from progression.faults import Fault, SettingError, check_count, check_probability, setting_fault
from progression.modeling import Model
from progression.operating import Truth, power
from progression.rules import Rule
from progression.run_identity import run_seed
from progression.size_curve import SizeCurve, fitted_curve

__all__ = ["SampleSize", "find_n", "sized"]

_ROUNDS = 8
_CLOSE = 6  # of the Monte Carlo interval, the part within which a size counts as simulated
_COARSE = 12  # an allocation such as 17:47 repeats only every 64 patients: then any number of them will do


@dataclass(frozen=True, eq=False, repr=False)
class SampleSize:
    """The smallest number of patients that meets a target. Made by `find_n`.

    Attributes
    ----------
    n : int
        Patients of all arms, historical controls not counted.
    lower, upper : int or None
        Sizes between which the true smallest one lies, with 95 % confidence in the simulations; None where they do not say.
    nearest : int
        The size simulated that lies nearest to it.
    target : float
    rule : Rule
    design : Design
        Of that size.
    table : DataFrame
        One row a size that was run: `OperatingCharacteristics.table` by ``n``.
    runs : mapping of int to OperatingCharacteristics
    curve : SizeCurve
        Called with sizes, gives the probability of success.
    notes : tuple of str
    """

    n: int
    lower: int | None
    upper: int | None
    nearest: int
    target: float
    rule: Rule
    design: Design
    table: pd.DataFrame
    runs: Mapping[int, OperatingCharacteristics]
    curve: SizeCurve
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        arms = " + ".join(f"{n} {arm}" for arm, n in self.design.arms.items())
        row = self.table.loc[self.nearest]
        between = (
            "" if self.lower is None or self.upper is None else f" ({self.lower} to {self.upper} by Monte Carlo error)"
        )
        lines = [f"{self.n} patients{between}: {arms}",
                 f"  for {row['what']} of {self.target:g}; {self.rule}",
                 f"  with {self.nearest} patients {row['success']:.3f} ({row['lower']:.3f} to {row['upper']:.3f}) in {row['trials']:,.0f} "
                 "SIMULATED trials" + (f", closed form {row['closed_form']:.3f}" if np.isfinite(row["closed_form"]) else "")]  # fmt: skip
        lines.append("  sizes run: " + ", ".join(f"{n} ({p:.3f})" for n, p in self.table["success"].items()))
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def find_n(
    design: Design | Callable[[int], Design], model: str | Model, rule: Rule, *, truth: Truth, target: float = 0.8,
    n_trials: int = 2000, largest: int = 5000, random_seed: int | None = None, path: str | Path | None = None, **settings: Any,
) -> SampleSize:  # fmt: skip
    """The smallest number of patients with which a rule is met often enough.

    Parameters
    ----------
    design : Design, or function of n that returns one
        Its arms are made larger or smaller in the allocation it has; all else stays, so that accrual at a given rate takes longer.
        A function decides by itself what a trial of n patients is, such as one that adds to the treated arm alone.
    model, rule
        As in `power`.
    truth : mapping, Fit or Patients
        The effect to be found; a fit, or priors among the parameters, for assurance.
    target : float
        Probability of success.
    n_trials : int
        For each size.
    largest : int
        The search gives up there.
    random_seed : int, optional
        Sizes have seeds of their own that follow from it.
    path : str or path, optional
        A folder that keeps a run for each size, and from which the search goes on.
    **settings
        All others of `power`.

    Returns
    -------
    SampleSize

    Raises
    ------
    SettingError
        With every fault of the settings; or where no size up to `largest` meets the target.

    Notes
    -----
    The search starts from the closed form where there is one. A probit line in the square root of n, which is the law of a normal estimate
    under a wide prior, is fitted to all sizes run within a factor of two of the solution, and solved for the target; the solution is
    simulated in turn, until it lies as near to a size that was simulated as Monte Carlo error can tell.
    """
    chosen, unit = _checked(design, rule, target, n_trials, largest)
    folder = None if path is None else Path(path)
    seed = _seed(random_seed, folder)
    runs: dict[int, OperatingCharacteristics] = {}

    def simulated(n: int) -> None:
        runs[n] = power(chosen(n), model, rule, truths={"truth": truth}, n_trials=n_trials, random_seed=seed + n,
                        path=None if folder is None else folder / f"n{n:05d}", **settings)  # fmt: skip

    n = _start(design, unit, largest)
    simulated(n)
    n = _from_closed_form(runs[n], n, target, unit, largest)
    for _ in range(_ROUNDS):
        if n not in runs:
            simulated(n)
        found = _curve(runs, n)
        _check_reachable(runs[n], n, largest, target)
        solution = _rounded(min(max(found.solved(target), n / 4), n * 4, largest), unit)
        lower, upper = (None if one is None else _rounded(one, unit) for one in found.limits(target))
        near = unit if lower is None or upper is None else max((upper - lower) / _CLOSE, unit)
        if min(abs(solution - one) for one in runs) <= near:
            break
        n = solution
    nearest = min(runs, key=lambda one: abs(one - solution))
    table = pd.concat({one: runs[one].table for one in sorted(runs)}, names=["n"]).droplevel(
        ["design", "truth", "rule"]
    )
    return SampleSize(
        solution, lower, upper, nearest, target, rule, chosen(solution), table, runs, found, runs[nearest].notes
    )


def sized(design: Design, n: int) -> Design:
    """A design with n patients in all, shared between its arms as they are now; what is left over goes to the largest remainders.

    Raises
    ------
    SettingError
        With every fault of the design that comes of it, such as an arm without patients.
    """
    shares = np.array(list(design.arms.values())) / design.n_patients * n
    sizes = np.floor(shares + 1e-9).astype(int)
    sizes[np.argsort(sizes - shares, kind="stable")[: n - sizes.sum()]] += 1
    return replace(design, arms=dict(zip(design.arms, map(int, sizes), strict=True)))


def _checked(design: Any, rule: Any, target: float, n_trials: int, largest: int) -> tuple[Callable[[int], Design], int]:
    """How to make a design of n patients, and in what steps."""
    faults: list[Fault] = []
    if not isinstance(rule, Rule):
        faults.append(
            setting_fault("rule", type(rule).__name__, "is no Rule", "give one: a size is found for one rule")
        )
    if not isinstance(design, Design) and not callable(design):
        faults.append(setting_fault("design", type(design).__name__, "is neither a Design nor a function of n that returns one",
                                    "make one: pg.Design(arms=..., visits_weeks=...)"))  # fmt: skip
    for check in (
        lambda: check_probability("target", target),
        lambda: check_count("n_trials", n_trials),
        lambda: check_count("largest", largest),
    ):
        try:
            check()
        except SettingError as error:
            faults += error.faults
    if faults:
        raise SettingError(faults)
    if not isinstance(design, Design):
        return design, 1
    sizes = list(design.arms.values())
    step = sum(sizes) // math.gcd(*sizes)
    return (lambda n: sized(design, n)), step if step <= _COARSE else 1


def _seed(given: int | None, folder: Path | None) -> int:
    """That of the search; each size's own is so much larger as it has patients."""
    kept = sorted(folder.glob("n[0-9]*/run.json")) if folder is not None and given is None else []
    return run_seed(given, kept[0].parent) - int(kept[0].parent.name[1:]) if kept else run_seed(given, None)


def _start(design: Any, unit: int, largest: int) -> int:
    n = design.n_patients if isinstance(design, Design) else 100
    return _rounded(min(n, largest), unit)


def _rounded(n: float, unit: int) -> int:
    return max(math.ceil(n / unit - 1e-9) * unit, 2 * unit)


def _from_closed_form(run: OperatingCharacteristics, n: int, target: float, unit: int, largest: int) -> int:
    """Where the closed form meets the target; where there is none, the size that was run."""
    inside = next(iter(run.screens.values()), None)
    if inside is None or inside.mean() <= 0:
        return n
    grid = np.arange(unit, largest + unit, unit)
    z = stats.norm.isf(1 - run.rules[0].probability)
    enough = [stats.norm.cdf(inside * np.sqrt(one / n) - z).mean() >= target for one in grid]
    return _rounded(float(grid[int(np.argmax(enough))]), unit) if any(enough) else n


def _curve(runs: Mapping[int, OperatingCharacteristics], n: int) -> SizeCurve:
    near = {one: run.table.iloc[0] for one, run in runs.items() if n / 2 <= one <= n * 2}
    return fitted_curve({one: (round(row["success"] * row["trials"]), int(row["trials"])) for one, row in near.items()},
                        next(iter(runs.values())).rules[0].probability)  # fmt: skip


def _check_reachable(run: OperatingCharacteristics, n: int, largest: int, target: float) -> None:
    row = run.table.iloc[0]
    if row["what"] == "type I error":
        raise SettingError([setting_fault("truth", f"{row['true']:g}", f"makes {run.statements[0]!r} false: more patients do not help",
                                          "give a truth with an effect")])  # fmt: skip
    if row["true_share"] <= target:
        raise SettingError([setting_fault("target", target, f"is out of reach: the statement is true of {row['true_share']:.0%} of the truths that "
                                          "trials are drawn from", "ask for less, or give a truth with more of an effect")])  # fmt: skip
    if n >= largest and row["upper"] < target:
        raise SettingError([setting_fault("largest", largest, f"patients succeed in {row['success']:.1%} of trials, and {target:.0%} was asked for",
                                          "raise largest, or change the design")])  # fmt: skip
