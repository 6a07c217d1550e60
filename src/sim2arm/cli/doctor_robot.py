"""`sim2arm doctor robot`: whether this computer can hold an arm's time and hear its cameras.

What is red `docker/scripts/setup_realtime` puts right, the kernel and the clock aside. With
`--bundle` it goes on from there to the first motion of the arm, see `robot_walk.py`.
"""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from sim2arm_ros.activation import Item, at_most, equal, format_items
from sim2arm_ros.dds import RosImportError, install

from .errors import UserError
from .parse import parse

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


@dataclass(frozen=True, kw_only=True)
class DoctorRobotCfg:
    """Check this computer; with --bundle go on, step by step, to the first motion of the arm.

    Steps: this computer, ROS peers, clock and rates, arm and policy, e-stop, which joint moves,
    latency. It ends at the first step that is red. The arm moves only after a `yes`, typed into
    the terminal, and only by 0.03 rad a joint.
    """

    bundle: Path | None = None
    """Policy bundle, or a run with one; without it only this computer is checked."""
    graph: Path | None = None
    """graph.yaml of the set-up; without it the one of the package."""
    robot: str = ""
    """What the robot calls its topics, controllers and modes, as in `sim2arm ros up`."""
    prefix: str = ""
    """Of the robot's joints and frames, `left_` for example."""
    port: str = ""
    """Serial port of a robot that our own node drives (so101)."""
    servos: Path | None = None
    """YAML file with ids, signs and zeros of its servos."""
    peers: tuple[str, ...] = ()
    """Other machines of the ROS domain, by name or address."""
    sim: str | None = None
    """Task: a simulated arm with it in place of the robot, in a ROS domain of its own; what is red
    of this computer is then no end."""
    settings: Path | None = None
    """YAML file with the settings of the simulated task."""
    cameras: str = "none"
    """Cameras of the simulated arm, a name of `sim2arm list`."""
    touch: str = "none"
    """Gels of the simulated arm."""
    calibrations: tuple[Path, ...] = ()
    """Records of `calibrate intrinsics`, `hand-eye` and `latency` of the robot's cameras."""
    trusted_keys: Path | None = None
    """File of public keys (sim2arm keygen): the bundle must be signed with one of them."""
    latency: Path | None = None
    """Write there, NAME.yaml, how old what commands answer is: for `sim2arm train --latency`."""
    patience: float = 30.0
    """How long what is red may take to turn green [s]."""
    as_it_is: bool = False
    """Go on where this computer is red: an arm whose controller of 1 kHz runs elsewhere."""
    allow_fallback: bool = False
    """On a robot: allow the DDS fallback in place of a ROS 2 installation."""
    logs: Path = Path("runs/doctor-logs")
    """Where the output of the nodes goes, a file each."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and check.

    Returns:
        0 if all is well, 1 if something is red or the person did not say yes.
    """
    cfg = parse(DoctorRobotCfg, argv, "sim2arm doctor robot")
    if cfg.bundle is not None:
        from .robot_walk import walk

        return walk(cfg)
    for field in fields(cfg):
        if getattr(cfg, field.name) != field.default:
            name = field.name.replace("_", "-")
            raise UserError(f"--{name} needs --bundle BUNDLE: without, only this computer is meant")
    return check_robot()


def check_robot(root: Path = Path("/")) -> int:
    """Print what is right and wrong with this computer.

    Args:
        root: where /proc and /sys are read.

    Returns:
        0 if all is well, 1 if something is red.
    """
    return 1 if print_items(machine_items(root)) else 0


def machine_items(root: Path = Path("/")) -> list[Item]:
    """Return every item of this computer; `root` is where /proc and /sys are read."""
    return [*kernel_items(root), *limit_items(), *network_items(root), clock_item(), ros_item()]


def print_items(items: Sequence[Item]) -> bool:
    """Print findings, and below what to do where one is red; return whether one is."""
    print(format_items(items))
    red = [item for item in items if not item.ok]
    for item in red:
        print(f"{item.name}: {item.note}")
    return bool(red)


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
