"""What the steps of `sim2arm doctor robot` do with running nodes: each returns what it found."""

# pyright: standard

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace

from sim2arm_ros.activation import Item, equal
from sim2arm_ros.input_watch import InputWatch
from sim2arm_ros.launcher import Launch
from sim2arm_ros.node_support import forget_garbage
from sim2arm_ros.peers import needs, peer_items
from sim2arm_ros.robot_modes import RobotModes
from sim2arm_ros.supervisor import OperationError, Supervisor
from sim2arm_ros.wiggle import moves_by
from sim2arm_ros.wiggle_node import WiggleNode

from .answers import YES, Answers
from .ros import Ready

GATE, POLICY = "gate_node", "policy_node"
LISTEN_S = 4.0
"""For how long rates and ages are measured [s]."""
STOP_S = 60.0
"""How long a person may take to press the e-stop, and to release it [s]."""
LATCHED_S = 1.0
"""How long a fault must stand by itself [s]."""
SERVICE = "service"
"""What a person types who has no button."""
_SLACK_S = 15.0
"""For what takes well under a second on an idle computer [s]."""


class Steps:
    """The steps that need nodes."""

    def __init__(
        self,
        supervisor: Supervisor,
        launch: Launch,
        ready: Ready,
        answers: Answers,
        *,
        sim_time: bool,
        patience_s: float,
    ) -> None:
        """Prepare.

        Args:
            supervisor: in the domain.
            launch: the processes.
            ready: what was given.
            answers: of the person.
            sim_time: a simulated arm gives the time.
            patience_s: how long what is red may take to turn green [s].
        """
        self._supervisor, self._launch, self._answers = supervisor, launch, answers
        self._graph, self._trained = ready.graph, ready.contract
        self._contract = ready.graph.named(ready.contract)
        self._sim_time, self._patience = sim_time, patience_s
        supervisor.patience_s = patience_s

    # -- waiting -------------------------------------------------------------------------------

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._supervisor.spin_until(lambda: time.monotonic() > end, seconds + _SLACK_S, "time")

    def _settled(self, look: Callable[[], list[Item]]) -> list[Item]:
        """Return what is found once nothing is red, or when the patience is over."""
        end = time.monotonic() + self._patience
        found = look()
        while not all(item.ok for item in found) and time.monotonic() < end:
            self._pause(0.25)
            found = look()
        return found

    def _until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Wait for something that may not come; return whether it did.

        Raises:
            OperationError: a process ended.
        """
        end = time.monotonic() + seconds
        self._supervisor.spin_until(
            lambda: condition() or time.monotonic() > end, seconds + _SLACK_S, "time"
        )
        return bool(condition())

    # -- peers, inputs, reports ----------------------------------------------------------------

    def peers(self) -> list[Item]:
        """Look who is in the domain; gate and policy are not there yet."""
        wanted = needs(self._graph, self._contract)
        node = self._supervisor.node
        return self._settled(lambda: peer_items(node, self._graph, wanted))

    def inputs(self, clock_s: float) -> list[Item]:
        """Listen to every input; `clock_s` is how far clocks may be apart [s]."""
        context = self._supervisor.node.context
        watch = InputWatch(self._graph, self._contract, context, sim_time=self._sim_time)
        self._supervisor.join(watch)
        try:
            self._until(lambda: not watch.silent, self._patience)
            watch.forget()
            self._pause(LISTEN_S)
            return watch.items(clock_s)
        finally:
            self._supervisor.leave(watch)

    def reports(self) -> list[Item]:
        """Configure gate and policy, activate the gate, ask the policy for its report alone.

        The gate then holds, and publishes nothing.
        """
        supervisor = self._supervisor
        for node in (GATE, POLICY):
            if not supervisor.transition(node, "configure"):
                lines = [x for x in self._launch.tail(node, 20).splitlines() if "not conf" in x]
                said = lines[-1][lines[-1].index("not conf") :] if lines else "its log says why"
                return [Item(name=node, expected="configured", measured="", ok=False, note=said)]
        with suppress(OperationError):  # red items are in its report
            supervisor.activate(GATE)
        end = time.monotonic() + self._patience
        while self._refusal(f"{POLICY}/report") and time.monotonic() < end:
            self._pause(0.25)
        reports = supervisor.reports
        self._until(lambda: {GATE, POLICY} <= set(reports), _SLACK_S)
        return [
            *(
                equal(f"report of {node}", "told", None)
                for node in (GATE, POLICY)
                if node not in reports
            ),
            *(_of(node, item) for node in (GATE, POLICY) for item in reports.get(node, ())),
            equal("policy", "inactive", supervisor.state_of(POLICY)),
        ]

    def _refusal(self, service: str) -> str:
        """Call a service that only does something; return why it did not, or an empty string.

        Raises:
            OperationError: a process has ended.
        """
        try:
            self._supervisor.trigger(service)
        except OperationError as error:
            if self._launch.dead():
                raise
            return str(error)
        return ""

    # -- e-stop --------------------------------------------------------------------------------

    def stop(self) -> list[Item]:
        """Have the person press the e-stop; see that it latches, and that a reset ends it."""
        ready = self._ready_item()
        if not ready.ok:
            return [ready]
        self._answers.ask(
            f"Press the e-stop now, within {STOP_S:.0f} s: what says true on /{GATE}/estop, or the "
            f"robot's own button.\nNothing to press yet? Type {SERVICE}: the doctor then calls the "
            f"service /{GATE}/estop:"
        )
        failed = self._press()
        print(flush=True)
        gate, name, expected = self._supervisor.gate, "it is heard", "FAULT, by the e-stop"
        reason = failed or gate.get("reason", "")
        if gate.get("state") != "FAULT" or not self._is_stop(reason):
            return [
                Item(name=name, expected=expected, ok=False,
                     measured=f"{gate.get('state')}: {reason}".rstrip(": "),
                     note=f"does what you press publish true on /{GATE}/estop (std_msgs/Bool)?")
            ]  # fmt: skip
        heard = Item(name=name, expected=expected, measured=f"FAULT: {reason}", ok=True)
        self._pause(LATCHED_S)
        latched = equal("it latches", "FAULT", self._supervisor.gate.get("state"))
        return [heard, latched, *([self._reset_item(), self._ready_item()] if latched.ok else [])]

    def _press(self) -> str:
        """Wait for the fault, or for the word that calls the service; return why that failed."""
        end, gone = time.monotonic() + STOP_S, False
        while time.monotonic() < end and self._supervisor.gate.get("state") != "FAULT":
            line = None if gone else self._answers.line()
            gone = gone or self._answers.closed  # a button may be pressed all the same
            if line == SERVICE and (refusal := self._refusal(f"{GATE}/estop")):
                return refusal
            self._pause(0.1)
        return ""

    def _is_stop(self, reason: str) -> bool:
        """Return whether the reason of a fault is an e-stop, or a mode of the robot."""
        modes = self._graph.modes
        facts = [] if modes is None else [fact.name for fact in RobotModes(modes).facts()]
        return "e-stop" in reason or any(reason.startswith(fact) for fact in facts)

    def _reset_item(self) -> Item:
        """Reset the gate, as soon as the e-stop is released."""
        told, end = "", time.monotonic() + STOP_S
        while refusal := self._refusal(f"{GATE}/reset"):
            if time.monotonic() > end:
                break
            if refusal != told:
                told = refusal
                print(f"Release the e-stop now ({told})", flush=True)
            self._pause(0.25)
        return equal("a reset ends it", "HOLD", refusal or "HOLD", "release the e-stop")

    def _ready_item(self) -> Item:
        """Return whether the gate would let somebody in, at the latest in a while."""
        supervisor = self._supervisor
        ready = self._until(lambda: supervisor.gate.get("ready") == "True", _SLACK_S)
        why = supervisor.gate.get("not_ready") or "not ready"
        return equal("gate", "ready", "ready" if ready else why)

    # -- motion --------------------------------------------------------------------------------

    @contextmanager
    def wiggle(self) -> Generator[WiggleNode]:
        """Open who asks for the motion; it ends with the block, and the arm comes to rest."""
        node = WiggleNode(
            self._trained, self._graph, self._supervisor.node.context, sim_time=self._sim_time
        )
        self._supervisor.join(node)
        try:
            yield node
        finally:
            self._supervisor.leave(node)

    def room(self, node: WiggleNode) -> list[Item]:
        """Return whether every joint has room where the arm stands."""
        if not self._until(lambda: not node.missing(), self._patience):
            return [Item(name=node.missing(), expected="heard", measured="", ok=False)]
        assert node.q is not None  # or it was missing
        return [*node.wiggle.room(node.q), self._ready_item()]

    def agreed(self, node: WiggleNode) -> bool:
        """Ask the person whether the arm may move; only a `yes` says so."""
        self._answers.ask(
            f"The arm will move: {moves_by(node.wiggle.names, node.wiggle.cfg)}.\n"
            f"Keep the e-stop at hand and everybody away. Type {YES} to move it, anything else to "
            "end this:"
        )
        said: list[str] = []

        def answered() -> bool:
            if (line := self._answers.line()) is not None:
                said.append(line)
            return bool(said)

        self._supervisor.spin_until(answered, float("inf"), "answer")
        return said[0] == YES

    def move(self, node: WiggleNode) -> list[Item]:
        """Move one joint after the other; return what each did, up to the first that is wrong."""
        told = [""]

        def over() -> bool:
            if node.turn not in told:
                told.append(node.turn)
                print(f"moves: {node.turn}", flush=True)
            return node.over

        forget_garbage()
        self._pause(0.5)  # what waited meanwhile is old
        node.start()
        self._until(over, node.wiggle.seconds + _SLACK_S)
        seconds, passed = node.seconds, node.over
        node.rest()
        self._until(lambda: self._supervisor.gate.get("state") != "ACTIVE", _SLACK_S)
        items = node.wiggle.items(seconds)
        if node.wiggle.problem:
            return items
        why = node.stopped or ("" if passed else "the gate let nothing in")
        return [
            *items,
            Item(name="gate", expected="lets it pass to its end", measured=why or "to its end",
                 ok=not why, note="the arm stands; is this computer too slow or too busy?"),
        ]  # fmt: skip


def _of(node: str, item: Item) -> Item:
    """Return an item with the node that answers for it."""
    return replace(item, name=f"{node.removesuffix('_node')}: {item.name}")
