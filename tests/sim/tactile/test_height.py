"""Dents in a gel: against formulae, whatever a thread computes, with several objects."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import warp as wp

from sim2arm.sim.tactile.distance import DistanceGrid, make_atlas
from sim2arm.sim.tactile.height_kernels import Plane, cull, frame, trace, trace_between
from sim2arm.sim.warp_device import warp_device

CPU = torch.device("cpu")
CELL = 8
Floats = npt.NDArray[np.float64]


def make_plane(**overrides: Any) -> Any:
    plane: Any = Plane()
    plane.rows, plane.cols, plane.pixel, plane.cell = 120, 160, 1.3e-4, CELL
    plane.depth, plane.bend, plane.margin = 2e-3, 0.0, 2
    for name, value in overrides.items():
        setattr(plane, name, value)
    return plane


def dents(
    plane: Any, grids: list[DistanceGrid], poses: Floats, *, run: int | None = None
) -> tuple[Floats, npt.NDArray[np.int32]]:
    """Return dents (I, rows, cols) and windows (I, 4) for poses (I, K, 7)."""
    place, atlas, n = warp_device(CPU), make_atlas(grids, CPU), len(poses)
    run = run or plane.cols
    where = wp.array(poses.astype(np.float32), dtype=float, device=place)
    cells = (n, math.ceil(plane.rows / CELL), math.ceil(plane.cols / CELL))
    begins = wp.zeros(cells, dtype=float, device=place)
    windows = wp.zeros((n, 4), dtype=int, device=place)
    found = wp.zeros((n, plane.rows, plane.cols), dtype=float, device=place)
    objects = [atlas.values, atlas.shapes, where]
    wp.launch(cull, dim=cells, inputs=[plane, *objects], outputs=[begins], device=place)
    wp.launch(frame, dim=n, inputs=[plane, begins], outputs=[windows], device=place)
    stride, runs = 1 if run == 1 else 2, math.ceil(plane.cols / run)
    wp.launch(
        trace,
        dim=(n, math.ceil(plane.rows / stride), runs),
        inputs=[plane, run, stride, *objects, begins, windows],
        outputs=[found],
        device=place,
    )
    if stride == 2:
        wp.launch(
            trace_between,
            dim=(n, plane.rows // 2, runs),
            inputs=[plane, run, *objects, begins, windows],
            outputs=[found],
            device=place,
        )
    return found.numpy().astype(float), windows.numpy()


def places(plane: Any) -> tuple[Floats, Floats]:
    """Return x (1, cols) and y (rows, 1) of the pixels [m]."""
    x = (np.arange(plane.cols) + 0.5 - 0.5 * plane.cols) * plane.pixel
    y = (np.arange(plane.rows) + 0.5 - 0.5 * plane.rows) * plane.pixel
    return x[None], y[:, None]


def ball(plane: Any, x: float, y: float, z: float) -> Floats:
    """Return the dents of the ball: z - sqrt(R^2 - r^2) is its lower side."""
    across, down = places(plane)
    square = 0.004**2 - (across - x) ** 2 - (down - y) ** 2
    return np.where(square > 0.0, np.sqrt(np.maximum(square, 0.0)) - z, 0.0).clip(0.0)


def test_a_ball(grids: dict[str, DistanceGrid]) -> None:
    plane = make_plane()
    poses = np.array([[[1e-3, -2e-3, 0.0035, 1, 0, 0, 0]], [[0.0, 0.0, 0.0041, 1, 0, 0, 0]]])
    found, windows = dents(plane, [grids["ball"]], poses)
    # 0.3 mm cells on R = 4 mm: 0.3^2 / (8 * 4) = 2.8 um, more where the ball leaves the gel
    np.testing.assert_allclose(found[0], ball(plane, 1e-3, -2e-3, 0.0035), atol=8e-6)
    assert found[0].max() == pytest.approx(5e-4, abs=5e-6)
    assert found[1].max() == 0.0  # 0.1 mm above the gel
    rows, cols = np.nonzero(found[0])
    r0, r1, c0, c1 = windows[0]
    assert r0 + 2 * CELL <= rows.min() + CELL and rows.max() < r1
    assert c0 <= cols.min() and cols.max() < c1


def test_a_thread_of_a_row_and_one_of_a_pixel_agree(grids: dict[str, DistanceGrid]) -> None:
    """To follow a surface and to fill in between is a short cut, no other answer."""
    plane, rng = make_plane(), np.random.default_rng(0)
    poses = np.zeros((8, 2, 7))
    poses[:, :, :2] = rng.uniform(-0.004, 0.004, (8, 2, 2))
    poses[:, :, 2] = rng.uniform(0.001, 0.004, (8, 2))
    poses[:, :, 3:] = rng.normal(size=(8, 2, 4))
    both = [grids["ball"], grids["peg"]]
    by_row, by_pixel = dents(plane, both, poses)[0], dents(plane, both, poses, run=1)[0]
    assert by_pixel.max() > 1e-3
    apart = np.abs(by_row - by_pixel)
    assert apart.mean() < 1e-7
    # at the end of the peg, where another surface begins, the next pixel of the old is believed
    assert (apart < 1e-5).all(), apart.max()


def test_the_deeper_of_two_objects_counts(grids: dict[str, DistanceGrid]) -> None:
    plane = make_plane()
    left = [-2e-3, 0.0, 0.0036, 1, 0, 0, 0]
    right = [2e-3, 0.0, 0.0034, 1, 0, 0, 0]
    both = dents(plane, [grids["ball"]] * 2, np.array([[left, right]]))[0][0]
    alone = [dents(plane, [grids["ball"]], np.array([[p]]))[0][0] for p in (left, right)]
    np.testing.assert_allclose(both, np.maximum(*alone), atol=2e-6)


def test_no_dent_is_deeper_than_the_gel(grids: dict[str, DistanceGrid]) -> None:
    plane = make_plane(depth=1e-3)
    found = dents(plane, [grids["ball"]], np.array([[[0.0, 0.0, 0.001, 1, 0, 0, 0]]]))[0][0]
    assert found.max() == pytest.approx(1e-3, abs=1e-7)


def test_a_domed_gel(grids: dict[str, DistanceGrid]) -> None:
    """On a dome a dent begins below its surface: dent = that of the flat gel - bend r^2 / 2."""
    plane = make_plane(bend=20.0)
    found = dents(plane, [grids["ball"]], np.array([[[0.0, 0.0, 0.0035, 1, 0, 0, 0]]]))[0][0]
    x, y = places(plane)
    square = 0.004**2 - x**2 - y**2
    low = np.where(square > 0.0, 0.0035 - np.sqrt(np.maximum(square, 0.0)), 1.0)
    expected = np.maximum(-10.0 * (x**2 + y**2) - low, 0.0)
    np.testing.assert_allclose(found, expected, atol=8e-6)
