"""Asks the gate for a `Wiggle` in place of a policy, in the process of who watches the arm.

It asks like any other node (`asker.py`, `request_session.py`): the gate judges each request, and it
ends at once when the arm does anything else than it was asked for. On the way it measures how old
what a command answers is, and what controller and arm do over time.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from control_msgs.msg import JointTrajectoryControllerState
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from rclpy.logging import LoggingSeverity
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from sim2arm.core.contract import Contract
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Gripper
from sim2arm.core.trajectory import FloatArray

from .asker import Asker, Phase
from .convert import joint_field, reference_from, to_ns
from .gate_about import GateAbout
from .graph import Graph
from .latency import LatencyMeter
from .node_support import Endpoints, streaming
from .request_session import RequestSession
from .requests import WIDTH, make_tag
from .wiggle import Heard, Wiggle, wiggle_contract

JOINTS = "joint_position"
_CLOCK_OFFSET_S = 0.02
_WARM_UP = 10  # requests that nobody hears
_SILENCE_S = 0.05  # where the contract names no age, as the gate's


class WiggleNode(LifecycleNode):
    """Asks for the wiggle while it is active; nobody can activate it from outside.

    Attributes:
        wiggle: what it asks for.
        heard: what came.
        stopped: why it ended early, one line; empty while it did not.
    """

    def __init__(
        self, contract: Contract, graph: Graph, context: Context, *, sim_time: bool = False
    ) -> None:
        """Open what it needs.

        Args:
            contract: of the bundle; the gate has the same.
            graph: of the arm.
            context: of the domain.
            sim_time: a simulated arm gives the time.

        Raises:
            ValueError: the graph does not go with the contract.
        """
        clock = Parameter("use_sim_time", Parameter.Type.BOOL, sim_time)
        super().__init__(
            "wiggle", context=context, enable_communication_interface=False,
            parameter_overrides=[clock],
        )  # fmt: skip
        self.get_logger().set_level(LoggingSeverity.ERROR)  # who walks says why it ended
        named = graph.named(contract)
        bindings = graph.bindings(named)
        self.wiggle, self.stopped = Wiggle(wiggle_contract(named)), ""
        self.heard = Heard(sides=self.wiggle.sides)
        self._contract, self._names, self._grips = named, named.joint_names, named.grips
        self._requests = RequestSession(wiggle_contract(contract), find_robot(contract.robot))
        self._gripper: Gripper = graph.gripper_of(named)
        about = GateAbout(named, _CLOCK_OFFSET_S, lock_step=False)
        self._asker = Asker(
            self, self._requests, who="wiggle", begin=self._begin, stamp=lambda: self._stamp_ns,
            names=self._names, about=about,
        )  # fmt: skip
        self._silence_s = named.input(JOINTS).max_receipt_age_s or _SILENCE_S
        self.q: FloatArray | None = None
        self._width: float | None = None
        self._stamp_ns = self._receipt_ns = 0
        self._meter, self._ages = LatencyMeter(), dict[int, float]()
        self._endpoints = Endpoints(self)
        listen, joints = self._endpoints.subscription, bindings[JOINTS]
        qos = streaming(joints.depth, reliable=joints.reliability == "reliable")
        listen(JointState, joints.topic, self.on_joints, qos)
        if self._grips:
            width = bindings[WIDTH]
            qos = streaming(width.depth, reliable=width.reliability == "reliable")
            listen(JointState, width.topic, self.on_fingers, qos)
        control, best = graph.controller, streaming(10, reliable=False)
        listen(JointTrajectory, control.command_topic, self.on_command, best)
        listen(JointTrajectoryControllerState, control.state_topic, self.on_controller, best)
        self._asker.connect(self._endpoints, "gate_node")
        self._endpoints.timer(self._contract.period, self.on_tick)
        self.trigger_configure()

    # -- operating -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin as soon as the gate is ready: the arm will move."""
        assert self.q is not None  # `missing` says so before
        self._begin(self.q)
        for _ in range(_WARM_UP):  # whoever does this for the first time is late
            self._requests.ask(self.wiggle.goal(0.0), self.q, 0)
            self.wiggle.see(self.q, 0.0)
        self._begin(self.q)
        self.trigger_activate()
        self._asker.wait()

    @property
    def seconds(self) -> float:
        """Time since the start of the motion [s]."""
        return self._requests.tick * self._contract.period

    @property
    def over(self) -> bool:
        """Whether all joints had their turn, or it ended early."""
        return bool(self.stopped) or self.seconds >= self.wiggle.seconds + self._contract.period

    @property
    def turn(self) -> str:
        """Which joint moves, empty while none does."""
        runs = self._asker.phase is Phase.RUNNING
        return self.wiggle.turn(self.seconds) if runs else ""

    def rest(self) -> None:
        """End: the gate brings the arm to rest."""
        self._asker.rest("the wiggle is over")

    def destroy_node(self) -> None:
        """End, and close everything."""
        self.rest()
        self._endpoints.close()
        super().destroy_node()

    def missing(self) -> str:
        """Return what was not heard yet, or an empty string."""
        if self.q is None:
            return "joint states"
        return f"{WIDTH}: positions of the fingers" if self._grips and self._width is None else ""

    def _begin(self, q: FloatArray) -> None:
        self._requests.begin(q)
        self.wiggle.begin(q)
        self.heard = Heard(sides=self.wiggle.sides)

    def _stop(self, reason: str) -> None:
        self.stopped = self.stopped or reason
        self._asker.stop(reason)

    # -- inputs --------------------------------------------------------------------------------

    def on_joints(self, message: JointState) -> None:
        """Judge where the arm is."""
        if not set(message.name) & set(self._names):
            return  # of a gripper, for example
        steady = time.monotonic_ns()
        try:
            q = joint_field(message, "position", self._names)
        except ValueError as error:
            self._stop(f"joint states: {error}")
            return
        self.q, self._stamp_ns, self._receipt_ns = q, to_ns(message.header.stamp), steady
        way = (self.get_clock().now().nanoseconds - self._stamp_ns) / 1e9
        self._meter.sent(self._stamp_ns, steady - round(max(0.0, way) * 1e9))
        if self._asker.phase is not Phase.RUNNING:
            return
        self.heard.seen.append((self._stamp_ns, q))
        if self._requests.tick and (problem := self.wiggle.see(q, self.seconds)):
            self._stop(problem)

    def on_fingers(self, message: JointState) -> None:
        """Keep how wide the gripper stands: it is asked to stay so."""
        if set(self._gripper.joint_names) <= set(message.name):
            fingers = joint_field(message, "position", self._gripper.joint_names)
            self._width = float(
                np.clip(self._gripper.width(fingers), 0.0, self._gripper.open_width)
            )

    def on_controller(self, message: JointTrajectoryControllerState) -> None:
        """Keep what the controller commands."""
        if self._asker.phase is Phase.RUNNING:
            q, _ = reference_from(message, self._names)
            self.heard.moved.append((to_ns(message.header.stamp), q))

    def on_command(self, message: JointTrajectory) -> None:
        """Note when a command came."""
        self.heard.commands += 1
        self._note(self._meter.arrived(message.header.frame_id, time.monotonic_ns()))

    def _note(self, latency: float | None) -> None:
        if latency is not None:
            self.heard.latency_s.append(latency)

    # -- ticks ---------------------------------------------------------------------------------

    def on_tick(self) -> None:
        """Ask at a steady deadline."""
        if self.stopped:
            return
        steady = time.monotonic_ns()
        skipped = self._asker.due(steady)
        if self._asker.phase is Phase.STOPPED:
            self.stopped = self._asker.reason
        if skipped is None or self.q is None:
            return
        silent = (steady - self._receipt_ns) / 1e9
        if silent > self._silence_s:
            self._stop(f"joint states have been silent for {silent:.3f} s")
            return
        self._requests.skip(skipped)
        action = self.wiggle.goal(self.seconds)
        request = self._requests.ask(action, self.q, self._stamp_ns)
        if self._grips:  # it stays as wide as it stood
            request = replace(request, width=self._width)
        self._asker.send(request, action)
        self._note(self._meter.asked(make_tag(request.session, request.tick), request.stamp_ns))
