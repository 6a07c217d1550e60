"""Heights from slopes and from pictures of known skins."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest

from sim2arm.core.gradient_table import slopes
from sim2arm.core.synthetic_tables import OPTICS, synthetic_table
from sim2arm.sensors.depth import heights_of_picture, integrate, slopes_of_picture


def bump(rows: int, cols: int, size: tuple[float, float], depth: float = 8e-4) -> np.ndarray:
    """Return a smooth dent with a radius of 2.5 mm, off the middle."""
    x = (np.arange(cols) + 0.5) / cols * size[0] - 0.55 * size[0]
    y = (np.arange(rows) + 0.5) / rows * size[1] - 0.45 * size[1]
    r2 = (x[None] ** 2 + y[:, None] ** 2) / 2.5e-3**2
    return depth * np.exp(-r2)


def test_heights_of_exact_differences_are_exact() -> None:
    """Slopes of a plane in each direction, pixels that are not square; by hand h = 2 x - 3 y."""
    g = np.broadcast_to([2.0, -3.0], (20, 30, 2))
    heights = integrate(g, (1e-4, 2e-4))
    x, y = np.arange(30) * 1e-4, np.arange(20) * 2e-4
    plane = 2.0 * x[None] - 3.0 * y[:, None]
    np.testing.assert_allclose(heights - heights[0, 0], plane - plane[0, 0], atol=1e-15)


def test_a_dent_comes_back_from_its_slopes() -> None:
    """Within 1 % of its depth, which is what smoothing by five pixels takes."""
    size = (0.02, 0.015)
    dent = bump(120, 160, size)
    found = integrate(slopes(dent, (size[0] / 160, size[1] / 120)), (size[0] / 160, size[1] / 120))
    assert np.abs(found - dent).max() < 0.01 * 8e-4


@pytest.mark.parametrize("name", OPTICS)
def test_a_dent_comes_back_from_its_picture(name: str) -> None:
    """Noise of one level: within 1 % of the depth in the mean under the dent, 3 % at most."""
    table = synthetic_table(name)
    rows, cols = (np.array(table.background.shape[:2]) // 2).tolist()
    pixel = (table.size[0] / cols, table.size[1] / rows)
    dent = bump(rows, cols, table.size)
    g = slopes(dent, pixel)
    rng = np.random.default_rng(0)
    noisy = table.picture(g) + rng.normal(0.0, 1.0, (rows, cols, 3))
    picture = np.floor(noisy.clip(0, 255) + 0.5).astype(np.uint8)
    found = heights_of_picture(table, picture)
    under = dent > 1e-4
    assert np.abs(found - dent)[under].mean() < 0.01 * 8e-4
    assert np.abs(found - dent)[under].max() < 0.03 * 8e-4
    # Beside it the skin stays where it is.
    assert np.abs(found[dent < 1e-7]).max() < 0.02 * 8e-4
    off = slopes_of_picture(table, picture) - g
    assert np.abs(off).mean() < 0.02


def test_the_background_may_be_the_one_of_today() -> None:
    table = synthetic_table("digit")
    flat = (table.background_at(60, 80) + 20.0).clip(0, 255)
    picture = np.floor(flat + 0.5).astype(np.uint8)
    assert np.abs(slopes_of_picture(table, picture, flat)).max() < 0.01
    assert np.abs(slopes_of_picture(table, picture)).max() > 0.03
    with pytest.raises(ValueError, match=r"background: expected \(60, 80, 3\), like the picture"):
        slopes_of_picture(table, picture, flat[:30])
