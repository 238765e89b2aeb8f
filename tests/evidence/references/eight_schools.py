"""Eight schools (Rubin 1981) by SciPy: mu ~ Normal(0, 5), tau ~ HalfCauchy(5), exact but for one integral over tau.

python -m tests.evidence.references.eight_schools
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from tests.evidence.references.results import write_reference

EFFECT = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
ERROR = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])


def main() -> None:
    """Given tau, effects are normal with a normal mean; u = 2 atan(tau / 5) / pi is uniform a priori."""
    node, weight = np.polynomial.legendre.leggauss(2000)
    tau = 5 * np.tan(np.pi * (node + 1) / 4)
    variance = ERROR**2 + tau[:, None] ** 2
    precision = 1 / 25 + (1 / variance).sum(axis=1)
    mu, mu_variance = (EFFECT / variance).sum(axis=1) / precision, 1 / precision
    log = (
        stats.norm.logpdf(EFFECT, 0, np.sqrt(variance)).sum(axis=1)
        + 0.5 * mu**2 * precision
        - 0.5 * np.log(25 * precision)
    )
    weight = weight * np.exp(log - log.max())
    weight /= weight.sum()
    share = tau**2 / variance[:, 0]  # of theta_1 that its own data decide
    one, one_variance = mu + share * (EFFECT[0] - mu), ERROR[0] ** 2 * share + (1 - share) ** 2 * mu_variance
    quantities = {}
    for name, mean, own in (("mu", mu, mu_variance), ("tau", tau, 0 * tau), ("theta[1]", one, one_variance)):
        total = weight @ mean
        sd = float(np.sqrt(weight @ (own + (mean - total) ** 2)))
        quantities[f"{name}, mean"] = {"value": float(total), "scale": sd}
        quantities[f"{name}, SD"] = {"value": sd, "scale": sd}
    write_reference("eight_schools", "quadrature", "2,000-point Gauss-Legendre over tau, NumPy", quantities)


if __name__ == "__main__":
    main()
