"""Files of cameras: ours and those of ROS, and what is refused."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sim2arm.calibration.camera_file import read_intrinsics, read_pose
from sim2arm.core.calibration_file import write_record
from sim2arm.core.camera_info import camera_info_yaml
from sim2arm.core.driver_stage import Intrinsics
from tests.calibration.records import hand_eye_record, intrinsics_record

K = Intrinsics(width=640, height=480, fx=600.0, fy=601.0, cx=320.0, cy=241.0)
LENSES = {
    "none": (),
    "plumb_bob": (-0.1, 0.05, 0.001, -0.002, 0.0),
    "rational_polynomial": (0.3, 0.1, 0.0, 0.0, 0.01, 0.6, 0.1, 0.02),
    "equidistant": (-0.01, 0.002, 0.0, 0.0),
}


@pytest.mark.parametrize("lens", LENSES)
def test_camera_info_comes_back(lens: str, tmp_path: Path) -> None:
    k = replace(K, distortion=LENSES[lens])
    path = tmp_path / "eye.yaml"
    path.write_text(camera_info_yaml(k, "eye"))
    found = read_intrinsics(path)
    assert found.intrinsics == k and found.camera == "eye" and found.covariance is None


def test_what_ros_prints_is_read(tmp_path: Path) -> None:
    path = tmp_path / "info.yaml"
    text = {
        "header": {"frame_id": "eye"}, "height": 480, "width": 640,
        "distortion_model": "plumb_bob", "d": [0.1, 0.0, 0.0, 0.0],
        "k": [600.0, 0.0, 320.0, 0.0, 601.0, 241.0, 0.0, 0.0, 1.0], "binning_x": 0,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(text) + "---\n")
    found = read_intrinsics(path)
    assert found.intrinsics == replace(K, distortion=(0.1, 0.0, 0.0, 0.0, 0.0))
    for key, value, why in (
        ("k", [0.0] * 9, "focal lengths must be above 0"),
        ("d", [0.1] * 7, "lens model 'plumb_bob' with 7 numbers"),
        ("height", None, "height: expected a whole number"),
    ):
        path.write_text(yaml.safe_dump({**text, key: value}))
        with pytest.raises(ValueError, match=why) as error:
            read_intrinsics(path)
        assert "\n" not in str(error.value)


def test_records_come_back_with_their_intervals(tmp_path: Path) -> None:
    write_record(tmp_path / "lens.yaml", intrinsics_record(sigma=0.5))
    found = read_intrinsics(tmp_path / "lens.yaml")
    assert found.camera == "scene" and found.half[0] == pytest.approx(1.96 * 0.5)
    assert found.covariance is not None and found.covariance.shape == (9, 9)
    write_record(tmp_path / "pose.yaml", hand_eye_record())
    pose = read_pose(tmp_path / "pose.yaml")
    assert pose.frame == "fr3_link0" and pose.half == (0.001,) * 3 + (0.002,) * 3


def test_records_that_were_not_accepted_or_are_others_are_refused(tmp_path: Path) -> None:
    write_record(tmp_path / "bad.yaml", hand_eye_record(error=0.01))
    with pytest.raises(ValueError, match=r"not accepted: held-out points.*calibrate again"):
        read_pose(tmp_path / "bad.yaml")
    write_record(tmp_path / "lens.yaml", intrinsics_record())
    with pytest.raises(ValueError, match="expected a calibration of 'hand-eye'"):
        read_pose(tmp_path / "lens.yaml")
    with pytest.raises(ValueError, match="expected a calibration of 'intrinsics'"):
        read_intrinsics(tmp_path / "bad.yaml")
    with pytest.raises(ValueError, match="cannot be read"):
        read_intrinsics(tmp_path / "none.yaml")
