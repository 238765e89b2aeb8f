"""One fit after another of the same trial design, timed; called by engines.py in a process of its own.

    python one_fit.py nuts|marginal|pm_sample|bambi OUT CORES TUNE DRAWS WARM TRIAL.csv ...

Every fit goes from a CSV file to a contrast. It writes its draws of the effect (a column a chain) to OUT/<k>.csv and one
line to OUT/fits.tsv: kind, the clock when the contrast stood, seconds. Kinds: `first`, what the process did first; `warm`,
a further fit on other data; `fixed`, the same with so few draws that sampling takes no time.
"""

import sys
import time
import warnings
from pathlib import Path

FEW = 20


def progression_fit(engine: str):
    """One fit by this package, with one of its engines."""
    import progression as pg

    def fit(path: str, draws: int, tune: int, cores: int, seed: int):
        cohort = pg.read_csv(path, time_unit="weeks", columns={"time": "week"}, outcomes=["alsfrsr"],
                             allocation="randomised")  # fmt: skip
        settings = {"cores": cores, "tune": tune} if engine == "nuts" else {}
        made = pg.fit("als_slope", cohort, engine=engine, draws=draws, random_seed=seed, progressbar=False, **settings)
        if made.settings.get("engine", engine) != engine:
            raise RuntimeError(f"{engine} was asked for, and the fit was made by {made.settings['engine']}")
        str(pg.contrast(made))
        return made.idata["posterior"]["slope_effect"].to_numpy()[:, :, 0]

    return fit


def pm_sample_fit():
    """One fit by plain pm.sample."""
    import arviz as az
    import pandas as pd
    import plain_models
    import pymc as pm

    def fit(path: str, draws: int, tune: int, cores: int, seed: int):
        table = pd.read_csv(path)
        table["month"] = table["week"] * 7 / plain_models.DAYS_PER_MONTH
        with plain_models.als_slope(table):
            trace = pm.sample(draws, tune=tune, chains=4, cores=cores, random_seed=seed, progressbar=False)
        az.summary(trace, var_names=["slope_effect"])
        return trace.posterior["slope_effect"].to_numpy()

    return fit


def bambi_fit():
    """One fit by Bambi, its priors set to this package's; it knows no correlation of level and slope."""
    import arviz as az
    import bambi as bmb
    import pandas as pd

    def normal(mu, sigma):
        return bmb.Prior("Normal", mu=mu, sigma=sigma)

    priors = {
        "Intercept": normal(38, 10), "month": normal(-1, 1), "month:treated": normal(0, 0.5),
        "1|subject": normal(0, bmb.Prior("HalfNormal", sigma=8)),
        "month|subject": normal(0, bmb.Prior("HalfNormal", sigma=1)),
        "sigma": bmb.Prior("LogNormal", mu=0.6, sigma=0.5),
    }  # fmt: skip

    def fit(path: str, draws: int, tune: int, cores: int, seed: int):
        table = pd.read_csv(path)
        table["month"] = table["week"] * 7 / (365.25 / 12)
        table["treated"] = (table["arm"] == "treated").astype(float)
        model = bmb.Model("alsfrsr ~ month + month:treated + (month | subject)", table, priors=priors)
        trace = model.fit(draws=draws, tune=tune, chains=4, cores=cores, random_seed=seed, progressbar=False)
        az.summary(trace, var_names=["month:treated"])
        return trace.posterior["month:treated"].to_numpy()

    return fit


def main() -> None:
    """Fit, and write what was found."""
    tool, folder = sys.argv[1], Path(sys.argv[2])
    cores, tune, draws, warm = (int(text) for text in sys.argv[3:7])
    trials = sys.argv[7:]
    started = time.perf_counter()
    warnings.simplefilter("ignore")
    fit = {"pm_sample": pm_sample_fit, "bambi": bambi_fit}.get(tool, lambda: progression_fit(tool))()
    number = 0

    def record(kind: str, path: str, size: int) -> None:
        nonlocal number, started
        found = fit(path, size, tune, cores, number + 1)
        seconds, clock = time.perf_counter() - started, time.time()
        text = "\n".join(",".join(f"{value:.10g}" for value in row) for row in found.T)
        (folder / f"{number}.csv").write_text(text + "\n")
        with (folder / "fits.tsv").open("a") as file:
            file.write(f"{kind}\t{clock:.6f}\t{seconds:.6f}\n")
        number += 1
        started = time.perf_counter()

    record("first", trials[0], draws)
    for k in range(1, warm + 1):
        record("warm", trials[k % len(trials)], draws)
        record("fixed", trials[k % len(trials)], FEW)


if __name__ == "__main__":
    main()
