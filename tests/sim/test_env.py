"""Environment and simulated arm: the same motion, paired episodes, resets, contract."""

# pyright: standard

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.core.contract import Contract, Provenance
from sim2arm.core.controllers import EeDelta, EeDeltaCfg
from sim2arm.core.robots import FR3, ROBOTS
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.peg_insertion import PegInsertion, PegInsertionCfg
from sim2arm.sim.tasks.reach import ReachCfg
from sim2arm.sim.tasks.table import TASKS, describe_task, make_task
from sim2arm_ros.gate import Gate, GateCfg


def make_env(task: str = "peg-insertion", num_envs: int = 3) -> Env:
    """Return an environment of the FR3."""
    return Env(make_task(task, "fr3"), FR3, num_envs=num_envs)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_observations_match_the_contract(task: str) -> None:
    env = make_env(task)
    obs = env.reset()
    contract = make_contract(env, Provenance(experiment=task))
    assert not contract.differences(Contract.from_yaml(contract.to_yaml()))
    for spec in contract.inputs:
        spec.check(obs[spec.name].numpy())
        assert spec.outside(obs[spec.name].numpy()) is None


@pytest.mark.parametrize("task", sorted(TASKS))
def test_step_ends_and_resets_in_the_same_step(task: str) -> None:
    env = make_env(task, 2)
    env.reset()
    limit = TASKS[task][0].max_steps
    obs, info = {}, {}
    for k in range(limit):
        obs, reward, terminated, truncated, info = env.step(torch.zeros(2, env.action_dim))
        assert reward.shape == (2,)
        assert not (terminated & truncated).any()
        assert bool(truncated.all()) == (k == limit - 1)
    last, now = info["final_obs"]["joint_position"], obs["joint_position"]
    assert (last - now).abs().max() > 1e-3  # the episode that ended, and the one that begins


@pytest.mark.parametrize("engine", ["mujoco", "warp"])
@pytest.mark.parametrize("task", ["reach", "peg-insertion"])
def test_what_a_step_returned_is_of_that_step_and_stays(task: str, engine: str) -> None:
    """Beside the same worlds whose episodes go on, 4 steps each to 100."""
    short, long = (
        Env(make_task(task, "fr3", f"max_steps: {steps}"), FR3, num_envs=2, world=engine)
        for steps in (4, 100)
    )
    random = torch.Generator().manual_seed(0)
    returned = [_tensors(short.reset([1, 2]))]
    long.reset([1, 2])
    copies = [[value.clone() for value in returned[0]]]
    for step in range(1, 7):
        action = 2.0 * torch.rand((2, 6), generator=random) - 1.0
        obs, reward, terminated, truncated, info = short.step(action)
        if step <= 4:
            going_on, *_ = long.step(action)
            for name, value in going_on.items():
                torch.testing.assert_close(info["final_obs"][name], value, rtol=0, atol=0)
        assert not terminated.any() and truncated.tolist() == [step == 4] * 2
        moved = (info["final_obs"]["joint_position"] - obs["joint_position"]).abs().amax(dim=1)
        assert bool((moved > 1e-3).all()) == bool((moved > 0.0).any()) == (step == 4)
        returned.append(_tensors([obs, reward, terminated, truncated, info]))
        copies.append([value.clone() for value in returned[-1]])
    for now, then in zip(returned, copies, strict=True):
        for value, copy in zip(now, then, strict=True):
            torch.testing.assert_close(value, copy, rtol=0, atol=0)


def _tensors(given: Any) -> list[torch.Tensor]:
    """Return all tensors in lists and dictionaries."""
    if isinstance(given, torch.Tensor):
        return [given]
    values = given.values() if isinstance(given, dict) else given
    return [tensor for value in values for tensor in _tensors(value)]


@pytest.mark.parametrize("task", sorted(TASKS))
def test_an_episode_that_diverged_ends_as_a_failure(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(task)
    obs = env.reset([1, 2, 3])
    goal = obs[env.task.goals[0].name].clone()
    env.world.joints(FR3.joint_names).dq[1] = 1e11  # beyond what MuJoCo takes for a velocity
    # Even if the defaults of the engine looked solved, or late, to the task.
    monkeypatch.setattr(env.task, "success", lambda _: torch.tensor([False, True, False]))
    monkeypatch.setattr(
        env.task,
        "done",
        lambda _: (torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)),
    )
    obs, reward, terminated, truncated, info = env.step(torch.zeros(3, env.action_dim))
    assert info["diverged"].tolist() == terminated.tolist() == [False, True, False]
    assert truncated.tolist() == [True, False, True]
    assert not info["success"].any()
    assert float(reward[1]) == -1.0
    assert {name for name, v in info["reward_terms"].items() if v[1] != 0.0} == {"diverged"}
    assert all(torch.isfinite(value).all() for value in info["final_obs"].values())
    assert (obs[env.task.goals[0].name][1] != goal[1]).any()  # a new one
    monkeypatch.undo()
    _, reward, terminated, _, info = env.step(torch.zeros(3, env.action_dim))
    assert not info["diverged"].any() and not terminated.any()
    assert (reward > -0.5).all()


def test_an_arm_that_diverged_is_done_without_success(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = SimulatedArm("reach", "fr3", num_arms=2)
    arm.reset([0, 1])
    arm.world.joints(FR3.joint_names).dq[1] = 1e11
    monkeypatch.setattr(arm.task, "success", lambda _: torch.tensor([False, True]))
    arm.step()
    assert arm.done.tolist() == arm.diverged.tolist() == [False, True]
    assert not arm.success.any()
    monkeypatch.undo()
    arm.reset([0, 1])
    arm.step()
    assert not arm.done.any() and not arm.diverged.any()


def test_the_random_stream_goes_on_in_another_environment() -> None:
    env, other = make_env("reach", 40), make_env("reach", 40)
    seen = [env.reset()["goal_pose"], env.reset()["goal_pose"]]
    torch.testing.assert_close(other.reset()["goal_pose"], seen[0], rtol=0, atol=0)
    other.load_state_dict(env.state_dict())
    following = other.reset()["goal_pose"]  # not the second of those above
    assert len(torch.unique(torch.cat([*seen, following]), dim=0)) == 120


def test_seeded_episodes_are_the_same_in_any_company() -> None:
    many, one = make_env(num_envs=3), make_env(num_envs=1)
    first = many.reset([7, 8, 9])
    alone = one.reset([8])
    for name, value in alone.items():
        torch.testing.assert_close(first[name][1:2], value, rtol=0, atol=0)


def test_starts_come_from_one_stream_and_never_twice() -> None:
    env, other = make_env("reach", 40), make_env("reach", 40)
    seen = []
    for _ in range(3):  # 120 starts: more than are drawn at once
        goals = env.reset()["goal_pose"]
        torch.testing.assert_close(other.reset()["goal_pose"], goals, rtol=0, atol=0)
        seen.append(goals)
    assert len(torch.unique(torch.cat(seen), dim=0)) == 120


def test_arm_behind_gate_moves_as_the_training_environment() -> None:
    env, arm, alone = make_env(), SimulatedArm("peg-insertion", "fr3", num_arms=3), None
    alone = SimulatedArm("peg-insertion", "fr3")
    env.reset([1, 2, 3])
    arm.reset([1, 2, 3])
    alone.reset(2)
    paths = []
    for each in (arm, alone):
        q, _ = each.joint_state()
        paths.append((each, EeDelta(FR3, 1 / 60, EeDeltaCfg(), q), Gate(FR3, 1 / 60, GateCfg(), q)))
    rng = np.random.default_rng(0)
    for _ in range(40):
        action = rng.uniform(-0.6, 0.6, (3, 6))
        for each, control, gate in paths:
            rows = action if each is arm else action[1:2]
            decision = gate.step(*control.step(rows, each.tool_pose()))
            assert (decision.share == 1.0).all()
            each.command(decision.trajectory, decision.elapsed)
            each.step()
        env.move(torch.from_numpy(action))
    trained = env.world.joints(FR3.joint_names).q.numpy()
    # The message path rounds differently than the training path; contacts may amplify it.
    np.testing.assert_allclose(arm.joint_state()[0], trained, atol=1e-9)
    np.testing.assert_array_equal(arm.joint_state()[0][1:2], alone.joint_state()[0])


def test_arm_without_new_commands_stops() -> None:
    arm = SimulatedArm("reach", "fr3")
    arm.reset(0)
    q, _ = arm.joint_state()
    control, gate = EeDelta(FR3, 1 / 60, EeDeltaCfg(), q), Gate(FR3, 1 / 60, GateCfg(), q)
    for _ in range(30):
        decision = gate.step(*control.step(np.array([[1.0, 0, 0, 0, 0, 0]]), arm.tool_pose()))
        arm.command(decision.trajectory, decision.elapsed)
        arm.step()
    assert np.abs(arm.joint_state()[1]).max() > 0.05
    for _ in range(60):  # silence: the last trajectory ends at rest
        arm.step()
    assert np.abs(arm.desired()[1]).max() == 0.0
    assert np.abs(arm.joint_state()[1]).max() < 0.01


def test_peg_stays_in_the_hand_and_counts_as_inserted_only_in_the_socket() -> None:
    env = make_env(num_envs=1)
    env.reset([0])
    for _ in range(60):
        _, _, terminated, _, info = env.step(torch.zeros(1, 6))
        assert not terminated.any()
        assert not info["success"].any()
    peg = env.world.free_body("peg")
    socket = env.world.mocap("socket")
    peg.q[0, :3] = socket[0, :3] + torch.tensor([0.0, 0.0, 0.002 + 0.025])
    peg.q[0, 3:] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # its z axis down
    env.world.forward()
    env.task.update(env.world)
    task = env.task
    assert isinstance(task, PegInsertion)
    assert abs(float(task._episodes.closeness[0]) - 1.0) < 1e-6


@pytest.mark.parametrize("robot", sorted(name for name in ROBOTS if ROBOTS[name].tool_box))
def test_tasks_run_on_every_robot(robot: str) -> None:
    env = Env(make_task("peg-insertion", robot), ROBOTS[robot], num_envs=2)
    env.reset()
    reward = env.step(torch.zeros(2, 6))[1]
    assert torch.isfinite(reward).all()


def test_settings_travel_as_text() -> None:
    task = PegInsertion(PegInsertionCfg(clearance=0.0005, socket_noise=0.005), FR3)
    name, settings = describe_task(task)
    assert make_task(name, "fr3", settings).cfg == task.cfg
    with pytest.raises(ValueError, match="clearence: unknown key"):
        make_task(name, "fr3", settings.replace("clearance", "clearence"))


def test_bad_settings_are_refused() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"clearance": 0.01}, "clearance must lie"),
        ({"ring_boxes": 8}, "ring_boxes must be at least 32"),
        ({"socket_noise": -1.0}, "socket_noise must be 0 m or more"),
        ({"max_steps": 0}, "max_steps must be above 0, got 0"),
        ({"peg_radius": float("nan")}, "peg_radius must be above 0, got nan"),
        ({"start_low": (0.4, 0.0)}, "start_low must have 6 numbers"),
    ]
    for change, message in cases:
        with pytest.raises(ValueError, match=message):
            PegInsertionCfg(**change)
    with pytest.raises(ValueError, match="hold_steps must be above 0"):
        ReachCfg(hold_steps=0)
    with pytest.raises(ValueError, match="task 'pour' is not known"):
        make_task("pour", "fr3")
    with pytest.raises(ValueError, match="control_hz must be one of"):
        Env(make_task("reach", "fr3"), FR3, num_envs=1, control_hz=55.0)


def test_motions_that_lead_are_those_of_one_period_before() -> None:
    """With a lead every arm executes at tick k + 1 what it asked for at tick k."""
    late = Env(make_task("reach", "fr3"), FR3, num_envs=2, lead_share=1.0)
    prompt = make_env("reach", num_envs=2)
    late.reset([1, 2])
    prompt.reset([1, 2])
    rng = np.random.default_rng(0)
    for k in range(20):
        action = torch.from_numpy(rng.uniform(-0.5, 0.5, (2, 6)))
        asked = prompt.commands.controls.clone()
        late.plan(action)
        prompt.plan(action)
        if k:
            torch.testing.assert_close(late.commands.controls, asked, rtol=0, atol=0)
        else:  # before the first motion the arm stands
            still = late.commands.controls[:, :1].expand_as(late.commands.controls)
            torch.testing.assert_close(late.commands.controls, still, rtol=0, atol=0)


def test_the_contract_says_which_leads_were_trained() -> None:
    for share, high in ((0.0, 0.0), (0.5, 1 / 60)):
        env = Env(make_task("reach", "fr3"), FR3, num_envs=1, lead_share=share)
        (trained,) = make_contract(env, Provenance(experiment="x")).ranges
        assert (trained.name, trained.low, trained.high) == ("latency/lead", 0.0, high)
