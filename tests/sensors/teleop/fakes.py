"""What is plugged in where nothing is: a bus of servos, an input device, a SpaceMouse."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sim2arm.sensors.teleop.base import TeleopReading
from sim2arm.sensors.teleop.evdev import Axis
from sim2arm.sensors.teleop.servo_packets import DynamixelProtocol, FeetechProtocol
from tests.sensors.fakes import FakeClock

MS = 1_000_000


def make_reading(
    numbers: Sequence[float] | np.ndarray = (0.0,) * 6,
    *,
    ns: int = 0,
    clutch: bool = True,
    sequence: int = 1,
    gripper: float | None = None,
    presses: dict[str, int] | None = None,
    joints: bool = False,
) -> TeleopReading:
    values = np.array(numbers, dtype=np.float64)
    return TeleopReading(
        twist=None if joints else values,
        joints=values if joints else None,
        clutch=clutch,
        gripper=gripper,
        presses=presses or {},
        sequence=sequence,
        stamp_ns=ns,
        receipt_ns=ns,
    )


class FakeBus:
    """A serial port with servos behind it; time passes only while answers are waited for.

    Attributes:
        ticks: position of each servo by id.
        torque: ids of the servos that hold.
        noise: bytes that come before each answer.
        silent: ids that do not answer.
        error: error byte of all answers.
        echo: whether the adapter sends back what it is sent.
        chunk: bytes that one read returns at most.
    """

    def __init__(
        self, protocol: DynamixelProtocol | FeetechProtocol, ticks: dict[int, int]
    ) -> None:
        self.protocol, self.ticks = protocol, ticks
        self.torque: set[int] = set()
        self.silent: set[int] = set()
        self.noise, self.error, self.echo, self.chunk = b"", 0, False, 4096
        self.plugged, self.opened, self.asked = True, 0, 0
        self.seconds = 0.0
        self.pending = b""

    def open(self, path: str, baud: int) -> FakeBus:
        if not self.plugged:
            raise FileNotFoundError(f"{path}: no such port; here: none")
        self.opened += 1
        return self

    def now(self) -> float:
        return self.seconds

    def clear(self) -> None:
        self._check()
        self.pending = b""

    def write(self, data: bytes) -> None:
        """Answer a sync read; anything else on a leader's bus is an error of ours."""
        self._check()
        self.asked += 1
        feetech = isinstance(self.protocol, FeetechProtocol)
        if feetech:
            assert data[4] == 0x82, "only sync reads are sent"
            address, ids = data[5], data[7:-1]
        else:
            assert data[7] == 0x82, "only sync reads are sent"
            address, ids = int.from_bytes(data[8:10], "little"), data[12:-2]
        self.pending += data if self.echo else b""
        for id in ids:
            if id in self.silent or id not in self.ticks:
                continue
            if address == self.protocol.torque.address:
                answer = bytes((int(id in self.torque),))
            elif feetech:
                ticks = self.ticks[id]
                answer = (abs(ticks) | (0x8000 if ticks < 0 else 0)).to_bytes(2, "little")
            else:
                answer = self.ticks[id].to_bytes(4, "little", signed=True)
            self.pending += self.noise + answer_packet(self.protocol, id, self.error, answer)

    def read(self, timeout: float) -> bytes:
        self._check()
        data, self.pending = self.pending[: self.chunk], self.pending[self.chunk :]
        self.seconds += 0.0001 if data else timeout
        return data

    def close(self) -> None:
        self.pending = b""

    def _check(self) -> None:
        if not self.plugged:
            raise OSError("the serial port was unplugged")


def answer_packet(
    protocol: DynamixelProtocol | FeetechProtocol, id: int, error: int, data: bytes
) -> bytes:
    """Return the packet of a servo's answer: the error byte is Feetech's instruction byte."""
    if isinstance(protocol, FeetechProtocol):
        return protocol.packet(id, error, data)
    return protocol.packet(id, 0x55, bytes((error,)) + data)


class FakeInput:
    """A keyboard or gamepad of the kernel."""

    def __init__(self, axes: Sequence[int] = ()) -> None:
        self.down: set[int] = set()
        self.went_down: list[int] = []
        self.axes = {code: Axis(value=0, least=-32768, most=32767) for code in axes}
        self.plugged, self.opened = True, 0

    def find(self, wanted: str) -> Path:
        if not self.plugged:
            raise FileNotFoundError("no keyboard is plugged in: there is no keyboard here")
        return Path("/dev/input/event7")

    def open(self, path: Path) -> FakeInput:
        self.opened += 1
        return self

    def press(self, *codes: int) -> None:
        self.down |= set(codes)
        self.went_down += codes

    def release(self, *codes: int) -> None:
        self.down -= set(codes)

    def push(self, code: int, share: float) -> None:
        self.axes[code] = Axis(value=round(32767 * share), least=-32768, most=32767)

    def held(self) -> frozenset[int]:
        if not self.plugged:
            raise OSError(19, "No such device")
        return frozenset(self.down)

    def pressed(self) -> list[int]:
        taken, self.went_down = self.went_down, []
        return taken

    def axis(self, code: int) -> Axis:
        if not self.plugged:
            raise OSError(19, "No such device")
        if code not in self.axes:
            raise OSError(22, "Invalid argument")
        return self.axes[code]

    def close(self) -> None:
        pass


class FakeSpaceMouse:
    """A SpaceMouse that sends while it is deflected, as long as it is not out of reach.

    Attributes:
        translation, rotation: how it is deflected, as numbers of reports 1 and 2.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.translation: tuple[int, int, int] = (0, 0, 0)
        self.rotation: tuple[int, int, int] = (0, 0, 0)
        self.plugged, self.in_reach, self.opened = True, True, 0
        self.queue: list[bytes] = []
        self._sent_zero = True

    def find(self, wanted: str) -> Path:
        if not self.plugged:
            raise FileNotFoundError("no SpaceMouse is plugged in; here: none")
        return Path("/dev/hidraw3")

    def open(self, path: Path) -> FakeSpaceMouse:
        self.opened += 1
        return self

    def now(self) -> float:
        return 1e-9 * self.clock.ns

    def buttons(self, bits: int) -> None:
        self.queue.append(bytes((3, bits, 0)))

    def tick(self) -> None:
        """Let the device send what it sends every 8 ms."""
        zero = not any(self.translation + self.rotation)
        if self.in_reach and not (zero and self._sent_zero):
            self.queue += [
                b"\x01" + struct.pack("<3h", *self.translation),
                b"\x02" + struct.pack("<3h", *self.rotation),
            ]
            self._sent_zero = zero

    def read(self) -> bytes:
        if not self.plugged:
            raise OSError(5, "Input/output error")
        return self.queue.pop(0) if self.queue else b""

    def close(self) -> None:
        pass
