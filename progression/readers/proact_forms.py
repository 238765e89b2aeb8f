"""The files of a PRO-ACT folder: which form each is, and its cells as text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from progression.faults import CohortError, Fault, suggest
from progression.readers.files import read_text_file

FORMS = ("ALSFRS", "ALSHISTORY", "DEATHDATA", "DEMOGRAPHICS", "FVC", "SVC", "RILUZOLE", "TREATMENT")
_NEEDED = {"ALSFRS": ("ALSFRS_Delta", "ALSFRS_R_Total"), "DEATHDATA": ("Subject_Died", "Death_Days"), "TREATMENT": ("Study_Arm",),
           "RILUZOLE": ("Subject_used_Riluzole",)}  # fmt: skip


def read_forms(folder: Path) -> dict[str, pd.DataFrame]:
    """Every form of a folder by its plain name, all cells text, with the column `row` (of the file, from 1).

    Raises
    ------
    CohortError
        Where the folder or the form ALSFRS is not there, two files are the same form, or a column is missing.
    """
    if not folder.is_dir():
        raise CohortError.single(
            "there is no such folder", "give the folder that holds the CSV files", table="file", value=str(folder.name)
        )
    found: dict[str, pd.DataFrame] = {}
    names: dict[str, str] = {}
    faults = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() != ".csv":
            continue
        form = re.sub(r"[^A-Z]", "", re.sub(r"^(F_)?PROACT_", "", path.stem.upper()))
        if form not in FORMS:
            continue
        if form in names:
            faults.append(Fault(what=f"two files are the form {form}: {names[form]} and {path.name}", table="file",
                                remedy="keep one of them in the folder", value=path.name))  # fmt: skip
            continue
        names[form] = path.name
        try:
            file = read_text_file(path)
        except CohortError as error:
            faults += error.faults
            continue
        faults += [replace(fault, what=f"{form}: {fault.what}") for fault in file.faults]
        table = file.frame.astype("str")
        table.columns = [column.strip() for column in table.columns]
        if repeated := sorted({one for one in table.columns if list(table.columns).count(one) > 1}):
            faults += [Fault(what=f"{form}: several columns have this name", column=one, table="file", value=path.name,
                             remedy="keep one, or rename one") for one in repeated]  # fmt: skip
            continue
        table = table.apply(lambda column: column.str.strip()).replace("", pd.NA).assign(row=file.rows)
        faults += [Fault(what=f"{form}: the column is missing{suggest(column, table.columns)}", column=column, table="file",
                         value=path.name, remedy="export the form again, or rename the column")
                   for column in ("subject_id", *_NEEDED.get(form, ())) if column not in table]  # fmt: skip
        found[form] = table
    if "ALSFRS" not in names:
        faults.append(Fault(what="there is no form ALSFRS", table="file", value=folder.name,
                            remedy="put alsfrs.csv, PROACT_ALSFRS.csv or F_PROACT_ALSFRS.csv into the folder"))  # fmt: skip
    if faults:
        raise CohortError(faults)
    return found
