"""The SO-101's driver on a fake bus behind a pseudo terminal: set-up, holding, limits, faults."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sim2arm.core.robots import SO101
from sim2arm.core.trajectory import Trajectory
from sim2arm.sensors.teleop.serial_port import SerialPort
from sim2arm.sensors.teleop.servo_packets import TICK, FeetechProtocol, Register
from sim2arm_ros.servo_arm import ServoArm, ServosCfg, ServoState, load_servos
from sim2arm_ros.trajectory_follower import TrajectoryFollower

from .servos import FakeServos

GRIP_ZERO = ServosCfg().grip_zero
HOME = {1: 2047, 2: 2047, 3: 2047, 4: 2047, 5: 2047, 6: GRIP_ZERO}
TORQUE, GOAL, TORQUE_LIMIT = 40, 42, 48


@pytest.fixture
def bus() -> Iterator[FakeServos]:
    servos = FakeServos(HOME)
    yield servos
    servos.close()


def make_arm(bus: FakeServos, **cfg: object) -> ServoArm:
    return ServoArm(SerialPort(bus.path, 1_000_000), ServosCfg(**cfg))  # type: ignore[arg-type]


def state_of(arm: ServoArm) -> ServoState:
    state = arm.read()
    assert isinstance(state, ServoState), state
    return state


def test_writes_are_packets_of_the_manual() -> None:
    feetech, goal = FeetechProtocol(), Register(address=42, size=2)
    # Servo 1, write 2048 = 0x0800 to 0x2A: ~(1 + 5 + 3 + 0x2A + 0 + 8) = ~0x3B = 0xC4.
    assert feetech.write(1, goal, 2048) == bytes.fromhex("ffff 01 05 03 2a 0008 c4")
    # All: length 2 * 3 + 4 = 10; ~(0xFE + 10 + 0x83 + 0x2A + 2 + 1 + 8 + 2 + 8) = ~0x1CA = 0x35.
    assert feetech.sync_write(goal, {1: 2048, 2: 2048}) == bytes.fromhex(
        "ffff fe 0a 83 2a 02 01 0008 02 0008 35"
    )
    for value in (-1, 0x10000):
        with pytest.raises(ValueError, match="does not fit 2 bytes"):
            feetech.write(1, goal, value)


def test_opening_moves_nothing_and_holding_begins_where_the_arm_stands(bus: FakeServos) -> None:
    bus.servos[2].position = 2147.0
    arm = make_arm(bus)
    assert bus.written == [] and not arm.held
    state = arm.hold()
    assert state.q == pytest.approx([0, 100 * TICK, 0, 0, 0, 0])
    order = [address for address, _, _ in bus.written]
    assert order.index(TORQUE_LIMIT) < order.index(GOAL) < order.index(TORQUE)
    assert (GOAL, 2, 2147) in bus.written and (TORQUE, 6, 1) in bus.written
    # 0.6 of the joints' torque and half of the jaw's, in thousandths.
    assert [bus.servos[id].word(TORQUE_LIMIT) for id in (1, 6)] == [600, 500]
    # 0.5 x 45 rpm, twice: 4.71 rad/s are 3072 ticks/s.
    assert bus.servos[1].word(46) == 3072
    assert arm.held


def test_goals_are_angles_with_sign_and_zero_inside_of_the_limits(bus: FakeServos) -> None:
    arm = make_arm(bus, signs=(-1, 1, 1, 1, 1))
    arm.hold()
    arm.write(np.array([0.1, 0.0, 0.0, 0.0, 9.0, 0.5]))
    state_of(arm)  # the bus is in order: what was written is there
    assert bus.servos[1].word(GOAL) == 2047 - round(0.1 / TICK)
    assert bus.servos[5].word(GOAL) == 2047 + round(2.841206 / TICK)  # its limit
    assert bus.servos[6].word(GOAL) == GRIP_ZERO + round(0.5 / TICK)
    with pytest.raises(ValueError, match="not finite"):
        arm.write(np.full(6, np.nan))


def test_the_law_is_what_the_servos_say(bus: FakeServos) -> None:
    bus.servos[3].memory[21] = 32  # P, twice what the robot's numbers are for
    arm = make_arm(bus)
    assert arm.kp == pytest.approx([998.22, 998.22, 2 * 998.22, 998.22, 998.22])
    assert arm.kd == pytest.approx(SO101.kd)


@pytest.mark.parametrize(
    ("address", "value", "message"),
    [
        (33, 1, "servo 4: operating mode 1, expected 0"),
        (18, 28, r"servo 4: it counts several turns \(phase 28\)"),
        (22, 0, "servo 4: gains P 16, D 0, I 0, expected D 32 and I 0"),
        (23, 1, "servo 4: gains P 16, D 32, I 1"),
        (21, 0, "servo 4: gains P 0"),
    ],
)
def test_servos_that_are_set_up_otherwise(
    bus: FakeServos, address: int, value: int, message: str
) -> None:
    bus.servos[4].memory[address] = value
    with pytest.raises(ValueError, match=message):
        make_arm(bus)
    assert bus.written == []


def test_an_arm_outside_of_its_limits_is_not_held(bus: FakeServos) -> None:
    bus.servos[1].position = 4000.0  # 3.0 rad
    arm = make_arm(bus)
    with pytest.raises(
        ValueError, match=r"shoulder_pan stands at 2\.996 rad, expected -1\.920 to 1\.9"
    ):
        arm.hold()
    assert bus.written == []


def test_a_servo_that_is_not_there_or_does_not_obey(bus: FakeServos) -> None:
    arm = make_arm(bus)
    bus.servos[2].silent = True
    assert arm.read() == "servos [2] did not answer within 0.02 s"
    with pytest.raises(OSError, match=r"servos \[2\] did not answer"):
        arm.hold()
    with pytest.raises(OSError, match="is the arm powered"):
        make_arm_again(bus, arm)


def make_arm_again(bus: FakeServos, arm: ServoArm) -> ServoArm:
    arm.close()
    return make_arm(bus)


def _hot(bus: FakeServos) -> None:
    bus.servos[5].memory[63] = 61


def _overloaded(bus: FakeServos) -> None:
    bus.servos[5].memory[65] = 32


@pytest.mark.parametrize(
    ("happens", "message"),
    [(_hot, "servo 5 has 61 deg C, allowed 60"), (_overloaded, "servo 5 reports overload")],
)
def test_what_servos_say_of_themselves(
    bus: FakeServos, happens: Callable[[FakeServos], None], message: str
) -> None:
    arm = make_arm(bus)
    assert state_of(arm).problem == ""
    happens(bus)
    assert state_of(arm).problem == message


def test_a_port_that_is_gone(bus: FakeServos) -> None:
    arm = make_arm(bus)
    bus.unplug()
    with pytest.raises(OSError):
        for _ in range(3):
            arm.read()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ids: [1, 2]", "ids: expected 5 numbers, got 2"),
        ("ids: [1, 1, 3, 4, 5]", "expected different ones"),
        ("signs: [0, 1, 1, 1, 1]", "expected 1 or -1"),
        ("torque_limit: 1.5", "torque_limit: expected a share up to 1, got 1.5"),
        ("timeout: 1.0", "timeout: expected up to 0.1 s"),
        ("speling: 1", "unknown key"),
    ],
)
def test_a_file_of_servos_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "servos.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load_servos(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


# -- following ---------------------------------------------------------------------------------


def make_motion(goal: float = 0.3, **changes: np.ndarray) -> Trajectory:
    """Return a motion of all joints from 0 to `goal` in a second, at rest at both ends."""
    q = np.stack([np.zeros(5), np.full(5, goal)])[None]
    values = {"times": np.array([[0.0, 1.0]]), "q": q, "dq": np.zeros((1, 2, 5))} | changes
    return Trajectory(**values)


def make_follower() -> TrajectoryFollower:
    follower = TrajectoryFollower(SO101.limits)
    follower.stand(np.zeros(5))
    return follower


def test_a_trajectory_is_followed_to_its_end_and_then_stands() -> None:
    follower = make_follower()
    assert follower.desired(100.0)[0] == pytest.approx(np.zeros(5))
    follower.take(make_motion(), 0.0, 100.0)
    # Cubic from rest to rest: half of the way in half of the time, at 1.5 times the mean speed.
    q, dq = follower.desired(100.5)
    assert q == pytest.approx(np.full(5, 0.15)) and dq == pytest.approx(np.full(5, 0.45))
    for later in (101.0, 1000.0):
        q, dq = follower.desired(later)
        assert q == pytest.approx(np.full(5, 0.3)) and dq == pytest.approx(np.zeros(5), abs=1e-9)


def test_a_late_trajectory_is_joined_from_what_is_commanded() -> None:
    follower = make_follower()
    follower.take(make_motion(), 0.0, 100.0)
    before = follower.desired(100.5)
    follower.take(make_motion(0.4), 0.5, 100.5)
    after = follower.desired(100.5)
    assert after[0] == pytest.approx(before[0]) and after[1] == pytest.approx(before[1])
    assert follower.desired(101.0)[0] == pytest.approx(np.full(5, 0.4))


@pytest.mark.parametrize(
    ("motion", "elapsed", "message"),
    [
        (make_motion(), 1.0, "it ends in the past"),
        (make_motion(), -0.6, "it begins in 0.600 s, allowed 0.5 s"),
        (make_motion(1.95), 0.0, "it leaves the limits"),
        (make_motion(dq=np.full((1, 2, 5), 0.1)), 0.0, "it does not end at rest"),
    ],
)
def test_what_is_not_followed(motion: Trajectory, elapsed: float, message: str) -> None:
    follower = make_follower()
    with pytest.raises(ValueError, match=message):
        follower.take(motion, elapsed, 100.0)
    assert follower.desired(101.0)[0] == pytest.approx(np.zeros(5))
