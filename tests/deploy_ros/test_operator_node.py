# pyright: standard, reportMissingModuleSource=false
"""The operator's page in a real browser, in front of real processes."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install
from tests.browser import NO_BROWSER, Browser, Tab, find_browser

install()

from std_srvs.srv import Trigger  # noqa: E402

from sim2arm_ros.gate_machine import HELD  # noqa: E402
from sim2arm_ros.launcher import operator_page  # noqa: E402
from sim2arm_ros.operator_html import OLD  # noqa: E402

from .rig import Rig, assert_no_command_since, assert_stopped  # noqa: E402
from .swinging import write_swinging  # noqa: E402

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER),
]

BUSY_S = 0.1
"""What a busy machine may take longer than the control period [s]."""


class Stand:
    """The rig, the page, and a browser that has it open."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.rig = Rig(write_swinging(folder / "bundle"), folder / "logs")
        self.browser = Browser(folder / "profile")
        self.address = f"http://127.0.0.1:{self.port}"
        self.start_page()
        self.tab = self.open()

    def start_page(self) -> None:
        page = operator_page(self.rig.bundle, port=self.port, simulated=True)
        self.rig.launch.start(page, self.rig.env)

        def serves() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        self.rig.wait(serves, "page")

    def open(self) -> Tab:
        tab = self.browser.open(self.address, 600, 400, scale=0.2)
        tab.wait_text("in its limits")
        return tab

    def close(self) -> None:
        self.browser.close()
        self.rig.close()


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    stand = Stand(tmp_path_factory.mktemp("page"))
    yield stand
    stand.close()


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


def test_the_gate_holds_within_a_cycle_of_what_the_page_sends(stand: Stand) -> None:
    rig = stand.rig
    moves(stand)
    since = time.monotonic()
    rig.operator.call(Trigger, "/gate_node/hold", Trigger.Request())
    assert_no_command_since(rig, since, 1.0 / 60.0 + BUSY_S)
    assert_stopped(rig, since)
    rig.judge()  # no command broke a limit


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
