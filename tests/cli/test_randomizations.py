"""Randomisations and shifts fit every arm that can do the task."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch

from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.randomizations import RANDOMIZATIONS
from sim2arm.cli.runs import build_env
from sim2arm.cli.shifts import LEVELS, SHIFTS
from sim2arm.core.robots import ROBOTS
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.worlds.mujoco import MujocoWorld


@pytest.mark.parametrize("robot", ROBOTS)
def test_the_arm_of_every_robot_differs_between_episodes(robot: str) -> None:
    cfg = replace(EXPERIMENTS["reach-ppo"][1], robot=robot, randomization="arm")
    env = cast(Env, build_env(cfg, 2, threads=1))
    env.reset([0, 1])
    model = cast(MujocoWorld, env.world).model
    carried = torch.from_numpy(model.body_gravcomp > 0.0)
    assert carried.sum() >= len(ROBOTS[robot].joint_names)
    share = env.world.field("body_gravcomp")
    assert (share[:, ~carried] == 0.0).all() and (share[0] != share[1])[carried].all()
    dofs = [model.joint(name).dofadr[0] for name in ROBOTS[robot].joint_names]
    dry = env.world.field("dof_frictionloss")[:, dofs]
    assert (dry[0] != dry[1]).all()
    assert (env.commands.lead[0] != env.commands.lead[1]).all()


@pytest.mark.parametrize("robot", ["panda", "ur5e"])
def test_the_peg_is_held_by_pads_that_differ(robot: str) -> None:
    task = make_task("peg-insertion", robot)
    for physics in (
        RANDOMIZATIONS["peg"](ROBOTS[robot]).physics,
        SHIFTS["peg-insertion"](ROBOTS[robot], LEVELS[-1]).physics,
    ):
        arm = SimulatedArm(task, robot, physics=physics)
        geoms = [arm.world.model.geom(name).id for name in ("peg", f"{robot}_leftpad")]
        before = arm.world.model.geom_friction[geoms, 0]
        arm.change_physics([1.0] * sum(term.count for term in physics))  # type: ignore[arg-type]
        ratio = arm.world.field("geom_friction")[0, geoms, 0].numpy() / before
        assert ratio[0] == pytest.approx(ratio[1]) and ratio[0] > 1.29


@pytest.mark.parametrize(("experiment", "name"), [("peg-insertion-ppo", "peg-fit"),
                                                  ("lift-cube-ppo", "cube")])  # fmt: skip
def test_what_is_held_differs_and_stays_held(experiment: str, name: str) -> None:
    cfg = replace(EXPERIMENTS[experiment][1], randomization=name)
    env = cast(Env, build_env(cfg, 8, threads=1))
    env.reset(list(range(8)))
    body = "peg" if name == "peg-fit" else "cube"
    row = cast(MujocoWorld, env.world).model.body(body).id
    assert len(set(env.world.field("body_mass")[:, row].tolist())) == 8
    start = env.world.free_body(body).q.clone()
    for _ in range(30):
        env.step(torch.zeros(8, env.action_dim))
    # Nothing is thrown out of the hand, nor off the table: 1 cm in half a second.
    assert (env.world.free_body(body).q[:, :3] - start[:, :3]).norm(dim=-1).max() < 0.01
    terms = {r.name for term in env.randomizer.terms for r in term.ranges()}
    assert f"physics/mass/{body}" in terms
