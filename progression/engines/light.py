"""nutpie without the half second of plotting code that it imports by importing all of ArviZ.

nutpie uses ArviZ for one call, when it hands over its draws. Until then a stand-in takes ArviZ's place, which loads the
real package when anything is asked of it; whoever imports ArviZ afterwards gets the real package.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module("arviz"), name)


def import_nutpie() -> ModuleType:
    """Import nutpie; ArviZ is not loaded by it unless it was already."""
    if "arviz" in sys.modules or "nutpie" in sys.modules:
        return importlib.import_module("nutpie")
    stand_in = _Later("arviz")
    stand_in.__spec__ = importlib.util.find_spec("arviz")
    sys.modules["arviz"] = stand_in
    try:
        return importlib.import_module("nutpie")
    finally:
        if sys.modules.get("arviz") is stand_in:
            del sys.modules["arviz"]


nutpie = import_nutpie()
CompiledModel = importlib.import_module("nutpie.sample").CompiledModel  # `nutpie.sample` itself is the function
