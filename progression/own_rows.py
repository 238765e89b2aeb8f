"""What each subject's own rows say, alone: programs choose the coordinates that they are sampled in by it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def statistics_by_subject(rows: Mapping[str, np.ndarray], n: int, n_outcomes: int) -> dict[str, np.ndarray]:
    """What each subject's own rows say, by subject and outcome: programs use it to choose coordinates to sample in.

    A row below the detection limit is not counted: it says much less than a value, and coordinates that take its limit
    for one mix badly where most rows are such.

    Returns
    -------
    dict of str to array, shape (n, n_outcomes)
        n (rows not censored), mean, mean_month, slope (least squares, value a month), sxx (sum of squares of month about its mean);
        mean_log where all values are positive; where an upper bound is known mean_logit (of the share of the bound,
        half a unit added to either side), logit_information (rows' binomial information about the logit, near enough)
        and most (the bound).
    """
    positive = (rows["value"] > 0).all()
    bounded = np.isfinite(rows["upper"]).all() and (rows["value"] >= 0).all() and (rows["value"] <= rows["upper"]).all()
    rows = {name: column[~rows["censored"]] for name, column in rows.items()}
    cell, size = rows["subject"] * n_outcomes + rows["outcome"], n * n_outcomes
    count = np.bincount(cell, minlength=size).astype(float)
    some = np.maximum(count, 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(cell, values, size) / some

    month, value = rows["month"], rows["value"]
    mid, middle = mean(month), mean(value)
    off = month - mid[cell]
    sxx, sxy = np.bincount(cell, off**2, size), np.bincount(cell, off * (value - middle[cell]), size)
    slope = np.divide(sxy, sxx, out=np.zeros(size), where=sxx > 1e-9)
    found = {
        "n": count,
        "mean": middle,
        "mean_month": mid,
        "slope": slope,
        "sxx": np.where(sxx > 1e-9, sxx, 0.0),
    }
    if positive:
        found["mean_log"] = mean(np.log(value))
    if bounded:
        upper = rows["upper"]
        share = (value + 0.5) / (upper + 1)
        found["mean_logit"] = mean(np.log(share / (1 - share)))
        found["logit_information"] = np.bincount(cell, upper * share * (1 - share), size)
        found["most"] = mean(upper)
    return {name: column.reshape(n, n_outcomes) for name, column in found.items()}


def statistics_by_visit(
    block: str, rows: Mapping[str, np.ndarray], shape: tuple[int, int, int], dims: tuple[str, ...]
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """What each subject's rows of one visit say, by subject, visit and outcome; `shape` has the three sizes, `dims` no visit.

    Returns
    -------
    dict of str to (dims, array)
        ``<block>_at_visit``, the share of a subject's values that it has at a visit, (subject, visit), and of `statistics_by_subject`
        what the coordinates of a departure at a visit need, (subject, visit[, outcome]).
    """
    n, visits, outcomes = shape
    own = statistics_by_subject({**rows, "subject": rows["subject"] * visits + rows["visit"]}, n * visits, outcomes)
    found: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        f"{block}_at_visit": (("subject", "visit"), _shares(rows, n, visits))
    }
    for name in ("n", "mean_log", "mean_logit", "logit_information"):
        if name in own:
            table = own[name].reshape(n, visits, *(outcomes,) * (len(dims) - 1))
            found[f"{block}_{name}_at_visit"] = (("subject", "visit", *dims[1:]), table)
    return found


def _shares(rows: Mapping[str, np.ndarray], n: int, n_visits: int) -> np.ndarray:
    """Share of each subject's own rows at each visit, (n, visits): to average over visits as its values do."""
    cell = (rows["subject"] * n_visits + rows["visit"])[~rows["censored"]]
    seen = np.bincount(cell, minlength=n * n_visits).reshape(n, n_visits)
    return np.asarray(seen / np.maximum(seen.sum(axis=1, keepdims=True), 1))
