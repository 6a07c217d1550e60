"""A leader on a bus: angles, servos that are silent, wrong, or hold; and over a real terminal."""

from __future__ import annotations

import math
import os
import pty
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.core import plain
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.teleop.leader import (
    SO101_LEADER,
    LeaderCfg,
    LeaderSource,
    grip_of_ticks,
    joints_of_ticks,
    load_leader,
    open_leader,
)
from sim2arm.sensors.teleop.polling import PolledDevice
from sim2arm.sensors.teleop.serial_port import SerialPort
from sim2arm.sensors.teleop.servo_packets import PROTOCOLS, DynamixelProtocol, FeetechProtocol
from tests.sensors.fakes import until
from tests.sensors.teleop.fakes import FakeBus, answer_packet

CFG = LeaderCfg(
    port="/dev/fake",
    protocol="feetech",
    joint_names=("shoulder", "elbow"),
    ids=(1, 2),
    signs=(1, -1),
    zeros=(2048, 1024),
    grip_id=3,
    grip_closed=2000,
    grip_open=1000,
    timeout=0.02,
)
TICKS = {1: 3072, 2: 2048, 3: 1250}


def make_bus(name: str = "feetech") -> FakeBus:
    protocol = FeetechProtocol() if name == "feetech" else DynamixelProtocol()
    return FakeBus(protocol, dict(TICKS))


def make_source(bus: FakeBus, cfg: LeaderCfg = CFG) -> LeaderSource:
    name = "feetech" if isinstance(bus.protocol, FeetechProtocol) else "dynamixel"
    return LeaderSource(bus, replace(cfg, protocol=name), bus.now)


def test_ticks_become_angles_and_a_grip() -> None:
    # A quarter of a turn is 1024 ticks; the elbow's servo turns the other way.
    np.testing.assert_allclose(joints_of_ticks([3072, 2048], CFG), [math.pi / 2, -math.pi / 2])
    assert [grip_of_ticks(t, CFG) for t in (2000, 1500, 1000, 900)] == [-1.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("name", list(PROTOCOLS))
@pytest.mark.parametrize("trouble", ["none", "echo", "noise", "pieces"])
def test_a_leader_is_read_through_echo_noise_and_pieces(name: str, trouble: str) -> None:
    bus = make_bus(name)
    bus.echo, bus.noise = trouble == "echo", b"\xff\x00" if trouble == "noise" else b""
    bus.chunk = 3 if trouble == "pieces" else 4096
    sample = make_source(bus).poll()
    assert sample is not None and sample.joints is not None
    np.testing.assert_allclose(sample.joints, [math.pi / 2, -math.pi / 2])
    assert sample.gripper == 0.5


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_a_reading_is_whole_or_it_is_none(name: str) -> None:
    bus = make_bus(name)
    source = make_source(bus)
    bus.silent = {2}
    before = bus.seconds
    assert source.poll() is None
    assert bus.seconds - before == pytest.approx(CFG.timeout, abs=1e-3)
    bus.silent = set()
    assert source.poll() is not None
    bus.error = 2 if name == "feetech" else 7
    assert source.poll() is None


def test_late_and_foreign_answers_are_not_taken_for_new_ones() -> None:
    bus = make_bus()
    source = make_source(bus)
    bus.silent = {2}
    assert source.poll() is None
    bus.pending = answer_packet(
        bus.protocol, 2, 0, b"\x00\x00"
    )  # late: cleared by the next question
    assert source.poll() is None
    bus.noise = answer_packet(bus.protocol, 9, 0, b"\x00\x00")  # a servo that was not asked
    assert source.poll() is None
    bus.silent = set()
    sample = source.poll()
    assert sample is not None and sample.joints is not None
    np.testing.assert_allclose(sample.joints, [math.pi / 2, -math.pi / 2])


def test_a_bus_that_stays_silent_is_opened_again_with_its_reason() -> None:
    bus = make_bus()
    source = make_source(bus)
    bus.silent = {1, 2, 3}
    with pytest.raises(
        OSError, match=r"/dev/fake: servos \[1, 2, 3\] did not answer within 0.02 s"
    ):
        for _ in range(60):
            source.poll()


def test_servos_that_hold_are_refused_and_never_written_to() -> None:
    bus = make_bus()
    bus.torque = {2}
    with pytest.raises(OSError, match=r"servos \[2\] hold \(torque on\).*switch their torque off"):
        make_source(bus)
    assert bus.asked == 1  # FakeBus fails at everything that is not a sync read


def test_servos_that_are_not_there_are_named() -> None:
    bus = make_bus()
    del bus.ticks[3]
    with pytest.raises(
        OSError, match=r"servos \[3\] did not answer.*powered, are baud and ids right"
    ):
        make_source(bus)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "canopen"}, "protocol: expected one of"),
        ({"ids": (1,)}, "ids: expected 2 numbers, as joint_names, got 1"),
        ({"ids": (1, 3)}, "expected different ones from 0 to 252"),
        ({"signs": (1, 0)}, "signs: expected 1 or -1"),
        ({"grip_open": 2000}, "grip_open, grip_closed: expected different positions"),
        ({"timeout": 0.0}, "timeout: expected more than 0"),
    ],
)
def test_bad_settings_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CFG, **changes)


def test_a_port_that_is_not_there_or_not_serial_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such port; here: "):
        open_leader(replace(SO101_LEADER, port=str(tmp_path / "ttyACM9")))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="not a serial port"):
        SerialPort(str(tmp_path / "file"), 1_000_000)
    with pytest.raises(OSError, match="no serial speed of 12345 baud"):
        SerialPort(str(tmp_path / "file"), 12345)


class PtyServos(threading.Thread):
    """Servos behind a real terminal: they answer every sync read until the end."""

    def __init__(self, ticks: dict[int, int]) -> None:
        super().__init__(daemon=True)
        self.bus = FakeBus(FeetechProtocol(), ticks)
        self.master, self.slave = pty.openpty()
        self.path = os.ttyname(self.slave)
        self.start()

    def run(self) -> None:
        while True:
            try:
                asked = os.read(self.master, 256)
                self.bus.write(asked)
                os.write(self.master, self.bus.pending)
            except OSError:
                return

    def unplug(self) -> None:
        os.close(self.slave)
        os.close(self.master)


def test_a_leader_is_read_over_a_terminal_of_the_system() -> None:
    servos = PtyServos({id: 2047 + 100 * id for id in range(1, 7)})
    cfg = replace(SO101_LEADER, port=servos.path, timeout=0.2, max_age=0.5)
    with open_leader(cfg) as leader:
        reading = leader.wait(5.0)
        assert reading.joints is not None
        expected = [100 * id * 2 * math.pi / 4096 for id in range(1, 6)]
        np.testing.assert_allclose(reading.joints, expected)
        assert reading.gripper == pytest.approx(2 * (600 + 626) / 1252 - 1)
        with pytest.raises(OSError, match=r"another program uses this port|busy"):
            SerialPort(servos.path, 1_000_000)
        servos.unplug()
        until(lambda: "no such port" in _stale(leader))


def _stale(leader: PolledDevice) -> str:
    try:
        leader.read()
    except StaleReading as error:
        return str(error)
    return ""


def test_a_leader_is_described_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "gello.yaml"
    file.write_text(plain.dump_yaml(plain.to_plain(CFG)))
    assert load_leader(file) == CFG
    file.write_text(
        "{port: /dev/ttyUSB0, protocol: dynamixel, joint_names: [a], ids: [1], signs: [1]}"
    )
    with pytest.raises(ValueError, match=r"gello.yaml: .*zeros"):
        load_leader(file)
    file.write_text(plain.dump_yaml(plain.to_plain(CFG) | {"signs": [1, 2]}))
    with pytest.raises(ValueError, match=r"gello.yaml: .*signs: expected 1 or -1"):
        load_leader(file)
