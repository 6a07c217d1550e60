"""Bolt-on-nut: closeness by hand, the thread on both engines: catch, pitch, hold, success."""

# pyright: standard

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robots import FR3
from sim2arm.sim.env import Env
from sim2arm.sim.experts import actions, bolt_on_nut
from sim2arm.sim.tasks.bolt_on_nut import BoltOnNut, BoltOnNutCfg, closeness

CFG = BoltOnNutCfg(nut_noise=0.0)
SCALES = EeDeltaCfg(position_scale=0.005, rotation_scale=0.02, position_leash=0.015)
ENGINES = pytest.mark.parametrize("world", ["mujoco", "warp"])


def make_env(num_envs: int, world: str = "mujoco") -> Env:
    """Return an environment of the task with a nut that is seen where it is."""
    return Env(BoltOnNut(CFG, FR3), FR3, num_envs=num_envs, world=world, controller=SCALES)


def approach(env: Env, obs: dict[str, Tensor]) -> Tensor:
    """Return actions (N, 6) of the scripted expert."""
    steps = [SCALES.position_scale] * 3 + [SCALES.rotation_scale] * 3
    return actions(bolt_on_nut(obs), torch.tensor(steps, dtype=obs["ee_pose"].dtype), env.period)


def until_caught(env: Env, obs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Approach until all threads have caught."""
    for _ in range(150):
        if (obs["thread"][:, 0] > 0).all():
            return obs
        obs = env.step(torch.where(obs["thread"][:, :1] > 0, 0.0, approach(env, obs)))[0]
    raise AssertionError("no thread caught")


def test_closeness_by_hand() -> None:
    def near(*numbers: float) -> float:
        return float(closeness(CFG, *(torch.tensor([v], dtype=torch.float64) for v in numbers)))

    # s = 2 mm halves height: f(0.2) = 0.802625, f(0.1) = 0.900332, f(0.3) = 0.708687:
    # 0.2 (0.802625 + 0.900332 + 0.354344) = 0.411460.
    assert near(0.02, 0.002, 0.01, math.nan) == pytest.approx(0.411460, abs=1e-6)
    assert near(0.0, 0.0, -0.01, math.nan) == pytest.approx(0.6)  # below, not caught
    assert near(0.3, 0.1, 0.1, 0.5) == pytest.approx(0.8)  # caught and half turned
    assert near(0.0, 0.0, 0.0, 1.5) == pytest.approx(1.0)
    assert near(0.0, 0.0, 0.0, -0.5) == pytest.approx(0.6)  # turned back


@ENGINES
def test_a_caught_bolt_goes_down_by_the_pitch_and_success_is_a_turn_of_one_radian(
    world: str,
) -> None:
    env = make_env(3, world)
    obs = env.reset(range(3))
    solved, since = torch.zeros(3, dtype=torch.bool), torch.zeros(3)
    early, late = torch.zeros(3, 2), torch.zeros(3, 2)  # height [m] and angle [rad]
    seat = torch.zeros(3, 7)
    for _ in range(CFG.max_steps):
        obs, _, _, _, info = env.step(approach(env, obs))
        final = info["final_obs"]
        since = torch.where(final["thread"][:, 0] > 0, since + 1.0, 0.0)
        now = torch.stack([final["bolt_in_nut"][:, 2], final["thread"][:, 1]], dim=-1)
        early = torch.where((since == 10)[:, None], now, early)  # the weld took the first blow
        fresh = (info["success"] & ~solved)[:, None]
        late, seat = torch.where(fresh, now, late), torch.where(fresh, final["bolt_in_nut"], seat)
        solved |= info["success"]
        if solved.all():
            break
    assert solved.all()
    down, turned = (late - early).T
    assert (late[:, 1] >= CFG.goal_turn).all() and (turned > 0.7).all()
    torch.testing.assert_close(down, -turned * CFG.pitch / (2.0 * math.pi), rtol=0, atol=2e-5)
    # The axis is the nut's within a tenth of a millimetre, and upside down.
    assert seat[:, :2].abs().max() < 1e-4
    assert seat[:, [3, 6]].abs().max() < 2e-2
    env.world.check_capacity()


@ENGINES
def test_a_caught_bolt_cannot_be_pulled_out_and_others_can(world: str) -> None:
    env = make_env(2, world)
    obs = until_caught(env, env.reset([0, 1]))
    for _ in range(5):
        obs = env.step(torch.zeros(2, 6))[0]
    env.world.equality("thread_caught")[1] = 0.0
    height = obs["bolt_in_nut"][:, 2].clone()
    pull = torch.zeros(2, 6)
    pull[:, 2] = 0.2
    assert (obs["thread"][:, 0] == 1).all()
    for _ in range(20):
        obs = env.step(pull)[0]
        env.world.equality("thread_caught")[1] = 0.0
    rise = obs["bolt_in_nut"][:, 2] - height
    assert rise[0].abs() < 2e-4
    assert rise[1] > 5e-3


def test_the_catch_moves_the_bolt_neither_along_the_axis_nor_about_it() -> None:
    env = make_env(4)
    obs = env.reset(range(4))
    caught = torch.zeros(4, dtype=torch.bool)
    for _ in range(150):
        before = obs["bolt_in_nut"].clone()
        obs = env.step(approach(env, obs) * ~caught[:, None])[0]
        fresh = (obs["thread"][:, 0] > 0) & ~caught
        caught |= fresh
        if fresh.any():
            seen = obs["bolt_in_nut"][fresh]
            held = env.step(torch.zeros(4, 6))[0]["bolt_in_nut"][fresh]
            way = (seen - before[fresh])[:, 2].abs()  # in the period before, in free motion
            assert ((held - seen)[:, 2].abs() <= way + 1e-4).all()
            yaw = 2.0 * torch.atan2(seen[:, 5], seen[:, 4])
            assert (2.0 * torch.atan2(held[:, 5], held[:, 4]) - yaw).abs().max() < 5e-3
    assert caught.all()


def test_a_reset_lets_go_of_the_thread() -> None:
    env = make_env(2)
    until_caught(env, env.reset([0, 1]))
    env.reset([2, 3])
    assert not (env.world.equality("thread_caught") != 0).any()
    obs = env.step(torch.zeros(2, 6))[0]
    assert (obs["thread"] == 0).all()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"flats": 0.019}, r"flats must be above 0\.019 m"),
        ({"start_depth": 0.013}, r"start_depth must be below nut_height less a pitch, 0\.0128"),
        ({"nut_noise": -1.0}, "nut_noise must be 0 or more"),
    ],
)
def test_settings_of_which_no_episode_can_be_made(changes: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        BoltOnNutCfg(**changes)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="flats must be less than the opening"):
        BoltOnNut(BoltOnNutCfg(flats=0.09), FR3)
