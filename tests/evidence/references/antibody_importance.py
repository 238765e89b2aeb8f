"""als_antibody with its default priors, by NumPy and SciPy alone: each onset integrated over its interval.

    python -m tests.evidence.references.antibody_importance

Given the onset a patient's scores are multivariate normal, smooth in it between two visits. Onsets are looked for at every visit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import special, stats

from tests.evidence.references import importance, simulated
from tests.evidence.references.results import write_reference

_NODES = 8
_BLOCK = 1000
NAMES = importance.LINES | {"effect_before": "real", "effect_after": "real", "share_converting": "share", "median_onset": "positive",
                            "onset_shape": "positive"}  # fmt: skip


class Trial:
    """Scores of controls, of converters at each node of their interval, and of those who stay negative."""

    def __init__(self) -> None:
        table = simulated.read("antibody")
        self.month = np.sort(table["time"].unique())
        scores = table.pivot(index="subject", columns="time", values="alsfrsr")
        assert scores.notna().all(axis=None)
        facts = table.groupby("subject").first().reindex(scores.index)
        on, seen = facts["arm"] == "treated", np.isfinite(facts["onset_upper"])
        self.control, self.negative, self.converter = (
            scores[which].to_numpy() for which in (~on, on & ~seen, on & seen)
        )
        assert (facts.loc[on & ~seen, "onset_lower"] == self.month[-1]).all()
        lower, upper = (facts.loc[on & seen, f"onset_{end}"].to_numpy()[:, None] for end in ("lower", "upper"))
        node, weight = np.polynomial.legendre.leggauss(_NODES)
        self.onset = lower + (upper - lower) * (node + 1) / 2  # (converters, nodes)
        self.log_weight = np.log(weight * (upper - lower) / 2)
        self.without = np.minimum(self.month, self.onset[..., None])  # months without antibodies until each visit

    def log_density(self, p: Mapping[str, np.ndarray]) -> np.ndarray:
        """In blocks: every converter at every node takes room."""
        cuts = range(0, len(p["mean_level"]), _BLOCK)
        return np.concatenate([self._block({name: values[i : i + _BLOCK] for name, values in p.items()}) for i in cuts])

    def _block(self, p: Mapping[str, np.ndarray]) -> np.ndarray:
        v = importance.lines(p, self.month)
        inverse, log_determinant = np.linalg.inv(v), np.linalg.slogdet(v)[1]
        line = p["mean_level"][:, None] + p["mean_slope"][:, None] * self.month
        before, after = (p[f"effect_{when}"] for when in ("before", "after"))

        def normal(off: np.ndarray) -> np.ndarray:  # (points, ..., visits) to (points, ...)
            square = np.einsum("p...j,pjk,p...k->p...", off, inverse, off, optimize=True)
            return -0.5 * (square + log_determinant.reshape(-1, *(1,) * (square.ndim - 1)))

        total = normal(self.control - line[:, None]).sum(axis=1)
        total += normal(self.negative - (line + before[:, None] * self.month)[:, None]).sum(axis=1)
        four = before[:, None, None, None], after[:, None, None, None]
        gained = four[0] * self.without + four[1] * (self.month - self.without)
        scale = p["median_onset"] / np.log(2) ** (1 / p["onset_shape"])
        onset = stats.weibull_min(p["onset_shape"][:, None, None], scale=scale[:, None, None]).logpdf(self.onset)
        given = normal(self.converter[:, None] - line[:, None, None] - gained)
        total += special.logsumexp(given + onset + self.log_weight, axis=2).sum(axis=1)
        total += self.converter.shape[0] * np.log(p["share_converting"])
        late = p["share_converting"] * 0.5 ** ((self.month[-1] / p["median_onset"]) ** p["onset_shape"])
        total += self.negative.shape[0] * np.log(1 - p["share_converting"] + late)
        prior = (stats.norm.logpdf(before, 0, 0.5) + stats.norm.logpdf(after, 0, 0.5) + stats.lognorm.logpdf(p["median_onset"], 1, scale=np.e)
                 + stats.lognorm.logpdf(p["onset_shape"], 0.5, scale=np.exp(0.3)))  # fmt: skip
        return total + prior + importance.of_lines(p)


def main() -> None:
    """Eleven parameters; the share who convert has a uniform prior."""
    start = [*importance.LINES_START, 0.3, 0.0, special.logit(0.8), np.log(3.0), 0.3]
    spread = [*importance.LINES_SPREAD, 0.2, 0.1, 0.4, 0.15, 0.12]
    found = importance.quantities(Trial().log_density, NAMES, start, spread, draws=20_000)
    write_reference(
        "antibody", "same priors", f"importance sampling, onsets by {_NODES}-point Gauss-Legendre, NumPy", found
    )


if __name__ == "__main__":
    main()
