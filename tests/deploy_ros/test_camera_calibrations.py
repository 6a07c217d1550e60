"""Calibrations of cameras in the activation report: inside and outside of training."""

# pyright: standard

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim2arm.core.calibration_file import write_record
from sim2arm.core.contract import CameraMount, Contract, TrainedRange
from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.spec import ArraySpec
from sim2arm.core.transforms import pose_compose, quat_from_rotvec
from sim2arm_ros.camera_calibrations import CameraCalibrations, read_calibrations
from tests.builders import make_contract
from tests.calibration.records import hand_eye_record, intrinsics_record

POSE = (1.2, 0.0, 0.5, 0.5, 0.5, -0.5, -0.5)
STAGE = DriverStage(width=640, height=480, crop=(80, 0, 480, 480), out_width=84, out_height=84)


def seeing_contract(*ranges: tuple[str, str, float, float]) -> Contract:
    """Return the contract of a policy that sees through `scene`, mounted at `POSE`."""
    picture = ArraySpec(
        name="scene_rgb", kind="sensor", shape=(84, 84, 3), dtype="uint8", unit="1",
        frame="scene_optical",
        element_names=("r", "g", "b"), driver_stage=STAGE.text,
    )  # fmt: skip
    base = make_contract()
    return replace(
        base,
        inputs=(*base.inputs, picture),
        cameras=(CameraMount(name="scene", frame="fr3_link0", pose=POSE),),
        ranges=tuple(
            TrainedRange(name=f"calibration/camera_scene/{n}", unit=u, low=a, high=b)
            for n, u, a, b in ranges
        ),
    )


def measured(tmp_path: Path, *records: object) -> CameraCalibrations:
    files = []
    for k, record in enumerate(records):
        files.append(tmp_path / f"{k}.yaml")
        write_record(files[-1], record)  # type: ignore[arg-type]
    return read_calibrations(files)


def moved(shift: float, turn: float) -> tuple[float, ...]:
    off = np.concatenate([[0.0, 0.0, 0.0], quat_from_rotvec(np.array([0.0, turn, 0.0]))])
    pose = np.asarray(pose_compose(np.array(POSE), off))
    return (float(pose[0]), float(pose[1]) - shift, float(pose[2]), *(float(v) for v in pose[3:]))


@pytest.mark.parametrize(
    ("shift", "turn", "ok"),
    [(0.009, 0.0, [True, True]), (0.011, 0.0, [False, True]), (0.0, 0.04, [True, False])],
)
def test_the_place_is_compared_with_what_training_drew(
    shift: float, turn: float, ok: list[bool], tmp_path: Path
) -> None:
    contract = seeing_contract(("position", "m", -0.01, 0.01), ("rotation", "rad", -0.03, 0.03))
    items = measured(tmp_path, hand_eye_record(moved(shift, turn))).items(contract)
    assert [item.ok for item in items] == ok
    assert items[0].margin == pytest.approx(1.0 - shift / 0.01, abs=1e-6)
    assert items[1].margin == pytest.approx(1.0 - turn / 0.03, abs=1e-6)


def test_without_a_range_what_the_interval_holds_is_the_trained_place(tmp_path: Path) -> None:
    contract = seeing_contract()  # intervals of +-1 mm, +-2 mrad
    near = measured(tmp_path, hand_eye_record(moved(0.0009, 0.0))).items(contract)
    far = measured(tmp_path, hand_eye_record(moved(0.0011, 0.0))).items(contract)
    assert [i.ok for i in near] == [True, True] and [i.ok for i in far] == [False, True]
    assert "train with its calibration" in far[0].note


def test_another_mount_is_red(tmp_path: Path) -> None:
    found = measured(tmp_path, hand_eye_record(frame="fr3_hand_tcp"))
    (item,) = found.items(seeing_contract())
    assert not item.ok and (item.expected, item.measured) == ("fr3_link0", "fr3_hand_tcp")
    (item,) = found.items(replace(seeing_contract(), cameras=()))
    assert not item.ok


def test_the_lens_is_compared_after_the_driver_stage(tmp_path: Path) -> None:
    # 480 pixels become 84: fx 466 -> 81.55; cy (239.5 + 0.5) * 0.175 - 0.5 = 41.5.
    contract = seeing_contract(("fx", "pixel", 80.0, 83.0), ("cy", "pixel", 41.0, 42.0))
    items = measured(tmp_path, intrinsics_record()).items(contract)
    assert [i.name for i in items] == ["camera scene: fx", "camera scene: cy"]
    assert all(i.ok for i in items) and float(items[0].measured) == pytest.approx(81.55)
    wrong = intrinsics_record((480.0, 466.0, 319.5, 239.5))  # 84 pixels
    assert [i.ok for i in measured(tmp_path, wrong).items(contract)] == [False, True]
    small = intrinsics_record(size=(320, 240))
    (item,) = measured(tmp_path, small).items(contract)
    assert not item.ok and "calibrate at the size" in item.measured


def test_what_is_of_no_camera_here_or_no_calibration_is_said(tmp_path: Path) -> None:
    items = measured(tmp_path, intrinsics_record(device="ceiling")).items(seeing_contract())
    assert [i.ok for i in items] == [False] and "whose calibration" in items[0].note
    assert measured(tmp_path).items(seeing_contract()) == []
    with pytest.raises(ValueError, match="a second calibration of hand-eye of one camera"):
        measured(tmp_path, hand_eye_record(), hand_eye_record())
    with pytest.raises(ValueError, match="of intrinsics, hand-eye or latency"):
        measured(tmp_path, hand_eye_record(what="gap"))
    with pytest.raises(ValueError, match="not accepted"):
        measured(tmp_path, hand_eye_record(error=1.0))
    assert math.isfinite(items[0].margin or 0.0)
