"""Intrinsics of views whose lens is known: found, with intervals, wrong views named, or refused."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.calibration.coverage import cover, tilt_of
from sim2arm.calibration.intrinsics import IntrinsicsCfg, calibrate_intrinsics
from sim2arm.calibration.intrinsics_report import compare
from sim2arm.calibration.lens import lens_of
from sim2arm.core.driver_stage import Intrinsics
from tests.calibration.rigs import RIGS, load

pytestmark = pytest.mark.skipif(RIGS is None, reason="the rigs are part of a checkout")
SIZE = (640, 480)


def make_views(model: str = "pinhole", count: int = 24, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    lens = RIGS.make_lens(model, rng)
    return lens, RIGS.make_views(lens, count, rng)


@pytest.mark.parametrize("model", ["pinhole", "rational", "fisheye"])
def test_the_lens_is_found_within_its_interval(model: Any) -> None:
    lens, views = make_views(model)
    found = calibrate_intrinsics(views, SIZE, IntrinsicsCfg(model=model, folds=3))
    off = (found.lens.numbers - lens.numbers)[:4]
    assert np.abs(off[:2] / lens.numbers[:2]).max() < 0.004
    assert np.abs(off / found.sigma[:4]).max() < 3.5  # four numbers, one seed
    assert not found.rejected and found.noise_px == pytest.approx(0.3, abs=0.03)
    assert 0.3 < found.error < 0.4  # a held-out view: its pose is that of half of its corners


def test_the_simplest_model_that_explains_is_taken() -> None:
    straight = np.array([600.0, 600.0, 320.0, 240.0, -0.05, 0, 0, 0, 0])
    lens = RIGS.make_lens().with_numbers(straight)
    views = RIGS.make_views(lens, 12, np.random.default_rng(1))
    found = calibrate_intrinsics(views, SIZE, IntrinsicsCfg(folds=2, focal_limit=0.1))
    assert found.model == "pinhole" and len(found.alternatives) == 3


def test_wrong_views_and_corners_are_named_and_change_nothing() -> None:
    spoil = load("_calibration_lenses").spoil
    lens, views = make_views()
    rng = np.random.default_rng(3)
    for k in (2, 7, 11, 15):  # a fifth, all blurred
        views[k] = replace(
            views[k], pixels=views[k].pixels + rng.normal(0.0, 3.0, views[k].pixels.shape)
        )
    pixels = views[4].pixels.copy()
    pixels[3] += 12.0  # one corner of a view that is right
    views[4] = replace(views[4], pixels=pixels)
    found = calibrate_intrinsics(views, SIZE, IntrinsicsCfg(model="pinhole", folds=3))
    assert found.wrong == (2, 7, 11, 15) and set(found.rejected) == {views[k].name for k in
                                                                      found.wrong}  # fmt: skip
    assert found.wrong_corners >= 1
    assert np.abs((found.lens.numbers - lens.numbers)[:2]).max() < 0.004 * lens.numbers[0]
    assert spoil(views[0], rng).pixels.shape == views[0].pixels.shape


def test_what_says_too_little_is_refused_with_what_to_do() -> None:
    _, views = make_views(count=7)
    with pytest.raises(ValueError, match="expected 8 views or more"):
        calibrate_intrinsics(views, SIZE)
    few = [view.where(np.arange(len(view.pixels)) < 5) for view in views] * 2
    with pytest.raises(ValueError, match="8 corners, got 0"):
        calibrate_intrinsics(few, SIZE)
    rng = np.random.default_rng(0)
    half = [
        replace(v, name=f"{k}", pixels=v.pixels + (k % 2) * rng.normal(0.0, 25.0, v.pixels.shape))
        for k, v in enumerate(views * 2)
    ]
    with pytest.raises(ValueError, match=r"do not agree|no pinhole lens explains"):
        calibrate_intrinsics(half, SIZE, IntrinsicsCfg(model="pinhole"))


def test_boards_parallel_to_the_picture_are_refused() -> None:
    assert load("_calibration_lenses")._refuses_parallel(np.random.default_rng(0))


def test_guidance_names_what_is_missing() -> None:
    _, views = make_views(count=12)
    assert cover([], np.zeros((0, 4, 4)), SIZE).missing[0].startswith("tilt the board by 30")
    turned = np.eye(4)
    # About y by +30 degrees: the normal's x component is sin 30 > 0: depth falls to the right,
    # so the left edge is farther.
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    turned[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    assert tilt_of(turned) == "left" and tilt_of(np.eye(4)) == "none"
    depth = (turned[:3, :3] @ np.array([[-0.1, 0, 0], [0.1, 0, 0]]).T)[2]
    assert depth[0] > depth[1]
    found = cover(views[:3], np.stack([np.eye(4)] * 3), SIZE)
    assert len(found.lines) == 3 and any("reaches the" in line for line in found.missing)


def test_a_factory_calibration_is_compared_by_what_it_does() -> None:
    k = Intrinsics(width=640, height=480, fx=600.0, fy=600.0, cx=320.0, cy=240.0)
    same = compare(lens_of(k), k)
    assert same.rms < 1e-6
    # The axis shifted by 5 px is a camera turned by 5 / 600 rad, but for 2nd-order terms.
    assert compare(lens_of(k), replace(k, cx=325.0)).rms < 0.6
    # 1 % of focal length moves the edge at 320 px by 3.2 px, the corner at 400 px by 4.
    longer = compare(lens_of(k), replace(k, fx=606.0, fy=606.0))
    assert longer.apart.max() == pytest.approx(4.0, abs=0.4)
    with pytest.raises(ValueError, match="of 320 x 240 pixels, the pictures have 640 x 480"):
        compare(lens_of(k), replace(k, width=320, height=240))
