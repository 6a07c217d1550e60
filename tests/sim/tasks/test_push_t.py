"""Push-T: the covered share and closeness by hand, and the same push on both engines."""

# pyright: standard

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sim2arm.core.robots import FR3
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.draws import StreamDraws
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.push_t import REACH, PushT, PushTCfg, closeness, inside_t, t_points
from sim2arm.sim.tasks.start import quat_from_rpy
from sim2arm.sim.worlds.base import World

CFG = PushTCfg()
F64 = torch.float64


def make_env(num_envs: int, world: str = "mujoco") -> Env:
    """Return an environment of the task."""
    return Env(PushT(CFG, FR3), FR3, num_envs=num_envs, world=world)


def put_block(env: Env, row: int, x: float, y: float, yaw: float) -> None:
    """Put the T of a world to a place in its goal's frame: squares and rad."""
    goal = env.world.mocap("goal")[row]
    turn = math.pi / 4
    c, s = math.cos(turn), math.sin(turn)
    place = goal[:3].clone()
    place[0] += CFG.square * (c * x - s * y)
    place[1] += CFG.square * (s * x + c * y)
    q = quat_from_rpy(torch.tensor([[0.0, 0.0, turn + yaw]], dtype=F64))[0]
    env.world.free_body("block").q[row] = torch.cat([place, q])


def test_the_points_are_the_t_and_balance_on_its_origin() -> None:
    points = t_points(1.0)
    assert points.shape == (7 * 25, 3)
    assert inside_t(points, 1.0).all()
    torch.testing.assert_close(points.mean(dim=0), torch.zeros(3, dtype=F64), rtol=0, atol=1e-12)
    assert points[:, :2].norm(dim=-1).max() < REACH
    # The inner corner beside the stem is outside: bar down to 6/7 - 1/2, stem half a square wide.
    corner = torch.tensor([[0.49, 0.3, 0.0], [0.51, 0.3, 0.0]], dtype=F64)
    assert inside_t(corner, 1.0).tolist() == [True, False]


def test_the_covered_share_by_hand_and_success_after_holding() -> None:
    env = make_env(4)
    env.reset(range(4))
    put_block(env, 0, 0.0, 0.0, 0.0)
    put_block(env, 1, 1.0, 0.0, 0.0)  # bar: 3 of 4 squares; the stem beside the stem: none
    put_block(env, 2, 0.0, -1.0, 0.0)  # bar on the stem's first square, stem on its last two
    put_block(env, 3, 0.02, 0.0, 2.0 * math.pi)  # a full turn is none
    env.world.forward()
    task = env.task
    assert isinstance(task, PushT)
    for k in range(CFG.hold_steps):
        assert not task.success(env.world).any(), k
        task.update(env.world)
    torch.testing.assert_close(task._share[:3], torch.tensor([1.0, 3 / 7, 3 / 7], dtype=F64))
    assert task._share[3] > 0.95
    assert task.success(env.world).tolist() == [True, False, False, True]
    assert task.reward(env.world)["success"].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_closeness_by_hand_and_what_is_lost() -> None:
    def near(*numbers: float) -> float:
        return float(closeness(CFG, *(torch.tensor([v], dtype=F64) for v in numbers)))

    assert near(0.0, 0.0, 0.0, 1.0) == pytest.approx(1.0)
    # f(0.8) = 0.335963: 0.1 f + 0.3 f + 0.15 (1 + 0) + 0.3 * 0.5 = 0.434385.
    assert near(0.1, 0.1, math.pi / 2, 0.5) == pytest.approx(0.434385, abs=1e-6)
    env = make_env(3)
    env.reset(range(3))
    env.world.free_body("block").q[1, 0] += 0.5
    env.world.free_body("block").q[2, 2] -= 0.1
    env.world.forward()
    env.task.update(env.world)
    assert env.task.reward(env.world)["lost"].tolist() == [0.0, -1.0, -1.0]


def test_the_tool_starts_beside_the_t() -> None:
    task = PushT(CFG, FR3)
    starts = task.draw(StreamDraws(torch.Generator().manual_seed(0), 300))
    env = make_env(4)
    env.reset(range(4))
    away = env.task.observe()["ee_pose"][:, :2] - env.task.observe()["block_pose"][:, :2]
    radius = REACH * CFG.square + CFG.start_gap
    torch.testing.assert_close(
        away.norm(dim=-1), torch.full((4,), radius, dtype=F64), rtol=0, atol=1e-3
    )
    yaw = 2.0 * torch.atan2(starts["block"][:, 6], starts["block"][:, 3])
    assert yaw.max() - yaw.min() > 5.0  # all around


def test_a_push_is_the_same_on_both_engines() -> None:
    ends: list[Tensor] = []
    for world in ("mujoco", "warp"):
        env = make_env(3, world)
        obs = env.reset(range(3))
        start = obs["block_pose"].clone()
        way = obs["block_pose"][:, :2] - obs["ee_pose"][:, :2]
        action = torch.zeros(3, 6)
        action[:, :2] = 0.4 * way / way.norm(dim=-1, keepdim=True)
        for _ in range(45):
            obs = env.step(action)[0]
        assert ((obs["block_pose"] - start)[:, :2].norm(dim=-1) > 0.04).all()
        ends.append(obs["block_pose"].clone())
        env.world.check_capacity()
    # Sliding friction at a line of contact: 6 cm of way within 3 mm, turned within 0.06 rad.
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=3e-2)
    torch.testing.assert_close(ends[0][:, :3], ends[1][:, :3], rtol=0, atol=3e-3)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"success_share": 1.1}, "success_share must be 1 or less"),
        ({"square": 0.0}, "square must be above 0"),
    ],
)
def test_settings_of_which_no_episode_can_be_made(changes: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PushTCfg(**changes)  # pyright: ignore[reportArgumentType]


def test_an_episode_scores_its_largest_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over 0.95, cut at 1: the best need not be the last, and nothing counts after the end."""
    arm = SimulatedArm("push-t", "fr3", num_arms=3)
    task, series = arm.task, [[0.3, 0.2, 0.1], [0.76, 0.97, 0.38], [0.5, 0.4, 0.9]]
    assert isinstance(task, PushT)
    measure = task.update

    def update(world: World) -> None:
        measure(world)
        task._share = torch.tensor(series[arm.ticks - 1], dtype=F64)

    monkeypatch.setattr(task, "update", update)
    assert arm.scores is not None and arm.scores.tolist() == [0.0, 0.0, 0.0]
    for tick in range(3):
        if tick == 1:
            arm.world.free_body("block").q[2, 0] += 0.5  # lost in the second step
        arm.step()
    assert arm.done.tolist() == [False, False, True]
    assert arm.scores.tolist() == pytest.approx([0.8, 1.0, 0.4])  # 0.76, 0.97 and 0.38 over 0.95
    arm.reset([0, 1, 2])
    assert arm.scores is not None and not arm.scores.any()
    assert SimulatedArm("reach", "fr3").scores is None
