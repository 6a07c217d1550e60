"""Derived inputs: kinematics by hand, precision, agreement with the simulation, each error."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.contract import Contract
from sim2arm.core.derive import Derivation
from sim2arm.core.kinematics import forward, forward_pose
from sim2arm.core.robots import PANDA, ROBOTS, Robot
from sim2arm.core.spec import ArraySpec, History
from sim2arm.core.transforms import (
    pose_to_matrix,
    quat_from_matrix,
    quat_from_rotvec,
    quat_mul,
    quat_to_matrix,
)
from tests.builders import make_contract, make_spec

POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")


def make_ee_pose(**overrides: Any) -> ArraySpec:
    values: dict[str, Any] = {
        "name": "ee_pose",
        "kind": "derived",
        "source": "fk(joint_position)",
        "shape": (7,),
        "unit": "m m m 1 1 1 1",
        "frame": "panda_link0",
        "element_names": POSE,
    }
    return ArraySpec(**(values | overrides))


def make_derived_contract(q: dict[str, Any] | None = None, **overrides: Any) -> Contract:
    return make_contract(inputs=(make_spec(**(q or {})), make_ee_pose(**overrides)))


def random_q(robot: Robot, n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(robot.limits.q_min, robot.limits.q_max, (n, len(robot.joint_names)))


def test_the_home_pose_by_hand() -> None:
    # Joint 2 leans the upper arm back by 45 degrees, joint 4 turns the forearm level, joint 6 the
    # hand down. With s = sin 45 = 0.70711, in the plane of the arm:
    #   x = -0.316 s + 0.0825 s + 0.384 + 0.088                    = 0.30689
    #   z = 0.333 + 0.316 s + 0.0825 s + 0.0825 - (0.107 + 0.1034) = 0.48688
    # A tool that points down, x forwards, is a half turn about x: (0, 1, 0, 0).
    pose = forward_pose(PANDA.chain, np.array(PANDA.home))
    np.testing.assert_allclose(pose[:3], (0.30689, 0.0, 0.48688), atol=1e-5)
    np.testing.assert_allclose(pose[3:], (0.0, 1.0, 0.0, 0.0), atol=1e-12)


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_the_pose_is_that_of_the_matrix(robot: Robot) -> None:
    q = random_q(robot, 500).reshape(5, 100, -1)
    T = pose_to_matrix(forward_pose(robot.chain, q))
    np.testing.assert_allclose(T, forward(robot.chain, q), rtol=0, atol=1e-14)


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_the_quaternion_is_the_product_along_the_chain(robot: Robot) -> None:
    chain, q = robot.chain, random_q(robot, 100)
    expected = quat_from_rotvec(np.zeros((100, 3)))
    for i in range(len(robot.joint_names)):
        fixed = quat_from_matrix(chain.T_parent_joint[i, :3, :3])
        expected = quat_mul(expected, np.tile(fixed, (100, 1)))
        expected = quat_mul(expected, quat_from_rotvec(q[:, i : i + 1] * chain.axes[i]))
    tool = quat_from_matrix(chain.T_last_tool[:3, :3])
    expected = quat_mul(expected, np.tile(tool, (100, 1)))
    np.testing.assert_allclose(forward_pose(chain, q)[:, 3:], expected, rtol=0, atol=1e-14)


def test_axes_in_any_direction() -> None:
    rng = np.random.default_rng(2)
    axes = rng.normal(size=(7, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    turns = quat_to_matrix(quat_from_rotvec(rng.normal(size=(7, 3))))
    T = PANDA.chain.T_parent_joint.copy()
    T[:, :3, :3] = turns
    chain = replace(PANDA.chain, T_parent_joint=T, axes=axes)
    q = random_q(PANDA, 50)
    np.testing.assert_allclose(
        pose_to_matrix(forward_pose(chain, q)), forward(chain, q), rtol=0, atol=1e-14
    )


def test_a_row_does_not_depend_on_the_others() -> None:
    q = random_q(PANDA, 257)
    together = forward_pose(PANDA.chain, q)[:, 3:]
    np.testing.assert_array_equal(together[100], forward_pose(PANDA.chain, q[100])[3:])


def test_the_quaternion_does_not_jump_where_w_is_zero() -> None:
    # Turning joint 6 through home takes w through zero; (w >= 0) would flip x from 1 to -1.
    q = np.tile(np.array(PANDA.home), (201, 1))
    q[:, 5] += np.linspace(-0.1, 0.1, 201)
    q[:, 4] += np.linspace(-0.1, 0.1, 201)
    pose = forward_pose(PANDA.chain, q)
    assert pose[0, 3] * pose[-1, 3] < 0
    assert np.abs(np.diff(pose[:, 3:], axis=0)).max() < 0.002  # steps of 0.001 rad, two joints


def test_results_have_the_dtype_of_the_contract_and_use_all_digits_of_the_angles() -> None:
    derivation = Derivation(make_derived_contract())
    q = random_q(PANDA, 1000)
    found = derivation({"joint_position": q})["ee_pose"]
    assert found.dtype == np.float32 and found.shape == (1000, 7)
    np.testing.assert_array_equal(found, forward_pose(PANDA.chain, q).astype(np.float32))
    rounded = forward_pose(PANDA.chain, q.astype(np.float32).astype(np.float64))
    assert (found != rounded.astype(np.float32)).mean() > 0.1  # what float32 angles would change


def test_complete_gives_every_input_in_its_dtype() -> None:
    derivation = Derivation(make_derived_contract())
    (spec,) = derivation.sampled
    assert (spec.name, spec.dtype) == ("joint_position", "float64")
    complete = derivation.complete({"joint_position": random_q(PANDA, 3)})
    assert {name: str(x.dtype) for name, x in complete.items()} == {
        "joint_position": "float32",
        "ee_pose": "float32",
    }


def test_histories() -> None:
    history = History(of="ticks", n=3)
    q = random_q(PANDA, 6).reshape(2, 3, 7)
    both = Derivation(make_derived_contract({"history": history}, history=history))
    assert both({"joint_position": q})["ee_pose"].shape == (2, 3, 7)
    newest = Derivation(make_derived_contract({"history": history}))
    found = newest({"joint_position": q})["ee_pose"]
    np.testing.assert_array_equal(found, forward_pose(PANDA.chain, q[:, -1]).astype(np.float32))
    with pytest.raises(ValueError, match="history must be that of 'joint_position', or none"):
        Derivation(make_derived_contract(history=history))


def test_a_contract_without_derived_inputs() -> None:
    contract = make_contract()
    assert Derivation(contract)({}) == {}
    assert Derivation(contract).sampled == contract.inputs


@pytest.mark.parametrize(
    ("q", "pose", "message"),
    [
        ({}, {"source": "ik(joint_position)"}, r"'ik\(joint_position\)' is not a known formula"),
        ({}, {"source": "fk"}, r"Known: \['fk'\]"),
        ({}, {"source": "fk(a, b)"}, r"fk takes 1 input\(s\), got \['a', 'b'\]"),
        ({}, {"source": "fk(ee_pose)"}, "'ee_pose' is not a measured input of the contract"),
        ({"unit": "deg"}, {}, r"must have shape \(7,\) and unit rad, got \(7,\) deg"),
        ({"element_names": PANDA.joint_names[::-1]}, {}, "list the joints as the contract does"),
        ({}, {"element_names": (*POSE[:3], *POSE[4:], "qw")}, "the elements x y z qw qx qy qz"),
        ({}, {"frame": "world"}, "frame must be 'panda_link0', got 'world'"),
    ],
)
def test_a_formula_that_does_not_fit_is_an_error(
    q: dict[str, Any], pose: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Derivation(make_derived_contract(q, **pose))


def test_wrong_arrays_are_errors() -> None:
    derivation = Derivation(make_derived_contract())
    with pytest.raises(ValueError, match=r"'joint_position' is missing. Given: \[\]"):
        derivation({})
    with pytest.raises(ValueError, match="expected dtype float64, got float32"):
        derivation({"joint_position": np.zeros((1, 7), dtype=np.float32)})
    with pytest.raises(ValueError, match="not finite"):
        derivation({"joint_position": np.full((1, 7), np.nan)})
