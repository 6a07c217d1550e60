"""teleop_node: a person's device asks the gate for joint motion, once per control tick.

It stands where `policy_node` stands: waits in the lifecycle state active until the gate is ready,
and runs until the joint states are too old, the gate holds, `quit` is pressed or it is deactivated;
it never goes on alone after that. While the device is silent or its clutch is open it goes on
asking for where the arm stands. Parameters: `device` as NAME or NAME:WHERE, `settings` a YAML file
with fields of `sensors.teleop.person.TeleopCfg`; of the bundle only the contract is used.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from rclpy.exceptions import NameValidationException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from sim2arm.core.contract import Contract
from sim2arm.core.robot_files import find_robot
from sim2arm.core.spec import StaleReading
from sim2arm.policies.bundle import BundleError, one_line
from sim2arm.policies.verify import load_contract
from sim2arm.sensors.teleop.base import TeleopDevice

from . import activation
from .activation import Item
from .asker import Asker
from .convert import read_input
from .gate_about import GateAbout
from .graph import Graph, InputBinding, measured, named_as, prefixed_spec
from .hand import declare_hand, hand_of
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
from .requests import WIDTH
from .sources import Source
from .supported import check_supported
from .teleop_session import JOINTS, TeleopSession

_MAY = "may take over"


class TeleopNode(LifecycleNode):
    """A hand as a lifecycle node."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("teleop_node")
        declare_set_up(self)
        self.declare_parameter("gate", "gate_node")
        self.declare_parameter("clock_offset_s", 0.02)
        self.declare_parameter("lock_step", False)
        declare_hand(self)
        self._device: TeleopDevice | None = None
        self._session: TeleopSession | None = None
        self._asker: Asker | None = None
        self._endpoints = Endpoints(self)
        keep_parameters(self, lambda: self._session is not None)

    # -- lifecycle -----------------------------------------------------------------------------

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Verify the bundle, open the device, connect to the arm."""
        try:
            path, self._trusted = bundle_parameters(self)
            trained, graph = load_contract(path, self._trusted), graph_parameter(self)
            contract = graph.named(trained)
            check_supported(contract)
            session = self._session_of(trained)
            joints = prefixed_spec(session.joints, trained.kinematic_chain, graph.prefix)
            alone = replace(contract, inputs=(joints,), noise=None)
            bindings = graph.bindings(alone)
            limit = float(self.get_parameter("clock_offset_s").value)
            about = GateAbout(contract, limit, lock_step=False)
        except (BundleError, ValueError, OSError) as error:
            self._disconnect()
            self.get_logger().error(f"not configured: {one_line(error)}")
            return TransitionCallbackReturn.FAILURE
        self._session, self._contract, self._graph = session, contract, graph
        self._source = Source(spec=joints)
        self._widths = [Source(spec=spec) for spec in measured(alone) if spec.name == WIDTH]
        self._gripper = graph.gripper_of(contract)
        self._asker = Asker(
            self, session.requests, who="teleop", begin=session.begin,
            stamp=lambda: self._source.stamp_ns, names=contract.joint_names, about=about,
        )  # fmt: skip
        self._period_ns = round(1e9 / contract.control_hz)
        self._description: str | None = None
        self._q: np.ndarray | None = None
        self._told = ""
        try:
            self._connect(self._asker, bindings, graph)
        except NameValidationException as error:
            self._disconnect()
            self.get_logger().error(f"not configured: {one_line(error)}")
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Report; then wait for the gate."""
        assert self._asker is not None
        if not self._asker.passes(self.report()):
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        self._told = ""
        self._asker.wait()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the run: the gate brings the arm to rest."""
        assert self._asker is not None
        self._asker.rest("deactivated")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disconnect and let the device go."""
        self._disconnect()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the run, disconnect and let the device go."""
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

    def _text(self, name: str) -> str:
        return str(self.get_parameter(name).value)

    def _session_of(self, contract: Contract) -> TeleopSession:
        """Open the device.

        Raises:
            ValueError, OSError: it is not there, or a parameter is wrong; one line.
        """
        hand = hand_of(self)
        if hand is None:
            raise ValueError("parameter device: expected NAME or NAME:WHERE, got nothing")
        self._device, cfg = hand
        return TeleopSession(self._device, contract, find_robot(contract.robot), cfg)

    def _connect(self, asker: Asker, bindings: dict[str, InputBinding], graph: Graph) -> None:
        self._bindings, listen = bindings, self._endpoints.subscription
        for name, heard in ((JOINTS, self.on_joints), (WIDTH, self.on_width)):
            if name in bindings:
                binding = bindings[name]
                qos = streaming(binding.depth, reliable=binding.reliability == "reliable")
                listen(JointState, binding.topic, heard, qos)
        listen(String, graph.robot_description, self.on_description, latched())
        asker.connect(self._endpoints, self._text("gate"))
        self._endpoints.timer(self._contract.period, self.on_tick)

    def _disconnect(self) -> None:
        if self._asker is not None:
            self._asker.close()
        self._session = self._asker = None
        self._endpoints.close()
        if self._device is not None:
            self._device.close()
            self._device = None

    # -- inputs --------------------------------------------------------------------------------

    def on_joints(self, message: JointState) -> None:
        """Take joint positions."""
        session, source = self._session, self._source
        if session is None or not set(message.name) & set(self._contract.joint_names):
            return  # of a gripper, for example; silence is watched elsewhere
        steady = time.monotonic_ns()
        try:
            q, stamp, _ = read_input(message, self._bindings[JOINTS], source.spec)
        except ValueError as error:
            source.problem = str(error)
            self._stop(str(error))
            return
        if stamp < source.stamp_ns:
            self._stop("joint states: stamps went back")
            session.forget()
            source.stamp_ns = source.receipt_ns = 0
        # /clock is a topic of its own: it may come a little after what it times.
        now = self.get_clock().now().nanoseconds + self._period_ns
        source.problem = ""
        if session.push(q, stamp, now, steady):
            source.take(stamp, steady)
            self._q = q

    def on_width(self, message: JointState) -> None:
        """Take the positions of the fingers, in messages that have them."""
        session, (source,) = self._session, self._widths
        if session is None or not set(message.name) & set(self._gripper.joint_names):
            return
        try:
            binding = self._bindings[WIDTH]
            width, stamp, _ = read_input(message, binding, source.spec, self._gripper)
        except ValueError as error:
            source.problem = str(error)
            self._stop(str(error))
            return
        source.problem = ""
        source.take(stamp, time.monotonic_ns())
        session.requests.width = float(width[0])

    def on_description(self, message: String) -> None:
        """Keep the URDF for the activation."""
        self._description = message.data

    # -- ticks ---------------------------------------------------------------------------------

    def on_tick(self) -> None:
        """Ask at a steady deadline."""
        session, asker, steady = self._session, self._asker, time.monotonic_ns()
        skipped = None if asker is None else asker.due(steady)
        if session is None or asker is None or skipped is None:
            return
        now = self.get_clock().now().nanoseconds
        try:
            request = session.act(now, steady, self._source.stamp_ns, skipped)
        except (StaleReading, ValueError, RuntimeError) as error:
            asker.stop(str(error))
            return
        asker.send(request, *session.asked())
        ask = session.ask
        if ask is None:
            return
        if "quit" in ask.presses:
            asker.stop("quit was pressed")
        elif ask.state != self._told:
            self._told = ask.state
            asker.tell(ask.why, {"hand": ask.state})

    def _stop(self, reason: str) -> None:
        if self._asker is not None:
            self._asker.stop(reason)

    # -- activation ----------------------------------------------------------------------------

    def report(self) -> list[Item]:
        """Return every item that the hand answers for."""
        session, contract = self._session, self._contract
        assert session is not None
        chain, own = activation.chain_items(contract, self._description, self._graph.chain)
        if own is not None and all(item.ok for item in chain):
            requests = session.requests
            requests.use_chain(named_as(own, requests.contract.kinematic_chain))
        steady, now = time.monotonic_ns(), self.get_clock().now().nanoseconds
        return [
            activation.bundle_item(signed=self._trusted is not None),
            activation.qos_item(self._endpoints.mismatches()),
            *chain,
            self._source.fit(),
            *self._source.timing(now, steady, contract.control_hz),
            *(source.fit() for source in self._widths),
            self._hand_item(session),
        ]

    def _hand_item(self, session: TeleopSession) -> Item:
        """Return the item that the arm may be handed over."""
        problem = "where the arm stands is not known"
        if self._q is not None:
            try:
                problem = session.refusal(self._q)
            except RuntimeError as error:
                problem = str(error)
        return activation.equal("hand", _MAY, problem or _MAY)


def main() -> int:
    """Run the node until a signal."""
    return run_nodes(lambda: [TeleopNode()])
