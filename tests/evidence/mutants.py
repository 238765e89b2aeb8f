"""Bugs that a programmer could have made, each as one substitution in the real code, with the tests that must notice it.

The tests of a mutation are the cheapest that ought to see it: equations written out beside the program, brute force, rows by hand.
`new` runs without an error as far as one can tell: what is wrong is a number.
"""

from __future__ import annotations

from typing import NamedTuple

M, P = "models/progression_models/", "progression/"

EQUATIONS = "tests/test_equations.py::"
EFFECTS = EQUATIONS + "test_effects_of_patients_are_normal_with_their_own_means_and_sds[{}]"
COUNTS = EQUATIONS + "test_each_count_is_out_of_the_joints_assessed"
CRP = EQUATIONS + "test_each_crp_has_its_density_or_lies_below_the_limit"
SIGNS = EQUATIONS + "test_all_signs_of_one_activity_have_their_densities"
RATES = EQUATIONS + "test_scores_and_deaths_of_one_rate_have_their_densities"
COURSE = EQUATIONS + "test_activity_is_a_level_a_course_and_an_effect_from_the_first_visit_after_baseline"
RATIOS = EQUATIONS + "test_ratios_of_one_activity_are_those_of_counted_patients"
DENSE = "tests/test_marginal_closed.py::test_als_slope_has_the_density_of_one_dense_normal"
PATIENTS = "tests/test_als_bounded.py::test_each_patients_likelihood_is_the_integral_over_level_and_slope[severe]"
ANSWERS = "tests/test_als_items.py::test_each_answer_has_the_probability_of_its_step"
ONSETS = "tests/test_antibody.py::test_density_is_that_of_a_fine_sum_times_that_of_the_intervals"
FLARE = "tests/test_flares.py::test_estimands_against_brute_force"
SIMULATE = "tests/test_simulate.py::"
ARRAYS = "tests/test_encoding.py::test_arrays_hold_the_table"
POLYFIT = "tests/test_encoding.py::test_statistics_by_subject_are_those_of_polyfit"
BY_ALLOCATION = "tests/test_borrowing.py::"
RESPOND = "tests/test_responders.py::"


class Mutation(NamedTuple):
    """One bug: `old`, which stands once in `file`, becomes `new`."""

    name: str
    kind: str  # one of KINDS
    file: str
    what: str
    old: str
    new: str
    tests: tuple[str, ...]


KINDS = (
    "likelihood dropped", "SD for precision", "weeks for months", "treatment flipped", "baseline counted twice",
    "switch one visit late", "dispersion inverted", "exposure missing", "censored taken as observed", "log10 for ln",
    "patients shuffled", "drop-out dropped", "wrong estimand", "wrong prior",
)  # fmt: skip

# ---- als_slope, als_shared ---------------------------------------------------------------------------------------

ALS = (
    Mutation("als_slope: residual", "SD for precision", M + "als_slope.py", "the SD of scores is taken as their precision",
             'pm.Normal("score", expected, sd_residual,', 'pm.Normal("score", expected, tau=sd_residual,', (DENSE,)),
    Mutation("als_slope: treatment", "treatment flipped", M + "als_slope.py", "the effect is taken off the slope of the treated",
             "expected_slope = mean_slope + treatment +", "expected_slope = mean_slope - treatment +", (EFFECTS.format("als_slope"),)),
    Mutation("als_slope: patients", "patients shuffled", M + "als_slope.py", "each row has the level of another patient",
             "expected = level[score.subject] +", "expected = level[score.subject[::-1]] +", (DENSE,)),
    Mutation("als_shared: deaths", "likelihood dropped", M + "als_shared.py", "deaths have a density that no parameter enters",
             "lam=own_hazard[death.subject])", "lam=0.01 + 0 * own_hazard[death.subject])", (RATES,)),
    Mutation("als_shared: censored deaths", "censored taken as observed", M + "als_shared.py", "who is alive at the end is taken to die there",
             "lower=None, upper=death.upper,", "lower=None, upper=death.upper + 1e6,", (RATES,)),
    Mutation("als_shared: exposure", "exposure missing", P + "event_times.py", "all are taken to be followed as long as the longest",
             "_rows(np.where(happened, month, end),", "_rows(np.where(happened, month, np.nanmax(end, initial=0.0)),",
             ("tests/test_event_times.py::test_rows_of_deaths",)),
    # ---- als_antibody
    Mutation("als_antibody: switch", "switch one visit late", M + "als_antibody.py", "the effect changes a month after antibodies appear",
             "score.month - onset[score.subject], 0)", "score.month - onset[score.subject] - 1, 0)", (ONSETS,)),
    Mutation("als_antibody: interval", "switch one visit late", P + "onsets.py", "antibodies appear at the test that finds them",
             '"lower": np.where(tested, lower, 0.0)', '"lower": np.where(seen, upper, np.where(tested, lower, 0.0))',
             ("tests/test_antibody.py::test_intervals_become_arrays_without_infinity",)),
    # ---- als_bounded, als_items
    Mutation("als_bounded: dispersion", "dispersion inverted", M + "als_bounded.py", "more overdispersion makes scores vary less",
             "(1 - overdispersion) / (overdispersion + 1e-4)", "(overdispersion + 1e-4) / (1 - overdispersion)", (PATIENTS,)),
    Mutation("als_items: likelihood", "likelihood dropped", M + "als_items.py", "answers do not depend on the patient",
             "eta=latent, cutpoints", "eta=0 * latent, cutpoints", (ANSWERS,)),
)  # fmt: skip

# ---- lupus -------------------------------------------------------------------------------------------------------

SLE = (
    Mutation("sle_joints: dispersion", "dispersion inverted", M + "sle_joints.py", "more overdispersion makes counts vary less",
             "(1 - correlated) / (correlated + 1e-4)", "(correlated + 1e-4) / (1 - correlated)", (COUNTS,)),
    Mutation("sle_joints: assessed", "exposure missing", M + "sle_joints.py", "counts are out of 28, however many joints were assessed",
             "n=joints.upper", "n=28", (COUNTS,)),
    Mutation("sle_joints: baseline", "baseline counted twice", M + "parts.py", "the change up to the first visit stands at baseline too",
             "pt.concatenate([pt.zeros_like(time_course[:1]), time_course])", "pt.concatenate([time_course[:1], time_course])", (COUNTS,)),
    Mutation("sle_crp: effects", "switch one visit late", M + "parts.py", "the effect of each visit comes one visit later",
             "pt.concatenate([pt.zeros_like(after_first[:, :1]), after_first], axis=1)",
             "pt.concatenate([pt.zeros_like(after_first[:, :1]), pt.zeros_like(after_first[:, :1]), after_first[:, :-1]], axis=1)", (CRP,)),
    Mutation("sle_crp: limit", "censored taken as observed", M + "sle_crp.py", "a value below the limit is taken as the limit",
             "lower=crp.lower", "lower=0 * crp.lower", (CRP,)),
    Mutation("sle_crp: scale", "log10 for ln", M + "sle_crp.py", "parameters are decimal logarithms",
             "pm.LogNormal.dist(level[crp.subject] + since_baseline + treatment,",
             "pm.LogNormal.dist(np.log(10) * (level[crp.subject] + since_baseline + treatment),", (CRP,)),
    Mutation("sle_crp: residual", "SD for precision", M + "sle_crp.py", "the SD of log CRP is a variance",
             "since_baseline + treatment, sd_residual)", "since_baseline + treatment, sd_residual**2)", (CRP,)),
    Mutation("sle_crp: levels", "SD for precision", M + "parts.py", "the SD between patients is a variance, in all models",
             "(mean - anchor) / scale, sd / scale, dims=dims)", "(mean - anchor) / scale, sd**2 / scale, dims=dims)",
             (EFFECTS.format("sle_crp"),)),
    Mutation("sle_activity: markers", "likelihood dropped", M + "sle_activity.py", "CRP has a density that no parameter enters",
             "pm.LogNormal.dist(location, sd_residual[k])", "pm.LogNormal.dist(0 * location, 1.0)", (SIGNS,)),
    Mutation("sle_activity: loading", "wrong prior", M + "sle_activity.py", "activity moves CRP by one log unit, whatever the loading",
             "marker_loading[k] * activity[i, markers.visit]", "activity[i, markers.visit]", (SIGNS,)),
    Mutation("sle_activity: effect", "treatment flipped", M + "sle_activity.py", "the effect is taken off the activity of the treated",
             "course = course + parts.effect_by_visit(", "course = course - parts.effect_by_visit(", (COURSE,)),
    Mutation("sle_activity: baseline", "baseline counted twice", M + "sle_activity.py", "the difference at baseline enters the level twice",
             "parts.linear(data.on_baseline_arm, level_difference), 1.0,", "2 * parts.linear(data.on_baseline_arm, level_difference), 1.0,",
             ("tests/test_activity.py::test_the_difference_at_baseline_is_in_the_activity_once",)),
    Mutation("sle_activity: spread", "SD for precision", M + "sle_activity.py", "patients are averaged over with a variance for an SD",
             '+ posterior["sd_count"] ** 2) ** 0.5', '+ posterior["sd_count"] ** 2)', (RATIOS,)),
    # ---- flares, responders
    Mutation("flares: hazard", "switch one visit late", M + "sle_activity.py", "the hazard follows the visit that ends an interval",
             "(activity[flare.subject, flare.visit - 1] + activity[flare.subject, flare.visit]) / 2",
             "activity[flare.subject, flare.visit]", (SIGNS,)),
    Mutation("flares: exposure", "exposure missing", M + "flares.py", "every interval is a month long",
             'posterior["flare_hazard"] * _lengths(course) *', 'posterior["flare_hazard"] *', (FLARE,)),
    Mutation("responders: baseline", "wrong estimand", P + "responding.py", "patients respond from a predicted baseline, not the one that was seen",
             "np.where(np.isfinite(known[name]), known[name], own[0][name])", "own[0][name]",
             (RESPOND + "test_patients_respond_from_the_baseline_that_was_seen",)),
    Mutation("responders: rule", "wrong estimand", M + "lupus_responses.py", "the share that may stay is taken for the share that must go",
             "<= (1 - share) * before)", "<= share * before)", (RESPOND + "test_rules_by_hand",)),
)  # fmt: skip

# ---- the way in, simulated trials, borrowing -----------------------------------------------------------------------

ROAD = (
    Mutation("units: weeks", "weeks for months", P + "units.py", "a week is a month",
             '"weeks": 7 / DAYS_PER_MONTH', '"weeks": 1.0', ("tests/test_cohort.py::test_the_month_is_the_same_everywhere",)),
    Mutation("door: weeks", "weeks for months", P + "door/admission.py", "times are taken as months, whatever their unit",
             "month = read.value * per", "month = read.value * 1.0", ("tests/test_door.py::test_screening_visits_before_time_0",)),
    Mutation("design: weeks", "weeks for months", P + "design.py", "visits planned in weeks take place in as many months",
             "np.asarray(self.visits) * months_per[self.time_unit]", "np.asarray(self.visits) * 1.0",
             (SIMULATE + "test_als_slope_has_the_moments_of_the_equations",)),
    Mutation("door: flags", "censored taken as observed", P + "door/outcomes.py", "flags of censoring are read and left",
             "censored = censored | flags.censored", "censored = censored | (flags.censored & False)", ("tests/test_door.py::test_flag_column",)),
    Mutation("encoding: limit", "censored taken as observed", P + "encoding.py", "censored rows have no limit",
             "lower = np.where(censored, value,", "lower = np.where(censored, 0.0,", ("tests/test_encoding.py::test_censored_values_and_limits",)),
    Mutation("encoding: patients", "patients shuffled", P + "encoding.py", "the first patient has the rows of the last",
             "for i, subject in enumerate(subjects.index)}", "for i, subject in enumerate(subjects.index[::-1])}", (ARRAYS,)),
    Mutation("encoding: baseline", "baseline counted twice", P + "encoding.py", "rows at baseline stand twice",
             "own = visits.loc[seen]", 'own = pd.concat([visits.loc[seen & (visits["month"] <= 0).to_numpy()], visits.loc[seen]])', (ARRAYS,)),
    Mutation("encoding: treatment", "treatment flipped", P + "encoding.py", "controls are coded as treated",
             "on_arm = np.array([[label == one for one in active]", "on_arm = np.array([[label != one for one in active]", (ARRAYS,)),
    Mutation("encoding: drop-out", "drop-out dropped", P + "encoding.py", "only patients seen to the end are analysed",
             "seen = visits[outcome.name].notna().to_numpy()",
             'seen = (visits[outcome.name].notna() & (visits.groupby("subject")["month"].transform("max") >= visits["month"].max())).to_numpy()',
             (POLYFIT,)),
    Mutation("screens: ratio", "log10 for ln", M + "screens.py", "the ratio of a rule is put on the decimal scale",
             '(known["effect"] - np.log(value))', '(known["effect"] - np.log10(value))', ("tests/test_screens.py::test_crp_at_a_visit",)),
    Mutation("borrowing: robust", "wrong prior", P + "borrowing.py", "the weight of conflict is that of agreement",
             'return ((1 - self.weight, _positive("scale", self.scale)), (self.weight, _positive("wide", self.wide)))',
             'return ((self.weight, _positive("scale", self.scale)), (1 - self.weight, _positive("wide", self.wide)))',
             (BY_ALLOCATION + "test_a_robust_prior_lets_go_with_the_probability_it_says",)),
)  # fmt: skip

MUTATIONS = (*ROAD, *SLE, *ALS)
