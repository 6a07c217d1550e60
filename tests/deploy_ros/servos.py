"""The servos of an SO-101 where none are: Feetech's protocol behind a pseudo terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import threading
import time
import tty

from sim2arm.sensors.teleop.servo_packets import BROADCAST, FeetechProtocol

SPEED = 3000.0
"""How fast a servo follows its goal [ticks/s]; as ticks are 1/4096 of a turn, 4.6 rad/s."""


class FakeServo:
    """One servo: its memory, and a position that follows the goal while the torque is on."""

    def __init__(self, position: int) -> None:
        self.memory = bytearray(100)
        self.position, self.moved = float(position), time.monotonic()
        self.memory[18], self.memory[21:24] = 12, bytes((16, 32, 0))
        self.memory[62], self.memory[63] = 120, 30
        self.silent = False

    def word(self, address: int) -> int:
        return int.from_bytes(self.memory[address : address + 2], "little")

    def advance(self) -> None:
        now = time.monotonic()
        most = SPEED * (now - self.moved)
        self.moved, before = now, self.position
        if self.memory[40]:
            self.position += min(max(self.word(42) - self.position, -most), most)
        self.memory[56:58] = round(self.position).to_bytes(2, "little")
        self.memory[66] = abs(self.position - before) > 0.5


class FakeServos:
    """A bus of servos; a thread answers what comes.

    Attributes:
        path: of the serial port.
        servos: by id.
        written: (address, id, value) of all writes, in order.
    """

    def __init__(self, positions: dict[int, int]) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self.servos = {id: FakeServo(position) for id, position in positions.items()}
        self.written: list[tuple[int, int, int]] = []
        self._protocol, self._over = FeetechProtocol(), False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        rest = b""
        while not self._over:
            if not select.select([self._master], [], [], 0.05)[0]:
                continue
            try:
                rest += os.read(self._master, 4096)
            except OSError:  # nobody has the port open any more, or it is closed
                time.sleep(0.01)
                continue
            rest = self._take(rest)

    def _take(self, received: bytes) -> bytes:
        while len(received) >= 4:
            assert received[:2] == b"\xff\xff", received.hex()
            end = 4 + received[3]
            if len(received) < end:
                break
            packet, received = received[:end], received[end:]
            assert ~sum(packet[2:-1]) & 0xFF == packet[-1], packet.hex()
            self._obey(packet[2], packet[4], packet[5:-1])
        return received

    def _obey(self, id: int, instruction: int, data: bytes) -> None:
        assert id == BROADCAST, "the driver speaks to all servos at once"
        for servo in self.servos.values():
            servo.advance()
        if instruction == 0x82:
            answers = [self._answer(each, data[0], data[1]) for each in data[2:]]
            os.write(self._master, b"".join(answers))
            return
        assert instruction == 0x83, f"instruction {instruction:#x}"
        address, size = data[0], data[1]
        for k in range(2, len(data), size + 1):
            each, value = data[k], data[k + 1 : k + 1 + size]
            self.written.append((address, each, int.from_bytes(value, "little")))
            self.servos[each].memory[address : address + size] = value

    def _answer(self, id: int, address: int, size: int) -> bytes:
        servo = self.servos.get(id)
        if servo is None or servo.silent:
            return b""
        memory = bytes(servo.memory[address : address + size])
        return self._protocol.packet(id, servo.memory[65], memory)

    def close(self) -> None:
        self._over = True
        self._thread.join(2.0)
        for file in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(file)

    def unplug(self) -> None:
        """Take the cable out: the port hangs up."""
        self.close()
