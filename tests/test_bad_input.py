"""Every bad input of a long list is refused: at once, before any sampling, by one class of error, with place, value and remedy."""

import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest

from progression.faults import InputError
from tests.bad_input import files, settings, structure, subjects, values
from tests.bad_input.cases import Bad

CASES = [
    *structure.STRUCTURE, *structure.IDS, *structure.TIME, *values.VALUES, *subjects.SUBJECTS,
    *files.FILES, *files.CELLS, *files.SEVERAL, *settings.OF_COHORTS, *settings.OF_FITS, *settings.OF_TRIALS,
]  # fmt: skip


@pytest.fixture(scope="module")
def fits() -> Iterator[None]:
    """The two fits that some cases ask of; what earlier tests left in memory is not gone through while a refusal is timed."""
    settings.fitted(1), settings.fitted(), settings.contrasted()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_sampling(fits: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would draw from a posterior, or run trials, fails the test."""
    import nutpie
    import pymc

    from progression import operating
    from progression.engines import marginal, powered

    def sampled(*_: Any, **__: Any) -> None:
        raise AssertionError("something was sampled")

    for module, name in ((nutpie, "sample"), (nutpie, "compile_pymc_model"), (pymc, "sample"), (marginal, "_closed"), (marginal, "_integrated"), (powered, "_closed"), (operating, "run")):  # fmt: skip
        monkeypatch.setattr(module, name, sampled)


def refusal(case: Bad) -> tuple[InputError, float]:
    """The error and the seconds this thread computed for it; of up to three attempts the last: the first imports and compiles."""
    for _ in range(3):
        began = time.thread_time()
        with pytest.raises(case.error) as caught:
            case.attempt()
        seconds = time.thread_time() - began
        if seconds < 1:
            break
    return caught.value, seconds


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_refused(case: Bad) -> None:
    error, seconds = refusal(case)
    assert type(error) is case.error
    assert seconds < 1
    found = [fault for fault in error.faults if case.expects(fault)]
    assert found, error
    if case.count is not None:
        assert len(error.faults) == case.count, error
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)
    for fault in error.faults:
        assert fault.what and fault.remedy
        assert fault.table != "setting" or fault.value is not None or fault.column is not None
    said = str(error)
    place = {"column": repr, "subject": repr, "row": lambda row: f"row {row}", "table": str}
    for name, shown in place.items():
        assert case.where.get(name) is None or shown(case.where[name]) in said
    assert case.what in said and case.remedy in said


def test_names_are_told_apart_and_the_list_is_long() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) > 300
