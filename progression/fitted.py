"""Fit: a model fitted to a cohort, its summary, its predictions and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from progression.cohort import Cohort
from progression.drift import DriftPrior
from progression.encoding import Encoded, encode
from progression.engines import forward
from progression.faults import SettingError, check_count, check_probability, setting_fault, suggest
from progression.gate import Diagnostics, diagnose
from progression.modeling import Model, Prior, SupportsPyMC
from progression.registry import models
from progression.store import read_tree, refuse_foreign, write_tree
from progression.tables import Summary, components, summarise


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """A model fitted to a cohort: frozen.

    Attributes
    ----------
    model : Model
    cohort : Cohort
    idata : xarray.DataTree
        Groups posterior, sample_stats, observed_data, constant_data and, on request, posterior_predictive and
        log_likelihood. Dims (chain, draw, ...); subjects by id, arms by label.
    priors : mapping of str to Prior
        The priors used, replacements included.
    options : mapping
        The model's options, as used.
    outcomes : tuple of str
        The cohort's outcomes that the model saw.
    diagnostics : Diagnostics
        What the gate read.
    settings : mapping
        engine, draws, chains, random_seed; for NUTS also sampler, tune and its own keywords; `fell_back`, the reason, if
        NUTS was run because the marginal engine could not vouch for its answer.
    versions : mapping of str to str
        Versions of the packages that made it.
    """

    model: Model
    cohort: Cohort
    idata: xr.DataTree
    priors: Mapping[str, SupportsPyMC]
    options: Mapping[str, Any]
    outcomes: tuple[str, ...]
    diagnostics: Diagnostics
    settings: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def problems(self) -> tuple[str, ...]:
        """What the gate found wrong; empty if the fit passed."""
        return self.diagnostics.problems

    @property
    def posterior(self) -> xr.Dataset:
        """The posterior draws, dims (chain, draw, ...)."""
        return self.idata["posterior"].to_dataset()

    def encoded(self) -> Encoded:
        """The cohort as the program saw it."""
        return encode(self.model, self.cohort, options=self.options, outcomes=self.outcomes)

    def summary(self, *, ci_prob: float = 0.95, subjects: bool = False) -> pd.DataFrame:
        """Posterior summary of the parameters in ArviZ's columns.

        Parameters
        ----------
        ci_prob : float
            Probability of the equal-tailed interval.
        subjects : bool
            Whether to list each subject's effects too.

        Returns
        -------
        pandas.DataFrame
            Prints with a header line that names the problems of the fit, if it has any.
        """
        check_probability("ci_prob", ci_prob)
        keep = [name for name, variable in self.posterior.data_vars.items()
                if variable.size and not str(name).endswith("_raw") and (subjects or "subject" not in variable.dims)]  # fmt: skip
        table = summarise(components(self.posterior[keep]), ci_prob=ci_prob)
        return Summary(table).with_header(self.header())

    def header(self) -> str:
        """One line: model, cohort, provenance, and whether the gate was passed."""
        text = f"{self.model.name} on {self.cohort.name or 'a cohort'} ({self.cohort.n_subjects} subjects, {provenance(self.cohort)})"
        if "fell_back" in self.settings:
            text += f"; by NUTS: the marginal engine could not vouch for its answer ({self.settings['fell_back']})"
        return text + (f"; PROBLEMS: {'; '.join(self.problems)}" if self.problems else "; the gate was passed")

    def with_posterior_predictive(self, *, draws: int = 500, random_seed: int | None = None) -> Fit:
        """The same fit with the group posterior_predictive: replicates of every observed row.

        Parameters
        ----------
        draws : int
            Number of posterior draws used, spread evenly over all chains.
        random_seed : int, optional
            The fit's own unless given.
        """
        check_count("draws", draws)
        seed = self.settings["random_seed"] if random_seed is None else random_seed
        chosen = forward.thin(self.posterior, draws)
        replicates = forward.replicate(self.model, self.encoded(), self.priors, chosen, random_seed=seed)
        return self._with_group("posterior_predictive", replicates)

    def with_log_likelihood(self) -> Fit:
        """The same fit with the group log_likelihood: one value for each draw and observed row."""
        rows = forward.log_likelihood(self.model, self.encoded(), self.priors, self.posterior)
        return self._with_group("log_likelihood", rows)

    def _with_group(self, name: str, dataset: xr.Dataset) -> Fit:
        groups = {key: node.to_dataset() for key, node in self.idata.children.items()}
        return replace(self, idata=xr.DataTree.from_dict({**groups, name: dataset}))

    def predict(
        self, months: Sequence[float], *, new_patients: Mapping[str, int] | None = None, draws: int = 500,
        random_seed: int | None = None,
    ) -> xr.Dataset:  # fmt: skip
        """Predictive draws at chosen months, for the cohort's own patients or for new ones.

        Parameters
        ----------
        months : sequence of float
            Months from baseline. A model with effects by visit uses the nearest of its planned visits.
        new_patients : mapping of arm to int, optional
            How many new patients in each arm, with average covariates; the cohort's own where omitted.
        draws : int
            Number of posterior draws used, spread evenly over all chains.
        random_seed : int, optional
            The fit's own unless given.

        Returns
        -------
        xarray.Dataset
            One variable an observed variable of the model, dims (sample, subject, month[, outcome]); for times to an
            event (sample, subject), months, infinite where it does not happen by the last month. Scores are had nobody
            died: which of them lie after a death the times say.

        Raises
        ------
        SettingError
            For months that are not finite, an unknown arm, or a number of patients below one.
        """
        seed = self.settings["random_seed"] if random_seed is None else random_seed
        months = list(months) if isinstance(months, Sequence | np.ndarray) and not isinstance(months, str) else [months]
        faults = [setting_fault("months", m, "is not a finite number", "give months from baseline")
                  for m in months if not isinstance(m, int | float | np.number) or not np.isfinite(m)]  # fmt: skip
        if new_patients is not None and not isinstance(new_patients, Mapping):
            raise SettingError([setting_fault("new_patients", new_patients, "is not a mapping", "give {arm: number}")])
        if new_patients is not None and not new_patients:
            faults.append(setting_fault("new_patients", new_patients, "is empty", "give a number for at least one arm"))
        if isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < 1:
            faults.append(setting_fault("draws", draws, "is not a number of draws", "give at least 1"))
        for arm, count in (new_patients or {}).items():
            if arm not in self.cohort.arms:
                faults.append(
                    setting_fault("new_patients", arm, f"is not an arm{suggest(arm, self.cohort.arms)}", "rename it")
                )
            if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
                faults.append(setting_fault("new_patients", count, "is not a number of patients", "give at least 1"))
        if len(months) == 0:
            faults.append(setting_fault("months", list(months), "is empty", "give at least one month"))
        if faults:
            raise SettingError(faults)
        encoded = self.encoded().on_schedule(list(months), new_patients)
        chosen = forward.thin(self.posterior, draws)
        rows = forward.replicate(self.model, encoded, self.priors, chosen, random_seed=seed,
                                 new_subjects=new_patients is not None)  # fmt: skip
        return encoded.on_grid(rows, list(months))

    def save(self, path: str | Path) -> Path:
        """Write the fit to one netCDF file, whole or not at all; `progression.load` reads it back without loss.

        Raises
        ------
        StoreError
            It cannot be written, or a file of another kind is there. What was there is left as it was.
        """
        refuse_foreign(path, "fit")
        return write_tree(path, _to_tree(self))

    def __repr__(self) -> str:
        sizes = self.idata["posterior"].sizes
        lines = [f"Fit of {self.header()}", f"  {sizes['chain']} chains x {sizes['draw']} draws, {self.settings.get('sampler', 'marginal engine')}, "
                 f"seed {self.settings['random_seed']}; groups {', '.join(self.idata.children)}"]  # fmt: skip
        return "\n".join(lines + [f"  PROBLEM  {problem}" for problem in self.problems])


@dataclass(frozen=True)
class ForeignPrior:
    """A prior that was an object of another package when the fit was saved: only its description was kept."""

    description: str

    def to_pymc(self, name: str, **kwargs: Any) -> Any:
        """Refuse, since what the object did is not in the file."""
        raise SettingError([setting_fault("priors", self.description, f"of {name!r} is known by its description only",
                                   "give the prior again and refit")])  # fmt: skip

    def __repr__(self) -> str:
        return self.description


def load(path: str | Path, *, model: Model | None = None) -> Fit:
    """Read a fit from a file that `Fit.save` wrote. Nothing in the file is executed.

    Parameters
    ----------
    path : str or Path
    model : Model, optional
        The model it was fitted with, where that is neither on a shelf nor registered.

    Raises
    ------
    StoreError
        The file is missing, torn, altered or not of this kind.
    SettingError
        The model is unknown here, declares other priors than the fit used, or is given other data of the cohort than then: saved
        draws of effects are distances from what those data say, and would be read as other effects.
    """
    tree = read_tree(path, kind="fit")
    facts = json.loads(tree.attrs["facts"])
    if model is None:
        known = models()
        if facts["model"] not in known:
            raise SettingError([setting_fault("model", facts["model"], f"is not known here{suggest(facts['model'], known)}",
                                       "give it: pg.load(path, model=my_model)")])  # fmt: skip
        model = known[facts["model"]]
    priors: dict[str, SupportsPyMC] = {name: _prior(one) for name, one in facts["priors"].items()}
    if set(priors) != set(model.priors):
        raise SettingError([setting_fault("model", model.name, "declares other priors than the saved fit used",
                                   "give the version of the model it was fitted with")])  # fmt: skip
    groups = {name: node.to_dataset() for name, node in tree.children.items()}
    cohort = Cohort.from_xarray(groups.pop("cohort"))
    expected = facts["settings"]["draws"]
    made = Fit(
        model=model, cohort=cohort, idata=xr.DataTree.from_dict(groups), priors=priors, options=facts["options"],
        outcomes=tuple(facts["outcomes"]), settings=facts["settings"], versions=facts["versions"],
        diagnostics=diagnose(groups["posterior"], groups["sample_stats"], expected_draws=expected),
    )  # fmt: skip
    saved, now = groups["constant_data"], made.encoded().groups()["constant_data"]
    other = [str(name) for name in now if name not in saved or not _alike(saved[name].to_numpy(), now[name].to_numpy())]
    if other:
        raise SettingError([setting_fault("path", str(path), f"was saved by a version that coded the cohort otherwise ({', '.join(other[:3])})",
                                   "fit the model again")])  # fmt: skip
    return made


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the same but for the last digits, in which processors differ."""
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)


def _to_tree(fit: Fit) -> xr.DataTree:
    priors = {name: _described(prior) for name, prior in fit.priors.items()}
    facts = {
        "model": fit.model.name, "reference": fit.model.reference, "priors": priors, "options": dict(fit.options),
        "outcomes": list(fit.outcomes), "settings": dict(fit.settings), "versions": dict(fit.versions),
        "problems": list(fit.problems),
    }  # fmt: skip
    tree = fit.idata.copy()
    tree["cohort"] = xr.DataTree(fit.cohort.to_xarray())
    tree.attrs = {"kind": "fit", "facts": json.dumps(facts, default=_plain), "provenance": provenance(fit.cohort),
                  "problems": "; ".join(fit.problems)}  # fmt: skip
    return tree


def _described(prior: SupportsPyMC) -> dict[str, Any]:
    if isinstance(prior, Prior):
        return {"distribution": prior.distribution, "parameters": dict(prior.parameters)}
    if isinstance(prior, DriftPrior):
        return {
            "base": _described(prior.base),
            "dim": prior.dim,
            "arms": list(prior.arms),
            "components": [list(one) for one in prior.components],
        }
    return {"description": repr(prior)}


def _prior(one: Mapping[str, Any]) -> SupportsPyMC:
    if "distribution" in one:
        return Prior(one["distribution"], **one["parameters"])
    if "base" in one:
        base = one["base"]
        parts = tuple((float(weight), float(sd)) for weight, sd in one["components"])
        return DriftPrior(Prior(base["distribution"], **base["parameters"]), one["dim"], tuple(one["arms"]), parts)
    return ForeignPrior(one["description"])


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else list(value)


def provenance(cohort: Cohort) -> str:
    """How a table or figure made from this cohort must name where its numbers come from."""
    words = {"observed": "observed data", "reconstructed": "RECONSTRUCTED from published summaries",
             "simulated": "SIMULATED data"}  # fmt: skip
    return words[cohort.provenance]
