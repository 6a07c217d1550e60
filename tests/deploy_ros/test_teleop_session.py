# pyright: standard, reportMissingModuleSource=false
"""A hand's requests without processes; what the node refuses when it is configured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.robots import FR3
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.base import Clocks
from sim2arm.sensors.teleop.person import TeleopCfg
from sim2arm.sensors.teleop.script import ScriptedDevice, ScriptStep
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from sim2arm_ros.launcher import private_domain  # noqa: E402
from sim2arm_ros.request_session import RequestSession  # noqa: E402
from sim2arm_ros.teleop_node import TeleopNode  # noqa: E402
from sim2arm_ros.teleop_session import TeleopSession  # noqa: E402

from .swinging import swinging_contract, write_swinging  # noqa: E402

HOME = np.asarray(FR3.home)
DT_NS = round(1e9 / 60.0)
PUSH = (ScriptStep(seconds=0.1, press=("quit",)), ScriptStep(seconds=9.0, twist=(0, 1, 0, 0, 0, 0)))


class Ticks:
    """A session at home with a scripted hand, ticked by hand."""

    def __init__(self, contract: Any, *steps: ScriptStep) -> None:
        self.ns = 10**10
        clocks = Clocks(steady_ns=lambda: self.ns, wall_ns=lambda: self.ns)
        device = ScriptedDevice(steps, clocks=clocks)
        self.session = TeleopSession(device, contract, FR3, TeleopCfg())
        self.session.begin(HOME)

    def tick(self, skipped: int = 0) -> Any:
        self.ns += (1 + skipped) * DT_NS
        now = self.ns
        self.session.push(HOME, now, now, now)
        return self.session.act(now, now, now, skipped)


def test_requests_are_those_of_the_same_actions() -> None:
    contract = swinging_contract()
    ticks, other = Ticks(contract, *PUSH), RequestSession(contract, FR3)
    other.begin(HOME)
    assert ticks.session.requests.session != other.session
    request, action = ticks.tick(), np.zeros(6)
    other.ask(action, HOME, request.stamp_ns)
    for number in range(1, 20):
        skipped = 2 if number == 10 else 0
        request = ticks.tick(skipped)
        action, labels = ticks.session.asked()
        assert tuple(labels) == contract.action.element_names and len(action) == 6
        other.skip(skipped)
        expected = other.ask(action, HOME, request.stamp_ns)
        np.testing.assert_array_equal(request.q, expected.q)
        assert request.tick == number + (2 if number >= 10 else 0)
    assert action[1] == 0.5 and request.q[0] > HOME[0] + 1e-3


def test_what_was_pressed_before_a_run_does_not_end_it() -> None:
    ticks = Ticks(swinging_contract(), *PUSH)
    ticks.tick()
    assert ticks.session.ask is not None and ticks.session.ask.presses == ()
    late = Ticks(swinging_contract(), ScriptStep(seconds=0.1), *PUSH)
    presses = [(late.tick(), late.session.ask)[1] for _ in range(10)]
    assert [name for ask in presses if ask for name in ask.presses] == ["quit"]


def test_with_joint_targets_the_goals_of_the_steps_are_the_actions() -> None:
    contract = as_joint_targets(swinging_contract())
    ticks, steps = Ticks(contract, *PUSH), Ticks(swinging_contract(), *PUSH)
    for _ in range(12):  # six of them with a step: not as far as the leash
        ticks.tick()
        steps.tick()
    action, labels = ticks.session.asked()
    assert tuple(labels) == FR3.joint_names == contract.action.element_names
    np.testing.assert_array_equal(action, ticks.session.requests.goal)
    assert ticks.session.requests.contract.action.kind == "ee_delta"
    # Steps of 10 mm as the controller has them, where the other contract has 5 mm.
    moved = (action - HOME)[0] / (steps.session.requests.goal - HOME)[0]
    assert moved == pytest.approx(2.0, rel=0.05)


def test_joint_states_that_are_too_old_are_an_error() -> None:
    ticks = Ticks(swinging_contract(), *PUSH)
    ticks.tick()
    now = ticks.ns + 10**9
    with pytest.raises(StaleReading, match=r"joint_position.* age"):
        ticks.session.act(now, now, now)
    ticks.session.forget()
    with pytest.raises(StaleReading, match="nothing received"):
        ticks.session.act(now, now, now)


# -- the node ----------------------------------------------------------------------------------


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[TeleopNode]:
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    rclpy.init(args=[])
    made = TeleopNode()
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.yaml"
    path.write_text("- {seconds: 1.0}\n")
    return f"script:{path}"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"device": ""}, "parameter device: expected NAME or NAME:WHERE, got nothing"),
        ({"device": "mouse"}, "no teleoperation device 'mouse'"),
        ({"device": "so101-leader:/dev/nowhere"}, "/dev/nowhere: no such port"),
        ({"lock_step": True}, "a person does not wait for ticks"),
        ({"settings": "/nowhere.yaml"}, "/nowhere.yaml"),
        ({"bundle": ""}, "expected the folder of a policy bundle"),
    ],
)
def test_bad_parameters_are_one_line(
    node: TeleopNode, tmp_path: Path, script: str, more: dict[str, Any], said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    lines: list[str] = []
    logger = node.get_logger()
    monkeypatch.setattr(logger, "error", lambda text, **_: lines.append(text))
    monkeypatch.setattr(node, "get_logger", lambda: logger)
    values = {"bundle": str(write_swinging(tmp_path / "bundle")), "device": script} | more
    for name, value in values.items():
        node.set_parameters([Parameter(name, value=value)])
    assert node.trigger_configure() is TransitionCallbackReturn.FAILURE
    assert len(lines) == 1 and said in lines[0] and "\n" not in lines[0]


def test_it_leaves_nothing_behind_and_is_red_without_an_arm(
    node: TeleopNode, tmp_path: Path, script: str
) -> None:
    settings = tmp_path / "teleop.yaml"
    settings.write_text("twist: {frame: tool, dead_zone: 0.2}\n")
    values = {
        "bundle": str(write_swinging(tmp_path / "bundle")), "device": script,
        "settings": str(settings),
    }  # fmt: skip
    for name, value in values.items():
        node.set_parameters([Parameter(name, value=value)])
    for _ in range(2):
        assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() is TransitionCallbackReturn.FAILURE
        red = {item.name for item in node.report() if not item.ok}
        assert {"kinematic chain", "joint_position: messages", "hand"} <= red
        assert node.trigger_cleanup() is TransitionCallbackReturn.SUCCESS
        assert not list(node.timers)
