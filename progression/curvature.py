"""Does the course bend otherwise than a model says? Curvature within patients, which their own lines cannot hide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from progression.encoding import Encoded
from progression.outcomes import Outcome

CURVATURE = "curvature"
EVERYBODY = "all arms"
FEWEST = 3  # patients seen at three times or more


@dataclass(frozen=True, eq=False)
class Bend:
    """Curvature of one outcome in one arm, or in all of them, as a weighted sum of the values.

    Attributes
    ----------
    weights : array of float, one a row of the block
        The curvature is the sum of weights times values: the coefficient of month squared, units a month squared.
    trend : array of float
        Likewise for the slope within patients, units a month.

    Notes
    -----
    Each patient's least-squares coefficient of month squared, beside a level and a slope of his own, weighted by its
    information: the sum of squares of month squared after regression on 1 and month (Draper and Smith 1998, Applied
    Regression Analysis, on orthogonal polynomials). A straight line for each patient, whichever it is, adds exactly nothing,
    so that the posterior of the lines cannot take up what the statistic looks for. As no parameter was fitted to
    it, its tail probability is nearly uniform if the model is right, where those of fitted means crowd about one half.
    """

    block: str
    outcome: Outcome
    arm: str
    weights: np.ndarray
    trend: np.ndarray

    def statistic(self, values: np.ndarray) -> np.ndarray:
        """Curvature of `values`, shape (..., rows of the block)."""
        return np.asarray(values, float) @ self.weights

    def words(self, values: np.ndarray, predicted: float) -> str:
        """What observed values do, compared with a predicted curvature: "decline slows down with time"."""
        downwards = float(np.asarray(values, float) @ self.trend) < 0
        upwards_bend = float(self.statistic(values)) > predicted
        return f"the {'decline' if downwards else 'rise'} {'slows down' if downwards == upwards_bend else 'speeds up'}"


def bends(encoded: Encoded, arm_of: Mapping[str, str]) -> Iterator[Bend]:
    """Curvature by outcome and arm, then of all arms together; none for programs with an effect at each visit."""
    arms = np.array([arm_of[subject] for subject in encoded.coords["subject"]])
    for block, members in encoded.blocks.items():
        if f"{block}_visit" in encoded.arrays:
            continue  # each visit has a mean of its own: there is no line to bend
        subject, month, outcome = (encoded.arrays[f"{block}_{name}"][1] for name in ("subject", "month", "outcome"))
        for index, facts in enumerate(members):
            labels = list(encoded.coords["arm"])
            for arm in [*labels, EVERYBODY] if len(labels) > 1 else labels:
                rows = np.flatnonzero((outcome == index) & ((arms[subject] == arm) | (arm == EVERYBODY)))
                found = _contrasts(subject[rows], month[rows].astype(float))
                if found is not None:
                    weights, trend = np.zeros((2, len(subject)))
                    weights[rows], trend[rows] = found
                    yield Bend(block, facts, arm, weights, trend)


def _contrasts(subject: np.ndarray, month: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights of the rows for curvature and for slope; None where too few patients were seen three times."""
    _, own = np.unique(subject, return_inverse=True)
    count = np.bincount(own)

    def centred(values: np.ndarray) -> np.ndarray:
        return values - (np.bincount(own, values) / count)[own]

    line = centred(month)
    spread = np.bincount(own, line**2)
    square = centred(line**2)
    lean = np.divide(np.bincount(own, line * square), spread, out=np.zeros(len(spread)), where=spread > 0)
    bend = square - lean[own] * line
    information = np.bincount(own, bend**2)
    # Two visits leave nothing but rounding.
    informs = information > 1e-9 * np.maximum(spread, 1e-12) ** 2
    if informs.sum() < FEWEST:
        return None
    bend = np.where(informs[own], bend, 0.0)
    return bend / information[informs].sum(), line / spread.sum()


def advice(encoded: Encoded, arm_of: Mapping[str, str], table: pd.DataFrame, model: str) -> list[str]:
    """What the failed rows of curvature mean and what to do, one text an outcome."""
    failed = table[(table["statistic"] == CURVATURE) & ~table["ok"].astype(bool)] if len(table) else table
    texts: dict[str, list[str]] = {}
    bending = (
        'options={"time_course": "spline"}'
        if encoded.coords.get("knot") == []
        else "a model with a time course that may bend"
    )
    for one in bends(encoded, arm_of):
        row = failed[(failed["outcome"] == one.outcome.name) & (failed["arm"] == one.arm)] if len(failed) else failed
        if len(row):
            said = one.words(encoded.arrays[f"{one.block}_value"][1], float(row["predicted"].iloc[0]))
            texts.setdefault(one.outcome.name, []).append(f"in {one.arm} {said}")
    return [
        f"the course of {name} bends otherwise than {model} says ({'; '.join(found)}): read a slope as the average over the "
        f"months seen and do not extrapolate, or fit with {bending}; scores near the floor and "
        "drop-out that depends on the score bend a course too"
        for name, found in texts.items()
    ]
