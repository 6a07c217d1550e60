"""What is wrong with pictures is found again, by name and by how much."""

# pyright: standard

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from sim2arm.core.transforms import pose_compose, quat_from_rotvec
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.cameras import CameraCfg, scene_camera
from sim2arm.sim.picture_gap import (
    Image,
    Moment,
    PictureGap,
    PictureReplay,
    State,
    measure_pictures,
    worlds_for,
)
from sim2arm.sim.touch import Touch
from sim2arm.sim.vision import Sight, Vision

DT = 1 / 60
CAMERA = scene_camera()
TOUCH = Touch(sees=("image",))


def build(worlds: int, camera: CameraCfg | None) -> SimulatedArm:
    if camera is None:
        return SimulatedArm("peg-placement", "fr3", num_arms=worlds, touch=TOUCH)
    vision = Vision(sights=(Sight(camera=camera),))
    return SimulatedArm("lift-cube", "fr3", num_arms=worlds, vision=vision)


@cache
def replay(gels: bool) -> PictureReplay:
    camera = None if gels else CAMERA
    arm = build(worlds_for(camera), camera)
    names = [spec.name for spec in arm.organs.specs.values()]
    return PictureReplay(arm, names, camera)


def seen(arm: SimulatedArm, state: State) -> dict[str, Image]:
    """Return what one arm sees of a state."""
    arm.put_state({name: value[None] for name, value in state.items()})
    arm.organs.begin(torch.ones(1, dtype=torch.bool), torch.zeros(1, arm.organs.count))
    arm.organs.see()
    return {name: picture[0].numpy().copy() for name, picture in arm.pictures.items()}


def path(arm: SimulatedArm, gels: bool) -> Callable[[float], dict[str, np.ndarray]]:
    """Return the state of an arm that swings, or of a peg that tilts in its hand, by time."""
    start = {name: arm.world.read(name)[0].double().numpy().copy() for name in ("qpos", "qvel")}

    def state(t: float) -> dict[str, np.ndarray]:
        qpos = start["qpos"].copy()
        if gels:
            qpos[-4:] = quat_of(qpos[-4:], 0.15 * np.sin(2.0 * t))
        else:
            qpos[[0, 3]] += 0.3 * np.sin(np.array([2.0, 3.1]) * t)
        return start | {"qpos": qpos}

    return state


def quat_of(turn: np.ndarray, angle: float) -> np.ndarray:
    """Return an orientation that is turned about its own first axis."""
    pose = pose_compose(
        np.array([0.0, 0.0, 0.0, *turn]),
        np.array([0.0, 0.0, 0.0, *quat_from_rotvec(np.array([angle, 0.0, 0.0]))]),
    )
    return pose[3:]


def gap_of(
    gels: bool = False,
    camera: CameraCfg = CAMERA,
    late: float = 0.0,
    change: Callable[[str, Image, Image], np.ndarray] | None = None,
) -> dict[str, PictureGap]:
    """Return what is found of an arm whose camera is another, late, or gives other pictures.

    `change` makes them of the name, of what is seen and of what is seen of the first moment.
    """
    arm = build(1, None if gels else camera)
    state = path(arm, gels)
    moments = list[Moment]()
    first: dict[str, Image] = {}
    for t in np.arange(0.2, 3.0, 0.4):
        pictures = seen(arm, state(t - late))
        first = first or pictures
        if change is not None:
            told = {n: change(n, p, first[n]) for n, p in pictures.items()}
            pictures = {n: p.round().clip(0, 255).astype(np.uint8) for n, p in told.items()}
        moments.append(Moment(pictures=pictures, state=lambda x, t=t: state(t + x)))
    return {found.name: found for found in measure_pictures(replay(gels), moments, DT)}


def turned(rotvec: tuple[float, ...], shift: tuple[float, ...] = (0.0, 0.0, 0.0)) -> CameraCfg:
    """Return the camera turned and moved in its optical frame."""
    change = np.array([*shift, *quat_from_rotvec(np.array(rotvec))])
    return replace(CAMERA, pose=tuple(pose_compose(np.array(CAMERA.pose), change)))


def test_what_sees_the_same_has_no_gap() -> None:
    for gels in (False, True):
        for found in gap_of(gels).values():
            assert found.difference == 0.0
            assert max(found.shares.values()) == 0.0
            assert found.contrast > 5.0 and len(found.examples) == 3


@pytest.mark.parametrize("wrong", [(0.012, -0.02, 0.01), (0.06, -0.05, 0.03)])
def test_a_camera_that_looks_elsewhere(wrong: tuple[float, ...]) -> None:
    (found,) = gap_of(camera=turned(wrong)).values()
    assert found.shares["aim"] > 0.98
    np.testing.assert_allclose(found.numbers["aim"], wrong, atol=1e-3)
    assert max(s for kind, s in found.shares.items() if kind != "aim") < 0.9


def test_a_camera_that_is_elsewhere() -> None:
    wrong = (0.04, -0.03, 0.05)
    (found,) = gap_of(camera=turned((0.0, 0.0, 0.0), wrong)).values()
    assert found.shares["place"] > 0.98
    np.testing.assert_allclose(found.numbers["place"], wrong, atol=2e-3)


def test_another_focal_length() -> None:
    k = CAMERA.intrinsics
    other = replace(CAMERA, intrinsics=replace(k, fx=1.08 * k.fx, fy=1.08 * k.fy))
    (found,) = gap_of(camera=other).values()
    assert found.shares["focal"] > 0.98
    assert found.numbers["focal"][0] == pytest.approx(1.08, abs=2e-3)


@pytest.mark.parametrize("late", [0.04, 0.15])
def test_pictures_that_are_late(late: float) -> None:
    (found,) = gap_of(late=late).values()
    assert found.shares["delay"] > 0.98
    assert found.numbers["delay"][0] == pytest.approx(late, abs=1e-3)
    assert max(s for kind, s in found.shares.items() if kind != "delay") < 0.5


def test_a_number_that_was_not_found_is_not_told() -> None:
    """It looks at something else altogether: no number is the one."""
    (found,) = gap_of(camera=turned((0.0, 0.5, 0.0))).values()
    assert found.difference > 20.0
    assert "aim" not in found.numbers or found.shares["aim"] < 0.5


def test_a_darker_picture_and_a_redder_one() -> None:
    (found,) = gap_of(change=lambda _, p, __: 0.8 * p + 10.0).values()
    assert found.shares["brightness"] > 0.99
    np.testing.assert_allclose(found.numbers["brightness"], (0.8, 10.0), rtol=0.1)
    (found,) = gap_of(change=lambda _, p, __: p * (1.1, 1.0, 0.9)).values()
    assert found.shares["colour"] > 0.95 > 0.6 > found.shares["brightness"]


def test_gels_that_look_deeper_and_gels_with_a_stain() -> None:
    for found in gap_of(True, late=0.0, change=deeper).values():
        assert found.shares["dents"] > 0.95
        assert found.numbers["dents"][0] == pytest.approx(1.3, abs=0.02)
    stain = np.zeros(touch_shape())
    stain[5:20, 8:30] = 12.0
    for found in gap_of(True, change=lambda _, p, __: p + stain).values():
        assert found.shares["still"] > 0.99 > 0.9 > found.shares["dents"]


def touch_shape() -> tuple[int, ...]:
    return next(iter(replay(True)._arm.organs.specs.values())).shape


def deeper(name: str, picture: Image, first: Image) -> np.ndarray:
    """Return a picture whose dents are 1.3 times as deep."""
    arm = build_flat()
    flat = arm[name].astype(np.float64)
    return flat + 1.3 * (picture - flat)


@cache
def build_flat() -> dict[str, Image]:
    """Return what gels see that nothing touches."""
    arm = build(1, None)
    state = path(arm, True)(0.0)
    state["qpos"][-5] += 1.0
    return seen(arm, state)


def test_what_a_state_holds_of_goals_and_pads_is_where_it_says() -> None:
    """A world keeps poses of such bodies beside the engine's."""
    arm = SimulatedArm("reach", "fr3")
    place = arm.world.read("mocap_pos")[0].double().numpy().copy()
    state = {"mocap_pos": (place + 0.1)[None]}
    arm.put_state(state)
    np.testing.assert_array_equal(arm.world.read("mocap_pos")[0], place + 0.1)
    arm.step()
    np.testing.assert_array_equal(arm.world.read("mocap_pos")[0], place + 0.1)
