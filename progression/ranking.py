"""CAFS: the combined assessment of function and survival, and the win probability that goes with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from progression.cohort import Cohort
from progression.cohort_words import PROVENANCE
from progression.door.events import is_death
from progression.faults import Fault, SettingError, check_probability, setting_fault, suggest
from progression.follow_up import FollowUp, follow_up, setting_faults
from progression.outcomes import Outcome
from progression.pairs import Counts, Courses, count
from progression.win_statistics import WinStatistics, win_statistics


@dataclass(frozen=True, eq=False, repr=False)
class Cafs:
    """Patients of all arms ranked by survival and function.

    Attributes
    ----------
    scores : pandas.DataFrame
        One row a patient, index subject: arm, death (month; missing where alive or unknown), followed (last month
        known to be alive, or of death), baseline, visit (month of the last planned visit with a score), change (from
        baseline to it), wins, losses, ties, score (wins minus losses), rank (1 is worst, the number of patients best).
    table : pandas.DataFrame
        One row an arm: patients, deaths, compared_on_function (patients with a baseline and a later score), mean_score,
        mean_rank, provenance.
    statistics : mapping of str to WinStatistics
        Each arm against the control; empty for a single arm.
    planned : tuple of float
        Months of the planned visits after baseline that were used.
    outcome : Outcome
    month : float or None
        The horizon: what happened later does not count.
    ci_prob : float
    cohort : Cohort
    notes : tuple of str
        What was decided about patients of whom little is known.
    """

    scores: pd.DataFrame
    table: pd.DataFrame
    statistics: Mapping[str, WinStatistics]
    planned: tuple[float, ...]
    outcome: Outcome
    month: float | None
    ci_prob: float
    cohort: Cohort
    notes: tuple[str, ...]

    @property
    def win_probability(self) -> pd.DataFrame:
        """P(a patient of the arm does better than a control) + P(tie)/2: estimate, se, lower, upper by arm."""
        return self._by_arm("win_probability").droplevel("measure")

    def summary(self) -> pd.DataFrame:
        """Every measure of each arm against the control, with standard error and interval.

        Returns
        -------
        pandas.DataFrame
            Index (arm, measure), measure in win_probability, net_benefit, win_odds, win_ratio, mean_rank_difference;
            columns estimate, se, lower, upper. The win ratio leaves ties out; its se and that of the odds are those of
            the logarithm. The difference of mean ranks is between these two arms ranked by themselves.
        """
        return self._by_arm()

    def _by_arm(self, only: str | None = None) -> pd.DataFrame:
        sizes = self.table["patients"]
        rows: dict[tuple[str, str], tuple[float, ...]] = {}
        for arm, one in self.statistics.items():
            both = int(sizes[arm] + sizes[self.cohort.arms[0]])
            spread = one.probability * (1 - one.probability)
            found = {
                "win_probability": (one.probability, one.se, one.lower, one.upper),
                "net_benefit": (one.net_benefit[0], 2 * one.se, *one.net_benefit[1:]),
                "win_odds": (one.odds[0], one.se / spread if spread else np.nan, *one.odds[1:]),
                "win_ratio": (one.ratio, one.ratio_se_log, one.ratio_lower, one.ratio_upper),
                "mean_rank_difference": tuple(both * (x - shift) for x, shift in zip(
                    (one.probability, one.se, one.lower, one.upper), (0.5, 0, 0.5, 0.5), strict=True)),
            }  # fmt: skip
            rows |= {(arm, name): values for name, values in found.items() if only in (None, name)}
        index = pd.MultiIndex.from_tuples(list(rows), names=["arm", "measure"])
        return pd.DataFrame(list(rows.values()), index=index, columns=["estimate", "se", "lower", "upper"], dtype=float)

    def __repr__(self) -> str:
        control, percent = self.cohort.arms[0], f"{100 * self.ci_prob:g} %"
        until = f"up to month {self.month:g}" if self.month is not None else "over all of the follow-up"
        lines = [f"CAFS of {self.cohort.name or 'a cohort'} ({PROVENANCE[self.cohort.provenance]}): survival, then change of "
                 f"{self.outcome.name}, {until}"]  # fmt: skip
        for arm, row in self.table.iterrows():
            lines.append(f"  {arm}: {row['patients']} patients, {row['deaths']} died, mean rank {row['mean_rank']:.1f} "
                         f"of {len(self.scores)}")  # fmt: skip
        for arm, one in self.statistics.items():
            pairs = one.wins + one.losses + one.ties
            lines.append(f"  P({arm} does better than {control}) = {one.probability:.3f} ({percent} interval {one.lower:.3f} "
                         f"to {one.upper:.3f}; ties count half), p = {one.p:.2g}")  # fmt: skip
            ratio = (
                f"{one.ratio:.3g} ({one.ratio_lower:.3g} to {one.ratio_upper:.3g})"
                if np.isfinite(one.ratio)
                else "not computable"
            )
            lines.append(f"    {pairs} pairs: {one.wins / pairs:.0%} won ({one.wins_by_death / pairs:.0%} by death), "
                         f"{one.losses / pairs:.0%} lost ({one.losses_by_death / pairs:.0%} by death), {one.ties / pairs:.0%} tied; "
                         f"win ratio {ratio}")  # fmt: skip
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])


def cafs(
    cohort: Cohort, outcome: str = "alsfrsr", month: float | None = None, *, visits: Sequence[float] | None = None,
    tolerance: float | None = None, terminal: Collection[str] = (), ci_prob: float = 0.95,
) -> Cafs:  # fmt: skip
    """Rank the patients of all arms by survival and function together: the CAFS.

    Each patient is compared with every other. Who died while the other was known to be alive did worse. Otherwise the
    change from baseline at the last planned visit at which both have a score decides, and equal changes tie.

    Parameters
    ----------
    cohort : Cohort
        Deaths are read from its subjects (event "death", "died", "dead", "deceased", with event_time) and its events;
        follow-up lasts to the latest of end_of_follow_up, the last visit and any event that is no death.
    outcome : str
        The score. Which direction is benefit is read from its `Outcome`; for alsfrsr it is known.
    month : float, optional
        Horizon, months. Later visits do not count, and who died later counts as alive. By default all follow-up counts.
    visits : sequence of float, optional
        Months of the planned visits. Each score belongs to the nearest one. By default the column `visit`, or
        else the times themselves: those within `tolerance` of their neighbours are one visit.
    tolerance : float, optional
        Months a score may lie from its planned visit: by default 0.5 where `visits` is given, else 0.2.
    terminal : collection of str
        Other events that count as death, such as "permanent assisted ventilation".
    ci_prob : float
        Probability of the intervals.

    Returns
    -------
    Cafs

    Raises
    ------
    SettingError
        For an unknown outcome, one whose good direction is not stated, censored values, times that fall into no planned
        visits, or an argument that cannot be meant.

    Notes
    -----
    The method is that of Berry, Miller, Moore et al. (2013), Amyotrophic Lateral Sclerosis and Frontotemporal
    Degeneration 14:162; the rule for a pair, and the test, that of Finkelstein and Schoenfeld (1999), Statistics in
    Medicine 18:1341. For standard errors see `progression.win_statistics.win_statistics`.

    A patient with no baseline or no later score can win or lose by death only; with function he ties.

    Examples
    --------
    >>> import progression as pg
    >>> found = pg.cafs(pg.datasets.simulated_als(), month=6)
    >>> found.win_probability.round(3).loc["treated", "estimate"]  # doctest: +SKIP
    """
    facts = _outcome(cohort, outcome, setting_faults(month, visits, tolerance), terminal)
    check_probability("ci_prob", ci_prob)
    seen = follow_up(cohort, outcome, month=month, visits=visits, tolerance=tolerance, terminal=terminal)
    sign = -1.0 if facts.higher_is_better is False else 1.0
    change = seen.score - seen.baseline[:, None]
    courses = Courses.of(sign * change, seen.death, seen.followed)
    arms = list(cohort.arms)
    group = pd.Index(arms).get_indexer(cohort.subjects["arm"])
    counts = count(courses, group, len(arms))
    scores = _scores(cohort, seen, change, courses, counts)
    several = arms[1:] if len(arms) > 1 else []
    sizes = np.bincount(group, minlength=len(arms))
    against = {arm: win_statistics(counts, group, i, 0, ci_prob=ci_prob)
               for i, arm in enumerate(several, start=1) if sizes[i] and sizes[0]}  # fmt: skip
    return Cafs(
        scores=scores, table=_table(cohort, scores), statistics=against, planned=tuple(float(m) for m in seen.planned),
        outcome=facts, month=month, ci_prob=ci_prob, cohort=cohort, notes=_notes(cohort, seen, change, terminal),
    )  # fmt: skip


def _outcome(cohort: Cohort, name: str, faults: list[Fault], terminal: object) -> Outcome:
    """The facts of the outcome, or everything that is wrong with what was asked."""
    if not isinstance(cohort, Cohort):
        raise SettingError([setting_fault("cohort", type(cohort).__name__, "is not a Cohort", "give a cohort")])
    known = {one.name: one for one in cohort.outcomes}
    if isinstance(terminal, str):
        faults.append(setting_fault("terminal", terminal, "is a single text", f"give a list: [{terminal!r}]"))
    if name not in known:
        faults.append(setting_fault("outcome", name, f"is no outcome of the cohort{suggest(name, known)}", "name one"))
    elif known[name].higher_is_better is None and name != "alsfrsr":
        faults.append(setting_fault("outcome", name, "does not state which direction is benefit",
                                    "make the cohort with Outcome(..., higher_is_better=True) or False"))  # fmt: skip
    elif cohort.visits.get(f"{name}_censored", pd.Series(dtype=bool)).any():
        faults.append(setting_fault("outcome", name, "has values known only to lie below a limit",
                                    "choose an outcome whose changes are known"))  # fmt: skip
    if faults:
        raise SettingError(faults)
    return known[name]


def _scores(cohort: Cohort, seen: FollowUp, change: np.ndarray, courses: Courses, counts: Counts) -> pd.DataFrame:
    subjects, n = cohort.subjects, cohort.n_subjects
    known = np.isfinite(change)
    last = (
        np.where(known.any(axis=1), known.shape[1] - 1 - known[:, ::-1].argmax(axis=1), -1)
        if known.shape[1]
        else np.full(n, -1)
    )
    there = last >= 0
    visit, latest = np.full(n, np.nan), np.full(n, np.nan)
    visit[there], latest[there] = seen.planned[last[there]], change[there, last[there]]
    wins, losses = counts.wins.sum(axis=1), counts.losses.sum(axis=1)
    return pd.DataFrame({
        "arm": subjects["arm"], "death": np.where(np.isfinite(seen.death), seen.death, np.nan),
        "followed": courses.followed, "baseline": seen.baseline, "visit": visit, "change": latest,
        "wins": wins, "losses": losses, "ties": n - 1 - wins - losses, "score": wins - losses,
        "rank": (n + 1 + wins - losses) / 2,
    }, index=subjects.index)  # fmt: skip


def _table(cohort: Cohort, scores: pd.DataFrame) -> pd.DataFrame:
    by = scores.groupby("arm")
    table = pd.DataFrame({
        "patients": by.size(), "deaths": by["death"].count(), "compared_on_function": by["change"].count(),
        "mean_score": by["score"].mean(), "mean_rank": by["rank"].mean(),
    }).reindex(list(cohort.arms))  # fmt: skip
    whole = ["patients", "deaths", "compared_on_function"]
    table[whole] = table[whole].fillna(0).astype(int)
    table["provenance"] = PROVENANCE[cohort.provenance]
    return table


def _notes(cohort: Cohort, seen: FollowUp, change: np.ndarray, terminal: Collection[str]) -> tuple[str, ...]:
    alive = np.isinf(seen.death)
    bare = np.isnan(seen.baseline)
    unseen = ~np.isfinite(change).any(axis=1) & ~bare
    notes = []
    if bare.any():
        notes.append(f"without a baseline score, compared by deaths only: {_patients(int(bare.sum()))}")
    if unseen.any():
        notes.append(f"without a score after baseline, compared by deaths only: {_patients(int(unseen.sum()))}, "
                     f"{int((unseen & alive).sum())} of them alive as far as known")  # fmt: skip
    if seen.unused:
        notes.append(f"scores that belong to no planned visit, not used: {seen.unused}")
    if alive.all():
        words = cohort.subjects["event"].dropna().astype(str).unique() if "event" in cohort.subjects else []
        others = [word for word in words if not is_death(word)]
        notes.append(
            f"no death is known: none of {', '.join(map(repr, others))} counts as one; name those that do: terminal=" if others else
            "no death is known: if there were any, give event and event_time in the table of subjects"
        )  # fmt: skip
    if terminal:
        notes.append(f"counted as death: {', '.join(terminal)}")
    if cohort.allocation in ("historical", "unstated") and len(cohort.arms) > 1:
        notes.append(f"allocation is {cohort.allocation}: read the comparison as an association")
    return tuple(notes)


def _patients(number: int) -> str:
    return "1 patient" if number == 1 else f"{number} patients"
