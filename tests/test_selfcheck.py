"""The self-check passes here, and each of its checks fails where what it checks is broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

import progression as pg
from progression import selfcheck, truth_ranks
from progression.cli import app
from progression.plots.selfchecks import self_check
from progression.reporting.selfcheck import write
from progression.selfcheck import REFERENCE, Finding, SelfCheck, check_this_machine
from tests.evidence.references import results


def made(*passed: bool) -> SelfCheck:
    rng = np.random.default_rng(1)
    findings = tuple(Finding(f"check <{i}>", "0.02 SD", "at most 0.1 SD", one, 1.0) for i, one in enumerate(passed))
    return SelfCheck(findings, {"cores": "2"}, dict.fromkeys(REFERENCE, 0.01), {"slope_difference": rng.integers(100, size=200)})  # fmt: skip


def test_the_reference_is_what_numpy_computed() -> None:
    theirs = results.read("selfcheck_slopes")["quantities"]
    assert set(REFERENCE) == set(theirs)
    for name, (mean, sd) in REFERENCE.items():
        assert (mean, sd) == pytest.approx((theirs[name]["mean"], theirs[name]["sd"]), abs=6e-5)


def test_fits_are_near_the_reference_and_one_that_is_off_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    distances: dict[str, float] = {}
    _, _, passed = selfcheck._reference(distances, 1)
    assert passed and set(distances) == set(REFERENCE)
    for wrong in ((0.2239 + 0.15 * 0.1456, 0.1456), (0.2239, 0.1456 * 1.1)):
        monkeypatch.setitem(selfcheck.REFERENCE, "slope_effect", wrong)
        said, _, passed = selfcheck._reference({}, 1)
        assert not passed and "slope_effect" in said


def test_draws_that_are_too_narrow_or_ignore_the_data_fail_the_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks: dict[str, np.ndarray] = {}
    assert truth_ranks.calibration(ranks, cores=1, random_seed=1, sets=100)[2] and all(
        one.shape == (100,) for one in ranks.values()
    )
    right = truth_ranks.fit_many

    def narrow(*args: object, **how: object) -> object:
        done = right(*args, **how)
        return replace(done, draws=done.draws.mean("draw") + 0.5 * (done.draws - done.draws.mean("draw")))

    def blind(*args: object, **how: object) -> object:
        """Every draw that of some data set or other: draws from the prior, by whose ranks alone nothing is wrong."""
        done, rng = right(*args, **how), np.random.default_rng(2)
        other = np.argsort(rng.uniform(size=(len(done.draws.data_set), len(done.draws.draw))), axis=0)
        mixed = {
            name: one.transpose("data_set", "draw", ...).copy(data=np.take_along_axis(
                one.transpose("data_set", "draw", ...).to_numpy(), other.reshape(*other.shape, *(1,) * (one.ndim - 2)), axis=0))
            for name, one in done.draws.items()
        }  # fmt: skip
        return replace(done, draws=done.draws.assign(mixed))

    for wrong, seen in ((narrow, "("), (blind, "(distance from a plain estimate)")):
        monkeypatch.setattr(truth_ranks, "fit_many", wrong)
        said, _, passed = truth_ranks.calibration({}, cores=1, random_seed=1, sets=200)
        assert not passed and seen in said.split("smallest p")[1]
    kept: dict[str, np.ndarray] = {}
    truth_ranks.calibration(kept, cores=1, random_seed=1, sets=200)
    assert stats.chisquare(np.histogram(kept["slope_difference"], 20, range=(0, 100))[0]).pvalue > 1e-4


def test_what_is_not_a_number_is_not_near() -> None:
    assert selfcheck._compared({"a": (0.01, 0.0), "b": (0.02, 0.01)}, (0.1, 0.07))[2]
    assert not selfcheck._compared({"a": (0.01, 0.0), "b": (float("nan"), float("nan"))}, (0.1, 0.07))[2]


@pytest.mark.slow
def test_files_and_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert selfcheck._kept(1)[2] and selfcheck._refused()[2]
    monkeypatch.setattr(selfcheck, "_hash", lambda draws: str(id(draws)))
    assert not selfcheck._kept(1)[2]


def test_page_and_figure_say_what_failed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    good, bad = made(True, True), made(True, False)
    assert good.passed and not bad.passed and "FAILED  check <1>" in repr(bad)
    text = write(bad, tmp_path / "bad.html").read_text()
    assert "Do not trust" in text and "check &lt;1&gt;" in text and "<script" not in text and "http" not in text.replace("http://www.w3.org", "")  # fmt: skip
    assert "All checks passed" in write(good, tmp_path / "good.html").read_text()
    assert "FAILED" in " ".join(one.get_text() for one in self_check(bad).texts)
    empty = SelfCheck(good.findings, {})
    assert len(self_check(empty).axes) == 2


@pytest.mark.parametrize("passed", [True, False])
def test_the_command_writes_the_page_and_says_it_with_its_status(tmp_path, monkeypatch, passed) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(selfcheck, "check_this_machine", lambda **_: iter([made(True), made(True, passed)]))
    run = CliRunner().invoke(app, ["selfcheck", "--out", str(tmp_path / "own.html")])
    assert run.exit_code == (0 if passed else 1) and ("SOME FAILED" in run.output) != passed
    assert (tmp_path / "own.html").exists()
    nowhere = CliRunner().invoke(app, ["selfcheck", "--out", str(tmp_path / "no" / "own.html")])
    assert nowhere.exit_code == 2 and "does not exist" in nowhere.output


def test_impossible_numbers_are_refused() -> None:
    for how in ({"cores": 0}, {"sets": 99}):
        with pytest.raises(pg.SettingError, match=next(iter(how))):
            next(check_this_machine(**how))


@pytest.mark.evidence
def test_all_of_it_passes() -> None:
    *_, last = check_this_machine(cores=2)
    assert last.passed, repr(last)
    assert len(last.findings) == selfcheck.count()
