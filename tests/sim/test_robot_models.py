"""The robots' MuJoCo models, every one: kinematics of the chain, the law, the gripper."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from sim2arm.core.kinematics import forward_and_jacobian, link_frames
from sim2arm.core.robots import FR3, PANDA, ROBOTS, SO101, UR5E, Robot
from sim2arm.sim.robots import so101, ur5e
from sim2arm.sim.robots.franka_inertia import LINKS
from sim2arm.sim.robots.models import ROBOT_MODELS, add_robot
from sim2arm.sim.robots.parts import add_home_key

EVERY_ROBOT = pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
INERTIAS = LINKS | {"ur5e": ur5e.LINKS, "so101": so101.LINKS}


def make_model(robot: Robot) -> tuple[mujoco.MjModel, mujoco.MjData]:
    spec = mujoco.MjSpec()
    add_robot(spec, robot)
    add_home_key(spec, robot)
    spec.option.timestep = 1.0 / 480.0
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    return model, data


def pad_distance(robot: Robot, model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Return the distance of the pads' faces along y of the tool [m]; centres are behind faces."""
    left, right = (data.geom(f"{robot.name}_{side}pad") for side in ("left", "right"))
    behind = model.geom_size[left.id, 1] + model.geom_size[right.id, 1]
    across = data.site(robot.chain.tool_frame).xmat.reshape(3, 3)[:, 1]
    return abs(float((left.xpos - right.xpos) @ across)) - behind


def test_every_robot_has_a_model() -> None:
    assert set(ROBOT_MODELS) == set(ROBOTS)
    with pytest.raises(ValueError, match="robot 'xyz' has no model"):
        add_robot(mujoco.MjSpec(), replace(FR3, name="xyz"))


@EVERY_ROBOT
def test_kinematics_and_jacobian_agree_with_mujoco(robot: Robot) -> None:
    model, data = make_model(robot)
    rng, n = np.random.default_rng(0), len(robot.joint_names)
    site = model.site(robot.chain.tool_frame).id
    for _ in range(10):
        q = rng.uniform(robot.limits.q_min, robot.limits.q_max)
        data.qpos[:n] = q
        mujoco.mj_forward(model, data)
        T, J = forward_and_jacobian(robot.chain, q)
        np.testing.assert_allclose(data.site_xpos[site], T[:3, 3], atol=1e-9)
        np.testing.assert_allclose(data.site_xmat[site].reshape(3, 3), T[:3, :3], atol=1e-9)
        linear, angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        mujoco.mj_jacSite(model, data, linear, angular, site)
        np.testing.assert_allclose(np.vstack([linear, angular])[:, :n], J, atol=1e-9)
        for i, frame in enumerate(link_frames(robot.chain, q)[:n]):
            link = data.body(f"{robot.name}_link{i + 1}")
            np.testing.assert_allclose(link.xpos, frame[:3, 3], atol=1e-9)


@EVERY_ROBOT
def test_names_follow_the_robot(robot: Robot) -> None:
    model, _ = make_model(robot)
    bodies = {model.body(i).name for i in range(model.nbody)}
    links = [f"link{i}" for i in range(len(robot.joint_names) + 1)]
    assert {f"{robot.name}_{part}" for part in [*links, "leftfinger", "rightfinger"]} <= bodies
    actuators = [model.actuator(i).name for i in range(model.nu)]
    assert actuators == [*robot.joint_names, f"{robot.name}_gripper"]
    for name, low, high in zip(
        robot.joint_names, robot.limits.q_min, robot.limits.q_max, strict=True
    ):
        np.testing.assert_allclose(model.joint(name).range, (low, high))


@EVERY_ROBOT
def test_masses_are_the_published_ones(robot: Robot) -> None:
    model, _ = make_model(robot)
    for i, inertia in enumerate(INERTIAS[robot.name]):
        assert model.body(f"{robot.name}_link{i}").mass[0] == pytest.approx(inertia.mass)
    # [kg] Panda: 2.3966 + 2.7907 + 2.5420 + 2.2513 + 2.2037 + 2.2855 + 1.353 + 0.35973 = 16.18253;
    # with hand 0.6544 and two fingers of 0.0291: 16.89513. UR5e: 4 + 3.761 + 8.058 + 2.846 + 1.37 +
    # 1.3 + 0.365 = 21.7; with 0.119 + 0.86387 + 2 * 0.03804: 22.75895. SO-101: 0.147 + 0.100006 +
    # 0.103 + 0.104 + 0.079 + 0.087 + 0.012 = 0.632006, and 1 mg for the finger that does not move.
    total = {"panda": 16.89513, "ur5e": 22.75895, "so101": 0.632007}
    if robot.name in total:
        assert model.body_mass.sum() == pytest.approx(total[robot.name])


def test_the_inertia_of_the_ur5e_is_turned_into_its_link_frames() -> None:
    """Published in axes that are turned about x: the tensor is R I R^T, the long axis is z."""
    model, _ = make_model(UR5E)
    expected = np.array(
        [  # the shoulder's, by hand: y of the link is -z of the published axes, z is y
            [0.0070021, 1.053e-05, 7.3e-07],
            [1.053e-05, 0.00657286, -0.00049994],
            [7.3e-07, -0.00049994, 0.00648091],
        ]
    )
    body = model.body("ur5e_link1")
    R = np.zeros(9)
    mujoco.mju_quat2Mat(R, body.iquat)
    R = R.reshape(3, 3)
    np.testing.assert_allclose(R @ np.diag(body.inertia) @ R.T, expected, atol=1e-12)


@EVERY_ROBOT
def test_the_arm_rests_at_home(robot: Robot) -> None:
    model, data = make_model(robot)
    for _ in range(240):
        mujoco.mj_step(model, data)
    np.testing.assert_allclose(data.qpos, model.key_qpos[0], atol=1e-6)
    assert data.ncon == 0


@EVERY_ROBOT
def test_the_actuator_is_the_joint_impedance_law(robot: Robot) -> None:
    model, data = make_model(robot)
    rng, n = np.random.default_rng(1), len(robot.joint_names)
    q, dq = np.array(robot.home), rng.normal(0.0, 0.1, n)
    kp, kd = np.array(robot.kp), np.array(robot.kd)
    q_des = q + rng.normal(0.0, 0.1, n) * np.array(robot.limits.tau_max) / (2 * kp)
    dq_des = dq + rng.normal(0.0, 0.1, n) * np.array(robot.limits.tau_max) / (2 * kd)
    data.qvel[:n] = dq
    data.ctrl[:n] = q_des + kd / kp * dq_des
    mujoco.mj_forward(model, data)
    expected = kp * (q_des - q) + kd * (dq_des - dq)
    np.testing.assert_allclose(data.qfrc_actuator[:n], expected, atol=1e-11)


@EVERY_ROBOT
def test_torques_are_limited(robot: Robot) -> None:
    model, data = make_model(robot)
    n = len(robot.joint_names)
    data.ctrl[:n] = 100.0
    mujoco.mj_forward(model, data)
    np.testing.assert_array_equal(data.qfrc_actuator[:n], robot.limits.tau_max)


@EVERY_ROBOT
def test_gravity_is_compensated(robot: Robot) -> None:
    # Without actuators and friction the compensated arm does not accelerate from rest.
    model, data = make_model(robot)
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
    model.dof_frictionloss[:] = 0.0
    n = len(robot.joint_names)
    data.qpos[:n] += 0.3
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.qacc, 0.0, atol=1e-9)
    model.body_gravcomp[:] = 0.0  # else the arm would fall
    mujoco.mj_forward(model, data)
    assert np.abs(data.qacc[:n]).max() > 1.0


@EVERY_ROBOT
def test_the_gripper_closes_and_opens_at_its_speed(robot: Robot) -> None:
    model, data = make_model(robot)
    gripper = robot.gripper
    fingers = [model.joint(name).qposadr[0] for name in gripper.joint_names]
    dofs = [model.joint(name).dofadr[0] for name in gripper.joint_names]
    for width in (0.3 * gripper.open_width, 0.0, gripper.open_width):
        data.ctrl[-1] = width
        for _ in range(960):
            mujoco.mj_step(model, data)
            rate = gripper.opening * np.abs(data.qvel[dofs]).sum()
            assert rate < 2.0 * 1.05 * gripper.speed
        assert gripper.width(data.qpos[fingers]) == pytest.approx(width, abs=1e-4)
    for finger in fingers:
        assert data.qpos[finger] == pytest.approx(data.qpos[fingers[0]], abs=1e-6)


@EVERY_ROBOT
def test_the_width_is_the_distance_between_the_pads(robot: Robot) -> None:
    model, data = make_model(robot)
    gripper = robot.gripper
    for width in (0.0, 0.02, 0.04):
        for name in gripper.joint_names:
            data.joint(name).qpos[0] = gripper.position(width)
        mujoco.mj_forward(model, data)
        # A jaw turns: with lever (28.1, 74.7) mm from its axis, 40 mm are 0.535 rad and
        # 74.7 sin 0.535 + 28.1 (1 - cos 0.535) = 42.0 mm.
        off = 2.1e-3 if robot is SO101 else 1e-9
        assert pad_distance(robot, model, data) == pytest.approx(width, abs=off)
        if width == 0.0:
            middle = (
                data.geom(f"{robot.name}_leftpad").xpos + data.geom(f"{robot.name}_rightpad").xpos
            )
            np.testing.assert_allclose(
                data.site(robot.chain.tool_frame).xpos, middle / 2, atol=1e-9
            )


def test_gripper_width_and_speed_of_the_franka_hand() -> None:
    model, data = make_model(PANDA)
    mujoco.mj_forward(model, data)
    assert pad_distance(PANDA, model, data) == pytest.approx(0.08, abs=1e-9)
    data.ctrl[7] = 0.03
    for _ in range(240):  # 0.5 s
        mujoco.mj_step(model, data)
    # From 80 mm to 30 mm, both fingers at 0.05 m/s need 0.5 s and the last millimetres more.
    assert 0.03 < pad_distance(PANDA, model, data) < 0.034
    for _ in range(240):
        mujoco.mj_step(model, data)
    assert pad_distance(PANDA, model, data) == pytest.approx(0.03, abs=1e-5)


@EVERY_ROBOT
def test_the_robot_meets_objects_and_not_itself(robot: Robot) -> None:
    model, _ = make_model(robot)
    solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    own = model.geom_contype[solid][:, None] & model.geom_conaffinity[solid][None]
    assert not own.any()
    assert (model.geom_conaffinity[solid] & 1).all()  # objects have contype 1
    assert (model.geom_group[solid & (model.geom_group != 2)] == 3).all()


def test_all_robots_in_one_scene() -> None:
    spec = mujoco.MjSpec()
    for i, robot in enumerate(ROBOTS.values()):
        add_robot(spec, robot, position=(0.0, float(i), 0.0))
    add_home_key(spec, *ROBOTS.values())
    model = spec.compile()
    assert model.nu == 8 + 8 + 7 + 6
    np.testing.assert_array_equal(model.body("ur5e_link0").pos, [0.0, 2.0, 0.0])
