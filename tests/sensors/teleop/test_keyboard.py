"""Keys and sticks: the kernel's bytes, names, twists; typed text with its escape sequences."""

from __future__ import annotations

import os
import pty
import struct
import termios
from pathlib import Path

import numpy as np
import pytest

from sim2arm.sensors.teleop.base import PRESSES
from sim2arm.sensors.teleop.evdev import (
    Axis,
    KernelDevice,
    find_input,
    keys_of_bits,
    presses_of_events,
    read_request,
)
from sim2arm.sensors.teleop.gamepad import AXES, BUTTONS, GamepadCfg, GamepadSource
from sim2arm.sensors.teleop.keyboard import (
    CODES,
    MOTIONS,
    PRESS_KEYS,
    KeyboardCfg,
    KeyboardSource,
    TerminalCfg,
    TerminalSource,
    keys_of_text,
    open_terminal,
    twist_of_keys,
)
from tests.sensors.teleop.fakes import FakeInput


def event(kind: int, code: int, value: int) -> bytes:
    return struct.pack("@llHHi", 1, 2, kind, code, value)


def test_requests_have_the_kernels_numbers() -> None:
    # EVIOCGKEY(96) = 2 << 30 | 96 << 16 | 'E' << 8 | 0x18, and EVIOCGABS(ABS_Y) of 24 bytes.
    assert read_request(0x18, 96) == 0x80604518
    assert read_request(0x41, 24) == 0x80184541


def test_held_keys_are_bits_from_the_lowest() -> None:
    bits = bytearray(96)
    bits[17 // 8] |= 1 << 17 % 8
    bits[0x137 // 8] |= 1 << 0x137 % 8
    assert keys_of_bits(bytes(bits)) == {17, 0x137}


def test_presses_are_neither_repeats_nor_releases_nor_torn_events() -> None:
    data = event(1, 28, 1) + event(0, 0, 0) + event(1, 28, 2) + event(1, 28, 0) + event(1, 37, 1)
    assert presses_of_events(data) == [28, 37]
    assert presses_of_events(data[:-1]) == [28]
    with pytest.raises(OSError, match="lost events"):
        presses_of_events(event(0, 3, 0))


def test_axes_go_from_minus_one_to_one() -> None:
    shares = [Axis(value=v, least=0, most=255).share for v in (0, 255, 300)]
    assert shares == [-1.0, 1.0, 1.0]
    assert Axis(value=5, least=3, most=3).share == 0.0


def test_events_of_the_kernel_are_read_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "event0")
    device = KernelDevice(tmp_path / "event0")
    writer = os.open(tmp_path / "event0", os.O_WRONLY)
    assert device.pressed() == []
    os.write(writer, event(1, 28, 1))
    assert device.pressed() == [28]
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        device.held()  # a pipe is no input device
    os.close(writer)
    with pytest.raises(OSError, match="closed"):
        device.pressed()
    device.close()


def test_every_key_has_one_meaning_and_every_motion_two_keys() -> None:
    assert not MOTIONS.keys() & PRESS_KEYS.keys()
    assert sorted(MOTIONS.values()) == [(axis, sign) for axis in range(6) for sign in (-1.0, 1.0)]
    assert {*MOTIONS, *PRESS_KEYS} <= set(CODES.values())
    assert set(PRESS_KEYS.values()) | set(BUTTONS.values()) <= set(PRESSES)


def test_codes_are_those_of_the_system() -> None:
    header = Path("/usr/include/linux/input-event-codes.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    defined = {}
    for line in header.read_text().splitlines():
        parts = line.split()
        if len(parts) >= 3 and parts[0] == "#define" and parts[2][:1].isdigit():
            defined[parts[1]] = int(parts[2], 0)
    names = {"escape": "ESC"}
    for code, name in CODES.items():
        assert defined[f"KEY_{names.get(name, name.upper())}"] == code
    sticks = ("ABS_Y", "ABS_X", "ABS_RY", "ABS_RX", "ABS_HAT0Y", "ABS_HAT0X")
    assert [code for code, _, _ in AXES] == [defined[name] for name in sticks]
    buttons = ("SOUTH", "EAST", "NORTH", "WEST", "TL", "SELECT", "START")
    assert list(BUTTONS) == [defined[f"BTN_{name}"] for name in buttons]


def test_keys_that_are_held_add_up_and_opposite_ones_cancel() -> None:
    np.testing.assert_allclose(twist_of_keys(frozenset("wqv"), 0.5), [0.5, 0, 0.5, 0, 0, -0.5])
    assert not twist_of_keys(frozenset("wsk"), 1.0).any()


def test_a_keyboard_moves_only_while_its_clutch_key_is_held() -> None:
    fake = FakeInput()
    source = KeyboardSource(fake, KeyboardCfg())
    fake.press(17, 500)  # W, and a key that is none of ours
    first = source.poll()
    fake.press(57, 37)  # space, K
    second = source.poll()
    assert (first.clutch, second.clutch) == (False, True)
    assert second.pressed == ("gripper_toggle",) and source.poll().pressed == ()
    assert KeyboardSource(fake, KeyboardCfg(clutch_key="")).poll().clutch


def test_a_gamepads_sticks_are_axes_of_the_person() -> None:
    fake = FakeInput(axes=(0, 1, 3, 4))
    source = GamepadSource(fake, GamepadCfg())
    fake.push(1, -1.0)  # left stick away
    fake.push(0, -1.0)  # and to the left
    fake.push(4, -0.5)  # right stick away: up
    fake.push(3, 0.5)  # and to the right: clockwise from above
    sample = source.poll()
    assert sample.twist is not None and not sample.clutch
    np.testing.assert_allclose(sample.twist, [1, 1, 0.5, 0, 0, -0.5], atol=1e-4)
    fake.press(0x137, 0x133, 0x134)
    assert source.poll().clutch
    with pytest.raises(OSError, match="no left stick"):
        GamepadSource(FakeInput(axes=(3, 4)), GamepadCfg())


@pytest.mark.parametrize(
    ("text", "keys", "rest"),
    [
        ("wW", ["w", "w"], ""),
        ("\r\x7f", ["enter", "backspace"], ""),
        ("\x1b[Aw\x1bOPd", ["w", "d"], ""),  # arrow up and F1
        ("\x1b[1;5Dk", ["k"], ""),  # control and arrow
        ("\x1bw", [], ""),  # Alt and W
        ("\x1b\x1b", ["escape"], "\x1b"),
        ("a\x1b", ["a"], "\x1b"),
        ("a\x1b[1;", ["a"], "\x1b[1;"),
    ],
)
def test_typed_text_is_keys_and_no_sequence_is(text: str, keys: list[str], rest: str) -> None:
    assert keys_of_text(text) == (keys, rest)


def test_a_typed_key_is_held_for_a_while_and_the_terminal_comes_back_as_it_was() -> None:
    hand, screen = pty.openpty()
    before = termios.tcgetattr(screen)
    seconds = [0.0]
    source = TerminalSource(screen, TerminalCfg(hold=0.1, speed=0.5), lambda: seconds[0])

    def poll() -> tuple[list[float], tuple[str, ...]]:
        sample = source.poll()
        assert sample.twist is not None
        return sample.twist.tolist(), sample.pressed

    os.write(hand, b"w\r")
    assert poll() == ([0.5, 0, 0, 0, 0, 0], ("keep",))
    seconds[0] = 0.05
    assert poll() == ([0.5, 0, 0, 0, 0, 0], ())
    seconds[0] = 0.11
    assert poll() == ([0.0] * 6, ())
    os.write(hand, b"\x1b")  # torn: an arrow whose rest comes later
    assert poll() == ([0.0] * 6, ())
    os.write(hand, b"[A")
    assert poll() == ([0.0] * 6, ())
    os.write(hand, b"\x1b")  # the key itself
    assert [poll()[1], poll()[1], poll()[1]] == [(), ("quit",), ()]
    source.close()
    assert termios.tcgetattr(screen) == before
    with pytest.raises(OSError, match="not a terminal"):
        open_terminal(file=os.open("/dev/null", os.O_RDONLY))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KeyboardCfg(speed=0.0), "speed: expected more than 0 and at most 1, got 0.0"),
        (lambda: KeyboardCfg(clutch_key="f13"), "clutch_key: expected one of .*, got 'f13'"),
        (lambda: TerminalCfg(hold=2.0), "hold: expected more than 0 and less than 1 s, got 2.0"),
    ],
)
def test_bad_settings_are_one_line(make: type, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def make_root(root: Path, number: int, name: str, code: int) -> None:
    folder = root / f"sys/class/input/event{number}/device"
    (folder / "capabilities").mkdir(parents=True)
    size = 8 * struct.calcsize("@l")
    words = [0] * (code // size + 1)
    words[code // size] = 1 << code % size
    text = " ".join(f"{word:x}" for word in reversed(words))
    (folder / "capabilities/key").write_text(text + "\n")
    (folder / "name").write_text(name + "\n")


def test_devices_are_found_by_their_keys_and_names(tmp_path: Path) -> None:
    make_root(tmp_path, 0, "Power Button", 116)
    with pytest.raises(FileNotFoundError, match="no keyboard is plugged in: there is no keyboard"):
        find_input("", "keyboard", tmp_path)
    make_root(tmp_path, 1, "USB Keyboard", 30)
    make_root(tmp_path, 2, "Xbox Pad", 0x130)
    assert find_input("", "keyboard", tmp_path) == tmp_path / "dev/input/event1"
    assert find_input("xbox", "gamepad", tmp_path) == tmp_path / "dev/input/event2"
    with pytest.raises(FileNotFoundError, match=r"matches 'ps5': here: .*event2 \(Xbox Pad\)"):
        find_input("ps5", "gamepad", tmp_path)
    make_root(tmp_path, 3, "Other Keyboard", 30)
    with pytest.raises(OSError, match=r"2 of kind keyboard: here: .*Other Keyboard\): name one"):
        find_input("", "keyboard", tmp_path)
