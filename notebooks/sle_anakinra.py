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
# # Anakinra in lupus arthritis: four patients
#
# Four patients with lupus arthritis took anakinra, 100 mg a day, for three months. They were seen at weeks 0, 4 and 12.
# There were no controls. All numbers are **observed**: they are Table 2 of the paper.
#
# With four patients the prior is part of the answer. This notebook shows how large a part.

# %%
# %matplotlib inline
import os

import matplotlib.pyplot as plt
import pandas as pd

import progression as pg
from progression import plots
from progression_models import bicla_style, fewer_joints

DRAWS = int(os.environ.get("PROGRESSION_DRAWS", "1000"))  # draws a chain; the tests use fewer
SAMPLING = {"random_seed": 1, "draws": DRAWS, "tune": DRAWS, "progressbar": False}

# %% [markdown]
# ## The data, all of them

# %%
cohort = pg.datasets.sle_anakinra()
cohort

# %%
weeks_per_month = 365.25 / 12 / 7
shown = ["crp_mg_dl", "tender_joints", "swollen_joints"]
table = cohort.visits.assign(week=lambda t: (t["month"] * weeks_per_month).round().astype(int))
table.pivot(index="subject", columns="week", values=shown)

# %%
figure, panels = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained")
colours = dict(zip(cohort.subjects.index, ("#5F6368", "#0072B2", "#D17F00", "#009E73"), strict=True))
for panel, outcome in zip(panels, shown, strict=True):
    for subject, own in table.groupby("subject"):
        panel.plot(own["week"], own[outcome], "-o", color=colours[subject], markersize=5, label=f"patient {subject}")
    panel.set(
        title=outcome.replace("_joints", " joints").replace("crp_mg_dl", "CRP (mg/dl)"),
        xticks=[0, 4, 12],
        xlabel="weeks",
    )
    panel.spines[["top", "right"]].set_visible(False)
panels[0].set(yscale="log", yticks=[0.5, 1, 2, 5, 10], yticklabels=["0.5", "1", "2", "5", "10"])
panels[0].minorticks_off()
_ = figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)

# %% [markdown]
# **Look at** the swollen joints: in all four they fall at once, by half or more. Tender joints fall less, and patient 3's
# rise to 17 by week 12.
#
# Two things happened on the way. They are in the cohort as intercurrent events, and no model below corrects for them.

# %%
pd.set_option("display.max_colwidth", None)
cohort.events.assign(week=lambda e: (e["month"] * weeks_per_month).round(1))[["subject", "week", "kind", "note"]]

# %% [markdown]
# - **Patient 2** was probably off the drug at week 4. The analysis below takes what was seen, whatever was taken
#   (treatment policy).
# - **Patient 4** has no week 12 *because of* a flare. The models below take the gap as missing at random given what was
#   seen, which it was not. They fill it with what patients like the others would have shown. That flatters week 12.
#
# ## Joint counts
#
# `sle_joints` takes each count as so many of the joints assessed. The paper does not say how many were assessed. The
# default is 28, and patient 4's 26 tender joints nearly fill it.

# %%
joints = pg.fit("sle_joints", cohort, **SAMPLING)
contrast = pg.contrast(joints)
contrast

# %% [markdown]
# Each label says "to baseline, on treatment", and the last line says what a reading as an effect would rest on.
# An arm contrast is refused, because there is one arm:

# %%
try:
    pg.contrast(joints, "count_ratio")
except pg.SettingError as error:
    print(error)

# %%
plots.forest(contrast)

# %% [markdown]
# **Look at** which lines cross 1. A ratio of 0.5 is half as many active joints as at baseline.
#
# ## Each patient's course

# %%
plots.trajectories(joints)

# %% [markdown]
# **Look at** patient 4 at week 12: bars and no dot. This is what the model supposes in place of the flare. For patient 3
# it did not expect the rise of the tender count, and yet holds it possible.
#
# ## C-reactive protein
#
# `sle_crp` works with logarithms. No value is censored: 0.5 mg/dl is the upper limit of normal in this paper, not the
# limit of the assay. With eleven values for five parameters and four levels the sampler needs small steps, so
# `target_accept` is raised: with the default a draw may diverge, and the fit would say so.

# %%
crp = pg.fit("sle_crp", cohort, **SAMPLING, target_accept=0.99)
pg.contrast(crp)

# %%
plots.trajectories(crp)

# %%
for one in (joints, crp):
    print(pg.check(one))

# %% [markdown]
# Both pass. Eleven visits would pass almost anything: a check of four patients finds gross errors only.
#
# ## Joints and CRP as one disease
#
# `sle_activity` takes the three as signs of one activity that each patient has at each visit, measured in SDs between patients. Each sign
# follows it by a loading of its own. That the drug acts on all of them through the one activity is an assumption; the models of one
# outcome, above, stand beside it.

# %%
activity = pg.fit("sle_activity", cohort, **SAMPLING)
pg.contrast(activity)

# %%
plots.trajectories(activity)

# %%
alone = {"tender_joints": joints, "swollen_joints": joints, "crp_mg_dl": crp}
widths = {}
for outcome, one in alone.items():
    kind = "crp" if outcome == "crp_mg_dl" else "count"
    for week, month in ((4, 0.92), (12, 2.76)):
        label = {} if kind == "crp" else {"outcome": outcome}
        pair = [pg.contrast(fit).select(f"{kind}_ratio_to_baseline", visit=month, **label) for fit in (one, activity)]
        widths[f"{outcome}, week {week}"] = {
            name: "{:.2f} ({:.2f} to {:.2f})".format(float(draws.median()), *draws.quantile([0.025, 0.975]).to_numpy())
            for name, draws in zip(("alone", "as one disease"), pair, strict=True)
        }
pd.DataFrame(widths).T

# %% [markdown]
# **Look at** CRP: eleven values say little by themselves, and the joints lend it what they know. And at swollen joints in week 12, which one
# activity puts nearer to baseline: the tender count of patient 3 had risen to 17, the swollen count had not, and what is shared takes the
# middle. The last line of the contrast is the paper's question of week 12: activity then minus at week 4. Its interval holds rising,
# staying and falling alike.
#
# ## How much of this is the prior?
#
# The prior on `time_course`, the change since baseline on the log (CRP) or log odds (joints) scale, is Normal(0, 1).
# Here are the same fits with it half as wide and twice as wide.

# %%
rows = []
for model in ("sle_joints", "sle_crp"):
    for sd in (0.5, 1.0, 2.0):
        prior = {"time_course": pg.Prior("Normal", mu=0, sigma=sd)}
        made = pg.contrast(pg.fit(model, cohort, priors=prior, **SAMPLING, target_accept=0.99))
        for (_, row), draws in zip(made.summary().iterrows(), made.components().values(), strict=True):
            month = draws["followup_visit"].item()
            outcome = draws["outcome"].item() if "outcome" in draws.coords else "crp"
            rows.append({"component": f"{outcome.replace('_', ' ')}, week {month * weeks_per_month:.0f}", "prior SD": sd,
                         "mean": row["mean"], "lower": row["eti95_lb"], "upper": row["eti95_ub"],
                         "outcome": outcome, "first": month < 2})  # fmt: skip
sensitivity = pd.DataFrame(rows)
sensitivity.pivot(index="component", columns="prior SD", values=["mean", "lower", "upper"]).swaplevel(
    axis=1
).sort_index(axis=1, level=0, sort_remaining=False).round(2)

# %%
figure, panel = plt.subplots(figsize=(9.6, 4.2), layout="constrained")
components = list(dict.fromkeys(sensitivity["component"]))
for at, component in enumerate(components):
    own = sensitivity[sensitivity["component"] == component]
    for shift, colour, (_, row) in zip(
        (-0.24, 0, 0.24), ("#56B4E9", "#0072B2", "#00304d"), own.iterrows(), strict=True
    ):
        label = f"prior SD {row['prior SD']:g}" if at == 0 else None
        panel.plot([row["lower"], row["upper"]], [at + shift] * 2, color=colour, linewidth=2, label=label)
        panel.plot(
            row["mean"], at + shift, "o", color="white", markeredgecolor=colour, markeredgewidth=1.5, markersize=5
        )
panel.axvline(1, color="#222222", linestyle="--", linewidth=0.9, zorder=0)
ticks = [0.05, 0.1, 0.2, 0.5, 1, 2]
panel.set(xscale="log", xticks=ticks, xticklabels=[f"{t:g}" for t in ticks], ylim=(len(components) - 0.5, -0.5),
          yticks=range(len(components)), xlabel="ratio to baseline, log axis; below 1 = less active",
          yticklabels=components)  # fmt: skip
panel.minorticks_off()
panel.spines[["top", "right", "left"]].set_visible(False)
_ = panel.legend(frameon=False, loc="upper left")

# %%
swollen = sensitivity[(sensitivity["outcome"] == "swollen_joints") & sensitivity["first"]].set_index("prior SD")
for sd, row in swollen.iterrows():
    verdict = "excludes 1" if row["upper"] < 1 else "holds 1"
    interval = f"{row['mean']:.2f} of baseline ({row['lower']:.2f} to {row['upper']:.2f})"
    print(f"Prior SD {sd:g}: swollen joints at week 4 are {interval}, which {verdict}.")

# %% [markdown]
# **Look at** the three lines of each group. Where they differ as much as this, the prior decides what the interval
# excludes. The fall in swollen joints is there under each prior; its size, and whether the interval reaches 1, are not
# settled by four patients.
#
# ## Three more choices that matter
#
# How many joints were assessed, what to do with patient 2, and how to count patient 4.

# %%
without_2 = pg.Cohort.from_table(
    cohort.visits[cohort.visits["subject"] != "2"], time_unit="months", columns={"time": "month"},
    outcomes=["tender_joints", "swollen_joints"], arms=["anakinra"], name="without patient 2",
)  # fmt: skip
choices = {
    "28 joints, all four": joints,
    "68 joints, all four": pg.fit("sle_joints", cohort, options={"joints": 68}, **SAMPLING),
    "28 joints, without patient 2": pg.fit("sle_joints", without_2, **SAMPLING),
}
pd.concat(
    {name: pg.contrast(one).summary()[["mean", "eti95_lb", "eti95_ub"]] for name, one in choices.items()}
).unstack(0).swaplevel(axis=1)[list(choices)].round(2)

# %%
start = table[table["week"] == 0].set_index("subject")["swollen_joints"]
responders = {}
for week in (4, 12):
    now = table[table["week"] == week].set_index("subject")["swollen_joints"].reindex(start.index)
    responders[f"week {week}"] = {
        "at least 50 % fewer swollen joints, of those seen": f"{int((now <= start / 2).sum())} of {int(now.notna().sum())}",
        "the same, a missing visit counted as no response": f"{int((now <= start / 2).sum())} of {len(start)}",
    }
pd.DataFrame(responders)

# %% [markdown]
# The second line is the composite strategy: patient 4's flare counts as a failure, which it was.
#
# ## Who responds?
#
# Counting calls 6 of 12 joints a response and 7 of 13 a failure. The joint posterior says how probable response is for each patient were it
# measured again, and for a new patient like these. How each intercurrent event counts has to be stated: the flare as no response (composite)
# or as a gap (treatment policy: what would have been seen is predicted from what was); the interruption of patient 2 as part of treatment.

# %%
rules = {"at least 50 % fewer active joints": fewer_joints(), "BICLA style": bicla_style()}
flare = {"composite": "no response", "treatment policy": "a gap, as if at random"}
told = {}
for name, rule in rules.items():
    for week, month in ((4, 0.92), (12, 2.76)):
        for how, words in flare.items():
            strategies = {"flare": how, "treatment interrupted": "treatment policy"}
            found = pg.responders(activity, pg.Response(name, rule), month=month, strategies=strategies)
            row = {f"patient {subject}": f"{share:.2f}" for subject, share in found.patients["probability"].items()}
            new = found.arms.loc[("anakinra", "a new patient")]
            row["a new patient"] = f"{new['mean']:.2f} ({new['lower']:.2f} to {new['upper']:.2f})"
            told[name, f"week {week}", words] = row
pd.DataFrame(told).T.rename_axis(["response", "visit", "the flare counts as"])

# %% [markdown]
# Patient 4 at week 12 is the difference between the strategies: zero, or what patients who had responded at week 4 would have shown. The
# interval of a new patient spans much of what a probability can be. It is a forecast under this treatment, not an effect of it, and rests
# on the priors as much as on four patients.
#
# ## What controls would add: a simulated trial
#
# The same models, on a trial that was **simulated** with a known truth: 30 treated, 30 controls. Now the estimand is
# treated against control.

# %%
trial = pg.datasets.simulated_sle(n=(30, 30), random_seed=1)
truth = pg.datasets.truth_of(trial)
trial_joints = pg.fit("sle_joints", trial, **SAMPLING)
trial_crp = pg.fit("sle_crp", trial, **SAMPLING)
plots.forest(pg.contrast(trial_joints))

# %%
plots.forest(pg.contrast(trial_crp))

# %%
plots.trajectories(trial_joints)

# %% [markdown]
# Here, and only here, is the truth known. Does the posterior hold it?

# %%
effects = pd.concat([trial_joints.summary(), trial_crp.summary()], keys=["joints", "crp"])
effects = effects[effects.index.get_level_values(1).str.startswith("effect[")][["mean", "eti95_lb", "eti95_ub"]]
planted = {"0.92": 0, "2.76": 1}
effects["truth"] = [
    truth["joints_effect" if kind == "joints" else "crp_effect"][next(i for m, i in planted.items() if m in name)]
    for kind, name in effects.index
]
effects["held"] = (effects["eti95_lb"] < effects["truth"]) & (effects["truth"] < effects["eti95_ub"])
print(f"The 95 % intervals hold {int(effects['held'].sum())} of {len(effects)} true effects (log odds, log).")
effects.round(2)

# %%
for one in (trial_joints, trial_crp):
    print(pg.check(one))

# %% [markdown]
# Width is what sixty randomised patients bring, and a comparison that does not rest on before and after.

# %%
both = {
    "pilot, to baseline": pg.contrast(joints).select(outcome="swollen_joints", visit=2.76),
    "trial, to control": pg.contrast(trial_joints).select(outcome="swollen_joints", visit=2.76),
}
for name, draws in both.items():
    low, high = draws.quantile([0.025, 0.975]).to_numpy()
    print(f"Swollen joints at week 12, {name}: the upper end of the 95 % interval is {high / low:.1f} times the lower.")

# %% [markdown]
# ## In short
#
# - Swollen joints fell in all four patients. That is what was observed.
# - How far they fell on average depends on the prior, and is not settled.
# - Whether CRP and tender joints fell on average is not settled either: their intervals hold 1.
# - None of this is a contrast with anything but the patients' own past.
