"""Lens models with derivatives, and least squares over views."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest

from sim2arm.calibration.board_pose import pose_candidates, solve_poses
from sim2arm.calibration.board_views import BoardView, Corners
from sim2arm.calibration.bundle import fit, moved
from sim2arm.calibration.lens import Lens, lens_of, project
from sim2arm.core.driver_stage import distort

LENSES = {
    "pinhole": (500.0, 510.0, 320.0, 240.0, -0.2, 0.1, 0.001, -0.002, 0.03),
    "rational": (500.0, 510.0, 320.0, 240.0, -0.2, 0.1, 0.001, -0.002, 0.03, 0.2, 0.05, 0.01),
    "fisheye": (300.0, 310.0, 320.0, 240.0, -0.02, 0.004, -0.001, 0.0005),
}
EVERY = pytest.mark.parametrize("model", LENSES)


def make_lens(model: str = "pinhole") -> Lens:
    return Lens(width=640, height=480, numbers=np.array(LENSES[model]))


def make_view(lens: Lens, T: np.ndarray, name: str = "a") -> BoardView:
    v, u = np.mgrid[1:6, 1:8] * 0.025
    points = np.stack([u.ravel(), v.ravel(), np.zeros(u.size)], axis=-1)
    return BoardView(
        name=name, points=points, pixels=project(lens, points @ T[:3, :3].T + T[:3, 3])[0]
    )


def make_pose(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    T = np.eye(4)
    T[:3, 3] = (-0.1, -0.07, 0.35)
    tilt = rng.choice([-1, 1], 3) * rng.uniform(0.25, 0.5, 3)
    return moved(T, np.array([*rng.uniform(-0.03, 0.03, 3), *tilt]))


@EVERY
def test_pixels_are_those_of_the_driver_stage_and_derivatives_are_differences(model: str) -> None:
    lens = make_lens(model)
    points = np.random.default_rng(0).uniform([-0.4, -0.3, 0.8], [0.4, 0.3, 1.2], (20, 3))
    points[0, :2] = 0.0  # on the axis
    pixels, by_numbers, by_points = project(lens, points)
    k = lens.intrinsics
    ideal = points[:, :2] / points[:, 2:]
    np.testing.assert_allclose(pixels, distort(k, ideal) * (k.fx, k.fy) + (k.cx, k.cy), atol=1e-9)
    step = 1e-6
    for i in range(len(lens.numbers)):
        nudge = step * np.eye(len(lens.numbers))[i]
        ends = [project(lens.with_numbers(lens.numbers + s * nudge), points)[0] for s in (1, -1)]
        np.testing.assert_allclose(by_numbers[..., i], (ends[0] - ends[1]) / 2e-6, atol=1e-4)
    for i in range(3):
        ends = [project(lens, points + s * step * np.eye(3)[i])[0] for s in (1, -1)]
        np.testing.assert_allclose(by_points[..., i], (ends[0] - ends[1]) / 2e-6, atol=1e-3)
    np.testing.assert_array_equal(lens_of(k).numbers, lens.numbers)


@EVERY
def test_poses_of_exact_views_are_exact(model: str) -> None:
    lens = make_lens(model)
    poses = np.stack([make_pose(seed) for seed in range(4)])
    views = [make_view(lens, T, f"{k}") for k, T in enumerate(poses)]
    assert len(pose_candidates(lens, views[0])) >= 1
    found, errors = solve_poses(lens, views)
    assert errors.max() < 1e-6
    np.testing.assert_allclose(found.T_camera_board, poses, atol=1e-7)


def test_a_fit_finds_lens_and_poses_and_says_how_surely() -> None:
    lens = make_lens()
    poses = np.stack([make_pose(seed) for seed in range(12)])
    views = [make_view(lens, T, f"{k}") for k, T in enumerate(poses)]
    start = lens.with_numbers(np.array([520.0, 520.0, 319.5, 239.5, 0, 0, 0, 0, 0]))
    found = fit(views, start, moved(poses, np.full((12, 6), 0.01)))
    np.testing.assert_allclose(found.lens.numbers, lens.numbers, rtol=1e-5, atol=1e-5)
    # The information is that of differences of the whole cost: a move of fx by d, everything else
    # fitted again, costs d^2 / (information^-1)_00.
    d = 0.5
    inverse = np.linalg.inv(found.information)
    along = inverse[:, 0] / inverse[0, 0] * d
    held = fit(views, lens.with_numbers(lens.numbers + along), poses, fixed_lens=True)
    assert np.sum(held.residuals**2) == pytest.approx(d**2 / inverse[0, 0], rel=0.02)


def test_by_lens_says_how_poses_move_with_the_lens() -> None:
    lens = make_lens()
    view = make_view(lens, make_pose(1))
    found = fit([view], lens, make_pose(1)[None], fixed_lens=True)
    other = lens.with_numbers(lens.numbers + 1e-3 * np.eye(9)[0])
    again = fit([view], other, make_pose(1)[None], fixed_lens=True)
    shift = (again.T_camera_board - found.T_camera_board)[0, :3, 3] / 1e-3
    np.testing.assert_allclose(found.by_lens[0, :3, 0], shift, rtol=1e-2, atol=1e-7)


def test_views_of_different_numbers_of_corners_stack() -> None:
    lens = make_lens()
    view = make_view(lens, make_pose(0))
    corners = Corners([view.where(np.arange(35) < 10), view])
    values = np.arange(90.0).reshape(45, 2)
    padded = corners.padded(values)
    assert padded.shape == (2, 70) and padded[0, 20:].tolist() == [0.0] * 50
    np.testing.assert_array_equal(padded[1], values[10:].ravel())
    assert view.spans and not view.where(np.arange(35) < 7).spans  # one row of corners
    with pytest.raises(ValueError, match=r"expected \(K, 3\) points"):
        BoardView(name="a", points=view.points[:3], pixels=view.pixels)
    with pytest.raises(ValueError, match="finite"):
        BoardView(name="a", points=view.points, pixels=view.pixels * np.nan)
