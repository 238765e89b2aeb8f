"""Draw the pictures of the pages into docs/_static: `python docs/figures.py`. Simulated trials, fixed seeds."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import special

import progression as pg
from progression import plots, time_course
from progression.curvature import EVERYBODY, bends
from progression.encoding import encode
from progression.engines import importance, prepared
from progression.plots import style

STATIC = Path(__file__).parent / "_static"


def bounded_trial():
    """Patients who have lost much already: whole scores 0 to 48, many of them at the floor within the year."""
    rng, n, months = np.random.default_rng(1), 120, np.arange(0, 13, 2.0)
    treated = np.arange(n) % 2
    level, slope = -0.8 + 1.2 * rng.normal(size=n), -0.3 + 0.15 * rng.normal(size=n) + 0.12 * treated
    share = special.expit(level[:, None] + slope[:, None] * months)
    return cohort(treated, months, alsfrsr=rng.binomial(48, rng.beta(49 * share, 49 * (1 - share))))


def items_trial():
    """The 12 items of each visit, all of one latent function of the patient."""
    rng, n, months = np.random.default_rng(1), 120, np.arange(0, 7.0)
    treated = np.arange(n) % 2
    level, slope = 1.3 * rng.normal(size=n), -0.22 + 0.15 * rng.normal(size=n) + 0.08 * treated
    latent = level[:, None] + slope[:, None] * months
    items = pg.models()["als_items"].outcomes
    lowest = np.linspace(-5.5, -2.5, len(items))
    steps = np.array([0, 1.2, 2.2, 3.4])
    noisy = {one.name: (latent + rng.logistic(size=latent.shape))[..., None] for one in items}
    scores = {name: (noisy[name] >= low + steps).sum(axis=-1) for name, low in zip(noisy, lowest, strict=True)}
    return cohort(treated, months, **scores)


def cohort(treated, months, **scores):
    """A simulated trial from scores by patient and month."""
    subject, arm = np.arange(len(treated)), np.array(["control", "treated"])[treated]
    wide = {name: np.asarray(value).ravel() for name, value in scores.items()}
    rows = {"subject": np.repeat(subject, len(months)).astype(str), "arm": np.repeat(arm, len(months)),
            "time": np.tile(months, len(treated)), **wide}  # fmt: skip
    facts = {one.name: one for model in ("als_bounded", "als_items") for one in pg.models()[model].outcomes}
    return pg.Cohort.from_table(rows, time_unit="months", outcomes=[facts[name] for name in scores], allocation="randomised",
                                arms=["control", "treated"], provenance="simulated", name="simulated ALS trial")  # fmt: skip


COHORTS = {
    "als_bounded": bounded_trial,
    "als_items": items_trial,
    "als_slope": lambda: pg.datasets.simulated_als(random_seed=1),
    "als_shared": lambda: pg.datasets.simulated_als(deaths_per_month=0.02, hazard_ratio=0.7, random_seed=1),
    "sle_activity": lambda: pg.datasets.simulated_sle(detection_limit=0.3, random_seed=1),
    "sle_joints": lambda: pg.datasets.simulated_sle(random_seed=1),
    "sle_crp": lambda: pg.datasets.simulated_sle(detection_limit=0.5, random_seed=1),
}


def trial_with_deaths():
    """A simulated trial of 2 x 60 whose patients die the sooner the faster they decline, and leave; monthly visits."""
    rng = np.random.default_rng(3)
    arm, months = np.repeat(["placebo", "active"], 60), np.arange(7.0)
    slope = -1.1 + 0.35 * (arm == "active") + 0.7 * rng.normal(size=120)
    score = 38 + 5 * rng.normal(size=120)[:, None] + slope[:, None] * months + 1.8 * rng.normal(size=(120, 7))
    death, left = rng.exponential(22 * np.exp(0.9 * (slope + 1))), rng.exponential(40, 120)
    end, dead = np.minimum(np.minimum(death, left), 6), death <= np.minimum(left, 6)
    who, when = np.nonzero(months <= end[:, None])
    visits = pd.DataFrame(
        {"subject": [f"P{i}" for i in who], "time": months[when], "alsfrsr": np.clip(np.round(score[who, when]), 0, 48)}
    )
    subjects = pd.DataFrame({"subject": [f"P{i}" for i in range(120)], "arm": arm, "event": np.where(dead, "death", None),
                             "event_time": np.where(dead, death, np.nan), "end_of_follow_up": np.where(dead, np.nan, end)})  # fmt: skip
    outcome = pg.Outcome(
        "alsfrsr", unit="points", label="ALSFRS-R total", lower=0, upper=48, integer=True, higher_is_better=True
    )
    return pg.Cohort.from_table(visits, subjects, time_unit="months", outcomes=[outcome], arms=["placebo", "active"],
                                allocation="randomised", provenance="simulated", name="simulated ALS trial with deaths")  # fmt: skip


def bent_course():
    """Straight and bent fits of a trial whose decline slows down, and what the check of curvature sees in each."""
    rng, n, months = np.random.default_rng(4), 120, np.arange(0, 13, 1.5)
    treated = np.arange(n) % 2
    level, slope = 40 + 4 * rng.normal(size=n), -1.1 + 0.45 * rng.normal(size=n) + 0.3 * treated
    score = level[:, None] + slope[:, None] * months + 0.06 * months * (months - 12) + 1.8 * rng.normal(size=(n, 9))
    seen = cohort(treated, months, alsfrsr=score)
    fits = {"straight": pg.fit("als_slope", seen, random_seed=1, progressbar=False)}
    fits["spline"] = pg.fit("als_slope", seen, options={"time_course": "spline"}, random_seed=1, progressbar=False)
    looks = {"straight": (0, (4, 2)), "spline": "-"}
    figure = style.new_figure(3.6, fits["spline"], "A decline that slows down, with a straight and with a bent course")
    left, right = (style.tidy(axes, grid="both") for axes in figure.subplots(1, 2, width_ratios=[3, 2]))
    left.set_title("mean ALSFRS-R by arm, and the mean course of each fit", size=style.MEDIUM, loc="left")
    fine = np.linspace(0, 12, 97)
    for i, arm in enumerate(seen.arms):
        left.plot(
            months, score[treated == i].mean(axis=0), "o", ms=4.5, color=style.ARM_COLOURS[i], label=f"{arm}, observed"
        )
        for name, fit in fits.items():
            mean = fit.posterior.mean(("chain", "draw"))
            effect = float(mean["slope_effect"].sum()) if i else 0.0
            bend = time_course.course(fine, fit.encoded().coords["knot"], 12.0) @ mean["bend"].to_numpy()
            line = float(mean["mean_level"]) + (float(mean["mean_slope"]) + effect) * fine + bend
            left.plot(
                fine, line, color=style.ARM_COLOURS[i], linewidth=1.6, linestyle=looks[name], label=f"{arm}, {name}"
            )
    left.set(xlabel="months", ylabel="ALSFRS-R, points", xticks=range(0, 13, 3))
    left.legend(frameon=False, fontsize=style.SMALL, loc="upper right")
    right.set_title("curvature within patients", size=style.MEDIUM, loc="left")
    for name, fit in fits.items():
        bend = next(one for one in bends(fit.encoded(), dict(seen.subjects["arm"])) if one.arm == EVERYBODY)
        drawn = bend.statistic(
            fit.with_posterior_predictive().idata["posterior_predictive"]["score"].to_numpy()
        ).ravel()
        right.hist(
            drawn, bins=30, histtype="step", color=style.INK, linestyle=looks[name], linewidth=1.4, label=f"{name} fit"
        )
    right.axvline(
        bend.statistic(fit.encoded().arrays["score_value"][1]), color=style.MARKED, linewidth=1.8, label="observed"
    )
    right.set(xlabel="points/month²", yticks=[])
    right.legend(frameon=False, fontsize=style.SMALL, loc="upper center")
    return figure


def engines_idea():
    """What is left to explore once the effects are integrated out: few patients seen for a short time, the hard case."""
    cohort = pg.datasets.simulated_als(n=(12, 12), visits_weeks=(0, 4, 8, 12), random_seed=1)
    fit = pg.fit("als_slope", cohort, random_seed=1, progressbar=False, strict=True)
    inner, target = marginal_density(fit)
    at = [inner.form.rest.names.index(name) for name in ("sd_slope", "correlation")]
    mode = importance.find_modes(target, np.zeros((1, inner.form.rest.size)))
    found = importance.sample(target, mode, points=512, seeds=[np.random.default_rng(1)])
    x, weight = found.x[0], np.exp(found.log_weight[0])

    figure = style.new_figure(
        3.7, fit, "The same posterior with the effects of the patients, and with them integrated out"
    )
    left, right = (style.tidy(axes, grid="both") for axes in figure.subplots(1, 2))
    unknowns = inner.form.rest.size + inner.n_linear + inner.n_effects * cohort.n_subjects
    left.set_title(f"two of {unknowns} unknowns: 4,000 draws", size=style.MEDIUM, loc="left")
    deviation = fit.posterior["slope"].sel(subject="C8") - fit.posterior["mean_slope"]
    log_sd = np.log(fit.posterior["sd_slope"])
    left.scatter(log_sd.to_numpy(), deviation.to_numpy(), s=3, alpha=0.4, color=style.ARM_COLOURS[1], linewidths=0)
    left.set_ylabel("slope of patient C8 less the mean, points/month", size=style.SMALL)

    right.set_title(
        f"two of {inner.form.rest.size} parameters: the density, and the weighted points", size=style.MEDIUM, loc="left"
    )
    sd, z = np.linspace(np.log(0.02), np.log(2.2), 61), np.linspace(-4.5, 6, 61)
    density = two_dimensional(target, x, weight, at, sd, z)
    order = np.sort(density.ravel())[::-1]
    mass = np.cumsum(order) / order.sum()
    levels = [order[np.searchsorted(mass, share)] for share in (0.99, 0.95, 0.8, 0.5, 0.2)]
    right.contour(sd, z, density.T, levels=levels, colors="#9AA0A6", linewidths=0.9)
    right.scatter(
        *x[:, at].T, s=3 + 14 * weight / np.quantile(weight, 0.99), alpha=0.55, color=style.ARM_COLOURS[2], linewidths=0
    )
    correlations = np.array([-0.95, -0.8, -0.5, 0, 0.5, 0.8, 0.95, 0.99])
    right.set_yticks(special.logit((1 + correlations) / 2), [f"{value:g}".replace("-", "−") for value in correlations])
    right.set_ylim(z[0], z[-1])
    right.set_ylabel("correlation of level and slope", size=style.SMALL)
    for axes in (left, right):
        ticks = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]
        axes.set_xticks(np.log(ticks), [f"{value:g}" for value in ticks])
        axes.set_xlim(sd[0], sd[-1])
        axes.set_xlabel("sd_slope, points/month, logarithmic", size=style.SMALL)
    return figure


def marginal_density(fit):
    """The closed form of a fit, and the log density that it is explored by."""
    encoded = encode(fit.model, fit.cohort, options=fit.options).unpadded()
    program = prepared.prepare(fit.model, encoded, fit.priors)
    arrays, inner = program.arrays(encoded), program.inner
    rows = inner.rows(arrays, encoded)
    cells = inner.cells(program.coordinates(arrays), encoded.n_subjects, rows)
    return inner, lambda x, which: inner.log_density(cells, x)


def two_dimensional(target, x, weight, at, first, second, order=9):
    """Density of two parameters on a grid: the others integrated by quadrature around their conditional normal."""
    others = [i for i in range(x.shape[1]) if i not in at]
    mean = weight @ x
    cov = (x - mean).T @ ((x - mean) * weight[:, None])
    slope = np.linalg.solve(cov[np.ix_(at, at)], cov[np.ix_(at, others)])
    root = np.linalg.cholesky(cov[np.ix_(others, others)] - cov[np.ix_(others, at)] @ slope)
    node, log_weight = np.polynomial.hermite_e.hermegauss(order)
    log_weight = np.log(log_weight) + 0.5 * node**2
    nodes, logs = np.stack(np.meshgrid(node, node), -1).reshape(-1, 2), np.add.outer(log_weight, log_weight).ravel()
    grid = np.stack(np.meshgrid(first, second, indexing="ij"), -1).reshape(-1, 2)
    points = np.empty((len(grid), len(nodes), x.shape[1]))
    points[..., at] = grid[:, None]
    points[..., others] = mean[others] + ((grid - mean[at]) @ slope)[:, None] + 1.2 * nodes @ root.T
    log_density = target(points.reshape(1, -1, x.shape[1]), np.zeros(1, int))[0].reshape(points.shape[:2])
    total = special.logsumexp(log_density + logs, axis=1).reshape(len(first), len(second))
    return np.exp(total - total.max())


def antibody_idea():
    """What als_antibody says of one patient, and of when antibodies appear; from its equations, nothing fitted."""
    level, slope, before, after, onset = 40.0, -1.2, 0.7, 0.1, 4.2
    share, median, shape = 0.8, 3.0, 1.4
    month = np.linspace(0, 12, 241)
    figure = Figure(figsize=(style.WIDTH, 3.6), facecolor="white", layout="constrained")
    left, right = (style.tidy(axes, grid="both") for axes in figure.subplots(1, 2, width_ratios=[3, 2]))
    left.set_title("the expected course of one patient", size=style.MEDIUM, loc="left")
    courses = {
        "untreated": (level + slope * month, style.ARM_COLOURS[0], "-"),
        "treated, no antibodies": (level + (slope + before) * month, style.ARM_COLOURS[1], (0, (4, 2))),
        "treated, onset between two tests": (
            level + slope * month + before * np.minimum(month, onset) + after * np.maximum(month - onset, 0),
            style.ARM_COLOURS[1], "-",
        ),
    }  # fmt: skip
    for name, (course, colour, line) in courses.items():
        left.plot(month, course, color=colour, linestyle=line, linewidth=1.8, label=name)
    left.axvspan(3, 6, color=style.FAINT, zorder=0)
    left.annotate(
        "last negative test,\nfirst positive test", (4.5, 26.4), ha="center", size=style.SMALL, color=style.INK
    )
    left.set_ylim(25.5, 40.6)
    left.set_ylabel("expected ALSFRS-R, points", size=style.SMALL)
    left.legend(frameon=False, fontsize=style.SMALL, loc="upper right")
    right.set_title("antibodies have appeared", size=style.MEDIUM, loc="left")
    right.plot(month, share * (1 - 2 ** -((month / median) ** shape)), color=style.INK, linewidth=1.8)
    right.axhline(share, color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
    right.annotate("share converting", (12, share + 0.02), ha="right", size=style.SMALL, color=style.INK)
    right.annotate("never convert", (6, (1 + share) / 2 - 0.02), ha="center", size=style.SMALL, color=style.INK)
    right.plot([0, median, median], [share / 2, share / 2, 0], color=style.MARKED, linewidth=1, linestyle=":")
    right.annotate("median onset", (median + 0.2, 0.02), size=style.SMALL, color=style.MARKED)
    right.set_ylim(0, 1.02)
    right.set_ylabel("share of the treated", size=style.SMALL)
    for axes in (left, right):
        axes.set_xlim(0, 12)
        axes.set_xticks(range(0, 13, 3))
        axes.set_xlabel("months", size=style.SMALL)
    return figure


def answers(fit):
    """Shares of the answers to three items, as seen and as the model has them for new patients, by month and arm."""
    chosen = ("speech", "walking", "respiratory_insufficiency")
    months = sorted(fit.cohort.visits["month"].unique())
    per_arm = dict.fromkeys(fit.cohort.arms, 400)
    predicted = fit.predict(months, new_patients=per_arm, draws=200)["items"]
    figure = style.new_figure(
        3.6, fit, "als_items: share of patients with at least 1, 2, 3, 4 points in an item, by month"
    )
    for axes, name in zip(figure.subplots(1, len(chosen), sharey=True), chosen, strict=True):
        style.tidy(axes, grid="y").set_title(name.replace("_", " "), size=style.MEDIUM, loc="left")
        axes.set_xlabel("months", size=style.SMALL)
        for number, arm in enumerate(fit.cohort.arms):
            own = fit.cohort.visits[fit.cohort.visits["subject"].map(fit.cohort.subjects["arm"]) == arm]
            new = predicted.sel(outcome=name).isel(subject=slice(400 * number, 400 * (number + 1)))
            for least in (1, 2, 3, 4):
                seen = [(own.loc[own["month"] == month, name] >= least).mean() for month in months]
                share = (new >= least).mean([dim for dim in new.dims if dim != "month"])
                axes.plot(months, share, color=style.ARM_COLOURS[number], linewidth=1.4)
                axes.plot(months, seen, "o", color=style.ARM_COLOURS[number], markersize=3.5, alpha=0.7)
            axes.plot(
                [], [], "o-", color=style.ARM_COLOURS[number], markersize=3.5, label=f"{arm}: observed, predicted"
            )
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=style.SMALL
    )
    return figure


def follow_up_trial():
    """A trial of 2 x 60 at 10 a month with two looks, simulated from als_shared."""
    design = pg.Design(arms={"placebo": 60, "active": 60}, visits_weeks=[0, 4, 8, 12, 16, 20, 24], accrual_per_month=10,
                       dropout_per_month=0.02, missed_visits=0.03, looks=[pg.Look(6, futility=0.05), pg.Look(10, success=0.995)])  # fmt: skip
    truth = {
        "mean_level": 38,
        "sd_level": 5,
        "mean_rate": 1.03,
        "sd_rate": 0.76,
        "drr": 0.7,
        "sd_residual": 1.77,
        "hazard": 0.01,
    }
    return pg.simulate(design, "als_shared", truth=truth, n=1, random_seed=1)


def sharing():
    """What one activity gains: posterior SD of each ratio as one disease and alone, and how many patients that is worth."""
    kept = json.loads((STATIC.parents[1] / "tests" / "evidence" / "sharing.json").read_text())["patients"]
    sizes = [int(one) for one in kept if one.isdigit()]
    figure = Figure(figsize=(style.WIDTH, 3.6), facecolor="white", layout="constrained")
    left, right = (style.tidy(axes, grid="both") for axes in figure.subplots(1, 2))
    names = {"tender_joints": "tender joints", "swollen_joints": "swollen joints", "crp": "CRP"}
    for colour, (sign, words) in zip(style.ARM_COLOURS[1:], names.items(), strict=False):
        own = [kept[str(n)][sign] for n in sizes]
        left.plot(sizes, [one["as one"]["mean_sd"] for one in own], "-o", ms=4.5, color=colour, label=words)
        left.plot(sizes, [one["alone"]["mean_sd"] for one in own], "--o", ms=4.5, color=colour, mfc="white")
        right.plot(sizes, [one["worth"] for one in own], "-o", ms=4.5, color=colour)
    left.plot([], [], "-", color=style.ARM_COLOURS[0], label="as one disease")
    left.plot([], [], "--", color=style.ARM_COLOURS[0], label="each alone")
    left.set_title("posterior SD of the log ratio, treated to control, last visit", size=style.MEDIUM, loc="left")
    left.set(yscale="log", yticks=[0.05, 0.1, 0.2, 0.5], yticklabels=["0.05", "0.1", "0.2", "0.5"])
    right.set_title("patients alone for one patient as one disease", size=style.MEDIUM, loc="left")
    right.axhline(1, color="#222222", linewidth=0.9, linestyle=":")
    right.set_ylim(bottom=0.9)
    for axes in (left, right):
        axes.set(
            xscale="log",
            xticks=sizes,
            xticklabels=[str(n) for n in sizes],
            xlabel="SIMULATED patients, half of them treated",
        )
        axes.minorticks_off()
    left.legend(frameon=False, fontsize=style.SMALL)
    return figure


PICTURES = {"als_items": answers}  # twelve panels of crossing lines would show nothing


def main() -> None:
    for name, cohort in COHORTS.items():
        fit = pg.fit(name, cohort(), random_seed=1, progressbar=False, strict=True)
        for figure, ending in (
            (PICTURES.get(name, plots.trajectories)(fit), ""),
            (plots.forest(pg.contrast(fit)), "_forest"),
        ):
            figure.savefig(STATIC / f"{name}{ending}.png", dpi=150, metadata={"Software": None})
    ranks = plots.ranks(pg.cafs(trial_with_deaths(), month=6))
    ranks.savefig(STATIC / "cafs.png", dpi=150, metadata={"Software": None})
    swept = plots.sweep(pg.drift_sweep("als_slope", pg.datasets.als_anakinra(direction="none"), random_seed=1))
    swept.savefig(STATIC / "sweep_single_arm.png", dpi=150, metadata={"Software": None})
    weights = pg.propensity_weights(pg.datasets.als_anakinra(direction="none"), ["sex", "alsfrsr_baseline"])
    plots.balance(weights).savefig(STATIC / "balance.png", dpi=150, metadata={"Software": None})
    studies = {"study": [f"Study {i}" for i in range(1, 9)], "n": [107, 44, 51, 39, 139, 20, 78, 35],
               "events": [23, 12, 19, 9, 39, 6, 9, 10]}  # fmt: skip
    past = plots.studies(pg.map_prior(studies, "binomial"))
    past.savefig(STATIC / "studies.png", dpi=150, metadata={"Software": None})
    plots.trial(follow_up_trial()).savefig(STATIC / "trial.png", dpi=150, metadata={"Software": None})
    bent_course().savefig(STATIC / "time_course.png", dpi=150, metadata={"Software": None})
    antibody_idea().savefig(STATIC / "als_antibody.png", dpi=150, metadata={"Software": None})
    pilot = pg.fit(
        "als_antibody", pg.datasets.als_anakinra(direction="none"), random_seed=1, progressbar=False, strict=True
    )
    forest = plots.forest(pg.contrast(pilot))
    forest.savefig(STATIC / "als_antibody_forest.png", dpi=150, metadata={"Software": None})
    sharing().savefig(STATIC / "sharing.png", dpi=150, metadata={"Software": None})
    engines_idea().savefig(STATIC / "engines_idea.png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
