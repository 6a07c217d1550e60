"""The nodes of a robot import where neither simulator nor torch is."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import SRC, needed_extras

PACKAGE = SRC / "sim2arm_ros"
SIMULATED = {"sim_arm_node"}
"""What needs a simulator: the simulated arm."""
WITHOUT = {"train"} if sys.version_info >= (3, 11) else {"train", "view"}
"""Extras that are not needed; the page needs Python 3.11 (viser)."""


def names() -> list[str]:
    """Return the modules that need no more than the robot's side and an rclpy."""
    files = sorted(PACKAGE.glob("*.py"))
    return [f"sim2arm_ros.{f.stem}" for f in files if not WITHOUT & needed_extras(f)]


def test_only_what_is_simulated_needs_the_train_extra() -> None:
    nodes = {path.stem for path in PACKAGE.glob("*_node.py")}
    left = {name for name in nodes if "train" in needed_extras(PACKAGE / f"{name}.py")}
    assert left == SIMULATED
    assert len(nodes) > 8


def test_the_nodes_import_without_simulator_and_torch() -> None:
    code = (
        "import importlib, sys\n"
        "from sim2arm_ros.dds import install\n"
        "install()\n"
        f"for name in {names()!r}: importlib.import_module(name)\n"
        "print(sorted({'torch', 'mujoco'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
