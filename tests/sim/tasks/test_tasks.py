"""The conformance suite of tasks: what every entry of `TASKS` must keep."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sim2arm.core.robots import FR3, ROBOTS
from sim2arm.sim.draws import SeededDraws, StreamDraws
from sim2arm.sim.env import Env
from sim2arm.sim.specs import arm_specs
from sim2arm.sim.tasks.table import TASKS, describe_task, make_task
from sim2arm_ros.graph_file import read_graph

EVERY = pytest.mark.parametrize("name", sorted(TASKS))
N = 4


def make_env(name: str, num_envs: int = N) -> Env:
    """Return an environment of the FR3."""
    return Env(make_task(name, "fr3"), FR3, num_envs=num_envs, threads=1)


def actions(env: Env, steps: int, seed: int = 0) -> Tensor:
    """Return random actions (steps, N, action_dim) in [-1, 1]."""
    return (
        torch.rand((steps, N, env.action_dim), generator=torch.Generator().manual_seed(seed)) * 2
        - 1
    )


@EVERY
def test_observations_are_those_of_the_specs(name: str) -> None:
    env = make_env(name)
    task = env.task
    env.reset([0, 1, 2, 3])
    seen = task.observe()
    known = arm_specs(FR3) | {spec.name: spec for spec in task.goals}
    assert set(task.actor) | set(task.critic) <= set(seen)
    assert set(task.actor) <= set(known)  # a robot has or computes it
    assert not {spec.name for spec in task.goals} & set(arm_specs(FR3))
    for name_, value in seen.items():
        assert value.shape[0] == N and value.dtype == torch.float64, name_
        assert torch.isfinite(value).all(), name_
    for name_ in task.actor:
        spec = known[name_]
        assert tuple(seen[name_].shape[1:]) == spec.array_shape
        assert spec.outside(seen[name_].numpy()) is None


@EVERY
def test_start_states_lie_within_the_joint_limits_and_follow_the_seed(name: str) -> None:
    task = make_task(name, "fr3")
    starts = task.draw(StreamDraws(torch.Generator().manual_seed(0), 200))
    q = starts["q"].numpy()
    assert q.shape == (200, 7)
    assert (q > np.asarray(FR3.limits.q_min)).all() and (q < np.asarray(FR3.limits.q_max)).all()
    again = task.draw(SeededDraws([3, 4, 3]))
    for key, values in again.items():
        torch.testing.assert_close(values[0], values[2], rtol=0, atol=0)
        torch.testing.assert_close(task.draw(SeededDraws([4]))[key][0], values[1], rtol=0, atol=0)
    assert (again["q"][0] != again["q"][1]).any()


@EVERY
def test_the_same_seeds_and_actions_give_the_same_episode(name: str) -> None:
    first, second = make_env(name), make_env(name)
    for env in (first, second):
        env.reset([5, 6, 7, 8])
    for action in actions(first, 20):
        a, b = first.step(action), second.step(action)
        for key, value in a[0].items():
            torch.testing.assert_close(b[0][key], value, rtol=0, atol=0)
        torch.testing.assert_close(b[1], a[1], rtol=0, atol=0)
    third = make_env(name)
    obs = third.reset([9, 6, 7, 8])  # another seed in the first world alone
    assert (obs["joint_position"][0] != first.reset([5, 6, 7, 8])["joint_position"][0]).any()


@EVERY
def test_reward_done_and_success_are_read_without_a_change(name: str) -> None:
    env = make_env(name)
    task, world = env.task, env.world
    env.reset([0, 1, 2, 3])
    for action in actions(env, 5):
        env.move(action.to(torch.float64))
        task.update(world)
        terms, (terminated, truncated) = task.reward(world), task.done(world)
        success = task.success(world)
        for key, term in terms.items():
            assert term.shape == (N,) and torch.isfinite(term).all(), key
            torch.testing.assert_close(task.reward(world)[key], term, rtol=0, atol=0)
        for flags in (terminated, truncated, success):
            assert flags.shape == (N,) and flags.dtype == torch.bool
        assert not (terminated & truncated).any()
        assert not (success & ~terminated).any()  # a solved episode is over
        assert torch.equal(task.success(world), success)


@EVERY
def test_a_reset_starts_some_worlds_and_leaves_the_others_alone(name: str) -> None:
    env = make_env(name)
    task, world = env.task, env.world
    env.reset([0, 1, 2, 3])
    for action in actions(env, 10):
        env.step(action)
    before = {key: value.clone() for key, value in task.observe().items()}
    ids, chosen = torch.tensor([1, 3]), torch.tensor([False, True, False, True])
    world.reset(chosen)
    task.reset(world, chosen, task.draw(SeededDraws([20, 21, 22, 23])))
    world.forward(chosen)
    after = task.observe()
    fresh = make_env(name)
    fresh.reset([20, 21, 22, 23])
    for key, value in after.items():
        torch.testing.assert_close(value[[0, 2]], before[key][[0, 2]], rtol=0, atol=0)
        torch.testing.assert_close(value[ids], fresh.task.observe()[key][ids], rtol=0, atol=1e-12)
    assert (after["joint_position"][ids] != before["joint_position"][ids]).any()


@EVERY
def test_episodes_end_at_their_length_and_together_only_without_desynchronise(name: str) -> None:
    ends: list[list[int]] = []
    for spread in (False, True):
        env = make_env(name)
        env.reset([0, 1, 2, 3])
        if spread:
            env.desynchronise()
        first = torch.zeros(N, dtype=torch.int64)
        for step in range(1, env.task.cfg.max_steps + 1):
            _, _, _, truncated, _ = env.step(torch.zeros(N, env.action_dim))
            first[truncated & (first == 0)] = step
        ends.append(first.tolist())
    assert ends[0] == [TASKS[name][0].max_steps] * N
    assert len(set(ends[1])) > 1 and max(ends[1]) <= TASKS[name][0].max_steps


@EVERY
def test_what_the_task_gives_the_policy_has_a_topic_of_the_simulated_arm(name: str) -> None:
    task = make_task(name, "fr3")
    if task.gripper_action:  # the nodes refuse it: tests/sim/test_gripper_path.py
        return
    inputs = read_graph().inputs
    for spec in task.goals:
        assert inputs[spec.name].topic == f"sim_arm/{spec.name}"


@EVERY
def test_a_task_is_made_again_from_its_description(name: str) -> None:
    task = make_task(name, "fr3")
    found, settings = describe_task(task)
    assert found == name
    assert make_task(found, "fr3", settings).cfg == task.cfg == TASKS[name][0]


@EVERY
@pytest.mark.parametrize("robot", sorted(ROBOTS))
def test_every_robot_that_reaches_the_starts_holds_on_to_what_it_has(name: str, robot: str) -> None:
    try:
        task = make_task(name, robot)
    except ValueError as error:
        assert robot == "so101" and "cannot bring its tool" in str(error)  # 0.4 m, five joints
        return
    env = Env(task, ROBOTS[robot], num_envs=2, threads=1)
    env.reset([0, 1])
    for _ in range(20):
        still = torch.zeros(2, env.action_dim)
        still[:, 6:] = 1.0  # an open gripper stays open
        _, _, terminated, _, info = env.step(still)
        assert not terminated.any() and not info["diverged"].any()
