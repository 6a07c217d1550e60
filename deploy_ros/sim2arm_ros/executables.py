"""The executables: `python -m sim2arm_ros.executables NODE --ros-args ...`, or `ros2 run`.

They provide rclpy where no ROS is sourced, say which rclpy runs, and start the node.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

from .dds import RosImportError, install

NODES = (
    "policy_node", "teleop_node", "gate_node", "sim_arm_node", "so101_node", "sensor_node",
    "recorder_node", "bag_node", "operator_node",
)  # fmt: skip


def run(name: str) -> int:
    """Start a node; return its exit code."""
    try:
        which = install()
    except RosImportError as error:
        print(f"sim2arm_ros {name}: {error}", file=sys.stderr)
        return 2
    print(f"sim2arm_ros {name}: {which}", flush=True)
    return importlib.import_module(f"sim2arm_ros.{name}").main()


def policy_node() -> int:
    """Start the policy node."""
    return run("policy_node")


def teleop_node() -> int:
    """Start the node of a person's device."""
    return run("teleop_node")


def gate_node() -> int:
    """Start the gate node."""
    return run("gate_node")


def sim_arm_node() -> int:
    """Start the simulated arm."""
    return run("sim_arm_node")


def so101_node() -> int:
    """Start the driver of an SO-101."""
    return run("so101_node")


def sensor_node() -> int:
    """Start a sensor."""
    return run("sensor_node")


def recorder_node() -> int:
    """Start the recorder."""
    return run("recorder_node")


def bag_node() -> int:
    """Start the player of recordings."""
    return run("bag_node")


def operator_node() -> int:
    """Start the operator's page."""
    if importlib.util.find_spec("viser") is None:
        print("sim2arm_ros operator_node: needs viser: pip install 'sim2arm[view]'",
              file=sys.stderr)  # fmt: skip
        return 2
    return run("operator_node")


def main() -> int:
    """Start the node that the first argument names."""
    if len(sys.argv) < 2 or sys.argv[1] not in NODES:
        given = sys.argv[1] if len(sys.argv) > 1 else "nothing"
        print(f"sim2arm_ros: expected one of {', '.join(NODES)}, got {given}", file=sys.stderr)
        return 2
    name = sys.argv.pop(1)
    return operator_node() if name == "operator_node" else run(name)


if __name__ == "__main__":
    sys.exit(main())
