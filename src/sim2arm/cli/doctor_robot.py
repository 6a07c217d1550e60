"""`sim2arm doctor robot`: whether this computer can hold an arm's time and hear its cameras.

What is red `docker/scripts/setup_realtime` puts right, the kernel and the clock aside.
"""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

from sim2arm_ros.activation import Item, at_most, equal, format_items
from sim2arm_ros.dds import RosImportError, install

RTPRIO = 99
"""Highest priority of real-time threads; ros2_control asks for 50."""
RECEIVE_BYTES = 8 * 1024**2
"""Room for what arrives at a socket that may be asked for: nine pictures of 640x480."""
FRAGMENT_BYTES = 128 * 1024**2
"""Room for packets whose fragments have not all come (documentation of ROS 2, DDS tuning)."""
CLOCK_S = 0.02
"""How far clocks of machines may be apart: the parameter clock_offset_s of policy_node."""
_SCRIPT = "sudo docker/scripts/setup_realtime, then log in again"
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)


def check_robot(root: Path = Path("/")) -> int:
    """Print what is right and wrong with this computer.

    Args:
        root: where /proc and /sys are read.

    Returns:
        0 if all is well, 1 if something is red.
    """
    items = [*kernel_items(root), *limit_items(), *network_items(root), clock_item(), ros_item()]
    print(format_items(items))
    red = [item for item in items if not item.ok]
    for item in red:
        print(f"{item.name}: {item.note}")
    return 1 if red else 0


def kernel_items(root: Path) -> list[Item]:
    """Return the items of the kernel's preemption and of the processors' clock."""
    preempts = _read(root / "sys/kernel/realtime") == "1"
    kernel = "PREEMPT_RT" if preempts else _read(root / "proc/sys/kernel/version") or "unknown"
    governors = sorted(
        {_read(path) for path in root.glob("sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")}
    )
    found = ", ".join(governors) or "none"
    return [
        Item(
            name="kernel", expected="PREEMPT_RT", measured=kernel, ok=preempts,
            note="install a PREEMPT_RT kernel where a controller of 1 kHz runs",
        ),
        Item(
            name="processors' governor", expected="performance, or none (a virtual machine)",
            measured=found, ok=found in ("performance", "none"), note=_SCRIPT,
        ),
    ]  # fmt: skip


def limit_items() -> list[Item]:
    """Return the items of what this process may ask for: real-time threads, locked memory."""
    priority, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
    memory, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    unlimited = memory == resource.RLIM_INFINITY
    return [
        _at_least("rtprio", RTPRIO if priority == resource.RLIM_INFINITY else priority, RTPRIO, ""),
        equal("memlock", "unlimited", "unlimited" if unlimited else f"{memory} bytes", _SCRIPT),
    ]


def network_items(root: Path) -> list[Item]:
    """Return the items of the network's buffers."""
    wanted = {"net/core/rmem_max": RECEIVE_BYTES, "net/ipv4/ipfrag_high_thresh": FRAGMENT_BYTES}
    items = [
        _at_least(name.replace("/", "."), _number(root / "proc/sys" / name), least, "bytes")
        for name, least in wanted.items()
    ]
    seconds = _number(root / "proc/sys/net/ipv4/ipfrag_time")
    return [*items, at_most("net.ipv4.ipfrag_time", seconds, 3, "s", _SCRIPT)]


def clock_item() -> Item:
    """Return the item of this machine's clock, as its kernel knows it from an NTP service."""
    error = clock_error()
    note = "run chrony, with one machine of the robot as the server of the others"
    return at_most("clock, largest error", error, CLOCK_S, "s", note)


def clock_error() -> float | None:
    """Return how far the clock may be off [s], none where nothing sets it: adjtimex(2)."""

    class Timex(ctypes.Structure):
        _fields_ = [
            ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
            ("maxerror", ctypes.c_long), ("rest", ctypes.c_char * 512),
        ]  # fmt: skip

    now = Timex(modes=0)  # only asks
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(now))
    return None if state < 0 or state == _UNSYNCHRONISED else now.maxerror / 1e6


def ros_item() -> Item:
    """Return the item of ROS 2 itself."""
    try:
        which = install().partition(": ")[2]
    except RosImportError as error:
        return Item(name="rclpy", expected="ROS 2", measured="", ok=False, note=str(error))
    return Item(
        name="rclpy", expected="ROS 2", measured=which, ok="fallback" not in which,
        note="a robot needs a ROS 2 installation: source it",
    )  # fmt: skip


def _at_least(name: str, value: int | None, least: int, unit: str) -> Item:
    known = value is not None
    return Item(
        name=name, expected=f">= {least}", measured=str(value) if known else "", unit=unit,
        ok=known and value >= least, note=_SCRIPT,
    )  # fmt: skip


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text.isdecimal() else None
