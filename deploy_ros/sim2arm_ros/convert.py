"""ROS messages to arrays and back: the only place that knows the layout of messages.

Whatever does not fit is a `ValueError` of one line; nothing is guessed. Quaternions of
messages are read and written here by the names of their fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from control_msgs.msg import JointTrajectoryControllerState
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from sim2arm.core.robots import NO_GRIPPER, Gripper
from sim2arm.core.spec import ArraySpec
from sim2arm.core.trajectory import Trajectory

from .graph import JOINT_STATE, POSE_STAMPED, InputBinding
from .pictures import COMPRESSED_IMAGE, IMAGE
from .requests import WIDTH, Request, parse_request_tag, parse_tag, request_tag

FloatArray = NDArray[np.float64]
MESSAGES: dict[str, Any] = {
    JOINT_STATE: JointState,
    POSE_STAMPED: PoseStamped,
    IMAGE: Image,
    COMPRESSED_IMAGE: CompressedImage,
}
"""Types of messages that can feed an input, by name."""
_NS = 1_000_000_000
_LONGEST_S = 60.0
_LONGEST_WHY = 300  # letters of why a run was given up


def to_ns(stamp: Time | Duration) -> int:
    """Return a stamp or duration in nanoseconds."""
    return int(stamp.sec) * _NS + int(stamp.nanosec)


def to_stamp(ns: int) -> Time:
    """Return nanoseconds as a stamp."""
    return Time(sec=ns // _NS, nanosec=ns % _NS)


def _to_duration(ns: int) -> Duration:
    return Duration(sec=ns // _NS, nanosec=ns % _NS)


def joint_order(wanted: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    """Return where each wanted joint is in a message, so that `values[order]` is in our order.

    Raises:
        ValueError: a joint is missing or named twice.
    """
    index: dict[str, int] = {}
    for i, name in enumerate(names):
        if name in index and name in wanted:
            raise ValueError(f"joint {name!r} is named twice in {list(names)}")
        index[name] = i
    missing = [name for name in wanted if name not in index]
    if missing:
        raise ValueError(f"joint {missing[0]!r} is missing; got {list(names)}")
    return np.array([index[name] for name in wanted], dtype=np.int64)


def joint_field(message: JointState, field: str, wanted: Sequence[str]) -> FloatArray:
    """Return position, velocity or effort (n,) of a joint state in the order of `wanted`.

    Raises:
        ValueError: a joint is missing or named twice, or the field has another length.
    """
    values = np.asarray(getattr(message, field), dtype=np.float64)
    if len(values) != len(message.name):
        raise ValueError(f"{field}: expected {len(message.name)} numbers, got {len(values)}")
    return values[joint_order(wanted, message.name)]


def reference_from(
    message: JointTrajectoryControllerState, names: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """Return what a controller commands now, q and dq (n,), in the order of `names`.

    Raises:
        ValueError: a joint is missing or named twice, or there are not as many numbers.
    """
    order = joint_order(names, message.joint_names)
    q = np.asarray(message.reference.positions, dtype=np.float64)
    dq = np.asarray(message.reference.velocities, dtype=np.float64)
    if not len(q) == len(dq) == len(message.joint_names):
        raise ValueError(
            f"expected {len(message.joint_names)} positions and velocities in reference, got "
            f"{len(q)} and {len(dq)}"
        )
    return q[order], dq[order]


def pose_array(message: PoseStamped) -> FloatArray:
    """Return x y z qw qx qy qz (7,).

    Raises:
        ValueError: the quaternion is not of unit length.
    """
    p, q_xyzw = message.pose.position, message.pose.orientation
    values = np.array([p.x, p.y, p.z, q_xyzw.w, q_xyzw.x, q_xyzw.y, q_xyzw.z])
    length = float(np.linalg.norm(values[3:]))
    if not abs(length - 1.0) < 1e-3:
        raise ValueError(f"orientation: expected a quaternion of length 1, got {length:.4f}")
    return values


def pose_message(pose: FloatArray, frame: str, stamp_ns: int) -> PoseStamped:
    """Return a pose (7,) x y z qw qx qy qz as a message."""
    message = PoseStamped(header=Header(stamp=to_stamp(stamp_ns), frame_id=frame))
    x, y, z, qw, qx, qy, qz = (float(v) for v in pose)
    position, orientation = message.pose.position, message.pose.orientation
    position.x, position.y, position.z = x, y, z
    orientation.w, orientation.x, orientation.y, orientation.z = qw, qx, qy, qz
    return message


def joint_state_message(
    names: Sequence[str], q: FloatArray, dq: FloatArray, stamp_ns: int, frame: str = ""
) -> JointState:
    """Return joint positions and velocities (n,) as a message."""
    return JointState(
        header=Header(stamp=to_stamp(stamp_ns), frame_id=frame),
        name=list(names),
        position=q.tolist(),
        velocity=dq.tolist(),
    )


def check_frame(header: Header, spec: ArraySpec) -> None:
    """See that a message is in the frame of its input.

    Raises:
        ValueError: it is in another.
    """
    if spec.frame is not None and header.frame_id.lstrip("/") != spec.frame:
        raise ValueError(
            f"input {spec.name!r}: expected frame {spec.frame!r}, got {header.frame_id!r}"
        )


def read_input(
    message: Any, binding: InputBinding, spec: ArraySpec, gripper: Gripper = NO_GRIPPER
) -> tuple[NDArray[Any], int, int]:
    """Return the array of an input (*spec.shape), its stamp [ns] and a sequence number.

    Pictures are read by `convert_pictures`.

    Args:
        message: of the type of the binding.
        binding: of the input.
        spec: of the input.
        gripper: of which the width is, if that is the input.

    Raises:
        ValueError: names, frame, shape or numbers are not what the contract says, or a goal lies
            outside of its trained range.
    """
    if binding.field == WIDTH:
        fingers = joint_field(message, "position", gripper.joint_names)
        values = np.asarray([gripper.width(fingers)])
    elif binding.type == JOINT_STATE:
        values = joint_field(message, binding.field, spec.element_names)
    else:
        values = pose_array(message)
        check_frame(message.header, spec)
    if spec.kind == "goal" and (outside := spec.outside(values)):
        raise ValueError(outside)
    array = values.astype(spec.dtype)
    spec.check_frame(array)
    stamp = to_ns(message.header.stamp)
    return array, stamp, stamp


def request_message(request: Request, names: Sequence[str], period_ns: int) -> JointTrajectory:
    """Return a request: one point, one control period after its stamp.

    That of a release has none, and in place of joints what is wrong.
    """
    tag = request_tag(request)
    if request.release:
        header = Header(stamp=to_stamp(request.stamp_ns), frame_id=tag)
        return JointTrajectory(header=header, joint_names=[request.why] if request.why else [])
    width = () if request.width is None else (request.width,)
    message = JointTrajectory(
        header=Header(stamp=to_stamp(request.stamp_ns), frame_id=tag),
        joint_names=[*names, *(WIDTH for _ in width)],
    )
    message.points = [
        JointTrajectoryPoint(
            positions=[*request.q.tolist(), *width],
            velocities=[*request.dq.tolist(), *(0.0 for _ in width)],
            time_from_start=_to_duration(period_ns),
        )
    ]
    return message


def request_from(
    message: JointTrajectory, names: Sequence[str], period_ns: int, *, grips: bool = False
) -> Request:
    """Return the request of a message, joints in our order.

    Args:
        message: the message.
        names: of the joints.
        period_ns: of control [ns].
        grips: whether it also asks for a width of the gripper.

    Raises:
        ValueError: not a request for this robot at this rate.
    """
    session, tick, after, told = parse_request_tag(message.header.frame_id)
    stamp = to_ns(message.header.stamp)
    if not message.points:
        nothing, why = np.zeros(len(names)), " ".join(message.joint_names)[:_LONGEST_WHY]
        return Request(
            session=session, tick=tick, stamp_ns=stamp, q=nothing, dq=nothing, release=True, why=why
        )
    if len(message.points) != 1:
        raise ValueError(f"request: expected one point, got {len(message.points)}")
    point = message.points[0]
    if abs(to_ns(point.time_from_start) - period_ns) > 1000:
        raise ValueError(
            f"request: expected time_from_start {period_ns} ns (control_hz of the contract), "
            f"got {to_ns(point.time_from_start)}"
        )
    q, dq = _point(point, len(message.joint_names))
    wanted = [*names, *([WIDTH] if grips else [])]
    if len(message.joint_names) != len(wanted):
        raise ValueError(
            f"request: expected {len(names)} joints{' and ' + WIDTH if grips else ''}, "
            f"got {list(message.joint_names)}"
        )
    order = joint_order(wanted, message.joint_names)
    q, dq = q[order], dq[order]
    width, n = float(q[-1]) if grips else None, len(names)
    return Request(
        session=session, tick=tick, stamp_ns=stamp, q=q[:n], dq=dq[:n], width=width,
        after=after, told=told,
    )  # fmt: skip


def _point(point: JointTrajectoryPoint, n: int) -> tuple[FloatArray, FloatArray]:
    q = np.asarray(point.positions, dtype=np.float64)
    dq = np.asarray(point.velocities, dtype=np.float64)
    if len(q) != n or len(dq) != n:
        raise ValueError(
            f"point: expected {n} positions and velocities, got {len(q)} and {len(dq)}"
        )
    return q, dq


def command_message(
    trajectory: Trajectory, elapsed: float, names: Sequence[str], stamp_ns: int, tag: str
) -> JointTrajectory:
    """Return the first row of a trajectory as a message.

    Args:
        trajectory: what is commanded.
        elapsed: points up to this time are left out [s].
        names: of the joints.
        stamp_ns: when the trajectory starts [ns].
        tag: of the request.
    """
    points = [
        JointTrajectoryPoint(
            positions=q.tolist(),
            velocities=dq.tolist(),
            time_from_start=_to_duration(round(float(t) * 1e9)),
        )
        for t, q, dq in zip(trajectory.times[0], trajectory.q[0], trajectory.dq[0], strict=True)
        if t > elapsed
    ]
    return JointTrajectory(
        header=Header(stamp=to_stamp(stamp_ns), frame_id=tag),
        joint_names=list(names),
        points=points,
    )


def trajectory_from(message: JointTrajectory, names: Sequence[str]) -> Trajectory:
    """Return the trajectory of a command, as a joint trajectory controller takes it (1 row).

    The first point stands for the state in which the controller is when it takes over; `join`
    puts the true one there.

    Raises:
        ValueError: no points, other joints, times that do not rise, or numbers not finite.
    """
    if not message.points:
        raise ValueError("trajectory: no points")
    if len(message.joint_names) != len(names):
        raise ValueError(f"trajectory: expected {list(names)}, got {list(message.joint_names)}")
    order = joint_order(names, message.joint_names)
    pairs = [_point(point, len(names)) for point in message.points]
    points = [to_ns(p.time_from_start) / 1e9 for p in message.points]
    times = np.array([min(0.0, points[0] - 1e-3), *points])
    q = np.stack([pairs[0][0], *(pair[0] for pair in pairs)])[:, order]
    dq = np.stack([pairs[0][1], *(pair[1] for pair in pairs)])[:, order]
    if not (np.all(np.diff(times) > 0) and points[0] >= 0 and times[-1] < _LONGEST_S):
        raise ValueError(f"trajectory: expected rising times from 0 on, got {points}")
    if not (np.all(np.isfinite(q)) and np.all(np.isfinite(dq))):
        raise ValueError("trajectory: contains numbers that are not finite (NaN or inf)")
    return Trajectory(times=times[None], q=q[None], dq=dq[None])


def change_message(
    way: Trajectory, ddq: FloatArray, names: Sequence[str], tag: str
) -> JointTrajectory:
    """Return what an arm does from the end of a tick on, in place of what was asked for.

    Args:
        way: (1, ...), its times from that end on.
        ddq: (n,) acceleration at its start [rad/s^2].
        names: of the joints.
        tag: of the tick.
    """
    message = command_message(way, -1.0, names, 0, tag)
    message.points[0].accelerations = ddq.tolist()
    return message


def change_from(
    message: JointTrajectory, names: Sequence[str]
) -> tuple[str, int, Trajectory, FloatArray]:
    """Return session, tick, the way and its first acceleration (n,) of such a message.

    Raises:
        ValueError: it is no such message.
    """
    session, tick = parse_tag(message.header.frame_id)
    way = trajectory_from(message, names)
    ddq = np.asarray(message.points[0].accelerations, dtype=np.float64)
    if ddq.shape != (len(names),) or not np.all(np.isfinite(ddq)):
        raise ValueError(f"change: expected {len(names)} finite accelerations, got {ddq.tolist()}")
    return session, tick, way, ddq[joint_order(names, message.joint_names)]


def status_message(
    level: bytes, name: str, message: str, values: Mapping[str, object]
) -> DiagnosticStatus:
    """Return a status with named values."""
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


def status_values(message: DiagnosticStatus) -> dict[str, str]:
    """Return the named values of a status."""
    return {pair.key: pair.value for pair in message.values}
