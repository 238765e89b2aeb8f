"""Bayesian models of disease progression: from a table of visits to a posterior contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from progression import datasets as datasets
    from progression.checking import check as check, prior_check as prior_check
    from progression.cohort import Cohort as Cohort
    from progression.contrasts import Contrast as Contrast, Rule as Rule, contrast as contrast
    from progression.faults import CohortError as CohortError, InputError as InputError, SettingError as SettingError
    from progression.fitted import Fit as Fit, load as load
    from progression.fitting import FitError as FitError, FitWarning as FitWarning, fit as fit
    from progression.leaving_out import loo as loo
    from progression.modeling import Estimand as Estimand, Model as Model, Prior as Prior, model as model
    from progression.outcomes import Outcome as Outcome
    from progression.readers.csv import read_csv as read_csv
    from progression.registry import models as models, register as register
    from progression.reporting import report as report
    from progression.store import StoreError as StoreError


__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["datasets"],
    submod_attrs={
        "checking": ["check", "prior_check"],
        "cohort": ["Cohort"],
        "contrasts": ["Contrast", "Rule", "contrast"],
        "faults": ["CohortError", "InputError", "SettingError"],
        "fitted": ["Fit", "load"],
        "fitting": ["FitError", "FitWarning", "fit"],
        "leaving_out": ["loo"],
        "modeling": ["Estimand", "Model", "Prior", "model"],
        "outcomes": ["Outcome"],
        "readers.csv": ["read_csv"],
        "registry": ["models", "register"],
        "reporting": ["report"],
        "store": ["StoreError"],
    },
)
