"""The propensity: how probable it is, given baseline facts, that a patient is a current and not a historical one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize

from progression.cohort import Cohort
from progression.faults import CohortError, Fault, SettingError, setting_fault, suggest
from progression.subsets import with_baseline


@dataclass(frozen=True, eq=False)
class Propensity:
    """Propensities of the subjects of a cohort.

    Attributes
    ----------
    logit : pandas.Series
        Log odds of being a current patient, by subject.
    historical : pandas.Series
        Whether a subject is a historical control.
    facts : pandas.DataFrame
        What it is given, a column a fact (of words a column a label), in its own unit.
    """

    logit: pd.Series
    historical: pd.Series
    facts: pd.DataFrame


def propensity(cohort: Cohort, covariates: Sequence[str], arms: Sequence[str]) -> Propensity:
    """Fit the propensity by logistic regression without a penalty.

    Parameters
    ----------
    cohort : Cohort
    covariates : sequence of str
        Covariates of the cohort, and ``<outcome>_baseline``.
    arms : sequence of str
        Labels of the historical arms.

    Raises
    ------
    SettingError
        For unknown arms or covariates, or without scikit-learn.
    CohortError
        Where a covariate is missing, the same in everybody, or the groups are separated.

    Notes
    -----
    Rosenbaum and Rubin (1983), Biometrika 70:41.
    """
    try:
        from sklearn.linear_model import LogisticRegression  # an optional extra
    except ImportError:
        raise SettingError([setting_fault(None, "scikit-learn", "is not installed: it fits the propensity",
                                          'install it: pip install "progression-bayes[adjust]"')]) from None  # fmt: skip
    known = [*cohort.covariates, *(f"{one.name}_baseline" for one in cohort.outcomes)]
    names = [covariates] if isinstance(covariates, str) else list(dict.fromkeys(covariates))
    faults = [setting_fault("covariates", one, f"is neither a covariate nor a baseline score{suggest(one, known)}", "name one of them")
              for one in names if one not in known]  # fmt: skip
    if not names:
        faults.append(setting_fault("covariates", names, "is empty", f"name some of {', '.join(known)}"))
    faults += [setting_fault("arms", one, f"is not an arm{suggest(one, cohort.arms)}", "bring controls in with pg.with_historical_controls, "
                             "or name their arm: arms=(...,)") for one in arms if one not in cohort.arms]  # fmt: skip
    if not arms or set(cohort.arms) <= set(arms):
        faults.append(setting_fault("arms", tuple(arms), "leaves no historical arm" if not arms else "leaves no current patients: every arm is historical",
                                    "name the historical arms, and them only"))  # fmt: skip
    if faults:
        raise SettingError(faults)
    table = with_baseline(cohort.visits, cohort.subjects, cohort.outcomes)
    lost = [Fault(what="the covariate is missing, and without it there is no propensity", column=name, subject=str(one), table="subjects",
                  remedy=f'fill it in, or leave these subjects out: cohort.select("{name} == {name}")')
            for name in names for one in table.index[table[name].isna()]]  # fmt: skip
    lost += [Fault(what="is the same in everybody", column=name, value=table[name].iloc[0], table="subjects", remedy="leave it out of covariates=")
             for name in names if table[name].nunique() == 1 and table[name].notna().all()]  # fmt: skip
    if lost:
        raise CohortError(lost)
    parts = {name: _columns(table[name], name) for name in names}
    facts = pd.concat(parts.values(), axis=1)
    historical = table["arm"].isin(arms)
    scaled = {name: (own - own.mean()) / own.std(ddof=0) for name, own in parts.items()}
    x, current = np.hstack(list(scaled.values())), ~historical.to_numpy()
    if _separated(x, current):
        alone = [name for name, own in scaled.items() if _separated(own.to_numpy(), current)]
        raise CohortError([Fault(what="current and historical patients are separated: " + (f"{' and '.join(alone)} alone tells" if alone else
                                 "together these covariates tell") + " them apart, so that nobody is comparable and the propensity has no estimate",
                                 column=", ".join(alone or names), table="subjects",
                                 remedy="select patients who overlap (cohort.select), or leave it out and say so: pg.comparability shows how far apart they are")])  # fmt: skip
    made = LogisticRegression(C=np.inf, tol=1e-8, max_iter=10_000).fit(x, current)
    return Propensity(pd.Series(made.decision_function(x), table.index), historical, facts)


def _columns(values: pd.Series, name: str) -> pd.DataFrame:
    """A number as it is; of words an indicator a label, one only where there are two."""
    if pd.api.types.is_numeric_dtype(values):
        return values.astype(float).to_frame(name)
    labels = sorted(values.astype(str).unique())
    return pd.DataFrame({f"{name}: {label}": (values.astype(str) == label).astype(float)
                         for label in (labels[1:] if len(labels) == 2 else labels)})  # fmt: skip


def _separated(x: np.ndarray, current: np.ndarray) -> bool:
    """Whether a plane has all current patients on its one side or in it, and all historical ones on the other or in it.

    Then, and only then, the likelihood of a logistic regression has no maximum (Albert and Anderson 1984, Biometrika 71:1).
    By linear programming (Konis 2007, thesis, Oxford).
    """
    sides = np.where(current, 1.0, -1.0)[:, None] * np.column_stack([np.ones(len(x)), x])
    best = optimize.linprog(-sides.sum(axis=0), A_ub=-sides, b_ub=np.zeros(len(x)), bounds=(-1, 1))
    return bool(best.status != 0 or -best.fun > 1e-6)
