"""Names -> models: the installed shelves, plus what a user registers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from progression.faults import Fault, SettingError, suggest
from progression.modeling import Model

GROUP = "progression.models"
Screen = Callable[..., Any]
_registered: dict[str, Model] = {}


class Models(Mapping[str, Model]):
    """Models by name; prints as a table."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = dict(sorted(models.items()))

    def __getitem__(self, name: str) -> Model:
        try:
            return self._models[name]
        except KeyError:
            fault = Fault(what=f"there is no such model{suggest(name, self._models)}",
                          remedy="use a name from pg.models(), or give the model itself", value=name,
                          column="model", table="setting")  # fmt: skip
            raise SettingError([fault]) from None

    def __contains__(self, name: object) -> bool:
        return name in self._models

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Name, outcomes, primary estimand and title of each model."""
        return [
            (
                name,
                ", ".join(o.name for o in one.outcomes),
                one.estimands[0].name if one.estimands else "",
                one.title,
            )
            for name, one in self._models.items()
        ]

    def __repr__(self) -> str:
        table = [("model", "outcomes", "primary estimand", "what it is"), *self.rows()]
        widths = [max(len(row[i]) for row in table) for i in range(3)]
        lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]) for row in table]
        return "\n".join([lines[0], "-" * min(110, max(map(len, lines))), *lines[1:]])

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows())
        head = "".join(f"<th>{cell}</th>" for cell in ("model", "outcomes", "primary estimand", "what it is"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def models() -> Models:
    """All models that can be used by name, from the installed shelves and from `register`.

    A shelf is an installed package that declares an entry point in the group ``progression.models`` naming a module;
    every `Model` in that module's ``__all__`` (or namespace) is on it. A shelf that fails to load is warned about and
    skipped.
    """
    return Models({**_shelves(), **_registered})


def register(model: Model) -> Model:
    """Make a model usable by name. Registering it again, as when a notebook cell is run twice, replaces it.

    Raises
    ------
    SettingError
        If the name belongs to a model of an installed shelf.
    """
    if not isinstance(model, Model):
        fault = Fault(what="this is not a Model", remedy="decorate the program with @pg.model(...)", value=model,
                      table="setting")  # fmt: skip
        raise SettingError([fault])
    if model.name in _shelves():
        fault = Fault(what=f"the name {model.name!r} belongs to a model of an installed shelf",
                      remedy="give yours another name: @pg.model(name=...)", value=model.name,
                      table="setting")  # fmt: skip
        raise SettingError([fault])
    _registered[model.name] = model
    return model


def resolve(model: str | Model) -> Model:
    """The model itself, given it or its name."""
    return model if isinstance(model, Model) else models()[model]


def shelved(model: Model) -> bool:
    """Whether a model is that of an installed shelf, which every process finds by its name; one that was registered is in this one only."""
    return _shelves().get(model.name) is model


@cache
def screens() -> dict[str, Screen]:
    """Closed forms of power by model, from the mapping ``SCREENS`` of the shelves that have one; see `progression_models.screens`."""
    found: dict[str, Screen] = {}
    for point in entry_points(group=GROUP):
        with suppress(Exception):  # a shelf that does not load is warned about where its models are
            found |= {name: one for name, one in getattr(point.load(), "SCREENS", {}).items() if name not in found}
    return found


@cache
def _shelves() -> dict[str, Model]:
    found: dict[str, Model] = {}
    # The shelf that comes with the package first, so that nobody else's can take its names.
    for point in sorted(entry_points(group=GROUP), key=lambda one: (one.value != "progression_models", one.value)):
        try:
            shelf = point.load()
            names = getattr(shelf, "__all__", None) or vars(shelf)
            members = [value for value in (getattr(shelf, name) for name in list(names)) if isinstance(value, Model)]
        except Exception as error:  # somebody else's package: whatever it raises must not stop ours
            warnings.warn(f"the shelf of models {point.value!r} cannot be loaded and is skipped: {error}", stacklevel=3)
            continue
        for one in members:
            if one.name in found and found[one.name] is not one:
                warnings.warn(f"two shelves have a model {one.name!r}; the one in {point.value!r} is skipped",
                              stacklevel=3)  # fmt: skip
                continue
            found[one.name] = one
    return found
