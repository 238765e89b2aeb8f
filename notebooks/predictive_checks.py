# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: -all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Predictive checks: a model that fails, and one that passes
#
# A posterior interval is worth nothing if the model could not have produced the data. This notebook checks two models of
# joint counts on the same cohort. One leaves out a feature of the data. The checks must find it.
#
# The cohort is **simulated**, so that the feature is known to be there: the counts of one patient vary from visit to visit by
# more than independent joints would (overdispersion). The joints of one patient at one visit go up and down together.

# %%
# %matplotlib inline
import os

import pandas as pd
import pymc as pm

import progression as pg
from progression import plots
from progression_models import parts

DRAWS = int(os.environ.get("PROGRESSION_DRAWS", "1000"))  # draws a chain; the tests use fewer
SAMPLING = {"random_seed": 1, "draws": DRAWS, "tune": DRAWS, "progressbar": False}

cohort = pg.datasets.simulated_sle(n=(30, 30), joints_overdispersion=(0.3, 0.3), random_seed=1)
cohort

# %% [markdown]
# ## A simple model
#
# Binomial counts: each patient has a level, each visit a shift, each joint is an independent toss. It is `sle_joints`
# without its overdispersion.

# %%
TENDER, SWOLLEN = (
    pg.Outcome(name, unit="joints", lower=0, integer=True, higher_is_better=False)
    for name in ("tender_joints", "swollen_joints")
)


@pg.model(
    observes={"joints": (TENDER, SWOLLEN)},
    priors={
        "mean_level": pg.Prior("Normal", mu=-1, sigma=1),
        "time_course": pg.Prior("Normal", mu=0, sigma=1),
        "effect": pg.Prior("Normal", mu=0, sigma=1),
        "sd_patient": pg.Prior("HalfNormal", sigma=1),
    },
    estimands=[
        pg.Estimand("log_odds_ratio", lambda posterior, facts: posterior["effect"], requires="control", unit="",
                    over=("active_arm", "followup_visit", "outcome"), scale="difference", reference="control arm",
                    label="log odds of an active joint, {outcome}, {arm} minus {control}, at {visit}, negative = fewer joints",
                    null=0.0, benefit="lower", population="conditional"),
    ],
    reference="this notebook", needs=("baseline", "visits"), options={"joints": 28},
)  # fmt: skip
def binomial_joints(data, prior):
    """Binomial joint counts with a level for each patient: no overdispersion."""
    joints, visit_dims = data.joints, ("followup_visit", "outcome")
    mean, sd = prior("mean_level", dims="outcome"), prior("sd_patient", dims="outcome")
    level = pm.Normal("level", mean, sd, dims=("subject", "outcome"))
    course = parts.from_first_visit(prior("time_course", dims=visit_dims))
    effect = parts.effect_by_visit(prior("effect", dims=("active_arm", *visit_dims)), data.on_arm)
    log_odds = (level[joints.subject, joints.outcome] + course[joints.visit, joints.outcome]
                + effect[joints.subject, joints.visit, joints.outcome])  # fmt: skip
    share, assessed = pm.math.invlogit(log_odds), joints.upper.astype("int64")
    pm.Binomial("joints", n=assessed, p=share, observed=joints.value, dims="joints_row")


# %% [markdown]
# ## Before the fit: what do the priors imply?
#
# A **prior predictive check** draws parameters from the priors and patients from the parameters. No outcome is used.

# %%
prior = pg.prior_check("sle_joints", cohort, draws=2 * DRAWS)
plots.prior_implies(prior)

# %% [markdown]
# **Look at** two things. All the counts lie within 0 to 28, as they must. And the priors hold none active possible as
# well as nearly all: they decide little. What they say of the effect:

# %%
prior.estimands.round(2)

# %% [markdown]
# Before any data the ratio to control may lie far below or far above 1. A prior that put nearly everything on one side
# would have to be defended.
#
# ## The fits, and the gate
#
# Both fits pass the gate: chains agree, enough effective draws, no divergences. **The gate is about the sampler, not about
# the model.** A wrong model can be sampled perfectly.

# %%
simple = pg.fit(binomial_joints, cohort, **SAMPLING)
full = pg.fit("sle_joints", cohort, **SAMPLING)
for fit in (simple, full):
    print(fit)

# %% [markdown]
# ## After the fit: posterior predictive checks
#
# `pg.check` makes replicates of the data from each fit. It then computes the same statistics from the data and from every
# replicate. A statistic fails if its two-sided tail probability is below 0.05 divided by the number of statistics.

# %%
checks = {"binomial": pg.check(simple), "beta-binomial": pg.check(full)}
for name, check in checks.items():
    print(
        f"{name}: {'passed' if check.passed else 'FAILED'}, {int((~check.table['ok']).sum())} of {len(check.table)} statistics off"
    )

# %%
plots.predictive(checks["binomial"])

# %% [markdown]
# **Look at** the red crosses. The means of the change, at the left, are right: the model has a parameter for each. What fails is the spread of changes, the share of zeros, and the variance within patients.

# %%
columns = ["outcome", "arm", "observed", "predicted", "lower", "upper", "ok"]
within = {
    name: check.table.loc[check.table["statistic"] == "variance within patients", columns]
    for name, check in checks.items()
}
pd.concat(within).droplevel(1).round(1)

# %%
short = within["binomial"]["observed"] / within["binomial"]["predicted"]
print(
    f"Within patients the counts vary {short.min():.1f} to {short.max():.1f} times as much as the binomial model says."
)

# %%
plots.predictive(checks["beta-binomial"])

# %% [markdown]
# The beta-binomial model has one parameter more for each count. The dots now lie within the bars.
#
# ## Single values: LOO-PIT
#
# For each value: where does it lie in the distribution that the model, without that value, predicts for it? Over all
# values these positions should be uniform. The figure shows how far they are from uniform, with a band that 95 % of correct
# models would stay in.

# %%
plots.loo_pit(checks["binomial"])

# %% [markdown]
# **Look at** the shape. Above zero at the left and below it at the right: too many values in both tails. Predictions are too
# narrow.

# %%
plots.loo_pit(checks["beta-binomial"])

# %% [markdown]
# ## Whole patients: leaving one out
#
# Which model predicts a patient it has not seen? The patient's own level is integrated out, so that nothing of the
# patient is known to the model.

# %%
compared = pg.loo(full, simple, draws=min(500, 4 * DRAWS))
compared

# %%
best, worst = compared.index[0], compared.index[-1]
print(f"{best} predicts unseen patients better than {worst}, by {compared['elpd_diff'].abs().max():.0f} in log density "
      f"(standard error {compared['dse'].max():.0f}).")  # fmt: skip

# %% [markdown]
# **Look at** the column `patients_k_above_0.7`: it counts patients for whom this estimate is not to be trusted. And
# compare the difference with its standard error before calling it one.
#
# ## What it does to the answer
#
# Both models report an effect on the log odds. The one that fails its checks is the more confident one.

# %%
effects = {
    name: fit.summary().filter(like="effect[", axis=0) for name, fit in (("binomial", simple), ("beta-binomial", full))
}
widths = pd.DataFrame({name: table["eti95_ub"] - table["eti95_lb"] for name, table in effects.items()})
widths["ratio"] = widths["beta-binomial"] / widths["binomial"]
widths.round(2)

# %%
print(
    f"The intervals of the model that passes are {widths['ratio'].min():.1f} to {widths['ratio'].max():.1f} times as wide."
)

# %% [markdown]
# ## In short
#
# 1. The gate asks whether the draws can be trusted.
# 2. The predictive checks ask whether the model could have made these data.
# 3. Leaving patients out asks which model predicts a new patient better.
#
# A passed check does not prove a model. It says that the statistics looked at do not contradict it.
