"""What a user would write without this package: the same data and model, plain PyMC, from shell to contrast."""

import sys

import arviz as az
import pandas as pd
import pymc as pm

table = pd.read_csv(sys.argv[1])
subjects, first = pd.factorize(table["subject"])[0], table.drop_duplicates("subject")
treated = (first["arm"] == "treated").to_numpy(float)
month = table["week"].to_numpy() * 7 / (365.25 / 12)

with pm.Model(coords={"subject": first["subject"].to_numpy()}):
    mean_level, sd_level = pm.Normal("mean_level", 38, 10), pm.HalfNormal("sd_level", 8)
    mean_slope, sd_slope = pm.Normal("mean_slope", -1, 1), pm.HalfNormal("sd_slope", 1)
    effect, sd_residual = pm.Normal("slope_effect", 0, 0.5), pm.LogNormal("sd_residual", 0.6, 0.5)
    correlation = pm.Uniform("correlation", -1, 1)
    expected = mean_slope + effect * treated
    slope = pm.Normal("slope", expected, sd_slope, dims="subject")
    given = mean_level + correlation * sd_level / sd_slope * (slope - expected)
    level = pm.Normal("level", given, sd_level * pm.math.sqrt(1 - correlation**2), dims="subject")
    pm.Normal("score", level[subjects] + slope[subjects] * month, sd_residual, observed=table["alsfrsr"])
    trace = pm.sample(1000, tune=1000, chains=4, random_seed=1, progressbar=False)

print(az.summary(trace, var_names=["slope_effect"], ci_prob=0.95, ci_kind="eti", round_to="none").to_string())
