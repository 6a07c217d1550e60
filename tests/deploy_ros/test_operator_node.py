# pyright: standard, reportMissingModuleSource=false
"""The operator's page in a real browser, in front of real processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install
from tests.browser import NO_BROWSER, find_browser

install()

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from sim2arm_ros.convert import status_values  # noqa: E402
from sim2arm_ros.dds.cyclone import Reader  # noqa: E402
from sim2arm_ros.dds.names import dds_service  # noqa: E402
from sim2arm_ros.dds.qos import to_dds  # noqa: E402
from sim2arm_ros.gate_machine import HELD  # noqa: E402
from sim2arm_ros.launcher import NodeProcess, recorder  # noqa: E402
from sim2arm_ros.node_support import latched, streaming  # noqa: E402
from sim2arm_ros.operator_html import OLD  # noqa: E402
from sim2arm_ros.requests import REQUEST_TOPIC  # noqa: E402

from .page_stand import Stand, joint_rows  # noqa: E402
from .rig import COMMANDS, Rig, assert_stopped, order  # noqa: E402
from .swinging import write_swinging  # noqa: E402

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER),
]

BUDGET_S = 1.0
"""Of ages and silences [s]: a browser makes a machine busy, and here no budget is tested."""
CYCLES = 1
"""What may be commanded of what is asked for after a hold was sent [control periods]."""
HOLD_REQUESTS = dds_service("/gate_node/hold")[0]


class Wire(Node):
    """Hears requests, commands and holds, each with the time at which its process wrote it [ns].

    So a busy test process changes nothing: only what the three others did counts.
    """

    def __init__(self, rig: Rig) -> None:
        super().__init__("wire", context=rig.relay.context)
        self.asked: dict[str, int] = {}
        self.commanded: list[tuple[str, int]] = []
        """(tag of the request, time)"""
        self.states: list[tuple[str, int]] = []
        """(what the gate said of itself, HELD where the operator holds it; time)"""
        participant = rig.relay.context.participant
        topic = participant.topic(HOLD_REQUESTS, Trigger.Request._NAME, header=True)
        self._requests = Reader(participant, topic, to_dds(QoSProfile(depth=10), "", writer=False))
        hear = self.create_subscription
        hear(JointTrajectory, REQUEST_TOPIC, self._on_request, streaming(100))
        hear(JointTrajectory, COMMANDS, self._on_command, streaming(100))
        hear(DiagnosticStatus, "/gate_node/state", self._on_state, latched())

    def holds(self) -> list[int]:
        """Return when the requests were written that came since the last look."""
        return [sample.source_timestamp for sample in self._requests.take(10)]

    def _on_request(self, message: JointTrajectory, info: Any) -> None:
        self.asked[_tick(message)] = info["source_timestamp"]

    def _on_command(self, message: JointTrajectory, info: Any) -> None:
        self.commanded.append((_tick(message), info["source_timestamp"]))

    def _on_state(self, message: DiagnosticStatus, info: Any) -> None:
        values = status_values(message)
        said = HELD if values["not_ready"] == HELD else values["state"]
        self.states.append((said, info["source_timestamp"]))

    def clear(self) -> None:
        self.holds()
        self.commanded.clear()
        self.states.clear()


def _tick(message: JointTrajectory) -> str:
    """Return the session and the tick of a request, or of its command."""
    return "/".join(message.header.frame_id.split("/")[:2])


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("page")
    rig = Rig(write_swinging(folder / "bundle", max_age_s=BUDGET_S), folder / "logs")
    stand = Stand(folder, rig)
    rig.set_parameter("gate_node", "request_timeout_s", BUDGET_S)
    rig.set_parameter("gate_node", "clock_freeze_s", BUDGET_S)
    yield stand
    stand.close()


@pytest.fixture
def wire(stand: Stand) -> Iterator[Wire]:
    wire = Wire(stand.rig)
    executor = stand.rig.relay.executor
    assert executor is not None
    executor.add_node(wire)
    yield wire
    executor.remove_node(wire)
    wire.destroy_node()


def moves(stand: Stand, *, keeps: bool = True) -> None:
    """Press Start until commands reach the arm, and with `keeps` until it keeps moving.

    A machine so busy that the policy misses ticks makes the gate hold at once: then once more.
    """
    rig, tab = stand.rig, stand.tab
    for _ in range(20):
        rig.relay.commands.clear()
        if "Remove the cause, then Reset" in tab.text():
            tab.click("Reset")
            tab.wait_text("Ready to start")
        tab.click("Start")
        tab.wait(lambda: "start ..." in tab.text() or rig.relay.commands, "start that begins")
        tab.wait(lambda: rig.pause(0.05) or "start ..." not in tab.text(), "end of the start")
        if len(rig.relay.commands) > 5 and (not keeps or rig.state() == "ACTIVE"):
            return
    raise AssertionError(f"the arm never moved: {rig.reason()}; page:\n{tab.text()}")


def test_a_start_a_hold_and_a_refusal_on_the_page(stand: Stand) -> None:
    rig, tab = stand.rig, stand.tab
    tab.wait_text("has said nothing yet")  # the gate is not configured
    other = stand.open()  # a second browser sees the same, and may hold as well
    other.wait_text("has said nothing yet")
    moves(stand, keeps=False)  # Start brings everything up
    tab.wait_text("observation to command")
    other.click("HOLD")
    rig.wait(lambda: rig.state() == "HOLD" and HELD in rig.reason(), "hold")
    for each in (tab, other):
        each.wait_text("Held by the operator")
        each.wait_text("the gate holds, confirmed in")
    other.close()
    assert_stopped(rig, time.monotonic())
    assert rig.lifecycle("policy_node") == "inactive"
    # What the gate says is what a start is refused with.
    assert rig.operator.call(Trigger, "/gate_node/estop", Trigger.Request()).success
    tab.wait_text(r"E-stop service\. Remove the cause, then Reset")
    tab.click("Start")
    tab.wait_text("start: refused: FAULT: e-stop service; reset first")
    tab.click("Reset")
    tab.wait_text("reset: the gate is in HOLD")
    tab.wait_text("Ready to start")
    rig.wait(lambda: rig.state() == "HOLD", "HOLD")


def test_joints_on_the_page_move_as_the_arm_does(stand: Stand) -> None:
    rig, tab = stand.rig, stand.tab
    seen: dict[str, set[str]] = {name: set() for name in order()}

    def look() -> bool:
        rig.pause(0.05)
        for name, cells in joint_rows(tab).items():
            seen[name].add(cells[1])
        return max(len(positions) for positions in seen.values()) > 2

    for _ in range(5):  # a busy machine may stop the policy
        moves(stand)
        tab.wait(lambda: look() or rig.policy_stopped(), "joint that swings")
        if look():
            break
    assert look(), seen
    tab.click("HOLD")
    rig.wait(lambda: HELD in rig.operator.gate.get("not_ready", ""), "hold")
    # At rest it shows what the witness measures, in whole degrees.
    assert_stopped(rig, time.monotonic())
    measured = [f"{np.rad2deg(q):.0f}°" for q in rig.relay.states[-1][2]]
    tab.wait(lambda: [joint_rows(tab)[name][1] for name in order()] == measured, "true joints")


def test_hold_on_the_page_works_within_a_cycle(stand: Stand, wire: Wire) -> None:
    """Of what the policy asks for after the click was sent, at most one more is commanded."""
    rig, tab = stand.rig, stand.tab
    held = 0
    for _ in range(10):
        moves(stand)
        wire.clear()
        rig.wait(lambda: wire.states, "state of the gate")
        since = time.monotonic()
        tab.click("HOLD")
        rig.wait(lambda: HELD in dict(wire.states), "hold")
        assert_stopped(rig, since)
        sent, said = wire.holds()[0], dict(reversed(wire.states))[HELD]
        last = [tick for tick, at in wire.commanded if wire.asked.get(tick, at) > sent]
        assert len(last) <= CYCLES, f"{len(last)} commands asked for after the hold: {last}"
        late = [at for _, at in wire.commanded if at > said]
        assert not late, f"{len(late)} commands after the gate said HOLD"
        tab.wait_text("the gate holds, confirmed in")
        before = [state for state, at in wire.states if at < said]
        held += before[-1:] == ["ACTIVE"]  # else a busy machine had stopped it before
        if held == 3:
            break
    assert held == 3
    rig.judge()  # no command broke a limit


def recorder_of(stand: Stand, name: str, **parameters: object) -> NodeProcess:
    node = recorder(stand.folder / name, stand.rig.bundle)
    return replace(node, parameters={**node.parameters, **parameters})


def test_a_recorder_that_dies_mid_episode_is_missed_in_red(stand: Stand) -> None:
    rig, tab = stand.rig, stand.tab
    rig.launch.start(recorder_of(stand, "log"), rig.env)
    tab.wait_text("The log runs; no episode is marked yet")
    tab.click("Start episode")
    tab.wait_text("Episode 1 is being recorded")
    rig.send_signal("recorder_node", signal.SIGKILL)
    tab.wait_text(r"The recorder is silent for \d+ s: nothing is recorded")
    assert "is being recorded" not in tab.text() and "Episode 1 is cut off" in tab.text()
    ground = "getComputedStyle(document.querySelector('#alarm')).backgroundColor"
    assert tab.evaluate(ground) == "rgb(198, 47, 47)"
    for label in ("Start episode", "Keep episode", "Discard episode"):
        assert tab.evaluate(
            "[...document.querySelectorAll('button')]"
            f".find(b => b.innerText.trim() === '{label}').disabled"
        )
    # Another one is heard again; it has no room for anything, and somebody sends in another way.
    rig.launch.start(recorder_of(stand, "other", queue_mb=0), rig.env)
    tab.wait_text("The log runs; no episode is marked yet")
    assert tab.evaluate("document.querySelector('#alarm')") is None
    tab.wait_text(r"The log has gaps: \d+ messages had no room: the disk is too slow")
    unheard = rig.relay.create_publisher(
        DiagnosticArray, "/diagnostics", streaming(10, reliable=False)
    )
    tab.wait_text("Not recorded: /diagnostics from relay: .*reliab")
    rig.relay.destroy_publisher(unheard)
    rig.end("recorder_node")


def test_a_page_that_hangs_or_dies_changes_nothing(stand: Stand) -> None:
    rig, tab = stand.rig, stand.tab
    moves(stand)
    rig.send_signal("operator_node", signal.SIGSTOP)
    began = len(rig.relay.commands)
    rig.pause(3.5)
    if not rig.policy_stopped():  # unless the machine was too busy for the arm itself
        assert rig.state() == "ACTIVE" and len(rig.relay.commands) > began + 20
    assert tab.evaluate("getComputedStyle(document.querySelector('#old')).visibility") == "visible"
    assert OLD in tab.text()
    rig.send_signal("operator_node", signal.SIGCONT)
    tab.wait(lambda: OLD not in tab.text(), "page that goes on")
    tab.click("HOLD")
    rig.wait(lambda: rig.state() == "HOLD" and HELD in rig.reason(), "hold")
    rig.send_signal("operator_node", signal.SIGKILL)
    rig.pause(0.5)
    assert rig.state() == "HOLD" and rig.operator.gate["not_ready"] == HELD
    # It can be started again: the browser finds it and shows what is.
    tab.wait(lambda: OLD in tab.text(), "browser that knows")
    stand.start_page()
    tab.wait(lambda: OLD not in tab.text(), "page that goes on")
    tab.wait_text("Held by the operator")
