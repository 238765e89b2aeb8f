"""Arguments that cannot be meant, wherever they are given."""

# A case a line reads as a table; wrapped it does not.

import warnings
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

import progression as pg
from tests import proact_folder
from tests.bad_input.cases import bad, bad_setting, people, read, read_file, table


@cache
def trial(arms: int = 2) -> pg.Cohort:
    """Six patients an arm, four visits."""
    rng = np.random.default_rng(1)
    rows = [(f"P{i}", m, round(38 + rng.normal() - m + rng.normal()), ("control", "treated")[i % arms], 50.0 + i) for i in range(6 * arms) for m in (0, 2, 4, 6)]  # fmt: skip
    visits = pd.DataFrame(rows, columns=["subject", "time", "alsfrsr", "arm", "age"])
    return pg.Cohort.from_table(visits, time_unit="months", outcomes=["alsfrsr"], covariates=["age"])


@cache
def fitted(arms: int = 2) -> pg.Fit:
    """A real fit; made before anything is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pg.fit("als_slope", trial(arms), draws=100, chains=2, random_seed=1, progressbar=False)


@cache
def contrasted() -> pg.Contrast:
    """Of a single arm, whose few patients are set beside their priors; made before anything is refused."""
    return pg.contrast(fitted(1))


def fit(model: Any = "als_slope", cohort: Any = None, **how: Any) -> pg.Fit:
    return pg.fit(model, trial() if cohort is None else cohort, **({"progressbar": False, "random_seed": 1} | how))


def cohort(time: Any = (0, 1, 0, 1), **outcomes: Any) -> pg.Cohort:
    return pg.Cohort.from_table(
        {"subject": list("AABB"), "time": list(time), **outcomes}, time_unit="months", outcomes=list(outcomes)
    )


def normal(**parameters: Any) -> pg.Prior:
    return pg.Prior("Normal", **({"mu": 0, "sigma": 1} | parameters))


def rule(
    estimand: str = "slope_difference", comparison: str = ">", value: Any = 0, probability: Any = 0.95, **labels: Any
) -> pg.Rule:
    return pg.Rule(estimand, comparison, value, probability=probability, **labels)


def design(**how: Any) -> pg.Design:
    return pg.Design(**({"arms": {"control": 10, "treated": 10}, "visits_months": [0, 3, 6]} | how))


BASE = {"mean_level": 38, "sd_level": 5, "mean_slope": -1.0, "sd_slope": 0.6, "correlation": 0.1, "sd_residual": 1.5}


def power(plan: Any = None, model: str = "als_slope", judged: Any = None, **how: Any) -> Any:
    how = {"progressbar": False, "random_seed": 5, "n_trials": 4, "base": BASE, "truths": [{"slope_effect": 0.3}]} | how
    return pg.power(design() if plan is None else plan, model, rule() if judged is None else judged, **how)


def repaired(kind: str) -> pg.Cohort:
    with TemporaryDirectory() as folder:
        return pg.read_proact(proact_folder.write(Path(folder), proact_folder.forms(2)), repair=kind)


STUDIES = {"study": ["1", "2"], "n": [10, 20], "events": [1, 2]}
CASE = bad_setting

OF_COHORTS = [
    CASE("unit in the singular", lambda: read(table(), time_unit="week"), "time_unit", "week", "did you mean 'weeks'", "one of them"),
    CASE("no unit", lambda: read(table(), time_unit=None), "time_unit", "None", "choices", "one of them"),
    CASE("allocation misspelt", lambda: read(table(), allocation="randomized"), "allocation", "randomized", "did you mean 'randomised'", "one of them"),
    CASE("provenance unknown", lambda: read(table(), provenance="real"), "provenance", "real", "observed", "one of them"),
    CASE("decimal mark unknown", lambda: read(table(), decimal=";"), "decimal", ";", "choices", "one of them"),
    CASE("arms as text", lambda: read(table(), arms="control"), "arms", "control", "list of labels", "arms=["),
    CASE("arms empty", lambda: read(table(), arms=[]), "arms", "[]", "empty", "control first"),
    CASE("arm named twice", lambda: read(table(), arms=["a", "a"]), "arms", "a", "twice", "once"),
    CASE("arm without label", lambda: read(table(), people(arm=[1, 2]), arms={1: None, 2: "x"}), "arms", "None", "no label", "'control'"),
    CASE("columns to a number", lambda: read(table(), columns={"time": 1}), "columns", "{'time': 1}", "mapping", "columns={"),
    CASE("one column said to be two", lambda: read(table(), columns={"subject": "frs", "time": "frs"}), "columns", "frs", "several things", "its own column"),
    CASE("outcome named twice", lambda: read(table(), outcomes=["frs", "frs"]), "outcomes", "frs", "twice", "once"),
    CASE("no outcome named", lambda: read(table(), outcomes=[]), "outcomes", "[]", "no outcome", "leave outcomes out"),
    CASE("outcomes as a number", lambda: read(table(), outcomes=5), "outcomes", 5, "no list", "outcomes=["),
    CASE("outcome with a reserved name", lambda: read(table(), outcomes=["month"]), "outcomes", "month", "meaning of its own", "columns="),
    CASE("averaged misspelt", lambda: read(table(), outcomes=["frs"], averaged=["fsr"]), "averaged", "fsr", "did you mean 'frs'", "Correct"),
    CASE("averaged misspelt, outcomes found", lambda: read(table(), averaged=["fsr"]), "averaged", "fsr", "did you mean 'frs'", "Correct"),
    CASE("averaged as a number", lambda: read(table(), averaged=5), "averaged", 5, "no list", "averaged=["),
    CASE("covariates as text", lambda: read(table(), covariates="age"), "covariates", "age", "not a list", "covariates=['age']"),
    CASE("covariates as a number", lambda: read(table(), covariates=5), "covariates", 5, "no list", "covariates=["),
    CASE("marks of missing as one text", lambda: read(table(), missing="n.d."), "missing", "n.d.", "no list", "missing=["),
    CASE("marks of missing as a number", lambda: read(table(), missing=-99), "missing", -99, "no list", "missing=["),
    CASE("delimiter of two characters", lambda: read_file("a, b", delimiter=", "), "delimiter", ", ", "one character", "';'"),
    CASE("delimiter a quote", lambda: read_file("a", delimiter='"'), "delimiter", '"', "no quote", "';'"),
    CASE("encoding unknown", lambda: read_file("a", encoding="latin-15"), "encoding", "latin-15", "no such encoding", "'cp1252'"),
    CASE("encoding a number", lambda: read_file("a", encoding=5), "encoding", "5", "no such encoding", "'cp1252'"),
    CASE("encoding no text", lambda: read_file("a", encoding="rot13"), "encoding", "rot13", "no such encoding", "'cp1252'"),
    CASE("repair misspelt", lambda: repaired("over48"), "repair", "over48", "did you mean 'over_48'", "all"),
    CASE("outcome without a name", lambda: pg.Outcome(""), "outcomes", "", "name must be text", "alsfrsr"),
    CASE("bound as text", lambda: pg.Outcome("x", lower="a"), "outcomes", ("a", None, None, None), "finite number", "Leave out"),
    CASE("bounds exchanged", lambda: pg.Outcome("x", lower=5, upper=1), "outcomes", (5, 1), "lower must lie below upper", "Exchange"),
    CASE("detection limit above the bound", lambda: pg.Outcome("x", upper=5, detection_limit=6), "outcomes", 5, "below the upper", "Correct"),
    CASE("items as text", lambda: pg.Outcome("x", items="Q1"), "items", "Q1", "no list", "list of columns"),
    CASE("exclusive item alone", lambda: pg.Outcome("x", items=["Q1"], exclusive_items=[("Q1",)]), "outcomes", ("Q1",), "two of the items", "both"),
    CASE("rule of selection unreadable", lambda: trial().select("age >"), "rule", "age >", "cannot be read", "columns"),
    CASE("rule of selection misspelt", lambda: trial().select("aeg > 5"), "rule", "aeg > 5", "'aeg' is not defined", "age"),
    CASE("rule of selection that nobody meets", lambda: trial().select("age > 500"), "rule", "age > 500", "leaves nobody", "Loosen"),
    CASE("rule of selection a number", lambda: trial().select(5), "rule", 5, "neither a rule", "age < 75"),
    CASE("followed as text", lambda: trial().select(followed="6"), "followed", "6", "not a number", "leave it out"),
    CASE("visits below none", lambda: trial().select(visits=-1), "visits", -1, "not a number of at least 0", "leave it out"),
    CASE("sample of too many", lambda: trial().sample(100, random_seed=1), "n", 100, "from 1 to 12", "Give one"),
    CASE("sample of an unknown arm", lambda: trial().sample(1, arm="tretaed", random_seed=1), "arm", "tretaed", "did you mean 'treated'", "Name one"),
    CASE("seed of a sample as text", lambda: trial().sample(1, random_seed="a"), "random_seed", "a", "whole number", "such as 1"),
    CASE("controls no cohort", lambda: pg.with_historical_controls(trial(), table()), "controls", "DataFrame", "not a Cohort", "from_table"),
    bad("controls that are patients", lambda: pg.with_historical_controls(trial(), trial(1)), "patients of the current cohort", "other ids", count=None, column="subject"),
    bad("events of a study negative", lambda: pg.map_prior(STUDIES | {"events": [1, -1]}, "binomial"), "whole number of at least 0", "Correct", row=2, value=-1, column="events", table="studies"),
    bad("more events than patients", lambda: pg.map_prior(STUDIES | {"events": [11, 2]}, "binomial"), "more events than patients", "Correct", row=1, value=11, column="events", table="studies"),
    bad("patients of a study in words", lambda: pg.map_prior(STUDIES | {"n": ["10", "x"]}, "binomial"), "whole number", "leave the study out", row=2, value="x", column="n", table="studies"),
    bad("column of studies missing", lambda: pg.map_prior({"study": ["1"], "n": [1]}, "binomial"), "missing", "study, n, events", column="events", table="studies"),
    bad("studies as a file's name", lambda: pg.map_prior("studies.csv", "binomial"), "no table", "DataFrame", value="studies.csv", table="studies"),
    bad("studies of no kind of table", lambda: pg.map_prior(5, "binomial"), "no table", "DataFrame", value="5", table="studies"),
    CASE("kind of studies misspelt", lambda: pg.map_prior(STUDIES, "binom"), "kind", "binom", "did you mean 'binomial'", "one of them"),
]  # fmt: skip

NO_BASELINE = cohort(time=(0, 1, 2, 3), tender_joints=[1, 2, 3, 4], swollen_joints=[1, 2, 3, 4])
OF_FITS = [
    CASE("model misspelt", lambda: fit("als_slop"), "model", "als_slop", "did you mean 'als_slope'", "pg.models()"),
    CASE("model a number", lambda: fit(5), "model", 5, "no such model", "pg.models()"),
    CASE("cohort a data frame", lambda: fit(cohort=table()), "cohort", "DataFrame", "not a Cohort", "from_table"),
    CASE("no draws", lambda: fit(draws=0), "draws", 0, "at least 4", "4 or more"),
    CASE("draws true", lambda: fit(draws=True), "draws", True, "whole number", "4 or more"),
    CASE("draws in halves", lambda: fit(draws=2.5), "draws", 2.5, "whole number", "4 or more"),
    CASE("chains below none", lambda: fit(chains=-1), "chains", -1, "at least 1", "1 or more"),
    CASE("no tuning", lambda: fit(tune=0), "tune", 0, "at least 1", "1 or more"),
    CASE("seed below 0", lambda: fit(random_seed=-1), "random_seed", -1, "from 0", "such as 1"),
    CASE("engine misspelt", lambda: fit(engine="nutss"), "engine", "nutss", "did you mean 'nuts'", "one of them"),
    CASE("sampler unknown", lambda: fit(sampler="stan"), "sampler", "stan", "unknown", "one of them"),
    CASE("target_accept in percent", lambda: fit(target_accept=80), "target_accept", 80, "not a probability", "0.9"),
    CASE("keyword misspelt", lambda: fit(target_acept=0.9), "target_acept", 0.9, "did you mean 'target_accept'", "Rename"),
    CASE("negative SD of a prior", lambda: normal(sigma=-1), "sigma", -1, "must be above zero", "positive"),
    CASE("parameter of a prior misspelt", lambda: normal(sgima=1), "sgima", 1, "did you mean 'sigma'", "Rename"),
    CASE("parameter of a prior as text", lambda: normal(mu="0"), "mu", "0", "not a number", "Give a number"),
    CASE("parameter of a prior infinite", lambda: normal(mu=np.inf), "mu", np.inf, "infinite", "finite"),
    CASE("bounds of a prior exchanged", lambda: pg.Prior("Uniform", lower=2, upper=1), "lower", "2, 1", "out of order", "lower < upper"),
    CASE("distribution a number", lambda: pg.Prior(5), "distribution", 5, "no name", "Normal"),
    CASE("distribution misspelt", lambda: fit(engine="nuts", priors={"slope_effect": pg.Prior("Norml", mu=0)}), "priors", "Norml", "did you mean 'Normal'", "one of them"),
    CASE("rare distribution's parameter misspelt", lambda: fit(engine="nuts", priors={"slope_effect": pg.Prior("SkewNormal", sgima=1)}), "priors", "sgima", "did you mean 'sigma'", "Rename"),
    CASE("parameters that exclude each other", lambda: fit(engine="nuts", priors={"slope_effect": normal(tau=1)}), "priors", "Normal(mu=0, sigma=1, tau=1)", "refused by PyMC", "Mend"),
    CASE("name of a prior misspelt", lambda: fit(priors={"slope_efect": normal()}), "priors", "slope_efect", "did you mean 'slope_effect'", "Rename"),
    CASE("number for a prior", lambda: fit(priors={"slope_effect": 1.0}), "priors", 1.0, "not a Prior", "pg.Prior"),
    CASE("preset misspelt", lambda: fit("als_shared", priors="healy"), "priors", "healy", "did you mean 'healey'", "preset"),
    CASE("priors as a list", lambda: fit(priors=["a"]), "priors", ["a"], "mapping", "pg.Prior"),
    CASE("option misspelt", lambda: fit(options={"covariate": ["age"]}), "options", "covariate", "did you mean 'covariates'", "Rename"),
    CASE("options as a list", lambda: fit(options=["a"]), "options", ["a"], "mapping", "name: value"),
    CASE("covariate misspelt", lambda: fit(options={"covariates": ["aeg"]}), None, "aeg", "did you mean 'age'", "covariates="),
    CASE("outcome misspelt", lambda: fit(outcomes="alsfrs"), None, "alsfrs", "did you mean 'alsfrsr'", "Name one"),
    CASE("borrowing in words", lambda: fit(borrowing="pooled"), "borrowing", "pooled", "no way to borrow", "pg.Commensurate"),
    CASE("patients who count twice", lambda: pg.PowerPrior(2), "a0", 2, "between 0 and 1", "0.5"),
    CASE("drift of negative size", lambda: design(historical={"old": 5}, borrowing=pg.Commensurate(-1, arms=("old",))), "scale", -1, "not a positive", "SD"),
    bad("no historical arm", lambda: fit(borrowing=pg.Commensurate(0.2)), "no historical arm", "with_historical_controls", column="arm", value="historical control"),
    bad("outcome of another model", lambda: fit("sle_crp"), "observes crp_mg_dl", "outcomes="),
    bad("all visits at one time", lambda: fit(cohort=cohort(time=(0, 0.5, 0, 0.5), alsfrsr=[40, None, 41, None])), "no subject was seen at two times", "later visits", column="month"),
    bad("no baseline where the model needs one", lambda: fit("sle_joints", NO_BASELINE), "no visit at baseline", "baseline visit", count=None, column="month", subject="B"),
    bad("score over 48, bounds of the model", lambda: fit("als_bounded", cohort(alsfrsr=[40, 50, 38, 37])), "outside", "continuous outcomes", column="alsfrsr", subject="A", value="50 at month 1"),
    bad("CRP of zero, facts of the model", lambda: fit("sle_crp", cohort(crp_mg_dl=[1, 0, 2, 3])), "above zero", "'<0.5'", column="crp_mg_dl", subject="A", value="0 at month 1"),
    bad("joints in halves, facts of the model", lambda: fit("sle_joints", cohort(tender_joints=[1, 2.5, 3, 4], swollen_joints=[1, 2, 3, 4])), "whole numbers", "averaged", column="tender_joints", subject="A"),
    bad("more joints than the model's", lambda: fit("sle_joints", cohort(tender_joints=[1, 2, 29, 4], swollen_joints=[1, 2, 3, 4])), "above 28", "Outcome(upper=", column="tender_joints", subject="B"),
    bad("censored score", lambda: fit(cohort=cohort(alsfrsr=["40", "<30", "38", "37"])), "would take the limit for the value", "knows of censoring"),
    CASE("contrast of a cohort", lambda: pg.contrast(trial()), "fit", "Cohort", "not a Fit", "pg.fit"),
    CASE("contrast of arms of a single arm", lambda: pg.contrast(fitted(1), "slope_difference"), "estimands", "slope_difference", "one arm only", "slope"),
    CASE("estimand misspelt", lambda: pg.contrast(fitted(), "slope_diference"), "estimand", "slope_diference", "did you mean 'slope_difference'", "Name one"),
    CASE("month as text", lambda: pg.contrast(fitted(), month="6"), "month", "6", "finite number", "Give a number"),
    CASE("month before the start", lambda: pg.contrast(fitted(), month=-1), "month", -1, "not after time 0", "positive"),
    CASE("setting of a contrast misspelt", lambda: pg.contrast(fitted(), mnth=6), None, "mnth", "did you mean 'month'", "Rename"),
    CASE("interval of 95 in a summary", lambda: pg.contrast(fitted()).summary(ci_prob=95), "ci_prob", 95, "not a probability", "Did you mean 0.95"),
    CASE("rule over an estimand that is not there", lambda: rule("slope_diff").judge(pg.contrast(fitted())), "estimand", "slope_diff", "did you mean 'slope_difference'", "Name one"),
    CASE("rule of arms for a single arm", lambda: rule().judge(contrasted()), "estimand", "slope_difference", "not an estimand", "Name one"),
    CASE("rule over a dimension that is not there", lambda: rule(visit=3).judge(pg.contrast(fitted())), None, "visit", "runs over", "active_arm"),
    CASE("comparison that is none", lambda: rule(comparison="=>"), None, "=>", "not a comparison", "one of <"),
    CASE("probability of 95", lambda: rule(probability=95), "probability", 95, "not a probability", "Did you mean 0.95"),
    CASE("probability of 1", lambda: rule(probability=1), "probability", 1, "not a probability", "between 0 and 1"),
    CASE("value of a rule as text", lambda: rule(value="0"), None, "0", "finite number", "Give a number"),
    CASE("check of a cohort", lambda: pg.check(trial()), "fit", "Cohort", "not a Fit", "pg.fit"),
    CASE("prior check of a data frame", lambda: pg.prior_check("als_slope", table()), "cohort", "DataFrame", "not a Cohort", "from_table"),
    CASE("prior check without draws", lambda: pg.prior_check("als_slope", trial(), draws=0), "draws", 0, "at least 1", "1 or more"),
    CASE("leaving out of a cohort", lambda: pg.loo(trial()), "fits", "Cohort", "not a Fit", "pg.fit"),
    CASE("report of a cohort", lambda: pg.report(trial(), "x.html"), "fits", "Cohort", "neither a Fit", "pg.fit"),
    CASE("report into no folder", lambda: pg.report(fitted(), "nowhere/x.html"), "path", "nowhere/x.html", "does not exist", "folder first"),
    CASE("prediction at a word", lambda: fitted().predict(["a"]), "months", "a", "finite number", "months"),
    CASE("prediction for an unknown arm", lambda: fitted().predict([1], new_patients={"treatd": 3}), "new_patients", "treatd", "did you mean 'treated'", "Rename"),
    CASE("prediction for nobody", lambda: fitted().predict([1], new_patients={"treated": 0}), "new_patients", 0, "number of patients", "at least 1"),
    CASE("CAFS at a word", lambda: pg.cafs(trial(), month="6"), "month", "6", "month after the start", "positive"),
    CASE("CAFS of an unknown outcome", lambda: pg.cafs(trial(), month=6, outcome="als"), "outcome", "als", "did you mean 'alsfrsr'", "Name one"),
    CASE("many fits of one cohort", lambda: pg.fit_many("als_slope", trial()), "data", "Cohort", "sequence of cohorts", "list of cohorts"),
    CASE("responders by a word", lambda: pg.responders(fitted(), "x", month=3), "response", "x", "not a Response", "pg.Response"),
]  # fmt: skip

OF_TRIALS = [
    CASE("nobody in an arm", lambda: design(arms={"control": 0, "treated": 10}), "arms", 0, "patients in 'control'", "leave the arm out"),
    CASE("half a patient", lambda: design(arms={"control": 10.5, "treated": 10}), "arms", 10.5, "whole number", "leave the arm out"),
    CASE("arms of a design as a list", lambda: design(arms=["a", "b"]), "arms", ["a", "b"], "mapping", "control first"),
    CASE("design without visits", lambda: design(visits_months=None), "visits_weeks", None, "both missing", "exactly one"),
    CASE("design with zero visits", lambda: design(visits_months=[]), "visits_months", [], "no visit", "[0, 4"),
    CASE("design with one visit", lambda: design(visits_months=[0]), "visits_months", 0.0, "only visit", "after it"),
    CASE("visits in weeks and months", lambda: design(visits_weeks=[0, 4]), "visits_weeks", None, "both given", "exactly one"),
    CASE("visits out of order", lambda: design(visits_months=[0, 6, 3]), "visits_months", 3.0, "does not come after 6", "ascending"),
    CASE("first visit late", lambda: design(visits_months=[1, 6]), "visits_months", 1.0, "not at 0", "baseline"),
    CASE("drop-out in percent", lambda: design(dropout_per_month=5), "dropout_per_month", 5, "not a probability", "Did you mean 0.05"),
    CASE("accrual below none", lambda: design(accrual_per_month=-1), "accrual_per_month", -1, "above 0", "leave it out"),
    CASE("look at no time", lambda: design(looks=[pg.Look(futility=0.1)]), "looks[0]", None, "must say when", "month="),
    CASE("look that stops nothing", lambda: design(looks=[pg.Look(3)]), "looks[0]", None, "stop nothing", "futility="),
    CASE("look after the end", lambda: design(looks=[pg.Look(9, futility=0.1)]), "looks[0].month", 9, "last visit", "earlier"),
    CASE("look with 95", lambda: design(looks=[pg.Look(3, success=95)]), "looks[0].success", 95, "a rule or a probability", "Did you mean 0.95"),
    CASE("looks not in a list", lambda: design(looks=pg.Look(3, futility=0.1)), "looks", pg.Look(3, futility=0.1), "list of looks", "pg.Look"),
    CASE("no trials", lambda: power(n_trials=0), "n_trials", 0, "at least 1", "1 or more"),
    CASE("trials in halves", lambda: power(n_trials=2.5), "n_trials", 2.5, "whole number", "1 or more"),
    CASE("interval of 95 for 0.95", lambda: power(interval=95), "interval", 95, "not a probability", "Did you mean 0.95"),
    CASE("no worker", lambda: power(cores=0), "cores", 0, "number of workers", "-1 for all"),
    CASE("rule in words", lambda: power(judged="slope > 0"), "rule", "str", "neither a Rule", "pg.Rule"),
    CASE("rule over another model's estimand", lambda: power(judged=rule("drr", "<", 1)), "rule", "drr", "no estimand of 'als_slope'", "Rename"),
    CASE("no truths", lambda: power(truths=[]), "truths", "[]", "no list of truths", "slope_ratio"),
    CASE("truth misspelt", lambda: power(truths=[{"slope_efect": 0.3}]), "truth['slope_efect']", 0.3, "did you mean 'slope_effect'", "Rename"),
    CASE("truth in words", lambda: power(truths=[{"slope_effect": "0.3"}]), "truth['slope_effect']", "0.3", "finite number", "Give a number"),
    CASE("truth of negative SD", lambda: power(truths=[{"slope_effect": 0.3, "sd_slope": -1}]), "truth['sd_slope']", "-1.0", "no density there", "possible value"),
    CASE("correlation of 2", lambda: power(truths=[{"slope_effect": 0.3, "correlation": 2}]), "truth['correlation']", "2.0", "no density there", "possible value"),
    CASE("power of a single arm's contrast", lambda: power(design(arms={"t": 10}), truths=[{}]), None, "slope_difference", "one arm only", "Ask"),
    CASE("target of 80", lambda: pg.find_n(design(), "als_slope", rule(), truth={**BASE, "slope_ratio": 0.7}, target=80, n_trials=8), "target", 80, "not a probability", "Did you mean 0.8"),
    CASE("simulation of no trial", lambda: pg.simulate(design(), "als_slope", truth={}, n=0), "n", 0, "at least 1", "1 or more"),
    CASE("resampling of no design", lambda: pg.resample(trial(), 5), "design", "int", "not a Design", "pg.Design"),
    CASE("arm of summaries with a negative SD", lambda: pg.SummaryArm(mean=1, sd=-1, n=3), "sd", -1, "not a positive", "SD between patients"),
]  # fmt: skip
