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
# # Historical controls: what 17 treated and 47 from elsewhere can and cannot say
#
# The ALS pilot of anakinra had no controls of its own: 17 treated patients were set beside 47 from a registry
# (PLoS ONE 2015, doi 10.1371/journal.pone.0139684). How far those 47 may stand in for controls decides what it means.
# This notebook asks the one question, the difference in slope, under each way of trusting them.
#
# **Read this first.** The cohort is *reconstructed*: every score after baseline, and every control, was generated to
# meet the published summaries. So this is about **widths**, about what can be told apart, and about what drift would undo
# an answer. No direction is claimed.

# %%
# %matplotlib inline
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import progression as pg
from progression import plots

DRAWS = int(os.environ.get("PROGRESSION_DRAWS", "1000"))  # draws a chain; the tests use fewer
SAMPLING = {"random_seed": 1, "draws": DRAWS, "progressbar": False}
cohort = pg.datasets.als_anakinra()
cohort

# %% [markdown]
# ## Who the controls are

# %%
alike = pg.comparability(cohort)
alike.table.dropna().round(2)

# %%
print("Not known of the controls:", ", ".join(alike.table.index[alike.table["historical control: n"] == 0]))
print("Apart by more than a quarter of an SD:", ", ".join(alike.far_apart))
for text in alike.selection:
    print("-", text)

# %% [markdown]
# Age, time since onset, site of onset and the rate before baseline are what predicts decline in ALS. None of them is known of these
# controls, so none can be adjusted for. Both arms were chosen for a year of life and of follow-up. The published choice of controls
# makes the arms alike in that, and makes both unlike patients who begin a treatment today.
#
# ## Each way of trusting them
#
# Historical controls stand in the model as an arm of their own. Its effect is the *drift*: how much slower or faster they
# decline than concurrent controls would have. A way to borrow says how large it may be.
#
# To borrow nothing is no way out. Without concurrent controls there is then nothing left to compare with, and it is refused:

# %%
try:
    pg.fit("als_slope", cohort, borrowing=pg.Separate(), **SAMPLING)
except pg.SettingError as refused:
    print(refused)

# %%
ways = {
    "pooled: no drift": pg.Pooled(),
    "each counts half": pg.PowerPrior(0.5),
    "each counts a share, its prior Beta(1, 1)": pg.PowerPrior(pg.Prior("Beta", alpha=1, beta=1)),
    "drift SD 0.05": pg.Commensurate(0.05),
    "drift SD 0.2": pg.Commensurate(0.2),
    "drift SD 0.5": pg.Commensurate(0.5),
    "drift SD 0.1, or else 1": pg.RobustMAP(0.1, weight=0.2, wide=1.0),
}
fits = {name: pg.fit("als_slope", cohort, borrowing=way, **SAMPLING) for name, way in ways.items()}
rows = {}
for name, fit in fits.items():
    made = pg.contrast(fit, "slope_difference")
    low, high = np.quantile(made.select(arm="anakinra"), [0.025, 0.975])
    known = made.against_prior()
    drift = known.loc[[index for index in known.index if "historical" in index], ["prior_sd", "posterior_sd"]]
    rows[name] = {"width of the 95 % interval": high - low, "share of the prior": known.loc["slope_difference[anakinra]", "prior_share"],
                  "SD of the drift, before": drift["prior_sd"].sum(), "after the data": drift["posterior_sd"].sum()}  # fmt: skip
found = pd.DataFrame(rows).T
found["times pooled"] = found["width of the 95 % interval"] / found["width of the 95 % interval"].iloc[0]
found.round(2)

# %%
figure, panel = plt.subplots(figsize=(9.6, 3.2), layout="constrained")
half = found["width of the 95 % interval"] / 2
panel.hlines(range(len(half)), -half, half, color="#0072B2", linewidth=5)
for at, (reach, share) in enumerate(zip(half, found["share of the prior"], strict=True)):
    panel.text(reach, at, f"  {2 * reach:.2f}, prior {share:.0%}", va="center", fontsize=8.5)
panel.set(yticks=range(len(half)), yticklabels=half.index, xlim=(-1.05 * half.max(), 1.45 * half.max()),
          xlabel="95 % interval of the slope difference around its own mean, points/month")  # fmt: skip
panel.invert_yaxis()
panel.spines[["top", "right", "left"]].set_visible(False)
_ = panel.set_title(
    "RECONSTRUCTED: widths only; where the middles lie is not shown", fontsize=9, color="#8A4B00", loc="right"
)

# %% [markdown]
# **Look at** three things.
#
# - Counting each control for half widens the interval by little. There are nearly three controls to one treated patient, so
#   most of the width comes from the 17. A power prior makes controls fewer. It does not allow them to be *different*.
# - A share with a prior of its own moves with how alike the arms are in what they have in common: how far patients differ, and
#   single scores. Of a drift of the slope it says next to nothing, because an effect of treatment looks the same.
# - The drift is after the data nearly what it was before. Where it shrinks, the data did not do it. The effect has a prior as well,
#   Normal(0, 0.5), only the difference of effect and drift is seen, and the two priors share that out.

# %%
shares = fits["each counts a share, its prior Beta(1, 1)"].posterior["a0"]
low, high = np.quantile(shares, [0.025, 0.975])
print(f"The share: 0.025 to 0.975 before the data, {low:.2f} to {high:.2f} after (95 %).")

# %% [markdown]
# ## What drift would undo it

# %%
sweep = pg.drift_sweep("als_slope", cohort, scales=(0.02, 0.1, 0.2, 0.3, 0.5), random_seed=1, draws=DRAWS)
plots.sweep(sweep)

# %% [markdown]
# **Look at** the right panel. The bars fill the grey, and where they do not it is the prior of the effect that holds them. Were that
# prior wide, the drift's variance would be added to the variance of the effect in full.

# %%
widths = (sweep.table["upper"] - sweep.table["lower"]).to_numpy()
pooled = float(found["width of the 95 % interval"].iloc[0])
doubled = np.interp(2 * pooled, widths, sweep.table["scale"], right=np.nan)
standard_error = pooled / (2 * 1.96)
decline = -float(fits["pooled: no drift"].posterior["mean_slope"].mean())
in_full = np.sqrt(3) * standard_error
print(f"Pooled, the interval is {pooled:.2f} points/month wide; the controls lose {decline:.2f} points/month.")
print(
    f"It is twice as wide where the SD of the drift is {doubled:.2f} points/month, {doubled / decline:.0%} of that decline,"
)
print(f"and with a wide prior of the effect already at {in_full:.2f}, {in_full / decline:.0%} of it.")

# %% [markdown]
# Now a stated effect. *Suppose* the pilot had found exactly this slowing, with the width that it has. How far would its
# controls have to be from concurrent ones for the interval to reach zero?

# %%
stated = pd.DataFrame(index=pd.Index([0.3, 0.5, 0.75, 1.0], name="slowing"))
stated["points/month"] = stated.index * decline
stated["zero is held anyway"] = stated["points/month"] < pooled / 2
stated["fixed drift that brings zero in"] = (stated["points/month"] - pooled / 2).clip(lower=0)
stated["SD of the drift that does"] = np.sqrt(((stated["points/month"] / 1.96) ** 2 - standard_error**2).clip(lower=0))
stated.round(2)

# %% [markdown]
# **Look at** the first row. A slowing by 30 % would be within the interval's reach of zero with no drift at all. The second column from
# the right is a drift taken as known, the last one a drift known by its SD alone, added in full. Even half of the decline
# done away with would be undone by controls who differ by the number in the second row. Whether these 47 do cannot be seen in the data.
#
# ## Before and after antibodies
#
# Sixteen of the 17 formed antibodies against the drug, most by week 4. `als_antibody` has one effect on the slope until then and another
# after it.

# %%
onset = cohort.subjects.loc[cohort.subjects["arm"] == "anakinra", ["onset_lower", "onset_upper"]]
end = cohort.visits.groupby("subject")["month"].max().loc[onset.index]
print(
    f"Positive: {np.isfinite(onset['onset_upper']).sum()} of {len(onset)}; by week 4: {(onset['onset_upper'] < 1).sum()}."
)
print(f"Patient-months seen surely before: {np.minimum(onset['onset_lower'], end).sum():.0f}, of {end.sum():.0f}.")

# %%
longer = {**SAMPLING, "draws": 2 * DRAWS, "tune": 2 * DRAWS}  # levels and their differences mix slowly under NUTS
antibody = {
    name: pg.fit("als_antibody", cohort, borrowing=ways[name], **longer)
    for name in ("pooled: no drift", "drift SD 0.2")
}
wanted = {
    "slope_difference_before": "until antibodies",
    "slope_difference_after": "after",
    "loss_of_effect": "after less before",
}
parts = {}
for name, fit in antibody.items():
    known = pg.contrast(fit, list(wanted)).against_prior().loc[[f"{one}[anakinra]" for one in wanted]]
    parts[name] = known[["prior_sd", "posterior_sd", "prior_share"]].set_axis(list(wanted.values()))
known = pd.concat(parts, names=["way", "effect on the slope"])
known.round(2)

# %%
for name, fit in antibody.items():
    print(name, "-", fit.problems or "the gate was passed")

# %%
figure, panel = plt.subplots(figsize=(9.6, 3), layout="constrained")
at = np.arange(len(known))
panel.hlines(
    at - 0.13, -1.96 * known["prior_sd"], 1.96 * known["prior_sd"], color="#B8BEC5", linewidth=6, label="prior"
)
panel.hlines(
    at + 0.13,
    -1.96 * known["posterior_sd"],
    1.96 * known["posterior_sd"],
    color="#0072B2",
    linewidth=6,
    label="posterior",
)
panel.set(yticks=at, yticklabels=[f"{effect}; {way}" for way, effect in known.index], xlabel="± 1.96 SD, points/month")
panel.invert_yaxis()
panel.legend(frameon=False, fontsize=8.5)
panel.spines[["top", "right", "left"]].set_visible(False)
_ = panel.set_title(
    "RECONSTRUCTED: widths only; where the middles lie is not shown", fontsize=9, color="#8A4B00", loc="right"
)

# %% [markdown]
# **Look at** the first and the fourth pair. Of the effect until antibodies much is the prior, since it rests on one patient and a few
# weeks of the others. So is the loss of effect, which needs both. To allow for drift widens each effect but not their difference as
# much: before and after are compared within the treated, and the drift of the controls cancels out. What does not cancel is that those
# who form antibodies early were not drawn by lot.
#
# ## In short
#
# - Pooled, the interval holds no effect and a slowing by 30 % alike, and that is the narrowest answer there is.
# - No way of trusting the controls is chosen by these data. Each is an assumption, and the width follows it.
# - Fewer controls and different controls are two things. Power priors speak of the first, a drift of the second.
# - The drift cannot be learned from a single arm. A few concurrent controls say more about it than any number of historical ones.
# - The effect before antibodies is mostly assumed. So is its loss.
# - Which way the effect goes cannot be learned here at all: these data are reconstructed.
