"""Shadows of dents: against NumPy in double precision, and what one light must leave dark."""

# pyright: standard

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from sim2arm.core.gradient_table import forms, normal, places, slopes
from sim2arm.core.synthetic_tables import OPTICS, GelOptics, brightness, table_of
from sim2arm.sim.tactile.distance import DistanceGrid
from sim2arm.sim.tactile.gel_camera import GelCamera
from sim2arm.sim.tactile.gel_cfg import GelCfg
from sim2arm.sim.tactile.gel_shadows import HALF_WIDTH_DEG, GelShadows

GEL = GelCfg(rows=96, cols=128, pixel=6.3e-5)
SIZE, GROWTH = 4, 1.15
LIT = replace(OPTICS["gelsight-mini"], rows=GEL.rows, cols=GEL.cols)
Floats = npt.NDArray[np.floating]


def make(
    grid: DistanceGrid, optics: GelOptics, count: int = 1, *, smooth: bool = True
) -> tuple[GelCamera, GelShadows]:
    table, cfg = table_of(optics, "x"), replace(GEL, smooth=smooth)
    given = table.coefficients, table.background_at(GEL.rows, GEL.cols)
    camera = GelCamera(cfg, [grid], count, *given, device=torch.device("cpu"))
    return camera, GelShadows(camera, optics.lights)


def bilinear(grid: Floats, row: Floats, col: Floats) -> Floats:
    """Return values of a grid, its rim repeated."""
    r, c = np.floor(row).astype(int), np.floor(col).astype(int)
    found = np.zeros(np.broadcast(row, col).shape)
    for i, j in np.ndindex(2, 2):
        share = np.abs(1 - i - (row - r)) * np.abs(1 - j - (col - c))
        found += share * grid[(r + i).clip(0, len(grid) - 1), (c + j).clip(0, grid.shape[1] - 1)]
    return found


def hidden(heights: Floats, light: Any) -> Floats:
    """Return how much of a light is hidden from each pixel."""
    cells = heights.reshape(GEL.rows // SIZE, SIZE, GEL.cols // SIZE, SIZE).mean(axis=(1, 3))
    row, col = np.mgrid[: cells.shape[0], : cells.shape[1]]
    direction = brightness(light)[0]
    full, none = (math.tan(math.radians(light.elevation_deg + s * HALF_WIDTH_DEG)) for s in (-1, 1))
    steepest, step, away = np.zeros_like(cells), 1.0, 1.0
    while away * SIZE * GEL.pixel * full < GEL.depth:
        r, c = row + away * direction[1], col + away * direction[0]
        known = (r >= 0) & (r <= len(cells) - 1) & (c >= 0) & (c <= cells.shape[1] - 1)
        there = np.where(known, bilinear(cells, r, c), 0.0)
        steepest = np.maximum(steepest, (there - cells) / (away * SIZE * GEL.pixel))
        step *= GROWTH
        away += step
    share = ((steepest - full) / (none - full)).clip(0.0, 1.0)
    row, col = np.mgrid[: GEL.rows, : GEL.cols]
    return bilinear(share, (row + 0.5) / SIZE - 0.5, (col + 0.5) / SIZE - 0.5)


def raw_slopes(heights: Floats) -> Floats:
    """Return central differences (rows, cols, 2) without smoothing, the rim repeated."""
    wide = np.pad(heights, 1, mode="edge")
    g_x, g_y = wide[1:-1, 2:] - wide[1:-1, :-2], wide[2:, 1:-1] - wide[:-2, 1:-1]
    return np.stack([g_x, g_y], axis=-1) / (2.0 * GEL.pixel)


def reference(heights: Floats, *, smooth: bool) -> npt.NDArray[np.int64]:
    """Return the picture with shadows of a skin (rows, cols) [m]."""
    table = table_of(LIT, "x")
    g = slopes(heights, GEL.pixel) if smooth else raw_slopes(heights)
    n, spread = normal(g), forms(*places(GEL.rows, GEL.cols))
    n_z = np.sqrt(1.0 - np.sum(n * n, axis=-1))
    colour = table.background + table.evaluate(g, *places(GEL.rows, GEL.cols))
    for light in LIT.lights:
        angle, (direction, bright) = math.radians(light.elevation_deg), brightness(light)
        shown = np.maximum(math.sin(angle) * n_z - math.cos(angle) * (n @ direction), 0.0)
        dark = hidden(heights, light) * shown * (spread @ bright)
        colour -= dark[..., None] * np.array(light.colour)
    return np.floor(colour.clip(0, 255) + 0.5).astype(int)


def press(camera: GelCamera, gel: int, *pose: float) -> None:
    camera.poses[gel, 0] = torch.tensor([*pose, 1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(("shape", "smooth"), [("ball", True), ("wall", True), ("wall", False)])
def test_shadows_are_those_of_a_reference(
    grids: dict[str, DistanceGrid], shape: str, smooth: bool
) -> None:
    camera, shadows = make(grids[shape], LIT, 8, smooth=smooth)
    rng = np.random.default_rng(3)
    low = {"ball": 0.0023, "wall": 0.0009}[shape]
    for gel in range(8):
        place = rng.uniform([-2e-3, -1e-3, low], [2e-3, 1e-3, low + 4e-4])
        turn = rng.uniform(-0.5, 0.5)
        camera.poses[gel, 0] = torch.tensor([*place, math.cos(turn), 0.0, 0.0, math.sin(turn)])
    plain = camera.draw().numpy().astype(int)
    shadows.draw()
    found, darker = camera.picture.numpy().astype(int), 0
    for gel in range(8):
        r0, r1, c0, c1 = camera.windows[gel].tolist()
        heights = np.zeros((GEL.rows, GEL.cols))
        heights[r0:r1, c0:c1] = camera.heights[gel, r0:r1, c0:c1].numpy()
        expected = reference(heights, smooth=smooth)
        inside = np.zeros(heights.shape, dtype=bool)
        inside[r0:r1, c0:c1] = True
        apart = np.abs(found[gel] - expected)[inside]
        # the picture under the shadow is rounded, too
        assert apart.max() <= 2 and (apart > 1).mean() < 1e-4
        np.testing.assert_array_equal(found[gel][~inside], plain[gel][~inside])
        assert (found[gel] <= plain[gel]).all()
        darker += int((plain[gel] - found[gel]).max() > 15)
    assert darker >= 6


def test_where_the_only_light_is_hidden_nothing_but_the_ambient_is_left(
    grids: dict[str, DistanceGrid],
) -> None:
    """Left of a wall 0.8 mm high, with a light from the right at 28 degrees."""
    light = replace(LIT.lights[0], azimuth_deg=0.0)
    optics = replace(LIT, lights=(light,), ambient=(40.0, 50.0, 60.0))
    camera, shadows = make(grids["wall"], optics)
    press(camera, 0, 0.001, 0.0, 0.0012)  # its left edge is at x = -1 mm
    plain = camera.draw()[0].numpy().astype(int).copy()
    shadows.draw()
    seen = camera.picture[0].numpy().astype(int)[48]
    x = (np.arange(128) + 0.5 - 64) * GEL.pixel + 0.001
    height = camera.heights[0, 48].numpy()
    # Seen under more than 34 degrees the wall hides it all: 0.8 mm / tan(34) = 1.19 mm from the
    # edge where the skin is flat; under less than 22, 1.98 mm away, nothing.
    dark = (x < -4e-4) & ((8e-4 - height) / (-x + 1e-4) > math.tan(math.radians(38.0)))
    assert dark.sum() > 5
    np.testing.assert_allclose(seen[dark], np.tile([40, 50, 60], (dark.sum(), 1)), atol=2)
    far = x < -2.4e-3
    assert far.sum() > 5
    np.testing.assert_array_equal(seen[far], plain[48][far])
    right = x > 0.0
    np.testing.assert_array_equal(seen[right], plain[48][right])


def test_a_flat_gel_has_no_shadow(grids: dict[str, DistanceGrid]) -> None:
    camera, shadows = make(grids["wall"], LIT, 2)
    press(camera, 0, 0.0, 0.0, 0.001)
    press(camera, 1, 0.0, 0.0, 0.0025)  # 0.5 mm above it
    for _ in range(2):
        camera.draw()
        shadows.draw()
        press(camera, 0, 0.0, 0.0, 0.01)
    flat = np.floor(table_of(LIT, "x").background + 0.5)
    np.testing.assert_array_equal(camera.picture[0], flat)
    np.testing.assert_array_equal(camera.picture[1], flat)


def test_lights_without_a_horizon_are_refused(grids: dict[str, DistanceGrid]) -> None:
    low = replace(LIT.lights[0], elevation_deg=5.0)
    with pytest.raises(ValueError, match="expected an elevation of 6 to 84 degrees"):
        GelShadows(make(grids["wall"], LIT)[0], [low])
