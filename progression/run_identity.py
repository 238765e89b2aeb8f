"""What a run is a run of: everything that determines its results, as text that can be read, compared and hashed."""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from progression.faults import SettingError, setting_fault
from progression.store import StoreError

_PACKAGES = ("progression-bayes", "numpy", "scipy", "pandas", "pyarrow", "joblib", "pymc", "pytensor", "numba", "nutpie")  # fmt: skip


def read_identity(path: Path) -> dict[str, Any] | None:
    """``run.json`` of a folder; None where there is none yet."""
    file = path / "run.json"
    if not file.exists():
        return None
    try:
        made: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        whole = made["sha256"] == sha256(made["identity"]) and isinstance(made["versions"], dict)
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise StoreError(f"{file} was altered since the run began: put it back as it was, or give another path")
    return made


def run_seed(given: int | None, path: str | Path | None) -> int:
    """The seed of a run: the one given, else that of the folder, else a new one."""
    if given is not None:
        return int(given)
    made = None if path is None else read_identity(Path(path))
    return secrets.randbelow(2**31) if made is None else int(made["identity"]["random_seed"])


def sha256(identity: Any) -> str:
    """Hash of what JSON makes of it, whatever the order of its keys."""
    return digest(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode())


def as_json(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of a value when it was written as JSON and read again.

    Raises
    ------
    SettingError
        Where something is not a number, text, truth value, list or mapping.
    """
    try:
        made: dict[str, Any] = json.loads(json.dumps(identity, default=_plain, sort_keys=True))
    except (TypeError, ValueError) as error:
        raise SettingError([setting_fault("identity", None, f"cannot be written as JSON: {error}",
                                          "let identity() return numbers, texts, lists and mappings")]) from error  # fmt: skip
    return made


def differences(ours: Any, theirs: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Where two JSON values differ: (dotted name, in the one, in the other)."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        inner = [differences(ours.get(key, "not there"), theirs.get(key, "not there"), f"{name}.{key}".lstrip("."))
                 for key in {**ours, **theirs}]  # fmt: skip
        return [one for several in inner for one in several]
    return [] if repr(ours) == repr(theirs) else [(name, ours, theirs)]  # 1 and 1.0 are equal, and not the same text


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results may depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def digest(content: bytes) -> str:
    """SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r} is none of its kinds")
