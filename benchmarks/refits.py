"""The same trial fitted again and again with new seeds: how far posterior means scatter; called by engines.py.

    python refits.py nuts|marginal OUT.json CORES TUNE DRAWS TIMES TRIAL.csv

Effective draws estimated from draws alone can flatter an engine whose draws repeat each other. Scatter between fits
cannot: its square is the variance of the answer, whatever made it.
"""

import json
import sys
import warnings
from pathlib import Path

from one_fit import progression_fit


def main() -> None:
    """Fit, and write means and SDs of the effect."""
    warnings.simplefilter("ignore")
    engine, out = sys.argv[1], Path(sys.argv[2])
    cores, tune, draws, times = (int(text) for text in sys.argv[3:7])
    fit = progression_fit(engine)
    found = [fit(sys.argv[7], draws, tune, cores, 1000 + k) for k in range(times)]
    out.write_text(json.dumps({"mean": [float(x.mean()) for x in found], "sd": [float(x.std()) for x in found]}))


if __name__ == "__main__":
    main()
