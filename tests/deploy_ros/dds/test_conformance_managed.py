# pyright: standard, reportMissingModuleSource=false
"""Behaviour of parameters, graph and lifecycle, the same on the fallback and on a real rclpy."""

import time
from pathlib import Path
from typing import Any

import pytest
import rclpy
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rcl_interfaces.msg import (
    FloatingPointRange,
    Log,
    ParameterDescriptor,
    ParameterEvent,
    SetParametersResult,
)
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterNotDeclaredException,
)
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from .spinning import call, spin_for, spin_until

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


def test_parameter_services_and_events(executor: Executor, node: Node, other: Node) -> None:
    node.declare_parameter("arm.gain", 1.0)
    events: list[Any] = []
    other.create_subscription(ParameterEvent, "/parameter_events", events.append, 100)
    spin_for(executor, 0.1)
    new = Parameter("arm.gain", value=4.0).to_parameter_msg()
    bad = Parameter("arm.gain", value="x").to_parameter_msg()
    request = SetParameters.Request(parameters=[new, bad])
    results = call(executor, other, SetParameters, "/test_node/set_parameters", request).results
    assert [r.successful for r in results] == [True, False]
    names = GetParameters.Request(names=["arm.gain"])
    values = call(executor, other, GetParameters, "/test_node/get_parameters", names).values
    assert [v.double_value for v in values] == [4.0]
    prefix = ListParameters.Request(prefixes=["arm"], depth=0)
    listed = call(executor, other, ListParameters, "/test_node/list_parameters", prefix).result
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
    answer = call(executor, node, GetState, "/managed/get_state", GetState.Request())
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
        return call(executor, node, ChangeState, "/managed/change_state", request).success

    assert _state(executor, node) == "unconfigured"
    assert not change("activate")
    assert change("configure")
    assert change(number=3)  # TRANSITION_ACTIVATE
    assert _state(executor, node) == "active"
    request = GetAvailableTransitions.Request()
    answer = call(
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


def test_a_transition_that_the_state_does_not_allow_raises(managed: Managed) -> None:
    with pytest.raises(RuntimeError):
        managed.trigger_activate()
    assert managed.calls == []
    assert managed.trigger_shutdown() is TransitionCallbackReturn.SUCCESS
    with pytest.raises(RuntimeError):
        managed.trigger_shutdown()


# --- /rosout ---

ROSOUT = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def test_what_a_logger_says_is_on_rosout_also_for_who_comes_late(
    executor: Executor, node: Node, other: Node
) -> None:
    other.get_logger().info("before")
    heard: list[Any] = []
    node.create_subscription(Log, "/rosout", heard.append, ROSOUT)
    other.get_logger().error("after")
    other.get_logger().debug("below the level")
    other.get_logger().get_child("arm").warning("of a child")

    def said() -> list[Any]:
        return [(m.name, m.level, m.msg) for m in heard if m.name.startswith("space.")]

    assert spin_until(executor, lambda: len(said()) == 3)
    assert said() == [
        ("space.other_node", 20, "before"),
        ("space.other_node", 40, "after"),
        ("space.other_node.arm", 30, "of a child"),
    ]
    last = next(m for m in heard if m.msg == "of a child")
    assert Path(last.file).name == Path(__file__).name
    assert last.function == "test_what_a_logger_says_is_on_rosout_also_for_who_comes_late"
    assert last.line > 200
    assert abs(last.stamp.sec - time.time()) < 60.0
    (info,) = [
        i for i in node.get_publishers_info_by_topic("/rosout") if i.node_name == "other_node"
    ]
    assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert info.qos_profile.lifespan.nanoseconds == 10_000_000_000


def test_a_node_without_rosout_and_loggers_of_no_node_say_nothing_there(
    executor: Executor, node: Node
) -> None:
    silent = Node("silent", enable_rosout=False)
    executor.add_node(silent)
    heard: list[Any] = []
    node.create_subscription(Log, "/rosout", heard.append, ROSOUT)
    silent.get_logger().info("not on the topic")
    get_logger("nobody").info("not on the topic")
    node.get_logger().info("on the topic")
    assert spin_until(executor, lambda: heard)
    spin_for(executor, 0.1)
    assert {m.msg for m in heard} == {"on the topic"}


def test_a_node_of_the_same_name_is_heard_after_a_restart(ros: None) -> None:
    for _ in range(2):
        node = Node("again")
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        heard: list[Any] = []
        node.create_subscription(Log, "/rosout", heard.append, ROSOUT)
        node.get_logger().info("hello")
        assert spin_until(executor, lambda heard=heard: [m.msg for m in heard] == ["hello"])
        executor.shutdown(1.0)
        node.destroy_node()
        rclpy.shutdown()
        rclpy.init(args=[])


def test_rosout_may_be_switched_off_for_a_process() -> None:
    rclpy.init(args=["--ros-args", "--disable-rosout-logs"])
    node = Node("silent")
    assert not node.wait_for_node("nobody", 0.2)
    assert node.count_publishers("/rosout") == 0
    node.destroy_node()
    rclpy.shutdown()
