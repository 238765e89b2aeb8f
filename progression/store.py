"""Files that are whole or absent: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr


def write_atomically(path: str | Path, content: bytes) -> Path:
    """Write `content` so that `path` holds either all of it or what it held before, even if the machine stops half-way."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _flush_names(path.parent)
    return path


def _flush_names(folder: Path) -> None:
    """Bring a new name to the disk, where the file system can: else a power cut may leave the old one."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


class StoreError(RuntimeError):
    """A file is missing, torn, altered, or not what it was taken for."""


def refuse_foreign(path: str | Path, kind: str) -> None:
    """Leave a file alone that is there and is of another kind: a table given for a result by a slip of the hand would be gone.

    A fit that is torn, or a page of HTML, is written over.

    Parameters
    ----------
    path : str or Path
    kind : {"fit", "report"}
        What is to be written.

    Raises
    ------
    StoreError
    """
    path = Path(path)
    try:
        if not path.is_file() or not path.stat().st_size:
            return
    except OSError:  # no name that a file can have: whoever writes says so
        return
    with path.open("rb") as file:
        begin = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    same = begin.startswith((b"<!doctype html", b"<html")) if kind == "report" else begin.startswith(b"\x89hdf")
    if same and kind == "fit":
        with contextlib.suppress(Exception), xr.open_dataset(path, engine="h5netcdf") as opened:
            same = opened.attrs.get("kind") == kind
    if not same:
        raise StoreError(
            f"{path} is there, and is no {kind}: nothing was written. Choose another name, or remove it first"
        )


def write_tree(path: str | Path, tree: xr.DataTree) -> Path:
    """Write a tree of datasets to one netCDF file, atomically, with a checksum of all its contents.

    Attributes must be strings or numbers: netCDF holds no mappings.

    Raises
    ------
    StoreError
        It cannot be written; what was at `path` is still there.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise StoreError(f"the folder of {path} does not exist: make it first")
    marked = tree.copy()
    marked.attrs = {**tree.attrs, "checksum": checksum(tree)}
    encoding = {
        f"/{name}": {key: {"zlib": True, "complevel": 2} for key, v in node.data_vars.items() if v.dtype.kind in "fiub" and v.ndim}
        for name, node in tree.children.items()
    }  # fmt: skip
    # In memory first: HDF5 does not survive a disk that is full, and takes the process with it.
    content = bytes(marked.to_netcdf(engine="h5netcdf", encoding=encoding))
    try:
        return write_atomically(path, content)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error}; nothing is changed there, so free space or choose another place "
                         "and save again") from error  # fmt: skip


def read_tree(path: str | Path, *, kind: str) -> xr.DataTree:
    """Read a tree that `write_tree` wrote, into memory, after checking that it is whole.

    Raises
    ------
    StoreError
        With what is wrong and what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError(f"there is no file {path}")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
    except Exception as error:  # what a torn file makes the readers below raise is without end
        raise StoreError(f"{path} cannot be read as a {kind}: {error}; write it again") from error
    if tree.attrs.get("kind") != kind:
        raise StoreError(f"{path} is not a {kind} that progression saved (kind: {tree.attrs.get('kind')!r})")
    if tree.attrs.get("checksum") != checksum(tree):
        raise StoreError(f"{path} was altered or torn since it was saved: its checksum does not fit; write it again")
    return tree


def checksum(tree: xr.DataTree) -> str:
    """SHA-256 over names, dims, types and values of every variable, and over the attributes but the checksum itself."""
    digest = hashlib.sha256()
    attrs = {key: str(value) for key, value in tree.attrs.items() if key != "checksum"}
    digest.update(json.dumps(attrs, sort_keys=True).encode())
    for name, node in sorted(tree.children.items()):
        dataset = node.to_dataset()
        for key in sorted(map(str, dataset.variables)):
            variable = dataset.variables[key]
            values = np.asarray(variable.to_numpy())
            digest.update(f"{name}/{key}{variable.dims}{values.shape}".encode())
            if values.dtype.kind in "OUST":
                digest.update("\x00".join(map(str, values.ravel())).encode())
            else:
                digest.update(np.ascontiguousarray(values, dtype=float).tobytes())
    return digest.hexdigest()
