"""A short form of the evidence on the user's own machine: whether the engines here give the numbers they should.

Checks compare with numbers that NumPy alone computed, one engine with the other, posteriors with the truths that the package's own generator
drew the data from, refusals with faults that are known. What all of that shares could be wrong unnoticed here; the long form, with simulators and
densities of its own, is `make evidence` in a checkout.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from progression import datasets
from progression.cohort import Cohort
from progression.faults import CohortError, SettingError, check_count, setting_fault
from progression.fitted import Fit, load
from progression.fitting import FitWarning, fit
from progression.many import fit_many
from progression.registry import models
from progression.run_identity import versions
from progression.store import StoreError
from progression.truth_ranks import calibration

__all__ = ["Finding", "SelfCheck", "check_this_machine", "count"]

# als_slope on `datasets.simulated_als()`, default priors: mean and SD by importance sampling with NumPy and SciPy alone
# (tests/evidence/references/selfcheck_importance.py, 27,000 independent points).
REFERENCE: Mapping[str, tuple[float, float]] = {
    "mean_level": (37.6726, 0.3989), "sd_level": (4.1815, 0.2979), "mean_slope": (-1.1083, 0.1057), "sd_slope": (0.7577, 0.0619),
    "correlation": (0.0575, 0.1065), "sd_residual": (1.8016, 0.0523), "slope_effect": (0.2239, 0.1456),
}  # fmt: skip
# What Monte Carlo error explains, in posterior SDs and as a share of an SD: five errors of 4,000 independent draws, of 1,000 where NUTS takes part.
NEAR, NEAR_NUTS = (0.10, 0.07), (0.20, 0.14)
BOTH_ENGINES: Mapping[str, Callable[[], Cohort]] = {
    "als_slope": datasets.als_anakinra,
    "sle_crp": datasets.simulated_sle,
}
SETS, LEAST_SETS = 200, 100


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    name : str
    found, wanted : str
    passed : bool
    seconds : float
    """

    name: str
    found: str
    wanted: str
    passed: bool
    seconds: float


@dataclass(frozen=True, eq=False, repr=False)
class SelfCheck:
    """All findings, and the numbers behind the figures.

    Attributes
    ----------
    findings : tuple of Finding
    machine : mapping of str to str
        System, processor, versions, and where compiled code is kept.
    distances : mapping of str to float
        Posterior means less those of the reference, in posterior SDs, by parameter.
    ranks : mapping of str to array of int, shape (data sets,)
        Of each truth among 99 posterior draws, 0 to 99, by quantity.
    """

    findings: tuple[Finding, ...]
    machine: Mapping[str, str]
    distances: Mapping[str, float] = field(default_factory=dict)
    ranks: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(one.passed for one in self.findings)

    def __repr__(self) -> str:
        lines = [
            f"{'passed' if one.passed else 'FAILED'}  {one.name}: {one.found} (wanted: {one.wanted})"
            for one in self.findings
        ]
        return "\n".join([f"Self-check, {'all passed' if self.passed else 'SOME FAILED'}", *lines])


def machine() -> dict[str, str]:
    """What this is run on, in words."""
    import pytensor

    return {"system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}", "cores": str(os.cpu_count()),
            "compiled code is kept in": str(pytensor.config.compiledir), **versions()}  # fmt: skip


def _checks(
    distances: dict[str, float], ranks: dict[str, np.ndarray], cores: int = 1, seed: int = 1, sets: int = SETS
) -> list[tuple[str, Callable[[], tuple[str, str, bool]]]]:
    """Name of each check, and what gives what it found, what is wanted, and whether it passed."""
    return [
        ("numbers that NumPy alone computed", partial(_reference, distances, seed)),
        *((f"{name}: both engines", partial(_engines, name, made, seed)) for name, made in BOTH_ENGINES.items()),
        ("truths among their posteriors", partial(calibration, ranks, cores=cores, random_seed=seed, sets=sets)),
        ("the same seed again, and on two workers", partial(_same, seed)),
        ("a fit saved, read and damaged", partial(_kept, seed)),
        ("a table with four faults", _refused),
    ]


def count() -> int:
    """How many checks there are."""
    return len(_checks({}, {}))


def check_this_machine(*, cores: int = 1, random_seed: int = 1, sets: int = SETS) -> Iterator[SelfCheck]:
    """Yield the record after each check, the last one whole.

    Parameters
    ----------
    cores : int
        Workers for the calibration; results do not depend on it.
    random_seed : int
    sets : int
        Data sets of the calibration: at least 100.

    Yields
    ------
    SelfCheck

    Raises
    ------
    SettingError
        For what is no count.

    Notes
    -----
    The calibration is that of `truth_ranks.calibration`; a sound installation fails it about once in a thousand runs at most.
    """
    check_count("cores", cores)
    check_count("sets", sets)
    if sets < LEAST_SETS:
        raise SettingError(
            [setting_fault("sets", sets, "is too few for a test of ranks", f"give at least {LEAST_SETS}")]
        )
    distances: dict[str, float] = {}
    ranks: dict[str, np.ndarray] = {}
    found: list[Finding] = []
    known = machine()
    for name, check in _checks(distances, ranks, cores, random_seed, sets):
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            said, wanted, passed = check()
        found.append(Finding(name, said, wanted, bool(passed), time.perf_counter() - began))
        yield SelfCheck(tuple(found), known, dict(distances), dict(ranks))


def _moments(posterior: xr.Dataset) -> dict[str, tuple[float, float]]:
    """Mean and SD of every population parameter, by name and place."""
    made = {}
    for name, draws in posterior.items():
        if "subject" in draws.dims or not draws.size or str(name).endswith("_raw"):
            continue
        flat = draws.stack(sample=("chain", "draw"), create_index=False).transpose("sample", ...).to_numpy()
        flat = flat.reshape(len(flat), -1)
        for i in range(flat.shape[1]):
            made[f"{name}[{i}]" if flat.shape[1] > 1 else str(name)] = (float(flat[:, i].mean()), float(flat[:, i].std()))  # fmt: skip
    return made


def _apart(ours: Mapping[str, tuple[float, float]], theirs: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:  # fmt: skip
    """Distance of means in SDs, and of SDs as a share, by quantity that both have."""
    return {name: ((ours[name][0] - mean) / sd, ours[name][1] / sd - 1) for name, (mean, sd) in theirs.items() if name in ours}  # fmt: skip


def _compared(apart: Mapping[str, tuple[float, float]], near: tuple[float, float]) -> tuple[str, str, bool]:
    """Whether all are near; what is not a number is not."""
    far = {
        name: (abs(mean), abs(sd)) if np.isfinite([mean, sd]).all() else (np.inf, np.inf)
        for name, (mean, sd) in apart.items()
    }
    mean, sd = max(far, key=lambda name: far[name][0]), max(far, key=lambda name: far[name][1])
    said = f"{len(far)} parameters: means apart by at most {far[mean][0]:.3f} SD ({mean}), SDs by {100 * far[sd][1]:.1f} % ({sd})"
    return said, f"at most {near[0]:g} SD and {100 * near[1]:.0f} %", far[mean][0] <= near[0] and far[sd][1] <= near[1]


def _reference(distances: dict[str, float], seed: int) -> tuple[str, str, bool]:
    done = fit("als_slope", datasets.simulated_als(), random_seed=seed, progressbar=False)
    apart = _apart(_moments(done.posterior), REFERENCE)
    distances |= {name: one[0] for name, one in apart.items()}
    said, wanted, passed = _compared(apart, NEAR)
    return said, wanted, passed and len(apart) == len(REFERENCE)


def _engines(name: str, made: Callable[[], Cohort], seed: int) -> tuple[str, str, bool]:
    cohort = made()
    both = [fit(name, cohort, engine=engine, random_seed=seed, progressbar=False) for engine in ("marginal", "nuts")]
    used = [one.settings["engine"] for one in both]
    moments = [_moments(one.posterior) for one in both]
    said, wanted, passed = _compared(_apart(*moments), NEAR_NUTS)
    problems = [problem for one in both for problem in one.problems]
    return (
        "; ".join([said, *problems]),
        wanted,
        passed and used == ["marginal", "nuts"] and not problems and set(moments[0]) == set(moments[1]),
    )


def _same(seed: int) -> tuple[str, str, bool]:
    cohorts = [datasets.simulated_als(n=(12, 12), random_seed=k) for k in range(4)]
    runs = [fit_many("als_slope", cohorts, random_seed=seed, draws=200, cores=cores, progressbar=False) for cores in (1, 1, 2)]  # fmt: skip
    hashes = {_hash(one.draws) for one in runs}
    return f"{len(hashes)} different results of three runs", "1, to the last bit", len(hashes) == 1


def _hash(draws: xr.Dataset) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in draws.data_vars.values())).hexdigest()


def _kept(seed: int) -> tuple[str, str, bool]:
    done = fit("als_slope", datasets.simulated_als(n=(12, 12)), random_seed=seed, draws=200, progressbar=False)
    with tempfile.TemporaryDirectory() as folder:
        path = done.save(Path(folder) / "fit.nc")
        again: Fit = load(path)
        same = _hash(again.posterior) == _hash(done.posterior)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
        try:
            load(path)
            noticed = False
        except (StoreError, OSError, ValueError):
            noticed = True
    return f"read {'as saved' if same else 'OTHERWISE than saved'}, damage {'noticed' if noticed else 'NOT noticed'}", "as saved, noticed", same and noticed  # fmt: skip


def _refused() -> tuple[str, str, bool]:
    """A word for a time, a score above the scale, two scores of one visit, a mark for a score: rows 2 to 5."""
    table = pd.DataFrame({"subject": ["a", "a", "b", "b", "c"], "time": ["0", "later", "0", "0", "1"], "alsfrsr": ["40", "39", "49", "41", "n/a?"]})  # fmt: skip
    try:
        Cohort.from_table(table, time_unit="months", outcomes=models()["als_slope"].outcomes)
        rows = []
    except CohortError as error:
        rows = sorted({one.row for one in error.faults if one.row is not None})
    return (
        f"refused, faults named in rows {rows}" if rows else "TAKEN",
        "refused, rows [2, 3, 4, 5]",
        rows == [2, 3, 4, 5],
    )
