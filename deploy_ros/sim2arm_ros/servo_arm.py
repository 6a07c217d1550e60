"""An SO-101 on the serial bus of its Feetech servos: what is read, what is written. No ROS.

The servos hold the law: each follows its goal position with gains of its own (`SERVO_P`). They go
on holding their last goal when nobody writes any more. Nothing is written into what they keep
without power; ids, gains and zeros are set up with LeRobot or Feetech's program, and checked here.

Sources: Feetech, "STS3215" memory table (addresses, units, bits of phase and status); LeRobot
(Apache-2.0), `motors/feetech/tables.py`, `motors/feetech/feetech.py`,
`robots/so_follower/so_follower.py`: what an SO-101 is set up with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim2arm.core import plain
from sim2arm.core.robots import SO101, Robot
from sim2arm.core.trajectory import FloatArray
from sim2arm.sensors.teleop.leader import ServoBus
from sim2arm.sensors.teleop.serial_port import Port
from sim2arm.sensors.teleop.servo_packets import TICK, FeetechProtocol, Register

PHASE, GAINS = Register(address=18, size=1), Register(address=21, size=3)  # P, D, I
MODE, TORQUE = Register(address=33, size=1), Register(address=40, size=1)
ACCELERATION, GOAL = Register(address=41, size=1), Register(address=42, size=2)
GOAL_SPEED, TORQUE_LIMIT = Register(address=46, size=2), Register(address=48, size=2)
STATE = Register(address=56, size=11)
"""Position 2, speed 2, load 2, voltage 1, temperature 1, one unused, status 1, moving 1."""
SERVO_P, SERVO_D, SERVO_I = 16, 32, 0
"""Gains of the servo for which the robot's kp and kd are known; kp is in proportion to P."""
_ONE_TURN, _FINE_SPEED = 0x10, 0x04  # bits of phase: several turns, speeds in ticks/s
_COARSE = 50
"""Ticks/s of a unit of speed where phase does not say that they are fine."""
_FASTEST_RAMP = 254
STATUS_BITS = {1: "voltage", 2: "angle sensor", 4: "temperature", 8: "current", 32: "overload"}


@dataclass(frozen=True, kw_only=True)
class ServosCfg:
    """The servos of an SO-101, and the angles that their numbers mean."""

    ids: tuple[int, ...] = (1, 2, 3, 4, 5)
    """In the order of the robot's joints."""
    signs: tuple[int, ...] = (1, 1, 1, 1, 1)
    """1, or -1 where the servo turns the other way than the joint."""
    zeros: tuple[int, ...] = (2047,) * 5
    """Position of each servo where its joint is at 0 [4096 per turn]: LeRobot's calibration puts
    2047 in the middle of each range, where the joints of the model are at 0."""
    grip_id: int = 6
    grip_sign: int = 1
    grip_zero: int = 2047 - round(0.5 * (1.745329 - 0.174533) / TICK)
    """Position of the jaw's servo where the jaw is at 0, by the same calibration."""
    torque_limit: float = 0.6
    """Most torque of a joint, a share of the stalled one; ours: twice of what the arm's own weight
    needs."""
    grip_torque_limit: float = 0.5
    """Of the jaw; LeRobot's."""
    hottest: float = 60.0
    """Temperature above which the arm must not go on [deg C]; servos switch off at 70."""
    baud: int = 1_000_000
    timeout: float = 0.02
    """Longest wait for the answers of all servos [s]."""

    def __post_init__(self) -> None:
        """Check that the parts fit."""
        n = len(SO101.joint_names)
        for name in ("ids", "signs", "zeros"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name}: expected {n} numbers, got {len(getattr(self, name))}")
        if len(set(self.all_ids)) != n + 1 or any(not 0 <= id <= 252 for id in self.all_ids):
            raise ValueError(
                f"ids, grip_id: expected different ones from 0 to 252, got {self.all_ids}"
            )
        if any(sign not in (-1, 1) for sign in self.all_signs):
            raise ValueError(f"signs, grip_sign: expected 1 or -1, got {self.all_signs}")
        for name in ("torque_limit", "grip_torque_limit"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: expected a share up to 1, got {getattr(self, name)}")
        if not 0.0 < self.timeout <= 0.1:
            raise ValueError(f"timeout: expected up to 0.1 s, got {self.timeout}")

    @property
    def all_ids(self) -> tuple[int, ...]:
        """Of all servos, that of the jaw last."""
        return (*self.ids, self.grip_id)

    @property
    def all_signs(self) -> tuple[int, ...]:
        """In the same order."""
        return (*self.signs, self.grip_sign)

    @property
    def all_zeros(self) -> tuple[int, ...]:
        """In the same order [4096 per turn]."""
        return (*self.zeros, self.grip_zero)


def load_servos(path: Path) -> ServosCfg:
    """Return the servos that a YAML file describes, by the names of the fields.

    Raises:
        OSError: it cannot be read.
        ValueError: a field is unknown or wrong; one line.
    """
    data = plain.load_yaml(path.read_text(encoding="utf-8"), str(path))
    try:
        return plain.from_plain(ServosCfg, data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class ServoState:
    """What all servos said at one moment."""

    q: FloatArray
    """(n + 1,) joints, then the jaw [rad]."""
    dq: FloatArray
    """(n + 1,) [rad/s]."""
    moving: bool
    """Whether the jaw's servo says that it moves."""
    problem: str
    """What is wrong with a servo, empty if nothing is."""


class ServoArm:
    """The arm. It is held from the moment of `hold` on, never moved by being opened.

    Attributes:
        kp: (n,) stiffness of the joints [N m/rad].
        kd: (n,) damping [N m s/rad].
        held: whether the servos were told to hold.
    """

    def __init__(
        self,
        port: Port,
        cfg: ServosCfg,
        robot: Robot = SO101,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take an open port and see that all servos are there, set up as they must be.

        Raises:
            OSError: they do not answer, or the port is gone; one line.
            ValueError: they are set up in another way; one line.
        """
        self._port, self._cfg, self._robot = port, cfg, robot
        self._protocol = FeetechProtocol()
        self._bus = ServoBus(port, self._protocol, now)
        self._low = np.array([*robot.limits.q_min, robot.gripper.closed])
        self._high = np.array(
            [*robot.limits.q_max, robot.gripper.position(robot.gripper.open_width)]
        )
        self.held = False
        self._check_set_up()

    # -- set-up --------------------------------------------------------------------------------

    def _ask(self, register: Register) -> list[bytes]:
        answer = self._bus.read(register, self._cfg.all_ids, self._cfg.timeout)
        if isinstance(answer, str):
            raise OSError(f"{answer}: is the arm powered, are baud and ids right?")
        return answer

    def _check_set_up(self) -> None:
        ids = self._cfg.all_ids
        for id, mode in zip(ids, self._ask(MODE), strict=True):
            if mode != b"\x00":
                raise ValueError(f"servo {id}: operating mode {mode[0]}, expected 0 (position)")
        phases = [data[0] for data in self._ask(PHASE)]
        for id, phase in zip(ids, phases, strict=True):
            if phase & _ONE_TURN:
                raise ValueError(
                    f"servo {id}: it counts several turns (phase {phase}); LeRobot's set-up ends it"
                )
        self._speed_unit = np.array([1.0 if p & _FINE_SPEED else _COARSE for p in phases]) * TICK
        gains = np.array([list(data) for data in self._ask(GAINS)], dtype=np.float64)  # P, D, I
        for id, (p, d, i) in zip(ids[:-1], gains[:-1], strict=True):
            if p <= 0 or (d, i) != (SERVO_D, SERVO_I):
                raise ValueError(
                    f"servo {id}: gains P {p:g}, D {d:g}, I {i:g}, expected D {SERVO_D} and "
                    f"I {SERVO_I}, as LeRobot sets them (P {SERVO_P})"
                )
        self.kp = np.array(self._robot.kp) * gains[:-1, 0] / SERVO_P
        self.kd = np.array(self._robot.kd)

    def _set(self, register: Register, values: Mapping[int, int]) -> None:
        """Set a register of servos and see that they have it.

        Raises:
            OSError: they have not.
        """
        self._port.write(self._protocol.sync_write(register, values))
        answer = self._bus.read(register, tuple(values), self._cfg.timeout)
        if isinstance(answer, str):
            raise OSError(answer)
        for (id, value), data in zip(values.items(), answer, strict=True):
            if int.from_bytes(data, "little") != value:
                raise OSError(
                    f"servo {id}: register {register.address}: expected {value} after writing it, "
                    f"got {int.from_bytes(data, 'little')}"
                )

    def hold(self) -> ServoState:
        """Let the servos hold where they stand, with their torque limited; return where that is.

        Raises:
            OSError: a servo does not do as told.
            ValueError: a joint is outside of its limits: move it inside by hand.
        """
        state = self.read()
        if isinstance(state, str):
            raise OSError(state)
        ids, names = self._cfg.all_ids, (*self._robot.joint_names, "the jaw")
        slack = 0.05  # stops are soft, zeros a little off [rad]
        for name, q, low, high in zip(names, state.q, self._low, self._high, strict=True):
            if not low - slack <= q <= high + slack:
                raise ValueError(
                    f"{name} stands at {q:.3f} rad, expected {low:.3f} to {high:.3f}: move it "
                    "inside by hand, or are its zero and sign right?"
                )
        shares = [self._cfg.torque_limit] * len(self._cfg.ids) + [self._cfg.grip_torque_limit]
        most = [round(1000 * share) for share in shares]
        self._set(TORQUE_LIMIT, dict(zip(ids, most, strict=True)))
        self._set(ACCELERATION, dict.fromkeys(ids, _FASTEST_RAMP))
        opening = self._robot.gripper.speed / self._robot.gripper.opening  # of the jaw [rad/s]
        speed = max(1, round(opening / self._speed_unit[-1]))
        # Twice what the gate lets pass: 0 would mean no limit to some servos, and a halt to others.
        fastest = np.rint(2.0 * np.array(self._robot.limits.dq_max) / self._speed_unit[:-1])
        self._set(GOAL_SPEED, dict(zip(ids, [*map(int, fastest), speed], strict=True)))
        self._set(GOAL, self._goals(state.q))  # first where it stands, then torque
        self._set(TORQUE, dict.fromkeys(ids, 1))
        self.held = True
        return state

    def release(self) -> None:
        """Let go of the arm, which falls.

        Raises:
            OSError: a servo does not do as told.
        """
        self.held = False
        self._set(TORQUE, dict.fromkeys(self._cfg.all_ids, 0))

    # -- ticks ---------------------------------------------------------------------------------

    def read(self) -> ServoState | str:
        """Return where the arm is and how the servos are, or which did not answer well in time.

        Raises:
            OSError: the port is gone.
        """
        answer = self._bus.read(STATE, self._cfg.all_ids, self._cfg.timeout)
        if isinstance(answer, str):
            return answer
        ticks = np.array([self._protocol.ticks(data[0:2]) for data in answer])
        speeds = np.array([self._protocol.ticks(data[2:4]) for data in answer])
        signs, zeros = np.array(self._cfg.all_signs), np.array(self._cfg.all_zeros)
        problems = [self._problem(*pair) for pair in zip(self._cfg.all_ids, answer, strict=True)]
        return ServoState(
            q=signs * (ticks - zeros) * TICK,
            dq=signs * speeds * self._speed_unit,
            moving=answer[-1][10] != 0,
            problem="; ".join(filter(None, problems)),
        )

    def _problem(self, id: int, data: bytes) -> str:
        bits = [name for bit, name in STATUS_BITS.items() if data[9] & bit]
        if bits:
            return f"servo {id} reports {', '.join(bits)}"
        if data[7] > self._cfg.hottest:
            return f"servo {id} has {data[7]} deg C, allowed {self._cfg.hottest:g}"
        return ""

    def write(self, q: FloatArray) -> None:
        """Send goals (n + 1,) [rad], joints and jaw, kept inside of their limits; no answer comes.

        Raises:
            OSError: the port is gone.
            ValueError: they are not finite.
        """
        if not np.all(np.isfinite(q)):
            raise ValueError("goals are not finite")
        self._port.write(self._protocol.sync_write(GOAL, self._goals(q)))

    def _goals(self, q: FloatArray) -> dict[int, int]:
        inside = np.clip(q, self._low, self._high)
        signs, zeros = np.array(self._cfg.all_signs), np.array(self._cfg.all_zeros)
        ticks = np.rint(zeros + signs * inside / TICK).astype(int)
        if ticks.min() < 0 or ticks.max() > 4095:
            raise ValueError(f"goals {ticks.tolist()}: expected 0 to 4095; are the zeros right?")
        return {id: int(goal) for id, goal in zip(self._cfg.all_ids, ticks, strict=True)}

    def close(self) -> None:
        """Let the port go; the servos hold on."""
        self._port.close()
