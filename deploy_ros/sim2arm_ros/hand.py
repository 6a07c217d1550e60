"""The device in a person's hand, as parameters of a node say it: `device` and `settings`."""

from __future__ import annotations

from pathlib import Path

from rclpy.lifecycle import LifecycleNode

from sim2arm.core import plain
from sim2arm.sensors.teleop.base import TeleopDevice
from sim2arm.sensors.teleop.person import TeleopCfg, open_hand


def declare_hand(node: LifecycleNode) -> None:
    """Declare `device`, NAME or NAME:WHERE, and `settings`, a YAML file with a `TeleopCfg`."""
    node.declare_parameter("device", "")
    node.declare_parameter("settings", "")


def hand_of(node: LifecycleNode) -> tuple[TeleopDevice, TeleopCfg] | None:
    """Open the device of a node; none where no device is named.

    Returns:
        The open device, which the caller closes, and how the arm follows it.

    Raises:
        ValueError, OSError: it is not there, or a parameter is wrong; one line.
    """
    device, path = (str(node.get_parameter(name).value) for name in ("device", "settings"))
    if not device:
        return None
    if bool(node.get_parameter("lock_step").value):
        raise ValueError("a person does not wait for ticks: lock_step is for policies alone")
    cfg = TeleopCfg()
    if path:
        data = plain.load_yaml(Path(path).read_text(encoding="utf-8"), path)
        try:
            cfg = plain.from_plain(TeleopCfg, data)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return open_hand(device, cfg), cfg
