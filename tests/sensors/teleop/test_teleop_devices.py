"""One conformance suite for all devices, over what is plugged in on no test machine."""

from __future__ import annotations

import os
import pty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from sim2arm.core.spec import StaleReading
from sim2arm.sensors.teleop.base import PRESSES, TeleopDevice, TeleopReading, new_presses
from sim2arm.sensors.teleop.clutch import TwistTeleop
from sim2arm.sensors.teleop.devices import TELEOP_DEVICES, open_device
from sim2arm.sensors.teleop.following import FollowCfg, JointTeleop
from sim2arm.sensors.teleop.gamepad import CLUTCH, open_gamepad
from sim2arm.sensors.teleop.keyboard import open_keyboard, open_terminal
from sim2arm.sensors.teleop.leader import SO101_LEADER, LeaderCfg, open_leader
from sim2arm.sensors.teleop.paired import PairedDevice
from sim2arm.sensors.teleop.polling import PolledDevice, Sample, Source
from sim2arm.sensors.teleop.script import ScriptedDevice, ScriptStep, load_script
from sim2arm.sensors.teleop.servo_packets import DynamixelProtocol, FeetechProtocol
from sim2arm.sensors.teleop.spacemouse import open_spacemouse
from tests.sensors.fakes import FakeClock, until
from tests.sensors.teleop.fakes import FakeBus, FakeInput, FakeSpaceMouse


@dataclass
class Rig:
    """A device, its clock, and the hand on it."""

    device: TeleopDevice
    clock: FakeClock
    move: Callable[[], None]
    """Deflect it (or move the leader), with the clutch closed."""
    rest: Callable[[], None] = lambda: None
    keep: Callable[[], None] | None = None
    """Press the button for `keep`; none where there is no button."""
    plug: Callable[[bool], None] | None = None
    """Unplug it or plug it in again; none where that ends it."""
    plays: bool = False
    """Whether it moves by itself as time passes."""

    def next(self) -> TeleopReading:
        """Return a reading that was asked for after now."""
        self.clock.move(0.01)
        reading: list[TeleopReading] = []

        def fresh() -> bool:
            try:
                reading.append(self.device.read())
            except StaleReading:
                return False
            return reading[-1].receipt_ns == self.clock.ns

        until(fresh)
        return reading[-1]


def of_keyboard(clock: FakeClock | None = None) -> Rig:
    fake, clock = FakeInput(), clock or FakeClock()
    device = open_keyboard(open_input=fake.open, find=fake.find, clocks=clock.clocks)

    def keep() -> None:
        fake.press(28)
        fake.release(28)

    return Rig(
        device,
        clock,
        move=lambda: fake.press(57, 17),  # space, W
        rest=lambda: fake.release(17),
        keep=keep,
        plug=lambda there: setattr(fake, "plugged", there),
    )


def of_gamepad() -> Rig:
    fake, clock = FakeInput(axes=(0, 1, 3, 4, 0x10, 0x11)), FakeClock()
    device = open_gamepad(open_input=fake.open, find=fake.find, clocks=clock.clocks)

    def move() -> None:
        fake.press(CLUTCH)
        fake.push(1, -0.8)

    def keep() -> None:
        fake.press(0x131)
        fake.release(0x131)

    return Rig(
        device,
        clock,
        move=move,
        rest=lambda: fake.push(1, 0.0),
        keep=keep,
        plug=lambda there: setattr(fake, "plugged", there),
    )


def of_spacemouse() -> Rig:
    clock = FakeClock()
    fake = FakeSpaceMouse(clock)
    device = open_spacemouse(open_raw=fake.open, find=fake.find, now=fake.now, clocks=clock.clocks)

    class Ticking(Rig):
        def next(self) -> TeleopReading:
            self.clock.move(0.01)
            fake.tick()
            self.clock.ns -= 10_000_000
            return super().next()

    def keep() -> None:
        fake.buttons(2)
        fake.buttons(0)

    return Ticking(
        device,
        clock,
        move=lambda: setattr(fake, "translation", (0, -200, 0)),
        rest=lambda: setattr(fake, "translation", (0, 0, 0)),
        keep=keep,
        plug=lambda there: setattr(fake, "plugged", there),
    )


def of_dynamixel() -> Rig:
    return of_leader(replace(SO101_LEADER, protocol="dynamixel"))


def of_leader(cfg: LeaderCfg = SO101_LEADER) -> Rig:
    clock = FakeClock()
    protocol = FeetechProtocol() if cfg.protocol == "feetech" else DynamixelProtocol()
    bus = FakeBus(protocol, {id: 2047 for id in range(1, 7)})
    device = open_leader(cfg, open_port=bus.open, now=bus.now, clocks=clock.clocks)

    def move() -> None:
        bus.ticks[2] += 40

    return Rig(device, clock, move=move, plug=lambda there: setattr(bus, "plugged", there))


def of_pair() -> Rig:
    leader = of_leader()
    clock = leader.clock
    keyboard = of_keyboard(clock)
    keyboard.move()  # space is held

    return Rig(
        PairedDevice(leader.device, keyboard.device),
        clock,
        move=leader.move,
        keep=keyboard.keep,
        plug=keyboard.plug,  # one of two is enough
    )


def of_terminal() -> Rig:
    clock = FakeClock()
    hand, screen = pty.openpty()
    device = open_terminal(file=screen, now=lambda: 1e-9 * clock.ns, clocks=clock.clocks)
    until(lambda: _fresh(device))  # the terminal is in raw mode

    return Rig(
        device,
        clock,
        move=lambda: _type(hand, b"w"),
        rest=lambda: clock.move(0.15),
        keep=lambda: _type(hand, b"\r"),
    )


def _type(file: int, text: bytes) -> None:
    os.write(file, text)


def _fresh(device: TeleopDevice) -> bool:
    try:
        device.read()
    except StaleReading:
        return False
    return True


def of_script() -> Rig:
    clock = FakeClock()
    steps = [
        ScriptStep(seconds=0.05),
        ScriptStep(seconds=0.5, twist=(0.8, 0, 0, 0, 0, 0), press=("keep",)),
    ]
    device = ScriptedDevice(steps, clocks=clock.clocks)
    return Rig(device, clock, move=lambda: clock.move(0.05), plays=True)


RIGS = {
    "keyboard": of_keyboard,
    "gamepad": of_gamepad,
    "spacemouse": of_spacemouse,
    "so101-leader": of_leader,
    "leader": of_dynamixel,
    "leader and keyboard": of_pair,
    "terminal": of_terminal,
    "script": of_script,
}


@pytest.fixture(params=list(RIGS))
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = RIGS[request.param]()
    made.next()
    yield made
    made.device.close()


def test_every_device_of_the_dictionary_is_in_the_suite() -> None:
    assert set(TELEOP_DEVICES) <= set(RIGS)


def test_readings_are_what_they_say(rig: Rig) -> None:
    rig.move()
    reading = rig.next()
    assert (reading.twist is None) != (reading.joints is None)
    assert (reading.joints is not None) == (rig.device.kind == "joints")
    if reading.twist is not None:
        assert reading.twist.shape == (6,) and rig.device.joint_names == ()
        assert np.abs(reading.twist).max() <= 1.0 and reading.twist[0] > 0.3  # away from the person
    else:
        assert reading.joints is not None and len(reading.joints) == len(rig.device.joint_names)
    assert reading.clutch and set(reading.presses) <= set(PRESSES)


def test_readings_have_numbers_and_times(rig: Rig) -> None:
    first = rig.next()
    second = rig.next()
    assert second.sequence > first.sequence
    assert second.receipt_ns == rig.clock.ns == second.stamp_ns - 10**12
    assert first.receipt_ns == second.receipt_ns - 10_000_000


# A leader alone has no buttons, and a script presses by itself: it has a test of its own.
@pytest.mark.parametrize(
    "rig", sorted(RIGS.keys() - {"so101-leader", "leader", "script"}), indirect=True
)
def test_presses_between_two_readings_are_all_there(rig: Rig) -> None:
    assert rig.keep is not None
    before = rig.next()
    rig.keep()
    until(lambda: rig.next().presses.get("keep", 0) == 1)
    rig.keep()
    until(lambda: rig.next().presses.get("keep", 0) == 2)
    assert new_presses(before.presses, rig.next().presses) == ("keep", "keep")


# A terminal or script that ends is not plugged in again.
@pytest.mark.parametrize("rig", sorted(RIGS.keys() - {"terminal", "script"}), indirect=True)
def test_an_arm_follows_it_and_holds_when_it_is_unplugged(rig: Rig) -> None:
    assert rig.plug is not None
    twist = TwistTeleop()
    names = rig.device.joint_names or ("none",)
    joints = JointTeleop(names, names, np.zeros(len(names)), FollowCfg(mode="relative"))

    def step() -> tuple[bool, list[float], str]:
        """Return whether the arm follows, what it is asked, and why it holds."""
        try:
            reading, why = rig.device.read(), ""
        except StaleReading as error:
            reading, why = None, str(error)
        if rig.device.kind == "twist":
            command = twist.step(reading, rig.clock.ns, why=why)
            return command.follows, command.action[:6].tolist(), command.why
        followed = joints.step(reading, rig.clock.ns, why)
        return followed.follows, followed.q.tolist(), followed.why

    rig.move()
    rig.rest()
    rig.next()
    step()
    rig.move()
    rig.next()
    follows, moved, why = step()
    assert follows and any(moved), why
    rig.plug(False)
    until(lambda: _silent(rig))
    rig.clock.move(0.21)
    follows, held, why = step()
    assert not follows
    assert held == ([0.0] * 6 if rig.device.kind == "twist" else moved)
    assert "ago, allowed 0.2 s" in why and "\n" not in why
    rig.plug(True)
    rig.next()
    follows, again, _ = step()
    assert again == held  # a deflection that is still there, or a leader elsewhere, moves nothing


def _silent(rig: Rig) -> bool:
    """Return whether nothing newer comes any more."""
    rig.clock.move(0.001)
    try:
        until(lambda: rig.device.read().receipt_ns == rig.clock.ns, seconds=0.05)
    except AssertionError:
        return True
    return False


def test_a_closed_device_is_silent(rig: Rig) -> None:
    rig.device.close()
    rig.device.close()
    with pytest.raises(StaleReading, match="closed"):
        rig.device.read()


def test_a_fault_of_ours_is_said_and_not_waited_for() -> None:
    class Broken:
        def poll(self) -> Sample:
            return Sample(twist=np.zeros(6), pressed=("fire",))

        def close(self) -> None:
            pass

    with PolledDevice(Broken) as device, pytest.raises(RuntimeError, match="got \\['fire'\\]"):
        device.wait(5.0)


def test_a_slow_answer_is_as_old_as_its_question() -> None:
    clock = FakeClock()

    class Slow:
        def poll(self) -> Sample:
            clock.move(0.15)
            return Sample(twist=np.zeros(6))

        def close(self) -> None:
            pass

    with PolledDevice(Slow, rate_hz=0.1, clocks=clock.clocks) as device:
        reading = device.wait(5.0)
    assert clock.ns - reading.receipt_ns == 150_000_000
    assert reading.stamp_ns - reading.receipt_ns == 10**12


def test_a_pair_follows_only_while_both_clutches_are_closed() -> None:
    clock = FakeClock()
    steps = [ScriptStep(seconds=1.0, press=("start",)), ScriptStep(seconds=1.0, clutch=False)]
    moves = [ScriptStep(seconds=9.0, twist=(0.5, 0, 0, 0, 0, 0), press=("keep",))]
    motion = ScriptedDevice(moves, clocks=clock.clocks)
    buttons = ScriptedDevice(steps, clocks=clock.clocks)
    with PairedDevice(motion, buttons) as pair:
        first = pair.read()
        assert first.clutch and first.presses == {"start": 1, "keep": 1}
        assert first.twist is not None and first.twist[0] == 0.5
        clock.move(1.0)
        assert not pair.read().clutch
        clock.move(1.0)
        with pytest.raises(StaleReading, match="the script is over"):
            pair.read()


def test_a_device_that_is_not_there_says_why() -> None:
    def missing() -> Source:
        raise OSError("no such\nthing")

    with PolledDevice(missing) as device:
        until(lambda: "no such thing" in _stale(device))
        assert _stale(device) == "teleop_twist: nothing was received yet: no such thing"
    with pytest.raises(ValueError, match="rate_hz: expected more than 0, got 0"):
        PolledDevice(missing, rate_hz=0.0)


def _stale(device: TeleopDevice) -> str:
    with pytest.raises(StaleReading) as raised:
        device.read()
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("mouse", ValueError, "no teleoperation device 'mouse'. Devices: keyboard, terminal"),
        (
            "script",
            ValueError,
            "script: expected script:WHERE, where WHERE is the path of the file",
        ),
        ("leader", ValueError, "leader: expected leader:WHERE, where WHERE is the path of a YAML"),
        ("terminal:tty1", ValueError, "terminal: expected no place, got 'tty1'"),
        ("script:/nowhere.yaml", OSError, "/nowhere.yaml"),
        ("so101-leader:/dev/nowhere", OSError, "/dev/nowhere: no such port"),
        ("keyboard:no keyboard has this name", OSError, "no keyboard matches"),
        ("gamepad:/dev/input/event99", OSError, "no gamepad at /dev/input/event99"),
        ("spacemouse:/dev/hidraw99", OSError, "no SpaceMouse at /dev/hidraw99"),
    ],
)
def test_bad_names_are_one_line(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        open_device(text)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_a_script_plays_its_steps_and_presses_and_ends(tmp_path: Path) -> None:
    file = tmp_path / "lift.yaml"
    file.write_text(
        "- {seconds: 1.0, twist: [0, 0, -1, 0, 0, 0], press: [start]}\n"
        "- {seconds: 0.5, press: [gripper_close, keep], clutch: false}\n"
    )
    clock = FakeClock()
    device = ScriptedDevice(load_script(file), clocks=clock.clocks)
    first = device.read()
    assert first.twist is not None and first.twist.tolist() == [0, 0, -1, 0, 0, 0]
    assert first.presses == {"start": 1} and first.clutch
    clock.move(1.2)
    second = device.read()
    assert second.presses == {"start": 1, "gripper_close": 1, "keep": 1} and not second.clutch
    clock.move(0.3)
    with pytest.raises(StaleReading, match="the script is over"):
        device.read()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "expected a list of steps"),
        ("- {twist: [0, 0, 0, 0, 0, 0]}", "step 0: .*seconds"),
        ("- {seconds: 1}\n- {seconds: 1, twist: [2, 0, 0, 0, 0, 0]}", "step 1: .*from -1 to 1"),
        ("- {seconds: 1, press: [fire]}", "step 0: .*got 'fire'"),
    ],
)
def test_bad_scripts_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        open_device(f"script:{file}")
    assert str(file) in str(raised.value) and "\n" not in str(raised.value)
