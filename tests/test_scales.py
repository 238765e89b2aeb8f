"""A value, a subject, an arm in another unit is noticed; ordinary scatter, and the four patients, are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import progression as pg
from progression.door.names import Opened
from progression.door.scales import scale_warnings
from progression.faults import CohortError

CRP = pg.Outcome("crp_mg_dl", unit="mg/dl", positive=True)


def visits(seed=1, n=20, sd_patient=0.8, sd_residual=0.35):
    rng = np.random.default_rng(seed)
    own = rng.normal(0.4, sd_patient, n)
    return pd.DataFrame({
        "subject": np.repeat([f"p{i}" for i in range(n)], 4), "time": np.tile([0, 1, 3, 6], n),
        "arm": np.repeat(["control", "treated"], n * 2), "crp_mg_dl": np.exp(np.repeat(own, 4) + rng.normal(0, sd_residual, 4 * n)).round(2),
    })  # fmt: skip


def told(table):
    return [one for one in pg.Cohort.from_table(table, time_unit="months", outcomes=[CRP]).warnings if "unit" in one]


def test_one_value_in_mg_per_litre():
    table = visits()
    table.loc[18, "crp_mg_dl"] *= 10
    (warning,) = told(table)
    for words in (
        "crp_mg_dl",
        "row 19",
        "'p4'",
        f"{table.loc[18, 'crp_mg_dl']:g} mg/dl",
        "1 mg/dl = 10 mg/l",
        "if they are true, leave them",
    ):
        assert words in warning
    assert warning in repr(pg.Cohort.from_table(table, time_unit="months", outcomes=[CRP]))
    assert told(table.iloc[::-1].reset_index(drop=True)) == [warning.replace("row 19", "row 62")]


def test_one_subject_and_one_arm():
    table = visits(sd_patient=0.3)
    table.loc[table["subject"] == "p4", "crp_mg_dl"] *= 10
    (warning,) = told(table)
    assert "subject 'p4'" in warning and "those of others" in warning
    table = visits()
    table.loc[table["arm"] == "treated", "crp_mg_dl"] /= 10
    (warning,) = told(table)
    assert "arm 'treated'" in warning and "1/" in warning


@pytest.mark.parametrize("scatter", [(0.3, 0.2), (0.8, 0.35), (1.0, 0.6), (1.2, 0.9)])
def test_ordinary_scatter_is_left_alone(scatter):
    """Of 30 tables of 20 patients, one in twenty may be warned of; with one value in mg/l, most are where scatter is small."""
    noticed, missed = 0, 0
    for seed in range(30):
        table = visits(seed, sd_patient=scatter[0], sd_residual=scatter[1])
        opened = Opened(table="visits", frame=table, names={}, ids=table["subject"].to_numpy())
        arms, value = table.groupby("subject")["arm"].first(), table["crp_mg_dl"].to_numpy().copy()
        noticed += bool(scale_warnings(opened, arms, value, CRP))
        value[18] *= 10
        missed += not any("row 19" in one for one in scale_warnings(opened, arms, value, CRP))
    assert noticed <= 4
    assert missed <= 10 or scatter[1] > 0.4


def test_who_is_left_alone(lupus):
    assert not [one for one in lupus.warnings if "unit" in one]
    table = visits()
    table.loc[18, "crp_mg_dl"] *= 10
    simulated = pg.Cohort.from_table(table, time_unit="months", outcomes=[CRP], provenance="simulated")
    score = pg.Cohort.from_table(table, time_unit="months", outcomes=[pg.Outcome("crp_mg_dl")])
    assert (
        not simulated.warnings and not score.warnings
    )  # what was simulated is what it is; a score has no powers of ten


def test_a_flag_of_censoring_without_a_limit_is_refused():
    table = visits().assign(crp_mg_dl_censored=False)
    table["crp_mg_dl"] = table["crp_mg_dl"].astype(object)
    table.loc[5, ["crp_mg_dl", "crp_mg_dl_censored"]] = [None, True]
    with pytest.raises(CohortError) as refused:
        told(table)
    message = str(refused.value)
    for words in ("crp_mg_dl", "row 6", "'p1'", "the limit is not there", "Write the limit as the value"):
        assert words in message
    table.loc[5, "crp_mg_dl"] = 0.5
    assert told(table) == []


def test_a_flag_goes_the_way_of_what_it_flags():
    """Found by fuzzing: of a column that looks like no outcome the flag was left aside without a word."""
    table = visits().assign(crp_mg_dl_censored=False, score=1.0)
    table["crp_mg_dl"] = "high"
    table["score"] = range(len(table))
    made = pg.Cohort.from_table(table, time_unit="months")
    assert any("crp_mg_dl, crp_mg_dl_censored" in one for one in made.warnings)


def test_columns_with_a_meaning_of_their_own_are_left_aside_by_name():
    """Found by fuzzing: a number in `month` or `note` beside the time, and the index that pandas writes."""
    table = visits().assign(month=range(80), note=range(80), **{"Unnamed: 0": range(80)})
    made = pg.Cohort.from_table(table, time_unit="months")
    assert [one.name for one in made.outcomes] == ["crp_mg_dl"]
    assert any("month, note, Unnamed: 0" in one for one in made.warnings)
