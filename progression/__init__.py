"""Bayesian models of disease progression: from a table of visits to a posterior contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from progression.compile_folder import make_sure_of_compile_folder

if TYPE_CHECKING:
    from progression import datasets as datasets
    from progression import plots as plots
    from progression.adjustment import Weights as Weights
    from progression.adjustment import matched as matched
    from progression.adjustment import propensity_weights as propensity_weights
    from progression.baseline import Comparability as Comparability
    from progression.baseline import comparability as comparability
    from progression.baseline import with_historical_controls as with_historical_controls
    from progression.borrowing import CalendarDrift as CalendarDrift
    from progression.borrowing import Commensurate as Commensurate
    from progression.borrowing import Pooled as Pooled
    from progression.borrowing import PowerPrior as PowerPrior
    from progression.borrowing import RobustMAP as RobustMAP
    from progression.borrowing import Separate as Separate
    from progression.borrowing import Sources as Sources
    from progression.characteristics import OperatingCharacteristics as OperatingCharacteristics
    from progression.checking import check as check
    from progression.checking import prior_check as prior_check
    from progression.cohort import Cohort as Cohort
    from progression.contrasts import Contrast as Contrast
    from progression.contrasts import contrast as contrast
    from progression.design import Design as Design
    from progression.faults import CohortError as CohortError
    from progression.faults import InputError as InputError
    from progression.faults import SettingError as SettingError
    from progression.fitted import Fit as Fit
    from progression.fitted import load as load
    from progression.fitting import FitError as FitError
    from progression.fitting import FitWarning as FitWarning
    from progression.fitting import fit as fit
    from progression.historical import MapPrior as MapPrior
    from progression.historical import map_prior as map_prior
    from progression.leaving_out import loo as loo
    from progression.looks import Look as Look
    from progression.many import Fits as Fits
    from progression.many import fit_many as fit_many
    from progression.modeling import Estimand as Estimand
    from progression.modeling import Model as Model
    from progression.modeling import Prior as Prior
    from progression.modeling import model as model
    from progression.operating import assurance as assurance
    from progression.operating import power as power
    from progression.outcomes import Outcome as Outcome
    from progression.predicted_ranks import PredictedCafs as PredictedCafs
    from progression.predicted_ranks import predicted_cafs as predicted_cafs
    from progression.ranking import Cafs as Cafs
    from progression.ranking import cafs as cafs
    from progression.readers.csv import read_csv as read_csv
    from progression.readers.proact import read_proact as read_proact
    from progression.registry import models as models
    from progression.registry import register as register
    from progression.replicates import Replicates as Replicates
    from progression.reporting import report as report
    from progression.resampling import Patients as Patients
    from progression.resampling import resample as resample
    from progression.responder_trials import ResponderTrials as ResponderTrials
    from progression.responder_trials import count_responders as count_responders
    from progression.responding import Responders as Responders
    from progression.responding import responders as responders
    from progression.responses import Response as Response
    from progression.rules import Rule as Rule
    from progression.sensitivity import prior_sensitivity as prior_sensitivity
    from progression.simulating import simulate as simulate
    from progression.sizing import SampleSize as SampleSize
    from progression.sizing import find_n as find_n
    from progression.store import StoreError as StoreError
    from progression.summary_arm import SummaryArm as SummaryArm
    from progression.sweeps import Sweep as Sweep
    from progression.sweeps import drift_sweep as drift_sweep
    from progression.trials import Trials as Trials
    from progression.wins_by_draw import win_probability as win_probability

make_sure_of_compile_folder()  # before anything imports PyTensor

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["datasets", "plots"],
    submod_attrs={
        "adjustment": ["Weights", "matched", "propensity_weights"],
        "characteristics": ["OperatingCharacteristics"],
        "checking": ["check", "prior_check"],
        "cohort": ["Cohort"],
        "borrowing": ["CalendarDrift", "Commensurate", "Pooled", "PowerPrior", "RobustMAP", "Separate", "Sources"],
        "baseline": ["Comparability", "comparability", "with_historical_controls"],
        "contrasts": ["Contrast", "contrast"],
        "design": ["Design"],
        "faults": ["CohortError", "InputError", "SettingError"],
        "fitted": ["Fit", "load"],
        "fitting": ["FitError", "FitWarning", "fit"],
        "historical": ["MapPrior", "map_prior"],
        "leaving_out": ["loo"],
        "looks": ["Look"],
        "many": ["Fits", "fit_many"],
        "modeling": ["Estimand", "Model", "Prior", "model"],
        "operating": ["assurance", "power"],
        "outcomes": ["Outcome"],
        "predicted_ranks": ["PredictedCafs", "predicted_cafs"],
        "ranking": ["Cafs", "cafs"],
        "readers.csv": ["read_csv"],
        "readers.proact": ["read_proact"],
        "registry": ["models", "register"],
        "replicates": ["Replicates"],
        "reporting": ["report"],
        "resampling": ["Patients", "resample"],
        "responder_trials": ["ResponderTrials", "count_responders"],
        "responding": ["Responders", "responders"],
        "responses": ["Response"],
        "rules": ["Rule"],
        "sensitivity": ["prior_sensitivity"],
        "simulating": ["simulate"],
        "sizing": ["SampleSize", "find_n"],
        "store": ["StoreError"],
        "summary_arm": ["SummaryArm"],
        "sweeps": ["Sweep", "drift_sweep"],
        "trials": ["Trials"],
        "wins_by_draw": ["win_probability"],
    },
)
