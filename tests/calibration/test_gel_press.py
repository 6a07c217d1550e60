"""Presses tell how a gel resists: by formulae, by the simulation's gels, and what is refused."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.calibration.gel_file import quantities, read_gel
from sim2arm.calibration.gel_press import GelPressCfg, Indenter, Pressing, find_gel
from sim2arm.calibration.gel_report import make_record, notes, write_gel
from sim2arm.core.calibration_file import write_record
from sim2arm.core.driver_stage import FloatArray
from sim2arm.sim.tactile.field import FieldCfg, ForceField, GelLaw, GelPlace
from sim2arm.sim.worlds.table import make_world

STAMP, BALL = Indenter(area=64e-6), Indenter(radius=6e-3)
STIFFNESS, DAMPING, FRICTION = 5e7, 1e5, 0.8


def ways(rate: float, presses: int = 8, *, slides: bool = True) -> tuple[FloatArray, FloatArray]:
    """Return depths (T,) and places (T, 2): presses to other depths, at other speeds."""
    depths, places = list[FloatArray](), list[FloatArray]()
    for k in range(presses):
        ease = np.linspace(0.0, 1.0, round((0.2 + 0.1 * (k % 3)) * rate))
        deepest = 3e-4 + 6e-4 * (k % 4) / 3
        down = -5e-4 + (deepest + 5e-4) * (3 * ease**2 - 2 * ease**3)
        there = np.linspace(0.0, 1.0, round(0.5 * rate))
        way = np.concatenate([there, there[::-1]])
        turn = 0.7 * k
        slid = 0.012 * float(slides) * way[:, None] * np.array([np.cos(turn), np.sin(turn)])
        rest = np.full(round(0.15 * rate), -5e-4)
        depths.append(np.concatenate([rest, down, np.full(len(way), deepest), down[::-1]]))
        still = np.zeros((len(rest) + len(down), 2))
        places.append(np.concatenate([still, slid, np.zeros((len(down), 2))]))
    return np.concatenate(depths), np.concatenate(places)


def pressing(indenter: Indenter, *, presses: int = 8, slides: bool = True, noise: float = 0.01,
             seed: int = 0) -> Pressing:  # fmt: skip
    """Return a recording by the formulae: no elastic way before slip."""
    random, rate = np.random.default_rng(seed), 200.0
    depth, place = ways(rate, presses, slides=slides)
    times = np.arange(len(depth)) / rate
    volume, area = indenter.shape(depth)
    force = np.maximum(STIFFNESS * volume + DAMPING * area * np.gradient(depth, times), 0.0)
    velocity = np.gradient(place, times, axis=0)
    fast = np.linalg.norm(velocity, axis=1, keepdims=True)
    drag = -FRICTION * force[:, None] * velocity / np.maximum(fast, 1e-9)
    noisy = lambda values: values + noise * random.normal(size=values.shape)  # noqa: E731
    return Pressing(
        times=times, depth=depth + 0.4, force=noisy(force) + 0.7, slide=place,
        drag=noisy(drag) + np.array([0.2, -0.1]),
    )  # fmt: skip


def test_shapes_by_hand() -> None:
    volume, area = STAMP.shape(np.array([-1e-3, 0.0, 1e-3]))
    np.testing.assert_allclose(volume, [0.0, 0.0, 64e-9])
    np.testing.assert_allclose(area, [0.0, 0.0, 64e-6])
    volume, area = Indenter(radius=3e-3).shape(np.array([3e-3, 1e-3]))
    np.testing.assert_allclose(volume, [2 / 3 * np.pi * 27e-9, np.pi * 1e-6 * (3e-3 - 1e-3 / 3)])
    np.testing.assert_allclose(area, [np.pi * 9e-6, np.pi * 5e-6])


@pytest.mark.parametrize(("area", "radius"), [(0.0, 0.0), (1e-4, 1e-3), (-1e-4, 0.0), (1.0, -1.0)])
def test_what_is_no_indenter(area: float, radius: float) -> None:
    with pytest.raises(ValueError, match="area of a flat stamp or the radius of a ball"):
        Indenter(area=area, radius=radius)


@pytest.mark.parametrize("indenter", [STAMP, BALL], ids=["stamp", "ball"])
def test_the_numbers_come_back(indenter: Indenter) -> None:
    found = find_gel(pressing(indenter), indenter)
    assert found.presses == found.slides == 8
    assert found.stiffness.value == pytest.approx(STIFFNESS, rel=0.01)
    assert abs(found.stiffness.value - STIFFNESS) < 3 * found.stiffness.half
    assert found.damping.value == pytest.approx(DAMPING, rel=0.2)
    assert found.friction is not None
    assert found.friction.value == pytest.approx(FRICTION, rel=0.005)
    np.testing.assert_allclose(found.surfaces, 0.4, atol=1e-5)
    assert found.bias == pytest.approx(0.7, abs=0.005)
    assert found.deepest == pytest.approx(9e-4, abs=2e-5)
    assert found.held_out == pytest.approx(0.01, rel=0.3) and found.explained > 0.99


def test_a_fifth_of_wrong_forces_changes_nothing() -> None:
    press, random = pressing(STAMP), np.random.default_rng(1)
    bad = random.random(len(press.force)) < 0.2
    force = np.where(bad, press.force + random.uniform(-3.0, 9.0, len(bad)), press.force)
    found = find_gel(replace(press, force=force), STAMP)
    assert found.stiffness.value == pytest.approx(STIFFNESS, rel=0.01)
    assert found.friction is not None
    assert found.friction.value == pytest.approx(FRICTION, rel=0.01)
    assert np.mean(found.wrong[bad]) > 0.9 and np.mean(found.wrong[~bad]) < 0.05


def test_places_that_do_not_repeat_are_no_error() -> None:
    """Each press meets the gel somewhere else, by a tenth of its depth."""
    press = pressing(STAMP)
    groups = find_gel(press, STAMP).groups
    shift = 8e-5 * np.random.default_rng(2).normal(size=8)
    found = find_gel(replace(press, depth=press.depth + shift[groups]), STAMP)
    assert found.stiffness.value == pytest.approx(STIFFNESS, rel=0.01)
    np.testing.assert_allclose(found.surfaces, 0.4 + shift, atol=2e-5)


def test_without_slides_there_is_no_friction(tmp_path: Path) -> None:
    press = pressing(STAMP, slides=False)
    found = find_gel(press, STAMP)
    assert found.friction is None and "friction" not in quantities(found)
    assert any("Friction was not told: 0 presses had a slide" in line for line in notes(found))
    record = make_record(found, STAMP, GelPressCfg(), device="x")
    write_record(tmp_path / "gel.yaml", record, {})
    gel = read_gel(tmp_path / "gel.yaml")
    assert gel.friction is None and gel.stiffness[0] == pytest.approx(STIFFNESS, rel=0.01)


def test_what_does_not_tell_is_refused() -> None:
    press = pressing(STAMP)
    with pytest.raises(ValueError, match=r"expected 6 presses or more, .* got 3"):
        find_gel(pressing(STAMP, presses=3), STAMP)
    with pytest.raises(ValueError, match="nothing was pressed"):
        find_gel(replace(press, depth=0.0 * press.depth), STAMP)
    noise = 0.05 * np.random.default_rng(0).normal(size=press.force.shape)
    with pytest.raises(ValueError, match=r"depth explains|force does not grow|expected 6"):
        find_gel(replace(press, force=noise), STAMP)
    with pytest.raises(ValueError, match=r"force does not grow|depth explains|expected 6"):
        find_gel(replace(press, force=-press.force), STAMP)


def test_axes_of_the_force_that_are_turned_are_seen() -> None:
    press = pressing(STAMP)
    for angle in (0.5, np.pi / 2, np.pi):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        with pytest.raises(ValueError, match="the drag is not along the slide"):
            find_gel(replace(press, drag=press.drag @ turn), STAMP)


@pytest.mark.parametrize("tilt", [(0.02, 0.0), (-0.01, 0.03)])
def test_slides_that_are_not_quite_along_the_surface_change_nothing(
    tilt: tuple[float, float],
) -> None:
    press = pressing(STAMP)
    shallow = press.depth - press.slide @ np.array(tilt)  # as the arm says, not as the gel is
    found = find_gel(replace(press, depth=shallow), STAMP)
    assert found.stiffness.value == pytest.approx(STIFFNESS, rel=0.01)
    assert found.friction is not None and found.friction.value == pytest.approx(FRICTION, rel=0.01)


def test_a_ball_that_lies_deeper_than_its_radius_is_refused() -> None:
    small = Indenter(radius=8e-4)
    with pytest.raises(ValueError, match=r"mm deep, expected less than its radius, 0\.80 mm"):
        find_gel(pressing(small), small)


def test_an_approach_may_be_long() -> None:
    press = pressing(STAMP)
    far = np.where(press.depth < 0.3995, press.depth - 0.2, press.depth)
    found = find_gel(replace(press, depth=far), STAMP)
    assert found.presses == 8 and found.stiffness.value == pytest.approx(STIFFNESS, rel=0.02)


def test_a_record_says_what_was_measured_and_reads_back(tmp_path: Path) -> None:
    press = pressing(BALL)
    found = find_gel(press, BALL)
    path = tmp_path / "gel.yaml"
    record = write_gel(path, press, found, BALL, GelPressCfg(), device="mini", inputs=())
    assert not record.problems and record.device == "mini"
    for name in ("gel.html", "gel-force.png", "gel-time.png"):
        assert (tmp_path / name).stat().st_size > 1000
    gel = read_gel(path)
    assert gel.stiffness == pytest.approx((found.stiffness.value, found.stiffness.half))
    assert found.friction is not None
    assert gel.friction == pytest.approx((found.friction.value, found.friction.half))
    strict = write_gel(path, press, found, BALL, GelPressCfg(limit=1e-6), device="x", inputs=())
    assert any("stiffness" in line for line in strict.problems)
    with pytest.raises(ValueError, match="not accepted"):
        read_gel(path)


@pytest.mark.parametrize("slides", [False, True])
def test_the_simulated_gel_is_told_by_its_own_presses(slides: bool) -> None:
    """The law of the training world, from a punch that is pressed into it: no formula of ours.

    Near the edges of a punch its sides are the nearest surface, and the gel is pressed less there;
    taxels in the middle of it see none of that, until it slides.
    """
    law = GelLaw(stiffness=STIFFNESS, damping=DAMPING, friction=FRICTION)
    spec = mujoco.MjSpec()
    spec.worldbody.add_body(name="gel")
    body = spec.worldbody.add_body(name="punch", mocap=True)
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.004, 0.004, 0.004], pos=[0, 0, 0.004])
    place = GelPlace(body="gel", place=(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    field = ForceField(
        FieldCfg(height=0.04, width=0.04, rows=20, cols=20, law=law), [place], ["punch"]
    )
    world = make_world("mujoco", spec, 1, timestep=1 / 480, control_substeps=1, law=field)
    pose = world.mocap("punch")
    depth, slide = ways(480.0, 6, slides=slides)
    depth = 0.5 * depth
    felt = np.empty((len(depth), 3))
    for i, (down, along) in enumerate(zip(depth, slide, strict=True)):
        pose[0] = torch.tensor([along[0], along[1], -down, 1.0, 0.0, 0.0, 0.0])
        world.step()
        felt[i] = field.wrench()[0, 0, 0, :3].numpy()  # on the gel
    press = Pressing(
        times=np.arange(len(depth)) / 480, depth=depth, force=-felt[:, 2], slide=slide,
        drag=-felt[:, :2],
    )  # fmt: skip
    found = find_gel(press, STAMP)
    if slides:  # edges of the punch pass over taxels 2 mm wide
        assert found.friction is not None
        assert found.friction.value == pytest.approx(FRICTION, rel=0.02)
    else:
        assert found.stiffness.value == pytest.approx(STIFFNESS, rel=0.01)
        # The force is of a step before: that looks like damping, as a force that is stamped late.
        assert found.damping.value == pytest.approx(DAMPING + STIFFNESS / 480, rel=0.02)
