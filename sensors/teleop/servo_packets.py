"""Bytes on the buses of smart servos: Dynamixel protocol 2.0 and Feetech's STS protocol.

A leader needs one question to all servos (sync read) and their answers; an arm of Feetech servos
that follows also writes (`write`, `sync_write`). Broken bytes are skipped, never guessed.

Sources: ROBOTIS e-Manual, "DYNAMIXEL Protocol 2.0" (packets, byte stuffing, CRC-16 with polynomial
0x8005 from 0, sync read) and "XL330-M288" (control table); Feetech, "Communication Protocol
Manual" (packets, checksum, SYNC READ) and "STS3215" memory table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

BROADCAST = 0xFE
LONGEST = 32
"""Answers to our questions are shorter; a longer length is noise."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """The answer of one servo."""

    id: int
    error: int
    """0 if all is well; bits or numbers as its protocol says."""
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Register:
    """Where a servo keeps a number."""

    address: int
    size: int


class ServoProtocol(Protocol):
    """How servos of a make are asked."""

    @property
    def position(self) -> Register:
        """Of the present position."""
        ...

    @property
    def torque(self) -> Register:
        """Not 0 while the servo holds."""
        ...

    def sync_read(self, register: Register, ids: Sequence[int]) -> bytes:
        """Return the packet that asks servos for a register."""
        ...

    def take(self, received: bytes) -> tuple[list[Status], bytes]:
        """Return the whole answers in received bytes, and what may be the start of another."""
        ...

    def failed(self, status: Status) -> str:
        """Return why the number in an answer is not good, or an empty string."""
        ...

    def ticks(self, data: bytes) -> int:
        """Return the position that a register holds [4096 per turn]."""
        ...


def crc16(data: bytes) -> int:
    """Return the CRC of Dynamixel packets: polynomial 0x8005, from 0, bits not reflected."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x8005 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


class DynamixelProtocol:
    """Dynamixel protocol 2.0 with the control table of X series servos (XL330, XL430, XM430)."""

    position = Register(address=132, size=4)
    torque = Register(address=64, size=1)
    _HEADER = b"\xff\xff\xfd\x00"

    def packet(self, id: int, instruction: int, parameters: bytes) -> bytes:
        """Return a packet; parameters that look like a header are stuffed."""
        stuffed = parameters.replace(b"\xff\xff\xfd", b"\xff\xff\xfd\xfd")
        length = len(stuffed) + 3
        body = self._HEADER + bytes((id, length & 0xFF, length >> 8, instruction)) + stuffed
        return body + crc16(body).to_bytes(2, "little")

    def sync_read(self, register: Register, ids: Sequence[int]) -> bytes:
        """Return the packet that asks servos for a register."""
        where = register.address.to_bytes(2, "little") + register.size.to_bytes(2, "little")
        return self.packet(BROADCAST, 0x82, where + bytes(ids))

    def take(self, received: bytes) -> tuple[list[Status], bytes]:
        """Return the whole answers in received bytes, and what may be the start of another."""
        found: list[Status] = []
        i = 0
        while (i := received.find(b"\xff\xff\xfd", i)) >= 0:
            if len(received) < i + 7:
                return found, received[i:]
            length = int.from_bytes(received[i + 5 : i + 7], "little")
            end = i + 7 + length
            if received[i + 3] != 0 or not 4 <= length <= LONGEST:
                i += 1
            elif len(received) < end:
                return found, received[i:]
            elif crc16(received[i : end - 2]) != int.from_bytes(received[end - 2 : end], "little"):
                i += 1
            else:
                if received[i + 7] == 0x55:  # else an instruction: the echo of our own
                    data = received[i + 9 : end - 2].replace(b"\xff\xff\xfd\xfd", b"\xff\xff\xfd")
                    found.append(Status(id=received[i + 4], error=received[i + 8], data=data))
                i = end
        return found, _start_of(b"\xff\xff\xfd", received)

    def failed(self, status: Status) -> str:
        """Return why an answer is not good; the alert bit (0x80) alone spoils no position."""
        number = status.error & 0x7F
        return f"servo {status.id} answers with error {number}" if number else ""

    def ticks(self, data: bytes) -> int:
        """Return the position: a signed number that goes on over several turns."""
        return int.from_bytes(data, "little", signed=True)


class FeetechProtocol:
    """Feetech's protocol with the memory table of STS servos (STS3215 of the SO-101).

    The SCS series has the same packets, but other registers, its high byte first, and no sync
    read: it is not supported.
    """

    position = Register(address=56, size=2)
    torque = Register(address=40, size=1)

    def packet(self, id: int, instruction: int, parameters: bytes) -> bytes:
        """Return a packet."""
        body = bytes((id, len(parameters) + 2, instruction)) + parameters
        return b"\xff\xff" + body + bytes((~sum(body) & 0xFF,))

    def sync_read(self, register: Register, ids: Sequence[int]) -> bytes:
        """Return the packet that asks servos for a register."""
        return self.packet(BROADCAST, 0x82, bytes((register.address, register.size, *ids)))

    def write(self, id: int, register: Register, value: int) -> bytes:
        """Return the packet that sets a register of one servo, which answers it."""
        return self.packet(id, 0x03, bytes((register.address,)) + number(register, value))

    def sync_write(self, register: Register, values: Mapping[int, int]) -> bytes:
        """Return the packet that sets a register of servos by id; nobody answers it."""
        told = b"".join(bytes((id,)) + number(register, value) for id, value in values.items())
        return self.packet(BROADCAST, 0x83, bytes((register.address, register.size)) + told)

    def take(self, received: bytes) -> tuple[list[Status], bytes]:
        """Return the whole answers in received bytes, and what may be the start of another."""
        found: list[Status] = []
        i = 0
        while (i := received.find(b"\xff\xff", i)) >= 0:
            if len(received) < i + 4:
                return found, received[i:]
            id, length = received[i + 2], received[i + 3]
            end = i + 4 + length
            if id > 0xFD or not 2 <= length <= LONGEST:  # 0xFF: header one later; 0xFE: our echo
                i += 1
            elif len(received) < end:
                return found, received[i:]
            elif ~sum(received[i + 2 : end - 1]) & 0xFF != received[end - 1]:
                i += 1
            else:
                data = received[i + 5 : end - 1]
                found.append(Status(id=id, error=received[i + 4], data=data))
                i = end
        return found, _start_of(b"\xff\xff", received)

    def failed(self, status: Status) -> str:
        """Return why an answer is not good: bit 1 is a fault of the angle sensor.

        The other bits (voltage 0, temperature 2, current 3, overload 5) do not spoil a position.
        """
        return f"servo {status.id} reports a fault of its angle sensor" if status.error & 2 else ""

    def ticks(self, data: bytes) -> int:
        """Return the position: sign in bit 15, size below it."""
        ticks = int.from_bytes(data, "little")
        return -(ticks & 0x7FFF) if ticks & 0x8000 else ticks


def number(register: Register, value: int) -> bytes:
    """Return a number as a Feetech register holds it: low byte first, none below zero.

    Raises:
        ValueError: it does not fit.
    """
    if not 0 <= value < 1 << (8 * register.size):
        raise ValueError(f"register {register.address}: {value} does not fit {register.size} bytes")
    return value.to_bytes(register.size, "little")


def _start_of(header: bytes, received: bytes) -> bytes:
    """Return the end of received bytes that may be the start of a header."""
    for n in range(len(header) - 1, 0, -1):
        if received.endswith(header[:n]):
            return header[:n]
    return b""


PROTOCOLS: dict[Literal["dynamixel", "feetech"], ServoProtocol] = {
    "dynamixel": DynamixelProtocol(),
    "feetech": FeetechProtocol(),
}
TICK = 2.0 * math.pi / 4096
"""Angle of a tick of both makes [rad]."""
