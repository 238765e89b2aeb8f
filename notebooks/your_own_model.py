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
# # Your own model in twenty lines
#
# A model is a PyMC program with a few facts around it: what it observes, its priors, the questions it answers. Give it
# to `pg.fit` and everything else works as with the models that come with the package: priors can be replaced, fits are
# checked, contrasts have labels.
#
# The example is a straight line for each patient with **Student t** residuals, for scores with a few wild values. The cohort
# is **simulated**.

# %%
# %matplotlib inline
import os

import pymc as pm

import progression as pg
from progression import plots

DRAWS = int(os.environ.get("PROGRESSION_DRAWS", "1000"))  # draws a chain; the tests use fewer
SAMPLING = {"random_seed": 1, "draws": DRAWS, "tune": DRAWS, "progressbar": False}

# %% [markdown]
# ## Data with wild values
#
# A simulated trial in ALS, in which six scores of the treated were entered 15 points too low.

# %%
clean = pg.datasets.simulated_als(n=(40, 40), slope_effect=0.3, random_seed=3)
truth = pg.datasets.truth_of(clean)
visits = clean.visits
last = visits[visits["subject"].str.startswith("T") & (visits["month"] > 5)].index[:6]
visits.loc[last, "alsfrsr"] -= 15
cohort = pg.Cohort.from_table(
    visits, clean.subjects[["arm"]].reset_index(), time_unit="months", columns={"time": "month"},
    outcomes=clean.outcomes, arms=["control", "treated"], allocation="randomised", provenance="simulated",
    name="simulated ALS trial with six wild scores",
)  # fmt: skip
cohort

# %% [markdown]
# ## The model
#
# The program is an ordinary function. `data.score` holds the rows: their `value`, `month` and `subject`. `prior("x")`
# makes the variable `x` from the prior declared under that name. Names that do not match are refused when the cell runs.


# %%
@pg.model(
    observes={"score": pg.Outcome("alsfrsr", unit="points", label="ALSFRS-R total", higher_is_better=True)},
    priors={"mean_level": pg.Prior("Normal", mu=38, sigma=10), "sd_level": pg.Prior("HalfNormal", sigma=8),
            "mean_slope": pg.Prior("Normal", mu=-1, sigma=1), "sd_slope": pg.Prior("HalfNormal", sigma=1),
            "slope_effect": pg.Prior("Normal", mu=0, sigma=0.5), "scale": pg.Prior("HalfNormal", sigma=3),
            "tails": pg.Prior("Gamma", alpha=2, beta=0.1)},
    estimands=[pg.Estimand("slope_difference", lambda posterior, facts: posterior["slope_effect"], over=("active_arm",),
                           label="slope, {arm} minus {control}, points/month, positive = slower decline", requires="control",
                           unit="points/month", scale="difference", reference="control arm", null=0.0, benefit="higher",
                           population="population-averaged", assumption="the arms differ in nothing but treatment")],
    reference="Lange, Little and Taylor (1989), JASA 84:881", needs=("follow_up",),
)  # fmt: skip
def robust_slope(data, prior):
    """A straight line for each patient, Student t residuals; treatment changes the slope."""
    slope_mean = prior("mean_slope") + (data.on_arm * prior("slope_effect", dims="active_arm")).sum(axis=1)
    level = pm.Normal("level", prior("mean_level"), prior("sd_level"), dims="subject")
    slope = pm.Normal("slope", slope_mean, prior("sd_slope"), dims="subject")
    line = level[data.score.subject] + slope[data.score.subject] * data.score.month
    pm.StudentT("score", nu=prior("tails"), mu=line, sigma=prior("scale"), observed=data.score.value, dims="score_row")


robust_slope

# %% [markdown]
# Effects of single patients carry the dim `subject`, and every row of the outcome stands in `score_row`. These two names
# let the checks, the predictions and the leaving out of patients find what they need.
#
# ## Fit, check, contrast

# %%
fit = pg.fit(robust_slope, cohort, **SAMPLING)
fit

# %%
check = pg.check(fit)
check

# %%
contrast = pg.contrast(fit)
plots.forest(contrast)

# %% [markdown]
# ## Against the normal model

# %%
normal = pg.fit("als_slope", cohort, **SAMPLING)
for one in (fit, normal):
    row = pg.contrast(one, "slope_difference").summary().iloc[0]
    print(
        f"{one.model.name}: {row['mean']:.2f} ({row['eti95_lb']:.2f} to {row['eti95_ub']:.2f}) points/month; truth {truth['slope_effect']}"
    )

# %%
plots.loo_pit(pg.check(normal))

# %%
plots.loo_pit(check)

# %% [markdown]
# **Look at** the two curves. Below zero at the left and above it at the right means that most values lie nearer to their
# line than the model expects: six wild scores have blown up its residual SD. The second model leaves them to its tails.

# %%
compared = pg.loo(fit, normal, draws=min(500, 4 * DRAWS))
compared

# %% [markdown]
# Higher `elpd` is better. Look at `patients_k_above_0.7` too: it counts patients for whom the estimate is not to be trusted.
#
# ## Use it by name
#
# `pg.register` makes it known for this session. Running the cell again replaces it.

# %%
pg.register(robust_slope)
pg.models()

# %% [markdown]
# ## Mistakes are named at once

# %%
try:
    pg.fit("robust_slop", cohort, **SAMPLING)
except pg.SettingError as error:
    print(error)

# %%
try:
    pg.fit("robust_slope", cohort, priors={"sd_slopes": pg.Prior("HalfNormal", sigma=1)}, **SAMPLING)
except pg.SettingError as error:
    print(error)

# %% [markdown]
# ## Put it on a shelf
#
# To have it in every session, put it in a module `my_models` of an installed package and add to that package's `pyproject.toml`:
#
# ```toml
# [project.entry-points."progression.models"]
# my_shelf = "my_models"
# ```
