"""Historical arms known by their summaries: the meta-analytic-predictive prior of a new study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from progression.effective_size import METHODS, effective_size
from progression.faults import CohortError, Fault, SettingError, is_number, setting_fault, suggest
from progression.mixtures import Family, Mixture, fit_mixture
from progression.priors import Prior
from progression.study_level import Kind, StudyLevel, study_level

_COLUMNS = {"binomial": ("n", "events"), "counts": ("exposure", "events"), "normal": ("n", "mean", "sd")}
_FAMILY: Mapping[str, Family] = {"binomial": "beta", "counts": "gamma", "normal": "normal"}
_NEAR = 1e-3  # Kullback-Leibler divergence: a thousand draws could hardly tell
_MOST = 4
_POINTS = 400


@dataclass(frozen=True, eq=False, repr=False)
class MapPrior:
    """What past studies say of a new one: the meta-analytic-predictive (MAP) prior.

    Attributes
    ----------
    kind : {"binomial", "counts", "normal"}
    studies : pandas.DataFrame
        As given, one row a study.
    mean, between : Prior
        Priors of the mean of the studies and of the SD between them, on the link scale (logit, log, or none).
    posterior : StudyLevel
    mixture : Mixture
        The prior in closed form: Beta of a response rate, Gamma of an event rate, Normal of a mean. It can be given to
        any model: ``priors={"mean_slope": found.mixture}``.
    divergence : float
        Kullback-Leibler divergence of the mixture from the exact prior.
    patient_sd : float or None
        SD of one patient, pooled over the studies, where the outcome is normal.
    warnings : tuple of str
    """

    kind: Kind
    studies: pd.DataFrame
    mean: Prior
    between: Prior
    posterior: StudyLevel
    mixture: Mixture
    divergence: float
    patient_sd: float | None
    warnings: tuple[str, ...]

    def summary(self, *, ci_prob: float = 0.95) -> pd.DataFrame:
        """The mean of the studies, the SD between them, each study, and a new study.

        Returns
        -------
        pandas.DataFrame
            Columns mean, sd, lower, median, upper. Rows `mu` and `tau` are on the link scale, the rest in natural units.
            Intervals of the studies take their values on the link scale for normal. A rate of events in a new study has no
            mean and SD (NaN): the exponential of a normal with an uncertain SD has none.
        """
        tail = (1 - ci_prob) / 2
        wanted = np.array([tail, 0.5, 1 - tail])
        known = self.posterior
        rows = {"mu": [*known.moments(known.mu), *known.quantiles_of_mu(wanted)],
                "tau": [*known.moments(known.tau), *known.quantiles_of_tau(wanted)]}  # fmt: skip
        z = special.ndtri(wanted)
        back = _LINKS[self.kind][1]
        for name, m, s in zip(self.studies["study"], self.posterior.own_mean, self.posterior.own_sd, strict=True):
            node, weight = np.polynomial.hermite_e.hermegauss(31)
            values, weight = back(m + s * node), weight / weight.sum()
            mean = weight @ values
            rows[f"study[{name}]"] = [mean, np.sqrt(weight @ (values - mean) ** 2), *back(m + s * z)]
        x, weight = self.density()
        mean = weight @ x
        moments = [np.nan, np.nan] if self.kind == "counts" else [mean, np.sqrt(weight @ (x - mean) ** 2)]
        rows["new study"] = [
            *moments,
            *np.interp(wanted, np.cumsum(weight) - weight / 2, x),
        ]
        return pd.DataFrame(rows, index=["mean", "sd", "lower", "median", "upper"]).T

    def density(self, points: int = 1000) -> tuple[np.ndarray, np.ndarray]:
        """Values of a new study in natural units, ascending, and the exact probability that each stands for."""
        theta, weight = _cells(self.posterior, points)
        return np.asarray(_LINKS[self.kind][1](theta)), weight

    def draws(self, n: int, *, random_seed: int) -> np.ndarray:
        """Independent draws of a new study's value in natural units, exact, shape (n,)."""
        return np.asarray(_LINKS[self.kind][1](self.posterior.draws(n, random_seed)))

    def ess(self, method: str = "elir") -> float:
        """How many patients (for rates: how much exposure) the mixture is worth; see `progression.effective_size`.

        NaN where there is no such number: by moments for rates of events, whose prior has none; by ELIR where a density of
        the mixture has no bound.
        """
        if method not in METHODS:
            raise SettingError(
                [setting_fault("method", method, f"is unknown{suggest(method, METHODS)}", "use one of them")]
            )
        if self.kind == "counts" and method == "moment":
            return float("nan")
        return effective_size(self.mixture, method, patient_sd=self.patient_sd)

    def robust(self, weight: float = 0.2) -> Mixture:
        """The mixture with a vague component worth one patient (a response rate: two), of the given weight."""
        return self.mixture.robust(weight, sd=self.patient_sd)

    def __repr__(self) -> str:
        new = self.summary().loc["new study"]
        lines = [
            f"MAP prior of a new study ({self.kind}) from {len(self.studies)} studies: median {new['median']:.3g}, "
            f"95 % {new['lower']:.3g} to {new['upper']:.3g}",
            f"  priors    mean ~ {self.mean!r}, SD between studies ~ {self.between!r}, on the {_LINKS[self.kind][2]} scale",
            f"  mixture   {self.mixture!r} (divergence {self.divergence:.1g})",
            "  worth     " + ", ".join(f"{self.ess(method):.3g} by {method}" for method in METHODS)
            + (" units of exposure" if self.kind == "counts" else " patients"),
        ]  # fmt: skip
        return "\n".join([*lines, *(f"  WARNING  {text}" for text in self.warnings)])


_Map = Callable[[Any], Any]
_LINKS: Mapping[str, tuple[_Map, _Map, str]] = {
    "binomial": (special.logit, special.expit, "logit"),
    "counts": (np.log, np.exp, "log"),
    "normal": (lambda x: x, lambda x: x, "natural"),
}


def map_prior(
    studies: Any, kind: Kind, *, mean: Prior | None = None, between: Prior | None = None, components: int | None = None
) -> MapPrior:
    """The meta-analytic-predictive prior: what past studies say of the same quantity in a new one.

    Parameters
    ----------
    studies : table
        One row a study, with a column `study` and, for "binomial", `n` and `events`; for "counts", `exposure` and
        `events`; for "normal", `n`, `mean` and `sd` (of patients).
    kind : {"binomial", "counts", "normal"}
    mean : Prior, optional
        Of the mean of the studies on the link scale. Normal(0, 2) on the logit scale, Normal(0, 5) on the log scale;
        Normal(0, 100 patient SDs) for a mean.
    between : Prior, optional
        Of the SD between studies on the link scale: HalfNormal(1) on logit or log, HalfNormal(half a patient SD) for a
        mean. With few studies much depends on it.
    components : int, optional
        Of the mixture; as few as come near, at most four, where omitted.

    Returns
    -------
    MapPrior

    Raises
    ------
    CohortError
        With every fault of the table: columns missing, a study twice, more events than patients, no patients.
    SettingError
        For an unknown kind, or priors that are none.

    Notes
    -----
    Neuenschwander et al. (2010), Clinical Trials 7:5; Schmidli et al. (2014), Biometrics 70:1023. Nothing is sampled.
    """
    if kind not in _COLUMNS:
        raise SettingError(
            [setting_fault("kind", kind, f"is unknown{suggest(str(kind), _COLUMNS)}", "use one of them")]
        )
    table = _checked(studies, kind)
    patient_sd = None
    if kind == "normal":
        degrees = table["n"] - 1
        patient_sd = float(np.sqrt((degrees * table["sd"] ** 2).sum() / degrees.sum()))
    unit = patient_sd or 1.0
    mean = mean or Prior("Normal", mu=0, sigma={"binomial": 2.0, "counts": 5.0, "normal": 100 * unit}[kind])
    between = between or Prior("HalfNormal", sigma=0.5 * unit if kind == "normal" else 1.0)
    for name, prior in (("mean", mean), ("between", between)):
        if not isinstance(prior, Prior):
            raise SettingError([setting_fault(name, prior, "is not a Prior", 'give pg.Prior("HalfNormal", sigma=1)')])
    if kind == "normal":
        events, size = table["mean"].to_numpy(float), table["sd"].to_numpy(float) / np.sqrt(table["n"].to_numpy(float))
    else:
        events, size = (table[name].to_numpy(float) for name in ("events", _COLUMNS[kind][0]))
    centre = (mean.parameters.get("mu", 0.0), mean.parameters["sigma"]) if mean.distribution == "Normal" and "sigma" in mean.parameters else None  # fmt: skip
    found = study_level(kind, events, size, log_prior_mu=_log_density(mean), log_prior_tau=_log_density(between),
                        prior_centre=centre)  # fmt: skip
    mixture, divergence = _near(found, kind, components)
    return MapPrior(
        kind, table, mean, between, found, mixture, divergence, patient_sd, _warnings(found, table, between)
    )


def _checked(studies: Any, kind: Kind) -> pd.DataFrame:
    if not isinstance(studies, pd.DataFrame | Mapping | Sequence) or isinstance(studies, str | bytes):
        remedy = f"give a DataFrame or a mapping with the columns study, {', '.join(_COLUMNS[kind])}"
        raise CohortError.single("this is no table", remedy, value=str(studies)[:60], table="studies")
    table = pd.DataFrame(studies).copy()
    wanted = ("study", *_COLUMNS[kind])
    lost = [Fault(what=f"the column is missing{suggest(name, table.columns)}", column=name, table="studies",
                  remedy=f"a summary of kind {kind!r} needs {', '.join(wanted)}") for name in wanted if name not in table]  # fmt: skip
    if lost:
        raise CohortError(lost)
    faults = []
    if not len(table):
        faults.append(Fault(what="there are no studies", remedy="give at least one", table="studies"))
    names = table["study"].astype(str)
    for row in np.flatnonzero(names.duplicated()):
        faults.append(Fault(what="the study stands here a second time", column="study", row=int(row) + 1, value=names.iloc[row],
                            remedy="add its arms up, or name them differently", table="studies"))  # fmt: skip
    for name in _COLUMNS[kind]:
        numbers = pd.to_numeric(table[name], errors="coerce")
        whole = name in ("n", "events")
        low = {"events": 0.0, "mean": -np.inf}.get(name, np.finfo(float).tiny)
        bad = ~np.isfinite(numbers) | (numbers < low) | (whole & (numbers != numbers.round()))
        if kind == "normal" and name == "n":
            bad |= numbers < 2
        for row in np.flatnonzero(bad):
            what = "is not a whole number" if whole else "is not a number"
            faults.append(Fault(what=f"{what} of at least {2 if kind == 'normal' and name == 'n' else max(low, 0):.0f}"
                                     if name != "mean" else what, column=name, row=int(row) + 1, value=table[name].iloc[row],
                                remedy="correct it, or leave the study out", table="studies"))  # fmt: skip
        table[name] = numbers
    if not faults and kind == "binomial":
        for row in np.flatnonzero(table["events"] > table["n"]):
            faults.append(Fault(what=f"more events than patients ({table['n'].iloc[row]:g})", column="events", row=int(row) + 1,
                                value=table["events"].iloc[row], remedy="correct one of them", table="studies"))  # fmt: skip
    if faults:
        raise CohortError(faults)
    return table.loc[:, list(wanted)].reset_index(drop=True)


def _log_density(prior: Prior) -> Callable[[np.ndarray], np.ndarray]:
    import pymc as pm  # only where a prior is read

    with pm.Model():
        prior.to_pymc("x")  # refuses what PyMC refuses, in our words
    made = getattr(pm, prior.distribution).dist(**prior.parameters)
    return lambda x: np.asarray(pm.logp(made, x).eval(mode="FAST_COMPILE"))


def _cells(found: StudyLevel, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Values on the link scale and their probabilities, at evenly spaced probabilities but for the tails, which go on to 1e-7."""
    spread = np.sqrt(found.moments(found.mu)[1] ** 2 + float(found.weight @ found.tau**2))
    centre = found.moments(found.mu)[0]
    edges = centre + spread * np.sinh(np.linspace(-4.2, 4.2, points + 1)) / np.sinh(1.0) / 2
    weight = np.diff(found.new_study(edges))
    return (edges[1:] + edges[:-1]) / 2, weight / weight.sum()


def _near(found: StudyLevel, kind: Kind, components: int | None) -> tuple[Mixture, float]:
    theta, weight = _cells(found, _POINTS)
    keep = weight > 1e-12
    theta, weight = theta[keep], weight[keep] / weight[keep].sum()
    x = np.asarray(_LINKS[kind][1](theta))
    width = np.gradient(x)
    entropy = float(weight @ np.log(weight / width))
    if components is not None and (not is_number(components) or components < 1 or components != int(components)):
        raise SettingError([setting_fault("components", components, "is not a number of components", "give 1 to 4")])
    for number in [int(components)] if components is not None else range(1, _MOST + 1):
        mixture, score = fit_mixture(x, weight, _FAMILY[kind], number)
        if entropy - score < _NEAR:
            break
    return mixture, max(entropy - score, 0.0)


def _warnings(found: StudyLevel, table: pd.DataFrame, between: Prior) -> tuple[str, ...]:
    said = []
    if len(table) < 3:
        n = "a single study says nothing" if len(table) == 1 else "two studies say next to nothing"
        said.append(f"{n} of the SD between studies: that it is {found.moments(found.tau)[0]:.2g} on average is the prior "
                    f"{between!r}, and with it how much is borrowed")  # fmt: skip
    for _, alike in table.groupby(list(table.columns[1:]), sort=False):
        if len(alike) > 1:
            said.append(f"{' and '.join(map(str, alike['study']))} are alike in every number: if they are one study under {len(alike)} "
                        "names, its patients count more than once")  # fmt: skip
    return tuple(said)
