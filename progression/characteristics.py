"""OperatingCharacteristics: how often a rule is met under each design and truth, with the Monte Carlo error of every figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from progression.decisions import Statement, Stopped, stopped
from progression.design import Design
from progression.faults import SettingError, check_probability, setting_fault
from progression.rules import Rule
from progression.runs import Records

__all__ = ["OperatingCharacteristics", "wilson"]

_INDEX = ["design", "truth", "rule"]
_HIGHEST = 1 - 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class OperatingCharacteristics:
    """What a rule does under designs and truths, from simulated trials. Made by `power` and `assurance`.

    Attributes
    ----------
    rules : tuple of Rule
    designs : mapping of str to Design
    cells : tuple of (str, str)
        Labels of design and truth.
    statements : tuple of Statement
    quantities : tuple of (str, labels)
        Estimands recorded, one component of each.
    screens : mapping of (design, truth, Statement) to array
        Where a closed form exists: how many standard errors the truth lies inside the statement, for one truth or for many.
    records : Records
        One row a trial, cell and analysis.
    settings : mapping
        Of the analysis.
    notes : tuple of str
        What to know when reading the figures.
    wording : mapping of str to (str, str)
        Label and unit of each estimand in `quantities`; arms and visits are left open in the label.
    """

    rules: tuple[Rule, ...]
    designs: Mapping[str, Design]
    cells: tuple[tuple[str, str], ...]
    statements: tuple[Statement, ...]
    quantities: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]
    screens: Mapping[tuple[str, str, Statement], np.ndarray]
    records: Records
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    wording: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a design, truth and rule.

        Columns: ``what`` ("type I error" where the rule's statement is false of the truth, "power" where it is true, "assurance" where
        the truth varies, "success" where it is not known); ``success`` with its Monte Carlo error ``se`` and Wilson interval ``lower``,
        ``upper``; ``closed_form``; ``true`` (mean true value), ``estimate``, ``bias``, ``coverage``, ``width``, ``posterior_sd`` and
        ``estimate_sd`` (between trials) of the estimand at the analysis that decided, with the errors ``bias_se``, ``coverage_se``;
        ``stop_success``, ``stop_futility`` (shares stopped at looks); ``patients`` and ``months`` until the decision, with ``patients_se``,
        ``months_se``; ``trials``, ``failed``, ``flagged``, ``by_nuts``; ``if_flagged_fail``, ``if_flagged_succeed``: success with every failed
        or flagged trial counted as a failure, or as a success; ``true_share``, ``success_if_true``, ``success_if_false``.
        """
        rows = [
            self._row(number, index, rule) for number in range(len(self.cells)) for index, rule in enumerate(self.rules)
        ]
        return pd.DataFrame(rows).set_index(_INDEX)

    @cached_property
    def by_look(self) -> pd.DataFrame:
        """One row a design, truth, rule and analysis.

        Columns: ``month`` and ``patients`` at it, on average over all trials; shares of trials that it ``decided``, for ``success``, for
        ``futility``; ``final``: whether it is the end, where what it decided and is no success is a failure.
        """
        rows = []
        for number, (design, truth) in enumerate(self.cells):
            for index, rule in enumerate(self.rules):
                ended, month, enrolled = (
                    self.ended(number, index),
                    self._wide(number, "month"),
                    self._wide(number, "enrolled"),
                )
                for look in range(month.shape[1]):
                    here = ended.at == look
                    rows.append({"design": design, "truth": truth, "rule": repr(rule), "look": look + 1,
                                 "month": month[:, look].mean(), "patients": enrolled[:, look].mean(), "decided": here.mean(),
                                 "success": (here & ended.success).mean(), "futility": (here & (ended.early == "futility")).mean(),
                                 "final": look == month.shape[1] - 1})  # fmt: skip
        return pd.DataFrame(rows).set_index([*_INDEX, "look"])

    def ended(self, cell: int, rule: int = 0) -> Stopped:
        """How each trial of a cell ended, in the order of its number, under one of the rules."""
        probability = {one: self._wide(cell, f"p_{i}") for i, one in enumerate(self.statements)}
        design = self.designs[self.cells[cell][0]]
        return stopped(self.rules[rule], design.looks, probability)

    def estimates(self, design: str | None = None, truth: str | None = None, *, rule: int = 0) -> pd.DataFrame:
        """Each trial at the analysis that decided: estimate (posterior mean), sd, lower, upper, true, probability, success, month, patients.

        Parameters
        ----------
        design, truth : str, optional
            Which cells; all where omitted.
        rule : int

        Raises
        ------
        SettingError
            Where no cell has these labels.
        """
        found = [one.assign(design=labels[0], truth=labels[1]) for labels, one in self._cells_of(design, truth, rule)]
        if not found:
            raise SettingError([setting_fault(None, f"{design}, {truth}", "is no cell of this run", f"there are {'; '.join(map(', '.join, self.cells))}")])  # fmt: skip
        return pd.concat(found, ignore_index=True)

    def with_rule(self, *rules: Rule) -> OperatingCharacteristics:
        """The same trials judged by rules of other thresholds: nothing is fitted again.

        Raises
        ------
        SettingError
            Where a rule's statement was not recorded.
        """
        faults = [setting_fault("rule", repr(one), "makes a statement whose probability was not recorded in this run",
                                f"judge one of {', '.join(map(repr, self.statements))}")
                  for one in rules if Statement.of(one) not in self.statements]  # fmt: skip
        if faults or not rules:
            raise SettingError(faults or [setting_fault("rule", None, "is missing", "give one")])
        return replace(self, rules=tuple(rules))

    def calibrated(self, type_i_error: float = 0.05, *, rule: int = 0) -> Rule:
        """The rule whose final threshold holds its type I error, over all cells where its statement is false.

        Parameters
        ----------
        type_i_error : float
            One-sided.
        rule : int

        Returns
        -------
        Rule
            The smallest threshold at which no such cell has more successes; looks are applied as the designs have them.

        Raises
        ------
        SettingError
            Where no cell's truth makes the statement false, looks that stop for success exceed the error by themselves, or too few draws
        tell probabilities near 1 apart.
        """
        check_probability("type_i_error", type_i_error)
        one, thresholds = self.rules[rule], []
        for number in range(len(self.cells)):
            true = self._column(number, f"true_{self._quantity(one)}")
            if not np.isfinite(true).all() or Statement.of(one).is_true(true).any():
                continue
            ended = self.ended(number, rule)
            final = self._column(number, f"p_{self.statements.index(Statement.of(one))}")
            room = int(np.floor(type_i_error * len(final) + 1e-9)) - int((ended.early == "success").sum())
            left = np.sort(final[ended.early == ""])[::-1]
            if room < 0:
                raise SettingError([setting_fault("type_i_error", type_i_error, "is exceeded by the looks that stop for success, whatever the end says",
                                                  "ask more of them")])  # fmt: skip
            thresholds.append(float(left[room]) if room < len(left) else 0.0)
            if thresholds[-1] > _HIGHEST:
                raise SettingError([setting_fault("type_i_error", type_i_error, "is exceeded by trials whose every draw is inside the statement: no threshold parts them",
                                                  "take more draws")])  # fmt: skip
        if not thresholds:
            raise SettingError([setting_fault("rule", repr(one), "is a type I error under no truth of this run", "run it under a truth of no effect")])  # fmt: skip
        return Rule(
            one.estimand,
            one.comparison,
            one.value,
            probability=max(*thresholds, 1 - _HIGHEST),
            **dict(one.labels),
        )

    @cached_property
    def _by_cell(self) -> dict[int, pd.DataFrame]:
        return {int(number): one for number, one in self.records.table.groupby("cell", sort=True)}

    def _wide(self, cell: int, column: str) -> np.ndarray:
        """(trials, analyses) of one cell."""
        own = self._by_cell[cell]
        looks = int(own["look"].max()) + 1
        order = np.lexsort((own["look"].to_numpy(), own["replicate"].to_numpy()))
        found: np.ndarray = own[column].to_numpy()[order].reshape(-1, looks)
        return found

    def _column(self, cell: int, column: str) -> np.ndarray:
        return self._wide(cell, column)[:, -1]

    def _quantity(self, rule: Rule) -> int:
        return self.quantities.index((rule.estimand, rule.labels))

    def _cells_of(
        self, design: str | None, truth: str | None, rule: int
    ) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
        for number, labels in enumerate(self.cells):
            if design in (None, labels[0]) and truth in (None, labels[1]):
                yield labels, self._decided(number, rule)

    def _decided(self, cell: int, rule: int) -> pd.DataFrame:
        ended, which = self.ended(cell, rule), self._quantity(self.rules[rule])
        pick = (np.arange(len(ended.at)), ended.at)
        names = {f"mean_{which}": "estimate", f"sd_{which}": "sd", f"lower_{which}": "lower", f"upper_{which}": "upper", f"true_{which}": "true",
                 f"p_{self.statements.index(Statement.of(self.rules[rule]))}": "probability", "month": "month", "enrolled": "patients"}  # fmt: skip
        made = pd.DataFrame({new: self._wide(cell, old)[pick] for old, new in names.items()})
        problem, nuts = self._wide(cell, "problem"), self._wide(cell, "nuts")
        upto = np.arange(problem.shape[1]) <= ended.at[:, None]
        return made.assign(
            success=ended.success,
            early=ended.early,
            flagged=(problem & upto).any(axis=1),
            by_nuts=(nuts & upto).any(axis=1),
        )

    def _screened(self, design: str, truth: str, rule: Rule) -> float:
        inside = self.screens.get((design, truth, Statement.of(rule)))
        return np.nan if inside is None else float(stats.norm.cdf(inside - stats.norm.isf(1 - rule.probability)).mean())

    def _row(self, cell: int, index: int, rule: Rule) -> dict[str, Any]:
        design, truth = self.cells[cell]
        one, statement = self._decided(cell, index), Statement.of(rule)
        n, failed = len(one), len(self.records.failures)
        wins = one["success"].to_numpy()
        low, high = wilson(int(wins.sum()), n)
        row: dict[str, Any] = {"design": design, "truth": truth, "rule": repr(rule), "what": "success", "success": wins.mean(), "se": _se(wins),
                               "lower": low, "upper": high, "closed_form": self._screened(design, truth, rule)}  # fmt: skip
        true = one["true"].to_numpy()
        known = bool(np.isfinite(true).all())
        held = statement.is_true(true) if known else np.zeros(n, bool)
        if known:
            varies = not np.allclose(true, true[0], rtol=1e-7, atol=1e-7)
            row["what"] = "assurance" if varies else "power" if held[0] else "type I error"
        off, cover = one["estimate"] - true, ((one["lower"] <= true) & (true <= one["upper"])).to_numpy()
        row |= {"true": true.mean(), "estimate": one["estimate"].mean(), "bias": off.mean(), "bias_se": _se(off),
                "coverage": cover.mean() if known else np.nan, "coverage_se": _se(cover) if known else np.nan,
                "width": (one["upper"] - one["lower"]).mean(), "posterior_sd": one["sd"].mean(), "estimate_sd": one["estimate"].std(),
                "stop_success": (one["early"] == "success").mean(), "stop_futility": (one["early"] == "futility").mean(),
                "patients": one["patients"].mean(), "patients_se": _se(one["patients"]), "months": one["month"].mean(), "months_se": _se(one["month"]),
                "trials": n, "failed": failed, "flagged": int(one["flagged"].sum()), "by_nuts": int(one["by_nuts"].sum())}  # fmt: skip
        sure = ~one["flagged"].to_numpy()
        row |= {
            "if_flagged_fail": (wins & sure).sum() / (n + failed),
            "if_flagged_succeed": ((wins | ~sure).sum() + failed) / (n + failed),
        }
        row |= {"true_share": held.mean() if known else np.nan, "success_if_true": wins[held].mean() if held.any() else np.nan,
                "success_if_false": wins[~held].mean() if known and not held.all() else np.nan}  # fmt: skip
        return row

    def __repr__(self) -> str:
        first = f"Operating characteristics from {self.records.n:,} SIMULATED trials a cell, {self.settings['model']}"
        lines = [first, "-" * len(first)]
        for (design, truth, rule), row in self.table.iterrows():
            where = f"{design}; {truth}" if len(self.designs) > 1 else truth
            which = f" of {rule}" if len(self.rules) > 1 else ""
            text = f"{where}: {row['what']}{which} {row['success']:.3f} (95 % interval {row['lower']:.3f} to {row['upper']:.3f})"
            if np.isfinite(row["closed_form"]):
                text += f", closed form {row['closed_form']:.3f}"
            if row["stop_success"] + row["stop_futility"] > 0:
                text += f"; stopped early for success {row['stop_success']:.3f}, for futility {row['stop_futility']:.3f}; {row['patients']:.0f} patients, {row['months']:.1f} months on average"
            if row["failed"] or row["flagged"]:
                text += f"; {row['failed']:.0f} failed, {row['flagged']:.0f} flagged: {row['if_flagged_fail']:.3f} to {row['if_flagged_succeed']:.3f} at the extremes"
            lines.append(f"  {text}")
        if len(self.rules) == 1:
            lines.insert(2, f"  rule: {self.rules[0]}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (Wilson 1927, JASA 22:209)."""
    if not n:
        return 0.0, 1.0
    found = stats.binomtest(successes, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _se(values: Sequence[float] | np.ndarray | pd.Series) -> float:
    array = np.asarray(values, float)
    return float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else np.nan
