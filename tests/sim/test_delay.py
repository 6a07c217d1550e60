"""Commands that come late, or never: by hand, against the joint trajectory controller, in training.

Controls are compared, not motion: what follows them is the same physics.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.core.contract import Provenance
from sim2arm.core.controllers import EeDelta, EeDeltaCfg
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import FR3
from sim2arm.core.trajectory import Trajectory
from sim2arm.sim.arm import NEVER, SimulatedArm
from sim2arm.sim.command_line import LONGEST_STOP, STOP_RAMP, STOP_SHARE, CommandLine
from sim2arm.sim.command_path import CommandPath
from sim2arm.sim.contract import make_contract
from sim2arm.sim.delay import Arrivals, CommandDelay, Spread, lateness, most_shift, shift
from sim2arm.sim.env import Env
from sim2arm.sim.robots.models import add_robot
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.worlds.mujoco import MujocoWorld
from sim2arm_ros.activation import lead_item
from sim2arm_ros.gate import Gate, GateCfg

N, S, PERIOD = 4, 5, 0.01  # on the grid of nanoseconds of messages
STEP = PERIOD / S
HOME = np.tile(np.asarray(FR3.home), (N, 1))


def make_path(term: CommandDelay | None) -> CommandPath:
    spec = mujoco.MjSpec()
    add_robot(spec, FR3)
    path = CommandPath(
        FR3, MujocoWorld(spec, N), period=PERIOD, substeps=S, cfg=EeDeltaCfg(), delay=term,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return path


def begin(path: CommandPath, *places: float) -> None:
    """Start at home; places say where in its range the delay of each world lies."""
    unit = torch.tensor(places or [0.0] * N, dtype=torch.float64)[:, None]
    path.start(torch.ones(N, dtype=torch.bool), torch.from_numpy(HOME), unit)


def actions(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (count, N, 6))


def line(path: CommandPath) -> CommandLine:
    assert path.line is not None
    return path.line


def plan(path: CommandPath, action: np.ndarray) -> torch.Tensor:
    """Return the controls (N, S, 7) of an action, the arm where it is commanded."""
    controls = path.plan(torch.from_numpy(action), path.pose.clone())
    return controls[:, :, :7].clone()


def test_a_motion_comes_its_delay_later_to_the_substep() -> None:
    prompt = make_path(None)
    late = make_path(CommandDelay(low=0.0, high=20 * STEP))
    begin(prompt)
    begin(late, 0.0, 0.05, 0.25, 1.0)  # of 20 substeps: 0, 1, 5 (a period) and 20
    asked, got = [], []
    for action in actions(12):
        asked.append(plan(prompt, action))
        got.append(plan(late, action))
    stands = torch.from_numpy(HOME)[:, None].expand(N, 20, 7)  # controls of an arm at rest
    before = torch.cat([stands, *asked], dim=1)
    for world, delay in enumerate((0, 1, 5, 20)):
        shown = before[world, 20 - delay : 20 - delay + 12 * S]
        assert torch.equal(torch.cat(got, dim=1)[world], shown)


def test_no_delay_is_no_delay_to_the_last_bit() -> None:
    def episode(delay: CommandDelay | None) -> list[torch.Tensor]:
        env = Env(make_task("reach", "fr3"), FR3, num_envs=2, delay=delay)
        seen = [env.reset([1, 2])["joint_position"]]
        seen += [env.step(torch.full((2, 6), 0.5))[0]["joint_position"] for _ in range(5)]
        return seen

    for one, other in zip(episode(None), episode(CommandDelay()), strict=True):
        assert torch.equal(one, other)


class Robot:
    """The path of a robot for N arms: controller, gate, joint trajectory controller."""

    def __init__(self) -> None:
        self.control = EeDelta(FR3, PERIOD, EeDeltaCfg(), HOME)
        self.gate = Gate(FR3, PERIOD, GateCfg(), HOME)
        self.arm = SimulatedArm("reach", "fr3", num_arms=N, control_hz=100.0)
        self.arm.command(standing())

    def step(self, action: np.ndarray, after: np.ndarray, late: np.ndarray) -> np.ndarray:
        """Return the controls (N, S, 7); the command arrives after some substeps, by some late."""
        decision = self.gate.step(*self.control.step(action, self.pose))
        assert np.all(decision.share == 1.0)
        self.arm.command(decision.trajectory, decision.elapsed + late * STEP, after=after)
        self.arm.step()
        return self.arm._ctrl[:, :, :7].numpy().copy()

    @property
    def pose(self) -> np.ndarray:
        return forward_pose(FR3.chain, self.control.motion.q)


def standing() -> Trajectory:
    points = np.repeat(HOME[:, None], 2, axis=1)
    times = np.tile(np.array([0.0, 1e-3]), (N, 1))
    return Trajectory(times=times, q=points, dq=np.zeros_like(points))


@pytest.mark.parametrize("leads", [0, 1])
def test_late_and_lost_commands_are_joined_as_the_controller_of_the_arm_does(leads: int) -> None:
    delay, ticks = 3, 60
    robot, path = Robot(), make_path(CommandDelay(high=delay * STEP))
    begin(path, *[1.0] * N)
    path.leading.fill_(bool(leads))
    rng = np.random.default_rng(1)
    late = rng.integers(0, S, (ticks + 1, N))
    late[rng.random(late.shape) < 0.3], late[rng.random(late.shape) < 0.3] = 0, S
    late[:, 0] = np.where(np.arange(ticks + 1) % 30, S, 0)  # into the stop, to rest
    late[:, 1] = 0
    for k, action in enumerate(actions(ticks, seed=1)):
        line(path).late.copy_(torch.from_numpy(late[k]))
        got = path.plan(torch.from_numpy(action), torch.from_numpy(robot.pose))[:, :, :7]
        mine = late[k + leads]  # of the motion that is asked for now
        asked = robot.step(action, np.where(mine < S, mine + delay + S * leads, NEVER), mine)
        np.testing.assert_allclose(got, asked, rtol=0, atol=1e-9)


def test_when_no_more_commands_arrive_the_arm_stops_inside_its_limits() -> None:
    path = make_path(CommandDelay())
    begin(path)
    path.lead.zero_()  # controls are then desired positions
    way = [torch.from_numpy(HOME)[:, None].expand(N, 3, 7)]
    away = np.random.default_rng(0).uniform(-1.0, 1.0, (N, 6))
    for tick in range(100):
        if tick == 20:
            line(path).late.fill_(S)
        way.append(plan(path, away))
    q = torch.cat(way, dim=1).numpy()
    moving = np.abs(q[:, 3 + 20 * S] - q[:, 2 + 20 * S]).max(axis=-1) / STEP
    assert moving.min() > 0.1  # [rad/s]
    low, high = np.asarray(FR3.limits.q_min), np.asarray(FR3.limits.q_max)
    assert np.all((q > low) & (q < high))
    speed, acceleration = np.diff(q, axis=1) / STEP, np.diff(q, 2, axis=1) / STEP**2
    assert np.all(np.abs(speed) < FR3.limits.dq_max)
    assert np.all(np.abs(acceleration) < FR3.limits.ddq_max)
    # At most 2 rad/s and 10 rad/s^2 of which 0.9: after 20 ms, two ramps and 0.22 s all stand.
    np.testing.assert_array_equal(speed[:, 3 + 20 * S + round(0.3 / STEP) :], 0.0)


def test_stops_are_those_of_the_gate() -> None:
    cfg = GateCfg()
    assert (
        cfg.stop_share, cfg.stop_ramp, cfg.longest_stop
    ) == (STOP_SHARE, STOP_RAMP, LONGEST_STOP)  # fmt: skip


def test_if_all_commands_are_lost_the_arm_never_moves() -> None:
    path = make_path(CommandDelay(lost=1.0))
    begin(path)
    for action in actions(5):
        np.testing.assert_array_equal(plan(path, action), np.repeat(HOME[:, None], S, axis=1))


def late_by(term: CommandDelay, unit: torch.Tensor, head: float = 0.0, level: float = 1.0) -> Any:
    spread = Spread(term.jitter, term.samples, unit)
    return lateness(term, spread, unit, torch.full((len(unit),), head), STEP, S, level)


def test_lateness_by_hand() -> None:
    unit = torch.tensor([[0.0, 0.5], [0.25, 0.5], [0.55, 0.5], [0.9, 0.5], [0.25, 0.1]]).double()
    term = CommandDelay(jitter=8 * STEP, lost=0.2)
    # 0, 2, 4.4 and 7.2 substeps; a period has five; the last is lost
    assert late_by(term, unit).tolist() == [0, 2, 4, 5, 5]
    # with a lead of 3 substeps, what comes within it is in time
    assert late_by(term, unit, head=3 * STEP).tolist() == [0, 0, 1, 4, 5]
    # at half the level 0, 1, 2.2 and 3.6; lost is what draws less than 0.1
    assert late_by(term, unit, level=0.5).tolist() == [0, 1, 2, 4, 1]
    assert late_by(term, unit, level=0.0).tolist() == [0] * 5
    measured = CommandDelay(samples=(4 * STEP, STEP, 2 * STEP, 2 * STEP))
    # a quarter each: 1, 2, 2 and 4; at half the level half of what is above 1
    assert late_by(measured, unit).tolist() == [1, 2, 2, 4, 2]
    assert late_by(measured, unit, level=0.5).tolist() == [1, 2, 2, 2, 2]  # 1, 1.5, 1.5, 2.5, 1.5


def test_no_delay_reaches_further_back_than_what_is_kept() -> None:
    for k in range(40):  # just below what rounds up, where it does so in single precision
        term = CommandDelay(high=(k + 0.5) * STEP * (1.0 - 1e-9))
        drawn = shift(term, torch.ones(1, dtype=torch.float32), STEP, 1.0)
        assert int(drawn) == most_shift(term, STEP) == k


def test_commands_draw_for_themselves_in_worlds_that_lead_as_well() -> None:
    path = make_path(CommandDelay(jitter=3 * STEP, lost=0.25))
    begin(path)
    path.leading.copy_(torch.arange(N) == 0)
    drawn = []
    for action in actions(400):
        plan(path, action * 0.01)
        drawn.append(line(path).late.clone())
    late = torch.stack(drawn)
    assert set(late[:, 0].tolist()) == {0, S}  # in time or lost
    assert set(late[:, 1:].unique().tolist()) == {0, 1, 2, 3, S}
    lost = (late == S).double().mean()
    assert abs(float(lost) - 0.25) < 4 * (0.25 * 0.75 / 1600) ** 0.5
    assert not torch.equal(late[:, 1], late[:, 2])


def make_env(**settings: Any) -> Env:
    task = make_task("reach", "fr3", settings.pop("task", None))
    return Env(task, FR3, **({"num_envs": 2, "control_hz": 100.0} | settings))


def test_a_seed_is_an_episode_with_its_delay() -> None:
    term = CommandDelay(high=20 * STEP)

    def episode(seeds: list[int]) -> torch.Tensor:
        env = make_env(num_envs=len(seeds), delay=term)
        env.reset(seeds)
        seen = [env.step(torch.full((len(seeds), 6), 0.5))[0]["joint_position"] for _ in range(6)]
        return torch.stack(seen)

    both = episode([5, 6])
    torch.testing.assert_close(both[:, 1:], episode([6]), rtol=0, atol=0)
    env = make_env(num_envs=50, delay=term)
    env.reset()
    assert env.commands.line is not None
    assert len(env.commands.line.delay.unique()) > 10


def test_an_episode_that_begins_gets_no_command_of_the_last() -> None:
    env = make_env(delay=CommandDelay(low=7 * STEP, high=7 * STEP), task="max_steps: 6")
    env.reset([1, 2])
    for tick in range(14):
        q = env.world.joints(FR3.joint_names).q.clone()
        before = env.commands.controls[:, -1, :7].clone()
        env.step(torch.full((2, 6), 0.3))
        controls = env.commands.controls[:, :, :7]
        if tick % 6 == 0:  # it began at rest
            torch.testing.assert_close(controls, q[:, None].expand(-1, S, -1), rtol=0, atol=1e-9)
        if tick % 6 == 1:  # two more substeps
            assert torch.equal(controls[:, :2], before[:, None].expand(-1, 2, -1))
            assert (controls[:, 2] != before).any()
        if tick % 6 > 1:
            assert (controls[:, 0] != before).any()


def test_the_level_draws_delays_in_and_running_episodes_keep_theirs() -> None:
    env = make_env(num_envs=200, delay=CommandDelay(low=2 * STEP, high=10 * STEP))
    env.reset()
    assert env.commands.line is not None
    delay = env.commands.line.delay
    assert (int(delay.min()), int(delay.max())) == (2, 10)
    env.level = 0.5
    assert int(delay.max()) == 10
    env.reset()
    assert (int(delay.min()), int(delay.max())) == (2, 6)


def test_the_contract_tells_what_was_trained_and_the_robot_may_be_as_late() -> None:
    term = CommandDelay(low=0.004, high=0.013, jitter=0.003, lost=0.1)
    env = make_env(control_hz=60.0, delay=term, lead_share=0.5)
    contract = make_contract(env, Provenance(experiment="test"))
    ranges = {r.name: (r.unit, r.low, r.high) for r in contract.ranges}
    # In substeps of 1/480 s: 1.92 and 6.24, drawn as 2 and 6; the lead is a period of 8.
    assert ranges == {
        "latency/lead": ("s", pytest.approx(2 / 480), pytest.approx(14 / 480)),
        "latency/command": ("s", 0.0, 0.003),
        "lost/command": ("1", 0.0, 0.1),
    }
    assert lead_item(contract, 14 / 480).ok
    assert not lead_item(contract, 15 / 480).ok
    env.level = 0.5
    contract = make_contract(env, Provenance(experiment="test"))
    ranges = {r.name: (r.low, r.high) for r in contract.ranges}
    assert ranges["latency/lead"] == pytest.approx((2 / 480, 12 / 480))  # 4.08 and the lead
    assert ranges["latency/command"] == (0.0, 0.0015)
    assert ranges["lost/command"] == (0.0, 0.05)
    env = make_env(delay=CommandDelay(samples=(0.004, 0.002)))
    contract = make_contract(env, Provenance(experiment="test"))
    ranges = {r.name: (r.low, r.high) for r in contract.ranges}
    assert ranges == {"latency/lead": (0.0, 0.0), "latency/command": (0.002, 0.004)}


def test_warp_worlds_get_the_same_late_commands() -> None:
    term = CommandDelay(low=4 * STEP, high=4 * STEP)
    envs = [make_env(num_envs=N, delay=term, world=engine) for engine in ("mujoco", "warp")]
    late = np.random.default_rng(0).choice([0, 2, S], (12, N))
    for env in envs:
        env.reset([1, 2, 3, 4])
    for row, action in zip(late, actions(12), strict=True):
        controls = []
        for env in envs:
            line(env.commands).late.copy_(torch.from_numpy(row))
            controls.append(env.plan(torch.from_numpy(action * 0.3)).clone().double())
        torch.testing.assert_close(*controls, rtol=0, atol=5e-5)  # kd / kp of rounded speeds


def test_arms_take_commands_later_in_the_order_of_their_arrival() -> None:
    arms = [SimulatedArm("reach", "fr3", num_arms=N, control_hz=100.0) for _ in range(2)]
    way = standing()
    goals = [Trajectory(times=way.times * 100, q=way.q + x, dq=way.dq) for x in (0.01, -0.01)]
    goals = [Trajectory(times=g.times, q=np.stack([HOME, g.q[:, 1]], 1), dq=g.dq) for g in goals]
    for arm in arms:  # at the third substep, never, both at once, at the fifth
        arm.reset([0] * N)
        arm.command(goals[0], after=np.array([3, NEVER, 1, 4]))
        arm.command(goals[1], after=np.array([NEVER, NEVER, 1, 5]))
    arms[0].step()
    for part in (1, 2, 2):
        arms[1].advance(part)
    assert np.array_equal(arms[0]._ctrl[:, -1], arms[1]._ctrl[:, 1])
    assert np.array_equal(arms[0].joint_state()[0], arms[1].joint_state()[0])


def test_arrivals_of_an_arm_do_not_depend_on_its_neighbours() -> None:
    term = CommandDelay(low=0.0, high=4 * STEP, jitter=4 * STEP, lost=0.3)

    def arrivals(*seeds: int) -> np.ndarray:
        each = Arrivals(term, 1.0, [(7, seed) for seed in seeds], period=PERIOD, substeps=S)
        return np.stack([np.stack(each.next()) for _ in range(50)])

    both = arrivals(1, 2)
    np.testing.assert_array_equal(both[:, :, 1:], arrivals(2))
    after, late = both[:, 0], both[:, 1]
    arrives = after != NEVER
    assert set(np.unique(after)) == {NEVER, 4, 5, 6, 7, 8}
    np.testing.assert_allclose(late[arrives], (after[arrives] - 4) * STEP)
    assert 0.15 < 1 - arrives.mean() < 0.45


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 0.02, "high": 0.01}, "expected 0 <= low <= high"),
        ({"high": 1.0}, "expected 0 <= low <= high < 1 s"),
        ({"jitter": -0.1}, "0 <= jitter"),
        ({"lost": 1.1}, "lost: expected 0 to 1, got 1.1"),
        ({"lost": float("nan")}, "lost: expected 0 to 1"),
        ({"samples": (0.1, 1.0)}, "samples: expected latencies of 0 to below 1 s, got 1.0"),
        ({"samples": (float("nan"),)}, "samples: expected"),
        ({"samples": (0.1,), "jitter": 0.1}, "samples are in place of jitter"),
    ],
)
def test_what_is_no_delay_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CommandDelay(**settings)


def test_late_commands_need_a_generator() -> None:
    spec = mujoco.MjSpec()
    add_robot(spec, FR3)
    world = MujocoWorld(spec, 1)
    with pytest.raises(ValueError, match="generator: expected one to draw late commands with"):
        CommandPath(FR3, world, period=PERIOD, substeps=S, cfg=EeDeltaCfg(), delay=CommandDelay())
