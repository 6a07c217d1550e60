# pyright: standard
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
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rcl_interfaces.msg import ParameterDescriptor, ParameterEvent, SetParametersResult
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    InvalidTopicNameException,
    NotInitializedException,
    ParameterAlreadyDeclaredException,
    ParameterNotDeclaredException,
)
from rclpy.executors import Executor, ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
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
    threading.Timer(0.2, rclpy.shutdown).start()
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(node)
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


# --- parameters ---


def test_declare_get_set(node: Node) -> None:
    assert node.declare_parameter("gain", 1.5).value == 1.5
    assert node.get_parameter("gain").type_ is Parameter.Type.DOUBLE
    assert node.set_parameters([Parameter("gain", value=2.5)])[0].successful
    assert node.get_parameter("gain").value == 2.5
    refused = node.set_parameters([Parameter("gain", value="much")])[0]
    assert not refused.successful
    assert refused.reason.startswith("Wrong parameter type")
    with pytest.raises(ParameterAlreadyDeclaredException):
        node.declare_parameter("gain", 1.0)
    with pytest.raises(ParameterNotDeclaredException):
        node.get_parameter("unknown")
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters([Parameter("unknown", value=1)])


def test_set_callbacks_refuse_and_atomic_sets_are_all_or_nothing(node: Node) -> Any:
    node.declare_parameters("", [("a", 1), ("b", 1)])

    def check(parameters: Any) -> Any:
        bad = [p.name for p in parameters if p.value < 0]
        return SetParametersResult(successful=not bad, reason=f"negative: {bad}")

    node.add_on_set_parameters_callback(check)
    result = node.set_parameters_atomically([Parameter("a", value=5), Parameter("b", value=-1)])
    assert (result.successful, result.reason) == (False, "negative: ['b']")
    assert node.get_parameter("a").value == 1
    with pytest.raises(InvalidParameterValueException):
        node.declare_parameter("c", -1)


def test_read_only_and_ranges(node: Node) -> None:
    node.declare_parameter("fixed", 1, ParameterDescriptor(read_only=True))
    assert not node.set_parameters([Parameter("fixed", value=2)])[0].successful
    from rcl_interfaces.msg import FloatingPointRange

    limits = FloatingPointRange(from_value=0.0, to_value=1.0, step=0.25)
    node.declare_parameter("part", 0.5, ParameterDescriptor(floating_point_range=[limits]))
    answers = [
        node.set_parameters([Parameter("part", value=v)])[0].successful
        for v in (0.75, 1.0, 1.1, 0.6)
    ]
    assert answers == [True, True, False, False]


def test_overrides_come_from_arguments_and_constructor(ros: None) -> None:
    node = Node(
        "configured",
        cli_args=["--ros-args", "-p", "rate:=60", "-p", "names:=[a, b]", "-r", "__ns:=/robot"],
        parameter_overrides=[Parameter("gain", value=3.0)],
    )
    assert node.get_namespace() == "/robot"
    assert node.declare_parameter("rate", 1).value == 60
    assert node.declare_parameter("names", ["x"]).value == ["a", "b"]
    assert node.declare_parameter("gain", 1.0).value == 3.0
    node.destroy_node()
    wrong = Node("wrong", cli_args=["--ros-args", "-p", "rate:=fast"])
    with pytest.raises(InvalidParameterTypeException):
        wrong.declare_parameter("rate", 1)
    wrong.destroy_node()


def test_parameter_file_and_remaps(ros: None, tmp_path: Path) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    gain: 1.0\n    arm: {joints: 7}\n"
        "filed:\n  ros__parameters:\n    gain: 2.0\n"
    )
    arguments = ["--ros-args", "--params-file", str(file), "-r", "in:=/out", "-r", "__node:=filed"]
    node = Node("original", cli_args=arguments)
    assert node.get_name() == "filed"
    assert node.declare_parameter("gain", 0.0).value == 2.0
    assert node.declare_parameter("arm.joints", 0).value == 7
    assert node.create_publisher(String, "in", 1).topic_name == "/out"
    node.destroy_node()


def _call(executor: Executor, node: Node, kind: Any, name: str, request: Any) -> Any:
    client = node.create_client(kind, name)
    assert client.wait_for_service(5.0)
    future = client.call_async(request)
    assert spin_until(executor, future.done)
    node.destroy_client(client)
    return future.result()


def test_parameter_services_and_events(executor: Executor, node: Node, other: Node) -> None:
    node.declare_parameter("arm.gain", 1.0)
    events: list[Any] = []
    other.create_subscription(ParameterEvent, "/parameter_events", events.append, 100)
    spin_for(executor, 0.1)
    new = Parameter("arm.gain", value=4.0).to_parameter_msg()
    bad = Parameter("arm.gain", value="x").to_parameter_msg()
    request = SetParameters.Request(parameters=[new, bad])
    results = _call(executor, other, SetParameters, "/test_node/set_parameters", request).results
    assert [r.successful for r in results] == [True, False]
    names = GetParameters.Request(names=["arm.gain"])
    values = _call(executor, other, GetParameters, "/test_node/get_parameters", names).values
    assert [v.double_value for v in values] == [4.0]
    prefix = ListParameters.Request(prefixes=["arm"], depth=0)
    listed = _call(executor, other, ListParameters, "/test_node/list_parameters", prefix).result
    assert (listed.names, listed.prefixes) == (["arm.gain"], ["arm"])
    assert spin_until(executor, lambda: events)
    assert events[0].node == "/test_node"
    assert [p.name for p in events[0].changed_parameters] == ["arm.gain"]


# --- graph ---


def test_the_graph_shows_nodes_topics_and_endpoints(
    executor: Executor, node: Node, other: Node
) -> None:
    node.create_publisher(JointState, "/joints", QoSProfile(depth=3))
    other.create_subscription(JointState, "/joints", print, qos_profile_sensor_data)
    other.create_service(Trigger, "~/go", lambda _, r: r)
    assert spin_until(executor, lambda: node.count_subscribers("/joints") == 1)
    assert spin_until(executor, lambda: node.get_publishers_info_by_topic("/joints"))
    assert {("test_node", "/"), ("other_node", "/space")} <= set(
        node.get_node_names_and_namespaces()
    )
    assert ("/joints", ["sensor_msgs/msg/JointState"]) in node.get_topic_names_and_types()

    def services() -> dict[str, list[str]]:
        return dict(node.get_service_names_and_types_by_node("other_node", "/space"))

    assert spin_until(executor, lambda: "/space/other_node/go" in services())
    assert services()["/space/other_node/go"] == ["std_srvs/srv/Trigger"]
    assert services()["/space/other_node/set_parameters"] == ["rcl_interfaces/srv/SetParameters"]
    (publisher,) = node.get_publishers_info_by_topic("/joints")
    assert (publisher.node_name, publisher.node_namespace) == ("test_node", "/")
    assert publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert len(publisher.endpoint_gid) == 16
    (subscription,) = node.get_subscriptions_info_by_topic("/joints")
    assert subscription.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert subscription.node_name == "other_node"


# --- lifecycle ---


class Managed(LifecycleNode):
    """Publishes while active; callbacks return what the test says."""

    def __init__(self) -> None:
        super().__init__("managed")
        self.answers: dict[str, TransitionCallbackReturn | Exception] = {}
        self.calls: list[tuple[str, str]] = []
        self.publisher = self.create_lifecycle_publisher(String, "words", 10)

    def _answer(self, name: str, state: LifecycleState) -> TransitionCallbackReturn:
        self.calls.append((name, state.label))
        answer = self.answers.get(name, TransitionCallbackReturn.SUCCESS)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._answer("configure", state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)
        return self._answer("activate", state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_deactivate(state)
        return self._answer("deactivate", state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._answer("error", state)


@pytest.fixture
def managed(executor: Executor) -> Managed:
    made = Managed()
    executor.add_node(made)
    return made


def _state(executor: Executor, node: Node) -> str:
    answer = _call(executor, node, GetState, "/managed/get_state", GetState.Request())
    return answer.current_state.label


def test_a_lifecycle_publisher_is_silent_until_active(
    executor: Executor, node: Node, managed: Managed
) -> None:
    received: list[Any] = []
    node.create_subscription(String, "/words", lambda m: received.append(m.data), 10)
    assert spin_until(executor, lambda: managed.publisher.get_subscription_count() == 1)
    managed.publisher.publish(String(data="before"))
    assert managed.trigger_configure() is TransitionCallbackReturn.SUCCESS
    managed.publisher.publish(String(data="inactive"))
    assert managed.trigger_activate() is TransitionCallbackReturn.SUCCESS
    managed.publisher.publish(String(data="active"))
    assert managed.trigger_deactivate() is TransitionCallbackReturn.SUCCESS
    managed.publisher.publish(String(data="after"))
    spin_for(executor, 0.2)
    assert received == ["active"]
    expected = [
        ("configure", "unconfigured"),
        ("activate", "inactive"),
        ("deactivate", "active"),
    ]
    assert managed.calls == expected


def test_transitions_through_the_services(executor: Executor, node: Node, managed: Managed) -> None:
    def change(label: str = "", number: int = 0) -> bool:
        request = ChangeState.Request()
        request.transition.label = label
        request.transition.id = number
        return _call(executor, node, ChangeState, "/managed/change_state", request).success

    assert _state(executor, node) == "unconfigured"
    assert not change("activate")
    assert change("configure")
    assert change(number=3)  # TRANSITION_ACTIVATE
    assert _state(executor, node) == "active"
    request = GetAvailableTransitions.Request()
    answer = _call(
        executor, node, GetAvailableTransitions, "/managed/get_available_transitions", request
    )
    found = {t.transition.label for t in answer.available_transitions}
    assert found == {"deactivate", "shutdown"}
    assert change("shutdown")
    assert _state(executor, node) == "finalized"


def test_failure_goes_back_and_error_goes_through_on_error(
    executor: Executor, node: Node, managed: Managed
) -> None:
    managed.answers["configure"] = TransitionCallbackReturn.FAILURE
    assert managed.trigger_configure() is TransitionCallbackReturn.FAILURE
    assert _state(executor, node) == "unconfigured"
    managed.answers["configure"] = RuntimeError("no camera")
    assert managed.trigger_configure() is TransitionCallbackReturn.ERROR
    assert managed.calls[-1][0] == "error"
    assert _state(executor, node) == "unconfigured"
    managed.answers["error"] = TransitionCallbackReturn.FAILURE
    managed.trigger_configure()
    assert _state(executor, node) == "finalized"


@pytest.mark.ros
def test_the_fallback_passes_this_suite_where_a_real_rclpy_ran_it() -> None:
    """Where a ROS is sourced, the tests above ran on it; run them on the fallback too."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--import-mode=importlib",
            __file__,
            "-m",
            "not ros",
        ],
        env={**os.environ, "SIM2ARM_ROS": "dds"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
