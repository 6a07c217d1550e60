# pyright: standard, reportMissingModuleSource=false
"""Messages to arrays and back; whatever does not fit is one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2arm.core.robots import FR3
from sim2arm.core.spec import ArraySpec
from sim2arm.core.trajectory import Trajectory
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from builtin_interfaces.msg import Time  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from sim2arm_ros import convert  # noqa: E402
from sim2arm_ros.graph import JOINT_STATE, POSE_STAMPED, InputBinding  # noqa: E402
from sim2arm_ros.requests import Request  # noqa: E402

from .swinging import swinging_contract  # noqa: E402

NAMES = list(FR3.joint_names)
CONTRACT = swinging_contract()
PERIOD_NS = round(1e9 / 60.0)
JOINTS = InputBinding(topic="/joint_states", type=JOINT_STATE, field="position")
POSE = InputBinding(topic="/pose", type=POSE_STAMPED, field="pose")


def joint_state(names: list[str] | None = None, **fields: Any) -> JointState:
    names = NAMES if names is None else names
    values = np.array([0.1 * i + 0.05 for i in range(len(names))], dtype=np.float64)
    message = convert.joint_state_message(names, values, -values, 5_000_000_007)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


# -- time --------------------------------------------------------------------------------------


@given(st.integers(-(2**31) * 10**9, (2**31 - 1) * 10**9 + 999_999_999))
def test_nanoseconds_come_back(ns: int) -> None:
    stamp = convert.to_stamp(ns)
    assert convert.to_ns(stamp) == ns and 0 <= stamp.nanosec < 10**9


def test_a_stamp_by_hand() -> None:
    assert convert.to_stamp(5_000_000_007) == Time(sec=5, nanosec=7)
    assert convert.to_stamp(-1) == Time(sec=-1, nanosec=999_999_999)


# -- joints ------------------------------------------------------------------------------------


def test_a_thousand_permutations_give_the_same_bits() -> None:
    spec = CONTRACT.input("joint_position")
    straight, stamp, _ = convert.read_input(joint_state(), JOINTS, spec)
    assert stamp == 5_000_000_007
    random = np.random.default_rng(0)
    for _ in range(1000):
        new = random.permutation(9)  # two joints more, as a gripper has
        names = [*NAMES, "finger_1", "finger_2"]
        values = [*(joint_state().position), 0.04, 0.04]
        message = JointState(name=[names[i] for i in new], position=[values[i] for i in new])
        value, _, _ = convert.read_input(message, JOINTS, spec)
        assert value.tobytes() == straight.tobytes() and value.dtype == np.float32


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (NAMES[1:], "joint 'fr3_joint1' is missing"),
        ([*NAMES, "fr3_joint4"], "joint 'fr3_joint4' is named twice"),
        ([n.upper() for n in NAMES], "joint 'fr3_joint1' is missing"),
        ([], "joint 'fr3_joint1' is missing"),
    ],
)
def test_missing_or_duplicate_joints(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert.joint_field(joint_state(names), "position", NAMES)


def test_a_foreign_joint_may_be_named_twice() -> None:
    message = joint_state([*NAMES, "finger", "finger"])
    assert len(convert.joint_field(message, "position", NAMES)) == 7


@pytest.mark.parametrize("count", [0, 6, 8])
def test_a_field_of_another_length(count: int) -> None:
    message = joint_state(position=[0.0] * count)
    with pytest.raises(ValueError, match=f"position: expected 7 numbers, got {count}"):
        convert.joint_field(message, "position", NAMES)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_in_the_dtype_of_the_input(value: float) -> None:
    positions = list(joint_state().position)
    positions[3] = value
    message = joint_state(position=positions)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="not finite"):
        convert.read_input(message, JOINTS, CONTRACT.input("joint_position"))


# -- poses -------------------------------------------------------------------------------------


def make_pose(**overrides: Any) -> PoseStamped:
    values = np.array([0.1, 0.2, 0.3, 0.5, -0.1, 0.7, 0.5])
    values[3:] /= np.linalg.norm(values[3:])
    return convert.pose_message(values, overrides.pop("frame", "fr3_link0"), 42)


def test_quaternions_change_order_once_each_way() -> None:
    message = convert.pose_message(np.array([1.0, 2, 3, 0.5, -0.5, 0.5, 0.5]), "base", 42)
    o = message.pose.orientation
    assert (o.w, o.x, o.y, o.z) == (0.5, -0.5, 0.5, 0.5)
    np.testing.assert_array_equal(convert.pose_array(message), [1.0, 2, 3, 0.5, -0.5, 0.5, 0.5])


@pytest.mark.parametrize("scale", [0.0, 0.99, 1.01, np.nan, np.inf])
def test_quaternions_of_another_length(scale: float) -> None:
    message = make_pose()
    message.pose.orientation.w *= scale
    message.pose.orientation.x *= scale
    message.pose.orientation.y *= scale
    message.pose.orientation.z *= scale
    with pytest.raises(ValueError, match="length 1"):
        convert.pose_array(message)


def test_the_frame_must_be_the_contract_s() -> None:
    spec = CONTRACT.input("goal_pose")
    value, stamp, _ = convert.read_input(make_pose(frame="/fr3_link0"), POSE, spec)
    assert value.shape == (7,) and stamp == 42
    with pytest.raises(ValueError, match="expected frame 'fr3_link0', got 'map'"):
        convert.read_input(make_pose(frame="map"), POSE, spec)


# -- requests ----------------------------------------------------------------------------------


def make_request(**overrides: Any) -> Request:
    values: dict[str, Any] = {
        "session": "a1", "tick": 3, "stamp_ns": 10**9 + 1, "q": np.array(FR3.home),
        "dq": np.linspace(-0.1, 0.1, 7),
    }  # fmt: skip
    return Request(**(values | overrides))


def request_message(**overrides: Any) -> Any:
    return convert.request_message(make_request(**overrides), NAMES, PERIOD_NS)


def test_requests_come_back_to_the_bit_in_any_order_of_joints() -> None:
    message = request_message()
    new = np.random.default_rng(1).permutation(7)
    point = message.points[0]
    message.joint_names = [message.joint_names[i] for i in new]
    point.positions = [point.positions[i] for i in new]
    point.velocities = [point.velocities[i] for i in new]
    back, sent = convert.request_from(message, NAMES, PERIOD_NS), make_request()
    assert (back.session, back.tick, back.stamp_ns, back.release) == ("a1", 3, 10**9 + 1, False)
    assert back.q.tobytes() == sent.q.tobytes() and back.dq.tobytes() == sent.dq.tobytes()


def test_a_request_for_a_gripper_too() -> None:
    message = request_message(width=0.03)
    assert list(message.joint_names) == [*NAMES, "gripper_width"]
    back = convert.request_from(message, NAMES, PERIOD_NS, grips=True)
    assert back.width == 0.03 and back.q.tobytes() == make_request().q.tobytes()
    with pytest.raises(ValueError, match="request: expected 7 joints, got"):
        convert.request_from(message, NAMES, PERIOD_NS)
    with pytest.raises(ValueError, match="request: expected 7 joints and gripper_width, got"):
        convert.request_from(request_message(), NAMES, PERIOD_NS, grips=True)


def test_the_width_of_a_gripper_is_that_of_its_fingers() -> None:
    names = [*NAMES, *FR3.gripper.joint_names]
    message = convert.joint_state_message(names, np.arange(9.0), np.zeros(9), 42)
    binding = InputBinding(topic="/joint_states", type=JOINT_STATE, field="gripper_width")
    spec = ArraySpec(name="gripper_width", kind="sensor", shape=(1,), unit="m", dtype="float64")
    value, stamp, _ = convert.read_input(message, binding, spec, FR3.gripper)
    assert value.tolist() == [15.0] and stamp == 42  # 7 + 8
    message.name = message.name[:8]
    message.position, message.velocity = message.position[:8], message.velocity[:8]
    with pytest.raises(ValueError, match="joint 'fr3_finger_joint2' is missing"):
        convert.read_input(message, binding, spec, FR3.gripper)


def test_a_release_has_no_points() -> None:
    message = request_message(release=True)
    assert message.points == []
    assert convert.request_from(message, NAMES, PERIOD_NS).release


def test_a_nan_reaches_the_gate_which_judges_it() -> None:
    q = np.array(FR3.home)
    q[2] = np.nan
    assert np.isnan(convert.request_from(request_message(q=q), NAMES, PERIOD_NS).q[2])


def _two_points(message: Any) -> None:
    message.points = [message.points[0], message.points[0]]


def _other_period(message: Any) -> None:
    message.points[0].time_from_start.nanosec += 2000


def _short(message: Any) -> None:
    message.points[0].positions = message.points[0].positions[:-1]


def _no_velocities(message: Any) -> None:
    message.points[0].velocities = []


def _six_joints(message: Any) -> None:
    message.joint_names = message.joint_names[:-1]
    message.points[0].positions = message.points[0].positions[:-1]
    message.points[0].velocities = message.points[0].velocities[:-1]


def _other_joint(message: Any) -> None:
    message.joint_names[0] = "elbow"


def _no_tag(message: Any) -> None:
    message.header.frame_id = "base"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_two_points, "expected one point, got 2"),
        (_other_period, "expected time_from_start 16666667 ns"),
        (_short, "expected 7 positions and velocities, got 6 and 7"),
        (_no_velocities, "got 7 and 0"),
        (_six_joints, "expected 7 joints"),
        (_other_joint, "'fr3_joint1' is missing"),
        (_no_tag, "tag"),
    ],
)
def test_requests_that_do_not_fit(change: Any, text: str) -> None:
    message = request_message()
    change(message)
    with pytest.raises(ValueError, match=text) as error:
        convert.request_from(message, NAMES, PERIOD_NS)
    assert "\n" not in str(error.value)


# -- commands ----------------------------------------------------------------------------------


def make_trajectory() -> Trajectory:
    q = np.linspace(0.0, 0.5, 5)[None, :, None] + np.array(FR3.home) * 0.9
    dq = np.linspace(0.1, 0.0, 5)[None, :, None] * np.ones(7)
    return Trajectory(times=np.array([[0.0, 0.02, 0.04, 0.06, 0.1]]), q=q, dq=dq)


def test_commands_leave_out_the_state_at_their_start_and_come_back() -> None:
    sent = make_trajectory()
    message = convert.command_message(sent, 0.0, NAMES, 7, "a/1")
    assert len(message.points) == 4 and message.header.frame_id == "a/1"
    back = convert.trajectory_from(message, NAMES)
    np.testing.assert_array_equal(back.times, sent.times)
    np.testing.assert_array_equal(back.q[:, 1:], sent.q[:, 1:])
    np.testing.assert_array_equal(back.dq[:, 1:], sent.dq[:, 1:])


def test_commands_leave_out_what_comes_too_soon_but_keep_their_start() -> None:
    message = convert.command_message(make_trajectory(), 0.03, NAMES, 7, "a/1")
    assert [convert.to_ns(p.time_from_start) for p in message.points] == [
        40_000_000, 60_000_000, 100_000_000,
    ]  # fmt: skip
    assert convert.to_ns(message.header.stamp) == 7


def test_a_motion_that_starts_later_says_where() -> None:
    sent = make_trajectory()
    message = convert.command_message(sent, -0.004, NAMES, 7, "a/1")
    assert len(message.points) == 5
    assert convert.to_ns(message.points[0].time_from_start) == 0
    back = convert.trajectory_from(message, NAMES)
    np.testing.assert_array_equal(back.times[0, 1:], sent.times[0])
    np.testing.assert_array_equal(back.q[0, 1:], sent.q[0])


def _no_points(message: Any) -> None:
    message.points = []


def _falling(message: Any) -> None:
    message.points[1].time_from_start.nanosec = 1


def _before_zero(message: Any) -> None:
    message.points[0].time_from_start.sec = -1


def _for_ever(message: Any) -> None:
    message.points[-1].time_from_start.sec = 61


def _nan(message: Any) -> None:
    message.points[-1].positions[0] = float("nan")


def _inf_speed(message: Any) -> None:
    message.points[0].velocities[6] = float("inf")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_no_points, "no points"),
        (_falling, "rising times"),
        (_before_zero, "rising times"),
        (_for_ever, "rising times"),
        (_nan, "not finite"),
        (_inf_speed, "not finite"),
        (_short, "expected 7 positions and velocities, got 6 and 7"),
        (_other_joint, "'fr3_joint1' is missing"),
        (lambda m: m.joint_names.append("elbow"), "expected .*got"),
    ],
)
def test_commands_that_a_controller_refuses(change: Any, text: str) -> None:
    message = convert.command_message(make_trajectory(), 0.0, NAMES, 7, "a/1")
    change(message)
    with pytest.raises(ValueError, match=text):
        convert.trajectory_from(message, NAMES)


def test_status_values_come_back_as_text() -> None:
    message = convert.status_message(b"\x01", "gate", "why", {"a": 1, "b": True})
    assert convert.status_values(message) == {"a": "1", "b": "True"}
    assert (message.level, message.name, message.message) == (b"\x01", "gate", "why")
