"""Responder analysis: rules over what was seen and what befell a patient, as probabilities from the joint posterior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from progression.cohort import Cohort
from progression.event_times import is_event
from progression.fitted import Fit
from progression.responses import Response, Signs, Strategy, check_responders

__all__ = ["Responders", "responders"]


@dataclass(frozen=True, eq=False)
class Responders:
    """How probable response is. Made by `responders`.

    Attributes
    ----------
    patients : DataFrame
        By subject: arm; ``observed`` (True, False, or missing where the visit is); ``event`` that decides, if any; ``probability`` that the
        patient meets the rule at the visit, given all data: by a new measurement there, from the baseline that was seen.
    arms : DataFrame
        By arm and population ("these patients", "a new patient"): mean, sd and 95 % limits of the share that responds.
    difference : DataFrame
        The same of arm minus control, with the ``probability`` that it is above 0. Empty without controls.
    draws : xarray.Dataset
        ``these_patients`` and ``new_patient``, dims (sample, arm).
    response, month, strategies : as asked
    notes : tuple of str
        What to know when reading it.
    """

    response: Response
    month: float
    strategies: Mapping[str, str]
    patients: pd.DataFrame
    arms: pd.DataFrame
    difference: pd.DataFrame
    draws: xr.Dataset
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [f"Response at month {self.month:.3g}: {self.response.name}"]
        lines += [f"  {kind}: {how}" for kind, how in self.strategies.items()]
        lines += (
            [f"  {line}" for line in self.patients.round(3).to_string().splitlines()]
            if len(self.patients) <= 12
            else []
        )
        for (arm, population), row in self.arms.iterrows():
            lines.append(
                f"  {arm}, {population}: {row['mean']:.3f} (95 % interval {row['lower']:.3f} to {row['upper']:.3f})"
            )
        for (arm, population), row in self.difference.iterrows():
            lines.append(f"  {arm} minus control, {population}: {row['mean']:+.3f} (95 % interval {row['lower']:+.3f} to {row['upper']:+.3f}), "
                         f"P(> 0) = {row['probability']:.3f}")  # fmt: skip
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def responders(
    fit: Fit,
    response: Response,
    *,
    month: float,
    strategies: Mapping[str, Strategy] | None = None,
    new_patients: int = 500,
    draws: int = 500,
    random_seed: int | None = None,
) -> Responders:
    """Probability of response, by patient and by arm, from the joint posterior of all outcomes.

    Parameters
    ----------
    fit : Fit
        Of a model that observes every outcome of the rule.
    response : Response
    month : float
        Months from baseline; a model with effects by visit uses the nearest of its planned visits.
    strategies : mapping of str to {"composite", "treatment policy", "hypothetical"}
        How each kind of intercurrent event of the cohort (`Cohort.events`) counts, where it happens by `month`: "composite", no response;
        "treatment policy", whatever is seen or predicted; "hypothetical", what would be had it not happened, for which values seen after it
        must have been left out of the fit. Every kind that occurs must be stated.
    new_patients : int
        How many are simulated in each arm for each draw.
    draws : int
        Posterior draws used.
    random_seed : int, optional
        The fit's own unless given.

    Returns
    -------
    Responders

    Raises
    ------
    SettingError
        For a kind of event without a strategy, an unknown kind or strategy, values after an event under "hypothetical", a month that is no
        time after baseline, an outcome that the fit has not.

    Notes
    -----
    Strategies as in ICH E9(R1). A new patient's composite event comes when the fit predicts it, where the fit models it (sle_activity with
    the option ``flare="shared"``): it then befalls those who would have done worse. Of other events, the share of patients whom one
    befalls by then is drawn from its own posterior under a Beta(1/2, 1/2) prior in each arm, independent of the outcomes; who left
    before without an event counts as spared.
    """
    strategies = dict(strategies or {})
    check_responders(fit.cohort, response, month, strategies, new_patients)
    visits = fit.encoded().coords.get("visit")
    at = float(min(visits[1:], key=lambda one: abs(one - month))) if visits else float(month)
    seed = fit.settings["random_seed"] if random_seed is None else random_seed
    own, _ = _predicted(fit, at, None, draws, seed)
    names = [outcome.name for members in fit.encoded().blocks.values() for outcome in members]
    seen = {when: _seen(fit.cohort, names, one) for when, one in (("start", 0.0), ("now", at))}
    known = seen["start"]
    start = Signs({name: np.where(np.isfinite(known[name]), known[name], own[0][name]) for name in names})
    meets = response.of(start, own[1])
    decided = _decided(fit.cohort, strategies, at)
    struck = decided.notna().to_numpy()
    meets = meets & ~struck
    arm = fit.cohort.subjects["arm"]
    rests_on = start.read | own[1].read  # a sign that the rule does not read may be missing
    there = np.all([np.isfinite(seen[when][name]) for when in seen for name in rests_on], axis=0)
    observed = pd.array(response.of(Signs(seen["start"]), Signs(seen["now"])) & ~struck, dtype="boolean")
    observed[~there & ~struck] = pd.NA
    patients = pd.DataFrame(
        {"arm": arm, "observed": observed, "event": decided, "probability": meets.mean(axis=0)}, index=arm.index
    )

    arms = list(fit.cohort.arms)
    modelled, others = _composite(fit, strategies)
    new, times = _predicted(fit, at, dict.fromkeys(arms, int(new_patients)), draws, seed)
    without = np.all([times[name] > at for name in modelled], axis=0) if modelled else np.array(True)
    would = (response.of(*new) & without).reshape(len(meets), len(arms), -1).mean(axis=2)
    rng = np.random.default_rng([seed, len(arms)])
    spared = np.ones_like(would)
    if others:
        hit_by = _decided(fit.cohort, dict.fromkeys(others, "composite"), at).notna()
        for k, label in enumerate(arms):
            n, hit = int((arm == label).sum()), int(hit_by[arm == label].sum())
            spared[:, k] = 1 - rng.beta(0.5 + hit, 0.5 + n - hit, size=len(would))
    these = np.column_stack([meets[:, (arm == label).to_numpy()].mean(axis=1) for label in arms])
    made = xr.Dataset(
        {"these_patients": (("sample", "arm"), these), "new_patient": (("sample", "arm"), would * spared)},
        coords={"arm": arms},
    )
    populations = {"these patients": these, "a new patient": would * spared}
    shares = {(label, name): _summary(one[:, k]) for k, label in enumerate(arms) for name, one in populations.items()}
    apart = {(label, name): _summary(one[:, k] - one[:, 0]) | {"probability": float((one[:, k] > one[:, 0]).mean())}
             for k, label in enumerate(arms) if k for name, one in populations.items()}  # fmt: skip
    return Responders(response, at, strategies, patients, _table(shares), _table(apart), made, _notes(fit, strategies))


def _composite(fit: Fit, strategies: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Events of the fit that count as no response, and kinds of the cohort that do so and that the fit knows nothing of."""
    kinds = [kind for kind, how in strategies.items() if how == "composite"]
    words = {name: fit.model.events[name] for name in fit.encoded().events}
    modelled = [name for name, own in words.items() if any(is_event(kind, own) for kind in kinds)]
    return modelled, [kind for kind in kinds if not any(is_event(kind, words[name]) for name in modelled)]


def _predicted(
    fit: Fit, month: float, new: Mapping[str, int] | None, draws: int, seed: int
) -> tuple[tuple[Signs, Signs], dict[str, np.ndarray]]:
    """All outcomes at baseline and at the visit, and months to each event of the fit; each (sample, subject)."""
    found = fit.predict([0.0, month], new_patients=new, draws=draws, random_seed=seed)
    values: dict[str, xr.DataArray] = {}
    for block, members in fit.encoded().blocks.items():
        dim = fit.encoded().outcome_dim(block)
        for one in members:
            values[one.name] = found[block].sel({dim: one.name}) if dim in found[block].dims else found[block]
    plain = {name: one.transpose("sample", "subject", "month").to_numpy() for name, one in values.items()}
    times = {name: found[name].transpose("sample", "subject").to_numpy() for name in fit.encoded().events}
    start, now = (Signs({name: one[..., k] for name, one in plain.items()}) for k in (0, 1))
    return (start, now), times


def _seen(cohort: Cohort, names: list[str], month: float) -> dict[str, np.ndarray]:
    """What the table has of each subject at the visit nearest to a month, within half a month; NaN where nothing."""
    visits, ids = cohort.visits, cohort.subjects.index
    off = (visits["month"].clip(lower=0) - month).abs()
    near = visits[off < 0.5].assign(off=off[off < 0.5]).sort_values(["off", "month"], ascending=[True, False])
    first = near.drop_duplicates("subject").set_index("subject").reindex(ids)
    return {name: first[name].to_numpy(float) for name in names}


def _decided(cohort: Cohort, strategies: Mapping[str, str], month: float) -> pd.Series:
    """The first composite event of each subject by then, or nothing."""
    events = cohort.events
    composite = [kind for kind, how in strategies.items() if how == "composite"]
    hits = events[events["kind"].isin(composite) & (events["month"] <= month + 1e-9)].sort_values("month")
    return hits.drop_duplicates("subject").set_index("subject")["kind"].reindex(cohort.subjects.index)


def _summary(one: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(one, [0.025, 0.975])
    return {"mean": float(one.mean()), "sd": float(one.std(ddof=1)), "lower": float(low), "upper": float(high)}


def _table(rows: Mapping[tuple[str, str], Mapping[str, float]]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(list(rows), names=["arm", "population"]) if rows else None
    return pd.DataFrame(list(rows.values()), index=index)


def _notes(fit: Fit, strategies: Mapping[str, str]) -> tuple[str, ...]:
    cohort, notes = fit.cohort, []
    if len(cohort.arms) == 1:
        notes.append(
            "single arm: response since baseline on treatment, not an effect of it; regression to the mean responds too"
        )
    if len(cohort.subjects) < 10:
        notes.append(
            f"n = {len(cohort.subjects)}: what a new patient would do rests on the priors as much as on the data"
        )
    modelled, others = _composite(fit, strategies)
    if modelled:
        notes.append(
            f"for a new patient, {', '.join(modelled)} comes when the model predicts it, the sooner the higher the activity"
        )
    if others:
        notes.append(f"for a new patient, {', '.join(others)} befalls patients whatever their outcomes")
    if cohort.provenance != "observed":
        notes.append(f"{cohort.provenance.upper()} data")
    return (*notes, *(f"PROBLEM of the fit: {problem}" for problem in fit.problems))
