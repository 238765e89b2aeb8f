"""The reader of PRO-ACT forms, on generated folders: clean ones, and every fault planted."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import progression as pg
from progression.faults import CohortError, SettingError
from progression.readers.proact_ledger import REPAIRS
from tests import proact_folder as folder


@pytest.mark.parametrize("spelling", folder.SPELLINGS)
def test_a_clean_folder_in_each_spelling(tmp_path: Path, spelling: str) -> None:
    made = folder.forms(40)
    cohort = pg.read_proact(folder.write(tmp_path, made, spelling))
    assert cohort.arms == ("placebo", "active") and cohort.n_subjects == 40 and not cohort.warnings
    assert set(cohort.covariates) == {
        "age",
        "sex",
        "onset_site",
        "months_since_onset",
        "rate_before_baseline",
        "riluzole",
        "vital_capacity_baseline",
    }
    table, subject = made["ALSFRS"], made["ALSFRS"]["subject_id"].iloc[0]
    own = cohort.visits[cohort.visits["subject"] == subject]
    raw = table[table["subject_id"] == subject]
    np.testing.assert_array_equal(own["alsfrsr"], raw["ALSFRS_R_Total"].astype(float))
    np.testing.assert_allclose(own["month"], raw["ALSFRS_Delta"].astype(float) / (365.25 / 12))
    assert own["vital_capacity"].iloc[0] == pytest.approx(float(made["FVC"]["pct_of_Normal_Trial_1"].iloc[0]))
    facts = cohort.subjects.loc[subject]
    onset = -float(made["ALSHISTORY"]["Onset_Delta"].iloc[0]) / (365.25 / 12)
    assert facts["months_since_onset"] == pytest.approx(onset) and facts["onset_site"] == "bulbar"
    assert facts["rate_before_baseline"] == pytest.approx((48 - float(raw["ALSFRS_R_Total"].iloc[0])) / onset)
    dead = made["DEATHDATA"][made["DEATHDATA"]["Subject_Died"] == "Yes"]
    assert (cohort.subjects["event"] == "death").sum() == len(dead)
    np.testing.assert_allclose(
        cohort.subjects.loc[dead["subject_id"], "event_month"], dead["Death_Days"].astype(float) / (365.25 / 12)
    )
    assert cohort.subjects["end_of_follow_up"].isna().sum() == len(dead)


def test_items_are_those_of_the_model(tmp_path: Path) -> None:
    made = folder.forms(12)
    cohort = pg.read_proact(folder.write(tmp_path, made), items=True)
    names = [one.name for one in pg.models()["als_items"].outcomes]
    assert [one.name for one in cohort.outcomes if one.name in names] == names
    np.testing.assert_array_equal(
        cohort.visits[names].sum(axis=1, skipna=False).dropna(), cohort.visits["alsfrsr"].dropna()
    )


@pytest.mark.parametrize("kind", folder.FAULTS)
def test_each_fault_is_found_counted_and_repaired_only_on_request(tmp_path: Path, kind: str) -> None:
    plant, rows = folder.FAULTS[kind]
    made = folder.forms(30)
    plant(made)
    folder.write(tmp_path, made)
    with pytest.raises(CohortError) as refused:
        pg.read_proact(tmp_path)
    mine = [fault for fault in refused.value.faults if f"'{kind}'" in fault.remedy]
    assert mine and len(mine) == min(rows, 5) and all(fault.row is not None for fault in mine)
    cohort = pg.read_proact(tmp_path, repair="all")
    said = {
        line.partition(":")[0]: int(re.findall(r"([\d,]+) rows", line)[0].replace(",", ""))
        for line in cohort.warnings
        if " rows touched" in line
    }
    assert said[kind] == rows, said
    assert set(said) - {kind} <= {"total_from_items", "partial_duplicates", "no_total"}  # what follows from it


# How many scores fewer than in the clean folder each repair leaves; faults that are added rows leave none fewer.
FEWER = {"exact_duplicates": 0, "partial_duplicates": 0, "missing_day": 1, "missing_subject": 1, "negative_days": 1, "short_scale": 2, "over_48": 1,
         "item_out_of_range": 1, "both_q5": 0, "total_from_items": 0, "onset_after_baseline": 0, "conflicting_facts": 0, "unreadable_facts": 0,
         "after_death": 0, "death_without_day": 0, "death_unstated": 0, "no_total": 2, "impossible_vital_capacity": 0}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", FEWER)
def test_a_repair_does_what_it_says(tmp_path: Path, kind: str) -> None:
    clean, planted = folder.forms(30), folder.forms(30)
    folder.FAULTS[kind][0](planted)
    before = pg.read_proact(folder.write(tmp_path / "a", clean))
    after = pg.read_proact(folder.write(tmp_path / "b", planted), repair="all")
    assert before.visits["alsfrsr"].notna().sum() - after.visits["alsfrsr"].notna().sum() == FEWER[kind]
    assert (after.visits["month"] >= 0).all()
    both = before.visits.merge(after.visits, on=["subject", "month"], suffixes=("_before", "_after")).dropna(
        subset=["alsfrsr_after"]
    )
    np.testing.assert_array_equal(both["alsfrsr_before"], both["alsfrsr_after"])  # what stays is what it was
    known = {"onset_after_baseline": "months_since_onset", "unreadable_facts": "sex"}
    if kind in known:
        assert after.subjects[known[kind]].isna().sum() == before.subjects[known[kind]].isna().sum() + 1
    died = before.subjects["event"].notna().sum()
    assert after.subjects["event"].notna().sum() == died
    if kind == "impossible_vital_capacity":  # the day's other trial is left
        assert both["vital_capacity_after"].iloc[5] == both["vital_capacity_before"].iloc[5] - 2


def test_a_repair_changes_only_what_it_names(tmp_path: Path) -> None:
    """The same folder with and without planted copies: one cohort."""
    clean, planted = folder.forms(30), folder.forms(30)
    folder.FAULTS["exact_duplicates"][0](planted)
    one = pg.read_proact(folder.write(tmp_path / "a", clean))
    other = pg.read_proact(folder.write(tmp_path / "b", planted), repair=["exact_duplicates"])
    pd.testing.assert_frame_equal(one.visits, other.visits)
    assert one.fingerprint == other.fingerprint


def test_every_fault_at_once_is_refused_and_repaired(tmp_path: Path) -> None:
    made = folder.forms(60)
    for plant, _ in reversed(folder.FAULTS.values()):
        plant(made)
    folder.write(tmp_path, made)
    with pytest.raises(CohortError) as refused:
        pg.read_proact(tmp_path)
    named = {name for name in REPAIRS if any(f"'{name}'" in fault.remedy for fault in refused.value.faults)}
    assert len(named) >= len(REPAIRS) - 2  # a row can hide another's fault
    assert pg.read_proact(tmp_path, repair="all").n_subjects > 50


def test_one_repair_leaves_the_other_faults(tmp_path: Path) -> None:
    made = folder.forms(30)
    folder.FAULTS["over_48"][0](made)
    folder.FAULTS["negative_days"][0](made)
    with pytest.raises(CohortError, match="negative_days") as refused:
        pg.read_proact(folder.write(tmp_path, made), repair="over_48")
    assert "over_48" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "word"),
    [(lambda made: made.pop("ALSFRS"), "no form ALSFRS"),
     (lambda made: made.update(ALSFRS=made["ALSFRS"].drop(columns="ALSFRS_R_Total")), "column is missing"),
     (lambda made: made.update(TREATMENT=made["TREATMENT"].rename(columns={"Study_Arm": "arm"})), "column is missing")],
)  # fmt: skip
def test_what_is_no_folder_of_forms_is_refused(tmp_path: Path, change: Any, word: str) -> None:
    made = folder.forms(5)
    change(made)
    with pytest.raises(CohortError, match=word):
        pg.read_proact(folder.write(tmp_path, made))


@pytest.mark.parametrize(
    ("form", "change", "word"),
    [("FVC", lambda t: t.assign(pct_of_Normal_Trial_1="0.84", pct_of_Normal_Trial_2="0.8"), "fractions"),
     ("FVC", lambda t: t.rename(columns={"Forced_Vital_Capacity_Delta": "forced_vital_capacity_delta"}), "column is missing"),
     ("FVC", lambda t: t.assign(Forced_Vital_Capacity_Delta=""), "the day is missing"),
     ("DEATHDATA", lambda t: t.assign(subject_id=t["subject_id"] + ".0"), "none of its subjects stands in ALSFRS")],
)  # fmt: skip
def test_a_form_that_would_be_lost_or_misread_is_refused(tmp_path: Path, form: str, change: Any, word: str) -> None:
    made = folder.forms(12)
    made[form] = change(made[form])
    with pytest.raises(CohortError, match=word):
        pg.read_proact(folder.write(tmp_path, made))


def test_the_best_of_a_day_and_both_sites(tmp_path: Path) -> None:
    made = folder.forms(12)
    again = made["FVC"].iloc[[0]].assign(pct_of_Normal_Trial_1="149")
    made["FVC"] = pd.concat([made["FVC"], again], ignore_index=True)
    ids = made["ALSHISTORY"]["subject_id"]
    made["ALSHISTORY"] = made["ALSHISTORY"].drop(columns="Site_of_Onset").assign(
        Site_of_Onset___Bulbar=np.where(np.arange(12) < 6, "1", ""), Site_of_Onset___Limb=np.where(np.arange(12) % 2, "1", ""))  # fmt: skip
    cohort = pg.read_proact(folder.write(tmp_path, made))
    assert cohort.visits["vital_capacity"].iloc[0] == 149
    site = cohort.subjects["onset_site"].reindex(ids)
    assert list(site[:4]) == ["bulbar", "other", "bulbar", "other"] and site.iloc[7] == "limb"


def test_an_impossible_item_takes_the_total_with_it(tmp_path: Path) -> None:
    made = folder.forms(12)
    folder.FAULTS["item_out_of_range"][0](made)
    with pytest.raises(CohortError, match="no_total"):
        pg.read_proact(folder.write(tmp_path, made), repair="item_out_of_range")


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no such folder"):
        pg.read_proact(tmp_path / "nowhere")
    folder.write(tmp_path, folder.forms(5))
    with pytest.raises(SettingError, match="exact_duplicates"):
        pg.read_proact(tmp_path, repair="exact_duplicate")
    folder.write(tmp_path, {"ALSFRS": folder.forms(5)["ALSFRS"]}, "plain")
    with pytest.raises(CohortError, match="two files are the form ALSFRS"):
        pg.read_proact(tmp_path)


def test_without_the_other_forms_it_is_a_registry(tmp_path: Path) -> None:
    cohort = pg.read_proact(folder.write(tmp_path, {"ALSFRS": folder.forms(8)["ALSFRS"]}))
    assert cohort.arms == ("registry",) and [one.name for one in cohort.outcomes] == ["alsfrsr"]


@pytest.mark.slow
def test_ten_thousand_patients_are_read_in_seconds(tmp_path: Path) -> None:
    """No timed test: the time is asked of the benchmark; here that the size is no trouble at all."""
    start = time.perf_counter()
    cohort = pg.read_proact(folder.write(tmp_path, folder.forms(10_000)))
    print(f"{time.perf_counter() - start:.1f} s with writing the files")
    assert cohort.n_subjects == 10_000 and cohort.n_visits > 90_000
