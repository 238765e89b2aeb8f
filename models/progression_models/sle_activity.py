"""Joint counts and CRP as one disease: a latent activity of each patient at each visit moves them all."""

from __future__ import annotations

from typing import Any

import pymc as pm
import xarray as xr

from progression.modeling import Estimand, Facts, Prior, model
from progression.outcomes import Outcome
from progression_models import flares, parts

COUNTS = (
    Outcome("tender_joints", unit="joints", label="tender joints", lower=0, integer=True, higher_is_better=False),
    Outcome("swollen_joints", unit="joints", label="swollen joints", lower=0, integer=True, higher_is_better=False),
    Outcome("vas", unit="mm", label="visual analogue scale", lower=0, upper=100, integer=True, higher_is_better=False),
)
CRP = Outcome("crp_mg_dl", unit="mg/dl", label="CRP", positive=True, higher_is_better=False)
MARKERS = (
    CRP,
    Outcome("anti_dsdna_u_ml", unit="U/ml", label="anti-dsDNA", positive=True, higher_is_better=False),
    Outcome("c3_mg_dl", unit="mg/dl", label="C3", positive=True),
    Outcome("c4_mg_dl", unit="mg/dl", label="C4", positive=True),
)
ONE_ACTIVITY = "treatment moves all indicators through one activity, each by its own loading"
SPREAD = "in SD of activity between patients"


def _inverse_logit(x: xr.DataArray) -> xr.DataArray:
    return 1 / (1 + parts.exp(-x))


def _share(posterior: xr.Dataset, moved: xr.DataArray | float) -> xr.DataArray:
    """Mean share of a count's bound, averaged over patients and their departures at one visit; activity moved by so much."""
    loading = posterior["count_loading"]
    spread = (loading**2 * (1 + posterior["sd_visit"] ** 2) + posterior["sd_count"] ** 2) ** 0.5
    return parts.population_mean(_inverse_logit, posterior["count_level"] + loading * moved, spread)


def activity_effect(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["effect"]


def activity_change(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["time_course"]


def later_effect(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return posterior["effect"].isel(followup_visit=-1, drop=True) - posterior["effect"].isel(
        followup_visit=0, drop=True
    )


def later_change(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    course = posterior["time_course"]
    return course.isel(followup_visit=-1, drop=True) - course.isel(followup_visit=0, drop=True)


def count_ratio(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    course = posterior["time_course"]
    return _share(posterior, course + posterior["effect"]) / _share(posterior, course)


def count_ratio_to_baseline(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return _share(posterior, posterior["time_course"]) / _share(posterior, 0.0)


def _crp_loading(posterior: xr.Dataset) -> xr.DataArray:
    """By outcome, of CRP alone; of length zero where a cohort has other markers only."""
    loading = posterior["marker_loading"]
    return loading.isel(markers_outcomes=loading["markers_outcomes"].to_numpy() == CRP.name)


def crp_ratio(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return parts.exp(posterior["effect"] * _crp_loading(posterior))


def crp_ratio_to_baseline(posterior: xr.Dataset, facts: Facts) -> xr.DataArray:
    return parts.exp(posterior["time_course"] * _crp_loading(posterior))


BY_VISIT: dict[str, Any] = {
    "requires": "control",
    "reference": "control arm",
    "population": "population-averaged",
    "assumption": f"{flares.COMPARABLE}; {ONE_ACTIVITY}",
}
SINCE: dict[str, Any] = {
    "requires": "no control",
    "reference": "baseline",
    "population": "population-averaged",
    "assumption": f"{parts.BEFORE_AFTER}; {ONE_ACTIVITY}",
}


@model(
    observes={"counts": COUNTS, "markers": MARKERS},
    events={"flare": ("flare",)},
    unless_named=("vas", "anti_dsdna_u_ml", "c3_mg_dl", "c4_mg_dl"),
    priors={
        "time_course": Prior("Normal", mu=0, sigma=1),
        "level_difference": Prior("Normal", mu=0, sigma=0.5),
        "effect": Prior("Normal", mu=0, sigma=1),
        "sd_visit": Prior("HalfNormal", sigma=0.5),
        "count_level": Prior("Normal", mu=-1, sigma=1),
        "count_loading": Prior("LogNormal", mu=-0.3, sigma=0.5),
        "sd_count": Prior("HalfNormal", sigma=0.5),
        "overdispersion": Prior("Beta", alpha=1, beta=15),
        "marker_level": Prior("Normal", mu=1, sigma=3),
        "marker_loading": Prior("Normal", mu=0, sigma=1),
        "sd_marker": Prior("HalfNormal", sigma=1),
        "sd_residual": Prior("LogNormal", mu=-0.5, sigma=0.5),
        "flare_hazard": Prior("LogNormal", mu=-3, sigma=1),
        "flare_loading": Prior("LogNormal", mu=-0.3, sigma=0.5),
    },
    estimands=[
        Estimand("activity_effect", activity_effect, over=("active_arm", "followup_visit"), unit="SD", scale="difference",
                 label=f"disease activity, {{arm}} minus {{control}}, at {{visit}}, {SPREAD}, below 0 = less active",
                 null=0.0, benefit="lower", **BY_VISIT,
                 inverse=lambda value, parameters: {"effect": value}),
        Estimand("count_ratio", count_ratio, over=("active_arm", "followup_visit", "counts_outcomes"), unit="", scale="ratio",
                 label="ratio of mean {outcome}, {arm} to {control}, at {visit}, below 1 = lower", null=1.0,
                 benefit="lower", **BY_VISIT),
        Estimand("crp_ratio", crp_ratio, over=("active_arm", "followup_visit", "markers_outcomes"), unit="", scale="ratio",
                 label="ratio of geometric mean CRP, {arm} to {control}, at {visit}, below 1 = lower CRP", null=1.0,
                 benefit="lower", **BY_VISIT),
        Estimand("later_effect", later_effect, over=("active_arm",), unit="SD", scale="difference", null=0.0,
                 label=f"effect on disease activity, {{arm}} to {{control}}, at the last visit minus at the first after baseline, {SPREAD}, above 0 = effect lost",
                 benefit="lower", **BY_VISIT),
        Estimand("activity_change", activity_change, over=("followup_visit",), unit="SD", scale="difference", null=0.0,
                 label=f"disease activity, {{visit}} minus baseline, on treatment, {SPREAD}, below 0 = less active",
                 benefit="lower", **SINCE, inverse=lambda value, parameters: {"time_course": value}),
        Estimand("count_ratio_to_baseline", count_ratio_to_baseline, over=("followup_visit", "counts_outcomes"), unit="",
                 label="ratio of mean {outcome}, {visit} to baseline, on treatment, below 1 = lower", scale="ratio",
                 null=1.0, benefit="lower", **SINCE),
        Estimand("crp_ratio_to_baseline", crp_ratio_to_baseline, over=("followup_visit", "markers_outcomes"), unit="",
                 label="ratio of geometric mean CRP, {visit} to baseline, on treatment, below 1 = lower CRP", scale="ratio",
                 null=1.0, benefit="lower", **SINCE),
        Estimand("later_change", later_change, unit="SD", scale="difference", null=0.0, benefit="lower", **SINCE,
                 label=f"disease activity on treatment, last visit minus first after baseline, {SPREAD}, above 0 = rising again"),
        *flares.ESTIMANDS,
    ],
    reference="Dunson (2003), JASA 98:555 (latent trajectories behind outcomes of several kinds); Crowder (1978), Applied "
              "Statistics 27:34 (beta-binomial regression); Hughes (1999), Biometrics 55:625 (censored assays); Wu and Carroll (1988), Biometrics 44:175 (informative drop-out)",
    needs=("baseline", "visits"),
    options={"baseline": "auto", "joints": 28, "flare": "at random"},
    padded=True,
    sampling={"target_accept": 0.9},
)  # fmt: skip
def sle_activity(data: Any, prior: Any) -> None:
    """Tender and swollen joints, CRP and, on request, time to flare share one activity by patient and visit."""
    time_course = prior("time_course", dims="followup_visit")
    level_difference = prior("level_difference", dims="baseline_arm")
    effect = prior("effect", dims=("active_arm", "followup_visit"))
    sd_visit = prior("sd_visit")
    count_level = prior("count_level", dims="counts_outcomes")
    count_loading = prior("count_loading", dims="counts_outcomes")
    sd_count = prior("sd_count", dims="counts_outcomes")
    overdispersion = prior("overdispersion", dims="counts_outcomes")  # correlation of two joints at one visit
    marker_level = prior("marker_level", dims="markers_outcomes")
    marker_loading = prior("marker_loading", dims="markers_outcomes")
    sd_marker, sd_residual = prior("sd_marker", dims="markers_outcomes"), prior("sd_residual", dims="markers_outcomes")
    flare_hazard, flare_loading = prior("flare_hazard", dims="event"), prior("flare_loading", dims="event")

    # What each indicator's rows say of a patient: how precisely, and how much of that is of the activity they share.
    counts, markers = data.counts, data.markers
    of_counts = counts.logit_information / (1 + counts.most * overdispersion)
    of_counts = of_counts / (1 + (count_loading * sd_visit) ** 2 * of_counts / pm.math.maximum(counts.n, 1))
    of_markers = markers.n / (sd_residual**2 + (marker_loading * sd_visit) ** 2)
    shared_counts = count_loading * of_counts / (1 + sd_count**2 * of_counts)
    shared_markers = marker_loading * of_markers / (1 + sd_marker**2 * of_markers)
    precision = (count_loading * shared_counts).sum(axis=1) + (marker_loading * shared_markers).sum(axis=1)
    told = (shared_counts * (counts.mean_logit - count_level)).sum(axis=1)
    told = told + (shared_markers * (markers.mean_log - marker_level)).sum(axis=1)
    course = parts.from_first_visit(time_course)[None]
    if parts.has_columns(data.on_arm):
        course = course + parts.effect_by_visit(effect, data.on_arm)
    level = parts.subject_effect("level", parts.linear(data.on_baseline_arm, level_difference), 1.0, precision=precision, estimate=told / (precision + 1e-6) - (course * counts.at_visit).sum(axis=1))  # fmt: skip
    expected = level[:, None] + course  # in SDs of level between patients: the unit of activity
    when_counted, when_measured = ((expected * one.at_visit).sum(axis=1)[:, None] for one in (counts, markers))
    own_count = parts.subject_effect("own_count", 0.0, sd_count, dims=("subject", "counts_outcomes"), precision=of_counts, estimate=counts.mean_logit - count_level - count_loading * when_counted)  # fmt: skip
    own_count = pm.Deterministic("own_count", own_count, dims=("subject", "counts_outcomes"))
    own_marker = parts.subject_effect("own_marker", 0.0, sd_marker, dims=("subject", "markers_outcomes"), precision=of_markers, estimate=markers.mean_log - marker_level - marker_loading * when_measured)  # fmt: skip
    own_marker = pm.Deterministic("own_marker", own_marker, dims=("subject", "markers_outcomes"))
    # What is left at one visit says how far the patient departs there.
    of_counts = count_loading * counts.logit_information_at_visit / (1 + counts.most * overdispersion)[:, None]
    of_markers = marker_loading * markers.n_at_visit / sd_residual**2
    left_of_counts = counts.mean_logit_at_visit - count_level - own_count[:, None] - count_loading * expected[..., None]
    left_of_markers = (markers.mean_log_at_visit - marker_level - own_marker[:, None] - marker_loading * expected[..., None])  # fmt: skip
    precision = (of_counts * count_loading).sum(axis=2) + (of_markers * marker_loading).sum(axis=2)
    told = (of_counts * left_of_counts).sum(axis=2) + (of_markers * left_of_markers).sum(axis=2)
    departure = parts.subject_effect("departure", 0.0, sd_visit, estimate=told / (precision + 1e-6), precision=precision, dims=("subject", "visit"))  # fmt: skip
    activity = pm.Deterministic("activity", expected + departure, dims=("subject", "visit"))

    i, k = counts.subject, counts.outcome
    share = pm.math.invlogit(count_level[k] + own_count[i, k] + count_loading[k] * activity[i, counts.visit])
    concentration = (1 - overdispersion[k]) / (overdispersion[k] + 1e-4)  # the floor: as in sle_joints
    pm.BetaBinomial("counts", n=counts.upper, alpha=share * concentration, beta=(1 - share) * concentration, observed=counts.value, dims="counts_row")  # fmt: skip
    i, k = markers.subject, markers.outcome
    location = marker_level[k] + own_marker[i, k] + marker_loading[k] * activity[i, markers.visit]
    measured = pm.LogNormal.dist(location, sd_residual[k])
    pm.Censored("markers", measured, lower=markers.lower, upper=None, observed=markers.value, dims="markers_row")

    if parts.has_columns(data.on_event):  # activity that rises brings the flare, which ends the visits
        flare = data.flare
        between = (activity[flare.subject, flare.visit - 1] + activity[flare.subject, flare.visit]) / 2
        time = pm.Exponential.dist(lam=flare_hazard[0] * pm.math.exp(flare_loading[0] * between))
        pm.Censored("flare", time, lower=None, upper=flare.upper, observed=flare.value, dims="flare_row")
