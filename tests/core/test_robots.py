"""Robot data: agreement of the tables with each other, chains to and from dictionaries."""

from dataclasses import replace

import numpy as np
import pytest

from sim2arm.core.kinematics import forward
from sim2arm.core.robots import (
    FR3,
    NO_GRIPPER,
    PANDA,
    ROBOTS,
    SO101,
    UR5E,
    Chain,
    JointLimits,
    Robot,
    ToolBox,
)
from sim2arm.core.tool_bounds import tool_bounds


@pytest.mark.parametrize(("name", "robot"), ROBOTS.items(), ids=ROBOTS)
def test_every_robot_is_consistent(name: str, robot: Robot) -> None:
    limits, gripper, n = robot.limits, robot.gripper, len(robot.joint_names)
    assert robot.name == name and n == {"ur5e": 6, "so101": 5}.get(name, 7)
    assert robot.chain.tool_frame == f"{name}_hand_tcp"
    low, high = np.array(limits.q_min), np.array(limits.q_max)
    assert (low < robot.home).all() and (robot.home < high).all()
    for numbers in (
        robot.kp, robot.kd, limits.dq_max, limits.ddq_max, limits.dddq_max, limits.tau_max
    ):  # fmt: skip
        assert len(numbers) == n and min(numbers) > 0
    assert min(gripper.open_width, gripper.speed, gripper.force) > 0 and gripper.delay_s >= 0


def test_the_velocity_profile_of_the_fr3_reaches_beyond_its_range() -> None:
    # The square roots end a little outside the joint limits: 2.75010 > 2.7437 and so on.
    profile = np.array(FR3.limits.velocity_profile)
    assert (profile[:, 2] > FR3.limits.q_max).all()
    assert (profile[:, 5] < FR3.limits.q_min).all()


def test_the_tool_of_the_ur5e_at_home_by_hand() -> None:
    # The upper arm stands, the forearm lies to the front, the wrist hangs [m]:
    #   x = 0.3922 + 0.0997, y = 0.1333
    #   z = 0.1625 + 0.425 - 0.0996 - (0.011 + 0.099 + 0.0465 - 0.010)
    # and the tool points down with x to the front: diag(1, -1, -1).
    T = forward(UR5E.chain, np.array(UR5E.home))
    np.testing.assert_allclose(T[:3, 3], (0.4919, 0.1333, 0.3414), atol=1e-12)
    np.testing.assert_allclose(T[:3, :3], np.diag((1.0, -1.0, -1.0)), atol=1e-12)


def test_the_tool_of_the_so101_at_zero_by_hand() -> None:
    # Upper arm up, forearm to the front; link by link [m]:
    #   x = 0.0388353 + 0.0303992 + 0.028 + 0.1349 + 0.0611 + 0.0981274
    #   z = 0.0624 + 0.0542 + 0.11257 + 0.0052, less the (0.0079, 0.000218) by which the tool lies
    # beside the axis of the gripper, which is rolled by 2 atan(0.0172091 / 0.706897) = 2.8 deg;
    # the jaw opens up and a little to the side, the tool points to the front.
    T = forward(SO101.chain, np.zeros(5))
    angle = 2 * np.arctan2(0.0172091, 0.706897)
    z = 0.0624 + 0.0542 + 0.11257 + 0.0052
    z -= 0.0079 * np.cos(angle) + 0.000218121 * np.sin(angle)
    np.testing.assert_allclose((T[0, 3], T[2, 3]), (0.3913619, z), atol=1e-6)
    np.testing.assert_allclose(T[:3, 2], (1.0, 0.0, 0.0), atol=1e-6)
    np.testing.assert_allclose(T[2, 1], np.cos(angle), atol=1e-6)


def test_the_width_of_slides_and_of_a_jaw() -> None:
    # Two slides at 10 and 12 mm: 22 mm. A jaw of 74.7 mm, 0.5 rad from closed: 37.4 mm.
    assert FR3.gripper.width(np.array([[0.010, 0.012]])) == pytest.approx(0.022)
    assert FR3.gripper.position(0.022) == pytest.approx(0.011)
    jaw = SO101.gripper
    assert jaw.width(np.array([[-0.174533 + 0.5]])) == pytest.approx(0.0373637, abs=1e-6)
    assert jaw.position(jaw.width(np.array([0.3]))) == pytest.approx(0.3)
    assert NO_GRIPPER.width(np.zeros((2, 0))).tolist() == [0.0, 0.0]


def test_robots_with_wrong_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="'fr3': kp: expected 7, got 1"):
        replace(FR3, kp=(1.0,))
    home = (9.0, *FR3.home[1:])
    with pytest.raises(ValueError, match="home of 'fr3_joint1': expected an angle between"):
        replace(FR3, home=home)
    with pytest.raises(ValueError, match="expected 6 numbers each, low below high"):
        ToolBox(low=(0.0,) * 6, high=(0.0, 0.0, -1.0, 0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="open_width must be above 0"):
        replace(FR3.gripper, open_width=0.0)


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_the_bounds_of_a_tool_hold_all_poses_and_are_tight(robot: Robot) -> None:
    home = np.array(robot.home)
    low, high = home - 0.4, home + 0.5
    ends = tool_bounds(robot.chain, low, high)
    q = np.random.default_rng(0).uniform(low, high, (20000, len(home)))
    q = np.where(np.random.default_rng(1).random(q.shape) < 0.5, np.where(q > home, high, low), q)
    p = forward(robot.chain, q)[:, :3, 3]
    assert (p >= ends[0] - 1e-12).all() and (p <= ends[1] + 1e-12).all()
    np.testing.assert_allclose((p.min(axis=0), p.max(axis=0)), ends, atol=0.005)


def test_bounds_of_one_joint_by_hand() -> None:
    # An arm of 1 m about z: from -30 to 100 degrees x is cos, greatest at 0, least at 100
    # degrees; y is sin, greatest at 90, least at -30 degrees.
    eye = np.eye(4)
    tip = np.eye(4)
    tip[0, 3] = 1.0
    chain = Chain(
        base_frame="a",
        tool_frame="b",
        joint_names=("j",),
        T_parent_joint=eye[None],
        axes=np.array([[0.0, 0.0, 1.0]]),
        T_last_tool=tip,
    )
    ends = tool_bounds(chain, np.radians([-30.0]), np.radians([100.0]))
    np.testing.assert_allclose(ends, ((-0.1736482, -0.5, 0.0), (1.0, 1.0, 0.0)), atol=1e-7)


def test_chain_survives_a_dictionary() -> None:
    again = Chain.from_dict(PANDA.chain.to_dict())
    assert again.joint_names == PANDA.chain.joint_names
    assert again.difference(PANDA.chain) == (0.0, 0.0)


def test_panda_and_fr3_have_the_same_geometry() -> None:
    assert PANDA.chain.difference(FR3.chain) == (0.0, 0.0)


def test_difference_by_hand() -> None:
    T = PANDA.chain.T_parent_joint.copy()
    T[2, :3, 3] += (0.003, 0.0, 0.004)  # 3-4-5: 5 mm
    turn = np.eye(4)
    c, s = np.cos(0.01), np.sin(0.01)
    turn[:2, :2] = ((c, -s), (s, c))
    other = replace(PANDA.chain, T_parent_joint=T, T_last_tool=PANDA.chain.T_last_tool @ turn)
    metres, radians = PANDA.chain.difference(other)
    assert metres == pytest.approx(0.005, abs=1e-12)
    assert radians == pytest.approx(0.01, abs=1e-12)


def test_difference_sees_a_reversed_axis() -> None:
    other = replace(PANDA.chain, axes=-PANDA.chain.axes)
    assert PANDA.chain.difference(other)[1] == pytest.approx(np.pi)


def test_chain_errors_are_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"axes must have shape \(7, 3\), got \(6, 3\)"):
        replace(PANDA.chain, axes=PANDA.chain.axes[:6])
    with pytest.raises(ValueError, match="orthonormal"):
        replace(PANDA.chain, T_last_tool=2.0 * np.eye(4))
    with pytest.raises(ValueError, match="a chain has the keys"):
        Chain.from_dict({"axes": []})
    short = replace(
        PANDA.chain,
        joint_names=PANDA.joint_names[:6],
        axes=PANDA.chain.axes[:6],
        T_parent_joint=PANDA.chain.T_parent_joint[:6],
    )
    with pytest.raises(ValueError, match="7 and 6 joints"):
        PANDA.chain.difference(short)


def test_limits_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="dq_max must have 2 entries like q_min, got 1"):
        JointLimits(
            q_min=(0.0, 0.0),
            q_max=(1.0, 1.0),
            dq_max=(1.0,),
            ddq_max=(1.0, 1.0),
            dddq_max=(1.0, 1.0),
            tau_max=(1.0, 1.0),
        )


def test_the_data_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        PANDA.chain.T_parent_joint[0, 0, 3] = 1.0
