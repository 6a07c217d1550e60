# pyright: standard, reportMissingModuleSource=false
"""Behaviour of action clients and servers, the same on the fallback and on a real rclpy."""

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from action_msgs.msg import GoalStatus, GoalStatusArray
from action_msgs.srv import CancelGoal
from control_msgs.action import FollowJointTrajectory, GripperCommand
from rclpy.action import (
    ActionClient,
    ActionServer,
    CancelResponse,
    GoalResponse,
    get_action_client_names_and_types_by_node,
    get_action_names_and_types,
    get_action_server_names_and_types_by_node,
)
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import Executor, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from unique_identifier_msgs.msg import UUID

from .spinning import call, spin_for, spin_until

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
DISCOVERY = 10.0  # a process starts in about a second; the machine may be busy [s]


class Gripper:
    """A server whose goals end when the test says so: `gate` is what they wait for."""

    def __init__(self, node: Node, **options: Any) -> None:
        self.gate = Future()
        self.handles: list[Any] = []
        self.server = ActionServer(node, GripperCommand, "/grip", self.execute, **options)

    async def execute(self, handle: Any) -> GripperCommand.Result:
        """Wait for the gate, then end as was asked."""
        self.handles.append(handle)
        await self.gate
        position = handle.request.command.position
        if handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.publish_feedback(GripperCommand.Feedback(position=position / 2))
            handle.succeed()
        return GripperCommand.Result(position=position)


@pytest.fixture
def client(executor: Executor, other: Node) -> Iterator[Any]:
    made = ActionClient(other, GripperCommand, "/grip")
    yield made
    made.destroy()


def _goal(position: float) -> GripperCommand.Goal:
    goal = GripperCommand.Goal()
    goal.command.position = position
    return goal


def _sent(executor: Executor, client: Any, position: float = 0.04, **options: Any) -> Any:
    """Send a goal; return its handle."""
    assert client.wait_for_server(timeout_sec=5.0)
    future = client.send_goal_async(_goal(position), **options)
    assert spin_until(executor, future.done)
    return future.result()


def _result(executor: Executor, handle: Any) -> Any:
    future = handle.get_result_async()
    assert spin_until(executor, future.done)
    return future.result()


def _cancel(executor: Executor, handle: Any) -> Any:
    future = handle.cancel_goal_async()
    assert spin_until(executor, future.done)
    return future.result()


def _running(executor: Executor, gripper: Gripper, count: int = 1) -> None:
    assert spin_until(executor, lambda: len(gripper.handles) == count)


# --- from goal to result ---


def test_feedback_and_result_come_back(executor: Executor, node: Node, client: Any) -> None:
    gripper = Gripper(node)
    feedback: list[Any] = []
    handle = _sent(executor, client, 0.04, feedback_callback=feedback.append)
    assert handle.accepted
    assert handle.stamp.sec > 0
    _running(executor, gripper)
    assert spin_until(executor, lambda: handle.status == GoalStatus.STATUS_EXECUTING)
    assert gripper.handles[0].is_active
    assert gripper.handles[0].request == _goal(0.04)
    gripper.gate.set_result(None)
    result = _result(executor, handle)
    assert (result.status, result.result.position) == (GoalStatus.STATUS_SUCCEEDED, 0.04)
    assert [m.feedback.position for m in feedback] == [0.02]
    assert feedback[0].goal_id == handle.goal_id
    assert spin_until(executor, lambda: handle.status == GoalStatus.STATUS_SUCCEEDED)
    assert not gripper.handles[0].is_active
    gripper.server.destroy()


def test_a_plain_function_executes_and_a_coroutine_hears_the_feedback(
    executor: Executor, node: Node, client: Any
) -> None:
    heard: list[float] = []

    def execute(handle: Any) -> GripperCommand.Result:
        handle.publish_feedback(GripperCommand.Feedback(position=0.01))
        handle.succeed()
        return GripperCommand.Result(reached_goal=True)

    async def hear(message: Any) -> None:
        heard.append(message.feedback.position)

    server = ActionServer(node, GripperCommand, "/grip", execute)
    handle = _sent(executor, client, feedback_callback=hear)
    assert spin_until(executor, lambda: heard == [0.01])
    assert _result(executor, handle).result.reached_goal
    server.destroy()


@pytest.mark.parametrize("wait", [False, True])
def test_a_goal_may_be_rejected_by_a_function_or_a_coroutine(
    executor: Executor, node: Node, client: Any, wait: bool
) -> None:
    asked: list[Any] = []

    def decide(goal: Any) -> GoalResponse:
        asked.append(goal)
        return GoalResponse.REJECT

    async def decide_later(goal: Any) -> GoalResponse:
        return decide(goal)

    gripper = Gripper(node, goal_callback=decide_later if wait else decide)
    handle = _sent(executor, client, 0.5)
    assert not handle.accepted
    assert asked == [_goal(0.5)]
    assert _result(executor, handle).status == GoalStatus.STATUS_UNKNOWN
    assert gripper.handles == []
    gripper.server.destroy()


def test_an_answer_that_is_no_goal_response_rejects(
    executor: Executor, node: Node, client: Any
) -> None:
    gripper = Gripper(node, goal_callback=lambda _: True)
    assert not _sent(executor, client).accepted
    gripper.server.destroy()


def test_two_goals_at_once_have_feedback_and_results_of_their_own(
    executor: Executor, node: Node, client: Any
) -> None:
    gripper = Gripper(node)
    feedback: list[list[Any]] = [[], []]
    positions = [0.02, 0.06]
    handles = [
        _sent(executor, client, p, feedback_callback=heard.append)
        for p, heard in zip(positions, feedback, strict=True)
    ]
    assert handles[0] != handles[1]
    _running(executor, gripper, 2)
    futures = [h.get_result_async() for h in handles]
    gripper.gate.set_result(None)
    assert spin_until(executor, lambda: all(f.done() for f in futures))
    assert [f.result().result.position for f in futures] == positions
    assert spin_until(executor, lambda: all(feedback))
    assert [[m.feedback.position for m in heard] for heard in feedback] == [[0.01], [0.03]]
    gripper.server.destroy()


def test_an_accepted_goal_may_be_executed_later(
    executor: Executor, node: Node, client: Any
) -> None:
    accepted: list[Any] = []
    gripper = Gripper(node, handle_accepted_callback=accepted.append)
    handle = _sent(executor, client)
    assert spin_until(executor, lambda: accepted)
    assert accepted[0].status == GoalStatus.STATUS_ACCEPTED
    spin_for(executor, 0.1)
    assert gripper.handles == []
    accepted[0].execute()
    _running(executor, gripper)
    gripper.gate.set_result(None)
    assert _result(executor, handle).status == GoalStatus.STATUS_SUCCEEDED
    gripper.server.destroy()


# --- how a goal may end ---


def _raise(handle: Any) -> GripperCommand.Result:
    raise ValueError("the gripper is stuck")


def _set_nothing(handle: Any) -> GripperCommand.Result:
    return GripperCommand.Result(position=0.3)


def _abort(handle: Any) -> GripperCommand.Result:
    handle.abort()
    return GripperCommand.Result(position=0.3)


@pytest.mark.parametrize(
    ("execute", "position"), [(_raise, 0.0), (_set_nothing, 0.3), (_abort, 0.3)]
)
def test_a_goal_that_raises_or_sets_no_state_is_aborted(
    executor: Executor, node: Node, client: Any, execute: Callable[..., Any], position: float
) -> None:
    server = ActionServer(node, GripperCommand, "/grip", execute)
    result = _result(executor, _sent(executor, client))
    assert (result.status, result.result.position) == (GoalStatus.STATUS_ABORTED, position)
    server.destroy()


def test_impossible_changes_of_state_raise(executor: Executor, node: Node, client: Any) -> None:
    gripper = Gripper(node)
    _sent(executor, client)
    _running(executor, gripper)
    (handle,) = gripper.handles
    with pytest.raises(RuntimeError):
        handle.canceled()  # nobody asked to cancel
    with pytest.raises(TypeError):
        handle.publish_feedback(GripperCommand.Result())
    handle.succeed()
    with pytest.raises(RuntimeError):
        handle.abort()
    gripper.gate.set_result(None)
    spin_for(executor, 0.1)
    gripper.server.destroy()


# --- cancel ---


def test_a_cancelled_goal_ends_as_cancelled(executor: Executor, node: Node, client: Any) -> None:
    gripper = Gripper(node, cancel_callback=lambda _: CancelResponse.ACCEPT)
    handle = _sent(executor, client)
    _running(executor, gripper)
    response = _cancel(executor, handle)
    assert response.return_code == CancelGoal.Response.ERROR_NONE
    assert [g.goal_id for g in response.goals_canceling] == [handle.goal_id]
    assert gripper.handles[0].is_cancel_requested
    assert spin_until(executor, lambda: handle.status == GoalStatus.STATUS_CANCELING)
    gripper.gate.set_result(None)
    assert _result(executor, handle).status == GoalStatus.STATUS_CANCELED
    again = _cancel(executor, handle)
    assert again.return_code == CancelGoal.Response.ERROR_GOAL_TERMINATED
    assert list(again.goals_canceling) == []
    gripper.server.destroy()


def test_without_a_callback_no_goal_is_cancelled(
    executor: Executor, node: Node, client: Any
) -> None:
    gripper = Gripper(node)
    handle = _sent(executor, client)
    _running(executor, gripper)
    assert list(_cancel(executor, handle).goals_canceling) == []
    assert not gripper.handles[0].is_cancel_requested
    gripper.gate.set_result(None)
    assert _result(executor, handle).status == GoalStatus.STATUS_SUCCEEDED
    gripper.server.destroy()


def test_an_unknown_goal_is_not_cancelled_and_an_empty_request_means_all(
    executor: Executor, node: Node, client: Any
) -> None:
    gripper = Gripper(node, cancel_callback=lambda _: CancelResponse.ACCEPT)
    handles = [_sent(executor, client), _sent(executor, client)]
    _running(executor, gripper, 2)
    request = CancelGoal.Request()
    request.goal_info.goal_id = UUID(uuid=[7] * 16)
    unknown = call(executor, node, CancelGoal, "/grip/_action/cancel_goal", request)
    assert unknown.return_code == CancelGoal.Response.ERROR_UNKNOWN_GOAL_ID
    every = call(executor, node, CancelGoal, "/grip/_action/cancel_goal", CancelGoal.Request())
    canceling = sorted(bytes(g.goal_id.uuid) for g in every.goals_canceling)
    assert canceling == sorted(bytes(h.goal_id.uuid) for h in handles)
    gripper.gate.set_result(None)
    for handle in handles:
        assert _result(executor, handle).status == GoalStatus.STATUS_CANCELED
    gripper.server.destroy()


# --- results, ids, status ---


def test_a_result_may_be_asked_for_late_and_twice(
    executor: Executor, node: Node, client: Any
) -> None:
    gripper = Gripper(node)
    gripper.gate.set_result(None)
    handle = _sent(executor, client)
    assert spin_until(executor, lambda: handle.status == GoalStatus.STATUS_SUCCEEDED)
    spin_for(executor, 0.2)
    assert _result(executor, handle) == _result(executor, handle)
    assert _result(executor, handle).result.position == 0.04
    gripper.server.destroy()


def test_a_result_is_forgotten_after_the_timeout(
    executor: Executor, node: Node, client: Any
) -> None:
    gripper = Gripper(node, result_timeout=0.2)
    gripper.gate.set_result(None)
    handle = _sent(executor, client)
    assert spin_until(executor, lambda: handle.status == GoalStatus.STATUS_SUCCEEDED)
    spin_for(executor, 0.8)
    assert _result(executor, handle).status == GoalStatus.STATUS_UNKNOWN
    gripper.server.destroy()


def test_a_goal_keeps_the_id_it_was_given_and_an_id_is_accepted_once(
    executor: Executor, node: Node, client: Any
) -> None:
    gripper = Gripper(node)
    goal_id = UUID(uuid=list(range(16)))
    handle = _sent(executor, client, goal_uuid=goal_id)
    _running(executor, gripper)
    assert bytes(handle.goal_id.uuid) == bytes(range(16))
    assert gripper.handles[0].goal_id == goal_id
    assert not _sent(executor, client, goal_uuid=goal_id).accepted
    # who listens late hears of all goals
    heard: list[Any] = []
    node.create_subscription(GoalStatusArray, "/grip/_action/status", heard.append, LATCHED)
    assert spin_until(executor, lambda: heard)
    (status,) = heard[-1].status_list
    assert status.goal_info.goal_id == goal_id
    assert status.goal_info.stamp == handle.stamp
    assert status.status == GoalStatus.STATUS_EXECUTING
    gripper.server.destroy()


def test_actions_in_the_graph(executor: Executor, node: Node, other: Node, client: Any) -> None:
    server = ActionServer(node, FollowJointTrajectory, "~/follow", _raise)
    gripper = Gripper(node)
    grip = ("/grip", ["control_msgs/action/GripperCommand"])
    follow = ("/test_node/follow", ["control_msgs/action/FollowJointTrajectory"])

    def served() -> list[Any]:
        return sorted(get_action_server_names_and_types_by_node(other, "test_node", "/"))

    assert spin_until(executor, lambda: served() == [grip, follow])
    asked = get_action_client_names_and_types_by_node(node, "other_node", "/space")
    assert list(asked) == [grip]
    assert sorted(get_action_names_and_types(node)) == [grip, follow]
    server.destroy()
    gripper.server.destroy()


def test_a_goal_of_another_type_and_an_execute_callback_that_is_none(
    node: Node, client: Any
) -> None:
    with pytest.raises(TypeError):
        client.send_goal_async(GripperCommand.Result())
    with pytest.raises(TypeError):
        ActionServer(node, GripperCommand, "/grip", None)  # pyright: ignore


# --- servers that are not there ---


def test_a_server_that_is_not_there_and_one_that_leaves(
    executor: Executor, node: Node, client: Any
) -> None:
    assert not client.wait_for_server(timeout_sec=0.3)
    gripper = Gripper(node)
    assert client.wait_for_server(timeout_sec=5.0)
    gripper.server.destroy()
    assert spin_until(executor, lambda: not client.server_is_ready())


def test_a_blocking_client_beside_a_thread_that_spins(ros: None) -> None:
    node = Node("blocking")
    group = ReentrantCallbackGroup()
    server = ActionServer(node, GripperCommand, "/grip", _abort, callback_group=group)
    client = ActionClient(node, GripperCommand, "/grip", callback_group=group)
    executor = MultiThreadedExecutor(num_threads=3)
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin)
    spinning.start()
    assert client.wait_for_server(timeout_sec=5.0)
    result = client.send_goal(_goal(0.1))
    assert result.status == GoalStatus.STATUS_ABORTED
    executor.shutdown(1.0)
    spinning.join(5.0)
    assert not spinning.is_alive()
    client.destroy()
    server.destroy()
    node.destroy_node()


def test_a_server_in_another_process_executes_cancels_rejects_and_leaves(
    executor: Executor, other: Node, start: Any
) -> None:
    process = start(script="child_server.py")
    client = ActionClient(other, GripperCommand, "/gripper/grip")
    assert client.wait_for_server(timeout_sec=DISCOVERY)
    feedback: list[Any] = []

    def sent(position: float) -> Any:
        future = client.send_goal_async(_goal(position), feedback_callback=feedback.append)
        assert spin_until(executor, future.done)
        return future.result()

    assert not sent(-1.0).accepted
    result = _result(executor, sent(0.03))
    assert (result.status, result.result.position) == (GoalStatus.STATUS_SUCCEEDED, 0.03)
    assert [round(m.feedback.position, 6) for m in feedback] == [0.01, 0.02, 0.03]

    far = sent(100.0)  # 200 s away
    assert spin_until(executor, lambda: len(feedback) > 5)
    assert len(_cancel(executor, far).goals_canceling) == 1
    assert _result(executor, far).status == GoalStatus.STATUS_CANCELED

    waiting = sent(100.0).get_result_async()
    assert spin_until(executor, lambda: len(feedback) > 8)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10.0) == 0
    assert spin_until(executor, lambda: not client.server_is_ready(), DISCOVERY)
    assert not waiting.done()
    client.destroy()
