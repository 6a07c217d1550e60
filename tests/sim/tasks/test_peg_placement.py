"""Peg placement: closeness by hand, what counts as placed, and that that it then stands."""

# pyright: standard

from __future__ import annotations

import math

import pytest
import torch

from sim2arm.core.robots import FR3
from sim2arm.core.transforms import quat_z_axis
from sim2arm.sim.draws import StreamDraws
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.peg_placement import PegPlacement, PegPlacementCfg, closeness
from sim2arm.sim.tasks.start import quat_from_rpy

CFG = PegPlacementCfg()
F64 = torch.float64


def make_env(num_envs: int, cfg: PegPlacementCfg = CFG) -> Env:
    """Return an environment of the task."""
    return Env(PegPlacement(cfg, FR3), FR3, num_envs=num_envs, threads=1)


def put_peg(env: Env, row: int, *, tilt: float, side: float, gap: float) -> None:
    """Put a peg over its pad: tilt [rad], side of the foot [m], gap of its lowest point [m]."""
    pad = env.world.mocap("pad")[row]
    turn = quat_from_rpy(torch.tensor([[math.pi + tilt, 0.0, 0.0]], dtype=F64))[0]
    down = quat_z_axis(turn)
    foot = pad[:3].clone()
    foot[0] += side
    foot[2] += CFG.pad_height + gap + CFG.peg_radius * math.sin(tilt)
    env.world.free_body("peg").q[row] = torch.cat([foot - 0.5 * CFG.peg_length * down, turn])


def test_closeness_by_hand() -> None:
    def near(*numbers: float) -> float:
        return float(closeness(CFG, *(torch.tensor([v], dtype=F64) for v in numbers)))

    assert near(0.0, 0.0, 0.0, 0.0) == 1.0
    # d = 0.1, s = 8 mm, t = 0.1, h = 0.02: f(1) = 0.238406, f(0.4) = 0.620051, f(0.6) = 0.462950,
    # g = 1 / (1 + 1 + 1): (0.238406 + 0.620051 + 2 * 0.462950 / 3) / 4 = 0.291773.
    assert near(0.1, 0.008, 0.1, 0.02) == pytest.approx(0.291773, abs=1e-6)


def test_pegs_start_tilted_about_the_axis_of_the_pads_and_touch_nothing() -> None:
    task = PegPlacement(CFG, FR3)
    starts = task.draw(StreamDraws(torch.Generator().manual_seed(0), 500))
    env = make_env(8)
    env.reset(range(8))
    inside = env.task.observe()["peg_in_tool"]
    # About the tool's y axis alone: the quaternion is (cos, 0, sin, 0).
    assert inside[:, [4, 6]].abs().max() < 1e-9
    tilts = 2.0 * torch.atan2(inside[:, 5], inside[:, 3])
    assert tilts.abs().max() <= CFG.grasp_tilt and tilts.abs().max() > 0.1
    down = quat_z_axis(starts["peg"][:, 3:])
    lowest = (starts["peg"][:, :3] + 0.5 * CFG.peg_length * down)[:, 2] - CFG.peg_radius
    assert lowest.min() > CFG.pad_high[2] + CFG.pad_height


def test_placed_is_upright_over_the_pad_and_on_it_for_a_while() -> None:
    env = make_env(5)
    env.reset(range(5))
    good = {"tilt": 0.09, "side": 0.0090, "gap": 0.0005}  # 0.6 * 16 mm = 9.6 mm
    put_peg(env, 0, **good)
    put_peg(env, 1, **good | {"tilt": 0.11})
    put_peg(env, 2, **good | {"side": 0.0100})
    put_peg(env, 3, **good | {"gap": 0.0012})
    put_peg(env, 4, **good | {"gap": -0.0012})  # pressed into the pad
    env.world.forward()
    for k in range(CFG.hold_steps):
        assert not env.task.success(env.world).any(), k
        env.task.update(env.world)
    assert env.task.success(env.world).tolist() == [True, False, False, False, False]


def test_a_peg_that_counts_as_placed_stands_when_it_is_let_go() -> None:
    env = make_env(3)
    env.reset(range(3))
    for row, side in enumerate((0.0, 0.009, -0.009)):
        put_peg(env, row, tilt=CFG.tilt_tolerance, side=side, gap=CFG.gap_tolerance)
    fingers = env.world.joints(FR3.gripper.joint_names)
    fingers.q[:] = 0.5 * FR3.gripper.open_width
    env.world.forward()
    targets = env.commands.controls.clone()
    targets[:, :, -1] = FR3.gripper.open_width
    for _ in range(60):
        env.world.step(targets)
    down = quat_z_axis(env.world.body("peg").pose[:, 3:])
    assert (down[:, 2] < -math.cos(0.01)).all()


def test_a_policy_that_does_not_see_the_peg() -> None:
    blind = PegPlacement(PegPlacementCfg(peg_seen=False), FR3)
    assert "peg_pose" not in (*blind.actor, *(spec.name for spec in blind.goals))
    assert "peg_in_tool" in blind.critic


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"tilt_tolerance": 0.4}, r"tilt_tolerance must be below 0\.310 rad"),
        ({"pad_noise": -1.0}, "pad_noise must be 0 or more"),
        ({"peg_radius": 0.0}, "peg_radius must be above 0"),
    ],
)
def test_settings_of_which_no_episode_can_be_made(changes: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PegPlacementCfg(**changes)  # pyright: ignore[reportArgumentType]


def test_the_critic_of_a_teacher_fits_a_student() -> None:
    seen, blind = (PegPlacement(PegPlacementCfg(peg_seen=s), FR3) for s in (True, False))
    assert seen.critic == blind.critic
    assert set(blind.actor) == set(seen.actor) - {"peg_pose"}
