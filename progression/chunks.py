"""A chunk of replicates as one block of bytes: a parquet table, and what it is the result of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from progression.store import StoreError

REPLICATE = "replicate"
_KEY = b"progression"


class RunError(RuntimeError):
    """A run cannot go on: what its job does is at fault, not a single replicate."""


@dataclass(frozen=True)
class Failure:
    """A replicate that was tried, failed every time and was stepped over.

    Attributes
    ----------
    replicate : int
        Its index.
    seed : str
        The seed that gives it again.
    attempts : int
        How often it was tried by itself.
    error : str
        The last error, or how its worker ended.
    traceback : str
    """

    replicate: int
    seed: str
    attempts: int
    error: str
    traceback: str = ""


@dataclass(frozen=True, eq=False)
class Chunk:
    """What the replicates from `start` to below `stop` gave.

    Attributes
    ----------
    start, stop : int
    table : pandas.DataFrame
        Sorted by its column ``replicate``; without rows, and without other columns, where all failed.
    failures : tuple of Failure
    """

    start: int
    stop: int
    table: pd.DataFrame
    failures: tuple[Failure, ...] = ()

    def encode(self, identity: str) -> bytes:
        """Return the bytes of a parquet file that names the run (`identity`, a SHA-256) and the replicates it belongs to."""
        facts = {"identity": identity, "start": self.start, "stop": self.stop, "failures": [asdict(one) for one in self.failures]}  # fmt: skip
        try:
            made = pa.Table.from_pandas(self.table, preserve_index=False)
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise RunError(f"what the job returned does not fit into a table: {error}") from error
        made = made.replace_schema_metadata({**(made.schema.metadata or {}), _KEY: json.dumps(facts).encode()})
        out = BytesIO()
        pq.write_table(made, out, compression="zstd")
        return out.getvalue()

    @classmethod
    def decode(cls, content: bytes) -> Chunk:
        """Read what `encode` wrote; see `facts_of` for the run it belongs to."""
        facts = facts_of(content)
        table = pq.read_table(BytesIO(content)).to_pandas()
        failures = tuple(Failure(**one) for one in facts["failures"])
        return cls(facts["start"], facts["stop"], table, failures)

    @classmethod
    def joined(cls, parts: Sequence[Chunk]) -> Chunk:
        """Lay parts that follow each other end to end."""
        parts = sorted(parts, key=lambda part: part.start)
        return cls(parts[0].start, parts[-1].stop, stacked([part.table for part in parts]),
                   tuple(one for part in parts for one in part.failures))  # fmt: skip


def facts_of(content: bytes) -> dict[str, Any]:
    """What a block of bytes says of itself: identity, start, stop, failures."""
    try:
        facts: dict[str, Any] = json.loads(pq.read_schema(BytesIO(content)).metadata[_KEY])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"this is not a chunk of a run: {error}") from error
    return facts


def stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables below each other; those in which every replicate failed have no columns to tell."""
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame({REPLICATE: pd.Series(dtype="int64")})


def as_table(made: pd.DataFrame | Mapping[str, Any], indices: Sequence[int]) -> pd.DataFrame:
    """Check what a job returned for some replicates, and sort it by them.

    Parameters
    ----------
    made : pandas.DataFrame or mapping of str to array of one dimension
        One row a replicate in the order of `indices`; or any number of rows a replicate, with the column ``replicate``.
    indices : sequence of int

    Raises
    ------
    RunError
        Where rows cannot be told apart, or a replicate has none.
    """
    if not isinstance(made, pd.DataFrame | Mapping):
        raise RunError(f"the job returned a {type(made).__name__}: it must return a DataFrame or a dict of arrays")
    try:
        table = pd.DataFrame(made).reset_index(drop=True)
    except ValueError as error:
        raise RunError(f"the arrays that the job returned do not make a table: {error}; give arrays of one dimension, "
                       "of one length") from error  # fmt: skip
    if REPLICATE not in table:
        if len(table) != len(indices):
            raise RunError(f"the job returned {len(table)} rows for {len(indices)} replicates: give one row each, or the column "
                           f"{REPLICATE!r} that says whose each row is")  # fmt: skip
        table.insert(0, REPLICATE, list(indices))
    odd = sorted(set(indices) ^ set(table[REPLICATE]))
    if odd:
        raise RunError(f"the job was asked for replicates {indices[0]} to {indices[-1]}, and its rows differ from that in "
                       f"{', '.join(map(str, odd[:5]))}: give every replicate asked for at least one row, and no other")  # fmt: skip
    first = table.pop(REPLICATE).astype("int64")
    table.insert(0, REPLICATE, first)
    return table.sort_values(REPLICATE, kind="stable", ignore_index=True)
