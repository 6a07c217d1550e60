"""Cameras in scenes: where things lie in their pictures, alike on both engines, small as if big."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.core.driver_stage import (
    DriverStage,
    Intrinsics,
    area_resize,
    distort,
    parse_stage,
    run_stage,
)
from sim2arm.core.robots import FR3
from sim2arm.core.transforms import pose_inverse, pose_to_matrix
from sim2arm.sim.camera_rig import CameraRig, mean_of_squares
from sim2arm.sim.cameras import (
    CameraCfg,
    add_camera,
    camera_specs,
    find_mount,
    look_at,
    scene_camera,
    wrist_camera,
)
from sim2arm.sim.draws import SeededDraws
from sim2arm.sim.scene import add_surroundings
from sim2arm.sim.tasks.peg_insertion import PegInsertion, PegInsertionCfg
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.compiled import UnknownNameError
from sim2arm.sim.worlds.pictures import OUTPUTS, SHOWN, TEXTURES, Shot
from sim2arm.sim.worlds.table import WORLDS, make_world

EVERY = pytest.mark.parametrize("engine", WORLDS)
BOTH = pytest.mark.parametrize("engine", ("mujoco", "warp"))
LENS = (-0.25, 0.1, 0.002, -0.003, 0.0)
BALLS = ((0.0, 0.0, 0.0), (0.3, 0.1, 0.15), (-0.3, -0.1, -0.2), (-0.2, 0.3, 0.25))


def make_camera(**overrides: Any) -> CameraCfg:
    """Off its axis, with pixels that are not square, at 1.2 m from the middle of the balls."""
    whole: dict[str, Any] = {
        "name": "eye",
        "pose": look_at((1.0, -0.6, 0.3), (0.0, 0.0, 0.0)),
        "intrinsics": Intrinsics(width=160, height=120, fx=150.0, fy=160.0, cx=70.0, cy=66.0),
        "stage": DriverStage(
            width=160, height=120, crop=(10, 0, 140, 120), out_width=70, out_height=60
        ),
        "outputs": OUTPUTS,
    }
    return CameraCfg(**(whole | overrides))


def make_balls(engine: str, *cfgs: CameraCfg, num_worlds: int = 2) -> World:
    """Four balls, the first on a free joint, before a wall 3 m behind."""
    spec = mujoco.MjSpec()
    for k, place in enumerate(BALLS):
        body = spec.worldbody.add_body(name=f"ball{k}", pos=place)
        if k == 0:
            body.add_freejoint()
        body.add_geom(name=f"ball{k}", size=(0.05, 0.0, 0.0), rgba=(0.9, 0.2, 0.1, 1.0))
    spec.worldbody.add_light(name="lamp", pos=(2.0, -2.0, 3.0), dir=(-2.0, 2.0, -3.0))
    for cfg in cfgs:
        add_camera(spec, cfg)
    return make_world(engine, spec, num_worlds, timestep=0.002, control_substeps=1)


def expected_pixel(world: World, cfg: CameraCfg, point: tuple[float, ...]) -> np.ndarray:
    """Where the pinhole and its lens put a point of the world."""
    optical = world.site(cfg.optical_frame).pose[0].double()
    x, y, z, _ = pose_to_matrix(pose_inverse(optical)).numpy() @ np.array([*point, 1.0])
    k = cfg.final
    bent = distort(k, np.array([x / z, y / z]))
    return bent * (k.fx, k.fy) + (k.cx, k.cy)


CAMERAS: dict[str, CameraCfg] = {
    "plain": make_camera(),
    "bent": make_camera(intrinsics=replace(make_camera().intrinsics, distortion=LENS)),
    "sampled": make_camera(samples=2),
    "bent and sampled": make_camera(
        samples=2, intrinsics=replace(make_camera().intrinsics, distortion=LENS)
    ),
}


@BOTH
@pytest.mark.parametrize("cfg", CAMERAS.values(), ids=CAMERAS)
def test_things_lie_where_intrinsics_and_lens_put_them(engine: str, cfg: CameraCfg) -> None:
    world = make_balls(engine, cfg)
    rig = CameraRig(world, [cfg])
    frames = rig.draw()
    assert frames["eye_rgb"].shape == (2, 60, 70, 3) and frames["eye_rgb"].dtype == torch.uint8
    geoms = frames["eye_segmentation"][0].numpy()
    off: list[np.ndarray] = []
    for k, place in enumerate(BALLS):
        rows, columns = np.nonzero(geoms == k)
        assert rows.size > 8
        off.append(np.array([columns.mean(), rows.mean()]) - expected_pixel(world, cfg, place))
    # Of four pixels in a square the lower right one is taken, a quarter pixel beside the middle.
    shift = 0.0 if cfg.samples == 1 else -0.25
    assert np.abs(np.array(off) - shift).max() < 0.5  # about 40 pixels each
    assert np.abs(np.mean(off, axis=0) - shift).max() < 0.2


@BOTH
def test_depth_is_along_the_axis_and_nothing_is_zero(engine: str) -> None:
    cfg = make_camera()
    world = make_balls(engine, cfg)
    frames = CameraRig(world, [cfg]).draw()
    depth, geoms = frames["eye_depth"][0], frames["eye_segmentation"][0]
    assert depth.dtype == torch.float32 and geoms.dtype == torch.int32
    assert torch.equal(depth == 0.0, geoms == -1)
    optical = pose_inverse(world.site("eye_optical").pose[0].double())
    for k, place in enumerate(BALLS):
        centre = pose_to_matrix(optical).numpy() @ np.array([*place, 1.0])
        # The nearest point of a ball is about a radius nearer than its centre.
        assert float(depth[geoms == k].min()) == pytest.approx(centre[2] - 0.05, abs=2e-3)


@EVERY
def test_only_chosen_worlds_are_drawn(engine: str) -> None:
    cfg = make_camera()
    world = make_balls(engine, cfg, num_worlds=3)
    rig = CameraRig(world, [cfg])
    before = {name: frame.clone() for name, frame in rig.draw().items()}
    assert all((frame[0] == frame[2]).all() for frame in before.values())
    world.free_body("ball0").q[:, 2] = 0.2
    after = rig.draw(torch.tensor([False, True, False]))
    for name, frame in after.items():
        assert torch.equal(frame[0], before[name][0]) and torch.equal(frame[2], before[name][2])
        assert not torch.equal(frame[1], before[name][1])
    assert after["eye_rgb"] is rig.draw()["eye_rgb"]  # the same memory


@BOTH
def test_several_cameras_at_once_are_each_alone(engine: str) -> None:
    one, other = make_camera(), make_camera(name="other", pose=look_at((0, -1.5, 0.2), (0, 0, 0)))
    other = replace(other, stage=replace(other.stage, out_width=30, out_height=40))
    world = make_balls(engine, one, other)
    both = CameraRig(world, [one, other]).draw()
    for cfg in (one, other):
        alone = CameraRig(world, [cfg]).draw()
        for name in alone:
            differing = (both[name] != alone[name]).double().mean()
            assert differing < 1e-3, name  # the size of the larger sets OpenGL's shapes: alike here


@EVERY
def test_a_written_mocap_pose_is_seen_without_a_step(engine: str) -> None:
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(name="mark", mocap=True, pos=(0, 0, 0))
    body.add_geom(name="mark", size=(0.1, 0, 0))
    add_camera(spec, make_camera())
    world = make_world(engine, spec, 2, timestep=0.002, control_substeps=1)
    rig = CameraRig(world, [make_camera()])
    world.mocap("mark")[1, 2] = 5.0  # out of the picture
    geoms = rig.draw()["eye_segmentation"]
    assert (geoms[0] == 0).any() and not (geoms[1] == 0).any()


@EVERY
def test_fields_of_each_world_are_seen(engine: str) -> None:
    cfg = make_camera()
    world = make_balls(engine, cfg)
    cameras = CameraRig(world, [cfg]).cameras
    for name in SHOWN:
        assert len(cameras.field(name)) == 2, name
    for name in TEXTURES:
        if cameras.renderer == "warp":
            assert len(cameras.field(name)) == 2, name
        else:
            with pytest.raises(ValueError, match=f"'{name}': OpenGL has it once for all worlds"):
                cameras.field(name)
    with pytest.raises(ValueError, match="'body_mass' is no model field that pictures show"):
        cameras.field("body_mass")


CHANGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "cam_pos": lambda v: v + 0.1,
    "cam_intrinsic": lambda v: v * 1.2,
    "geom_rgba": lambda v: v * 0.5,
    "geom_size": lambda v: v * 0.5,
    "light_diffuse": lambda v: v * 0.3,
    "light_attenuation": lambda v: v + 0.3,
    "light_pos": lambda v: -v,
    "light_active": torch.zeros_like,
}


@BOTH
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_shows_in_its_world_alone(engine: str, name: str) -> None:
    cfg = make_camera(outputs=("rgb",))
    world = make_balls(engine, cfg)
    rig = CameraRig(world, [cfg])
    before = rig.draw()["eye_rgb"].clone()
    values = rig.cameras.field(name)
    values[1] = CHANGES[name](values[1])
    after = rig.draw()["eye_rgb"]
    assert torch.equal(before[0], after[0])
    assert (before[1] != after[1]).double().mean() > 0.005


def test_a_level_camera_looks_at_its_target() -> None:
    pose = look_at((1.0, 0.0, 0.5), (0.0, 0.0, 0.5))
    T = pose_to_matrix(torch.tensor(pose, dtype=torch.float64)).numpy()
    # Forward is -x of the base, right is +y, down is -z.
    np.testing.assert_allclose(T[:3, :3].T, [[0, 1, 0], [0, 0, -1], [-1, 0, 0]], atol=1e-12)
    with pytest.raises(ValueError, match="straight above or below"):
        look_at((0.0, 0.0, 1.0), (0.0, 0.0, 0.0))


def test_the_inputs_of_a_camera() -> None:
    cfg = make_camera(rate_hz=15.0, phase_s=0.01)
    specs = camera_specs(cfg)
    assert list(specs) == ["eye_rgb", "eye_depth"]  # no sensor gives a segmentation
    rgb, depth = specs.values()
    assert (rgb.kind, rgb.shape, rgb.dtype, rgb.frame) == (
        "sensor", (60, 70, 3), "uint8", "eye_optical",
    )  # fmt: skip
    assert (rgb.rate_hz, rgb.phase_s) == (15.0, 0.01)
    assert (depth.shape, depth.dtype, depth.unit) == ((60, 70), "float32", "m")
    assert parse_stage(str(rgb.driver_stage)) == cfg.stage
    assert parse_stage(str(depth.driver_stage)).resample == "nearest"
    frames = CameraRig(make_balls("mujoco", cfg), [cfg]).draw()
    for spec in (rgb, depth):
        spec.check(frames[spec.name])


# -- the scene of a task -----------------------------------------------------------------------


def make_peg(engine: str, *cfgs: CameraCfg) -> World:
    """Two worlds of the peg task on the FR3, at different starts."""
    task = PegInsertion(PegInsertionCfg(), FR3)
    spec = task.scene()
    add_surroundings(spec)
    for cfg in cfgs:
        add_camera(spec, cfg)
    world = make_world(engine, spec, 2, timestep=1.0 / 480.0, control_substeps=8)
    task.bind(world)
    everywhere = torch.ones(2, dtype=torch.bool)
    starts = task.draw(SeededDraws([3, 5]))
    task.reset(world, everywhere, {name: value.to(world.dtype) for name, value in starts.items()})
    return world


def test_both_engines_draw_the_same_picture() -> None:
    """Tolerances: OpenGL shades the corners of coarse shapes, rays shade pixels of round ones."""
    cfgs = [scene_camera(outputs=OUTPUTS), wrist_camera("fr3_hand", outputs=OUTPUTS)]
    one, other = (CameraRig(make_peg(engine, *cfgs), cfgs).draw() for engine in ("mujoco", "warp"))
    for name, frame in one.items():
        difference = (frame.double() - other[name].double()).abs()
        if name.endswith("rgb"):
            assert difference.mean() < 4.0, name  # of 255; measured 0.5 and 2.3
            assert (difference.amax(dim=-1) > 40.0).double().mean() < 0.01, name  # edges
        elif name.endswith("depth"):
            assert (difference > 0.002).double().mean() < 0.005, name
            assert difference.median() < 1e-4, name
        else:
            assert (difference > 0).double().mean() < 0.01, name


def test_the_small_picture_is_that_of_the_stage() -> None:
    """Drawn at 84 x 84 against drawn at 480 x 640 and run through the driver stage."""
    small = scene_camera(outputs=("rgb", "depth"))
    fine = scene_camera(name="fine", samples=3)
    whole = DriverStage(width=640, height=480, out_width=640, out_height=480)
    big = scene_camera(name="big", stage=whole, outputs=("rgb", "depth"))
    frames = CameraRig(make_peg("mujoco", small, fine, big), [small, fine, big]).draw()
    wanted = run_stage(small.stage, frames["big_rgb"][0].numpy()).astype(float)
    plain, better = (np.abs(frames[name][0].numpy() - wanted) for name in ("scene_rgb", "fine_rgb"))
    # One ray per pixel against the mean of 33 of them: edges differ, measured 2.2 and 1.1 of 255.
    assert plain.mean() < 4.0 and (plain.max(axis=-1) > 60).mean() < 0.04
    assert better.mean() < 0.6 * plain.mean()
    depth = run_stage(
        parse_stage(str(camera_specs(small)["scene_depth"].driver_stage)),
        frames["big_depth"][0].numpy(),
    )
    assert (np.abs(frames["scene_depth"][0].numpy() - depth) > 0.02).mean() < 0.03
    # Half a pixel of the small picture, 2.9 of the big one, would show.
    moved = np.abs(frames["scene_rgb"][0].numpy()[:, 1:] - wanted[:, :-1])
    assert moved.mean() > 1.5 * plain.mean()


def test_the_wrist_camera_sees_what_the_gripper_holds() -> None:
    cfg = wrist_camera("fr3_hand", outputs=("segmentation",))
    world = make_peg("mujoco", cfg)
    geoms = CameraRig(world, [cfg]).draw()["wrist_segmentation"]
    model = world.model  # type: ignore[attr-defined]
    for name in ("peg", "fr3_leftpad", "fr3_rightpad", "table"):
        share = (geoms == model.geom(name).id).double().mean(dim=(1, 2))
        assert (share > 0.005).all(), name
    rows, columns = torch.nonzero(geoms[0] == model.geom("peg").id, as_tuple=True)
    assert rows.double().mean() > 45.0  # below the middle
    assert abs(float(columns.double().mean()) - 41.5) < 4.0


def test_the_mean_of_squares_is_the_stages() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (2, 12, 9, 3), dtype=np.uint8)
    ours = mean_of_squares(torch.from_numpy(picture), 3)
    for k in range(2):
        np.testing.assert_array_equal(ours[k], area_resize(picture[k], 3, 4))


def test_a_mount_may_be_the_only_body_whose_name_ends_so() -> None:
    bodies = ["world", "a_hand", "b_hand", "c_foot"]
    assert find_mount(make_camera(body="*_foot"), bodies) == "c_foot"
    assert find_mount(make_camera(body="a_hand"), bodies) == "a_hand"
    with pytest.raises(UnknownNameError, match=r"found \['a_hand', 'b_hand'\]"):
        find_mount(make_camera(body="*_hand"), bodies)


ERRORS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "body": (
        lambda: add_camera(mujoco.MjSpec(), make_camera(body="head")),
        UnknownNameError,
        r"expected one body 'head' in the scene, found \[\]. Known: \['world'\]",
    ),
    "name": (lambda: make_camera(name="my eye"), ValueError, "letters, digits"),
    "pose": (lambda: make_camera(pose=(0.0,) * 7), ValueError, "unit quaternion"),
    "outputs": (lambda: make_camera(outputs=("heat",)), ValueError, "expected some of"),
    "samples": (lambda: make_camera(samples=0), ValueError, "above 0"),
    "stage": (
        lambda: make_camera(stage=replace(make_camera().stage, width=200)),
        ValueError,
        "calibrate at the size",
    ),
    "shot": (lambda: Shot(camera="eye", width=0, height=4), ValueError, "got 0 x 4"),
    "twice": (
        lambda: make_balls("mujoco", make_camera()).cameras(
            [Shot(camera="eye", width=4, height=4)] * 2
        ),
        ValueError,
        "one shot per camera",
    ),
    "unknown": (
        lambda: make_balls("warp").cameras([Shot(camera="eye", width=4, height=4)]),
        KeyError,
        "camera 'eye' is not in the model",
    ),
}


@pytest.mark.parametrize(("call", "error", "text"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_is_wrong(
    call: Callable[[], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call()
