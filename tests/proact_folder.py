"""Folders in the format of the PRO-ACT registry, SIMULATED: no row of the real files stands here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

ITEMS = ["Q1_Speech", "Q2_Salivation", "Q3_Swallowing", "Q4_Handwriting", "Q5a_Cutting_without_Gastrostomy", "Q6_Dressing_and_Hygiene",
         "Q7_Turning_in_Bed", "Q8_Walking", "Q9_Climbing_Stairs", "R_1_Dyspnea", "R_2_Orthopnea", "R_3_Respiratory_Insufficiency"]  # fmt: skip
Q5B = "Q5b_Cutting_with_Gastrostomy"
SPELLINGS = {"plain": lambda form: {"ALSHISTORY": "AlsHistory", "DEATHDATA": "DeathData"}.get(form, form.lower()) + ".csv",
             "PROACT": lambda form: f"PROACT_{form}.csv", "F_PROACT": lambda form: f"F_PROACT_{form}.csv"}  # fmt: skip


def forms(n: int, *, seed: int = 0, visits: int = 10) -> dict[str, pd.DataFrame]:
    """Clean forms of `n` subjects, visits every 28 days, a fifth with a gastrostomy, some deaths."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"{100 + i}" for i in range(n)])
    subject, day = np.repeat(np.arange(n), visits), np.tile(28 * np.arange(visits), n)
    latent = rng.normal(2.2, 0.8, n)[subject] - rng.normal(0.09, 0.05, n)[subject] * day / 30
    items = np.clip(np.round(latent[:, None] + rng.normal(0.8, 0.7, (len(day), 12))), 0, 4).astype(int)
    tube = (subject % 5 == 0) & (day > 100)
    table = pd.DataFrame(items.astype(str), columns=ITEMS)
    table[Q5B] = np.where(tube, table["Q5a_Cutting_without_Gastrostomy"], "")
    table["Q5a_Cutting_without_Gastrostomy"] = np.where(tube, "", table["Q5a_Cutting_without_Gastrostomy"])
    table["Q10_Respiratory"], table["ALSFRS_Total"] = "", ""
    table["ALSFRS_R_Total"], table["ALSFRS_Delta"] = items.sum(axis=1).astype(str), day.astype(str)
    table.insert(0, "subject_id", ids[subject])
    died = rng.random(n) < 0.15
    end = np.where(died, rng.integers(100, 28 * visits, n), 10_000)
    alsfrs = table[day <= end[subject]].reset_index(drop=True)
    capacity = np.clip(rng.normal(85, 15, len(day)) - 0.1 * day, 10, 150).round(1)
    fvc = pd.DataFrame({"subject_id": ids[subject], "pct_of_Normal_Trial_1": capacity.astype(str), "pct_of_Normal_Trial_2": (capacity - 2).astype(str),
                        "Forced_Vital_Capacity_Delta": day.astype(str)})[day <= end[subject]]  # fmt: skip
    onset = -rng.integers(100, 1500, n)
    return {
        "ALSFRS": alsfrs, "FVC": fvc.reset_index(drop=True),
        "ALSHISTORY": pd.DataFrame({"subject_id": ids, "Onset_Delta": onset.astype(str), "Site_of_Onset": np.where(np.arange(n) % 4, "Onset: Limb", "Onset: Bulbar")}),
        "DEATHDATA": pd.DataFrame({"subject_id": ids, "Subject_Died": np.where(died, "Yes", "No"), "Death_Days": np.where(died, end.astype(str), "")}),
        "DEMOGRAPHICS": pd.DataFrame({"subject_id": ids, "Age": rng.integers(35, 80, n).astype(str), "Sex": np.where(rng.random(n) < 0.4, "Female", "Male")}),
        "RILUZOLE": pd.DataFrame({"subject_id": ids, "Subject_used_Riluzole": np.where(rng.random(n) < 0.7, "Yes", "No")}),
        "TREATMENT": pd.DataFrame({"subject_id": ids, "Study_Arm": np.where(np.arange(n) % 2, "Active", "Placebo"), "Treatment_Group_Delta": "0"}),
        "LABS": pd.DataFrame({"subject_id": ids, "Test_Name": "ALT"}),
    }  # fmt: skip


def write(folder: Path, made: dict[str, pd.DataFrame], spelling: str = "PROACT") -> Path:
    """Write forms as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for form, table in made.items():
        table.to_csv(folder / SPELLINGS[spelling](form), index=False)
    return folder


def _cell(form: str, row: int, column: str, value: str) -> Callable[[dict[str, pd.DataFrame]], None]:
    def plant(made: dict[str, pd.DataFrame]) -> None:
        made[form].loc[row, column] = value

    return plant


def _copies(form: str, rows: list[int], **change: str) -> Callable[[dict[str, pd.DataFrame]], None]:
    def plant(made: dict[str, pd.DataFrame]) -> None:
        made[form] = pd.concat([made[form], made[form].loc[rows].assign(**change)], ignore_index=True)

    return plant


def _short(made: dict[str, pd.DataFrame]) -> None:
    rows = [4, 5]
    made["ALSFRS"].loc[rows, [*ITEMS[9:], "ALSFRS_R_Total"]] = ""
    made["ALSFRS"].loc[rows, "ALSFRS_Total"], made["ALSFRS"].loc[rows, "Q10_Respiratory"] = "30", "4"


def _other_row(made: dict[str, pd.DataFrame]) -> None:
    own = made["ALSFRS"].loc[[3]].copy()
    lower = own["Q8_Walking"].astype(int).clip(upper=3) + 1
    own["ALSFRS_R_Total"] = (own["ALSFRS_R_Total"].astype(int) + lower - own["Q8_Walking"].astype(int)).astype(str)
    own["Q8_Walking"] = lower.astype(str)
    if own["ALSFRS_R_Total"].iloc[0] == made["ALSFRS"].loc[3, "ALSFRS_R_Total"]:
        own["Q8_Walking"], own["ALSFRS_R_Total"] = "3", str(int(own["ALSFRS_R_Total"].iloc[0]) - 1)
    made["ALSFRS"] = pd.concat([made["ALSFRS"], own], ignore_index=True)


def _both(made: dict[str, pd.DataFrame]) -> None:
    made["ALSFRS"].loc[1, Q5B] = str((int(made["ALSFRS"].loc[1, "Q5a_Cutting_without_Gastrostomy"]) + 1) % 5)


def _late_entry(made: dict[str, pd.DataFrame]) -> None:
    dead = made["DEATHDATA"][made["DEATHDATA"]["Death_Days"] != ""].iloc[0]
    own = made["ALSFRS"].iloc[[0]].assign(subject_id=dead["subject_id"], ALSFRS_Delta=str(int(dead["Death_Days"]) + 30))
    made["ALSFRS"] = pd.concat([made["ALSFRS"], own], ignore_index=True)


def _death_without_day(made: dict[str, pd.DataFrame]) -> None:
    alive = made["DEATHDATA"].index[made["DEATHDATA"]["Subject_Died"] == "No"][0]
    made["DEATHDATA"].loc[alive, "Subject_Died"] = "Yes"


def _death_unstated(made: dict[str, pd.DataFrame]) -> None:
    dead = made["DEATHDATA"].index[made["DEATHDATA"]["Death_Days"] != ""][-1]
    made["DEATHDATA"].loc[dead, "Subject_Died"] = ""


def _no_total(made: dict[str, pd.DataFrame]) -> None:
    made["ALSFRS"].loc[[11, 12], ["ALSFRS_R_Total", "Q8_Walking"]] = ""


def _no_arm(made: dict[str, pd.DataFrame]) -> None:
    made["TREATMENT"] = made["TREATMENT"].drop(index=2).reset_index(drop=True)


# Every fault of the reader: how to plant it, and in how many rows it then stands.
FAULTS: dict[str, tuple[Callable[[dict[str, pd.DataFrame]], None], int]] = {
    "exact_duplicates": (_copies("ALSFRS", [0, 7, 9]), 3),
    "partial_duplicates": (_other_row, 1),
    "missing_day": (_cell("ALSFRS", 2, "ALSFRS_Delta", ""), 1),
    "missing_subject": (_cell("ALSFRS", 2, "subject_id", ""), 1),
    "negative_days": (_cell("ALSFRS", 0, "ALSFRS_Delta", "-14"), 1),
    "short_scale": (_short, 2),
    "over_48": (_cell("ALSFRS", 6, "ALSFRS_R_Total", "52"), 1),
    "item_out_of_range": (_cell("ALSFRS", 6, "Q8_Walking", "5"), 1),
    "both_q5": (_both, 1),
    "total_from_items": (_cell("ALSFRS", 8, "ALSFRS_R_Total", "1"), 1),
    "onset_after_baseline": (_cell("ALSHISTORY", 1, "Onset_Delta", "40"), 1),
    "conflicting_facts": (_copies("DEMOGRAPHICS", [3], Age="12"), 1),
    "unreadable_facts": (_cell("DEMOGRAPHICS", 4, "Sex", "unknown to us"), 1),
    "no_arm": (_no_arm, 1),
    "after_death": (_late_entry, 1),
    "death_without_day": (_death_without_day, 1),
    "death_unstated": (_death_unstated, 1),
    "no_total": (_no_total, 2),
    "impossible_vital_capacity": (_cell("FVC", 5, "pct_of_Normal_Trial_1", "0"), 1),
}
