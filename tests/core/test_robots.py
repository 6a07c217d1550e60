"""Robot data: agreement of the tables with each other, chains to and from dictionaries."""

from dataclasses import replace

import numpy as np
import pytest

from sim2arm.core.robots import FR3, PANDA, ROBOTS, Chain, JointLimits, Robot


@pytest.mark.parametrize(("name", "robot"), ROBOTS.items(), ids=ROBOTS)
def test_every_robot_is_consistent(name: str, robot: Robot) -> None:
    assert robot.name == name
    assert robot.joint_names == tuple(f"{name}_joint{i}" for i in range(1, 8))
    assert robot.chain.tool_frame == f"{name}_hand_tcp"
    low, high = np.array(robot.limits.q_min), np.array(robot.limits.q_max)
    assert (low < robot.home).all() and (robot.home < high).all()
    for numbers in (robot.kp, robot.kd, robot.limits.dq_max, robot.limits.tau_max):
        assert len(numbers) == 7 and min(numbers) > 0


def test_the_velocity_profile_of_the_fr3_reaches_beyond_its_range() -> None:
    # The square roots end a little outside the joint limits: 2.75010 > 2.7437 and so on.
    profile = np.array(FR3.limits.velocity_profile)
    assert (profile[:, 2] > FR3.limits.q_max).all()
    assert (profile[:, 5] < FR3.limits.q_min).all()


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
