"""Calibration files of ROS: read as camera_calibration writes them, written as ROS reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sim2arm.core.camera_info import read_camera_info, write_camera_info
from sim2arm.core.driver_stage import Intrinsics, intrinsics_of_view

# As camera_calibration writes it; the camera is made up.
THEIRS = """\
image_width: 640
image_height: 480
camera_name: scene
camera_matrix:
  rows: 3
  cols: 3
  data: [612.5, 0, 321.25, 0, 613.0, 239.75, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.055, 0.066, -0.0007, 0.0006, -0.021]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [600, 0, 322, 0, 0, 605, 240, 0, 0, 0, 1, 0]
"""
K = Intrinsics(
    width=640, height=480, fx=612.5, fy=613.0, cx=321.25, cy=239.75,
    distortion=(-0.055, 0.066, -0.0007, 0.0006, -0.021),
)  # fmt: skip


def put(folder: Path, text: str) -> Path:
    path = folder / "scene.yaml"
    path.write_text(text)
    return path


def test_a_file_of_ros_is_read(tmp_path: Path) -> None:
    assert read_camera_info(put(tmp_path, THEIRS)) == K
    more = THEIRS + "residual_px: 0.21\n"  # what others add is theirs
    assert read_camera_info(put(tmp_path, more)) == K


@pytest.mark.parametrize("given", [K, replace(K, distortion=()), intrinsics_of_view(84, 84, 60.0)])
def test_what_is_written_comes_back(tmp_path: Path, given: Intrinsics) -> None:
    path = tmp_path / "scene.yaml"
    write_camera_info(path, "scene", given)
    assert read_camera_info(path) == given
    data: dict[str, Any] = yaml.safe_load(path.read_text())
    assert list(data) == list(yaml.safe_load(THEIRS))
    assert data["projection_matrix"]["data"][0] == given.fx
    for key in ("camera_matrix", "distortion_coefficients", "rectification_matrix"):
        assert data[key]["rows"] * data[key]["cols"] == len(data[key]["data"]), key


def test_other_lenses_of_the_same_numbers(tmp_path: Path) -> None:
    five = "data: [-0.055, 0.066, -0.0007, 0.0006, -0.021]"
    four = THEIRS.replace(five, "data: [-0.055, 0.066, -0.0007, 0.0006]")
    assert read_camera_info(put(tmp_path, four)).distortion == (*K.distortion[:4], 0.0)
    rational = THEIRS.replace("plumb_bob", "rational_polynomial")
    eight = rational.replace(five, five[:-1] + ", 0, 0, 0]")
    assert read_camera_info(put(tmp_path, eight)) == K


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (THEIRS, "- 1\n", "expected a mapping with image_width"),
        (THEIRS, "a: [", "not valid YAML"),
        ("image_width: 640", "image_width: wide", "image_width: expected a whole number, got 'wi"),
        ("image_width: 640", "image_width: 0", "sizes and focal lengths must be above 0"),
        ("[612.5, 0,", "[612.5, 0.5,", "camera_matrix: expected no skew, got 0.5"),
        ("[612.5, 0,", "[612.5,", "camera_matrix: expected 9 numbers, got 8"),
        ("[612.5, 0,", "[.nan, 0,", r"camera_matrix: expected a mapping with data: \[finite"),
        ("plumb_bob", "equidistant", "lens model 'equidistant' with 5 numbers; expected plumb_bob"),
        ("distortion_coefficients:", "coefficients:", "distortion_coefficients: expected a mapp"),
    ],
)
def test_files_that_are_none_are_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = put(tmp_path, THEIRS.replace(old, new))
    with pytest.raises(ValueError, match=f"scene.yaml: .*{said}") as error:
        read_camera_info(path)
    assert "\n" not in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yaml: cannot be read: No such file"):
        read_camera_info(tmp_path / "none.yaml")
