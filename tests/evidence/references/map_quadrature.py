"""The meta-analytic-predictive prior of the eight ankylosing spondylitis trials, by sums over grids with NumPy alone.

    python -m tests.evidence.references.map_quadrature

Responses are binomial, logits Normal(mu, tau), mu ~ Normal(0, 2), tau ~ HalfNormal(1) or HalfNormal(0.5).
"""

from __future__ import annotations

import numpy as np
from scipy import integrate, special, stats

from tests.evidence.references.results import write_reference

N = np.array([107, 44, 51, 39, 139, 20, 78, 35])
R = np.array([23, 12, 19, 9, 39, 6, 9, 10])
_SHARES = (0.025, 0.5, 0.975)


def likelihood(mu: np.ndarray, tau: float) -> np.ndarray:
    """Log marginal likelihood of all studies, (means,): Hermite's rule where tau is small, Simpson's where it is not."""
    if tau < 0.1:
        z, w = np.polynomial.hermite_e.hermegauss(61)
        theta = mu[:, None] + tau * z
        each = np.exp(stats.binom.logpmf(R[:, None, None], N[:, None, None], special.expit(theta))) @ (w / w.sum())
        return np.log(each).sum(axis=0)
    theta = np.linspace(-8, 6, 5601)
    each = np.exp(stats.binom.logpmf(R[:, None], N[:, None], special.expit(theta)))
    kernel = stats.norm.pdf(theta, mu[:, None], tau)
    return sum(np.log(integrate.simpson(kernel * one, x=theta, axis=1)) for one in each)


def main() -> None:
    """Both priors of tau from the same likelihood."""
    mu = np.linspace(-4, 2, 301)
    node, node_weight = np.polynomial.legendre.leggauss(120)
    tau = 2.25 * (node + 1)
    log = np.array([likelihood(mu, t) for t in tau]) + stats.norm.logpdf(mu, 0, 2)
    z, w = np.polynomial.hermite_e.hermegauss(41)
    logits = np.linspace(-9, 7, 3201)
    quantities = {}
    for scale in (1.0, 0.5):
        weight = np.exp(log - log.max()) * (stats.halfnorm.pdf(tau, scale=scale) * node_weight)[:, None]
        weight /= weight.sum()
        of_mu, of_tau = weight.sum(axis=0), weight.sum(axis=1)
        rate = special.expit(mu[:, None] + tau[:, None, None] * z)
        mean = float((weight * (rate @ (w / w.sum()))).sum())
        sd = float(np.sqrt((weight * ((rate - mean) ** 2 @ (w / w.sum()))).sum()))
        below = sum((special.ndtr((logits[:, None] - mu) / t) @ own) for t, own in zip(tau, weight, strict=True))
        found = {"mu": (of_mu @ mu, np.sqrt(of_mu @ (mu - of_mu @ mu) ** 2)),
                 "tau": (of_tau @ tau, np.sqrt(of_tau @ (tau - of_tau @ tau) ** 2)), "new study": (mean, sd)}  # fmt: skip
        for name, (m, s) in found.items():
            quantities[f"tau ~ HalfNormal({scale:g}): {name}, mean"] = {"value": float(m), "scale": float(s)}
            quantities[f"tau ~ HalfNormal({scale:g}): {name}, SD"] = {"value": float(s), "scale": float(s)}
        for share in _SHARES:
            at = float(special.expit(np.interp(share, below, logits)))
            quantities[f"tau ~ HalfNormal({scale:g}): new study, {share:.1%}"] = {"value": at, "scale": sd}
    write_reference("map_quadrature", "quadrature", "sums over 120 x 301 points, NumPy", quantities)


if __name__ == "__main__":
    main()
