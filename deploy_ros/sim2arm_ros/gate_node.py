"""gate_node: the only publisher of commands to the controller. It holds no onnxruntime.

Topics: `request` in, `<controller>/joint_trajectory` out; `~/state`, `~/commanded`, `~/changed`,
`~/activation` and `/diagnostics` say what it does; `~/estop` (std_msgs/Bool, true stops) and the
service `~/estop` latch a fault, `~/hold` stops the arm and lets nobody in; `~/reset` alone leaves
both: they stand while the gate is configured or activated anew. The e-stop here is a convenience,
not a safety function.

Nor does the gate keep others from the controller: whoever publishes on its command topic is obeyed
by it. The gate sees a second publisher in the graph, or that the controller is elsewhere, stops its
own commands and latches a fault; the foreign commands, the first one included, reach the arm. Who
must not command has to be kept out of the ROS domain, or by its security.

With `dry_run` it judges and commands nobody: no publisher, no client and no action leads to a
controller or a gripper, commands go to `~/dry_run`, and the arm is taken to stand commanded where
it is measured. That is how recordings are run (`bag_node`); beside a recording a gate for real
hardware does not become active.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.exceptions import NameValidationException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import JointState
from std_msgs.msg import Header, String
from trajectory_msgs.msg import JointTrajectory

from sim2arm.policies.bundle import BundleError, one_line
from sim2arm.policies.verify import load_contract

from . import activation
from .activation import Item
from .bag_topics import RECORDING
from .controller_facts import PERIOD_S, ControllerFacts
from .convert import (
    change_message,
    command_message,
    joint_field,
    joint_state_message,
    reference_from,
    request_from,
    to_ns,
)
from .flight import Flight, flights_folder, keep_beside
from .force_topics import StopTopics
from .gate_about import contract_mark
from .gate_machine import GateMachine
from .gate_report import Heard, gate_items
from .gate_set_up import PARAMETERS, check_backend, make_flight
from .gate_state import LATENCY, Command, GateState
from .gate_words import state_message
from .graph import Graph
from .gripper_client import GripperClient
from .latency import LatencyMeter
from .mode_topics import ModeTopics
from .node_support import (
    Endpoints,
    bundle_parameters,
    declare_set_up,
    graph_parameter,
    keep_parameters,
    latched,
    logged,
    run_nodes,
    streaming,
)
from .operator_stops import OperatorStops
from .requests import READY, REQUEST_TOPIC, make_tag
from .robot_modes import Values
from .supported import check_supported

_STATE_PERIOD_S = 0.1
_DIAGNOSTICS_S = 1.0


class GateNode(LifecycleNode):
    """The safety gate as a lifecycle node."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("gate_node")
        declare_set_up(self)
        for name, value in PARAMETERS.items():
            self.declare_parameter(name, value)
        self._flight: Flight | None = None
        self._stopped: dict[str, str] = {}  # by an operator, before the gate was configured
        self._flights: Path | None = None
        self._gripper: GripperClient | None = None
        self._modes: ModeTopics | None = None
        self._endpoints = Endpoints(self)
        keep_parameters(self, lambda: self._flight is not None)

    @property
    def machine(self) -> GateMachine | None:
        """What decides, while the node is configured."""
        return None if self._flight is None else self._flight.machine

    # -- lifecycle -----------------------------------------------------------------------------

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Verify the bundle and connect; nothing can be published yet."""
        try:
            self.graph = graph_parameter(self)
            path, self._trusted = bundle_parameters(self)
            self.contract = self.graph.named(load_contract(path, self._trusted))
            self.graph.bindings(self.contract)
            check_supported(self.contract)
            check_backend(self)
            self._flight, self._guard = make_flight(self, self.contract, self.graph)
        except (BundleError, ValueError) as error:
            self.get_logger().error(f"not configured: {error}")
            return TransitionCallbackReturn.FAILURE
        self._period_ns = round(1e9 / self.contract.control_hz)
        self._real = self._flag("real_hardware")
        self._mark = contract_mark(self.contract)
        unkept = self._flag("lock_step") or self._flag("dry_run")
        self._flights = flights_folder(self._text("flights"), lock_step=unkept)
        self._reset_facts()
        try:
            self._connect(self.graph)
        except (NameValidationException, ValueError) as error:
            self._disconnect()
            self.get_logger().error(f"not configured: {one_line(error)}")
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Report; become active only when nothing is red."""
        assert self._flight is not None
        items = self.report()
        self._activation.publish(String(data=activation.to_json("gate_node", items)))
        red = activation.problems(items)
        if red != self._red:  # a launcher asks again and again
            self._red = red
            for line in red:
                self.get_logger().error(f"not activated: {line}")
        if red:
            return TransitionCallbackReturn.FAILURE
        problem = self._flight.activate()
        if problem is not None:
            self.get_logger().error(f"not activated: {problem}")
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info("active, in HOLD")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Publish nothing more; the arm comes to rest at the end of the last trajectory."""
        assert self._flight is not None
        self._flight.set_problem("lifecycle", "the gate is not active")
        self._flight.set_problem("lifecycle", None)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect."""
        self._disconnect()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect."""
        self._disconnect()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect after a transition that raised: no publisher of commands may stay."""
        self._disconnect()
        return super().on_error(state)

    # -- set-up --------------------------------------------------------------------------------

    def _text(self, name: str) -> str:
        return str(self.get_parameter(name).value)

    def _flag(self, name: str) -> bool:
        return bool(self.get_parameter(name).value)

    def _reset_facts(self) -> None:
        self._description: str | None = None
        self._q: np.ndarray | None = None
        self._joint_period: float | None = None
        self._joint_receipt = 0
        self._command_publishers = 0
        self._red: list[str] = []
        self._last_state: tuple[object, ...] = ()
        self._state_at = 0
        self._meter, self._latency_s = LatencyMeter(), 0.0
        self._told_ns = 0

    def _connect(self, graph: Graph) -> None:
        control = graph.controller
        joints = graph.inputs["joint_position"]
        reliable, listen = joints.reliability == "reliable", self._endpoints.subscription
        dry = self._flag("dry_run")
        self._command = self._endpoints.lifecycle_publisher(
            JointTrajectory, "~/dry_run" if dry else control.command_topic, streaming(1)
        )
        self._state_topic = self._endpoints.publisher(DiagnosticStatus, "~/state", latched())
        self._commanded = self._endpoints.publisher(JointState, "~/commanded", streaming(10))
        self._changed = self._endpoints.publisher(JointTrajectory, "~/changed", streaming(10))
        self._activation = self._endpoints.publisher(String, "~/activation", latched())
        self._diagnostics = self._endpoints.publisher(
            DiagnosticArray, "/diagnostics", streaming(10)
        )
        listen(JointState, joints.topic, self.on_joints, streaming(joints.depth, reliable=reliable))
        if not dry:
            listen(
                JointTrajectoryControllerState, control.state_topic, self.on_controller,
                streaming(10),
            )  # fmt: skip
        listen(String, graph.robot_description, self.on_description, latched())
        listen(JointTrajectory, REQUEST_TOPIC, self.on_request, streaming(10))
        assert self._flight is not None
        OperatorStops(
            self, self._endpoints, self._flight, self._stopped,
            lambda: self._publish_state(only_changes=True),
        )  # fmt: skip
        self._stopped = {}
        if self.contract.grips and not dry:
            lock_step = self._flag("lock_step")
            self._gripper = GripperClient(
                self._endpoints, graph, self.contract, lock_step=lock_step
            )
            self._endpoints.timer(PERIOD_S, self._watch_gripper)
        self._stops = StopTopics(
            self._endpoints, graph, self.contract.joint_names, self._watch_stops
        )
        if graph.modes is not None:
            period = self.contract.period
            self._modes = ModeTopics(self, self._endpoints, graph.modes, period, self._on_mode)
        self._facts = None if dry else ControllerFacts(self._endpoints, control, self.contract)
        self._endpoints.timer(self.contract.period, self.on_tick)
        if self._facts is not None:
            self._endpoints.timer(PERIOD_S, self._facts.ask)

    def _disconnect(self) -> None:
        if self._flight is not None:
            self._stopped |= self._flight.machine.stops
        self._flight = self._gripper = self._modes = None
        self._endpoints.close()

    # -- inputs --------------------------------------------------------------------------------

    def on_joints(self, message: JointState) -> None:
        """Take a joint state; in lock step a waiting request may now be judged."""
        flight = self._flight
        if flight is None:
            return
        if not set(message.name) & set(self.contract.joint_names):
            return  # another publisher, of a gripper for example; silence is watched elsewhere
        steady = time.monotonic_ns()
        try:
            q = joint_field(message, "position", self.contract.joint_names)
        except ValueError as error:
            flight.set_problem("joint names", f"joint states: {error}", fatal=True)
            return
        flight.set_problem("joint names", None)
        self._q = q
        if self._joint_receipt:
            period = (steady - self._joint_receipt) / 1e9
            old = self._joint_period
            self._joint_period = period if old is None else old + 0.05 * (period - old)
        self._joint_receipt = steady
        now = self.get_clock().now().nanoseconds
        self._meter.sent(to_ns(message.header.stamp), steady)
        if self._facts is None:  # a dry run: no controller says what it commands
            flight.on_reference(q, np.zeros_like(q), to_ns(message.header.stamp), steady)
        flight.on_joints(q, to_ns(message.header.stamp), now, steady)
        self._send(flight.pending(now, steady), steady)

    def on_controller(self, message: JointTrajectoryControllerState) -> None:
        """Take what the controller commands now."""
        if self._flight is None:
            return
        try:
            q, dq = reference_from(message, self.contract.joint_names)
        except ValueError as error:
            self._flight.set_problem("controller", f"controller state: {error}", fatal=True)
            return
        self._flight.set_problem("controller", None)
        stamp, steady = to_ns(message.header.stamp), time.monotonic_ns()
        self._flight.on_reference(q, dq, stamp, steady)

    def _on_mode(self, topic: str, values: Values | None, steady_ns: int) -> None:
        """Take what the robot says of its own state."""
        if self._flight is not None:
            self._flight.on_mode(topic, values, steady_ns)
            self._publish_state(only_changes=True)

    def _watch_stops(self) -> None:
        """Let what is too much stop the arm at once."""
        flight = self._flight
        if flight is None:
            return
        timed = not flight.machine.cfg.lock_step
        for name, problem in self._stops.problems(time.monotonic_ns(), timed=timed).items():
            flight.set_problem(name, problem)
        self._publish_state(only_changes=True)

    def on_description(self, message: String) -> None:
        """Keep the URDF for the activation."""
        self._description = message.data

    def on_request(self, message: JointTrajectory) -> None:
        """Judge a request and publish at once."""
        flight = self._flight
        if flight is None or not self._command.is_activated:
            return
        steady = time.monotonic_ns()
        try:
            request = request_from(
                message, self.contract.joint_names, self._period_ns, grips=self.contract.grips
            )
        except ValueError as error:
            flight.fault(str(error))
            self._publish_state()
            return
        now = self.get_clock().now().nanoseconds
        self._send(flight.on_request(request, now, steady), steady)

    # -- outputs -------------------------------------------------------------------------------

    def _send(self, command: Command | None, decided_ns: int) -> None:
        """Tell the policy what was changed; publish the command, if there is one."""
        self._tell_changes()
        if command is not None and not self._withheld(command, decided_ns):
            request, names = command.request, self.contract.joint_names
            tag = make_tag(request.session, request.tick)
            message = command_message(
                command.trajectory, command.elapsed, names, command.stamp_ns, tag
            )
            send = partial(self._publish, message, command, decided_ns)
            if self._gripper is None or request.width is None:
                send()
            else:
                if request.tick == 0:
                    self._gripper.begin(request.width)
                self._gripper.command(request.width, send)
        self._publish_state(only_changes=True)

    def _tell_changes(self) -> None:
        """Let the policy go on from where the arm is, where that is elsewhere than it asked for."""
        answer = None if self._flight is None else self._flight.answer()
        if answer is not None:
            session, tick, way, ddq = answer
            tag, names = make_tag(session, tick), self.contract.joint_names
            self._changed.publish(change_message(way, ddq, names, tag))

    def _publish(self, message: JointTrajectory, command: Command, decided_ns: int) -> None:
        """Publish a command, unless its session ended while the gripper was asked."""
        machine, request = self.machine, command.request
        if machine is None or machine.state is not GateState.ACTIVE:
            return
        if machine.session != request.session or self._withheld(command, decided_ns):
            return
        self._command.publish(message)
        self._measure(make_tag(request.session, request.tick), request.stamp_ns)

    def _withheld(self, command: Command, decided_ns: int) -> bool:
        """Return whether a command is not to be published any more; the gate then goes without.

        This process, or the computer, stood still since it was decided.
        """
        steady = time.monotonic_ns()
        waited = (steady - decided_ns) / 1e9
        if waited <= command.spare_s or self._flight is None:
            return False
        self._flight.withhold(waited, steady)
        self._tell_changes()
        return True

    def _measure(self, tag: str, stamp_ns: int) -> None:
        """Note how long it took from the joint state that a policy had seen to its command."""
        self._meter.asked(tag, stamp_ns)
        latency = self._meter.arrived(tag, time.monotonic_ns())
        self._latency_s = max(self._latency_s, latency or 0.0)

    def on_tick(self) -> None:
        """Watch the budgets, the clock and who else publishes; say what is commanded."""
        flight = self._flight
        if flight is None:
            return
        now, steady = self.get_clock().now().nanoseconds, time.monotonic_ns()
        fault = self._guard.check(now, steady)
        if fault is not None and fault.kind != "not started":
            flight.set_problem("clock", fault.message, fatal=True)
        elif fault is None:
            flight.set_problem("clock", None)
        self._watch_publishers(flight)
        if self._modes is not None:
            self._modes.look()
        self._watch_stops()
        # Before the activation the report says the same with more words.
        active = self._command.is_activated
        facts = self._facts
        text, known = (active and facts is not None and facts.problem()) or (None, False)
        flight.set_problem("facts", text, fatal=known)
        flight.watch(now, steady)
        machine = flight.machine
        commanded = machine.commanded()
        if commanded is not None and machine.ready and self._command.is_activated:
            q, dq, stamp = commanded
            self._commanded.publish(
                joint_state_message(self.contract.joint_names, q, dq, stamp, READY)
            )
        self._publish_state(only_changes=True)
        self._land(flight)

    def _land(self, flight: Flight) -> None:
        """Keep what came before a stop, beside the ticks: a disk may take its time."""
        landing = flight.landed()
        if landing is None or self._flights is None:
            return
        path = keep_beside(self._flights, landing, self.contract)
        self.get_logger().info(f"the last seconds are kept: sim2arm replay {path}")

    def _watch_gripper(self) -> None:
        """See that the gripper can be worked."""
        if self._flight is not None and self._gripper is not None:
            self._flight.set_problem("gripper", self._gripper.problem())

    def _watch_publishers(self, flight: Flight) -> None:
        topic, active = self._command.topic_name, self._command.is_activated
        self._command_publishers = count = self.count_publishers(topic)
        several = f"{count} publishers on {topic}, expected only the gate" if count > 1 else None
        flight.set_problem("publishers", several, fatal=active)
        played = self._real and self.count_publishers(RECORDING) > 0
        recording = f"a recording is played here ({RECORDING})" if played else None
        flight.set_problem("recording", recording, fatal=active)
        unheard = active and self._facts is not None and self.count_subscribers(topic) == 0
        nobody = f"no controller listens on {topic}" if unheard else None
        flight.set_problem("subscriber", nobody)

    def _publish_state(self, *, only_changes: bool = False) -> None:
        machine = self.machine
        if machine is None:
            return
        now = time.monotonic_ns()
        key = (machine.state, machine.reason, machine.ready, machine.session)
        if (
            only_changes
            and key == self._last_state
            and now - self._state_at < _STATE_PERIOD_S * 1e9
        ):
            return
        if machine.state is GateState.FAULT and self._last_state[:1] != (GateState.FAULT,):
            self.get_logger().error(f"FAULT: {machine.reason}")
        elif key[:2] != self._last_state[:2]:
            self.get_logger().info(f"{machine.state.value}: {machine.reason}".rstrip(": "))
        stopped = self._last_state[:1] == (GateState.ACTIVE,) != key[:1]
        if stopped and self._gripper is not None:
            self._gripper.stop()
        told, self._last_state, self._state_at = self._last_state, key, now
        more: dict[str, object] = {
            "active": bool(self._command.is_activated), LATENCY: self._latency_s or "",
            "dry_run": self._facts is None, "contract": self._mark,
            "now_ns": self.get_clock().now().nanoseconds,
        }  # fmt: skip
        self._latency_s = 0.0
        if self._gripper is not None:
            more |= {"gripper_dropped": self._gripper.dropped, "gripper": self._gripper.failed}
        message = state_message(machine, more)
        self._state_topic.publish(message)
        if key != told or now - self._told_ns > _DIAGNOSTICS_S * 1e9:
            self._told_ns = now
            stamp = self.get_clock().now().to_msg()
            self._diagnostics.publish(DiagnosticArray(header=Header(stamp=stamp), status=[message]))

    # -- activation ----------------------------------------------------------------------------

    def report(self) -> list[Item]:
        """Return every item that the gate answers for."""
        assert self.machine is not None
        heard = Heard(
            description=self._description, q=self._q, joint_period=self._joint_period,
            joint_receipt=self._joint_receipt, command_publishers=self._command_publishers,
            mismatches=self._endpoints.mismatches(), dry=self._facts is None,
            forces=self._stops.forces, heartbeat=self._stops.heartbeat,
            signed=self._trusted is not None, real=self._real,
        )  # fmt: skip
        more = [] if self._facts is None else self._facts.items()
        more += [] if self._gripper is None else self._gripper.items()
        if self._real:
            played = self.count_publishers(RECORDING)
            more.append(activation.equal("recordings that are played here", 0, played))
        if heard.dry:
            more.append(Item(name="dry run", expected="no controller", ok=True,
                             measured=f"commands go to {self._command.topic_name}"))  # fmt: skip
        return gate_items(self.contract, self.graph, self.machine, heard, more)


def main() -> int:
    """Run the node until a signal."""
    return run_nodes(lambda: [GateNode()])
