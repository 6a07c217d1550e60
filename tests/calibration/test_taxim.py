"""Files of Taxim as gradient tables: the defects of programs that use them as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sim2arm.calibration.taxim import across_picture, convert_taxim
from sim2arm.core.gradient_table import GradientTable

ROWS, COLS = 24, 32
SIZE = (0.032, 0.024)
Floats = npt.NDArray[np.float64]


def make_file(path: Path, count: int = 125, offset: float = 0.0, **overrides: Any) -> Path:
    """Write a table whose channels are 40 sin(angle) cos(direction - phase) + offset."""
    angle = (np.arange(count) + 0.5) * 0.5 * np.pi / (count - 1)
    turn = (np.arange(count) + 0.5) * 2.0 * np.pi / (count - 1) - np.pi
    arrays: dict[str, Any] = {"bins": np.array(count)}
    for name, phase in zip("rgb", (0.0, 2.0, 4.0), strict=True):
        grad = np.zeros((count, count, 6))
        grad[..., 5] = 40.0 * np.sin(angle)[:, None] * np.cos(turn - phase)[None] + offset
        arrays[f"grad_{name}"] = grad
    np.savez(path, **(arrays | overrides))
    return path


def convert(path: Path, **overrides: Any) -> GradientTable:
    background = np.full((ROWS, COLS, 3), 120, np.uint8)
    values: dict[str, Any] = {"channels": "rgb", "size": SIZE, "sensor": "gel", "licence": "MIT"}
    return convert_taxim(path, background, **(values | overrides))


def slopes_around(length: float) -> Floats:
    angle = np.radians(np.arange(-180.0, 180.0, 5.0))
    return length * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def expected(g: Floats) -> Floats:
    """sin(atan |g|) cos(direction - phase), without the table."""
    direction = np.arctan2(g[:, 1], g[:, 0])
    rise = np.sin(np.arctan(np.linalg.norm(g, axis=-1)))
    return 40.0 * rise[:, None] * np.cos(direction[:, None] - np.array([0.0, 2.0, 4.0]))


@pytest.mark.parametrize("bins", [120, 125])
def test_the_file_says_how_many_bins_there_are(tmp_path: Path, bins: int) -> None:
    """Read with 120 bins, 125 turn the light by up to 5 / 124 of a turn, 14.5 degrees: 5 levels."""
    table = convert(make_file(tmp_path / "p.npz", bins))
    g = slopes_around(0.6)
    np.testing.assert_allclose(table.evaluate(g, 0.3, 0.2), expected(g), atol=0.2)
    turned = np.radians(14.5) * 40.0 * np.sin(np.arctan(0.6))
    assert turned > 25 * 0.2


def test_there_is_no_seam(tmp_path: Path) -> None:
    table = convert(make_file(tmp_path / "p.npz"))
    just_above, just_below = table.evaluate([[-0.5, 1e-9], [-0.5, -1e-9]], 0.0, 0.0)
    np.testing.assert_allclose(just_above, just_below, atol=1e-6)


def test_a_flat_gel_is_the_background(tmp_path: Path) -> None:
    """A table that makes a flat gel 24.6 levels darker renders the background and right colours."""
    table = convert(make_file(tmp_path / "p.npz", offset=-24.6))
    np.testing.assert_array_equal(table.picture(np.zeros((ROWS, COLS, 2))), 120)
    g = slopes_around(0.6)
    np.testing.assert_allclose(table.evaluate(g, 0.3, 0.2), expected(g), atol=0.2)


def test_channels_are_declared(tmp_path: Path) -> None:
    path, g = make_file(tmp_path / "p.npz"), slopes_around(0.6)
    as_named, swapped = convert(path), convert(path, channels="bgr")
    np.testing.assert_array_equal(as_named.coefficients[:, :, ::-1], swapped.coefficients)
    np.testing.assert_allclose(swapped.evaluate(g, 0.0, 0.0)[:, 2], expected(g)[:, 0], atol=0.2)
    assert "read as bgr" in swapped.source
    with pytest.raises(ValueError, match="channels: expected rgb or bgr, got 'hsv'"):
        convert(path, channels="hsv")


def test_tables_are_single_precision(tmp_path: Path) -> None:
    """The file keeps doubles: 125^2 x 18 x 8 bytes; 65^2 x 18 x 4 are an eighth of that."""
    path = make_file(tmp_path / "p.npz")
    table = convert(path)
    assert table.coefficients.dtype == np.float32
    assert table.coefficients.nbytes == 304_200 < path.stat().st_size / 7


def test_polynomials_of_pixels_become_those_of_the_picture() -> None:
    u, v = 5.0, 17.0  # a pixel
    x, y = (2 * u + 1) / COLS - 1, (2 * v + 1) / ROWS - 1
    pixels = np.random.default_rng(0).normal(size=6)
    inside = pixels @ across_picture(ROWS, COLS)
    by_pixel = pixels @ [u * u, v * v, u * v, u, v, 1.0]
    assert inside @ [x * x, y * y, x * y, x, y, 1.0] == pytest.approx(by_pixel)


def test_places_in_the_picture_count(tmp_path: Path) -> None:
    """A channel that changes by one level per column where the skin faces it."""
    bins = 31
    grad = np.zeros((bins, bins, 6))
    grad[1:, :, 3] = 1.0
    table = convert(make_file(tmp_path / "p.npz", bins, grad_r=grad))
    x = (2 * np.arange(COLS) + 1) / COLS - 1
    change = table.evaluate(np.broadcast_to([0.0, 3.0], (COLS, 2)), x, 0.0)
    np.testing.assert_allclose(np.diff(change[:, 0]), 1.0, atol=1e-4)
    assert change[0, 0] == pytest.approx(0.0, abs=1e-4)


def test_what_is_no_table_of_taxim_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    with pytest.raises(ValueError, match=r"p\.npz: cannot be read: No such file"):
        convert(path)
    path.write_text("no archive")
    with pytest.raises(ValueError, match=r"p\.npz: not an npz file"):
        convert(path)
    np.savez(path, bins=np.array(5))
    with pytest.raises(ValueError, match="missing: grad_r, grad_g, grad_b"):
        convert(path)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"bins": np.array(120)}, r"grad_r: expected \(120, 120, 6\), as bins says, got \(125"),
        ({"bins": np.array([1, 2])}, "bins: expected a number of 3 or more"),
        ({"grad_g": np.full((125, 125, 6), np.nan)}, "grad_g: contains numbers that are not"),
        ({"grad_b": np.array([{}], dtype=object)}, "not an npz file of plain arrays"),
    ]
    for change, message in wrong:
        with pytest.raises(ValueError, match=message) as caught:
            convert(make_file(path, **change))
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"background: expected \(rows, cols, 3\)"):
        convert_taxim(path, np.zeros((4, 4)), channels="rgb", size=SIZE, sensor="a", licence="b")
