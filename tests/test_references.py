"""Numbers that other programs found, beside ours: `tests/evidence/references` says who made them, and with what.

Fits that take a compiler or minutes are `evidence`; what they gave is in docs/evidence/references.json, which is held to here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import progression as pg
from tests.evidence.references import __main__ as command
from tests.evidence.references import cases, compare, results, simulated

pytestmark = pytest.mark.recovery
LIGHT = [one for one in cases.CASES if not one.long]
LONG = [one for one in cases.CASES if one.long]
OFTEN_SHOWN = {"slopes_robust", "slopes_nlme", "slopes_commensurate"}  # of a model that others here hold as well
AGAIN = "run `python -m tests.evidence.references table` and commit docs/evidence/references.json"


def assert_near(case: cases.Case) -> None:
    if not case.available:
        pytest.skip(f"{case.needs}, which is no part of this repository, is not here")
    rows = case.rows()
    assert rows
    far = [
        f"{row.quantity}: theirs {row.theirs:.6g}, ours {row.ours:.6g}, {row.units:.2f} tolerances"
        for row in rows
        if row.units > 1
    ]
    assert not far, f"{case.reference}, {len(far)} of {len(rows)}: " + "; ".join(far)


@pytest.mark.parametrize(
    "case", [one for one in LIGHT if one.reference not in OFTEN_SHOWN], ids=lambda case: case.reference
)
def test_meets(case: cases.Case) -> None:
    assert_near(case)


@pytest.mark.evidence
@pytest.mark.parametrize(
    "case", [*LONG, *(one for one in LIGHT if one.reference in OFTEN_SHOWN)], ids=lambda case: case.reference
)
def test_meets_at_length(case: cases.Case) -> None:
    assert_near(case)


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return {one["reference"]: one for one in command.read_table()["references"]}


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.reference)
def test_the_table_is_of_these_references_and_this_code(case: cases.Case, published: dict[str, Any]) -> None:
    one, known = published[case.reference], results.read(case.reference)
    assert {"by": one["by"], "made": one["their_date"]} == {"by": known["by"], "made": known["made"]}, AGAIN
    assert one["model"] == case.model, AGAIN
    theirs = {row[0]: row[1] for row in one["rows"]}
    for name, quantity in known["quantities"].items():
        for key in ("mean", "sd", "estimate", "value"):
            if key in quantity:
                kept = theirs[{"mean": f"{name}, mean", "sd": f"{name}, SD"}.get(key, name)]
                assert kept == pytest.approx(quantity[key], rel=1e-5), f"{name}: {AGAIN}"
    for name, value, ours, tolerance, units in one["rows"]:
        rounded = 2e-6 * abs(value) / tolerance  # the table has six digits
        assert units == pytest.approx(abs(ours - value) / tolerance, rel=0.02, abs=0.02 + rounded) and units <= 1, name
    if case.long:  # the others are fitted above
        assert one["sources"] == command.code(case), f"{case.reference}: the code changed since; {AGAIN}"


def test_models_have_references(published: dict[str, Any]) -> None:
    assert set(published) == {case.reference for case in cases.CASES}
    own = {name for name, model in pg.models().items() if model.program.__module__.startswith("progression_models")}
    known = {case.model.split(",")[0] for case in cases.CASES}
    assert own - known == {"sle_activity"}  # held to integrals, simulated patients and Laplace by tests of its own


def test_tables_are_what_the_simulators_make() -> None:
    for name, make in simulated.TABLES.items():
        made, kept = make(), simulated.read(name)
        assert list(made) == list(kept) and len(made) == len(kept)
        for column in kept.select_dtypes("number"):
            np.testing.assert_allclose(
                made[column].to_numpy(float), kept[column].to_numpy(float), atol=1e-9, err_msg=f"{name}, {column}"
            )


def test_what_is_off_is_found() -> None:
    """Draws of the reference's own posterior pass, those of another do not; nor does a quantity that is missing pass unseen."""
    draws = xr.DataArray(np.random.default_rng(1).normal(2.0, 0.5, (4, 2500)), dims=("chain", "draw"))
    posterior = {"x": {"mean": 2.0, "mean_error": 0.005, "sd": 0.5, "sd_error": 0.004}}
    reml = {"x": {"estimate": 2.0, "se": 0.5}, "spread": {"estimate": 2.0}}

    def worst(kind: str, quantities: Any, ours: Any, **how: float) -> float:
        return max(row.units for row in compare.rows(kind, quantities, {"x": ours, "spread": ours}, **how))

    assert worst("same priors", posterior, draws) < 1 < worst("same priors", posterior, draws + 0.06)
    assert worst("same priors", posterior, 2 + (draws - 2) * 1.1) > 1
    assert worst("same priors", posterior, draws + 0.06, most=400) < 1  # draws that repeat are worth less
    assert worst("likelihood", reml, draws) < 1 < worst("likelihood", reml, draws * 1.15)
    assert worst("exact", {"x": {"value": 1418}}, 1417) > 1
    assert worst("share", {"x": {"value": 0.9}}, compare.Share(0.86, 2000)) > 1
    assert worst("quadrature", {"x": {"value": 1.0, "scale": 0.1}}, float("nan")) > 1
    with pytest.raises(KeyError, match="spread"):
        compare.rows("likelihood", reml, {"x": draws})


def test_scripts_run_again_are_compared() -> None:
    known = results.read("wins")
    assert command.differences(known, known) == []
    other = {**known, "quantities": {**known["quantities"], "wins": {"value": 1417}}}
    assert "wins, value was 1418 and is 1417 now" in command.differences(known, other)[0]
    lost = {**known, "quantities": {name: one for name, one in known["quantities"].items() if name != "z"}}
    assert "one of the two only" in command.differences(known, lost)[0]
    made = {one for name in command.scripts() for one in command.MANY.get(name, (name,))}
    printed = {case.reference for case in cases.CASES if results.read(case.reference)["made"] == "published"}
    assert made | printed == {case.reference for case in cases.CASES} and not made & printed
