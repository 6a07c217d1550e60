# pyright: standard, reportMissingModuleSource=false
"""Frames of tf2_ros: buffer, listener, broadcasters, the same on the fallback and on a real one."""

import math
import threading
import time
from typing import Any

import pytest
import tf2_ros
import yaml
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time
from rosgraph_msgs.msg import Clock as ClockMsg
from tf2_msgs.srv import FrameGraph

from .spinning import call, spin_until

LATEST = Time()


def _transform(
    parent: str, child: str, x: float = 0.0, y: float = 0.0, turn: float = 0.0, at: float = 0.0
) -> TransformStamped:
    """Return a frame at (x, y) [m], turned about z [rad], at a time [s]."""
    message = TransformStamped()
    message.header.frame_id, message.child_frame_id = parent, child
    message.header.stamp = Time(nanoseconds=round(at * 1e9)).to_msg()
    message.transform.translation.x, message.transform.translation.y = x, y
    message.transform.rotation.z = math.sin(turn / 2)
    message.transform.rotation.w = math.cos(turn / 2)
    return message


def _at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


def _check(found: Any, x: float, y: float, turn: float) -> None:
    p, q = found.transform.translation, found.transform.rotation
    assert (p.x, p.y, p.z) == pytest.approx((x, y, 0.0), abs=1e-12)
    # a quaternion and its negative are one rotation
    assert abs(q.z * math.sin(turn / 2) + q.w * math.cos(turn / 2)) == pytest.approx(1.0)
    assert (q.x, q.y) == pytest.approx((0.0, 0.0), abs=1e-12)


# --- the buffer ---


def test_a_chain_its_inverse_and_brothers() -> None:
    buffer = tf2_ros.Buffer()
    buffer.set_transform_static(_transform("base", "a", x=1.0, turn=math.pi / 2), "test")
    buffer.set_transform_static(_transform("a", "b", y=2.0), "test")
    buffer.set_transform_static(_transform("base", "c", y=1.0), "test")
    found = buffer.lookup_transform("base", "b", LATEST)
    # (1, 0) + turned by 90 degrees (0, 2) = (1 - 2, 0)
    _check(found, -1.0, 0.0, math.pi / 2)
    assert (found.header.frame_id, found.child_frame_id) == ("base", "b")
    assert (found.header.stamp.sec, found.header.stamp.nanosec) == (0, 0)  # nothing moves
    # the other way: turned by -90 degrees, -(-1, 0) = (1, 0) -> (0, -1)
    _check(buffer.lookup_transform("b", "base", LATEST), 0.0, -1.0, -math.pi / 2)
    # b in c: (-1, 0) - (0, 1)
    _check(buffer.lookup_transform("c", "b", _at(5.0)), -1.0, -1.0, math.pi / 2)
    _check(buffer.lookup_transform("b", "b", _at(5.0)), 0.0, 0.0, 0.0)


def test_between_two_times_position_and_rotation_are_interpolated() -> None:
    buffer = tf2_ros.Buffer()
    buffer.set_transform(_transform("base", "hand", x=1.0, turn=math.pi / 2, at=11.0), "test")
    buffer.set_transform(_transform("base", "hand", at=10.0), "test")  # in any order
    found = buffer.lookup_transform("base", "hand", _at(10.25))
    _check(found, 0.25, 0.0, math.pi / 8)  # a quarter of the way
    assert (found.header.stamp.sec, found.header.stamp.nanosec) == (10, 250_000_000)
    _check(buffer.lookup_transform("base", "hand", _at(10.0)), 0.0, 0.0, 0.0)
    _check(buffer.lookup_transform("base", "hand", _at(11.0).to_msg()), 1.0, 0.0, math.pi / 2)


def test_times_that_are_not_known_and_the_latest_common_time() -> None:
    buffer = tf2_ros.Buffer()
    for at in (10.0, 12.0):
        buffer.set_transform(_transform("base", "hand", x=at, at=at), "test")
    for at in (10.0, 11.0):
        buffer.set_transform(_transform("hand", "cube", at=at), "test")
    buffer.set_transform_static(_transform("cube", "face", y=1.0), "test")
    found = buffer.lookup_transform("base", "face", LATEST)
    assert found.header.stamp.sec == 11  # what both are known at
    _check(found, 11.0, 1.0, 0.0)
    assert buffer.get_latest_common_time("base", "face").nanoseconds == 11_000_000_000
    for at in (9.0, 11.5):
        with pytest.raises(tf2_ros.ExtrapolationException):
            buffer.lookup_transform("base", "face", _at(at))
        assert not buffer.can_transform("base", "face", _at(at))
    answer: Any = buffer.can_transform("base", "face", _at(9.0), return_debug_tuple=True)
    known, reason = answer
    assert not known
    assert "past" in reason
    assert buffer.can_transform("base", "hand", _at(11.5))


def test_frames_that_are_not_known_or_not_connected_or_no_names() -> None:
    buffer = tf2_ros.Buffer()
    buffer.set_transform_static(_transform("base", "hand"), "test")
    buffer.set_transform_static(_transform("island", "palm"), "test")
    with pytest.raises(tf2_ros.LookupException, match="camera"):
        buffer.lookup_transform("base", "camera", LATEST)
    with pytest.raises(tf2_ros.ConnectivityException):
        buffer.lookup_transform("base", "palm", LATEST)
    with pytest.raises(tf2_ros.ConnectivityException):
        buffer.lookup_transform("base", "palm", _at(3.0))
    for name in ("", "/hand"):
        with pytest.raises(tf2_ros.InvalidArgumentException):
            buffer.lookup_transform("base", name, LATEST)
    assert issubclass(tf2_ros.LookupException, tf2_ros.TransformException)
    with pytest.raises(TypeError):
        buffer.lookup_transform("base", "hand", 3.0)


def test_what_is_older_than_the_cache_time_is_forgotten_and_clear_forgets_all() -> None:
    buffer = tf2_ros.Buffer(Duration(seconds=2))
    for at in (10.0, 11.0, 12.5, 13.0):
        buffer.set_transform(_transform("base", "hand", x=at, at=at), "test")
    buffer.set_transform(_transform("base", "hand", at=9.0), "test")  # too old
    with pytest.raises(tf2_ros.ExtrapolationException):
        buffer.lookup_transform("base", "hand", _at(9.5))
    _check(buffer.lookup_transform("base", "hand", _at(12.0)), 12.0, 0.0, 0.0)
    buffer.clear()
    with pytest.raises(tf2_ros.TransformException):
        buffer.lookup_transform("base", "hand", LATEST)


def test_one_frame_at_two_times_seen_through_a_fixed_one() -> None:
    buffer = tf2_ros.Buffer()
    for at, x in ((1.0, 1.0), (2.0, 3.0)):
        buffer.set_transform(_transform("world", "hand", x=x, at=at), "test")
    found = buffer.lookup_transform_full("hand", _at(2.0), "hand", _at(1.0), "world")
    _check(found, -2.0, 0.0, 0.0)  # it was 2 m behind where it is
    assert not buffer.can_transform_full("hand", _at(3.0), "hand", _at(1.0), "world")


@pytest.mark.parametrize(
    "names_and_position",
    [("base", "base"), ("", "hand"), ("base", ""), ("base", "hand", math.nan)],
)
def test_transforms_that_make_no_sense_are_ignored(names_and_position: Any) -> None:
    buffer = tf2_ros.Buffer()
    broken = _transform(*names_and_position)
    buffer.set_transform(broken, "test")
    broken = _transform("base", "hand")
    broken.transform.rotation.w = 2.0  # no rotation
    buffer.set_transform_static(broken, "test")
    with pytest.raises(tf2_ros.TransformException):
        buffer.lookup_transform("base", "hand", LATEST)


# --- topics ---


def test_transforms_sent_are_known_elsewhere_fixed_ones_also_to_who_comes_late(
    executor: Executor, node: Node, other: Node
) -> None:
    fixed = tf2_ros.StaticTransformBroadcaster(node)
    fixed.sendTransform(_transform("base", "camera", x=0.5))
    fixed.sendTransform([_transform("hand", "tool", y=0.1), _transform("base", "table", y=-1.0)])
    buffer = tf2_ros.Buffer()
    listener = tf2_ros.TransformListener(buffer, other)
    moving = tf2_ros.TransformBroadcaster(node)
    assert spin_until(executor, lambda: moving.pub_tf.get_subscription_count() == 1)
    moving.sendTransform(_transform("base", "hand", x=2.0, at=7.0))
    assert spin_until(executor, lambda: buffer.can_transform("camera", "tool", LATEST))
    found = buffer.lookup_transform("camera", "tool", LATEST)
    _check(found, 1.5, 0.1, 0.0)
    assert found.header.stamp.sec == 7
    assert spin_until(executor, lambda: buffer.can_transform("camera", "table", LATEST))
    listener.unregister()
    assert spin_until(executor, lambda: moving.pub_tf.get_subscription_count() == 0)


def test_a_lookup_waits_for_a_transform_and_gives_up_in_time(ros: None) -> None:
    sender, hearer = Node("sender"), Node("hearer")
    buffer = tf2_ros.Buffer()
    listener = tf2_ros.TransformListener(buffer, hearer)
    executor = SingleThreadedExecutor()
    executor.add_node(hearer)
    spinning = threading.Thread(target=executor.spin)
    spinning.start()
    start = time.monotonic()
    with pytest.raises(tf2_ros.LookupException):
        buffer.lookup_transform("base", "hand", LATEST, Duration(seconds=0.3))
    assert 0.29 <= time.monotonic() - start < 2.0
    fixed = tf2_ros.StaticTransformBroadcaster(sender)
    later = threading.Timer(0.2, lambda: fixed.sendTransform(_transform("base", "hand", x=3.0)))
    later.start()
    _check(buffer.lookup_transform("base", "hand", LATEST, Duration(seconds=5)), 3.0, 0.0, 0.0)
    executor.shutdown(1.0)
    spinning.join(5.0)
    listener.unregister()
    hearer.destroy_node()
    sender.destroy_node()


def test_a_future_and_a_coroutine_get_the_transform_when_it_comes(
    executor: Executor, node: Node
) -> None:
    buffer = tf2_ros.Buffer()
    future = buffer.wait_for_transform_async("base", "hand", _at(4.0))
    found: list[Any] = []

    async def look_up() -> None:
        found.append(await buffer.lookup_transform_async("base", "hand", _at(4.0)))

    executor.create_task(look_up)
    executor.spin_once(0.05)
    buffer.set_transform(_transform("base", "hand", at=3.0), "test")
    assert not future.done()
    buffer.set_transform(_transform("base", "hand", x=2.0, at=5.0), "test")
    assert future.done()
    assert spin_until(executor, lambda: found)
    _check(found[0], 1.0, 0.0, 0.0)


def test_a_buffer_with_a_node_tells_its_frames_and_forgets_them_when_the_clock_goes_back(
    executor: Executor, node: Node, other: Node
) -> None:
    node.set_parameters([Parameter("use_sim_time", value=True)])
    buffer = tf2_ros.Buffer(node=node)
    clock = other.create_publisher(ClockMsg, "/clock", 10)
    assert spin_until(executor, lambda: clock.get_subscription_count() == 1)

    def show(seconds: float) -> None:
        clock.publish(ClockMsg(clock=_at(seconds).to_msg()))
        now = node.get_clock()
        assert spin_until(executor, lambda: now.now().nanoseconds == seconds * 1e9)

    show(20.0)
    buffer.set_transform(_transform("base", "hand", at=19.0), "somebody")
    answer = call(executor, other, FrameGraph, "/tf2_frames", FrameGraph.Request())
    frames = yaml.safe_load(answer.frame_yaml)
    assert (frames["hand"]["parent"], frames["hand"]["broadcaster"]) == ("base", "somebody")
    show(19.5)
    assert buffer.can_transform("base", "hand", LATEST)
    show(5.0)
    assert not buffer.can_transform("base", "hand", LATEST)
