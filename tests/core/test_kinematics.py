"""Chains: hand-computed poses and Jacobians, finite differences, the library of the input."""

from dataclasses import replace

import numpy as np
import pytest

from sim2arm.core.kinematics import forward, forward_and_jacobian, forward_pose, link_frames
from sim2arm.core.robots import FR3, PANDA, ROBOTS, Chain, FloatArray, Robot
from sim2arm.core.transforms import pose_to_matrix, quat_from_rotvec, quat_to_matrix


def make_planar_chain() -> Chain:
    """Two links of 1 m and 0.5 m in the xy plane, both joints about z."""
    T = np.tile(np.eye(4), (2, 1, 1))
    T[1, 0, 3] = 1.0
    T_last_tool = np.eye(4)
    T_last_tool[0, 3] = 0.5
    return Chain(
        base_frame="base",
        tool_frame="tip",
        joint_names=("shoulder", "elbow"),
        T_parent_joint=T,
        axes=np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
        T_last_tool=T_last_tool,
    )


def random_angles(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(PANDA.limits.q_min, PANDA.limits.q_max, (*shape, 7))


def test_planar_arm_by_hand() -> None:
    # shoulder at 90 degrees: elbow at (0, 1); elbow at -90: the last link points along x again.
    T, J = forward_and_jacobian(make_planar_chain(), np.array([np.pi / 2, -np.pi / 2]))
    expected = np.eye(4)
    expected[:2, 3] = (0.5, 1.0)
    np.testing.assert_allclose(T, expected, atol=1e-15)
    # z x (0.5, 1) = (-1, 0.5) from the shoulder; z x (0.5, 0) = (0, 0.5) from the elbow.
    np.testing.assert_allclose(J, [[-1, 0], [0.5, 0.5], [0, 0], [0, 0], [0, 0], [1, 1]], atol=1e-15)


def test_panda_stretched_by_hand() -> None:
    # At q = 0 all columns add up: x = 0.0825 - 0.0825 + 0.088, and the hand hangs from
    # z = 0.333 + 0.316 + 0.384 down by 0.107 + 0.1034.
    T = forward(PANDA.chain, np.zeros(7))
    np.testing.assert_allclose(T[:3, 3], [0.088, 0.0, 1.033 - 0.2104], atol=1e-15)
    # Joint 7 points down (half a turn about x), the hand is turned by -45 degrees about that axis.
    h = np.sqrt(0.5)
    np.testing.assert_allclose(T[:3, :3], [[h, h, 0], [h, -h, 0], [0, 0, -1]], atol=1e-15)


def test_panda_home_by_hand() -> None:
    # The upper arm leans back by 45 degrees, the forearm is level, the hand points down. With
    # s = sqrt(1/2): x = -0.316 s (upper arm) + 0.0825 s (elbow) + 0.384 (forearm) + 0.088 and
    # z = 0.333 + 0.316 s + 0.0825 s + 0.0825 (the forearm's own offset) - 0.2104.
    s = np.sqrt(0.5)
    T = forward(PANDA.chain, np.array(PANDA.home))
    np.testing.assert_allclose(T[:3, :3], np.diag([1.0, -1.0, -1.0]), atol=1e-15)
    x = 0.472 - 0.2335 * s
    z = 0.2051 + 0.3985 * s
    np.testing.assert_allclose(T[:3, 3], [x, 0.0, z], atol=1e-15)


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_jacobian_is_the_finite_difference(robot: Robot) -> None:
    n = len(robot.joint_names)
    q = random_angles(0, (5,))[:, :n]
    T, J = forward_and_jacobian(robot.chain, q)
    h = 1e-6
    for i in range(n):
        step = h * np.eye(n)[i]
        dT = (forward(robot.chain, q + step) - forward(robot.chain, q - step)) / (2 * h)
        np.testing.assert_allclose(J[:, :3, i], dT[:, :3, 3], atol=1e-8)
        W = dT[:, :3, :3] @ np.swapaxes(T[:, :3, :3], -1, -2)  # skew matrix of the turning rate
        w = np.stack([W[:, 2, 1], W[:, 0, 2], W[:, 1, 0]], axis=-1)
        np.testing.assert_allclose(J[:, 3:, i], w, atol=1e-8)


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_tool_pose_is_the_tool_matrix_and_its_quaternion_never_jumps(robot: Robot) -> None:
    q = random_angles(3, (40,))[:, : len(robot.joint_names)]
    pose = forward_pose(robot.chain, q)
    np.testing.assert_allclose(pose_to_matrix(pose), forward(robot.chain, q), atol=1e-12)
    path = q[:1] + np.linspace(0.0, 1.0, 400)[:, None] * (q[1:2] - q[:1])
    turn = forward_pose(robot.chain, path)[:, 3:]
    assert np.abs(np.diff(turn, axis=0)).max() < 0.05


def test_pose_of_planar_arm_by_hand() -> None:
    # Joints at 90 and 60 degrees: the tip points to 150 degrees, half of which is 75.
    pose = forward_pose(make_planar_chain(), np.radians([90.0, 60.0]))
    p = [0.5 * np.cos(np.radians(150)), 1.0 + 0.5 * np.sin(np.radians(150)), 0.0]
    turn = [np.cos(np.radians(75)), 0.0, 0.0, np.sin(np.radians(75))]
    np.testing.assert_allclose(pose, [*p, *turn], atol=1e-15)


def test_skew_axes_obey_the_finite_difference_too() -> None:
    axes = np.array([[0.6, 0.0, 0.8], [0.0, -1.0, 0.0]])
    chain = replace(make_planar_chain(), axes=axes)
    q, h = np.array([0.3, -0.7]), 1e-6
    _, J = forward_and_jacobian(chain, q)
    for i in range(2):
        step = h * np.eye(2)[i]
        dp = (forward(chain, q + step) - forward(chain, q - step))[:3, 3] / (2 * h)
        np.testing.assert_allclose(J[:3, i], dp, atol=1e-9)


def test_frames_of_skew_axes_by_rodrigues() -> None:
    axes = np.array([[0.6, 0.0, 0.8], [0.0, -1.0, 0.0]])
    chain = replace(make_planar_chain(), axes=axes)
    q = np.array([0.3, -0.7])
    reached: FloatArray = np.eye(4)
    frames: list[FloatArray] = []
    for i in range(2):
        turn = np.eye(4)
        turn[:3, :3] = quat_to_matrix(quat_from_rotvec(q[i] * axes[i]))
        reached = reached @ chain.T_parent_joint[i] @ turn
        frames.append(reached)
    expected = [*frames, reached @ chain.T_last_tool]
    np.testing.assert_allclose(link_frames(chain, q), expected, atol=1e-15)
    np.testing.assert_allclose(pose_to_matrix(forward_pose(chain, q)), expected[-1], atol=1e-15)


def test_leading_axes_are_free() -> None:
    q = random_angles(1, (2, 3))
    frames = link_frames(PANDA.chain, q)
    assert frames.shape == (2, 3, 8, 4, 4)
    T, J = forward_and_jacobian(PANDA.chain, q)
    assert T.shape == (2, 3, 4, 4)
    assert J.shape == (2, 3, 6, 7)
    alone, J_alone = forward_and_jacobian(PANDA.chain, q[1, 2])
    np.testing.assert_allclose(T[1, 2], alone, atol=1e-15)
    np.testing.assert_allclose(J[1, 2], J_alone, atol=1e-15)
    np.testing.assert_array_equal(frames[..., -1, :, :], T)


def test_float32_stays_float32() -> None:
    q = random_angles(2, (4,))
    T, J = forward_and_jacobian(FR3.chain, q.astype(np.float32))
    assert T.dtype == J.dtype == np.float32
    np.testing.assert_allclose(T, forward(FR3.chain, q), atol=2e-6)


def test_wrong_number_of_joints_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"7 angles on its last axis .* got shape \(3, 6\)"):
        forward(PANDA.chain, np.zeros((3, 6)))
