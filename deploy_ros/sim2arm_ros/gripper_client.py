"""The gate's hand on the gripper: an action client that sends a goal when another width is wanted.

Grippers obey one goal at a time. A goal for one that is busy waits until it is free, unless a new
one interrupts it (`GripperSpec.preemptible`); what was wanted meanwhile is forgotten. When the gate
holds, what is held stays held, and what closes closes no further.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from action_msgs.msg import GoalStatus
from control_msgs.action import GripperCommand
from sensor_msgs.msg import JointState

from sim2arm.core.contract import Contract

from . import activation
from .activation import Item
from .convert import joint_field
from .graph import FRANKA, Graph
from .node_support import Endpoints, streaming
from .requests import WIDTH

_SOFT = 0.002
"""How far the width may be measured beyond its ends [m]: stops are soft."""


class GripperClient:
    """Works one gripper.

    Attributes:
        dropped: wanted widths that met a busy gripper.
        failed: what the gripper said of its last goal when it ended otherwise than asked for.
    """

    def __init__(
        self, endpoints: Endpoints, graph: Graph, contract: Contract, *, lock_step: bool
    ) -> None:
        """Open clients, and a subscription for the width.

        Args:
            endpoints: of the node.
            graph: says which action works the gripper, and where its fingers are told.
            contract: of a policy that works it: force, speed, least change.
            lock_step: whether the gripper itself says whether it takes a goal, at every tick.
        """
        assert contract.gripper is not None  # `grips` says so
        self._binding, self._spec = graph.gripper, contract.gripper
        self._gripper = graph.gripper_of(contract)
        self._waits, self._asks = lock_step, lock_step or self._spec.preemptible
        self._kinds = _kinds(franka=self._binding.type == FRANKA)
        self._clients = {
            end: endpoints.action_client(kind, f"{self._binding.name}{end}")
            for end, kind in self._kinds.items()
        }
        heard = graph.bindings(contract)[WIDTH]
        qos = streaming(heard.depth, reliable=heard.reliability == "reliable")
        endpoints.subscription(JointState, heard.topic, self.on_fingers, qos)
        self.dropped, self.failed = 0, ""
        self._told: float | None = None
        self._width: float | None = None
        self._misfit = ""
        self._running: Any = None  # a goal that was sent, until its result came
        self._closes = False

    def on_fingers(self, message: JointState) -> None:
        """Take the positions of the fingers, in messages that have them."""
        names = self._gripper.joint_names
        if not set(message.name) & set(names):
            return
        try:
            fingers = joint_field(message, "position", names)
        except ValueError as error:
            self._misfit = f"fingers: {error}"
            return
        self._misfit, self._width = "", float(self._gripper.width(fingers))

    def begin(self, width: float) -> None:
        """Begin a session with its first wanted width [m]: that where the gripper stands is none.

        Who asks has read the fingers at another time: they differ by what they were measured.
        """
        stands = min(max(self._width or 0.0, 0.0), self._spec.open_width)
        self._told = width if abs(width - stands) <= self._spec.least_change else stands

    def problem(self) -> str | None:
        """Return why the gripper cannot be worked, or None."""
        missing = [
            f"{self._binding.name}{end}"
            for end, client in self._clients.items()
            if not client.server_is_ready()
        ]
        return self._misfit or (f"gripper: no action server {missing[0]}" if missing else None)

    def items(self) -> list[Item]:
        """Return the items of the activation report."""
        note = "is the gripper's driver running? its action is in graph.yaml under gripper"
        return [
            activation.equal("gripper: action", "served", self.problem() or "served", note),
            activation.within(
                "gripper: width", self._width, -_SOFT, self._spec.open_width + _SOFT, "m",
                "are the positions of the fingers published?",
            ),
        ]  # fmt: skip

    def command(self, width: float, then: Callable[[], None]) -> None:
        """Ask for a width [m] if it is another one; call `then` once it is known who obeys.

        In lock step that is when the gripper has answered, else at once.
        """
        told = self._told
        if width == told:
            then()
            return
        if self._running is not None and not self._asks:
            self.dropped += 1
            then()
            return
        opens = told is not None and width > told
        end, goal = self._goal(width, opens=opens)
        self._closes = not opens
        future = self._clients[end].send_goal_async(goal)
        self._running = future
        later = then if self._waits else _nothing
        future.add_done_callback(partial(self._on_answer, width, later))
        if not self._waits:
            then()  # the arm waits for no gripper

    def stop(self) -> None:
        """Close no further, where a goal that closes is under way.

        A gripper that takes goals while it moves gets one for where it stands; another one is asked
        to give its goal up.
        """
        running, width = self._running, self._width
        if running is None or not self._closes:
            return
        self._closes = False
        if self._spec.preemptible and width is not None:
            self._told = None
            self.command(min(max(width, 0.0), self._spec.open_width), _nothing)
        elif hasattr(running, "cancel_goal_async"):
            running.cancel_goal_async()
        else:  # not answered yet
            running.add_done_callback(_give_up)

    def _goal(self, width: float, *, opens: bool) -> tuple[str, Any]:
        spec, binding = self._spec, self._binding
        end = "" if binding.type != FRANKA else "/move" if opens else "/grasp"
        goal: Any = self._kinds[end].Goal()
        if not end:
            as_finger = binding.position == "finger"
            goal.command.position = self._gripper.position(width) if as_finger else width
            goal.command.max_effort = spec.force
            return end, goal
        goal.width, goal.speed = width, spec.speed
        if end == "/grasp":
            goal.force, goal.epsilon.inner, goal.epsilon.outer = spec.force, width, binding.slack
        return end, goal

    def _on_answer(self, width: float, then: Callable[[], None], future: Any) -> None:
        handle = future.result()
        if handle is None or not handle.accepted:
            self.dropped += 1
            if self._running is future:
                self._running = None
        else:
            self._told = width
            if self._running is future:
                self._running = handle
            handle.get_result_async().add_done_callback(partial(self._on_end, handle))
        then()

    def _on_end(self, handle: Any, future: Any) -> None:
        if self._running is handle:
            self._running = None
        answer = future.result()
        if answer is None or answer.status == GoalStatus.STATUS_SUCCEEDED:
            self.failed = ""
        elif answer.status == GoalStatus.STATUS_ABORTED:
            self.failed = str(getattr(answer.result, "error", "")) or "it was given up"


def _give_up(future: Any) -> None:
    """Ask to give up a goal that was accepted just now."""
    handle = future.result()
    if handle is not None and handle.accepted:
        handle.cancel_goal_async()


def _nothing() -> None:
    """Do nothing: it is done already."""


def _kinds(*, franka: bool) -> dict[str, Any]:
    """Return the types of the actions by the ends of their names; others' need not be there."""
    if not franka:
        return {"": GripperCommand}
    from franka_msgs.action import Grasp, Move

    return {"/grasp": Grasp, "/move": Move}
