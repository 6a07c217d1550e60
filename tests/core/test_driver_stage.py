"""The driver stage: hand-computed pixels, intrinsics that follow, lenses taken out."""

# pyright: standard

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.driver_stage import (
    DriverStage,
    Intrinsics,
    area_resize,
    distort,
    intrinsics_of_view,
    parse_stage,
    run_stage,
    stage_intrinsics,
    undistort,
)

LENS = (-0.3, 0.1, 0.002, -0.001, 0.01)


def make_stage(**overrides: Any) -> DriverStage:
    whole: dict[str, Any] = {"width": 8, "height": 6, "out_width": 4, "out_height": 3}
    return DriverStage(**(whole | overrides))


def make_camera(**overrides: Any) -> Intrinsics:
    whole: dict[str, Any] = {"width": 8, "height": 6, "fx": 7.0, "fy": 7.0, "cx": 3.5, "cy": 2.5}
    return Intrinsics(**(whole | overrides))


def test_the_mean_of_whole_and_of_cut_pixels() -> None:
    # Three columns to two: each new one covers 1.5 old ones, (0 + 90 / 2) / 1.5 = 30 and
    # (90 / 2 + 180) / 1.5 = 150. Rows 2 to 1: the mean of 0 and 20 more.
    row = np.array([[0, 90, 180], [20, 110, 200]], dtype=np.uint8)
    np.testing.assert_array_equal(area_resize(row, 2, 2), [[30, 150], [50, 170]])
    np.testing.assert_array_equal(area_resize(row, 2, 1), [[40, 160]])
    # Halves are rounded up: (0 + 1) / 2.
    np.testing.assert_array_equal(area_resize(np.array([[0, 1]], np.uint8), 1, 1), [[1]])


@pytest.mark.parametrize(("old", "new"), [((7, 11), (3, 5)), ((40, 64), (7, 64)), ((9, 5), (1, 2))])
def test_the_mean_is_that_of_a_picture_with_finer_pixels(
    old: tuple[int, int], new: tuple[int, int]
) -> None:
    """Each pixel drawn as new x new equal ones, every part is whole, and its mean is exact."""
    picture = np.random.default_rng(0).integers(0, 256, (*old, 3), dtype=np.uint8)
    fine = picture.repeat(new[0], axis=0).repeat(new[1], axis=1).astype(np.int64)
    parts = fine.reshape(new[0], old[0], new[1], old[1], 3)
    sums, area = parts.sum(axis=(1, 3)), old[0] * old[1]
    expected = (2 * sums + area) // (2 * area)
    np.testing.assert_array_equal(area_resize(picture, new[1], new[0]), expected)


def test_a_picture_of_the_same_size_stays() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(run_stage(make_stage(out_width=8, out_height=6), image), image)


def test_crop_then_mean() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(6, 8)
    stage = make_stage(crop=(2, 1, 4, 4), out_width=2, out_height=2)
    # Rows 1 and 2, columns 2 and 3: 10, 11, 18, 19, mean 14.5, up to 15; then 2 to the right, 16
    # down.
    np.testing.assert_array_equal(run_stage(stage, image), [[15, 17], [31, 33]])


def test_nearest_takes_the_pixel_at_the_centre() -> None:
    depth = np.arange(48, dtype=np.float32).reshape(6, 8)
    stage = make_stage(resample="nearest", out_width=2, out_height=2)
    # Centres of 4 x 3 pixels: columns 2 and 6, rows 1 and 4.
    np.testing.assert_array_equal(run_stage(stage, depth), [[10, 14], [34, 38]])
    assert run_stage(stage, depth).dtype == np.float32


def test_intrinsics_put_points_where_the_pixels_go() -> None:
    camera = make_camera(width=640, height=480, fx=600.0, fy=610.0, cx=322.0, cy=238.0)
    stage = DriverStage(width=640, height=480, crop=(80, 40, 480, 360), out_width=96, out_height=90)
    final = stage_intrinsics(stage, camera)
    x, y = 0.2, -0.1  # at depth 1
    u, v = camera.fx * x + camera.cx, camera.fy * y + camera.cy
    # A pixel that covers [u - 1/2, u + 1/2] in 480 columns from 80 lies in 96 of 5 columns each.
    assert final.fx * x + final.cx == pytest.approx((u - 80 + 0.5) / 5 - 0.5)
    assert final.fy * y + final.cy == pytest.approx((v - 40 + 0.5) / 4 - 0.5)
    assert (final.width, final.height) == (96, 90)


def test_a_view_by_its_angle() -> None:
    camera = intrinsics_of_view(640, 480, 90.0)  # 320 / tan(45 deg)
    assert (camera.fx, camera.fy) == (pytest.approx(320.0), pytest.approx(320.0))
    assert (camera.cx, camera.cy) == (319.5, 239.5)


def test_a_lens_by_hand_and_back() -> None:
    # r2 = 0.25 at (0.3, 0.4); k1 = 0.1: factor 1.025. p1 = 0.01: dx = 2 p1 x y = 0.0024,
    # dy = p1 (r2 + 2 y2) = 0.0057.
    camera = make_camera(distortion=(0.1, 0.0, 0.01, 0.0, 0.0))
    point = np.array([0.3, 0.4])
    np.testing.assert_allclose(distort(camera, point), [0.3 * 1.025 + 0.0024, 0.4 * 1.025 + 0.0057])
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 2))
    camera = make_camera(distortion=LENS)
    np.testing.assert_allclose(undistort(camera, distort(camera, points)), points, atol=1e-10)


def test_rational_and_fisheye_lenses_by_hand_and_back() -> None:
    # r2 = 0.25: numerator 1 + 0.1 / 4 = 1.025, denominator 1 + 0.2 / 4 = 1.05.
    rational = make_camera(distortion=(0.1, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0))
    point = np.array([0.3, 0.4])
    np.testing.assert_allclose(distort(rational, point), point * 1.025 / 1.05)
    # A ray at 45 degrees lies pi/4 from the axis, times 1 + 0.1 (pi/4)^2; zeros bend, too.
    fisheye = make_camera(distortion=(0.1, 0.0, 0.0, 0.0))
    far = np.pi / 4 * (1.0 + 0.1 * (np.pi / 4) ** 2)
    np.testing.assert_allclose(distort(fisheye, np.array([0.6, 0.8])), [0.6 * far, 0.8 * far])
    assert make_camera(distortion=(0.0,) * 4).distorts
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (50, 2))
    points[0] = 0.0
    for lens in (fisheye, make_camera(distortion=(-0.02, 0.004, -0.001, 0.0))):
        np.testing.assert_allclose(undistort(lens, distort(lens, points)), points, atol=1e-9)
    np.testing.assert_allclose(
        undistort(rational, distort(rational, points[:, :] / 2)), points / 2, atol=1e-9
    )
    with pytest.raises(ValueError, match="no inverse over this picture"):  # it looks back
        undistort(fisheye, np.array([[2.5, 0.0]]))


def test_a_lens_without_inverse_is_an_error() -> None:
    with pytest.raises(ValueError, match="no inverse over this picture"):
        undistort(make_camera(distortion=(-0.9, 0.0, 0.0, 0.0, 0.0)), np.array([[0.9, 0.9]]))


def test_undistorting_straightens_what_the_lens_bent() -> None:
    camera = make_camera(width=64, height=48, fx=60.0, fy=60.0, cx=31.5, cy=23.5, distortion=LENS)
    v, u = np.mgrid[0:48, 0:64].astype(np.float64)
    bent = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy], axis=-1)
    ideal = undistort(camera, bent)
    # A ramp in space, 150 grey levels per unit of x, seen through the lens.
    seen = (120.5 + 150.0 * ideal[..., 0]).astype(np.uint8)
    stage = DriverStage(width=64, height=48, undistort=True, out_width=64, out_height=48)
    straight = run_stage(stage, seen, camera).astype(int)
    wanted = 120.0 + 150.0 * bent[..., 0]
    inner = (slice(6, -6), slice(6, -6))
    assert np.abs(straight - wanted)[inner].max() < 1.6  # rounding here and there
    assert np.abs(seen - wanted)[inner].max() > 4.0
    assert not stage_intrinsics(stage, camera).distorts
    depth = run_stage(replace(stage, resample="nearest"), seen.astype(np.float32), camera)
    assert np.abs(depth - wanted)[inner].max() < 3.0


def test_outside_of_the_camera_is_black() -> None:
    camera = make_camera(distortion=(0.5, 0.0, 0.0, 0.0, 0.0))  # corners come from beyond
    image = np.full((6, 8, 3), 200, np.uint8)
    stage = make_stage(undistort=True, out_width=8, out_height=6)
    straight = run_stage(stage, image, camera)
    assert (straight[0, 0] == 0).all() and (straight[2:4, 3:5] == 200).all()


@pytest.mark.parametrize("undo", [False, True])
def test_the_text_is_the_stage(undo: bool) -> None:
    stage = make_stage(undistort=undo, crop=(1, 1, 6, 4), resample="nearest")
    assert parse_stage(stage.text) == stage
    whole = make_stage()
    assert whole.text == "driver_stage/1 8x6 crop 0,0,8,6 area 4x3"
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        run_stage(parse_stage(whole.text), image), run_stage(whole, image)
    )


ERRORS: dict[str, tuple[Any, str]] = {
    "text": (lambda: parse_stage("resize 84"), "expected 'driver_stage/1 640x480"),
    "version": (
        lambda: parse_stage("driver_stage/9 8x6 crop 0,0,8,6 area 4x3"),
        "this program runs version 1",
    ),
    "crop": (lambda: make_stage(crop=(4, 0, 6, 6)), "does not lie in 8 x 6"),
    "larger": (lambda: make_stage(out_width=9), "only makes pictures smaller"),
    "size": (lambda: run_stage(make_stage(), np.zeros((5, 8), np.uint8)), r"got \(5, 8\)"),
    "type": (lambda: run_stage(make_stage(), np.zeros((6, 8), np.float32)), "use nearest"),
    "camera": (
        lambda: run_stage(make_stage(undistort=True), np.zeros((6, 8), np.uint8)),
        "needs the intrinsics",
    ),
    "calibration": (
        lambda: stage_intrinsics(make_stage(), make_camera(width=16)),
        "calibrate at the size that is used",
    ),
    "lens": (lambda: make_camera(distortion=(0.1, 0.2)), "got 2 numbers"),
    "focal": (lambda: make_camera(fx=0.0), "must be above 0"),
    "angle": (lambda: intrinsics_of_view(8, 6, 180.0), "expected 0 to 180"),
}


@pytest.mark.parametrize(("call", "text"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_is_wrong(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
