"""The published agreement of the marginal engine with NUTS: it holds, it is of this code, and a part of it is repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.evidence import agreement, criterion, measuring, sources
from tests.evidence.trials import SETS, trial

AGAIN = "run `python -m tests.evidence.agreement compare` and commit tests/evidence/agreement.json"
FROM_SCRATCH = "run `python -m tests.evidence.agreement references`, then `compare`, and commit both files"
PART = [
    ("als_slope", 0),
    ("als_slope", 57),
    ("als_slope", 133),
    ("sle_crp", 3),
    ("sle_crp", 101),
    ("sle_joints", 20),
    ("als_shared", 4),
]


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    if not agreement.AGREEMENT.exists():
        pytest.skip("tests/evidence/agreement.json does not exist yet")
    return json.loads(agreement.AGREEMENT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def references() -> dict[str, Any]:
    if not agreement.REFERENCES.exists():
        pytest.skip("tests/evidence/references.json does not exist yet")
    return agreement.read_references()


def test_published_agreement_meets_the_criterion(published: dict[str, Any]) -> None:
    assert published["engine"] == "marginal"
    for model, n in SETS.items():
        verdict = criterion.judge(agreement.of_model(published["sets"], model))
        assert verdict == published["verdicts"][model], f"{model}: the verdict is not that of the numbers; {AGAIN}"
        # `met` also wants every other data set flagged by the engine: the published verdict says whether it was.
        assert verdict["sets"] == n and verdict["agree_with_both_errors"] >= criterion.SHARE, f"{model}: {verdict}"


def test_published_agreement_is_of_this_code(published: dict[str, Any]) -> None:
    for model, known in published["sources"].items():
        now = sources.sources(model, published["engine"])
        assert sources.same(known, now) == (model not in agreement.EARLIER), (
            f"{model}: its page or the engine changed since {published['made'][model]}; {AGAIN}"
        )
    assert published["references"] == agreement.digest(agreement.REFERENCES), f"the references changed; {AGAIN}"


@pytest.mark.slow
@pytest.mark.usefixtures("published")
def test_references_are_of_these_trials_and_priors_and_long_enough(references: dict[str, Any]) -> None:
    assert len(references) == sum(SETS.values()), FROM_SCRATCH
    for model, n in SETS.items():
        for index in range(n):
            one = references[trial(model, index).name]
            assert agreement.current(one, model, index), f"{model} {index}: other data or priors; {FROM_SCRATCH}"
            assert measuring.enough(one["components"]), f"{model} {index}: too few effective draws"


@pytest.mark.slow
@pytest.mark.parametrize(("model", "index"), PART)
def test_part_again(model: str, index: int, published: dict[str, Any], references: dict[str, Any]) -> None:
    """Other machines draw otherwise, hence the errors of both engines count here."""
    how = {"draws": published["draws"]} if published["draws"] else {}
    found = measuring.refit(model, index, **how)
    beyond = criterion.worst(agreement.differences(references[trial(model, index).name], found), both=True)
    assert found["flagged"] or max(beyond.values()) <= 1, beyond


REFERENCE = [0.5, 0.01, 1.0, 0.007, 0.7, 0.0045, 11_000.0, 8_000.0]


@pytest.mark.parametrize(
    ("change", "agrees"),
    [({}, True), ({"mean": 0.549}, True), ({"mean": 0.551}, False), ({"sd": 1.049}, True), ({"sd": 0.949}, False),
     ({"p": 0.713}, True), ({"p": 0.714}, False), ({"p": 0.714, "p_error": 0.1}, False), ({"mean": float("nan")}, False)],
)  # fmt: skip
def test_criterion_at_its_bounds(change: dict[str, float], agrees: bool) -> None:
    found = list((dict(zip(measuring.COLUMNS, REFERENCE, strict=True)) | change).values())
    one = criterion.difference(REFERENCE, found)
    assert (max(criterion.excess(one).values()) <= 1) is agrees


def test_a_disagreement_must_be_rare_and_flagged() -> None:
    good, bad = [0.0, 1.0, 0.0, 0.0135, 0.0135], [0.06, 1.0, 0.0, 0.0135, 0.0135]

    def sets(n_bad: int, flagged: list[str]) -> dict[str, Any]:
        return {f"m-{k:03d}": {"flagged": flagged if k < n_bad else [], "components": {"a": good, "b": bad if k < n_bad else good}}
                for k in range(40)}  # fmt: skip

    assert criterion.judge(sets(0, []))["met"] and criterion.judge(sets(2, ["weights"]))["met"]
    assert not criterion.judge(sets(2, []))["met"] and criterion.judge(sets(2, []))["disagree_unflagged"] == [
        "m-000",
        "m-001",
    ]
    assert not criterion.judge(sets(3, ["weights"]))["met"]


def test_code_hash_reads_code_and_not_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    path = tmp_path / "page.py"

    def of(text: str) -> str:
        path.write_text(text)
        return sources.code_hash([path])

    first = of('"""Words."""\n\ndef f(x):\n    """More."""\n    return x + 1\n')
    assert first == of('"""Other words,\n\non lines."""\ndef f(x):  # a comment\n\n    return x + 1\n')
    assert first != of("def f(x):\n    return x + 2\n") and first != of('def f(x):\n    return "x + 1"\n')


def test_an_engine_rests_on_what_it_imports() -> None:
    files = {path.name for path in sources.engine("nuts")}
    assert {"nuts.py", "native.py", "program.py", "light.py"} <= files and "forward.py" not in files
    with pytest.raises(FileNotFoundError, match="nonsense"):
        sources.engine("nonsense")


def test_comparison_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tasks that take no time: references made, gathered, kept, compared; an engine that is off is found out."""

    def pretended(model: str, index: int, engine: str = "nuts", **how: Any) -> dict[str, Any]:
        if index == 2 and engine == "nuts":
            raise RuntimeError("out of luck")
        off = 0.2 * (engine == "shifted" and index == 1)
        made = {"table": trial(model, index).hash, "seconds": 0.0, "flagged": [], "problems": []}
        return made | {"components": {"a": [REFERENCE[0] + off, *REFERENCE[1:]]}}

    monkeypatch.setattr(agreement, "REFERENCES", tmp_path / "references.json")
    monkeypatch.setattr(sources, "engine", lambda name: [])
    monkeypatch.setattr(measuring, "reference", pretended)
    monkeypatch.setattr(measuring, "refit", pretended)
    common = ["--work", str(tmp_path / "work"), "--models", "als_slope", "--workers", "1", "--sets"]
    assert agreement.main(["references", *common, "3"]) == 1  # one failed, two are kept
    assert sorted(agreement.read_references()) == ["als_slope-000", "als_slope-001"]
    assert agreement.main(["references", *common, "2"]) == 0
    assert agreement.main(["compare", *common, "2", "--engine", "same"]) == 0
    assert agreement.main(["compare", *common, "3", "--engine", "same"]) == 1  # the third has no reference
    assert agreement.main(["compare", *common, "2", "--engine", "shifted"]) == 1
    assert not (tmp_path / "work" / "agreement.json").exists()  # only a complete comparison is written


def test_a_model_is_compared_anew_beside_what_is_held_of_others(published: dict[str, Any]) -> None:
    facts = {key: published[key] for key in ("engine", "draws", "references", "versions")}
    anew = {"made": "today", "sources": "this code", "verdicts": {}, "sets": {}}
    parts = agreement.with_those_held(published, facts, {"sle_crp": anew})
    assert set(parts) == set(SETS) and parts["sle_crp"] == anew
    for model in set(SETS) - {"sle_crp"}:
        assert parts[model]["sources"] == published["sources"][model] and len(parts[model]["sets"]) == SETS[model]
        assert parts[model]["made"] == published["made"][model]
    for key, other in (("references", "others"), ("draws", 7), ("versions", {})):
        assert agreement.with_those_held(published, {**facts, key: other}, {"sle_crp": anew}) == {"sle_crp": anew}
    assert agreement.with_those_held(published, facts, {}) == {}  # nothing was compared: nothing is written
    assert agreement.with_those_held(None, facts, {"sle_crp": anew}) == {"sle_crp": anew}


def test_what_stands_for_a_record_is_of_one() -> None:
    """An entry goes when its records are made again; where it holds for some models alone, one of theirs must hold it."""
    root = sources.ROOT
    records = [
        *root.glob("docs/evidence/*.json"),
        *root.glob("tests/evidence/*.json"),
        root / "benchmarks" / "operating.json",
    ]
    for new, old, models in sources.AS_RECORDED:
        for model in models or ("",):
            assert any(old in path.read_text(encoding="utf-8") for path in records if model in path.name), (model, old)
            assert sources.same(old, new, model) and not sources.same(new, old, model)
        for model in set(SETS) - set(models):
            others = any((new, old) == entry[:2] and model in entry[2] for entry in sources.AS_RECORDED)
            assert sources.same(old, new, model) == (not models or others)
    assert sources.same("one", "one") and not sources.same("one", "another")
