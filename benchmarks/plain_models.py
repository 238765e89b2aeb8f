"""The three models as a user of plain PyMC writes them: same data, same priors, effects centred, no cleverness.

The effects of a subject are centred on their expectation, with treatment inside it: the form that mixes best for these
designs, and the one most users write.
"""

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt

ESTIMAND = {"als_slope": "slope_difference", "sle_joints": "count_ratio", "sle_crp": "crp_ratio"}
DAYS_PER_MONTH = 365.25 / 12


def als_slope(table: pd.DataFrame) -> pm.Model:
    """A random level and slope for each patient. Columns: subject, arm, month, alsfrsr."""
    subjects, first = pd.factorize(table["subject"])[0], table.drop_duplicates("subject")
    treated = (first["arm"] == "treated").to_numpy(float)
    with pm.Model(coords={"subject": first["subject"].to_numpy()}) as model:
        mean_level, sd_level = pm.Normal("mean_level", 38, 10), pm.HalfNormal("sd_level", 8)
        mean_slope, sd_slope = pm.Normal("mean_slope", -1, 1), pm.HalfNormal("sd_slope", 1)
        effect, sd_residual = pm.Normal("slope_effect", 0, 0.5), pm.LogNormal("sd_residual", 0.6, 0.5)
        correlation = pm.Uniform("correlation", -1, 1)
        expected = mean_slope + effect * treated
        slope = pm.Normal("slope", expected, sd_slope, dims="subject")
        given = mean_level + correlation * sd_level / sd_slope * (slope - expected)
        level = pm.Normal("level", given, sd_level * pm.math.sqrt(1 - correlation**2), dims="subject")
        expected_score = level[subjects] + slope[subjects] * table["month"].to_numpy()
        pm.Normal("score", expected_score, sd_residual, observed=table["alsfrsr"].to_numpy(float))
    return model


def sle_joints(table: pd.DataFrame) -> pm.Model:
    """Beta-binomial counts of 28. Columns: subject, arm, month, tender_joints, swollen_joints."""
    subject, visit, treated, coords = _by_visit(table)
    with pm.Model(coords=coords | {"outcome": ["tender_joints", "swollen_joints"]}) as model:
        mean_level = pm.Normal("mean_level", -1, 1, dims="outcome")
        time_course = pm.Normal("time_course", 0, 1, dims=("later", "outcome"))
        effect = pm.Normal("effect", 0, 1, dims=("later", "outcome"))
        sd_patient = pm.HalfNormal("sd_patient", 1, dims="outcome")
        overdispersion = pm.Beta("overdispersion", 1, 15, dims="outcome")
        level = pm.Normal("level", mean_level, sd_patient, dims=("subject", "outcome"))
        course, by_visit = _from_first(time_course), _from_first(effect)
        share = pm.math.invlogit(level[subject] + course[visit] + treated[:, None] * by_visit[visit])
        concentration = (1 - overdispersion) / (overdispersion + 1e-4)  # the floor keeps gamma functions accurate
        counts = table[["tender_joints", "swollen_joints"]].to_numpy(int)
        pm.BetaBinomial("joints", n=28, alpha=share * concentration, beta=(1 - share) * concentration, observed=counts)
    return model


def sle_crp(table: pd.DataFrame) -> pm.Model:
    """Log-normal, censored below. Columns: subject, arm, month, crp_mg_dl, crp_mg_dl_censored (at the value)."""
    subject, visit, treated, coords = _by_visit(table)
    value, censored = table["crp_mg_dl"].to_numpy(float), table["crp_mg_dl_censored"].to_numpy(bool)
    with pm.Model(coords=coords) as model:
        mean_level, sd_patient = pm.Normal("mean_level", 0, 1.5), pm.HalfNormal("sd_patient", 1)
        time_course, effect = pm.Normal("time_course", 0, 1, dims="later"), pm.Normal("effect", 0, 1, dims="later")
        sd_residual = pm.HalfNormal("sd_residual", 1)
        level = pm.Normal("level", mean_level, sd_patient, dims="subject")
        expected = level[subject] + _from_first(time_course)[visit] + treated * _from_first(effect)[visit]
        measured = pm.LogNormal.dist(expected, sd_residual)
        pm.Censored("crp", measured, lower=np.where(censored, value, 0.0), upper=None, observed=value)
    return model


MODELS = {"als_slope": als_slope, "sle_joints": sle_joints, "sle_crp": sle_crp}


def estimand(model: str, posterior) -> np.ndarray:
    """Draws of the model's primary estimand, (chain, draw, ...): what a user would go on to compute."""
    if model == "als_slope":
        return posterior["slope_effect"].to_numpy()
    effect = posterior["effect"].to_numpy()
    if model == "sle_crp":
        return np.exp(effect)
    location = posterior["mean_level"].to_numpy()[:, :, None] + posterior["time_course"].to_numpy()
    z, weight = np.polynomial.hermite_e.hermegauss(15)
    spread = posterior["sd_patient"].to_numpy()[:, :, None, :, None] * z

    def share(at):
        return (1 / (1 + np.exp(-at[..., None] - spread))) @ (weight / weight.sum())

    return share(location + effect) / share(location)


def _by_visit(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
    subject, names = pd.factorize(table["subject"])
    visit, months = pd.factorize(table["month"], sort=True)
    return subject, visit, (table["arm"] == "treated").to_numpy(float), {"subject": names, "later": months[1:]}


def _from_first(later):
    """Zero at the first visit."""
    return pt.concatenate([pt.zeros_like(later[:1]), later])
