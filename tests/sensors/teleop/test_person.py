"""What a person asks of an arm: actions of a contract, holds with their reason, presses."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from sim2arm.core.contract import Contract, GripperSpec
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.robots import PANDA
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.teleop import devices
from sim2arm.sensors.teleop.base import TeleopReading
from sim2arm.sensors.teleop.clutch import TwistCfg
from sim2arm.sensors.teleop.following import FollowCfg
from sim2arm.sensors.teleop.paired import PairedDevice
from sim2arm.sensors.teleop.person import Person, TeleopCfg, open_hand
from sim2arm.sensors.teleop.script import ScriptedDevice, ScriptStep
from tests.builders import make_action, make_contract
from tests.sensors.fakes import FakeClock

from .fakes import make_reading

HOME = np.asarray(PANDA.home)
TICK_NS = 16_666_667


class FakeLeader:
    """A leader arm that stands where the test puts it, or is silent.

    Attributes:
        joints: where it stands (n,); none: it is silent.
        presses: as `TeleopReading` has them.
    """

    kind: Literal["joints"] = "joints"

    def __init__(self, joint_names: tuple[str, ...], joints: np.ndarray) -> None:
        self.joint_names = joint_names
        self.joints: np.ndarray | None = joints
        self.presses: dict[str, int] = {}
        self.ns, self.closed, self._count = 0, False, 0

    def read(self) -> TeleopReading:
        if self.joints is None:
            raise StaleReading("the leader is silent")
        self._count += 1
        reading = make_reading(self.joints, ns=self.ns, joints=True, sequence=self._count)
        return replace(reading, presses=dict(self.presses))

    def close(self) -> None:
        self.closed = True


def steps_contract(*, acts: bool = False) -> Contract:
    """Return a contract of steps of the tool, with or without a gripper that acts."""
    parameters = asdict(EeDeltaCfg())
    del parameters["position_scale"], parameters["rotation_scale"]
    action = make_action(parameters=parameters)
    if not acts:
        return make_contract(action=action)
    names = (*action.element_names, "gripper")
    action = replace(
        action, dim=7, low=(-1.0,) * 7, high=(1.0,) * 7, element_names=names,
        scale=(*action.scale, 0.04),
    )  # fmt: skip
    gripper = GripperSpec(
        kind="share", action_element=6, open_width=0.08, speed=0.1, force=20.0, delay_s=0.0
    )
    return make_contract(action=action, gripper=gripper)


def scripted(*steps: ScriptStep) -> tuple[ScriptedDevice, FakeClock]:
    clock = FakeClock()
    return ScriptedDevice(steps, clocks=clock.clocks), clock


def test_steps_of_the_tool_and_why_there_are_none() -> None:
    device, clock = scripted(
        ScriptStep(seconds=0.1),
        ScriptStep(seconds=0.3, twist=(1.0, 0, 0, 0, 0, 0), press=("keep", "keep")),
        ScriptStep(seconds=1.0, silent=True),
        ScriptStep(seconds=0.1, clutch=False),
    )
    cfg = TeleopCfg(twist=TwistCfg(translation_scale=0.5, dead_zone=0.0))
    person = Person(device, steps_contract(), cfg)
    person.begin(HOME)
    seen: dict[str, set[float]] = {}
    whys: dict[str, set[str]] = {}
    presses: list[str] = []
    for _ in range(90):
        ask = person.step(clock.ns)
        assert ask.action.shape == (6,)  # no gripper acts
        seen.setdefault(ask.state, set()).add(float(ask.action[0]))
        whys.setdefault(ask.state, set()).add(ask.why)
        presses += ask.presses
        clock.ns += TICK_NS
    assert seen == {"engaged": {0.0, 0.5}, "silent": {0.0}, "held": {0.0}}
    assert presses == ["keep", "keep"]
    assert whys["engaged"] == {""} and whys["held"] == {"the clutch is open"}
    assert all("the script is" in why for why in whys["silent"])


def test_the_gripper_is_the_last_element_and_stays_as_it_began() -> None:
    device, clock = scripted(
        ScriptStep(seconds=0.1), ScriptStep(seconds=0.1, press=("gripper_toggle",))
    )
    person = Person(device, steps_contract(acts=True), TeleopCfg())
    person.begin(HOME, -0.25)
    elements: list[float] = []
    for _ in range(10):
        elements.append(float(person.step(clock.ns).action[6]))
        clock.ns += TICK_NS
    assert elements == [-0.25] * 6 + [1.0] * 4


def test_a_leader_s_joints_are_the_actions_of_another_contract() -> None:
    contract = steps_contract(acts=True)
    leader = FakeLeader(PANDA.joint_names[::-1], HOME[::-1] + 0.01)
    person = Person(leader, contract, TeleopCfg())
    assert person.contract == as_joint_targets(contract)
    person.begin(HOME, 0.5)
    now = 0
    ask = person.step(now)
    np.testing.assert_array_equal(ask.action, [*HOME, 0.5])  # the clutch closes where it is
    for _ in range(3):
        now += TICK_NS
        leader.ns = now
        ask = person.step(now)
    # 0.5 rad/s on the way to the leader: 8.3 mrad a tick, there after the second
    np.testing.assert_allclose(ask.action, [*(HOME + 0.01), 0.5], atol=1e-12)
    leader.joints = None
    ask = person.step(now + TICK_NS)
    assert (ask.state, ask.why) == ("silent", "the leader is silent")
    np.testing.assert_allclose(ask.action[:7], HOME + 0.01, atol=1e-12)  # it stands


def test_a_leader_elsewhere_does_not_take_over_and_says_which_joint() -> None:
    far = HOME.copy()
    far[3] += 0.35
    leader = FakeLeader(PANDA.joint_names, far)
    person = Person(leader, steps_contract(), TeleopCfg())
    person.begin(HOME)
    line = person.refusal()
    assert "leader joint 'panda_joint4' is at -2.006 rad, the arm at -2.356 rad" in line
    ask = person.step(0)
    assert (ask.state, ask.why) == ("held", line)
    np.testing.assert_array_equal(ask.action, HOME)
    leader.joints = None
    assert person.refusal() == "the leader is silent"
    relative = TeleopCfg(follow=FollowCfg(mode="relative"))
    leader.joints = far
    assert Person(leader, steps_contract(), relative).refusal() == ""


def test_a_hand_with_joint_targets_moves_the_tool_by_steps() -> None:
    device, _ = scripted(ScriptStep(seconds=1.0))
    person = Person(device, as_joint_targets(steps_contract()), TeleopCfg())
    assert person.contract == steps_contract()


def test_what_does_not_go_together() -> None:
    device, _ = scripted(ScriptStep(seconds=1.0))
    with pytest.raises(ValueError, match="expected the joints"):
        Person(FakeLeader(("a", "b"), HOME), steps_contract(), TeleopCfg())
    with pytest.raises(ValueError, match="nothing is pressed on a device that says nothing"):
        ScriptStep(seconds=1.0, silent=True, press=("keep",))
    assert not device.over


def test_a_device_with_buttons_beside_it_and_no_clutch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("- {seconds: 1.0}\n")
    leader, asked = FakeLeader(PANDA.joint_names, HOME), list[tuple[str, bool]]()
    entry = devices.TeleopEntry(
        summary="", where="", buttons="",
        open=lambda where, always: (asked.append((where, always)), leader)[1],
    )  # fmt: skip
    monkeypatch.setitem(devices.TELEOP_DEVICES, "leader", entry)
    cfg = TeleopCfg(buttons=f"script:{script}", clutch="always")
    device = open_hand("leader:port", cfg)
    assert isinstance(device, PairedDevice) and device.kind == "joints"
    assert asked == [("port", True)]
    with pytest.raises(ValueError, match="no teleoperation device 'pedal'"):
        open_hand("leader:port", TeleopCfg(buttons="pedal"))
    assert leader.closed  # nothing is left open
    assert type(open_hand("leader:port", TeleopCfg())) is FakeLeader
