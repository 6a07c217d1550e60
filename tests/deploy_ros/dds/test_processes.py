# pyright: standard, reportMissingModuleSource=false
"""Nodes in processes of their own: topics, services, parameters, lifecycle, death, time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from action_msgs.msg import GoalStatus
from control_msgs.action import GripperCommand
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.action import ActionClient
from rclpy.executors import Executor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time
from rosgraph_msgs.msg import Clock as ClockMsg
from std_msgs.msg import String
from std_srvs.srv import Trigger

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401

from .spinning import spin_for, spin_until

Start = Callable[..., "subprocess.Popen[str]"]
SRC = Path(__file__).resolve().parents[3] / "src"
DISCOVERY = 10.0  # a process starts in about a second; the machine may be busy [s]
LEASE = 10.0  # of a DDS participant: how long a killed process stays in the graph [s]


def _call(
    executor: Executor, node: Node, kind: Any, name: str, request: Any, timeout: float = DISCOVERY
) -> Any:
    client = node.create_client(kind, name)
    try:
        assert client.wait_for_service(timeout), f"no {name}"
        future = client.call_async(request)
        assert spin_until(executor, future.done, timeout), f"no answer of {name}"
        return future.result()
    finally:
        node.destroy_client(client)


def _transition(executor: Executor, node: Node, label: str) -> bool:
    request = ChangeState.Request()
    request.transition.label = label
    return _call(executor, node, ChangeState, "/child/change_state", request).success


def test_topics_services_parameters_and_lifecycle_between_processes(
    executor: Executor, node: Node, start: Start
) -> None:
    process = start("--ros-args", "-p", "gain:=2.0", "-r", "words:=/speech")
    answer = _call(executor, node, Trigger, "/child/pid", Trigger.Request())
    assert answer.message == str(process.pid)

    heard: list[Any] = []
    node.create_subscription(String, "/speech", lambda m: heard.append(m.data), 10)
    names = GetParameters.Request(names=["gain"])
    get = _call(executor, node, GetParameters, "/child/get_parameters", names)
    assert get.values[0].double_value == 2.0
    change = SetParameters.Request(parameters=[Parameter("gain", value=3.0).to_parameter_msg()])
    put = _call(executor, node, SetParameters, "/child/set_parameters", change)
    assert put.results[0].successful
    get = _call(executor, node, GetParameters, "/child/get_parameters", names)
    assert get.values[0].double_value == 3.0

    assert not _transition(executor, node, "activate")
    assert _transition(executor, node, "configure")
    spin_for(executor, 0.2)
    assert heard == []
    assert _transition(executor, node, "activate")
    assert spin_until(executor, lambda: len(heard) >= 10)
    assert {line.split()[0] for line in heard} == {str(process.pid)}
    (info,) = node.get_publishers_info_by_topic("/speech")
    assert (info.node_name, info.topic_type) == ("child", "std_msgs/msg/String")

    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=5)
    assert process.returncode == 0
    assert "transition activate is not possible in state 'unconfigured'" in output
    # As in rclpy, spin() raises when the signal comes while it waits, else it returns.
    assert "Traceback" not in output
    # a process that leaves in order is gone at once, not after the lease
    assert spin_until(executor, lambda: "child" not in node.get_node_names(), LEASE / 3)


def test_a_thousand_messages_there_and_back_without_loss(
    executor: Executor, node: Node, start: Start
) -> None:
    start()
    back: list[Any] = []
    node.create_subscription(String, "pong", lambda m: back.append(m.data), 100)
    publisher = node.create_publisher(String, "ping", 100)
    assert spin_until(
        executor,
        lambda: publisher.get_subscription_count() and node.count_publishers("pong"),
        DISCOVERY,
    )
    spin_for(executor, 0.2)
    for i in range(1000):
        publisher.publish(String(data=str(i)))
        assert spin_until(executor, lambda i=i: len(back) > i - 50)
    assert spin_until(executor, lambda: len(back) == 1000)
    assert back == [str(i) for i in range(1000)]


def test_a_killed_process_is_replaced_and_leaves_the_graph(
    executor: Executor, node: Node, start: Start
) -> None:
    heard: list[Any] = []
    node.create_subscription(String, "words", lambda m: heard.append(m.data), 10)
    first = start()
    assert _transition(executor, node, "configure")
    assert _transition(executor, node, "activate")
    assert spin_until(executor, lambda: heard)
    first.kill()
    first.wait()
    killed = time.monotonic()
    spin_for(executor, 0.1)
    heard.clear()
    spin_for(executor, 0.3)
    assert heard == []

    second = start()
    assert spin_until(executor, lambda: node.get_node_names().count("child") == 2, LEASE / 2)
    # the dead one goes with its lease; only then do service calls meet the living one alone
    assert spin_until(executor, lambda: node.get_node_names().count("child") == 1, LEASE + 5)
    assert time.monotonic() - killed > LEASE / 2
    answer = _call(executor, node, Trigger, "/child/pid", Trigger.Request())
    assert answer.message == str(second.pid)
    assert _transition(executor, node, "configure")
    assert _transition(executor, node, "activate")
    assert spin_until(executor, lambda: heard)
    assert heard[-1].split()[0] == str(second.pid)


def test_a_killed_action_server_is_noticed_with_its_lease_and_another_takes_its_place(
    executor: Executor, node: Node, start: Start
) -> None:
    first = start(script="child_server.py")
    client = ActionClient(node, GripperCommand, "/gripper/grip")
    assert client.wait_for_server(DISCOVERY)
    goal = GripperCommand.Goal()
    goal.command.position = 100.0
    sent = client.send_goal_async(goal)
    assert spin_until(executor, sent.done)
    assert sent.result().accepted
    result = sent.result().get_result_async()
    first.kill()
    first.wait()
    assert spin_until(executor, lambda: not client.server_is_ready(), LEASE + 5)
    assert not result.done()
    start(script="child_server.py")
    assert client.wait_for_server(DISCOVERY)
    late = sent.result().get_result_async()  # of a goal that the new one never heard of
    assert spin_until(executor, late.done)
    assert late.result().status == GoalStatus.STATUS_UNKNOWN
    client.destroy()


def test_a_stopped_and_continued_process_answers_again(
    executor: Executor, node: Node, start: Start
) -> None:
    process = start()
    _call(executor, node, Trigger, "/child/pid", Trigger.Request())
    process.send_signal(signal.SIGSTOP)
    client = node.create_client(Trigger, "/child/pid")
    assert client.wait_for_service(DISCOVERY)
    future = client.call_async(Trigger.Request())
    assert not spin_until(executor, future.done, 0.5)
    process.send_signal(signal.SIGCONT)
    assert spin_until(executor, future.done)
    assert future.result().message == str(process.pid)


def test_simulated_time_of_one_process_drives_another(
    executor: Executor, node: Node, start: Start
) -> None:
    start("--ros-args", "-p", "use_sim_time:=true")
    heard: list[Any] = []
    node.create_subscription(String, "words", lambda m: heard.append(int(m.data.split()[1])), 10)
    clock = node.create_publisher(ClockMsg, "/clock", 10)
    assert _transition(executor, node, "configure")
    assert _transition(executor, node, "activate")
    assert spin_until(executor, lambda: heard)
    assert set(heard) == {0}  # simulated time has not started; the steady timer runs
    assert spin_until(executor, lambda: clock.get_subscription_count() == 1)
    for ns in (5_000_000_000, 5_020_000_000):
        clock.publish(ClockMsg(clock=Time(nanoseconds=ns).to_msg()))
        assert spin_until(executor, lambda ns=ns: heard[-1] == ns)
    heard.clear()
    spin_for(executor, 0.3)  # a frozen clock freezes the time, not the timer
    assert len(heard) >= 5
    assert set(heard) == {5_020_000_000}


def test_ctrl_c_ends_a_spin_without_signal_handlers() -> None:
    code = (
        "from sim2arm_ros.dds import install; install()\n"
        "import rclpy\n"
        "from rclpy.signals import SignalHandlerOptions\n"
        "rclpy.init(signal_handler_options=SignalHandlerOptions.NO)\n"
        "node = rclpy.create_node('waits')\n"
        "print('up', flush=True)\n"
        "try:\n    rclpy.spin(node)\n"
        "except KeyboardInterrupt:\n    print('interrupted', rclpy.ok())\n"
    )
    path = os.pathsep.join([str(SRC), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=5)
    finally:
        process.kill()
    assert output == "interrupted True\n"
