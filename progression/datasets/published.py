"""What two pilots of anakinra published patient by patient: Table 2 in lupus, Table 1 in ALS."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

from progression.cohort import Cohort
from progression.outcomes import Outcome

__all__ = ["ALS_PAPER", "COVARIATES", "als_anakinra_capacity", "als_table1", "sle_anakinra"]

ALS_PAPER = "PLoS ONE 2015, doi 10.1371/journal.pone.0139684, NCT01277315"

COVARIATES = (
    "sex",
    "age_years",
    "disease_duration_months",
    "c9orf72",
    "c9orf72_repeats",
    "exclusive_lmnd",
    "onset_site",
    "rate_before_baseline",
)

_SLE_OUTCOMES = (
    Outcome("anti_dsdna_u_ml", unit="U/ml", label="anti-dsDNA", lower=0, higher_is_better=False),
    Outcome("c3_mg_dl", unit="mg/dl", label="C3", positive=True),
    Outcome("c4_mg_dl", unit="mg/dl", label="C4", positive=True),
    Outcome("crp_mg_dl", unit="mg/dl", label="CRP", positive=True, higher_is_better=False),
    Outcome("vas", label="visual analogue scale", lower=0, upper=100, higher_is_better=False),
    Outcome("tender_joints", unit="joints", label="tender joints", lower=0, integer=True, higher_is_better=False),
    Outcome("swollen_joints", unit="joints", label="swollen joints", lower=0, integer=True, higher_is_better=False),
)


def sle_anakinra() -> Cohort:
    """Lupus arthritis on anakinra: four patients, all of the pilot's Table 2.

    Open, single centre (Düsseldorf), one arm, 100 mg a day subcutaneously for three months, seen at weeks 0,
    4 and 12.

    Returns
    -------
    Cohort
        Observed, one arm "anakinra". Outcomes: anti_dsdna_u_ml (U/ml, normal < 7), c3_mg_dl (mg/dl, normal 90
        to 180), c4_mg_dl (mg/dl, normal 10 to 40), crp_mg_dl (mg/dl, normal < 0.5), vas (0 to 100),
        tender_joints and swollen_joints (counts). Covariates: age_years and sex. Intercurrent events in
        `events`.

    Notes
    -----
    - 0.5 mg/dl is the upper limit of normal of CRP, not a detection limit: 0.4 is reported, and the pilot
      states no detection limit, so no value is censored.
    - How many joints were assessed is not stated, so the counts have no upper bound here; models ask for one.
    - Patient 2 had pneumonia after three injections, stopped, and restarted at half dose four weeks after
      recovery: probably off the drug at week 4. When the restart was is not stated, so only the stop is an
      event, placed at day 3 because injections were daily.
    - Patient 4 has no week 12 because of a flare at week 6 after responding: missing, but not at random. A
      composite strategy counts it as non-response.
    - There are no controls: what can be asked is the change within patients on treatment.

    The paper contradicts itself, and Table 2 is what stands here:

    - patients aged "32 to 46" in the text, 33 to 45 where they are listed;
    - activity "tended to rise again by week 12": in Table 2 only the tender count of patient 3 does (6 to
      17);
    - CRP before treatment has a sample SD of 4.10, printed as 4.0; after four weeks 1.65 (1.28). The printed
      p = 0.06 is a one-sided exact Wilcoxon test (1/16); a paired t-test gives 0.19;
    - CRP of patient 4 before treatment is 22.4 in the case report, 10.6 in the table.
    """
    subjects = pd.DataFrame(
        {"subject": ["1", "2", "3", "4"], "age_years": [33, 41, 33, 45], "sex": ["male", "female", "female", "male"]}
    )
    interruption = (
        "pneumonia: anakinra stopped after three injections, restarted at half dose four weeks after recovery "
        "(date not stated); probably off the drug at week 4"
    )
    flare = "flare after responding; no visit at week 12, not missing at random"
    events = pd.DataFrame(
        {"subject": ["2", "4"], "time": [3 / 7, 6.0], "kind": ["treatment interrupted", "flare"],
         "note": [interruption, flare]}
    )  # fmt: skip
    return Cohort.from_table(
        _shipped("sle_anakinra_table2.csv"),
        subjects,
        time_unit="weeks",
        columns={"subject": "patient", "time": "week"},
        outcomes=_SLE_OUTCOMES,
        arms=["anakinra"],
        covariates=["age_years", "sex"],
        events=events,
        allocation="single arm",
        name="anakinra in lupus arthritis",
        source="open pilot of anakinra in lupus arthritis (Düsseldorf, 4 patients), Table 2",
    )


def als_anakinra_capacity() -> Cohort:
    """ALS on anakinra: vital capacity before and after 52 weeks, with the covariates of Table 1.

    The only outcome of the ALS pilot that was published for each patient before and after treatment.

    Returns
    -------
    Cohort
        Observed, one arm "anakinra", 17 patients at weeks 0 and 52. Outcome: vital_capacity (% of predicted;
        may exceed 100). Covariates as in `als_table1`.

    Notes
    -----
    Published: 83.7 (SD 12.6) before, 68.7 (22.9) after; the mean change within patients is -15.0 (SD 15.3).
    "Final" in Table 1 is taken as week 52. The patients are the 17 who completed of 19 enrolled, so nobody
    who died or stopped is among them, and there are no controls.
    """
    table = als_table1()
    visits = table.melt(
        id_vars="subject", value_vars=["vc_baseline_pct", "vc_final_pct"],
        var_name="when", value_name="vital_capacity",
    )  # fmt: skip
    visits["time"] = visits.pop("when").map({"vc_baseline_pct": 0, "vc_final_pct": 52})
    subjects = table.drop(columns=["vc_baseline_pct", "vc_final_pct"])
    outcome = Outcome(
        "vital_capacity", unit="% predicted", label="vital capacity", positive=True, higher_is_better=True
    )
    return Cohort.from_table(
        visits,
        subjects,
        time_unit="weeks",
        outcomes=[outcome],
        arms=["anakinra"],
        covariates=[*COVARIATES, "alsfrsr_baseline"],
        allocation="single arm",
        name="anakinra in ALS, vital capacity",
        source=f"{ALS_PAPER}, Table 1",
    )


def als_table1() -> pd.DataFrame:
    """Read Table 1 of the ALS pilot, one row a patient.

    Returns
    -------
    DataFrame
        subject (text), sex, age_years, disease_duration_months (since onset), c9orf72 ("expanded" or "not
        expanded"; missing where not determined), c9orf72_repeats (missing where not expanded), exclusive_lmnd
        (lower motor neurons only), onset_site, alsfrsr_baseline (points), rate_before_baseline ((48 - score)
        / months since onset, points/month; not in the table), vc_baseline_pct and vc_final_pct (vital
        capacity, % of predicted). The table's family history is left out: it is "No" in all.
    """
    raw = _shipped("als_anakinra_table1.csv")
    repeats = raw["c9orf72_repeats"].astype(str)
    numbers = pd.to_numeric(repeats, errors="coerce")
    carrier = repeats.map({"-": "not expanded", "n.d.": None}).where(numbers.isna(), "expanded")
    return pd.DataFrame(
        {
            "subject": raw["patient"].astype(str),
            "sex": raw["gender"].str.lower(),
            "age_years": raw["age_years"],
            "disease_duration_months": raw["disease_duration_months"],
            "c9orf72": carrier,
            "c9orf72_repeats": numbers,
            "exclusive_lmnd": raw["exclusive_lmnd"].str.lower(),
            "onset_site": raw["onset"].map({"UE": "upper extremity", "LE": "lower extremity"}),
            "alsfrsr_baseline": raw["alsfrsr_baseline"],
            "rate_before_baseline": (48 - raw["alsfrsr_baseline"]) / raw["disease_duration_months"],
            "vc_baseline_pct": raw["vc_baseline_pct"],
            "vc_final_pct": raw["vc_final_pct"],
        }
    )


def _shipped(name: str) -> pd.DataFrame:
    with (files("progression.datasets") / name).open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")
