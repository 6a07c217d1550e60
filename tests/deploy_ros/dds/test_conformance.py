# pyright: standard, reportMissingModuleSource=false
"""Behaviour of nodes, the same on the fallback and on a real rclpy."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rclpy
from builtin_interfaces.msg import Time as TimeMsg
from geometry_msgs.msg import Quaternion
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.exceptions import (
    InvalidTopicNameException,
    NotInitializedException,
)
from rclpy.executors import Executor, ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, qos_profile_sensor_data
from rclpy.time import Time
from rosgraph_msgs.msg import Clock as ClockMsg
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from .spinning import spin_for, spin_until

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STEADY = Clock(clock_type=ClockType.STEADY_TIME)


# --- publishers and subscriptions ---


def test_messages_arrive_in_order_and_unchanged(
    executor: Executor, node: Node, other: Node
) -> None:
    received: list[Any] = []
    other.create_subscription(JointState, "/joints", received.append, 50)
    publisher = node.create_publisher(JointState, "/joints", 50)
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 1)
    sent = [
        JointState(name=["a", "b"], position=[float(i), -0.5], velocity=[1e-300, float("inf")])
        for i in range(20)
    ]
    for message in sent:
        publisher.publish(message)
    assert spin_until(executor, lambda: len(received) == 20)
    assert received == sent


def test_a_late_subscription_gets_the_latched_message_and_a_volatile_one_does_not(
    executor: Executor, node: Node, other: Node
) -> None:
    publisher = node.create_publisher(String, "latched", LATCHED)
    publisher.publish(String(data="old"))
    publisher.publish(String(data="kept"))
    latched: list[Any] = []
    volatile: list[Any] = []
    node.create_subscription(String, "latched", volatile.append, 1)
    other.create_subscription(String, "/latched", latched.append, LATCHED)
    assert spin_until(executor, lambda: latched)
    spin_for(executor, 0.2)
    assert [m.data for m in latched] == ["kept"]
    assert volatile == []


def test_best_effort_publisher_and_reliable_subscription_do_not_match(
    executor: Executor, node: Node, other: Node
) -> None:
    received: list[Any] = []
    publisher = node.create_publisher(String, "t", qos_profile_sensor_data)
    other.create_subscription(String, "/t", received.append, 10)
    spin_for(executor, 0.2)
    assert publisher.get_subscription_count() == 0
    publisher.publish(String(data="lost"))
    spin_for(executor, 0.2)
    assert received == []


def test_callback_with_two_arguments_gets_the_message_info(
    executor: Executor, node: Node, other: Node
) -> Any:
    received: list[Any] = []
    other.create_subscription(String, "/t", lambda m, info: received.append((m, info)), 10)
    publisher = node.create_publisher(String, "t", 10)
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 1)
    before = time.time_ns()
    publisher.publish(String(data="x"))
    assert spin_until(executor, lambda: received)
    message, info = received[0]
    assert message.data == "x"
    assert before <= info["source_timestamp"] <= time.time_ns()


def test_raw_subscription_gets_the_cdr_bytes(executor: Executor, node: Node, other: Node) -> None:
    received: list[Any] = []
    other.create_subscription(String, "/t", received.append, 10, raw=True)
    publisher = node.create_publisher(String, "t", 10)
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 1)
    publisher.publish(String(data="hi"))
    assert spin_until(executor, lambda: received)
    # header, length 3 with the final zero, 'hi\0', padding to 4
    assert received[0][:11] == b"\x00\x01\x00\x00\x03\x00\x00\x00hi\x00"


def test_a_destroyed_subscription_hears_nothing(
    executor: Executor, node: Node, other: Node
) -> None:
    received: list[Any] = []
    subscription = other.create_subscription(String, "/t", received.append, 10)
    publisher = node.create_publisher(String, "t", 10)
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 1)
    assert other.destroy_subscription(subscription)
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 0)
    publisher.publish(String(data="x"))
    spin_for(executor, 0.1)
    assert received == []


def test_an_image_goes_through_unchanged(executor: Executor, node: Node, other: Node) -> None:
    received: list[Any] = []
    other.create_subscription(Image, "/image", received.append, 5)
    publisher = node.create_publisher(Image, "/image", 5)
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 1)
    pixels = bytes(range(256)) * 3600
    message = Image(height=480, width=640, encoding="rgb8", step=1920, data=pixels)
    publisher.publish(message)
    assert spin_until(executor, lambda: received)
    assert bytes(received[0].data) == pixels
    assert received[0] == message


def test_publishing_another_type_is_a_type_error(node: Node) -> None:
    publisher = node.create_publisher(String, "t", 10)
    with pytest.raises(TypeError):
        publisher.publish(JointState())


@pytest.mark.parametrize("name", ["", "1a", "a//b", "a b", "a/"])
def test_invalid_topic_names_are_refused(node: Node, name: str) -> None:
    with pytest.raises((InvalidTopicNameException, ValueError)):
        node.create_publisher(String, name, 10)


def test_private_and_relative_names_expand_with_namespace_and_node(other: Node) -> None:
    assert other.create_publisher(String, "~/p", 1).topic_name == "/space/other_node/p"
    assert other.create_publisher(String, "r", 1).topic_name == "/space/r"
    assert other.resolve_topic_name("/a") == "/a"


# --- messages ---


def test_messages_have_defaults_equality_and_checks() -> None:
    assert Quaternion().w == 1.0
    assert JointState(name=["a"]) == JointState(name=["a"])
    assert JointState(name=["a"]) != JointState(name=["b"])
    assert TimeMsg(sec=3).nanosec == 0
    with pytest.raises(AssertionError):
        TimeMsg(sec="3")  # pyright: ignore
    with pytest.raises(AssertionError):
        TimeMsg(nanosec=-1)
    with pytest.raises(AssertionError):
        String(date="x")  # pyright: ignore


# --- timers, time ---


def test_a_steady_timer_keeps_its_phase(executor: Executor, node: Node) -> None:
    calls: list[Any] = []
    start = time.monotonic()
    node.create_timer(0.02, lambda: calls.append(time.monotonic() - start), clock=STEADY)
    spin_for(executor, 0.5)
    # 25 deadlines at 0.02 k fit into 0.5 s; a busy machine may skip some, never drift
    assert 15 <= len(calls) <= 25
    assert min((t % 0.02) for t in calls) < 0.01


def test_cancel_and_reset_of_a_timer(executor: Executor, node: Node) -> None:
    calls: list[Any] = []
    timer = node.create_timer(0.02, lambda: calls.append(1))
    timer.cancel()
    assert timer.is_canceled()
    spin_for(executor, 0.1)
    assert calls == []
    timer.reset()
    assert spin_until(executor, lambda: calls)
    node.destroy_timer(timer)


def test_simulated_time_moves_clock_and_timers_and_freezes_them(
    executor: Executor, node: Node, other: Node
) -> None:
    node.set_parameters([Parameter("use_sim_time", value=True)])
    assert node.get_clock().now() == Time(clock_type=ClockType.ROS_TIME)
    sim_calls: list[int] = []
    steady_calls: list[int] = []
    node.create_timer(0.1, lambda: sim_calls.append(node.get_clock().now().nanoseconds))
    node.create_timer(0.05, lambda: steady_calls.append(1), clock=STEADY)
    publisher = other.create_publisher(ClockMsg, "/clock", 10)
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 1)

    def show(ns: int) -> None:
        publisher.publish(ClockMsg(clock=Time(nanoseconds=ns).to_msg()))
        assert spin_until(executor, lambda: node.get_clock().now().nanoseconds == ns)
        spin_for(executor, 0.02)

    show(50_000_000)
    assert sim_calls == []
    show(110_000_000)
    assert sim_calls == [110_000_000]
    before = len(steady_calls)
    spin_for(executor, 0.3)  # a frozen clock
    assert sim_calls == [110_000_000]
    assert len(steady_calls) > before
    node.set_parameters([Parameter("use_sim_time", value=False)])
    assert abs(node.get_clock().now().nanoseconds - time.time_ns()) < 1e9


def test_time_arithmetic() -> None:
    start = Time(seconds=1, nanoseconds=500)
    assert (start + Duration(seconds=2)).nanoseconds == 3_000_000_500
    assert start - Time(seconds=1) == Duration(nanoseconds=500)
    assert Time.from_msg(start.to_msg(), clock_type=ClockType.SYSTEM_TIME) == start
    with pytest.raises(TypeError):
        _ = start < Time(clock_type=ClockType.ROS_TIME)
    with pytest.raises(ValueError, match="negative"):
        Time(nanoseconds=-1)


# --- services ---


def test_a_service_answers_each_client_its_own(executor: Executor, node: Node, other: Node) -> None:
    def answer(request: Any, response: Any) -> Any:
        response.success = not request.data
        response.message = str(request.data)
        return response

    node.create_service(SetBool, "flip", answer)
    clients = [other.create_client(SetBool, "/flip") for _ in range(2)]
    assert all(c.wait_for_service(5.0) for c in clients)
    values = [bool(i % 3) for i in range(10)]
    futures = [clients[i % 2].call_async(SetBool.Request(data=v)) for i, v in enumerate(values)]
    assert spin_until(executor, lambda: all(f.done() for f in futures))
    assert [f.result().success for f in futures] == [not v for v in values]


def test_a_service_that_is_not_there_is_not_waited_for_longer_than_asked(node: Node) -> None:
    client = node.create_client(Trigger, "nobody")
    start = time.monotonic()
    assert not client.wait_for_service(0.2)
    assert time.monotonic() - start < 1.0
    assert not client.service_is_ready()


def test_spin_until_future_complete_ends_with_the_response_or_the_time(ros: None) -> None:
    node = Node("alone")
    node.create_service(Trigger, "~/go", lambda _, response: response)
    client = node.create_client(Trigger, "~/go")
    assert client.wait_for_service(5.0)
    future = client.call_async(Trigger.Request())
    rclpy.spin_until_future_complete(node, future, timeout_sec=5.0)
    assert future.done()
    never = rclpy.Future()
    start = time.monotonic()
    rclpy.spin_until_future_complete(node, never, timeout_sec=0.2)
    assert not never.done()
    assert 0.19 <= time.monotonic() - start < 1.0
    node.destroy_node()


def test_a_coroutine_callback_awaits_a_service(executor: Executor, node: Node, other: Node) -> Any:
    group = ReentrantCallbackGroup()
    node.create_service(Trigger, "/go", lambda _, r: r, callback_group=group)
    client = other.create_client(Trigger, "/go", callback_group=group)
    assert client.wait_for_service(5.0)
    done: list[Any] = []

    async def tick() -> None:
        timer.cancel()
        done.append(await client.call_async(Trigger.Request()))

    timer = other.create_timer(0.01, tick, callback_group=group)
    assert spin_until(executor, lambda: done)
    assert done == [Trigger.Response()]


# --- executors ---


def test_an_exception_in_a_callback_leaves_spin(executor: Executor, node: Node) -> Any:
    def fail() -> None:
        raise LookupError("from the callback")

    node.create_timer(0.01, fail)
    with pytest.raises(LookupError, match="from the callback"):
        executor.spin()


def _overlap(group_of: Callable[[], Any]) -> int:
    """Return how many of two 50 ms callbacks ran at the same time, at most."""
    node = Node("overlap")
    running: list[int] = []
    most: list[int] = []

    def work() -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()

    for _ in range(2):
        node.create_timer(0.01, work, callback_group=group_of())
    executor = MultiThreadedExecutor(num_threads=4)
    executor.add_node(node)
    spin_for(executor, 0.4)
    executor.shutdown(1.0)
    node.destroy_node()
    assert len(most) >= 4
    return max(most)


def test_a_mutually_exclusive_group_runs_one_callback_at_a_time(ros: None) -> Any:
    group = MutuallyExclusiveCallbackGroup()
    assert _overlap(lambda: group) == 1


def test_two_groups_run_at_the_same_time(ros: None) -> None:
    assert _overlap(MutuallyExclusiveCallbackGroup) == 2


def test_spin_once_returns_after_its_timeout(executor: Executor, node: Node) -> None:
    spin_for(executor, 0.05)
    start = time.monotonic()
    executor.spin_once(0.1)
    assert 0.09 <= time.monotonic() - start < 0.5


def test_shutdown_from_another_thread_ends_spin(ros: None) -> None:
    node = Node("spinning")
    end = threading.Timer(0.2, rclpy.shutdown)
    end.start()
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(node)
    end.join(5.0)  # it ends the executor first, so spin may return before it does
    assert not rclpy.ok()


def test_a_task_of_the_executor_runs_and_returns_its_result(executor: Executor, node: Node) -> None:
    task = executor.create_task(lambda a, b: a + b, 2, b=3)
    executor.spin_until_future_complete(task, 2.0)
    assert task.result() == 5


def test_a_guard_condition_runs_its_callback_once_per_trigger(
    executor: Executor, node: Node
) -> Any:
    calls: list[Any] = []
    guard = node.create_guard_condition(lambda: calls.append(1))
    spin_for(executor, 0.05)
    assert calls == []
    guard.trigger()
    assert spin_until(executor, lambda: calls)
    spin_for(executor, 0.05)
    assert calls == [1]


def test_nodes_need_init() -> None:
    with pytest.raises(NotInitializedException):
        Node("too_early")


# --- QoS events ---


def test_incompatible_qos_is_reported_on_both_sides_with_the_policy(
    executor: Executor, node: Node, other: Node
) -> None:
    offered: list[Any] = []
    requested: list[Any] = []
    node.create_publisher(
        String,
        "/t",
        qos_profile_sensor_data,
        event_callbacks=PublisherEventCallbacks(incompatible_qos=offered.append),
    )
    other.create_subscription(
        String,
        "/t",
        lambda _: None,
        10,
        event_callbacks=SubscriptionEventCallbacks(incompatible_qos=requested.append),
    )
    assert spin_until(executor, lambda: offered and requested)
    for info in (offered[0], requested[0]):
        assert info.total_count == 1
        assert info.last_policy_kind == QoSPolicyKind.RELIABILITY


def test_a_missed_deadline_and_a_match_are_reported(
    executor: Executor, node: Node, other: Node
) -> None:
    missed: list[Any] = []
    matched: list[Any] = []
    qos = QoSProfile(depth=1, deadline=Duration(nanoseconds=50_000_000))
    callbacks = SubscriptionEventCallbacks(deadline=missed.append, matched=matched.append)
    other.create_subscription(String, "/t", lambda _: None, qos, event_callbacks=callbacks)
    publisher = node.create_publisher(String, "/t", qos)
    assert spin_until(executor, lambda: matched)
    assert matched[-1].current_count == 1
    publisher.publish(String())
    assert spin_until(executor, lambda: missed)  # nothing followed within 50 ms
    assert missed[0].total_count >= 1


def test_a_blocking_call_answers_while_another_thread_spins_and_gives_up_in_time(
    ros: None,
) -> None:
    node = Node("blocking")
    group = ReentrantCallbackGroup()
    node.create_service(Trigger, "~/go", lambda _, r: r, callback_group=group)
    client = node.create_client(Trigger, "~/go", callback_group=group)
    nobody = node.create_client(Trigger, "~/nobody", callback_group=group)
    executor = MultiThreadedExecutor(num_threads=2)
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin)
    spinning.start()
    assert client.wait_for_service(5.0)
    assert client.call(Trigger.Request(), timeout_sec=5.0) == Trigger.Response()
    assert nobody.call(Trigger.Request(), timeout_sec=0.1) is None
    executor.shutdown(1.0)
    spinning.join(5.0)
    assert not spinning.is_alive()
    node.destroy_node()


@pytest.mark.ros
def test_the_fallback_passes_this_suite_where_a_real_rclpy_ran_it() -> None:
    """Where a ROS is sourced, the tests above ran on it; run them on the fallback too."""
    pytest.importorskip("cyclonedds", reason="needs the extra dds: no fallback here")
    suite = sorted(str(p) for p in Path(__file__).parent.glob("test_conformance*.py"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--import-mode=importlib",
            "-p",
            "pytest_timeout",
            *suite,
            "-m",
            "not ros",
        ],
        env={**os.environ, "SIM2ARM_ROS": "dds", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
