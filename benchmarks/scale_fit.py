"""One fit of als_slope with many patients: seconds, and memory beyond what stood before; called by engines.py.

    python scale_fit.py nuts|marginal PATIENTS CHAINS CORES OUT.json

A fit of the same size with few draws comes first, so that imports and compilation are neither timed nor counted as memory.
"""

import contextlib
import ctypes
import gc
import json
import resource
import sys
import time
import warnings
from pathlib import Path

import trials

STATUS = Path("/proc/self/status")


def peak_mb(*, reset: bool = False) -> float:
    """Peak resident memory of this process; on Linux, since the last reset, elsewhere since it began."""
    if STATUS.exists():
        if reset:
            # Where it is refused the peak is the whole process's: what is stated is then too little.
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "linux" else 1024) / 1024


def give_back() -> None:
    """Hand freed memory back to the system, so that it does not hide what the next fit takes."""
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def main() -> None:
    """Fit twice, time and weigh the second."""
    import progression as pg

    warnings.simplefilter("ignore")
    engine, patients, chains, cores = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    cohort, other = trials.als(1, patients), trials.als(2, patients)
    settings = {"cores": cores} if engine == "nuts" else {}
    started = time.perf_counter()
    tried = pg.fit(
        "als_slope", other, engine=engine, draws=4, tune=4, chains=chains, random_seed=1, progressbar=False, **settings
    )
    first = time.perf_counter() - started
    reason = tried.settings.get("fell_back")
    if reason:  # timing NUTS under another name would help nobody
        Path(sys.argv[5]).write_text(json.dumps({"fell_back": reason}))
        return
    del tried
    give_back()
    before = peak_mb(reset=True)
    started = time.perf_counter()
    fit = pg.fit("als_slope", cohort, engine=engine, chains=chains, random_seed=1, progressbar=False, **settings)
    seconds = time.perf_counter() - started
    found = {"seconds": seconds, "memory_mb": peak_mb() - before, "first_s": first, "chains": chains,
             "rows": cohort.n_visits, "engine": fit.settings.get("engine", engine)}  # fmt: skip
    Path(sys.argv[5]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
