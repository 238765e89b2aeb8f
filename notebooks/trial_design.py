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
# # Trial design: from a pilot of 17 to the trial that would answer
#
# "Follow-up trials sufficiently powered to determine efficacy are justified", the ALS pilot of anakinra ends (PLoS ONE 2015,
# doi 10.1371/journal.pone.0139684). Which trial would that be? Four questions:
#
# 1. What could the pilot itself have found?
# 2. Historical or concurrent controls?
# 3. Sixteen of 17 patients made antibodies: how much power do they eat?
# 4. What does an interim look cost, and what does it save?
#
# **Read this first.** The pilot's cohort is *reconstructed*: its baselines are real, its courses were generated to meet the published
# summaries. It lends the follow-up its spread and its noise. Its treatment effect is no evidence, so effects are *stated* here,
# and belief about them too. All trials below are *simulated*; each figure has its Monte Carlo error.

# %%
# %matplotlib inline
import os
from dataclasses import replace

import pandas as pd

import progression as pg
from progression import plots

N = int(os.environ.get("PROGRESSION_TRIALS", "1000"))  # trials a cell; the tests use fewer
SIMULATION = {"n_trials": N, "random_seed": 2015, "progressbar": False}
SHOWN = ["what", "success", "lower", "upper", "bias", "width"]
WEEKS = [0, 4, 8, 12, 24, 36, 52]  # the pilot's visits

# %% [markdown]
# ## What the pilot lends
#
# Its posterior: level, slope and spread of patients like its own, with the doubt that 64 patients leave. Each simulated trial takes one
# draw of it. A prior wider than the default lets the data speak alone.

# %%
cohort = pg.datasets.als_anakinra()
wide = {"slope_effect": pg.Prior("Normal", mu=0, sigma=2)}
pilot = pg.fit(
    "als_slope", cohort, borrowing=pg.Pooled(), options={"baseline": "common"}, random_seed=1, progressbar=False
)
pilot.summary().loc[["mean_level", "mean_slope", "sd_slope", "sd_residual"], ["mean", "sd"]].round(2)

# %% [markdown]
# ## What the pilot itself could have found
#
# Seventeen treated, 47 historical controls taken as if they were concurrent, a year of visits. *Drift* is how much slower (positive)
# the historical controls decline than concurrent ones would have. The rule: the probability that treatment slows decline exceeds 0.975.

# %%
better = pg.Rule("slope_difference", ">", 0, probability=0.975)
as_it_was = pg.Design(
    name="the pilot",
    arms={"anakinra": 17},
    historical={"historical control": 47},
    visits_weeks=WEEKS,
    borrowing=pg.Pooled(),
)
truths = {
    f"{label}, drift {drift:+.1f}": {"slope_ratio": ratio, "drift": drift}
    for label, ratio in (("no effect", 1.0), ("30 % slower", 0.7))
    for drift in (-0.2, 0.0, 0.2)
}
could = pg.power(as_it_was, "als_slope", better, truths=truths, base=pilot, priors=wide, **SIMULATION)
could.table[SHOWN].round(3)

# %% [markdown]
# Without drift it finds a 30 % slowing in fewer than half of all trials. With historical controls that decline faster by as
# little as 0.2 points/month, a treatment without effect "succeeds" several times as often as it should; with slower ones an effect is
# hidden. More patients do not mend that: drift does not shrink with n.
#
# ## Historical or concurrent controls?
#
# The same 80 new patients, a year each: all treated, beside the 47 historical controls; half of them concurrent controls; and half of them
# concurrent with the historical ones borrowed *commensurately* (they count as far as drift of SD 0.1 allows).

# %%
controls = {
    "80 treated, historical only": pg.Design(
        arms={"anakinra": 80}, historical={"historical control": 47}, visits_weeks=WEEKS, borrowing=pg.Pooled()
    ),
    "40 + 40 concurrent": pg.Design(arms={"control": 40, "anakinra": 40}, visits_weeks=WEEKS),
    "40 + 40, and historical borrowed": pg.Design(
        arms={"control": 40, "anakinra": 40},
        historical={"historical control": 47},
        visits_weeks=WEEKS,
        borrowing=pg.Commensurate(0.1),
    ),
}
found = {}
for name, design in controls.items():
    own = {
        label: {key: value for key, value in truth.items() if key != "drift" or design.historical is not None}
        for label, truth in truths.items()
        if design.historical is not None or label.endswith("+0.0")
    }
    found[name] = pg.power(design, "als_slope", better, truths=own, base=pilot, priors=wide, **SIMULATION)
pd.concat({name: oc.table.droplevel(["design", "rule"])[SHOWN] for name, oc in found.items()}).round(3)

# %% [markdown]
# Historical controls alone are the strongest design as long as they do not drift, and nobody can know that they do not: the error follows
# the drift. Concurrent controls hold it. Borrowing on top of them gains a little and risks a little; how much of each is what the SD states.
#
# ## How antibodies eat the power
#
# Suppose the drug slows decline by 30 % until antibodies appear, and not at all afterwards. Trials come from `als_antibody`, which draws
# the month of onset for each of the treated; they are analysed as the protocol would, by `als_slope`, which knows of no antibodies. In the
# pilot most of the 16 had them by week 4.

# %%
effect = 0.3  # points/month: 30 % of one point a month
patients = {
    "mean_level": 40.7,
    "sd_level": 3.9,
    "mean_slope": -1.0,
    "sd_slope": 0.7,
    "sd_residual": 1.8,
    "correlation": 0.0,
}
concurrent = pg.Design(name="2 x 120", arms={"control": 120, "anakinra": 120}, visits_weeks=WEEKS)
onset = {"effect_before": effect, "effect_after": 0.0, "onset_shape": 1.5}
antibodies = {
    "none": {"share_converting": 1e-6, "median_onset": 1.0},
    "half of them, median month 3": {"share_converting": 0.5, "median_onset": 3.0},
    "16 of 17, median month 3": {"share_converting": 16 / 17, "median_onset": 3.0},
    "16 of 17, median week 4": {"share_converting": 16 / 17, "median_onset": 0.92},
}
eaten = pg.power(
    concurrent,
    "als_slope",
    better,
    truths={label: {**patients, **onset, **share} for label, share in antibodies.items()},
    simulated_by="als_antibody",
    priors=wide,
    **SIMULATION,
)
eaten.table[["success", "lower", "upper", "estimate"]].droplevel(["design", "rule"]).round(3)

# %%
plots.power(eaten)

# %% [markdown]
# With antibodies as in the pilot, an effect that stops with them is all but invisible over a year: what is left is a slope difference of a few
# hundredths of a point. Such a drug needs another form, or a short trial; no number of patients at a year of visits is reasonable.
#
# ## The size, where the effect lasts
#
# The smallest trial with 80 % power for a lasting 30 % slowing, and for 25 % and 40 %:

# %%
lasting = {**patients, "slope_ratio": 0.7}
sizes = {
    f"{1 - ratio:.0%} slower": pg.find_n(
        concurrent, "als_slope", better, truth={**patients, "slope_ratio": ratio}, priors=wide, **SIMULATION
    )
    for ratio in (0.75, 0.7, 0.6)
}
for name, size in sizes.items():
    print(f"{name}: {size}\n")

# %%
plots.sizes(sizes)

# %% [markdown]
# A stated effect is a hope. *Assurance* is the probability of success where the effect is believed, not known; here a sceptic's belief, 20 %
# slowing give or take 15 %. It does not grow to one with the number of patients, because the belief leaves room for no effect.

# %%
believed = {**patients, "slope_effect": pg.Prior("Normal", mu=0.2, sigma=0.15)}
sure = pg.assurance(
    {"2 x 60": replace(concurrent, arms={"control": 60, "anakinra": 60}), "2 x 120": concurrent},
    "als_slope",
    better,
    prior=believed,
    priors=wide,
    **SIMULATION,
)
sure.table[["what", "success", "lower", "upper", "true_share", "success_if_true", "success_if_false"]].round(3)

# %% [markdown]
# ## What an interim look costs
#
# Ten patients a month enter; at months 12 and 18 the trial stops for success if the probability exceeds 0.999 and 0.995, for futility if it is
# below 0.2.

# %%
looked_at = replace(
    concurrent,
    name="two looks",
    accrual_per_month=10,
    looks=(pg.Look(month=12, success=0.999, futility=0.2), pg.Look(month=18, success=0.995, futility=0.2)),
)
whole = replace(concurrent, name="no look", accrual_per_month=10)
looks = pg.power(
    {"no look": whole, "two looks": looked_at},
    "als_slope",
    better,
    truths={"no effect": {**patients, "slope_ratio": 1.0}, "30 % slower": lasting},
    priors=wide,
    **SIMULATION,
)
looks.table[["what", "success", "lower", "upper", "stop_success", "stop_futility", "patients", "months"]].round(3)

# %%
plots.stopping(looks)

# %% [markdown]
# One such trial as the calendar sees it: who had been seen how often when the looks came.

# %%
plots.trial(looked_at)

# %% [markdown]
# Every look for success is one more chance of a false one, so type I error rises above that of a single analysis; futility takes some of it
# back, and some power with it. What looks save is patients and months, most of all where nothing works. The threshold at the end that
# holds 2.5 % under these looks comes from the same trials; nothing is fitted again:

# %%
rule = looks.calibrated(0.025)
print(rule)
looks.with_rule(rule).table[["what", "success", "lower", "upper"]].round(3)

# %% [markdown]
# ## Estimates of trials that succeed
#
# A trial that is small for its effect succeeds when its estimate is too large.

# %%
plots.estimates(looks)

# %% [markdown]
# Runs of ten thousand trials belong in a folder: give `path="runs/design"`, and an interrupted run goes on, or grows. `progression power
# design.toml --out runs/design` does it from the command line; `docs/runs.md` says how on a cluster.
