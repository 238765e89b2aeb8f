"""Cohort x Model -> the named arrays and coordinates that a program sees as ``data``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from progression.cohort import Cohort
from progression.event_times import event_rows, every_interval, first_times, interval_rows, unsigned
from progression.faults import CohortError, Fault
from progression.groups import encode_calendar, encode_events, encode_groups, encode_mortality, events_in_use
from progression.matching import check_options, choose_outcomes, covariate_names, planned_visits, scale_faults
from progression.modeling import Model
from progression.onsets import TESTED, onset_arrays
from progression.outcomes import Outcome
from progression.own_rows import statistics_by_subject, statistics_by_visit
from progression.time_course import course, place_knots

Array = tuple[tuple[str, ...], np.ndarray]


@dataclass(frozen=True, eq=False)
class Encoded:
    """Arrays and coordinates for one program.

    Attributes
    ----------
    coords : mapping of str to list
        Labels of every dim; `subject` holds real subjects only.
    arrays : mapping of str to (dims, array)
        Subject-level arrays by name, arrays of a block as ``<block>_<name>``. The dim `subject` is padded.
    blocks : mapping of str to tuple of Outcome
        Which outcomes each observed variable holds, in the order of its index `outcome`.
    n_padded : int
        Length of the dim `subject` in the program: the size bucket.
    events : tuple of str
        Names of the observed variables that are times to an event: a row a subject, or a row an interval between planned visits.
    """

    coords: Mapping[str, list[Any]]
    arrays: Mapping[str, Array]
    blocks: Mapping[str, tuple[Outcome, ...]]
    n_padded: int
    events: tuple[str, ...] = ()

    @property
    def observed(self) -> tuple[str, ...]:
        """Names of all observed variables."""
        return (*self.blocks, *self.events)

    @property
    def n_subjects(self) -> int:
        """Number of real subjects."""
        return len(self.coords["subject"])

    def row_dim(self, block: str) -> str:
        """Name of the dim that runs over the rows of an observed variable."""
        return f"{block}_row"

    def outcome_dim(self, block: str) -> str:
        """Name of the dim that runs over the outcomes of an observed variable."""
        return outcome_dim(self.blocks, block)

    def sizes(self) -> dict[str, int]:
        """Length of each dim that parameters may have, hence what a compiled program is tied to."""
        rows = {self.row_dim(name) for name in self.observed} | {TESTED}
        return {dim: len(labels) for dim, labels in self.coords.items() if dim not in rows} | {"subject": self.n_padded}

    def unpadded(self) -> Encoded:
        """The same coding without padding: for engines whose code is not tied to the number of subjects."""
        n = self.n_subjects
        arrays = {
            name: (dims, array[:n] if dims[0] == "subject" else array) for name, (dims, array) in self.arrays.items()
        }
        return replace(self, arrays=arrays, n_padded=n)

    def groups(self) -> dict[str, xr.Dataset]:
        """The data as groups of a fit, without padding: observed_data (by row) and constant_data."""
        observed: dict[str, Any] = {}
        constant: dict[str, Any] = {}
        for name, (dims, array) in self.arrays.items():
            real = array[: self.n_subjects] if dims[0] == "subject" else array
            block = name.removesuffix("_value")
            (observed if block in self.observed else constant)[block] = (dims, real)
        coords = {dim: list(labels) for dim, labels in self.coords.items()}
        return {name: xr.Dataset(made, coords={d: coords[d] for _, (dims, _) in made.items() for d in dims})
                for name, made in (("observed_data", observed), ("constant_data", constant))}  # fmt: skip

    def on_schedule(self, months: Sequence[float], new_patients: Mapping[str, int] | None = None) -> Encoded:
        """The same coding with a row for each subject, month and outcome, for prediction; values are left empty."""
        coords, arrays = dict(self.coords), dict(self.arrays)
        n, n_padded = self.n_subjects, self.n_padded
        if new_patients is not None:
            arms = [arm for arm, count in new_patients.items() for _ in range(count)]
            n = n_padded = len(arms)
            coords["subject"] = [f"new {i + 1}" for i in range(n)]
            by_arm = {"active_arm", "baseline_arm", "shared_arm", "separate_arm"}
            known = {name: coords[dims[1]] for name, (dims, _) in self.arrays.items() if dims[1:] and dims[1] in by_arm}
            for name, (dims, array) in self.arrays.items():
                if dims[0] == "subject":
                    fresh = np.zeros((n, *array.shape[1:]))  # average covariates, nothing known of them or of an onset
                    if name in known:
                        fresh = np.array([[arm == one for one in known[name]] for arm in arms], float).reshape(n, -1)
                    elif name in ("linked", "on_event"):  # a clause that is in use or not, for everybody
                        fresh = np.ones_like(fresh)
                    arrays[name] = (dims, fresh.reshape(n, *array.shape[1:]))
        for block, members in self.blocks.items():
            grid = np.array([(s, m, o) for s in range(n) for m in months for o in range(len(members))], float)
            upper = self.arrays[f"{block}_upper"][1]
            outcome = self.arrays[f"{block}_outcome"][1]
            most = np.array([upper[outcome == o].max(initial=0) for o in range(len(members))])
            floor = np.array([o.detection_limit or 0.0 for o in members])
            index = grid[:, 2].astype(np.int64)
            rows = {
                "value": np.zeros(len(grid)), "subject": grid[:, 0].astype(np.int64), "month": grid[:, 1],
                "outcome": index, "censored": np.zeros(len(grid), bool), "lower": floor[index], "upper": most[index].astype(upper.dtype),
            }  # fmt: skip
            if f"{block}_visit" in self.arrays:
                planned = np.asarray(coords["visit"], float)
                rows["visit"] = np.abs(grid[:, 1][:, None] - planned).argmin(axis=1).astype(np.int64)
            coords[f"{block}_row"] = list(range(len(grid)))
            arrays |= {f"{block}_{name}": ((f"{block}_row",), column) for name, column in rows.items()}
            arrays |= self._course(block, rows["month"])
        last = float(max(months))
        for name in self.events:  # followed to the last of these months
            if f"{name}_visit" in self.arrays:
                own = every_interval(n, np.asarray(coords["visit"], float), last)
            else:
                own = unsigned(np.full(n, -last), np.arange(n), last)
            coords[f"{name}_row"] = list(range(len(own["value"])))
            arrays |= {f"{name}_{key}": ((f"{name}_row",), column) for key, column in own.items()}
        return replace(self, coords=coords, arrays=arrays, n_padded=n_padded)

    def _course(self, block: str, months: np.ndarray) -> dict[str, Array]:
        if f"{block}_course" not in self.arrays:
            return {}
        end = float(self.arrays["course_end"][1].sum())
        return {f"{block}_course": ((f"{block}_row", "knot"), course(months, self.coords["knot"], end))}

    def on_grid(self, rows: xr.Dataset, months: Sequence[float]) -> xr.Dataset:
        """Rows of `on_schedule` folded back: dims (..., subject, month, outcome), without `outcome` where there is one.

        Times to an event have dims (..., subject): months, infinite where it does not happen by the last month.
        """
        folded = {}
        for block, members in self.blocks.items():
            names = [outcome.name for outcome in members]
            lead = [dim for dim in rows[block].dims if dim != f"{block}_row"]
            array = rows[block].transpose(*lead, f"{block}_row").to_numpy()
            array = array.reshape(*array.shape[:-1], self.n_subjects, len(months), len(names))
            dim = self.outcome_dim(block)
            made = xr.DataArray(array, dims=[*lead, "subject", "month", dim],
                                coords={"subject": self.coords["subject"], "month": list(months), dim: names})  # fmt: skip
            folded[block] = made.isel({dim: 0}, drop=True) if len(names) == 1 else made
        for name in self.events:
            lead = [dim for dim in rows[name].dims if dim != f"{name}_row"]
            times = self.times(name, rows[name].transpose(*lead, f"{name}_row").to_numpy())
            folded[name] = xr.DataArray(times, dims=[*lead, "subject"], coords={"subject": self.coords["subject"]})
        return xr.Dataset(folded)

    def times(self, event: str, drawn: np.ndarray) -> np.ndarray:
        """Months to an event of each subject, (..., subjects), from rows of it, (..., rows); infinite where it does not come."""
        own = {
            key: self.arrays[f"{event}_{key}"][1]
            for key in ("subject", "visit", "upper")
            if f"{event}_{key}" in self.arrays
        }
        return first_times(drawn, own, self.coords.get("visit"), self.n_subjects)


def outcome_dim(blocks: Mapping[str, Any], block: str) -> str:
    """`outcome` where a model has one observed variable, `<block>_outcomes` where it has several."""
    return "outcome" if len(blocks) == 1 else f"{block}_outcomes"


def size_bucket(n: int) -> int:
    """Smallest bucket that holds `n` subjects: steps of 8, or of an eighth of the size where that is more."""
    step = max(8, 2 ** (max(n, 1).bit_length() - 4))
    return -(-n // step) * step


def encode(
    model: Model,
    cohort: Cohort,
    *,
    options: Mapping[str, Any] | None = None,
    outcomes: str | Sequence[str] | None = None,
) -> Encoded:
    """Code a cohort for a model, after checking everything the model asks of it.

    Raises
    ------
    CohortError
        With every fault: outcomes missing or outside their bounds, no baseline, no follow-up, no common visits.
    SettingError
        For an unknown option, outcome or covariate.
    """
    chosen = model.with_options(options)
    blocks = choose_outcomes(model, cohort, outcomes, most=chosen.get("joints"))
    check_options(chosen)
    used = [outcome for block in blocks.values() for outcome in block]
    declared = {outcome.name for outcome in model.outcomes}
    if "bounded" in model.needs:
        faults = scale_faults(model, cohort, used)
    else:
        faults = list(cohort.check([outcome for outcome in used if outcome.name in declared]))
    for outcome in used:
        if "baseline" in model.needs:
            faults += cohort.check_baseline(outcome.name)
        if "follow_up" in model.needs:
            faults += cohort.check_follow_up(outcome.name)
    visits = cohort.visits
    timetable: pd.Series | None = None
    if "visits" in model.needs:
        timetable, problems = planned_visits(visits)
        faults += problems
    if faults:
        raise CohortError(faults)

    subjects = cohort.subjects
    n = len(subjects)
    n_padded = size_bucket(n) if model.padded else n
    active, covariates = list(cohort.arms[1:]), covariate_names(cohort, chosen)
    common = chosen.get("baseline", "free")
    if common == "auto":
        common = "common" if cohort.allocation == "randomised" else "free"
    # Randomised arms share a baseline; controls from elsewhere need not.
    baseline_arms = [arm for arm in active if arm in cohort.historical_arms] if common == "common" else active
    earlier, entered = encode_calendar(subjects, cohort.calendar)
    coords: dict[str, list[Any]] = {
        "subject": list(subjects.index), "arm": list(cohort.arms), "active_arm": [*active, *earlier],
        "baseline_arm": [*baseline_arms, *earlier], "covariate": covariates, "earlier": earlier,
    }  # fmt: skip
    arm = subjects["arm"].to_numpy()
    on_arm = np.array([[label == one for one in active] for label in arm], dtype=float).reshape(n, len(active))
    level = np.array([[label == one for one in baseline_arms] for label in arm], dtype=float).reshape(
        n, len(baseline_arms)
    )
    on_arm, level = np.column_stack([on_arm, entered]), np.column_stack([level, entered])
    active = coords["active_arm"]
    arrays: dict[str, Array] = {
        "on_arm": (("subject", "active_arm"), on_arm),
        "on_baseline_arm": (("subject", "baseline_arm"), level),
        "covariates": (("subject", "covariate"), _standardised(subjects, covariates)),
    }
    clauses = encode_groups(subjects, chosen), encode_mortality(chosen, active, on_arm), encode_events(model, chosen, n)
    for made, labels in clauses:
        arrays |= made
        coords |= labels
    coords[TESTED], onsets = onset_arrays(subjects, {cohort.arms[0], *cohort.historical_arms} if active else set())
    arrays |= onsets
    if timetable is not None:
        coords["visit"] = list(dict.fromkeys(timetable.sort_values()))
        coords["followup_visit"] = coords["visit"][1:]
    position = {subject: i for i, subject in enumerate(subjects.index)}
    bends = "time_course" in chosen
    if bends:
        seen = visits.loc[visits[[outcome.name for outcome in used]].notna().any(axis=1), "month"].to_numpy(float)
        coords["knot"], coords["window"] = place_knots(chosen["time_course"], seen)
        arrays["course_end"] = (("window",), np.array(coords["window"], float))
    for block, members in blocks.items():
        coords[outcome_dim(blocks, block)] = [outcome.name for outcome in members]
        rows = _rows(visits, members, position, timetable)
        coords[f"{block}_row"] = list(range(len(rows["month"])))
        arrays |= {f"{block}_{name}": ((f"{block}_row",), column) for name, column in rows.items()}
        if bends:
            bent = course(rows["month"], coords["knot"], sum(coords["window"]))
            arrays[f"{block}_course"] = ((f"{block}_row", "knot"), bent)
        # By what the program was written for: one outcome of a model of two still has its dim.
        dims = ("subject",) if len(model.observes[block]) == 1 else ("subject", outcome_dim(blocks, block))
        own = statistics_by_subject(rows, n, len(members))
        if timetable is not None:
            arrays |= statistics_by_visit(block, rows, (n, len(coords["visit"]), len(members)), dims)
        arrays |= {f"{block}_{name}": (dims, table.reshape(n, *(len(coords[dim]) for dim in dims[1:])))
                   for name, table in own.items()}  # fmt: skip
    events = events_in_use(model, chosen)
    for name in events:
        kinds = model.events[name]
        rows = (
            event_rows(subjects, visits, kinds) if timetable is None else interval_rows(cohort, timetable, name, kinds)
        )
        coords[f"{name}_row"] = list(range(len(rows["value"])))
        arrays |= {f"{name}_{key}": ((f"{name}_row",), column) for key, column in rows.items()}
    padded = {name: _pad(dims, array, n_padded) for name, (dims, array) in arrays.items()}
    return Encoded(coords=coords, arrays=padded, blocks=blocks, n_padded=n_padded, events=events)


def _rows(
    visits: pd.DataFrame, members: Sequence[Outcome], position: Mapping[str, int], timetable: pd.Series | None
) -> dict[str, np.ndarray]:  # fmt: skip
    """Long arrays of one observed variable: one entry for each value that was seen."""
    parts = []
    for index, outcome in enumerate(members):
        seen = visits[outcome.name].notna().to_numpy()
        own = visits.loc[seen]
        value = own[outcome.name].to_numpy(float)
        flag = own.get(f"{outcome.name}_censored")
        censored = np.zeros(len(own), bool) if flag is None else flag.to_numpy(bool)
        # Where no limit is declared the highest censored value stands for it, so that replicates are censored alike.
        limit = np.full(len(own), outcome.detection_limit or value[censored].max(initial=0.0))
        # The likelihood reads a value at its limit as censored: an uncensored value at or below the limit has none.
        lower = np.where(censored, value, np.where(value > limit, limit, 0.0))
        upper = np.inf if outcome.upper is None else outcome.upper
        columns = {
            "value": value, "subject": own["subject"].map(position).to_numpy(np.int64), "month": own["month"].to_numpy(float),
            "outcome": np.full(len(own), index, np.int64), "censored": censored, "lower": lower,
            "upper": np.full(len(own), float(upper)),
        }  # fmt: skip
        if timetable is not None:
            labels = np.sort(timetable.unique())
            columns["visit"] = np.searchsorted(labels, timetable[seen].to_numpy()).astype(np.int64)
        parts.append(columns)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if np.isfinite(joined["upper"]).all() and (joined["upper"] == joined["upper"].round()).all():
        joined["upper"] = joined["upper"].astype(np.int64)  # a number of trials, for whoever draws binomials with it
    return joined


def _standardised(subjects: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Covariates centred and in units of their own SD; two-valued text becomes an indicator of the later label."""
    columns, faults = [], []
    for name in names:
        column = subjects[name]
        levels = sorted(column.dropna().astype(str).unique())
        if not pd.api.types.is_numeric_dtype(column):
            if len(levels) > 2:
                faults.append(Fault(what=f"covariate has {len(levels)} labels ({', '.join(levels[:5])})", column=name,
                                    table="subjects", remedy="recode it as numbers or as two labels"))  # fmt: skip
                continue
            column = column.astype(str).where(column.notna()).map({label: float(i) for i, label in enumerate(levels)})
        numbers = column.to_numpy(float, na_value=np.nan)
        for subject in subjects.index[~np.isfinite(numbers)]:
            faults.append(Fault(what="covariate is missing or infinite", column=name, subject=subject, table="subjects",
                                remedy="fill it in, leave out the subject, or leave out the covariate"))  # fmt: skip
        spread = float(np.nanstd(numbers)) if len(numbers) else 0.0
        if not faults and spread == 0:
            faults.append(Fault(what="covariate is the same for every subject", column=name, table="subjects",
                                remedy="leave it out"))  # fmt: skip
        columns.append((numbers - np.nanmean(numbers)) / (spread or 1.0))
    if faults:
        raise CohortError(faults)
    return np.column_stack(columns) if columns else np.zeros((len(subjects), 0))


def _pad(dims: tuple[str, ...], array: np.ndarray, n_padded: int) -> Array:
    """Zeros for the padding: no arm, no covariate, no information, hence a density of its own that is constant."""
    if "subject" not in dims or array.shape[0] == n_padded:
        return dims, array
    filled = np.zeros((n_padded, *array.shape[1:]), array.dtype)
    filled[: array.shape[0]] = array
    return dims, filled
