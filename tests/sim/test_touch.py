"""Touch of environments and arms: what gels do to a grasp, and what is seen of them."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.cli.touches import TOUCHES
from sim2arm.core.contract import Provenance
from sim2arm.core.gradient_table_file import write_table
from sim2arm.core.robots import FR3, UR5E, Robot
from sim2arm.core.synthetic_tables import synthetic_table
from sim2arm.core.transforms import pose_between, quat_to_matrix
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.tactile.field import GelLaw
from sim2arm.sim.tactile.gel_noise import GelNoise
from sim2arm.sim.tactile.pads import THICKNESS, put_gels
from sim2arm.sim.tasks.shapes import arm_scene
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.touch import FIELD, IMAGES, Touch
from sim2arm.sim.worlds.law import LawError

BOTH = Touch(sees=("field", "image"))


def make_env(touch: Touch = BOTH, *, task: str = "peg-placement", num_envs: int = 2) -> Env:
    return Env(make_task(task, "fr3"), FR3, num_envs=num_envs, touch=touch)


def still(env: Env) -> torch.Tensor:
    return torch.zeros(env.num_envs, env.action_dim)


def test_a_peg_stays_as_it_was_gripped_and_is_felt() -> None:
    env = make_env()
    obs = env.reset([3, 4])
    assert set(env.groups["actor"]) >= {FIELD, *IMAGES}
    assert not set(env.groups["critic"]) & {FIELD, *IMAGES}
    assert obs[FIELD].abs().max() == 0.0  # forces are those of a substep, and there was none
    assert {obs[name].shape for name in IMAGES} == {(2, 80, 60, 3)}
    table = synthetic_table("gelsight-r15")
    flat = np.floor(table.background_at(80, 60) + 0.5).astype(np.uint8)
    dented = np.abs(obs[IMAGES[0]][0].numpy().astype(int) - flat).max()
    assert dented > 10  # the peg lies in the gel from the start
    first = env.task.observe()["peg_in_tool"].clone()
    for _ in range(60):
        obs = env.step(still(env))[0]
    moved = pose_between(first, env.task.observe()["peg_in_tool"])
    assert moved[:, :3].norm(dim=-1).max() < 1.5e-3  # it sags, and swings under the hand
    assert obs[FIELD].shape == (2, 2, 14, 10, 3)
    pressed = obs[FIELD][..., 0].sum(dim=(2, 3))
    assert (pressed > 2.0).all()  # [N]
    torch.testing.assert_close(pressed[:, 0], pressed[:, 1], rtol=0.05, atol=0.0)
    drag = obs[FIELD][..., 2].sum(dim=(1, 2, 3))  # rows run down: the peg pulls the gels down
    weight = 0.05 * 9.81
    assert (drag > 0.85 * weight).all()  # of a hand that is tilted by up to 0.14 rad
    assert (drag < 1.15 * weight).all()
    force = env.task.observe()["peg_force"].reshape(2, 3, 3)[:, :2].sum(dim=1)
    np.testing.assert_allclose(force[:, 2], weight, rtol=0.02)  # the critic knows it, too


def test_the_tilt_of_a_peg_is_what_the_field_shows() -> None:
    env = make_env(Touch(), num_envs=8)
    obs = env.reset(range(8))
    for _ in range(20):
        obs = env.step(still(env))[0]
    tilt = 2.0 * env.task.observe()["peg_in_tool"][:, 5]  # half the sine about y, the pads' axis
    rows = torch.arange(14.0)
    columns = torch.arange(10.0)
    slope = []
    for n in range(8):
        weight = obs[FIELD][n, 0, :, :, 0].double()
        held = weight.sum(dim=1) > 0.7 * weight.sum(dim=1).max()  # not where it ends
        middle = (weight * columns).sum(dim=1)[held] / weight.sum(dim=1)[held]
        line = np.polyfit(rows[held].numpy(), middle.numpy(), 1)[0] * 2.105 / 2.004
        slope.append(abs(np.arctan(line)))
    assert np.corrcoef(slope, tilt.abs().numpy())[0, 1] > 0.98
    np.testing.assert_allclose(slope, tilt.abs(), atol=0.06)


@pytest.mark.parametrize("world", ["mujoco", "warp"])
def test_an_episode_is_its_seed_whatever_runs_beside(world: str) -> None:
    env = Env(make_task("peg-placement", "fr3"), FR3, num_envs=3, touch=BOTH, world=world)
    obs = env.reset([7, 3, 7])
    for _ in range(6):
        obs = env.step(0.3 * torch.ones(3, 6))[0]
    for name in (FIELD, *IMAGES):
        assert torch.equal(obs[name][0], obs[name][2]), name
        assert not torch.equal(obs[name][0], obs[name][1]), name


def test_engines_agree_about_a_grasp() -> None:
    seen = []
    for world in ("mujoco", "warp"):
        task = make_task("peg-placement", "fr3")
        env = Env(task, FR3, num_envs=1, touch=BOTH, world=world)
        obs = env.reset([5])
        for _ in range(15):
            obs = env.step(0.2 * torch.ones(1, 6))[0]
        seen.append(obs)
    exact, single = seen
    # single precision: where the peg ends, a taxel is in or out
    assert (exact[FIELD] - single[FIELD]).abs().max() < 0.05 * exact[FIELD].max()
    apart = exact[IMAGES[0]].int() - single[IMAGES[0]].int()
    assert apart.abs().max() <= 3


def test_an_arm_feels_what_the_environment_feels() -> None:
    env = make_env(num_envs=1)
    obs = env.reset([11])
    arm = SimulatedArm(make_task("peg-placement", "fr3"), "fr3", touch=BOTH)
    arm.reset(11)
    measured = arm.measured()
    for name in (FIELD, *IMAGES):
        np.testing.assert_array_equal(measured[name], obs[name].numpy())
    arm.step()
    assert arm.measured()[FIELD].max() > 0.05


def test_readings_come_at_the_rate_of_the_sensor() -> None:
    touch = Touch(sees=("image",), sensor="gelsight-mini", picture=(30, 40))
    env = make_env(touch, num_envs=1)
    last, taken = env.reset([2])[IMAGES[0]].clone(), []
    for k in range(1, 13):
        env.world.free_body("peg").dq[:, 2] = 0.05  # it never rests
        now = env.step(still(env))[0][IMAGES[0]].clone()
        if not torch.equal(now, last):
            taken.append(k)
        last = now
    assert taken == [3, 5, 8, 10, 12]  # at 25 Hz the first tick of 60 Hz at or after k 40 ms


def test_noise_and_gain_are_of_the_sensor_not_of_the_physics() -> None:
    plain, rough = make_env(Touch()), make_env(Touch(gain=1.5, deviation=0.01))
    for env in (plain, rough):
        env.reset([1, 2])
        env.step(still(env))
    a, b = plain.step(still(plain))[0][FIELD], rough.step(still(rough))[0][FIELD]
    assert torch.equal(plain.skin.forces.forces, rough.skin.forces.forces)  # pyright: ignore
    quiet = a[..., 0] == 0.0
    assert b[..., 0][quiet].std() == pytest.approx(0.01, rel=0.05)
    share = b[..., 0].sum(dim=(2, 3)) / a[..., 0].sum(dim=(2, 3))
    assert share.std() > 0.02
    assert share.min() > 1 / 1.6
    assert share.max() < 1.6


def test_the_contract_says_what_is_felt() -> None:
    env = make_env(Touch(sees=("field", "image"), sensor="digit", latency=(0.01, 0.02)))
    where = Provenance(experiment="x", commit="x", versions={}, steps=0, seed=0)
    contract = make_contract(env, where)
    inputs = {spec.name: spec for spec in contract.inputs}
    assert inputs[FIELD].shape == (2, 14, 10, 3)
    assert inputs[FIELD].unit == "N"
    assert inputs[FIELD].rate_hz == 30.0
    assert inputs[IMAGES[1]].driver_stage == ("driver_stage/1 640x480 crop 0,0,640,480 area 80x60")
    ranges = {found.name: found for found in contract.ranges}
    assert (ranges["latency/touch"].low, ranges["latency/touch"].high) == (0.01, 0.02)


def test_a_calibrated_table_is_what_is_drawn(tmp_path: Path) -> None:
    table = synthetic_table("gelsight-r15")
    other = replace(table, background=table.background[:, ::-1].copy(), size=(0.018, 0.024))
    path = tmp_path / "mine.safetensors"
    write_table(path, other)
    env = make_env(Touch(sees=("image",), table=str(path)), task="lift-cube", num_envs=1)
    assert env.skin is not None
    assert env.skin.forces.cfg.height == 0.024
    flat = np.floor(other.background_at(80, 60) + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(env.reset([1])[IMAGES[0]][0], flat)  # nothing is gripped yet


@pytest.mark.parametrize("robot", [FR3, UR5E], ids=lambda robot: robot.name)
def test_gels_face_each_other_where_the_pads_did(robot: Robot) -> None:
    spec = arm_scene(robot)
    pads = spec.copy().compile()
    places = put_gels(spec, robot, height=0.028, width=0.021)
    model = spec.compile()
    data = mujoco.MjData(model)
    for finger in robot.gripper.joint_names:
        data.joint(finger).qpos[0] = 0.01
    mujoco.mj_forward(model, data)
    frames = []
    for gel in places:
        body = data.body(gel.body)
        R = body.xmat.reshape(3, 3) @ quat_to_matrix(np.array(gel.place[3:]))
        frames.append((body.xpos + body.xmat.reshape(3, 3) @ np.array(gel.place[:3]), R))
    (p, left), (q, right) = frames
    assert left[:, 2] @ right[:, 2] == pytest.approx(-1.0)
    assert (q - p) @ left[:, 2] == pytest.approx(0.02, abs=1e-9)
    tool = data.site(robot.chain.tool_frame).xmat.reshape(3, 3)
    for R in (left, right):
        assert R[:, 1] @ tool[:, 2] == pytest.approx(1.0)  # rows run towards the tool
        assert np.linalg.det(R) == pytest.approx(1.0)
    name = f"{robot.name}_leftpad"
    back = data.geom(name).xpos + model.geom(name).size[2] * left[:, 2]
    assert (p - back) @ left[:, 2] == pytest.approx(THICKNESS)
    assert 2 * model.geom(name).size[2] == pytest.approx(2 * pads.geom(name).size[1] - THICKNESS)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sensor": "finger"}, "finger"),
        ({"sees": ("smell",)}, "smell"),
        ({"grip": -1.0}, "grip"),
        ({"gain": 0.5}, "gain"),
        ({"lost": 1.0}, "lost"),
        ({"sensor": "gelsight-mini-markers", "law": GelLaw(shear=0.0)}, "stiffness of shear"),
        ({"lost_in_a_row": 0}, "lost_in_a_row"),
        ({"noise": GelNoise()}, "noise"),
        ({"shadows": True}, "shadows"),
        ({"group": "critic"}, "critic"),
    ],
)
def test_what_is_no_touch_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Touch(**settings)


def test_nothing_to_touch_and_too_old_readings_are_refused() -> None:
    with pytest.raises(LawError, match="nothing in this task can be touched"):
        make_env(task="reach")
    with pytest.raises(ValueError, match="max_age_s"):
        make_env(Touch(rate_hz=10.0))


def test_readings_that_are_lost_leave_the_last_one_longer() -> None:
    """A quarter of them, two in a row at most; the bound of ages is kept and reached."""
    touch = Touch(rate_hz=20.0, lost=0.25, max_age_s=0.2)
    env = make_env(touch, num_envs=16)
    env.reset(range(16))
    skin = env.skin
    assert skin is not None
    recent, arrived = skin._streams[0].recent, 0.0
    oldest = torch.zeros(16)
    for _ in range(240):
        skin.advance()
        arrived += float(recent.due.sum())
        skin.see()
        oldest = torch.maximum(oldest, skin.ages[FIELD])
    # 4 s of 20 Hz in 16 worlds; of three lost in a row the third arrives: 1/4 - 1/64 or so
    assert arrived / (16 * 80) == pytest.approx(0.76, abs=0.03)
    bound = skin.specs[FIELD].trained_age_s
    assert bound is not None
    assert bound[1] == pytest.approx(3 / 20 + 1 / 60)
    assert oldest.max().item() == pytest.approx(3 / 20 - 1 / 60, abs=1e-6)
    assert oldest.max() < bound[1]
    with pytest.raises(ValueError, match="max_age_s"):
        make_env(replace(touch, max_age_s=0.15))


@pytest.mark.parametrize("name", ["field-real", "image-real", "markers-real"])
def test_a_real_sensor_is_its_episodes_alone(name: str) -> None:
    """Noise, latency, phase and losses, in whatever batch."""
    touch = replace(TOUCHES[name], lost=0.3)
    seen = []
    for seeds in ([7], [1, 7, 2]):
        env = make_env(touch, num_envs=len(seeds))
        obs = env.reset(seeds)
        for _ in range(12):
            obs = env.step(0.3 * torch.ones(len(seeds), 6))[0]
        assert env.skin is not None
        seen.append({n: obs[n][seeds.index(7)].clone() for n in env.skin.names})
    for array, values in seen[0].items():
        assert torch.equal(values, seen[1][array]), array
    told = {found.name: found.high for found in env.skin.ranges((), 1.0)}
    assert told["lost/touch"] == 0.3
    assert ("appearance/touch/blur" in told) == (name != "field-real")


def test_dots_show_what_a_held_peg_drags() -> None:
    touch = Touch(sees=("field", "image"), sensor="gelsight-mini-markers", picture=(120, 160))
    env = make_env(touch)
    obs = env.reset([1, 2])
    assert env.skin is not None and env.skin.pictures is not None
    dots = env.skin.pictures.dots
    assert dots is not None
    first = dots.places.clone()
    torch.testing.assert_close(first[0], first[3])  # nothing has dragged yet
    for _ in range(30):
        obs = env.step(still(env))[0]
    moved = dots.places - first
    drag = obs[FIELD][..., 1:].sum(dim=(2, 3)).reshape(4, 2)
    assert (drag[:, 1] > 0.05).all()  # its weight
    assert (moved[..., 1].mean(dim=1) > 0.0).all()
    area = env.skin.forces.cfg.height * env.skin.forces.cfg.width / 140
    most = obs[FIELD][..., 1:].norm(dim=-1).max() / (2e7 * area)
    assert moved.norm(dim=-1).max() <= most + 1e-9
    pixel = env.skin.forces.cfg.width / 160
    col, row = ((dots.places[0] / pixel).T + torch.tensor([[80.0], [60.0]])).long()
    inside = (row >= 0) & (row < 120) & (col >= 0) & (col < 160)
    dark = obs[IMAGES[0]][0].amax(dim=-1)[row[inside], col[inside]]
    assert inside.sum() > 50
    assert (dark < 70).all()  # the flat gel is 110 and more


def test_shadows_only_darken() -> None:
    plain = make_env(Touch(sees=("image",), sensor="gelsight-mini"))
    shaded = make_env(Touch(sees=("image",), sensor="gelsight-mini", shadows=True))
    a, b = (env.reset([0, 4])[IMAGES[0]].int() for env in (plain, shaded))
    assert (b <= a).all()
    assert (a - b).max() > 5


def test_noise_of_pictures_leaves_the_physics_alone() -> None:
    touch = Touch(sees=("image",))
    plain, rough = make_env(touch), make_env(replace(touch, noise=GelNoise()))
    a, b = plain.reset([1, 2])[IMAGES[0]].int(), rough.reset([1, 2])[IMAGES[0]].int()
    apart = (a - b).abs().double().mean(dim=(1, 2, 3))
    assert (apart > 2.0).all()
    assert apart[0].item() != pytest.approx(apart[1].item(), rel=0.01)  # each episode its look
    assert (apart < 40.0).all()
