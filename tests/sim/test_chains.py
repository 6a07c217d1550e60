"""Poses from the state alone: the same as the engine's, and only where that can hold."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.core.robots import ROBOTS, Robot
from sim2arm.sim.robots.models import add_robot
from sim2arm.sim.worlds.chains import site_chain
from sim2arm.sim.worlds.mujoco import MujocoWorld


def make_scene(robot: Robot) -> mujoco.MjSpec:
    """A robot that stands aside, a site on a finger and on a free body."""
    spec = mujoco.MjSpec()
    add_robot(spec, robot, position=(0.1, -0.2, 0.3))
    spec.body(f"{robot.name}_leftfinger").add_site(name="pad")
    ball = spec.worldbody.add_body(name="ball", pos=(1.0, 0.0, 1.0))
    ball.add_freejoint()
    ball.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.02, 0, 0), pos=(0.01, 0.0, 0.0))
    ball.add_site(name="on_ball")
    spec.worldbody.add_site(name="mark")
    return spec


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_poses_are_those_of_the_engine(robot: Robot) -> None:
    world = MujocoWorld(make_scene(robot), 20)
    shape = (20, len(robot.home))
    q = np.random.default_rng(0).uniform(robot.limits.q_min, robot.limits.q_max, shape)
    world.joints(robot.joint_names).q[:] = torch.from_numpy(q)
    ball = world.free_body("ball")
    ball.q[:, 3:] = torch.tensor([0.6, 0.0, -1.6, 0.0])  # not of length 1: MuJoCo makes it so
    world.forward()
    tool, body = world.model.site(robot.chain.tool_frame).id, world.model.body("ball").id
    pose = world.site(robot.chain.tool_frame).pose.numpy()
    data = mujoco.MjData(world.model)
    for i in range(20):
        world.batch.get_data(i, data)
        mujoco.mj_kinematics(world.model, data)
        np.testing.assert_allclose(pose[i, :3], data.site_xpos[tool], atol=1e-14)
        turn = np.empty(4)
        mujoco.mju_mulQuat(
            turn, data.xquat[world.model.site_bodyid[tool]], world.model.site_quat[tool]
        )
        np.testing.assert_allclose(pose[i, 3:], turn, atol=1e-14)  # with MuJoCo's sign
        np.testing.assert_allclose(world.body("ball").pose[i, :3], data.xpos[body], atol=1e-14)
        np.testing.assert_allclose(world.body("ball").pose[i, 3:], data.xquat[body], atol=1e-14)


def test_only_sites_behind_hinges_are_chains() -> None:
    robot = ROBOTS["fr3"]
    model = make_scene(robot).compile()
    found = site_chain(model, model.site(robot.chain.tool_frame).id)
    assert found is not None
    assert found.chain.joint_names == robot.joint_names
    for name in ("pad", "on_ball", "mark"):
        assert site_chain(model, model.site(name).id) is None, name


def test_a_chain_that_differs_per_world_is_left_to_the_engine() -> None:
    robot = ROBOTS["fr3"]
    world = MujocoWorld(make_scene(robot), 2)
    before = world.site(robot.chain.tool_frame).pose.clone()
    world.field("body_pos")[1, world.model.body("fr3_link0").id, 2] += 0.05
    world.forward()
    after = world.site(robot.chain.tool_frame).pose
    np.testing.assert_allclose(after[0], before[0], atol=1e-14)
    np.testing.assert_allclose(after[1, :3] - before[1, :3], [0.0, 0.0, 0.05], atol=1e-14)


def test_engine_fields_read_late_belong_to_the_new_state_and_forces_stay() -> None:
    robot = ROBOTS["fr3"]
    world, other = (MujocoWorld(make_scene(robot), 3) for _ in range(2))
    for each in (world, other):
        each.joints(robot.joint_names).dq[:] = 0.3
        each.step()
    hand = other.body("fr3_hand").pose  # read late
    np.testing.assert_array_equal(hand, other.body("fr3_hand").pose)
    for each in (world, other):
        each.step()
    np.testing.assert_array_equal(world.batch.state, other.batch.state)  # reading changes nothing
    data = mujoco.MjData(world.model)
    world.batch.get_data(1, data)
    mujoco.mj_kinematics(world.model, data)
    np.testing.assert_array_equal(world.body("fr3_hand").pose[1, :3], data.body("fr3_hand").xpos)
