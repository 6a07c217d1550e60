"""Bytes of servo buses: the manuals' own packets, torn and noisy ones, and random bytes."""

from __future__ import annotations

import numpy as np
import pytest

from sim2arm.sensors.teleop.servo_packets import (
    DynamixelProtocol,
    FeetechProtocol,
    Status,
    crc16,
)
from tests.sensors.teleop.fakes import answer_packet

DYNAMIXEL, FEETECH = DynamixelProtocol(), FeetechProtocol()
BOTH = pytest.mark.parametrize("protocol", [DYNAMIXEL, FEETECH], ids=["dynamixel", "feetech"])


def test_questions_are_the_packets_of_the_manuals() -> None:
    # e-Manual, protocol 2.0: ping of servo 1, and its sync read of 4 bytes at 132 of servos 1, 2.
    assert DYNAMIXEL.packet(1, 0x01, b"") == bytes.fromhex("fffffd00010300 01 194e")
    asked = DYNAMIXEL.sync_read(DYNAMIXEL.position, (1, 2))
    assert asked == bytes.fromhex("fffffd00fe0900 82 84000400 0102 cefa")
    # Feetech: ping of servo 1, checksum ~(1 + 2 + 1) = 0xFB.
    assert FEETECH.packet(1, 0x01, b"") == bytes.fromhex("ffff 01 02 01 fb")
    # ~(0xFE + 6 + 0x82 + 0x38 + 2 + 1 + 2) = ~0x1C3 = 0x3C in the lowest byte.
    assert FEETECH.sync_read(FEETECH.position, (1, 2)) == bytes.fromhex(
        "ffff fe 06 82 38 02 0102 3c"
    )


def test_answers_are_the_packets_of_the_manuals() -> None:
    # e-Manual, protocol 2.0, the answers to that sync read: 166 and 2079.
    received = bytes.fromhex(
        "fffffd00010800 55 00 a6000000 8cc0 fffffd00020800 55 00 1f080000 babe"
    )
    found, rest = DYNAMIXEL.take(received)
    assert [(s.id, s.error, DYNAMIXEL.ticks(s.data)) for s in found] == [(1, 0, 166), (2, 0, 2079)]
    assert rest == b""
    # Servo 1 at 0x0805 = 2053: ~(1 + 4 + 0 + 5 + 8) = ~0x12 = 0xED.
    assert FEETECH.take(bytes.fromhex("ffff 01 04 00 0508 ed")) == (
        [Status(id=1, error=0, data=b"\x05\x08")],
        b"",
    )
    assert FEETECH.ticks(b"\x05\x08") == 2053


def test_numbers_below_zero_are_twos_complement_or_a_sign_bit() -> None:
    assert DYNAMIXEL.ticks(b"\xff\xff\xff\xff") == -1
    assert FEETECH.ticks(b"\x01\x80") == -1


def test_parameters_that_look_like_a_header_are_stuffed_and_come_back() -> None:
    data = b"\xff\xff\xfd\x00"  # the position 16646143 = 0x00FDFFFF
    packet = answer_packet(DYNAMIXEL, 3, 0, data)
    assert packet.count(b"\xff\xff\xfd\xfd") == 1
    found, rest = DYNAMIXEL.take(packet)
    assert (found[0].data, rest) == (data, b"")


def test_the_crc_of_bits_is_that_of_the_long_division() -> None:
    # 1 << 16 divided by x^16 + x^15 + x^2 + 1 leaves 0x8005; a byte 0x01 is that, shifted.
    assert crc16(b"\x01") == 0x8005
    assert crc16(b"") == 0


@BOTH
def test_answers_in_pieces_are_put_together(protocol: DynamixelProtocol | FeetechProtocol) -> None:
    size = protocol.position.size
    stream = b"".join(answer_packet(protocol, id, 0, bytes((id,)) * size) for id in (1, 2, 3))
    for cut in range(len(stream) + 1):
        first, rest = protocol.take(stream[:cut])
        second, rest = protocol.take(rest + stream[cut:])
        assert [s.id for s in first + second] == [1, 2, 3], cut
        assert rest == b""


@BOTH
def test_noise_between_answers_is_skipped(protocol: DynamixelProtocol | FeetechProtocol) -> None:
    answer = answer_packet(protocol, 7, 0, b"\x10" * protocol.position.size)
    for noise in (b"\x00\x80", b"\xff", b"\xff\xff", b"\xff\xff\xfd", b"\xff\xff\xff", b"\xfd"):
        found, _ = protocol.take(noise + answer)
        assert [s.id for s in found] == [7], noise


@BOTH
def test_our_own_question_coming_back_is_no_answer(
    protocol: DynamixelProtocol | FeetechProtocol,
) -> None:
    found, rest = protocol.take(protocol.sync_read(protocol.position, (1, 2, 3, 4, 5, 6)))
    assert (found, rest) == ([], b"")


@BOTH
def test_every_single_bit_error_is_found(protocol: DynamixelProtocol | FeetechProtocol) -> None:
    good = Status(id=2, error=0, data=b"\x12" * protocol.position.size)
    packet = answer_packet(protocol, good.id, good.error, good.data)
    for bit in range(8 * len(packet)):
        broken = bytearray(packet)
        broken[bit // 8] ^= 1 << bit % 8
        assert protocol.take(bytes(broken))[0] == []


@BOTH
def test_random_bytes_neither_raise_nor_hang_nor_grow(
    protocol: DynamixelProtocol | FeetechProtocol,
) -> None:
    rng = np.random.default_rng(4)
    for _ in range(2000):
        # Many bytes of headers, so that more than the first test of a packet is reached.
        data = bytes(rng.choice([0xFF, 0xFD, 0x00, 0x04, 0x55, 0x01, 0x20], 60).astype(np.uint8))
        found, rest = protocol.take(data)
        assert len(rest) < 48  # less than one packet of the greatest length
        for status in found:
            assert answer_packet(protocol, status.id, status.error, status.data) in data


def test_errors_of_servos_spoil_positions_only_where_they_are_about_them() -> None:
    assert FEETECH.failed(Status(id=3, error=0x21, data=b"")) == ""  # voltage, overload
    assert "servo 3 reports a fault of its angle sensor" in FEETECH.failed(
        Status(id=3, error=0x02, data=b"")
    )
    assert DYNAMIXEL.failed(Status(id=3, error=0x80, data=b"")) == ""  # alert
    assert DYNAMIXEL.failed(Status(id=3, error=0x87, data=b"")) == "servo 3 answers with error 7"
