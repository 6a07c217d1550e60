"""Reports of a SpaceMouse: recorded bytes, axes, silence, buttons, finding it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.sensors.teleop.spacemouse import (
    MULTI_AXIS,
    PAIR,
    HidrawDevice,
    Report,
    SpaceMouseCfg,
    SpaceMouseSource,
    find_spacemouse,
    hand_axes,
    parse_report,
)
from tests.sensors.fakes import FakeClock
from tests.sensors.teleop.fakes import FakeSpaceMouse


def make_source(**cfg: Any) -> tuple[SpaceMouseSource, FakeSpaceMouse]:
    fake = FakeSpaceMouse(FakeClock())
    return SpaceMouseSource(fake, SpaceMouseCfg(**cfg), fake.now), fake


def test_reports_are_parsed_as_recorded() -> None:
    # Recorded of a SpaceNavigator: at rest, a rotation about the second axis, both buttons.
    assert parse_report(bytes.fromhex("01000000000000")) == Report(translation=(0, 0, 0))
    assert parse_report(bytes.fromhex("020000e2ff0000")) == Report(rotation=(0, -30, 0))
    assert parse_report(bytes.fromhex("030300")) == Report(buttons=3)
    wireless = b"\x01" + struct.pack("<6h", 1, -2, 3, -350, 350, 0)
    assert parse_report(wireless) == Report(translation=(1, -2, 3), rotation=(-350, 350, 0))
    assert parse_report(bytes.fromhex("176401 00")) is None  # battery


@pytest.mark.parametrize("data", [b"", b"\x01\x00", b"\x02" + bytes(5), b"\x03"])
def test_reports_that_are_too_short_are_errors(data: bytes) -> None:
    with pytest.raises(ValueError, match="report"):
        parse_report(data)


def test_axes_are_those_of_the_person() -> None:
    np.testing.assert_allclose(hand_axes((0, -350, 0)), [1, 0, 0])  # pushed away: x
    np.testing.assert_allclose(hand_axes((-175, 0, 0)), [0, 0.5, 0])  # to the left: y
    np.testing.assert_allclose(hand_axes((0, 0, -700)), [0, 0, 1])  # lifted, beyond the range: z
    # The map is a rotation, so that it serves rotations about the axes, too.
    turned = np.stack([hand_axes(axis) for axis in ((350, 0, 0), (0, 350, 0), (0, 0, 350))])
    assert np.linalg.det(turned) == pytest.approx(1.0)


def test_a_cap_at_rest_is_heard_and_a_deflection_only_while_it_is_repeated() -> None:
    source, fake = make_source()
    resting = source.poll()
    assert resting is not None and resting.twist is not None and not resting.twist.any()
    fake.translation, fake.rotation = (0, -350, 0), (0, 0, 35)
    fake.tick()
    pushed = source.poll()
    assert pushed is not None and pushed.twist is not None
    np.testing.assert_allclose(pushed.twist, [1, 0, 0, 0, 0, -0.1])
    assert source.poll() is None  # nothing new: the reading grows old
    fake.in_reach = False
    fake.clock.move(1.0)
    fake.tick()
    assert source.poll() is None
    fake.in_reach, fake.translation, fake.rotation = True, (0, 0, 0), (0, 0, 0)
    fake.tick()
    assert source.poll() is not None and source.poll() is not None


def test_one_half_does_not_keep_the_other_alive() -> None:
    source, fake = make_source()
    fake.queue = [b"\x02" + struct.pack("<3h", 0, 0, 200)]
    assert source.poll() is not None
    fake.clock.move(PAIR + 0.01)
    fake.queue = [b"\x01" + struct.pack("<3h", 0, -100, 0)]
    assert source.poll() is None  # the rotation is stale
    fake.buttons(2)
    sample = source.poll()
    assert sample is not None and sample.pressed == ("keep",) and not sample.clutch


def test_buttons_count_once_and_one_may_be_the_clutch() -> None:
    source, fake = make_source(clutch_button=0, buttons={1: "keep"})
    fake.buttons(0b10)
    fake.buttons(0b11)
    first, second = source.poll(), source.poll()
    assert first is not None and first.pressed == ("keep",) and first.clutch
    assert second is not None and second.pressed == () and second.clutch
    fake.buttons(0)
    third = source.poll()
    assert third is not None and not third.clutch


def test_another_device_is_refused() -> None:
    source, fake = make_source()
    fake.queue = [b"\x01\x02"]
    with pytest.raises(OSError, match="not a SpaceMouse: report 1: expected 6 or 12 bytes, got 1"):
        source.poll()


def test_bad_meanings_are_one_line() -> None:
    with pytest.raises(ValueError, match=r"buttons: expected some of .*, got 'fire'"):
        SpaceMouseCfg(buttons={0: "fire"})


def make_root(root: Path, *names: str, descriptor: bytes = MULTI_AXIS) -> Path:
    for name in names:
        number = len(list((root / "sys/class/hidraw").glob("*"))) if root.exists() else 0
        folder = root / f"sys/class/hidraw/hidraw{number}/device"
        folder.mkdir(parents=True)
        (folder / "report_descriptor").write_bytes(descriptor + b"\xa1\x01")
        (folder / "uevent").write_text(
            f"DRIVER=hid\nHID_ID=0003:0000256F:0000C635\nHID_NAME={name}\n"
        )
        (root / "dev").mkdir(exist_ok=True)
        (root / f"dev/hidraw{number}").touch()
    return root


def test_a_spacemouse_is_found_by_what_it_says_it_is(tmp_path: Path) -> None:
    make_root(tmp_path, "Some Keyboard", descriptor=b"\x05\x01\x09\x06")
    with pytest.raises(FileNotFoundError, match="no SpaceMouse is plugged in; here: none"):
        find_spacemouse("", tmp_path)
    make_root(tmp_path, "3Dconnexion SpaceMouse Compact")
    assert find_spacemouse("", tmp_path) == tmp_path / "dev/hidraw1"
    make_root(tmp_path, "3Dconnexion SpaceMouse Wireless")
    assert find_spacemouse("wireless", tmp_path) == tmp_path / "dev/hidraw2"
    assert find_spacemouse("/dev/hidraw0", tmp_path) == tmp_path / "dev/hidraw0"
    with pytest.raises(
        OSError, match=r"2 of them match.*hidraw1 \(3Dconnexion SpaceMouse Compact\)"
    ):
        find_spacemouse("spacemouse", tmp_path)
    with pytest.raises(FileNotFoundError, match="no SpaceMouse matches 'pro'"):
        find_spacemouse("pro", tmp_path)


def test_a_raw_device_gives_what_is_there_without_waiting(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "hidraw0")
    device = HidrawDevice(tmp_path / "hidraw0")
    writer = os.open(tmp_path / "hidraw0", os.O_WRONLY)
    assert device.read() == b""
    os.write(writer, b"\x03\x01\x00")
    assert device.read() == b"\x03\x01\x00"
    os.close(writer)
    with pytest.raises(OSError, match="the device closed"):
        device.read()
    device.close()
