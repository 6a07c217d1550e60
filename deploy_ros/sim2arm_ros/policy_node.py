"""policy_node: runs a policy bundle and asks the gate for joint motion, once per control tick.

It waits in the lifecycle state active until the gate is ready, resets the policy, and runs until
an input is too old, the gate holds, or it is deactivated. It never goes on alone after a stop:
deactivate and activate it again.

With the parameter `device` (NAME or NAME:WHERE; `settings` as of `teleop_node`) a person may take
over from the policy and give back within a run, see `intervention.py`; `quit` on the device ends
it. What they ask for is published on `~/intervention`, as that of the policy on `~/action`; on
`~/standing` what lets the arm stand where nobody asked.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.exceptions import NameValidationException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import String
from std_srvs.srv import Trigger

from sim2arm.core.executor import ChunkExhausted
from sim2arm.core.robot_files import find_robot
from sim2arm.core.spec import StaleReading
from sim2arm.policies.bundle import BundleError, one_line
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sensors.teleop.base import TeleopDevice
from sim2arm.sensors.teleop.clutch import OPEN
from sim2arm.sensors.teleop.person import Ask

from . import activation
from .activation import Item
from .asker import Asker, Phase
from .camera_calibrations import CameraCalibrations, read_calibrations
from .convert import MESSAGES, read_input, status_values, to_ns
from .gate_about import GateAbout
from .graph import Graph, InputBinding, measured, named_as, prefixed_spec
from .hand import declare_hand, hand_of
from .intervention import Intervention
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
from .picture_inputs import PictureInputs
from .policy_session import PolicySession
from .requests import Request
from .sources import Source
from .supported import check_supported

_MAY = "may take over"
_TELL_NS = 500_000_000
"""Shortest time between two words of the same hand [ns]."""


class PolicyNode(LifecycleNode):
    """The policy as a lifecycle node.

    Attributes:
        refused: why it was not configured last, one line.
    """

    def __init__(self, **options: Any) -> None:
        """Declare the parameters; options are those of a node."""
        super().__init__("policy_node", **options)
        declare_set_up(self)
        self.declare_parameter("gate", "gate_node")
        self.declare_parameter("clock_offset_s", 0.02)
        self.declare_parameter("lock_step", False)
        declare_hand(self)
        self.declare_parameter("calibrations", "")  # files of `sim2arm calibrate`, commas between
        self._calibrations = CameraCalibrations(lenses={}, poses={})
        self.refused = ""
        self._device: TeleopDevice | None = None
        self._person: Intervention | None = None
        self._session: PolicySession | None = None
        self._asker: Asker | None = None
        self._endpoints = Endpoints(self)
        keep_parameters(self, lambda: self._session is not None)

    # -- lifecycle -----------------------------------------------------------------------------

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and verify the bundle, connect to its inputs."""
        try:
            path, self._trusted = bundle_parameters(self)
            policy = OnnxPolicy(path, trusted=self._trusted)
            graph = graph_parameter(self)
            contract = graph.named(policy.contract)
            contract.input("joint_position")
            check_supported(contract)
            bindings = graph.bindings(contract)
            self._lock_step = bool(self.get_parameter("lock_step").value)
            self._person = self._person_of(policy)
            session = PolicySession(
                policy, find_robot(policy.contract.robot), beside=not self._lock_step,
                max_skew_s=graph.max_skew_s, person=self._person,
            )  # fmt: skip
            chain = policy.contract.kinematic_chain
            specs = {
                spec.name: prefixed_spec(spec, chain, graph.prefix)
                for spec in (*measured(policy.contract), *session.sampled)
            }
            self._gripper = graph.gripper_of(contract)
            pictures = PictureInputs(bindings, specs)
            told = str(self.get_parameter("calibrations").value)
            files = [name.strip() for name in told.split(",") if name.strip()]
            self._calibrations = read_calibrations(files)
            limit = float(self.get_parameter("clock_offset_s").value)
            about = GateAbout(contract, limit, lock_step=self._lock_step)
        except (BundleError, ValueError, OSError) as error:
            self._disconnect()
            self.refused = one_line(error)
            self.get_logger().error(f"not configured: {self.refused}")
            return TransitionCallbackReturn.FAILURE
        session.warm_up()
        self._session, self._contract, self._graph = session, contract, graph
        self._asker = Asker(
            self, session.requests, who="policy", begin=session.begin, stamp=self._stamp,
            names=contract.joint_names, about=about, lock_step=self._lock_step,
            on_ready=self.lock_step if self._lock_step else lambda: None,
        )  # fmt: skip
        self._period_ns = round(1e9 / self._contract.control_hz)
        self._sources = {name: Source(spec=specs[name]) for name in bindings}
        self._pictures = pictures
        self._description: str | None = None
        self._acted_ns = 0
        self._forget_hand()
        try:
            self._connect(self._asker, bindings, graph)
        except NameValidationException as error:
            self._disconnect()
            self.refused = one_line(error)
            self.get_logger().error(f"not configured: {self.refused}")
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Report; then wait for the gate."""
        assert self._asker is not None
        if not self._asker.passes(self.report()):
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        self._forget_hand()
        self._asker.wait()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the session: the gate brings the arm to rest."""
        assert self._asker is not None
        self._asker.rest("deactivated")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect and forget the bundle."""
        self._disconnect()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the session and disconnect."""
        self._stop("shut down")
        self._disconnect()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect after a transition that raised."""
        self._disconnect()
        return super().on_error(state)

    def destroy_node(self) -> None:
        """Let the device go too."""
        self._disconnect()
        super().destroy_node()

    def _person_of(self, policy: OnnxPolicy) -> Intervention | None:
        """Open the device of who may take over, if there is one.

        Raises:
            ValueError, OSError: it is not there, or does not go with the policy; one line.
        """
        hand = hand_of(self)
        if hand is None:
            return None
        self._device, cfg = hand
        return Intervention(self._device, policy.contract, cfg)

    def _connect(self, asker: Asker, bindings: dict[str, InputBinding], graph: Graph) -> None:
        by_topic: dict[str, dict[str, InputBinding]] = {}
        for name, binding in bindings.items():
            by_topic.setdefault(binding.topic, {})[name] = binding
        listen = self._endpoints.subscription
        for topic, group in by_topic.items():
            first = next(iter(group.values()))
            qos = streaming(first.depth, reliable=first.reliability == "reliable")
            listen(MESSAGES[first.type], topic, partial(self.on_input, group), qos)
        for topic in sorted(self._pictures.camera_infos):
            info = partial(self.on_camera_info, topic)
            listen(CameraInfo, topic, info, streaming(1, reliable=False))
        if self._lock_step and self._pictures.names:
            listen(DiagnosticStatus, graph.observation, self.on_observation, streaming(10))
        listen(String, graph.robot_description, self.on_description, latched())
        self._endpoints.service(Trigger, "~/report", self.on_report_service)
        gate = str(self.get_parameter("gate").value)
        asker.connect(self._endpoints, gate, person=self._person is not None)
        if not self._lock_step:
            self._endpoints.timer(self._contract.period, self.on_tick)

    def _disconnect(self) -> None:
        if self._session is not None:
            self._session.acting.close()
        if self._asker is not None:
            self._asker.close()
        self._session = self._asker = self._person = None
        self._endpoints.close()
        if self._device is not None:
            self._device.close()
            self._device = None

    # -- inputs --------------------------------------------------------------------------------

    def on_input(self, group: dict[str, InputBinding], message: Any) -> None:
        """Take a message for the inputs of one topic."""
        session = self._session
        if session is None:
            return
        steady = time.monotonic_ns()
        for name, binding in group.items():
            source = self._sources[name]
            try:
                if binding.is_picture:
                    value, stamp = self._pictures.take(name, message), to_ns(message.header.stamp)
                else:
                    value, stamp, _ = read_input(message, binding, source.spec, self._gripper)
            except ValueError as error:
                source.problem = str(error)
                self._stop(str(error))
                return
            if stamp < source.stamp_ns:
                self._on_earlier(name)
            if self._lock_step:  # time is what the observations say
                new = session.push(name, value, stamp, stamp, stamp)
            else:  # /clock is a topic of its own: it may come a little after what it times
                now = self.get_clock().now().nanoseconds + self._period_ns
                new = session.push(name, value, stamp, now, steady)
            source.problem = ""
            if new:
                source.take(stamp, steady)
        if self._lock_step:
            self.lock_step()

    def _on_earlier(self, name: str) -> None:
        """Stamps went back: an arm was started again, or two sources disagree."""
        self._stop(f"input {name!r}: stamps went back")
        assert self._session is not None
        self._session.forget()
        for source in self._sources.values():
            source.stamp_ns = source.receipt_ns = 0

    def on_camera_info(self, topic: str, message: CameraInfo) -> None:
        """Take the intrinsics of a camera."""
        if self._session is not None and self._pictures.take_info(topic, message):
            self._stop(f"{topic}: the intrinsics changed")

    def on_observation(self, message: DiagnosticStatus) -> None:
        """Lock step: hear which picture, by its stamp, belongs to a tick."""
        if self._session is None:
            return
        try:
            self._pictures.hear(status_values(message))
        except ValueError as error:
            self._stop(f"observation: {error}")
            return
        self.lock_step()

    def on_description(self, message: String) -> None:
        """Keep the URDF for the activation."""
        self._description = message.data

    # -- ticks ---------------------------------------------------------------------------------

    def lock_step(self) -> None:
        """Act once for every complete set of inputs.

        They have the same stamp; pictures, which come more seldom, the one that the arm told.
        """
        asker = self._asker
        stamps = {name: source.stamp_ns for name, source in self._sources.items()}
        ticks = {stamp for name, stamp in stamps.items() if name not in self._pictures.names}
        stamp = ticks.pop()
        if asker is None or ticks or stamp == 0 or not self._pictures.complete(stamp, stamps):
            return
        if asker.phase is Phase.WAITING:
            if asker.ready is None or asker.ready[1] != stamp:
                return
            asker.begin()
        elif stamp <= self._acted_ns:
            return
        if asker.phase is Phase.RUNNING:
            self._acted_ns = stamp
            self._act(stamp, stamp, stamp, 0)

    def on_tick(self) -> None:
        """Act at a steady deadline."""
        steady = time.monotonic_ns()
        skipped = None if self._asker is None else self._asker.due(steady)
        if skipped is not None:
            self._act(self.get_clock().now().nanoseconds, steady, steady, skipped)

    def _act(self, now_ns: int, steady_ns: int, time_ns: int, skipped: int) -> None:
        session = self._session
        assert session is not None
        try:
            sampled = session.sample(now_ns, steady_ns)
            request = session.act(sampled, self._stamp(), time_ns, skipped)
        except (StaleReading, ChunkExhausted, ValueError, RuntimeError) as error:
            self._stop(str(error))
            return
        self.send(request)

    def send(self, request: Request) -> None:
        """Publish a request, whose it is, and how the person's hand stands."""
        session, asker = self._session, self._asker
        assert session is not None and asker is not None
        asker.send(request, session.action, who=session.who)
        if self._person is not None:
            self._tell_of(self._person.ask)

    def _forget_hand(self) -> None:
        """Have told nothing of the person's hand."""
        self._told: tuple[str, bool, str] = ("", False, "")
        self._told_ns = 0

    def _tell_of(self, ask: Ask) -> None:
        """Say how the person's hand stands when it changes; `quit` ends the run."""
        assert self._asker is not None and self._session is not None
        if "quit" in ask.presses:
            self._asker.stop("quit was pressed")
            return
        steady = time.monotonic_ns()
        acts = self._session.who != "policy"
        told = ask.state, acts, ask.why
        often = steady - self._told_ns < _TELL_NS and told[:2] == self._told[:2]
        if told != self._told and not often:  # reasons may have numbers that change
            self._told, self._told_ns = told, steady
            why = "" if ask.why == OPEN else ask.why  # nobody asks for anything
            self._asker.tell(why or ("a person acts" if acts else ""), {"hand": ask.state})

    def _stamp(self) -> int:
        return self._sources["joint_position"].stamp_ns

    def _stop(self, reason: str) -> None:
        if self._asker is not None:
            self._asker.stop(reason)

    # -- activation ----------------------------------------------------------------------------

    def on_report_service(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Publish the report as at an activation, without one; say whether nothing is red."""
        asker = self._asker
        response.success = asker is not None and asker.passes(self.report())
        response.message = "as it is on ~/activation" if asker is not None else "not configured"
        return response

    def report(self) -> list[Item]:
        """Return every item that the policy answers for."""
        session, contract = self._session, self._contract
        assert session is not None
        chain, own = activation.chain_items(contract, self._description, self._graph.chain)
        if own is not None and all(item.ok for item in chain):
            session.use_chain(named_as(own, session.contract.kinematic_chain))
        items = [
            activation.bundle_item(signed=self._trusted is not None),
            activation.qos_item(self._endpoints.mismatches()),
            *chain,
        ]
        steady = time.monotonic_ns()
        now = self.get_clock().now().nanoseconds
        for name, source in self._sources.items():
            items.append(source.fit(self._pictures.problem(name)))
            if not self._lock_step and name in session.sampler.buffers:
                items += source.timing(now, steady, contract.control_hz)
        if not self._lock_step:
            note = "a faster machine, or a smaller policy"
            items.append(activation.at_most(
                "time that the policy takes to answer", session.thinks_s, session.may_think_s, "s",
                note,
            ))  # fmt: skip
        items += self._pictures.items(contract)
        if self._person is not None:
            items.append(activation.equal("hand", _MAY, self._person.refusal() or _MAY))
        return items + self._calibrations.items(contract)


def main() -> int:
    """Run the node until a signal."""
    return run_nodes(lambda: [PolicyNode()])
