"""What would integrating a patient's activities out by Laplace's approximation cost on sle_activity?

    python -m tests.evidence.laplace             # ten minutes on one core

The marginal engine does not take this model: the level, the departures and the own levels of a patient, seven numbers at three visits,
bear on the same rows, and its quadrature goes to three. One node of quadrature, which is Laplace's approximation, could go further.
This measures what that would do, without the engine: the density of one patient's rows and effects is written here in NumPy.

For draws of the posterior by NUTS, each patient's marginal likelihood is computed by Laplace's approximation and by importance sampling
(Student's t at the mode, 4,096 scrambled Sobol points). Draws weighted by the ratio of the two are what Laplace's posterior would be:
how far its estimands are from those of NUTS is stated in posterior SDs. Data: the four patients (observed), 2 x 10 simulated ones.

Writes tests/evidence/laplace.json.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special, stats
from scipy.stats import qmc

import progression as pg
from progression.engines import forward
from progression.store import write_atomically
from tests.evidence import activity, sources

RESULT = Path(__file__).parent / "laplace.json"
DRAWS, POINTS, FREEDOM = 200, 4096, 5
COUNTS = ("tender_joints", "swollen_joints")


def log_density(x: np.ndarray, p: dict[str, np.ndarray], rows: dict[str, np.ndarray]) -> np.ndarray:
    """Log density of one patient's rows and effects: x (..., 4 + visits) standard normals, parameters with a leading dim of draws.

    Level, own levels of tender, swollen and CRP, then the departure at each visit; p has everything but x broadcast to its first dim.
    """
    level, tender, swollen, marker = (x[..., k] for k in range(4))
    activity_at = (p["difference"] + level)[..., None] + p["sd_visit"][..., None] * x[..., 4:] + p["course"]
    total = -0.5 * (x**2).sum(axis=-1) - 0.5 * x.shape[-1] * np.log(2 * np.pi)
    for k, (name, own) in enumerate(zip(COUNTS, (tender, swollen), strict=True)):
        share = special.expit((p["count_level"][..., k] + p["sd_count"][..., k] * own)[..., None] + p["count_loading"][..., k, None] * activity_at)  # fmt: skip
        rho = p["overdispersion"][..., k, None]
        c, y = (1 - rho) / (rho + 1e-4), rows[name]
        seen = np.isfinite(y)
        y = np.where(seen, y, 0)
        binomial = special.gammaln(29) - special.gammaln(y + 1) - special.gammaln(29 - y)
        found = binomial + special.betaln(y + share * c, 28 - y + (1 - share) * c) - special.betaln(share * c, (1 - share) * c)  # fmt: skip
        total = total + np.where(seen, found, 0).sum(axis=-1)
    location = (p["marker_level"] + p["sd_marker"] * marker)[..., None] + p["marker_loading"][..., None] * activity_at
    z = (rows["log_crp"] - location) / p["sd_residual"][..., None]
    measured = stats.norm.logpdf(z) - np.log(p["sd_residual"][..., None]) - rows["log_crp"]
    found = np.where(rows["censored"], special.log_ndtr(z), measured)
    return total + np.where(np.isfinite(rows["log_crp"]), found, 0).sum(axis=-1)


class OfPatient:
    """The density of one patient under each of n draws of the parameters."""

    def __init__(self, p: dict[str, np.ndarray], rows: dict[str, np.ndarray]) -> None:
        self.p, self.rows = p, rows

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return log_density(x, self.p, self.rows)

    def only(self, k: int) -> OfPatient:
        """Under the k-th draw alone, for any number of points."""
        return OfPatient({name: value[k] for name, value in self.p.items()}, self.rows)


def derivatives(density: OfPatient, x: np.ndarray, step: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (n, d) and Hessian (n, d, d) at x (n, d), by central differences."""
    n, d = x.shape
    eye = step * np.eye(d)
    up, down, here = (np.stack([density(x + sign * eye[i]) for i in range(d)], axis=1) for sign in (1, -1, 0))
    hessian = np.empty((n, d, d))
    for i in range(d):
        hessian[:, i, i] = (up[:, i] - 2 * here[:, i] + down[:, i]) / step**2
        for j in range(i):
            corners = [density(x + a * eye[i] + b * eye[j]) for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
            hessian[:, i, j] = hessian[:, j, i] = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * step**2)
    return (up - down) / (2 * step), hessian


def marginals(density: OfPatient, n: int, d: int, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log marginal likelihood (n,) by Laplace and by importance sampling, with the standard error of the second."""
    x = np.zeros((n, d))
    here = density(x)
    for _ in range(60):  # Newton with the curvature kept positive, and steps halved until they climb
        gradient, hessian = derivatives(density, x)
        values, vectors = np.linalg.eigh(-hessian)
        along = np.einsum("nij,ni->nj", vectors, gradient) / np.maximum(values, 0.2)
        step = np.einsum("nij,nj->ni", vectors, along)
        for _ in range(12):
            there = density(x + step)
            worse = there < here - 1e-9
            if not worse.any():
                break
            step[worse] /= 2
        x = x + step
        here = density(x)
        if np.abs(gradient).max() < 1e-3:
            break
    else:
        raise RuntimeError(f"no mode after 60 steps: the steepest gradient is {np.abs(gradient).max():.2g}")
    _, hessian = derivatives(density, x)
    root = np.linalg.cholesky(-hessian)
    log_root = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    laplace = density(x) + 0.5 * d * np.log(2 * np.pi) - log_root
    # Multivariate t: normals over the root of a gamma, both from the same Sobol points.
    z, scale = normals[:, :d], np.sqrt(special.gammaincinv(FREEDOM / 2, stats.norm.cdf(normals[:, d])) * 2 / FREEDOM)
    t = z / scale[:, None]
    log_t = stats.multivariate_t(shape=np.eye(d), df=FREEDOM).logpdf(t)
    logs = np.empty((n, len(t)))
    for k in range(n):
        moved = x[k] + np.linalg.solve(root[k].T, t.T).T
        logs[k] = density.only(k)(moved) - (log_t + log_root[k])
    top = logs.max(axis=1, keepdims=True)
    weights = np.exp(logs - top)
    exact = top[:, 0] + np.log(weights.mean(axis=1))
    return laplace, exact, weights.std(axis=1) / weights.mean(axis=1) / np.sqrt(len(t))


def study(cohort: pg.Cohort, what: str) -> dict[str, Any]:
    fit = pg.fit("sle_activity", cohort, random_seed=1, target_accept=0.99, progressbar=False)
    posterior = forward.stack(fit.posterior)  # xarray's own refuses dims of length zero
    every = np.linspace(0, posterior.sizes["sample"] - 1, DRAWS).astype(int)
    draw = {name: one.transpose("sample", ...).to_numpy()[every] for name, one in posterior.data_vars.items() if "subject" not in one.dims}  # fmt: skip
    months = list(fit.encoded().coords["visit"])
    visits, arm, arms = cohort.visits, cohort.subjects["arm"], list(cohort.arms)
    dims = 4 + len(months)
    points = stats.norm.ppf(qmc.Sobol(dims + 1, seed=1).random(POINTS))
    ratio, worst, error = np.zeros(DRAWS), 0.0, 0.0
    for subject in cohort.subjects.index:
        own = visits[visits["subject"] == subject].copy()
        own["at"] = [min(months, key=lambda one: abs(one - m)) for m in own["month"]]
        own = own.set_index("at").reindex(months)
        course = np.concatenate([np.zeros((DRAWS, 1)), draw["time_course"]], axis=1)
        if arm[subject] != arms[0]:
            course[:, 1:] += draw["effect"][:, arms.index(arm[subject]) - 1]
        p = {"difference": np.zeros(DRAWS), "course": course, "sd_visit": draw["sd_visit"],
             **{name: draw[name] for name in ("count_level", "count_loading", "sd_count", "overdispersion")},
             **{name: draw[name][:, 0] for name in ("marker_level", "marker_loading", "sd_marker", "sd_residual")}}  # fmt: skip
        flag = own.get("crp_mg_dl_censored")
        rows = {name: own[name].to_numpy(float) for name in COUNTS} | {
            "log_crp": np.log(own["crp_mg_dl"].to_numpy(float)),
            "censored": np.zeros(len(months), bool) if flag is None else flag.fillna(False).to_numpy(bool),
        }
        laplace, exact, spread = marginals(OfPatient(p, rows), DRAWS, dims, points)
        ratio += laplace - exact
        worst, error = max(worst, float(np.abs(laplace - exact).max())), max(error, float(spread.max()))
    weights = np.exp(ratio - ratio.max())
    weights /= weights.sum()
    found = {}
    for component, values in pg.contrast(fit).components().items():
        x = values.transpose("chain", "draw").to_numpy().ravel()[every]
        mean = float(weights @ x)
        found[str(component)] = {
            "shift_in_sd": round((mean - float(x.mean())) / float(x.std()), 3),
            "sd_ratio": round(float(np.sqrt(weights @ (x - mean) ** 2)) / float(x.std()), 3),
        }
    return {"data": what, "patients": len(cohort.subjects), "effective_draws": round(float(1 / (weights**2).sum())), "draws": DRAWS,
            "mean_log_ratio": round(float(ratio.mean()), 4), "sd_log_ratio": round(float(ratio.std()), 4),
            "largest_for_a_patient": round(worst, 4), "largest_importance_error": round(error, 5), "components": found}  # fmt: skip


def main() -> int:
    """Measure both, write the result."""
    begin = time.perf_counter()
    trial = activity.cohort(activity.table(0).query("subject in @few", local_dict={"few": [f"p{i}" for i in (*range(10), *range(60, 70))]}).reset_index(drop=True), None)  # fmt: skip
    studies = [study(pg.datasets.sle_anakinra(), "the four patients"), study(trial, "2 x 10 SIMULATED patients")]
    facts = {"made": datetime.now(UTC).strftime("%Y-%m-%d"), "by": "python -m tests.evidence.laplace",
             "page": sources.code_hash(sources.page("sle_activity")), "versions": sources.versions(), "points": POINTS,
             "core_hours": round((time.perf_counter() - begin) / 3600, 2)}  # fmt: skip
    print(json.dumps(studies, indent=1))
    write_atomically(RESULT, (json.dumps({**facts, "studies": studies}, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
