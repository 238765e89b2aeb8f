"""The drift sweep: wider with every scale, on one arm by the drift's prior alone."""

from __future__ import annotations

import numpy as np
import pytest

import progression as pg
from progression import plots
from progression.faults import CohortError, SettingError
from tests.test_borrowing import trial


@pytest.mark.slow
@pytest.mark.parametrize("single", [True, False])
def test_width_grows_with_the_scale(single: bool) -> None:
    wide = {"slope_effect": pg.Prior("Normal", mu=0, sigma=5)}  # else the prior of the effect speaks of the drift too
    found = pg.drift_sweep("als_slope", trial(single=single, n=40), scales=(0.02, 0.3, 1.0), priors=wide, random_seed=1)
    width = found.table["upper"] - found.table["lower"]
    assert (np.diff(width) > 0).all() and found.single_arm is single
    if single:
        assert width.iloc[1] == pytest.approx(np.hypot(width.iloc[0], 2 * 1.96 * 0.3), rel=0.12)
    else:
        assert width.iloc[2] < 1.5 * width.iloc[0]  # concurrent controls say how large the drift is
    figure = plots.sweep(found)
    texts = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert ("no concurrent controls" in texts) is single
    assert "SIMULATED" in " ".join(text.get_text() for text in figure.texts) and "treated minus" in repr(found)


def test_what_cannot_be_swept_is_refused() -> None:
    with pytest.raises(SettingError, match="empty"):
        pg.drift_sweep("als_slope", trial(), scales=())
    with pytest.raises(CohortError, match="historical"):
        pg.drift_sweep("als_slope", trial().select("arm != 'historical control'"))
