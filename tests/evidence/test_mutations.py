"""Every planted bug still fits the code, and the published run caught them all."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

import progression as pg
from tests.evidence import mutations, sources
from tests.evidence.mutants import KINDS, MUTATIONS

AGAIN = "run `python -m tests.evidence.mutations` again"


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return json.loads(mutations.RESULT.read_text())


def test_every_substitution_applies_once_and_leaves_code() -> None:
    assert mutations.faults() == []
    for one in MUTATIONS:
        assert one.old != one.new, one.name
        ast.parse((sources.ROOT / one.file).read_text(encoding="utf-8").replace(one.old, one.new))


def test_one_that_does_not_apply_is_named() -> None:
    one = MUTATIONS[0]
    gone, often = one._replace(name="gone", old="no such text"), one._replace(name="often", old="a")
    found = mutations.faults([one, gone, often, one])
    assert (
        len(found) == 3
        and "gone: " in found[0]
        and "0 times" in found[0]
        and "often: " in found[1]
        and "twice" in found[2]
    )


def test_tests_that_could_not_be_run_have_caught_nothing() -> None:
    ran = {"test": "tests/test_x.py::test_y", "error": "assert 1 == 2", "seconds": 1.0}
    caught = {
        status: mutations.verdict(MUTATIONS[0], {**ran, "status": status})["caught"] for status in (0, 1, 2, 4, 5, None)
    }
    assert [status for status, one in caught.items() if one] == [1]


def test_every_kind_of_bug_and_every_model_is_there() -> None:
    assert {one.kind for one in MUTATIONS} == set(KINDS)
    files = {one.file for one in MUTATIONS}
    for model in pg.models().values():
        module = model.program.__module__
        if module.startswith("progression_models"):
            assert f"models/{module.replace('.', '/')}.py" in files, model.name


def test_the_published_run_is_of_this_list_and_caught_all(published: dict[str, Any]) -> None:
    listed = {one.name: (one.kind, one.file, one.old, one.new) for one in MUTATIONS}
    done = {
        name: (one["kind"], one["file"], one["was"], one["becomes"]) for name, one in published["mutations"].items()
    }
    assert done == listed, AGAIN
    assert [name for name, one in published["mutations"].items() if not one["caught"]] == []
    assert published["caught"] == published["of"] == len(MUTATIONS)
    by = {one.name: {test.split("[")[0] for test in one.tests} for one in MUTATIONS}
    assert all(one["by"].split("[")[0] in by[name] for name, one in published["mutations"].items()), AGAIN


def test_its_tests_pass_on_the_code_as_it_is(published: dict[str, Any]) -> None:
    assert set(published["controls"]) == {mutations.file_of(test) for one in MUTATIONS for test in one.tests}
    assert [file for file, one in published["controls"].items() if one["status"] != 0] == []
