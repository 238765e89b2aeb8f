"""Directives that write tables from the models themselves, so that no page can contradict the code."""

import inspect
import string
from typing import ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

import progression as pg
from progression import gate


class _Words(dict):
    """Fields of a label: the known ones filled in, the others as words."""

    def __missing__(self, key: str) -> str:
        return f"*{key}*"


class _Labels(string.Formatter):
    def format_field(self, value, spec):
        return str(value) if isinstance(value, str) else super().format_field(value, spec)


def in_words(template: str, estimand: pg.Estimand, model: pg.Model) -> str:
    unit = model.outcomes[0].unit
    return _Labels().vformat(template, (), _Words(unit=unit, **estimand.at))


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]


class _Page(SphinxDirective):
    """Text in Markdown, parsed where it stands."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        box = nodes.container()
        made = StringList(self.lines(), source=self.get_source_info()[0])
        self.state.nested_parse(made, self.content_offset, box)
        return box.children

    @property
    def model(self) -> pg.Model:
        found = pg.models()[self.arguments[0]]
        self.env.note_dependency(inspect.getsourcefile(found.program))
        return found

    def lines(self) -> list[str]:
        raise NotImplementedError


class ModelList(_Page):
    def lines(self):
        rows = [[f"[`{name}`](models/{name}.md)", outcomes, f"`{primary}`", title]
                for name, outcomes, primary, title in pg.models().rows()]  # fmt: skip
        return table(["model", "outcomes", "primary estimand", "what it is"], rows)


class ModelPriors(_Page):
    def lines(self):
        rows = [[f"`{name}`", f"`{prior!r}`"] for name, prior in self.model.priors.items()]
        text = table(["parameter", "default prior"], rows)
        for name, replaced in self.model.presets.items():
            text += ["", f"The preset `{name}` replaces:", ""]
            text += table(["parameter", "prior"], [[f"`{key}`", f"`{prior!r}`"] for key, prior in replaced.items()])
        return [*text, "", 'Replace any of them: `pg.fit(..., priors={"name": pg.Prior(...)})`.']


class ModelEstimands(_Page):
    asked_of: ClassVar = {
        "control": "cohorts with controls",
        "no control": "cohorts without controls",
        "any": "any cohort",
    }

    def lines(self):
        rows = [[f"`{one.name}`", in_words(one.unit, one, self.model) or "ratio", one.benefit or "not stated",
                 "–" if one.null is None else f"{one.null:g}", one.reference, one.population, self.asked_of[one.requires]]
                for one in self.model.estimands]  # fmt: skip
        text = table(["name", "unit", "benefit", "no effect", "reference", "population", "for"], rows)
        text += ["", "The first is the primary one. As their labels say:", ""]
        for one in self.model.estimands:
            text += [f"- `{one.name}`: {in_words(one.label, one, self.model)}."]
            if one.at:
                text += [
                    f"  Asked at `{', '.join(f'{key}={value:g}' for key, value in one.at.items())}` unless another is given."
                ]
            if one.assumption:
                text += [f"  Rests on: {one.assumption}."]
        return text


class ModelProgram(SphinxDirective):
    required_arguments = 1

    def run(self):
        program = pg.models()[self.arguments[0]].program
        self.env.note_dependency(inspect.getsourcefile(program))
        source = inspect.getsource(program)
        source = source[source.index(f"def {program.__name__}") :]
        return [nodes.literal_block(source, source, language="python")]


class ModelReference(_Page):
    def lines(self):
        return [self.model.reference + "."]


class GateTable(_Page):
    def lines(self):
        rows = [
            ["R-hat", f"at most {gate.MAX_RHAT:g}", "Vehtari et al. 2021"],
            [
                "effective sample size, bulk and tail",
                f"at least {gate.MIN_ESS_PER_CHAIN} a chain",
                "Vehtari et al. 2021",
            ],
            ["divergences", "none", "Betancourt 2016"],
            ["draws at the greatest tree depth", "none", ""],
            ["E-BFMI, each chain", f"at least {gate.MIN_BFMI:g}", "Betancourt 2016"],
            ["chains", "at least 2, and all draws that were asked for", ""],
        ]
        return table(["what is read", "threshold", "source"], rows)


def setup(app):
    for name, directive in {"model-list": ModelList, "model-priors": ModelPriors, "model-estimands": ModelEstimands,
                            "model-program": ModelProgram, "model-reference": ModelReference,
                            "gate-table": GateTable}.items():  # fmt: skip
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "version": "1"}
