"""The ROS package installs what it needs: entry points, data files, dependencies."""

from __future__ import annotations

import ast
import importlib
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import setuptools

from sim2arm_ros.dds.definitions import packages

PACKAGE = Path(__file__).resolve().parents[2] / "deploy_ros"


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What setup.py passes to setuptools."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    monkeypatch.chdir(PACKAGE)
    exec(compile(Path("setup.py").read_text(), "setup.py", "exec"), {})
    return given


def test_entry_points_provide_rclpy_before_a_node_imports_it(setup: dict[str, Any]) -> None:
    from sim2arm_ros.executables import NODES

    lines = dict(line.split(" = ") for line in setup["entry_points"]["console_scripts"])
    assert sorted(lines) == sorted(NODES)  # what .ci/check_workspace expects of a real ROS
    for target in lines.values():
        module, name = target.split(":")
        assert module == "sim2arm_ros.executables"
        assert callable(getattr(importlib.import_module(module), name))


def test_data_files_exist_and_are_all_of_them(setup: dict[str, Any]) -> None:
    installed = {Path(file): Path(to) for to, files in setup["data_files"] for file in files}
    for file in installed:
        assert (PACKAGE / file).is_file()
    share = Path("share/sim2arm_ros")
    launch_files = {p.relative_to(PACKAGE) for p in PACKAGE.glob("launch/*")} - {
        Path("launch/__pycache__")
    }
    assert launch_files
    for file in launch_files:
        assert installed[file] == share / "launch"
    assert installed[Path("package.xml")] == share
    index = Path("share/ament_index/resource_index/packages")
    assert installed[Path("resource/sim2arm_ros")] == index
    config = PACKAGE / "sim2arm_ros" / "config"
    for file in config.rglob("*.yaml"):
        to = share / file.parent.relative_to(PACKAGE / "sim2arm_ros")
        assert installed[file.relative_to(PACKAGE)] == to
    assert {path.suffix for path in config.rglob("*") if path.is_file()} == {".yaml"}


def test_a_build_has_every_file_of_the_package(tmp_path: Path) -> None:
    copy = tmp_path / "deploy_ros"
    ignore = shutil.ignore_patterns("__pycache__", "typings")
    shutil.copytree(PACKAGE, copy, ignore=ignore)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_py", "-d", "built"],
        cwd=copy, check=True, capture_output=True, timeout=120,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    source = {p.relative_to(copy) for p in copy.glob("sim2arm_ros/**/*") if p.is_file()}
    built = {p.relative_to(copy / "built") for p in copy.glob("built/**/*") if p.is_file()}
    assert len(source) > 50
    assert built == source


OPTIONAL = {"franka_msgs"}
"""Imported where graph.yaml says that a Franka hand is worked, and there alone."""


def test_every_ros_package_that_is_imported_is_a_dependency() -> None:
    root = ElementTree.parse(PACKAGE / "package.xml").getroot()
    depends = {element.text for element in root.iter("exec_depend")}
    ros = {"rclpy", "launch", "launch_ros", *packages()}
    files = [*PACKAGE.glob("sim2arm_ros/*.py"), *PACKAGE.glob("launch/*.py")]
    used: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                used |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                used.add(node.module.partition(".")[0])
    assert {"rclpy", "control_msgs", "launch_ros"} <= used & ros
    assert used & ros - OPTIONAL <= depends


def test_the_version_is_the_same_everywhere(setup: dict[str, Any]) -> None:
    from sim2arm import __version__

    root = ElementTree.parse(PACKAGE / "package.xml").getroot()
    assert root.findtext("version") == setup["version"] == __version__
