"""The folder of a run: what it is a run of, its finished chunks, its log, and a lock. Or no folder, and all in memory."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from progression.chunks import facts_of
from progression.faults import SettingError, setting_fault
from progression.run_identity import as_json, differences, digest, read_identity, sha256, versions
from progression.store import StoreError, write_atomically

_CHUNK = re.compile(r"(\d{6,})\.([0-9a-f]{64})\.parquet")


class RunWarning(UserWarning):
    """Something about a run that its results do not show."""


@dataclass(frozen=True)
class InMemory:
    """Finished chunks of a run without a folder."""

    kept: dict[int, bytes] = field(default_factory=dict)

    def finished(self) -> dict[int, int]:
        """Chunks that are there when a run begins: none."""
        return {}

    def read(self, number: int) -> bytes:
        """Return a chunk."""
        return self.kept[number]

    def write(self, number: int, content: bytes) -> None:
        """Keep a chunk."""
        self.kept[number] = content

    def note(self, event: str, **facts: Any) -> None:
        """Keep no log."""


@dataclass(frozen=True)
class RunFolder:
    """Finished chunks in ``chunks/000123.<SHA-256 of the file>.parquet``, and a log, one JSON value a line.

    Attributes
    ----------
    path : pathlib.Path
    identity : str
        SHA-256 of what the run is a run of.
    """

    path: Path
    identity: str

    def finished(self) -> dict[int, int]:
        """Chunks that are there and whole, and how many replicates of each failed.

        A damaged one is deleted, and said; one of another run is refused.
        """
        return {number: self._failed(number, content) for number, content in self._whole()}

    def read(self, number: int) -> bytes:
        """Return a chunk, checked again.

        Raises
        ------
        StoreError
            Where it was damaged since.
        """
        for file in self._files(number):
            content = file.read_bytes()
            if digest(content) == file.name.split(".")[1]:
                return content
        raise StoreError(f"chunk {number} in {self.path} was damaged or removed while the run went on: run again to have it anew")  # fmt: skip

    def write(self, number: int, content: bytes) -> None:
        """Keep a chunk, whole or not at all."""
        write_atomically(self.path / "chunks" / f"{number:06d}.{digest(content)}.parquet", content)

    def note(self, event: str, **facts: Any) -> None:
        """Add a line to the log."""
        line = json.dumps({"when": _now(), "event": event, **facts}, default=str)
        with (self.path / "log").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def _files(self, number: int | None = None) -> list[Path]:
        name = "*" if number is None else f"{number:06d}.*"
        return sorted(one for one in (self.path / "chunks").glob(f"{name}.parquet") if _CHUNK.fullmatch(one.name))

    def _whole(self) -> Iterator[tuple[int, bytes]]:
        for file in self._files():
            number, wanted = file.name.split(".")[:2]
            content = file.read_bytes()
            if digest(content) == wanted:
                yield int(number), content
            else:
                file.unlink()
                self.note("damaged", chunk=int(number), file=file.name)
                warnings.warn(f"{file} was damaged since it was written (its checksum does not fit): its replicates are "
                              "run again", RunWarning, stacklevel=2)  # fmt: skip

    def _failed(self, number: int, content: bytes) -> int:
        facts = facts_of(content)
        if facts["identity"] != self.identity:
            raise StoreError(f"chunk {number} in {self.path} belongs to another run (made with other settings): move it away, "
                             "or give another path")  # fmt: skip
        size = facts["stop"] - facts["start"]
        if facts["start"] != number * size:
            raise StoreError(f"chunk {number} in {self.path} holds replicates {facts['start']} to {facts['stop'] - 1}: it was "
                             "renamed; delete it and run again")  # fmt: skip
        return len(facts["failures"])


@contextmanager
def run_folder(path: str | Path, identity: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Open the folder of a run for as long as the run goes on: made if it is new, refused if it is another's.

    Parameters
    ----------
    path : str or path
    identity : mapping
        Everything that determines the results.

    Raises
    ------
    SettingError
        The folder was made with other settings (each is listed), or holds other things.
    StoreError
        Another process uses it, or its ``run.json`` was altered.
    """
    path = Path(path)
    _check_place(path)
    (path / "chunks").mkdir(parents=True, exist_ok=True)
    with _locked(path):
        for left in [*path.glob(".*.part"), *(path / "chunks").glob(".*.part")]:  # of writers that were killed
            left.unlink()
        made = read_identity(path)
        plain = as_json(identity)
        if made is None:
            facts = {"identity": plain, "sha256": sha256(plain), "made": _now(), "versions": versions()}
            write_atomically(path / "run.json", (json.dumps(facts, indent=2) + "\n").encode())
        elif made["sha256"] != sha256(plain):
            raise SettingError([setting_fault(name, ours, f"was {theirs} when {path} was made",
                                              "give the same settings to go on with that run, or another path for a new one")
                                for name, ours, theirs in differences(plain, made["identity"])])  # fmt: skip
        elif made["versions"] != (now := versions()):
            changed = ", ".join(f"{name} {made['versions'].get(name, 'absent')} -> {now.get(name, 'absent')}"
                                for name in {**made["versions"], **now} if made["versions"].get(name) != now.get(name))  # fmt: skip
            warnings.warn(f"{path} was made with other versions ({changed}): what is added to it may differ from what a "
                          "single run would have given in the last digits", RunWarning, stacklevel=2)  # fmt: skip
        folder = RunFolder(path, sha256(plain))
        folder.note("started", pid=os.getpid(), host=socket.gethostname(), versions=versions())
        yield folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the folder: the system lets it go when the process ends, however it ends."""
    with (path / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StoreError(f"{path} is in use by {_holder(file.read())}: wait until it ends or stop it; chunks that are finished "
                             "are kept") from None  # fmt: skip
        except OSError as error:
            warnings.warn(f"the file system of {path} has no locks ({error.strerror}): see to it that no second process works in "
                          "this folder", RunWarning, stacklevel=2)  # fmt: skip
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}))
        file.flush()
        yield


def _holder(text: str) -> str:
    try:
        who = json.loads(text)
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _check_place(path: Path) -> None:
    ours = {"run.json", "chunks", "log", "lock"}
    if path.exists() and not path.is_dir():
        raise SettingError([setting_fault("path", str(path), "is a file", "give a folder")])
    if path.is_dir() and not (path / "run.json").exists():
        others = sorted(one.name for one in path.iterdir() if one.name not in ours and not one.name.endswith(".part"))
        if others:
            raise SettingError([setting_fault("path", str(path), f"is no folder of a run: it holds {', '.join(others[:3])}",
                                              "give a new or an empty one")])  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
