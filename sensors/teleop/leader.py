"""A leader arm: an arm of smart servos that a person moves by hand, read over its serial bus.

The bus is only ever read. A leader whose servos hold (torque on) cannot be moved by hand and may
be a follower on the wrong port: it is refused, not switched off, which would drop it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sim2arm.core import plain
from sim2arm.sensors.base import Clocks

from .base import MAX_AGE, FloatArray
from .polling import PolledDevice, Sample
from .serial_port import Port, SerialPort
from .servo_packets import PROTOCOLS, TICK, Register, ServoProtocol


@dataclass(frozen=True, kw_only=True)
class LeaderCfg:
    """A leader: its bus, its servos, and the angles that their numbers mean."""

    port: str
    """Path of the serial port; those in /dev/serial/by-id stay the same when plugged anew."""
    protocol: Literal["dynamixel", "feetech"]
    """Make of the servos."""
    joint_names: tuple[str, ...]
    """As the arm that follows calls them, n."""
    ids: tuple[int, ...]
    """Of the n servos on the bus."""
    signs: tuple[int, ...]
    """1, or -1 where the servo turns the other way than the joint."""
    zeros: tuple[int, ...]
    """Position of each servo where its joint is at 0 [4096 per turn]."""
    baud: int = 1_000_000
    """Speed of the bus."""
    grip_id: int | None = None
    """Servo of the grip, or none."""
    grip_closed: int = 0
    """Its position when the grip is closed [4096 per turn]."""
    grip_open: int = 0
    """Its position when the grip is open."""
    rate_hz: float = 100.0
    """How often it is read."""
    timeout: float = 0.04
    """Longest wait for the answers of all servos [s]. Adapters of FTDI hold bytes back for up to
    16 ms unless the `latency_timer` of the port in /sys is set to 1."""
    max_age: float = MAX_AGE
    """Oldest reading that is still returned [s]."""

    def __post_init__(self) -> None:
        """Check that the parts fit."""
        n = len(self.joint_names)
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"protocol: expected one of {list(PROTOCOLS)}, got {self.protocol!r}")
        for name in ("ids", "signs", "zeros"):
            if len(getattr(self, name)) != n or n == 0:
                raise ValueError(
                    f"{name}: expected {n} numbers, as joint_names, got {len(getattr(self, name))}"
                )
        used = self.all_ids
        if len(set(used)) != len(used) or any(not 0 <= id <= 252 for id in used):
            raise ValueError(f"ids, grip_id: expected different ones from 0 to 252, got {used}")
        if any(sign not in (-1, 1) for sign in self.signs):
            raise ValueError(f"signs: expected 1 or -1, got {self.signs}")
        if self.grip_id is not None and self.grip_open == self.grip_closed:
            raise ValueError(
                f"grip_open, grip_closed: expected different positions, got {self.grip_open} twice"
            )
        for name in ("rate_hz", "timeout", "max_age"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")

    @property
    def all_ids(self) -> tuple[int, ...]:
        """Of all servos, that of the grip last."""
        return self.ids if self.grip_id is None else (*self.ids, self.grip_id)


SO101_LEADER = LeaderCfg(
    port="/dev/ttyACM0",
    protocol="feetech",
    joint_names=("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll"),
    ids=(1, 2, 3, 4, 5),
    signs=(1, 1, 1, 1, 1),
    # LeRobot's calibration (`set_half_turn_homings`) makes the servos say 2047 in the middle of
    # their ranges, where the joints of the arm's model are at 0.
    zeros=(2047,) * 5,
    grip_id=6,
    # The jaw's range of 1.92 rad about the middle; the leader's own grip may differ: measure it.
    grip_closed=2047 - 626,
    grip_open=2047 + 626,
)
"""The SO-101's leader (The Robot Studio, SO-ARM100): ids and names of LeRobot's `so_leader.py`."""


def load_leader(path: Path) -> LeaderCfg:
    """Return the leader that a YAML file describes, by the names of the fields.

    Raises:
        OSError: it cannot be read.
        ValueError: a field is missing, unknown or wrong; one line.
    """
    data = plain.load_yaml(path.read_text(encoding="utf-8"), str(path))
    try:
        return plain.from_plain(LeaderCfg, data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def joints_of_ticks(ticks: Sequence[int], cfg: LeaderCfg) -> FloatArray:
    """Return joint positions (n,) [rad] of servo positions [4096 per turn]."""
    return np.array(cfg.signs) * (np.array(ticks[: len(cfg.ids)]) - np.array(cfg.zeros)) * TICK


def grip_of_ticks(ticks: int, cfg: LeaderCfg) -> float:
    """Return the gripper's element of a servo position: -1 closed, 1 open, no farther."""
    share = (ticks - cfg.grip_closed) / (cfg.grip_open - cfg.grip_closed)
    return min(max(2.0 * share - 1.0, -1.0), 1.0)


class ServoBus:
    """Ask servos on a bus for a register, all in one packet.

    Attributes:
        missed: questions to which not all of them answered well in time.
    """

    def __init__(self, port: Port, protocol: ServoProtocol, now: Callable[[], float]) -> None:
        """Take an open port; `now` is steady [s]."""
        self._port, self._protocol, self._now = port, protocol, now
        self.missed = 0

    def read(self, register: Register, ids: Sequence[int], timeout: float) -> list[bytes] | str:
        """Return what the servos hold, or one line that says what was wrong.

        Args:
            register: which number.
            ids: of the servos, in the order of the result.
            timeout: longest wait for all answers [s].

        Raises:
            OSError: the port is gone.
        """
        self._port.clear()  # an answer to an earlier question is not one to this
        self._port.write(self._protocol.sync_read(register, ids))
        answers: dict[int, bytes] = {}
        rest, wrong = b"", ""
        end = self._now() + timeout
        while len(answers) < len(ids) and (left := end - self._now()) > 0:
            found, rest = self._protocol.take(rest + self._port.read(left))
            for status in found:
                problem = self._protocol.failed(status)
                if problem:
                    wrong = problem
                elif status.id in ids and len(status.data) == register.size:
                    answers[status.id] = status.data
        if len(answers) == len(ids):
            return [answers[id] for id in ids]
        self.missed += 1
        silent = [id for id in ids if id not in answers]
        return wrong or f"servos {silent} did not answer within {timeout:g} s"


class LeaderSource:
    """A leader arm as a source."""

    def __init__(self, port: Port, cfg: LeaderCfg, now: Callable[[], float]) -> None:
        """Take an open port and see that all servos are there and let themselves be moved.

        Raises:
            OSError: they do not answer, or hold; one line.
        """
        self._port, self._cfg = port, cfg
        self._protocol, self._ids = PROTOCOLS[cfg.protocol], cfg.all_ids
        self._bus = ServoBus(port, self._protocol, now)
        self._lost = 0
        torque = self._ask(self._protocol.torque)
        if isinstance(torque, str):
            raise OSError(f"{cfg.port}: {torque}: is the leader powered, are baud and ids right?")
        holding = [id for id, data in zip(self._ids, torque, strict=True) if any(data)]
        if holding:
            raise OSError(
                f"{cfg.port}: servos {holding} hold (torque on): if this is the leader and not the "
                "arm that follows, switch their torque off"
            )

    def poll(self) -> Sample | None:
        """Return where the leader is, or none if a servo did not answer well."""
        data = self._ask(self._protocol.position)
        if isinstance(data, str):
            self._lost += 1
            if self._lost * self._cfg.timeout > 1.0:
                raise OSError(f"{self._cfg.port}: {data}")
            return None
        self._lost = 0
        ticks = [self._protocol.ticks(number) for number in data]
        grip = None if self._cfg.grip_id is None else grip_of_ticks(ticks[-1], self._cfg)
        return Sample(joints=joints_of_ticks(ticks, self._cfg), gripper=grip)

    def close(self) -> None:
        """Let the port go."""
        self._port.close()

    def _ask(self, register: Register) -> list[bytes] | str:
        return self._bus.read(register, self._ids, self._cfg.timeout)


def open_leader(
    cfg: LeaderCfg,
    *,
    open_port: Callable[[str, int], Port] = SerialPort,
    now: Callable[[], float] = time.monotonic,
    clocks: Clocks | None = None,
) -> PolledDevice:
    """Return a leader arm as a device.

    Raises:
        OSError: the port does not open; one line.
    """

    def open_source() -> LeaderSource:
        port = open_port(cfg.port, cfg.baud)
        try:
            return LeaderSource(port, cfg, now)
        except BaseException:
            port.close()
            raise

    open_port(cfg.port, cfg.baud).close()  # what is wrong now is said now
    return PolledDevice(
        open_source,
        joint_names=cfg.joint_names,
        rate_hz=cfg.rate_hz,
        max_age=cfg.max_age,
        clocks=clocks,
    )
