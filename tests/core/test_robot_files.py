"""Entries of imported robots: there and back, strictly read, found by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sim2arm.core.robot_files import (
    ENTRY,
    MODEL,
    check_name,
    find_robot,
    imported_robots,
    read_robot,
    write_robot,
)
from sim2arm.core.robots import FR3, NO_GRIPPER, ROBOTS, SO101, Robot


def write(root: Path, robot: Robot = FR3, name: str = "mine") -> Path:
    """Write the entry of a robot under a name; return the file."""
    folder = root / name
    folder.mkdir(parents=True)
    return write_robot(replace(robot, name=name), folder, {"description": "x.urdf"})


@pytest.mark.parametrize("robot", [*ROBOTS.values(), replace(SO101, gripper=NO_GRIPPER)])
def test_an_entry_comes_back(robot: Robot, tmp_path: Path) -> None:
    path = write(tmp_path, robot)
    again = find_robot("mine", tmp_path)
    assert again.chain.difference(robot.chain) == (0.0, 0.0)
    assert again.chain.joint_names == robot.joint_names
    assert (again.limits, again.gripper, again.tool_box) == (
        robot.limits, robot.gripper, robot.tool_box
    )  # fmt: skip
    assert (again.home, again.kp, again.kd) == (robot.home, robot.kp, robot.kd)
    assert again.model == str(path.parent / MODEL)
    assert imported_robots(tmp_path) == ["mine"]


def test_robots_that_we_know_come_first_and_others_are_named(tmp_path: Path) -> None:
    write(tmp_path, name="fr3")
    assert find_robot("fr3", tmp_path) is FR3
    write(tmp_path)
    with pytest.raises(ValueError, match=r"'yours' is not known\. Known: .*'mine', 'panda'"):
        find_robot("yours", tmp_path)
    for name in ("../mine", "mine/", "", "."):
        with pytest.raises(ValueError, match="is not known"):
            find_robot(name, tmp_path / "x")
    assert imported_robots(tmp_path / "nothing") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 2", "version: 1", "version: expected 2, got 1; import it again"),
        ("kp:", "kq:", "kq: unknown key"),
        ("model: robot.xml", "model: ../../x.xml", "model: expected the name of a file beside"),
        ("name: mine", "name: other", "name: expected 'mine' as its folder, got 'other'"),
        ("  axes:", "  azes:", "a chain has the keys"),
        ("preemptible: false", "preemptible: 0", "gripper.preemptible: expected true or false"),
    ],
)
def test_damaged_entries_are_a_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as caught:
        find_robot("mine", tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        read_robot(tmp_path / ENTRY)


@pytest.mark.parametrize("name", ["", "Arm", "1arm", "my-arm", "a/b", "a b"])
def test_names_that_are_no_folder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected lower-case letters"):
        check_name(name)
    check_name("ur5e_left2")
