"""Trials x Response -> how often a trial that compares shares of responders would succeed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from progression.faults import Fault, SettingError, check_probability, is_number, setting_fault
from progression.responses import Response, Signs
from progression.trials import Trials

__all__ = ["ResponderTrials", "count_responders"]

_NODES = 1024  # midpoints of equal probability: the error of P(difference > 0) stays below 0.0005


@dataclass(frozen=True, eq=False, repr=False)
class ResponderTrials:
    """Responders of many simulated trials. Made by `count_responders`.

    Attributes
    ----------
    response : Response
    month : float
        The planned visit that was used.
    responders : xarray.DataArray
        How many responded, dims (data_set, arm), control first.
    patients : Series
        How many each arm has, by arm.
    probability : xarray.DataArray
        Posterior probability that the share of responders of an arm is above that of control, dims (data_set, active_arm).
    """

    response: Response
    month: float
    responders: xr.DataArray
    patients: pd.Series
    probability: xr.DataArray

    @property
    def shares(self) -> pd.DataFrame:
        """Share that responds in each arm, over all trials, and its difference to control, each with its Monte Carlo standard error."""
        share = self.responders / xr.DataArray(
            self.patients.to_numpy(float), dims="arm", coords={"arm": self.responders["arm"]}
        )
        apart = share - share.isel(arm=0, drop=True)
        error = np.sqrt(len(share))
        return pd.DataFrame(
            {"share": share.mean("data_set"), "error": share.std("data_set", ddof=1) / error,
             "difference": apart.mean("data_set"), "difference_error": apart.std("data_set", ddof=1) / error},
            index=pd.Index(share["arm"].to_numpy(), name="arm"),
        )  # fmt: skip

    def success(self, threshold: float = 0.975) -> pd.DataFrame:
        """Share of trials in which the probability of a higher share exceeds a threshold, by arm, with its Monte Carlo standard error.

        Raises
        ------
        SettingError
            For a threshold that is no probability between 0 and 1.
        """
        check_probability("threshold", threshold)
        wins = (self.probability > threshold).mean("data_set").to_numpy()
        n = self.probability.sizes["data_set"]
        index = pd.Index(self.probability["active_arm"].to_numpy(), name="arm")
        return pd.DataFrame({"success": wins, "error": np.sqrt(wins * (1 - wins) / n), "trials": n}, index=index)

    def __repr__(self) -> str:
        lines = [
            f"{self.response.name}, month {self.month:.3g}, in {self.responders.sizes['data_set']} SIMULATED trials"
        ]
        won = self.success()["success"]
        for arm, row in self.shares.iterrows():
            line = f"  {arm}: {row['share']:.3f} of {self.patients[arm]} respond"
            if arm in won.index:
                line += (
                    f", {100 * row['difference']:+.1f} points to control; P(higher) > 0.975 in {won[arm]:.3f} of trials"
                )
            lines.append(line)
        return "\n".join(lines)


def count_responders(trials: Trials, response: Response, *, month: float) -> ResponderTrials:
    """Count responders in simulated trials and compare arms, as the analysis of a responder endpoint does.

    Parameters
    ----------
    trials : Trials
        As they ended, of a model that observes every outcome of the rule.
    response : Response
    month : float
        Months from baseline; the nearest of the planned visits is used.

    Returns
    -------
    ResponderTrials

    Raises
    ------
    SettingError
        For what is no `Response`, a month that is no time after baseline, an outcome that the trials have not, trials without a control
        arm, trials cut short by ``at``.

    Notes
    -----
    A patient without the visit, or without the baseline, is no responder: missed, left, or struck by an event that ended the visits, as
    under the composite strategy (ICH E9(R1)). Each arm's share has Jeffreys' prior Beta(1/2, 1/2), so that its posterior is
    Beta(1/2 + responders, 1/2 + others); historical controls, where there are any, are not counted. `power` judges estimands of a model by
    its posterior; this judges counts by theirs, which costs no fit.
    """
    at, arms, codes, patients = _checked(trials, response, month)
    cohort = trials.cohort
    visits = cohort.visits
    who = cohort.subjects.index.get_indexer(visits["subject"])
    where = {}
    for when, one in (("start", 0.0), ("now", at)):
        rows = np.flatnonzero(np.isclose(visits["month"].to_numpy(float), one))
        where[when] = rows[np.argsort(who[rows])]
    signs = {
        when: Signs({name: value[:, rows] for name, value in trials.values.items()}) for when, rows in where.items()
    }
    meets = response.of(signs["start"], signs["now"])
    for rows in where.values():  # a rule may forgive what is missing: the endpoint does not
        for name in signs["start"].read | signs["now"].read:
            meets = meets & np.isfinite(trials.values[name][:, rows])
    counts = np.stack([meets[:, codes == k].sum(axis=1) for k in range(len(arms))], axis=1)
    probability = np.stack(
        [_higher(counts[:, k], patients.iloc[k], counts[:, 0], patients.iloc[0]) for k in range(1, len(arms))], axis=1
    )
    return ResponderTrials(
        response, at, xr.DataArray(counts, dims=("data_set", "arm"), coords={"arm": arms}), patients,
        xr.DataArray(probability, dims=("data_set", "active_arm"), coords={"active_arm": arms[1:]}),
    )  # fmt: skip


def _checked(trials: Trials, response: object, month: object) -> tuple[float, list[str], np.ndarray, pd.Series]:
    """The visit, the arms of the trial with control first, the arm of each subject (-1: historical), and sizes by arm."""
    faults: list[Fault] = []
    if not isinstance(response, Response):
        faults.append(setting_fault("response", response, "is not a Response", 'give pg.Response("in words", lambda start, now: ...)'))  # fmt: skip
    if not is_number(month) or float(month) <= 0:  # type: ignore[arg-type]
        faults.append(setting_fault("month", month, "is not a time after baseline", "give months, such as 2.76 for week 12"))  # fmt: skip
    arms = [label for label in trials.cohort.arms if label in trials.design.arms]
    if len(arms) < 2:
        faults.append(setting_fault("trials", arms[0], "is the only arm of the trial: there is no control to compare it with",
                                    "give the design a control arm"))  # fmt: skip
    if trials.cut:
        faults.append(setting_fault("trials", "trials.at(...)", "are cut short: patients not yet seen would count as no responders",
                                    "give the trials as they ended"))  # fmt: skip
    if faults:
        raise SettingError(faults)
    after = trials.design.visit_months[trials.design.visit_months > 0]
    at = float(min(after, key=lambda one: abs(one - float(month))))  # type: ignore[arg-type]
    arm = trials.cohort.subjects["arm"]
    codes = arm.map({label: k for k, label in enumerate(arms)}).fillna(-1).to_numpy(int)
    return at, arms, codes, pd.Series(np.bincount(codes[codes >= 0], minlength=len(arms)), index=arms, name="patients")


def _higher(active: np.ndarray, n_active: int, control: np.ndarray, n_control: int) -> np.ndarray:
    """P(share of active > share of control) for each pair of counts, under Beta(1/2, 1/2) in each arm."""
    from scipy.stats import beta

    pairs, place = np.unique(np.column_stack([active, control]), axis=0, return_inverse=True)
    nodes = (np.arange(_NODES) + 0.5) / _NODES
    of_active = beta.ppf(nodes, *(one[:, None] for one in (0.5 + pairs[:, 0], 0.5 + n_active - pairs[:, 0])))
    below = beta.cdf(of_active, *(one[:, None] for one in (0.5 + pairs[:, 1], 0.5 + n_control - pairs[:, 1])))
    return below.mean(axis=1)[place.ravel()]
