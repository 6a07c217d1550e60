"""What an operator does by hand, as code: bring the nodes up, start episodes, watch, stop."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger

from . import activation
from .activation import Item
from .convert import status_values, to_ns
from .episode_log import COUNTERS, EpisodeLog
from .launcher import enclave_of
from .node_support import latched, streaming
from .requests import parse_tag

START_S = 30.0
"""Longest start of all processes on a busy machine [s]."""
_TRIES = 3
"""How often a fault of the gate is left before an episode."""
_SAYS_S = 0.15
"""A little more than the time between two words of the gate on its state [s]."""
_AT_ONCE = 8
"""Callbacks that may be due at once, some more than there are topics of a tick."""
_LOST_S = 2.0
"""How long an asker may seem to run while the gate holds: it is told ten times a second [s]."""


class OperationError(RuntimeError):
    """The nodes do not do what was asked; one line."""


class Supervisor:
    """Operates a node that asks, gate_node and, in simulation, the arm, from outside.

    Attributes:
        asker: name of the node that asks the gate: policy_node, or teleop_node.
        node: of the operator; others of its context may join it.
    """

    def __init__(
        self,
        *,
        alive: Callable[[], list[str]] = list,
        env: Mapping[str, str] | None = None,
        asker: str = "policy_node",
        namespace: str = "",
    ) -> None:
        """Join the domain.

        Args:
            alive: returns one line per process that has died; waiting ends with them.
            env: ROS_DOMAIN_ID and the like, of the processes that were started.
            asker: name of the node that asks the gate.
            namespace: of the nodes, with a leading slash.
        """
        self.asker = asker
        self._alive = alive
        self._before = {name: os.environ.get(name) for name in env or {}}
        os.environ.update(env or {})
        self._context = Context()
        rclpy.init(args=["--ros-args", "--enclave", enclave_of("operator")], context=self._context)
        self.node = Node("supervisor", context=self._context, namespace=namespace or None)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.reports: dict[str, list[Item]] = {}
        self.gate: dict[str, str] = {}
        self.policy: dict[str, str] = {}
        self.policy_message = self.recorder_error = ""
        self.episode: dict[str, str] = {}
        self.patience_s = START_S
        self.recent_latency_s: deque[float] = deque(maxlen=256)
        self._ready_ns = self._begin_ns = 0
        self._held_since: float | None = None
        self._log: EpisodeLog | None = None
        self._clients: dict[str, Any] = {}
        self._subscribe()

    def _subscribe(self) -> None:
        create = self.node.create_subscription
        for name in ("gate_node", self.asker):
            create(String, f"{name}/activation", self._on_report, latched())
        create(DiagnosticStatus, "gate_node/state", self._on_gate, latched())
        create(DiagnosticStatus, f"{self.asker}/state", self._on_policy, latched())
        create(DiagnosticStatus, "sim_arm/episode", self._on_episode, latched())
        create(DiagnosticStatus, "recorder_node/state", self._on_recorder, latched())
        create(JointState, "gate_node/commanded", self._on_commanded, streaming(10))
        create(JointState, f"{self.asker}/action", self._on_action, streaming(1000))
        create(Float64MultiArray, "sim_arm/latency", self._on_latency, streaming(1000))

    # -- waiting -------------------------------------------------------------------------------

    def spin_until(self, condition: Callable[[], Any], timeout_s: float, what: str) -> None:
        """Run callbacks until the condition holds.

        Raises:
            OperationError: it does not in time, or a process died.
        """
        end = time.monotonic() + timeout_s
        while not condition():
            dead = self._alive()
            if dead:
                raise OperationError(f"while waiting for {what}: {'; '.join(dead)}")
            if time.monotonic() > end:
                raise OperationError(f"no {what} within {timeout_s:g} s")
            self._executor.spin_once(0.02)

    def pause(self, seconds: float) -> None:
        """Run callbacks for a while [s].

        Raises:
            OperationError: a process died.
        """
        end = time.monotonic() + seconds
        self.spin_until(lambda: time.monotonic() > end, seconds + 5.0, "time")

    def hear(self, seconds: float = 0.0) -> None:
        """Run the callbacks of what has come so far.

        Args:
            seconds: how long at least; more may have come where nobody listened for a while.
        """
        end, count = time.monotonic() + seconds, 0
        while count < _AT_ONCE or time.monotonic() < end:
            self._executor.spin_once(0.0)
            count += 1

    def join(self, node: Node) -> None:
        """Run the callbacks of another node of this context too, from the next wait on."""
        self._executor.add_node(node)

    def leave(self, node: Node) -> None:
        """Run the callbacks of a node that joined no longer, and close it."""
        self._executor.remove_node(node)
        node.destroy_node()

    def call(self, kind: Any, name: str, request: Any, timeout_s: float = START_S) -> Any:
        """Call a service and return its response.

        Raises:
            OperationError: no service or no answer in time.
        """
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        client = self._clients[name]
        self.spin_until(client.service_is_ready, timeout_s, f"service {name}")
        future = client.call_async(request)
        self.spin_until(future.done, timeout_s, f"answer of {name}")
        return future.result()

    def trigger(self, name: str, timeout_s: float = START_S) -> str:
        """Call a service that only does something; return what it says.

        Raises:
            OperationError: no service, no answer in time, or it refuses.
        """
        answer = self.call(Trigger, name, Trigger.Request(), timeout_s)
        if not answer.success:
            raise OperationError(f"{name}: {answer.message}")
        return str(answer.message)

    # -- lifecycle -----------------------------------------------------------------------------

    def transition(self, node: str, label: str, timeout_s: float = START_S) -> bool:
        """Ask a lifecycle node for a transition; return whether it took place."""
        request = ChangeState.Request()
        request.transition.label = label
        return bool(self.call(ChangeState, f"{node}/change_state", request, timeout_s).success)

    def state_of(self, node: str, timeout_s: float = START_S) -> str:
        """Return the lifecycle state of a node: unconfigured, inactive, active, finalized."""
        answer = self.call(GetState, f"{node}/get_state", GetState.Request(), timeout_s)
        return str(answer.current_state.label)

    def renew(self, node: str) -> None:
        """Bring a node that somebody has used before back to unconfigured.

        Raises:
            OperationError: it refuses.
        """
        for state, label in (("active", "deactivate"), ("inactive", "cleanup")):
            if self.state_of(node) == state and not self.transition(node, label):
                raise OperationError(f"{node} is {state} and refuses to {label}")

    def configure(self) -> None:
        """Configure gate and asker.

        Raises:
            OperationError: a node refuses; its log says why.
        """
        for node in ("gate_node", self.asker):
            if not self.transition(node, "configure"):
                raise OperationError(f"{node} was not configured; its log says why")

    def use_bundle(self, bundle: Path, *, fresh: bool = False) -> None:
        """Configure gate and asker anew, for a bundle.

        Args:
            bundle: folder of the bundle.
            fresh: they have not been configured yet.

        Raises:
            OperationError: a node refuses.
        """
        value = Parameter("bundle", Parameter.Type.STRING, str(bundle.resolve()))
        for node in (self.asker, "gate_node"):  # the policy goes first: it asks the gate
            if not fresh:
                self.transition(node, "deactivate")  # refused by one that is not active
                if not self.transition(node, "cleanup"):
                    raise OperationError(f"{node} was not cleaned up; its log says why")
            request = SetParameters.Request(parameters=[value.to_parameter_msg()])
            answer = self.call(SetParameters, f"{node}/set_parameters", request)
            if not answer.results[0].successful:
                raise OperationError(f"{node}: bundle: {answer.results[0].reason}")
        self.configure()

    def activate(self, node: str, timeout_s: float | None = None) -> None:
        """Activate a node, again and again while its report is red.

        Args:
            node: name of the lifecycle node.
            timeout_s: how long it may stay red [s]; `patience_s` of the supervisor by default.

        Raises:
            OperationError: it is still red when the time is up; names the red items.
        """
        end = time.monotonic() + (self.patience_s if timeout_s is None else timeout_s)
        while not self.transition(node, "activate"):
            if time.monotonic() > end:
                red = activation.problems(self.reports.get(node, []))
                raise OperationError(f"{node} was not activated: {'; '.join(red) or 'no report'}")
            self.pause(0.25)

    def lost(self) -> str:
        """Return why an asker elsewhere must be lost, or an empty string.

        It seems to run, and the gate has held for so long that it would have heard of it.
        """
        runs, gate = self.policy.get("phase") == "RUNNING", self.gate
        if not runs or gate.get("state", "ACTIVE") == "ACTIVE":
            self._held_since = None
            return ""
        self._held_since = self._held_since or time.monotonic()
        if time.monotonic() - self._held_since < _LOST_S:
            return ""
        return f"{self.asker} is not heard any more, and the gate holds: {gate.get('reason')}"

    def report(self) -> dict[str, Any]:
        """Return the activation reports of both nodes as plain data."""
        items = [
            {"name": f"{node}: {item.name}"} | {k: v for k, v in vars(item).items() if k != "name"}
            for node, report in sorted(self.reports.items())
            for item in report
        ]
        return {"ok": all(item["ok"] for item in items) and bool(items), "items": items}

    # -- episodes ------------------------------------------------------------------------------

    def reset_arm(self, seed: int, *, moved: bool = True) -> int:
        """Begin an episode of the simulated arm; return the stamp of its first observation [ns].

        Args:
            seed: of the episode.
            moved: arm and things are put at its start; else they stay, and goals alone are drawn.
        """
        value = Parameter("episode_seed", Parameter.Type.INTEGER, seed).to_parameter_msg()
        request = SetParameters.Request(parameters=[value])
        answer = self.call(SetParameters, "sim_arm/set_parameters", request)
        if not answer.results[0].successful:
            raise OperationError(f"episode_seed: {answer.results[0].reason}")
        service = "sim_arm/reset" if moved else "sim_arm/go_on"
        message = str(self.call(Trigger, service, Trigger.Request()).message)
        return int(message.partition("=")[2])

    def place(self, seed: int, *, moved: bool = True) -> int:
        """Begin an episode as `reset_arm` does; wait until the gate would let a run in.

        A fault of the gate is over then, unless somebody stopped it by hand.

        Returns:
            The stamp of the first observation [ns].

        Raises:
            OperationError: the gate was stopped by hand, or does not get ready.
        """
        begin = self.reset_arm(seed, moved=moved)

        def stopped() -> bool:
            return self.gate.get("state") == "FAULT" or bool(self.gate.get("by_hand"))

        for _ in range(_TRIES):
            self.spin_until(
                lambda: stopped() or self._ready_ns >= begin, START_S, "gate that is ready"
            )
            if not stopped():
                return begin
            self.leave_fault()
        self.check_gate()
        raise OperationError("the gate does not get ready: it falls into FAULT again and again")

    def leave_fault(self) -> None:
        """Let the gate leave a FAULT that nobody asked for by hand.

        Raises:
            OperationError: it was stopped by hand, or stays in FAULT.
        """
        if self.gate.get("by_hand"):
            self.check_gate()
        if self.gate.get("state") != "FAULT":
            return
        self.transition("gate_node", "deactivate")  # its ~/reset would undo an e-stop, too
        self.activate("gate_node")
        self.pause(_SAYS_S)

    def check_gate(self) -> None:
        """See that nothing but time keeps the gate from letting a run in.

        Raises:
            OperationError: it was stopped by hand, or is in FAULT.
        """
        if self.gate.get("by_hand"):
            raise OperationError(f"the gate stays where it was stopped: {self.gate['by_hand']}")
        if self.gate.get("state") == "FAULT":
            raise OperationError(f"the gate is in FAULT: {self.gate.get('reason')}")

    def begin_run(self) -> None:
        """Activate the asker: a run begins as soon as the gate is ready.

        Raises:
            OperationError: its report stays red.
        """
        self.policy, self.policy_message, self._held_since = {}, "", None
        self.activate(self.asker)

    def end_run(self) -> None:
        """Deactivate the asker, if it is active, and wait until the gate holds.

        Raises:
            OperationError: it does not.
        """
        self.transition(self.asker, "deactivate")
        self.spin_until(
            lambda: self.gate.get("state") != "ACTIVE", 5.0, "gate that holds after the episode"
        )

    def run_episode(self, seed: int, longest_s: float) -> EpisodeLog:
        """Run one episode from reset to its end; the policy is inactive before and after.

        Raises:
            OperationError: the nodes do not do what is asked, or a policy elsewhere was lost.
        """
        log = EpisodeLog(seed=seed)
        begin = self.place(seed)
        before = dict(self.gate)
        self._log, self._begin_ns = log, begin
        self.begin_run()
        end = time.monotonic() + longest_s

        def over() -> bool:
            stopped = self.policy.get("phase") == "STOPPED"
            over = bool(self.ended(seed, begin)) or stopped or time.monotonic() > end
            return over or bool(self.lost())

        self.spin_until(over, longest_s + 5.0, "end of the episode")
        if self.lost():
            raise OperationError(self.lost())
        episode = self.ended(seed, begin)
        if not episode:
            log.reason = self.policy_message or f"no end within {longest_s:g} s"
        self.end_run()
        self._log = None
        if episode:
            log.end(episode)
        for name in COUNTERS:
            setattr(log, name, int(self.gate.get(name, "0")) - int(before.get(name, "0")))
        return log

    def ended(self, seed: int, begin_ns: int) -> dict[str, str]:
        """Return what the arm said of the end of this episode, empty before.

        What it says of another seed, or said before this episode began, is of another episode.
        """
        said = self.episode
        mine = said.get("seed") == str(seed) and int(said.get("stamp_ns", "0")) > begin_ns
        return said if mine and said.get("done") == "True" else {}

    # -- callbacks -----------------------------------------------------------------------------

    def _on_report(self, message: String) -> None:
        node, items = activation.from_json(message.data)
        self.reports[node] = items

    def _on_gate(self, message: DiagnosticStatus) -> None:
        self.gate = status_values(message) | {"reason": message.message}

    def _on_policy(self, message: DiagnosticStatus) -> None:
        self.policy, self.policy_message = status_values(message), message.message

    def _on_episode(self, message: DiagnosticStatus) -> None:
        self.episode = status_values(message)

    def _on_recorder(self, message: DiagnosticStatus) -> None:
        self.recorder_error = status_values(message).get("error", "")

    def _on_commanded(self, message: JointState) -> None:
        self._ready_ns = to_ns(message.header.stamp)

    def _on_action(self, message: JointState) -> None:
        if self._log is None:
            return
        stamp = to_ns(message.header.stamp)
        if stamp < self._begin_ns:
            return  # of a session before this episode
        _, tick = parse_tag(message.header.frame_id)
        self._log.hear(tick, np.asarray(message.position, dtype=np.float32), stamp)

    def _on_latency(self, message: Float64MultiArray) -> None:
        self.recent_latency_s.append(float(message.data[1]))
        if self._log is not None:
            self._log.latency_s.append(float(message.data[1]))

    # -- end -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave the domain."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def __enter__(self) -> Supervisor:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the domain."""
        self.close()
