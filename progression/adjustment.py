"""Historical controls made alike to the current patients at baseline: matched to them, or weighted, by the propensity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize

from progression.baseline import LARGE
from progression.cohort import Cohort
from progression.faults import CohortError, Fault, SettingError, is_number, setting_fault
from progression.propensity import Propensity, propensity

HISTORICAL = ("historical control",)


@dataclass(frozen=True, eq=False, repr=False)
class Weights:
    """Weights under which historical controls look like the current patients at baseline.

    Attributes
    ----------
    by_subject : pandas.Series
        Weight of each historical control by id, above 0 and at most 1: ``pg.PowerPrior(a0, weights=weights.by_subject)``.
    table : pandas.DataFrame
        A row a fact (of words a row a label): means of the current patients, of the historical controls and of these
        weighted, and the standardised differences (historical less current) `before` and `after`.
    cohort : Cohort
        Whose they are.
    """

    by_subject: pd.Series
    table: pd.DataFrame
    cohort: Cohort

    @property
    def effective_size(self) -> float:
        """How many equally weighted controls have a mean as precise: (sum w)^2 / sum w^2 (Kish 1965, Survey Sampling)."""
        return float(self.by_subject.sum() ** 2 / (self.by_subject**2).sum())

    @property
    def problems(self) -> tuple[str, ...]:
        """Facts that the weights leave apart by more than a quarter of an SD."""
        apart = self.table["after"][self.table["after"].abs() > LARGE]
        return tuple(f"{fact} is still {value:+.2f} SD apart after weighting" for fact, value in apart.items())

    def __repr__(self) -> str:
        own = self.by_subject
        lines = [f"Weights of {len(own)} historical controls: as precise as {self.effective_size:.3g} of equal weight; in a power prior with "
                 f"a0 = 1 they count as {own.sum():.3g}", self.table.to_string(float_format=lambda value: f"{value:.3g}")]  # fmt: skip
        return "\n".join([*lines, *(f"PROBLEM  {text}" for text in self.problems)])


def propensity_weights(cohort: Cohort, covariates: Sequence[str], *, arms: str | Sequence[str] = HISTORICAL) -> Weights:
    """Weight historical controls by the odds of being a current patient, given baseline facts.

    Parameters
    ----------
    cohort : Cohort
        As `with_historical_controls` makes it. All arms but the historical ones are current, concurrent controls too.
    covariates : sequence of str
        Covariates of the cohort, and baseline scores such as "alsfrsr_baseline".
    arms : sequence of str
        Labels of the historical arms.

    Returns
    -------
    Weights

    Raises
    ------
    SettingError
        For unknown arms or covariates, or without scikit-learn.
    CohortError
        Where a covariate is missing, the same in everybody, or the covariates tell current from historical patients without
        fail: then nobody is comparable.

    Notes
    -----
    e / (1 - e), e the propensity: the weights of the average effect in the treated (Hirano and Imbens 2001, Health Services
    and Outcomes Research Methodology 2:259), divided by the largest, so that nobody counts more than once. The differences
    have the SD of `comparability` (unweighted) before and after, so that only means can change them (Stuart 2010, Statistical
    Science 25:1). Weights are estimates: a fit that takes them does not know of their error. They balance what is in
    `covariates`, and nothing else.
    """
    found = propensity(cohort, covariates, _several(arms))
    old = found.historical
    logit = found.logit[old]
    own = pd.Series(np.exp(logit - logit.max()), name="weight")  # the scale of the odds is immaterial
    rows = {}
    for fact, value in found.facts.items():
        here, there = value[~old], value[old]
        spread = np.sqrt((here.var(ddof=1) + there.var(ddof=1)) / 2)
        weighted = float(np.average(there, weights=own))
        rows[fact] = {"current": here.mean(), "historical": there.mean(), "weighted": weighted,
                      "before": (there.mean() - here.mean()) / spread, "after": (weighted - here.mean()) / spread}  # fmt: skip
    return Weights(own, pd.DataFrame(rows).T.rename_axis("fact"), cohort)


def matched(
    cohort: Cohort,
    covariates: Sequence[str],
    *,
    arms: str | Sequence[str] = HISTORICAL,
    ratio: int = 1,
    caliper: float | None = 0.2,
) -> Cohort:
    """Keep the historical controls who match current patients in the propensity, given baseline facts.

    Parameters
    ----------
    cohort : Cohort
        As `with_historical_controls` makes it. All arms but the historical ones are current; all their patients stay.
    covariates : sequence of str
        Covariates of the cohort, and baseline scores such as "alsfrsr_baseline".
    arms : sequence of str
        Labels of the historical arms.
    ratio : int
        Controls for each current patient.
    caliper : float, optional
        How far apart a pair may be, in SDs of the logit of the propensity; None for no limit.

    Returns
    -------
    Cohort
        Whose `warnings` say how many controls were kept, and how many current patients found too few.

    Raises
    ------
    SettingError
        For unknown arms or covariates, a ratio or caliper that cannot be meant, or without scikit-learn.
    CohortError
        As for `propensity_weights`; where there are fewer controls than are to be matched, or none within the caliper.

    Notes
    -----
    Optimal matching without replacement (Rosenbaum 1989, JASA 84:1024): as many pairs within the caliper as there can be,
    and of these the smallest sum of distances; not greedy, so no order of patients matters. A caliper of 0.2 SD of the logit:
    Austin (2011), Pharmaceutical Statistics 10:150; the SD is the root of the mean of the two groups' variances.
    """
    faults = []
    if isinstance(ratio, bool) or not isinstance(ratio, int | np.integer) or ratio < 1:
        faults.append(setting_fault("ratio", ratio, "is not a whole number of at least 1", "give 1 or more"))
    if caliper is not None and (not is_number(caliper) or caliper <= 0):
        faults.append(setting_fault("caliper", caliper, "is not a positive number", "give SDs such as 0.2, or None"))
    if faults:
        raise SettingError(faults)
    arms = _several(arms)
    old = cohort.subjects["arm"].isin(arms)
    wanted, there = int((~old).sum()) * int(ratio), int(old.sum())
    found = propensity(cohort, covariates, arms)
    if there < wanted:
        raise CohortError([Fault(what=f"{there} historical controls are fewer than {int(ratio)} for each of {int((~old).sum())} current patients",
                                 column="arm", table="subjects", remedy="bring more in, lower ratio=, or use pg.propensity_weights")])  # fmt: skip
    pairs = _pairs(found, int(ratio), caliper)
    if not len(pairs):
        raise CohortError([Fault(what=f"no historical control lies within {caliper:g} SD of any current patient", column="arm", table="subjects",
                                 remedy="widen caliper=, or look at pg.comparability(cohort): the cohorts hardly overlap")])  # fmt: skip
    each = pairs["current"].value_counts().reindex(cohort.subjects.index[~old], fill_value=0)
    none, few = int((each == 0).sum()), int(((each > 0) & (each < ratio)).sum())
    said = [f"matched {len(pairs):,} of {there:,} historical controls, {int(ratio)} to 1, to {len(each):,} current patients on {', '.join(covariates)}",
            f"no pair farther apart than {caliper:g} SD of the logit of the propensity" if caliper is not None else "no caliper",
            f"{none} current patients found no match, and stay"]  # fmt: skip
    said += [f"{few} found fewer than {int(ratio)}"] if few else []
    keep = [*cohort.subjects.index[~old], *pairs["historical"]]
    return replace(cohort.select([str(one) for one in keep]), warnings=(*cohort.warnings, "; ".join(said)))


def _pairs(found: Propensity, ratio: int, caliper: float | None) -> pd.DataFrame:
    """Pairs of ids, columns current and historical."""
    here, there = found.logit[~found.historical], found.logit[found.historical]
    apart = np.repeat(np.abs(here.to_numpy()[:, None] - there.to_numpy()), ratio, axis=0)
    sd = np.sqrt((here.var(ddof=1) + there.var(ddof=1)) / 2)
    allowed = np.full(apart.shape, True) if caliper is None else apart <= caliper * sd
    # Dearer than all allowed pairs together: no pair is given up for shorter distances.
    cost = np.where(allowed, apart, (apart[allowed].max(initial=0.0) + 1.0) * (len(apart) + 1))
    row, column = optimize.linear_sum_assignment(cost)
    kept = allowed[row, column]
    return pd.DataFrame({"current": here.index[row[kept] // ratio], "historical": there.index[column[kept]]})


def _several(arms: Any) -> tuple[str, ...]:
    return (arms,) if isinstance(arms, str) else tuple(arms)
