"""What a user would write without this package: the same data and model, plain PyMC, from shell to contrast."""

import sys

import arviz as az
import pandas as pd
import plain_models
import pymc as pm

table = pd.read_csv(sys.argv[1])
table["month"] = table["week"] * 7 / plain_models.DAYS_PER_MONTH
with plain_models.als_slope(table):
    trace = pm.sample(1000, tune=1000, chains=4, random_seed=1, progressbar=False)

print(az.summary(trace, var_names=["slope_effect"], ci_prob=0.95, ci_kind="eti", round_to="none").to_string())
