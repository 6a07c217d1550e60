"""The robots' MuJoCo models: same kinematics as the chain, the law, the hand, no surprises."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

import mujoco
import numpy as np
import pytest

from sim2arm.core.kinematics import forward_and_jacobian, link_frames
from sim2arm.core.robots import FR3, PANDA, ROBOTS, Robot
from sim2arm.sim.robots.franka import add_home_key, add_robot
from sim2arm.sim.robots.franka_inertia import LINKS
from sim2arm.sim.robots.models import ROBOT_MODELS

EVERY_ROBOT = pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)


def make_model(robot: Robot) -> tuple[mujoco.MjModel, mujoco.MjData]:
    spec = mujoco.MjSpec()
    ROBOT_MODELS[robot.name](spec, robot)
    add_home_key(spec, robot)
    spec.option.timestep = 1.0 / 480.0
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    return model, data


def test_every_robot_has_a_model() -> None:
    assert set(ROBOT_MODELS) == set(ROBOTS)


@EVERY_ROBOT
def test_kinematics_and_jacobian_agree_with_mujoco(robot: Robot) -> None:
    model, data = make_model(robot)
    rng = np.random.default_rng(0)
    site = model.site(robot.chain.tool_frame).id
    for _ in range(10):
        q = rng.uniform(robot.limits.q_min, robot.limits.q_max)
        data.qpos[:7] = q
        mujoco.mj_forward(model, data)
        T, J = forward_and_jacobian(robot.chain, q)
        np.testing.assert_allclose(data.site_xpos[site], T[:3, 3], atol=1e-9)
        np.testing.assert_allclose(data.site_xmat[site].reshape(3, 3), T[:3, :3], atol=1e-9)
        linear, angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        mujoco.mj_jacSite(model, data, linear, angular, site)
        np.testing.assert_allclose(np.vstack([linear, angular])[:, :7], J, atol=1e-9)
        for i, frame in enumerate(link_frames(robot.chain, q)[:7]):
            link = data.body(f"{robot.name}_link{i + 1}")
            np.testing.assert_allclose(link.xpos, frame[:3, 3], atol=1e-9)


@EVERY_ROBOT
def test_names_follow_the_robot(robot: Robot) -> None:
    model, _ = make_model(robot)
    bodies = {model.body(i).name for i in range(model.nbody)}
    expected = [f"link{i}" for i in range(8)] + ["hand", "leftfinger", "rightfinger"]
    assert {f"{robot.name}_{part}" for part in expected} <= bodies
    actuators = [model.actuator(i).name for i in range(model.nu)]
    assert actuators == [*robot.joint_names, f"{robot.name}_gripper"]
    for name, low, high in zip(
        robot.joint_names, robot.limits.q_min, robot.limits.q_max, strict=True
    ):
        np.testing.assert_allclose(model.joint(name).range, (low, high))


@EVERY_ROBOT
def test_masses_are_the_published_ones(robot: Robot) -> None:
    model, _ = make_model(robot)
    for i, inertia in enumerate(LINKS[robot.name]):
        assert model.body(f"{robot.name}_link{i}").mass[0] == pytest.approx(inertia.mass)
    # Panda [kg]: 2.3966 + 2.7907 + 2.5420 + 2.2513 + 2.2037 + 2.2855 + 1.353 + 0.35973 = 16.18253;
    # with hand 0.6544 and two fingers of 0.0291: 16.89513.
    if robot is PANDA:
        assert model.body_mass.sum() == pytest.approx(16.89513)


@EVERY_ROBOT
def test_the_arm_rests_at_home(robot: Robot) -> None:
    model, data = make_model(robot)
    for _ in range(240):
        mujoco.mj_step(model, data)
    np.testing.assert_allclose(data.qpos, model.key_qpos[0], atol=1e-6)
    assert data.ncon == 0


def test_the_actuator_is_the_joint_impedance_law() -> None:
    model, data = make_model(PANDA)
    rng = np.random.default_rng(1)
    q, dq = np.array(PANDA.home), rng.normal(0.0, 0.1, 7)
    q_des, dq_des = q + rng.normal(0.0, 0.01, 7), rng.normal(0.0, 0.1, 7)
    kp, kd = np.array(PANDA.kp), np.array(PANDA.kd)
    data.qvel[:7] = dq
    data.ctrl[:7] = q_des + kd / kp * dq_des
    mujoco.mj_forward(model, data)
    expected = kp * (q_des - q) + kd * (dq_des - dq)
    np.testing.assert_allclose(data.qfrc_actuator[:7], expected, atol=1e-12)


def test_torques_are_limited() -> None:
    model, data = make_model(FR3)
    data.ctrl[:7] = 100.0
    mujoco.mj_forward(model, data)
    np.testing.assert_array_equal(data.qfrc_actuator[:7], FR3.limits.tau_max)


def test_gravity_is_compensated() -> None:
    # Without actuators and friction the compensated arm does not accelerate from rest.
    model, data = make_model(PANDA)
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
    model.dof_frictionloss[:] = 0.0
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.qacc[:7], 0.0, atol=1e-9)


def test_gripper_width_and_speed() -> None:
    model, data = make_model(PANDA)
    left, right = data.geom("panda_leftpad").id, data.geom("panda_rightpad").id
    fingers = [model.joint(name).qposadr[0] for name in PANDA.gripper.joint_names]

    def pad_distance() -> float:
        # centres are 4 mm behind the faces
        apart = np.linalg.norm(data.geom_xpos[left] - data.geom_xpos[right])
        return float(apart) - 0.008

    mujoco.mj_forward(model, data)
    assert pad_distance() == pytest.approx(0.08, abs=1e-9)
    data.ctrl[7] = 0.03
    for _ in range(240):  # 0.5 s
        mujoco.mj_step(model, data)
        assert np.abs(data.qvel[fingers]).max() < 1.05 * PANDA.gripper.speed
    # From 80 mm to 30 mm, both fingers at 0.05 m/s need 0.5 s and the last millimetres more.
    assert 0.03 < pad_distance() < 0.034
    for _ in range(240):
        mujoco.mj_step(model, data)
    assert pad_distance() == pytest.approx(0.03, abs=1e-5)
    assert data.qpos[fingers[0]] == pytest.approx(data.qpos[fingers[1]], abs=1e-6)


def test_tool_frame_lies_between_the_pads() -> None:
    model, data = make_model(PANDA)
    mujoco.mj_forward(model, data)
    middle = (data.geom("panda_leftpad").xpos + data.geom("panda_rightpad").xpos) / 2
    np.testing.assert_allclose(data.site("panda_hand_tcp").xpos, middle, atol=1e-9)


def test_the_robot_meets_objects_and_not_itself() -> None:
    model, _ = make_model(PANDA)
    solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    own = model.geom_contype[solid][:, None] & model.geom_conaffinity[solid][None]
    assert not own.any()
    assert (model.geom_conaffinity[solid] & 1).all()  # objects have contype 1
    assert (model.geom_group[solid & (model.geom_group != 2)] == 3).all()


def test_two_robots_in_one_scene() -> None:
    spec = mujoco.MjSpec()
    add_robot(spec, PANDA)
    add_robot(spec, FR3, position=(0.0, 1.0, 0.0))
    add_home_key(spec, PANDA, FR3)
    model = spec.compile()
    assert model.nu == 16
    np.testing.assert_array_equal(model.body("fr3_link0").pos, [0.0, 1.0, 0.0])
