"""Where PyTensor keeps machine code: a folder of this session where the user's own cannot be written.

PyTensor makes ``~/.pytensor`` when it is imported, and fails to import where it cannot: in a container whose home is
read-only, for a user without a home, on a full disk. This room uses nothing but the standard library, since it is
asked before anything else is imported.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

__all__ = ["make_sure_of_compile_folder"]


def make_sure_of_compile_folder() -> None:
    """Where PyTensor could not write, give it a temporary folder, and say so once; workers inherit it.

    A folder named in ``PYTENSOR_FLAGS`` or a file of settings is the user's choice and is left alone. The temporary one
    is made for this process with rights for its user only, since code is run from it, and removed at its end.
    """
    flags = os.environ.get("PYTENSOR_FLAGS", "")
    home = Path(os.environ.get("HOME") or Path.home())
    if (
        "pytensor" in sys.modules
        or "compiledir" in flags
        or "PYTENSORRC" in os.environ
        or _is_file(home / ".pytensorrc")
    ):
        return
    folder = home / ".pytensor"
    reason = _refusal(folder)
    if reason is None:
        return
    made, owner = tempfile.mkdtemp(prefix="progression-compiled-"), os.getpid()
    os.environ["PYTENSOR_FLAGS"] = ",".join([*filter(None, [flags]), f"base_compiledir={made}"])
    atexit.register(lambda: shutil.rmtree(made, ignore_errors=True) if os.getpid() == owner else None)
    warnings.warn(
        f"compiled code cannot be kept in {folder} ({reason}): this session compiles anew, in {made}. To keep it, set "
        "PYTENSOR_FLAGS=base_compiledir=<a folder that can be written>",
        RuntimeWarning, stacklevel=2,
    )  # fmt: skip


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _refusal(folder: Path) -> str | None:
    """Why nothing can be written in a folder, or in those of PyTensor's builds within it; None if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        closed = [
            one for one in (folder, *folder.glob("compiledir_*")) if not os.access(one, os.R_OK | os.W_OK | os.X_OK)
        ]
    except OSError as error:
        return error.strerror or str(error)
    return f"{closed[0]} is not writable" if closed else None
