"""Quaternions and poses: hand-computed values, group laws, numpy against torch."""

from __future__ import annotations

import numpy as np
import pytest

from sim2arm.core import transforms as tf

HALF = np.sqrt(0.5)


def make_poses(count: int, seed: int = 0) -> np.ndarray:
    """Return random poses (count, 7)."""
    rng = np.random.default_rng(seed)
    q = rng.normal(size=(count, 4))
    return np.concatenate(
        [rng.normal(size=(count, 3)), q / np.linalg.norm(q, axis=-1, keepdims=True)], axis=-1
    )


def test_quarter_turn_about_z_maps_x_to_y() -> None:
    q = np.array([HALF, 0.0, 0.0, HALF])
    np.testing.assert_allclose(tf.quat_rotate(q, np.array([1.0, 0.0, 0.0])), [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose(tf.quat_to_matrix(q), [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-15)


def test_z_axis_is_the_third_column() -> None:
    q = make_poses(20)[:, 3:]
    np.testing.assert_allclose(tf.quat_z_axis(q), tf.quat_to_matrix(q)[..., 2], atol=1e-15)


def test_product_turns_right_factor_first() -> None:
    # First 90 degrees about x (y -> z), then 90 degrees about z: y -> z -> z.
    about_x, about_z = np.array([HALF, HALF, 0, 0]), np.array([HALF, 0, 0, HALF])
    turned = tf.quat_rotate(tf.quat_mul(about_z, about_x), np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(turned, [0, 0, 1], atol=1e-15)


@pytest.mark.parametrize("axis", range(3))
def test_matrix_round_trip_at_half_turns(axis: int) -> None:
    """A half turn has w = 0: the worst case of the conversion."""
    r = np.zeros(3)
    r[axis] = np.pi
    q = tf.quat_from_rotvec(r)
    back = tf.quat_from_matrix(tf.quat_to_matrix(q))
    assert abs(abs(float(back @ q)) - 1.0) < 1e-12


def test_group_laws() -> None:
    a, b, c = make_poses(50, 0), make_poses(50, 1), make_poses(50, 2)
    left = tf.pose_compose(tf.pose_compose(a, b), c)
    np.testing.assert_allclose(left, tf.pose_compose(a, tf.pose_compose(b, c)), atol=1e-12)
    identity = tf.pose_compose(a, tf.pose_inverse(a))
    np.testing.assert_allclose(identity, np.tile([0, 0, 0, 1, 0, 0, 0], (50, 1)), atol=1e-12)
    matrices = tf.pose_to_matrix(a) @ tf.pose_to_matrix(b)
    np.testing.assert_allclose(matrices, tf.pose_to_matrix(tf.pose_compose(a, b)), atol=1e-12)


def test_the_pose_between_two_frames_undoes_the_first() -> None:
    a, b = make_poses(50, 0), make_poses(50, 1)
    between = tf.pose_between(a, b)
    np.testing.assert_allclose(tf.pose_compose(a, between), b, atol=1e-12)


def test_rows_with_the_worlds_inside_hold_the_same_values() -> None:
    values = np.arange(24.0).reshape(2, 3, 4)
    turned = tf.worlds_inside(values)
    np.testing.assert_array_equal(turned, values)
    # Neighbours in memory are neighbouring worlds: (2, 3) worlds of 4 numbers of 8 bytes.
    assert turned.strides == (3 * 8, 8, 6 * 8)


def test_rotation_vector_round_trip_and_small_angles() -> None:
    rng = np.random.default_rng(3)
    r = rng.normal(size=(100, 3))
    r *= rng.uniform(0, 3.1, (100, 1)) / np.linalg.norm(r, axis=-1, keepdims=True)
    np.testing.assert_allclose(tf.quat_to_rotvec(tf.quat_from_rotvec(r)), r, atol=1e-9)
    tiny = np.array([1e-9, -2e-9, 0.0])
    np.testing.assert_allclose(tf.quat_to_rotvec(tf.quat_from_rotvec(tiny)), tiny, rtol=1e-9)
    # The shorter way: 350 degrees about z is -10 degrees.
    q = tf.quat_from_rotvec(np.array([0.0, 0.0, np.deg2rad(350.0)]))
    np.testing.assert_allclose(tf.quat_to_rotvec(q), [0, 0, np.deg2rad(-10.0)], atol=1e-12)


def test_orders_convert_both_ways() -> None:
    q = np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(tf.xyzw_from_wxyz(q), [0.2, 0.3, 0.4, 0.1])
    np.testing.assert_array_equal(tf.wxyz_from_xyzw(tf.xyzw_from_wxyz(q)), q)
