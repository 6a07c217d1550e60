"""operator_node: the page on which a person starts, holds and watches an arm.

It is never in the way of the arm: it hears everything best effort, so that nobody waits for it,
looks twenty times a second at what is newest instead of waking for each message, and runs niced.
A hold is the gate's: it stands whether this process lives or not, and while the arm moves the end
of this process changes nothing. Who has no page holds the arm by Ctrl-C of `sim2arm ros up`, by
`~/hold` or `~/estop` of the gate, and above all by the emergency stop.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from sim2arm.core.contract import Contract
from sim2arm.policies.bundle import BundleError
from sim2arm.policies.verify import load_contract

from . import activation
from .convert import MESSAGES, pose_array, status_message, status_values, to_ns
from .convert_pictures import image_array
from .graph import JOINT_STATE, POSE_STAMPED, InputBinding
from .node_support import (
    bundle_parameters,
    declare_set_up,
    graph_parameter,
    latched,
    run_nodes,
    streaming,
)
from .operator_deeds import Deeds
from .operator_page import Buttons, OperatorPage
from .operator_state import Curve, OperatorState, old_picture
from .page_pictures import Picture, blended
from .recorder_topics import stamp_of
from .seen import picture_from
from .trial_topics import REFERENCE, TRIAL, VERDICT

PERIOD_S = 0.05
"""Between two looks at what is newest [s]."""
PICTURE_S = 0.25
"""Between two pictures of one camera [s]."""
_IDLE_TURNS = 4
"""Turns of the executor without a message of ours after which nothing more is waited for."""
_MOST_TURNS = 200
NICE = 10
OVERLAY = "the first start of the pair over what is seen now"


class OperatorNode(Node):
    """What the page is fed with."""

    def __init__(self) -> None:
        """Serve the page and listen.

        Raises:
            ValueError: bundle or graph cannot be read, or the port cannot be had; one line.
        """
        super().__init__("operator_node")
        defaults: dict[str, Any] = {
            "host": "127.0.0.1", "port": 8080, "asker": "policy_node",
            "simulated": False, "judge": False,
        }  # fmt: skip
        declare_set_up(self)
        for name, value in defaults.items():
            self.declare_parameter(name, value)
        self._graph = graph_parameter(self)
        contract = self._contract()
        self.state = OperatorState()
        self.asker = self._text("asker")
        self.taken = self._watched = 0
        self._asked: dict[str, Any] = {}
        self._raw: dict[str, tuple[InputBinding, bytes, float]] = {}
        self._drawn: dict[str, float] = {}
        self._pictures: dict[str, Picture] = {}
        self._said: dict[str, int | None] = {}
        self._reference: Picture | None = None
        self._joint_names = contract.joint_names
        self._specs = {spec.name: spec for spec in contract.inputs}
        self.deeds = Deeds(self.state, self._client, asker=f"/{self.asker}")
        judging = bool(self.get_parameter("judge").value)
        self._verdict = self.create_publisher(DiagnosticStatus, VERDICT, streaming(10))
        self.page = OperatorPage(
            contract, self._buttons(judging=judging), blind=judging,
            asker="hand" if self.asker == "teleop_node" else "policy",
            host=self._text("host"), port=int(self.get_parameter("port").value),
        )  # fmt: skip
        self._listen(contract)
        self.get_logger().info(f"open {self.page.address}")

    def _text(self, name: str) -> str:
        return str(self.get_parameter(name).value)

    def _contract(self) -> Contract:
        try:
            return self._graph.named(load_contract(*bundle_parameters(self)))
        except BundleError as error:
            raise ValueError(str(error)) from error

    def _buttons(self, *, judging: bool) -> Buttons:
        deeds = self.deeds
        return Buttons(
            start=deeds.start, hold=deeds.hold, reset=deeds.reset, record=deeds.record,
            begin_episode=deeds.begin_episode
            if self.get_parameter("simulated").value and not judging
            else None,
            judge=self._judge if judging else None,
        )  # fmt: skip

    def _judge(self, verdict: str) -> None:
        number = self.state.trial.get("trial")
        values = {"verdict": verdict, "trial": number}
        self._verdict.publish(status_message(DiagnosticStatus.OK, "verdict", verdict, values))

    def _client(self, kind: Any, name: str) -> Any:
        if name not in self._asked:
            self._asked[name] = self.create_client(kind, name)
        return self._asked[name]

    # -- topics --------------------------------------------------------------------------------

    def _listen(self, contract: Contract) -> None:
        graph = self._graph
        bindings = graph.bindings(contract)
        hear = self._hear
        hear(DiagnosticStatus, "/gate_node/state", self._on_gate, latched())
        hear(DiagnosticStatus, f"/{self.asker}/state", partial(self._on, "asker"), latched())
        hear(DiagnosticStatus, "/recorder_node/state", partial(self._on, "recorder"), latched())
        hear(DiagnosticStatus, TRIAL, partial(self._on, "trial"), latched())
        hear(Image, REFERENCE, self._on_reference, latched())
        for node in ("gate_node", self.asker):
            hear(String, f"/{node}/activation", self._on_report, latched())
        hear(String, graph.robot_description, self._on_description, latched())
        topics: dict[str, dict[str, InputBinding]] = {}
        for name, binding in bindings.items():
            topics.setdefault(binding.topic, {})[name] = binding
            self.state.ages[name] = Curve()
        for topic, group in topics.items():
            kind = MESSAGES[next(iter(group.values())).type]
            raw = next(iter(group.values())).is_picture
            call = partial(self._on_picture if raw else self._on_input, group)
            # More publishers than one may send joint states: the newest few of each look.
            hear(kind, topic, call, streaming(1 if raw else 4, reliable=False), raw=raw)
        for service in ("hold", "reset"):  # found before they are needed
            self._client(Trigger, f"/gate_node/{service}")

    def _hear(
        self, kind: Any, topic: str, callback: Callable[[Any], None], qos: Any, *, raw: bool = False
    ) -> None:
        def taken(message: Any) -> None:
            self.taken += 1
            callback(message)

        self.create_subscription(kind, topic, taken, qos, raw=raw)

    def _on(self, name: str, message: DiagnosticStatus) -> None:
        getattr(self.state, name).hear(status_values(message), message.message, time.monotonic())

    def _on_gate(self, message: DiagnosticStatus) -> None:
        self.state.hear_gate(status_values(message), message.message, time.monotonic())

    def _on_report(self, message: String) -> None:
        try:
            node, items = activation.from_json(message.data)
        except ValueError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        self.state.reports[node] = items

    def _on_description(self, message: String) -> None:
        try:
            self.page.scene.describe(message.data)
        except ValueError as error:
            self.get_logger().warning(f"the arm is not drawn: {error}")
        for line in self.page.scene.missing:
            self.get_logger().warning(f"drawn without a mesh: {line}")

    def _on_input(self, group: dict[str, InputBinding], message: Any) -> None:
        stamp, kind = to_ns(message.header.stamp), next(iter(group.values())).type
        if kind == JOINT_STATE:
            self._on_joints(message)
            if not any(name in message.name for name in self._joint_names):
                return  # of a gripper: not what the ages are of
        elif kind == POSE_STAMPED:
            for name in group:
                try:
                    self.state.poses[name] = pose_array(message)
                except ValueError:
                    self.state.poses.pop(name, None)
        self._note_age(group, stamp)

    def _on_joints(self, message: JointState) -> None:
        state = self.state
        state.positions.update(zip(message.name, message.position, strict=False))
        state.velocities.update(zip(message.name, message.velocity, strict=False))
        if any(name in message.name for name in self._joint_names):
            state.joints_heard = time.monotonic()

    def _on_picture(self, group: dict[str, InputBinding], data: bytes) -> None:
        now, age = time.monotonic(), self._note_age(group, stamp_of(data))
        for name, binding in group.items():
            self._raw[name] = (binding, data, now - max(0.0, age))

    def _note_age(self, group: dict[str, InputBinding], stamp_ns: int) -> float:
        """Note and return the age of a stamp [s]; 0 where there is none."""
        if stamp_ns == 0:
            return 0.0
        age = (self.get_clock().now().nanoseconds - stamp_ns) / 1e9
        for name in group:
            self.state.ages[name].add(time.monotonic(), age)
        return age

    def _on_reference(self, message: Image) -> None:
        try:
            self._reference = image_array(message)
        except ValueError as error:
            self.get_logger().warning(f"{REFERENCE}: {error}")

    # -- the loop ------------------------------------------------------------------------------

    def look(self) -> None:
        """Draw what there is to see, if somebody looks."""
        self.deeds.step()
        watched = self.page.watched
        if watched != self._watched:
            self._watched = watched
            self.get_logger().info(f"the page is open in {watched} browsers")
        if not watched:
            return
        self.page.draw(self.state, self.deeds.busy)
        if not self.state.trial.get("overlay"):
            self.page.hide_picture(OVERLAY)
        self._draw_pictures(time.monotonic())

    def _draw_pictures(self, now: float) -> None:
        """Show the newest pictures, and of those that no newer one came for how old they are."""
        for name, (binding, data, made) in list(self._raw.items()):
            if now - self._drawn.get(name, 0.0) >= PICTURE_S:
                self._drawn[name] = now
                del self._raw[name]
                self._read(name, binding, data, made)
        for name, picture in self._pictures.items():
            old = old_picture(self.state, self._specs[name], now)
            said = None if old is None else round(old)
            if self._drawn[name] == now or said != self._said.get(name):
                self._said[name] = said
                self._show(name, picture, old)

    def _read(self, name: str, binding: InputBinding, data: bytes, made: float) -> None:
        message: Any = deserialize_message(data, MESSAGES[binding.type])
        shape = self._specs[name].shape
        gels = shape[0] if len(shape) == 4 else 1
        try:
            self._pictures[name] = picture_from(message, binding, gels)
        except ValueError as error:
            self.get_logger().warning(f"{name} is not shown: {error}", throttle_duration_sec=5.0)
            return
        self.state.pictures[name] = made

    def _show(self, name: str, picture: Picture, old_s: float | None) -> None:
        self.page.show_picture(name, picture, old_s)
        if self._reference is not None and self.state.trial.get("overlay") == name:
            self.page.show_picture(OVERLAY, blended(self._reference, picture), old_s)

    def destroy_node(self) -> None:
        """Stop to serve too."""
        self.page.stop()
        super().destroy_node()


def spin(executor: SingleThreadedExecutor, node: OperatorNode) -> None:
    """Look twenty times a second at what is newest, until a signal."""
    while rclpy.ok():
        end = time.monotonic() + PERIOD_S
        idle = turns = 0
        while idle < _IDLE_TURNS and turns < _MOST_TURNS:
            before, turns = node.taken, turns + 1
            executor.spin_once(0.0)
            idle = 0 if node.taken > before else idle + 1
        node.look()
        time.sleep(max(0.0, end - time.monotonic()))


def main() -> int:
    """Run the node until a signal, below everything that moves the arm."""
    os.nice(NICE)
    return run_nodes(
        lambda: [OperatorNode()], spin=lambda executor, nodes: spin(executor, nodes[0])
    )
