"""`sim2arm calibrate` of cameras: from rendered pictures to the simulation; bad input."""

# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim2arm.calibration.camera_file import read_intrinsics, read_pose
from sim2arm.calibration.view_folder import FACTORY
from sim2arm.cli.calibrated import SPREAD, calibrated
from sim2arm.cli.cameras import CAMERAS
from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.main import main
from sim2arm.cli.run_record import provenance
from sim2arm.cli.runs import build_env, read_config, write_config
from sim2arm.core.calibration_file import read_record, write_record
from sim2arm.core.calibration_record import make_quantity
from sim2arm.core.camera_info import camera_info_yaml
from sim2arm.core.contract import Provenance
from sim2arm.core.robots_franka import FR3
from sim2arm.core.transforms import pose_from_matrix, pose_to_matrix
from sim2arm.sim.camera_terms import CameraPose, CameraView
from sim2arm.sim.contract import make_contract
from tests.calibration.records import hand_eye_record, intrinsics_record
from tests.calibration.rendered import Rendered, make_rendered, write_folder
from tests.calibration.rigs import RIGS


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rendered, Path]:
    made = make_rendered(12)
    folder = tmp_path_factory.mktemp("views")
    write_folder(folder, made)
    return made, folder


def test_a_camera_of_the_simulation_is_found_from_its_pictures(
    rendered: tuple[Rendered, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Drawn, found, calibrated: focal length within 0.2 %, place 0.5 mm, turn 0.1 degrees."""
    made, folder = rendered
    lens, pose = tmp_path / "wrist-intrinsics.yaml", tmp_path / "wrist-hand-eye.yaml"
    what = ["--name", "wrist", "--how.folds", "2"]
    argv = ["calibrate", "intrinsics", str(folder), *what, "--how.model", "pinhole"]
    assert main([*argv, "--out", str(lens)]) == 0
    found = read_intrinsics(lens)
    assert abs(found.intrinsics.fx / made.lens.fx - 1.0) < 0.002
    assert abs(found.intrinsics.cx - made.lens.cx) < 1.0
    # What it wrote for ROS is the same, and is taken as a calibration of the factory.
    info = lens.with_suffix(".camera_info.yaml")
    assert read_intrinsics(info).intrinsics == found.intrinsics
    argv = ["calibrate", "hand-eye", str(folder), *what, "--intrinsics", str(lens)]
    assert main([*argv, "--out", str(pose), "--propose", "1"]) == 0
    measured = read_pose(pose)
    T = np.asarray(pose_to_matrix(np.array(measured.pose)))
    assert np.linalg.norm(T[:3, 3] - made.X[:3, 3]) < 5e-4
    off = np.trace(T[:3, :3].T @ made.X[:3, :3])
    assert math.acos(min(1.0, 0.5 * (off - 1.0))) < math.radians(0.1)
    assert measured.frame == FR3.chain.tool_frame
    printed = capsys.readouterr().out
    assert "so look before it moves" in printed and "accepted" in printed
    for page in (lens, pose):
        html = page.with_suffix(".html").read_text()
        assert html.count("<figure><img") >= 2 and "Accepted" in html
    record = read_record(pose)
    assert [one.name for one in record.inputs][:1] == [str(lens)] and len(record.inputs) == 14


def test_a_lens_is_compared_with_the_one_that_its_camera_says(
    rendered: tuple[Rendered, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, folder = rendered
    mine = tmp_path / "views"
    shutil.copytree(folder, mine)
    said = replace(made.lens, fx=1.02 * made.lens.fx, fy=1.02 * made.lens.fy)
    (mine / FACTORY).write_text(camera_info_yaml(said, "factory"))
    what = ["--how.folds", "2", "--how.model", "pinhole", "--out", str(tmp_path / "lens.yaml")]
    assert main(["calibrate", "intrinsics", str(mine), *what]) == 0
    found = re.search(r"puts things (\S+) px elsewhere", capsys.readouterr().out)
    assert found is not None and float(found[1]) > 1.0
    assert str(mine / FACTORY) in {one.name for one in read_record(tmp_path / "lens.yaml").inputs}


def test_joint_offsets_of_pictures(rendered: tuple[Rendered, Path], tmp_path: Path) -> None:
    made, folder = rendered
    lens = tmp_path / "lens.yaml"
    numbers = (made.lens.fx, made.lens.fy, made.lens.cx, made.lens.cy)
    record = intrinsics_record(numbers, sigma=0.1, device="wrist")
    record.values["distortion"] = make_quantity(made.lens.distortion, "1")
    write_record(lens, record)
    table = folder.parent / "moved"
    write_folder(table, Rendered(made.lens, made.X, made.pictures, made.q - np.radians(
        [0.0, 1.0, 0.0, 0.0, -0.7, 0.0, 0.0])))  # fmt: skip
    out = tmp_path / "fr3-joints.yaml"
    argv = ["calibrate", "joints", str(table), "--intrinsics", str(lens), "--out", str(out)]
    assert main([*argv, "--how.folds", "2"]) == 0
    found = np.degrees(read_record(out).value("offsets"))
    np.testing.assert_allclose(found, [0.0, 1.0, 0.0, 0.0, -0.7, 0.0, 0.0], atol=0.05)


@pytest.mark.skipif(RIGS is None, reason="the rigs are part of a checkout")
def test_a_follower_that_is_off_is_an_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = FR3.joint_names
    true = np.radians([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    stamps, leader, follower = RIGS.make_pairs(np.random.default_rng(0), true)
    head = ",".join(["stamp", *(f"leader_{n}" for n in names), *(f"follower_{n}" for n in names)])
    rows = np.concatenate([stamps[:, None], leader, follower], axis=1)
    np.savetxt(tmp_path / "pairs.csv", rows, delimiter=",", header=head, comments="")
    argv = ["calibrate", "joints", str(tmp_path / "pairs.csv"), "--source", "paired"]
    out = tmp_path / "report" / "drift.yaml"
    assert main([*argv, "--out", str(out)]) == 1
    assert "alarm: fr3_joint3: offset +" in capsys.readouterr().out
    assert read_record(out).what == "joint-drift" and "<figure><img" in out.with_suffix(
        ".html").read_text()  # fmt: skip


def test_calibrations_move_and_bend_cameras_and_set_their_spread(tmp_path: Path) -> None:
    lens, pose = tmp_path / "lens.yaml", tmp_path / "pose.yaml"
    write_record(lens, intrinsics_record((470.0, 472.0, 321.0, 238.0), sigma=1.0))
    write_record(pose, hand_eye_record())
    found = calibrated(CAMERAS["scene-wrist-real"], [lens, pose], FR3)
    scene, wrist = (sight.camera for sight in found.vision.sights)
    assert (scene.intrinsics.fx, scene.intrinsics.cy) == (470.0, 238.0)
    assert scene.body == "world" and scene.pose == (1.2, 0.0, 0.5, 0.5, 0.5, -0.5, -0.5)
    assert wrist == CAMERAS["scene-wrist-real"].vision.sights[1].camera
    terms = [t for t in found.terms if getattr(t, "camera", "") == "scene"]
    assert CameraPose(camera="scene", position=SPREAD * 1e-3, rotation=SPREAD * 2e-3) in terms
    (view,) = [t for t in terms if isinstance(t, CameraView)]
    assert view.focal == pytest.approx(1.0 + SPREAD * 1.96 / 470.0)
    assert view.axis == pytest.approx(SPREAD * 1.96 * 84.0 / 480.0)  # 480 pixels become 84
    # On the tool: the site of the tool frame carries it.
    write_record(pose, hand_eye_record(frame=FR3.chain.tool_frame, device="wrist"))
    found = calibrated(CAMERAS["wrist"], [pose], FR3)
    assert found.vision.sights[0].camera.body == FR3.chain.tool_frame


def test_a_calibrated_camera_stands_in_scene_and_contract_where_it_was_measured(
    tmp_path: Path,
) -> None:
    pose = tmp_path / "pose.yaml"
    where = tuple(pose_from_matrix(np.eye(4)).tolist())[3:]
    wanted = (0.06, 0.01, -0.05, *where)
    record = hand_eye_record(wanted, frame=FR3.chain.tool_frame, device="wrist")
    write_record(pose, record)
    cfg = replace(
        EXPERIMENTS["reach-ppo"][1], cameras="wrist", calibrations=(str(pose),), num_envs=1
    )
    contract = make_contract(build_env(cfg, 1), Provenance(experiment="x"))
    (mount,) = contract.cameras
    assert mount.frame == FR3.chain.tool_frame and mount.name == "wrist"
    np.testing.assert_allclose(mount.pose, wanted, atol=1e-9)
    ranges = {r.name: r for r in contract.ranges}
    assert ranges["calibration/camera_wrist/position"].high == pytest.approx(SPREAD * 1e-3)
    # The run keeps a copy, and says of which record its policy is.
    write_config(tmp_path / "run", "reach-ppo", cfg)
    pose.unlink()
    _, again, _ = read_config(tmp_path / "run")
    assert again.calibrations == (str(tmp_path / "run" / "calibration-wrist-hand-eye.yaml"),)
    assert provenance(tmp_path / "run", 0).calibration_ids == {"wrist/hand-eye": record.id}
    assert build_env(again, 1) is not None


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (intrinsics_record(device="ceiling"), "'ceiling' is none of the cameras here: scene"),
        (intrinsics_record(size=(320, 240)), "camera 'scene' takes 640 x 480: calibrate at that"),
        (hand_eye_record(frame="panda_link0"), "got 'panda_link0': it was measured on another arm"),
        (hand_eye_record(error=0.02), "not accepted: held-out points"),
        (hand_eye_record(what="gap"), "expected a calibration of intrinsics, hand-eye or latency"),
    ],
)
def test_calibrations_that_do_not_fit_are_one_line(
    record: object, why: str, tmp_path: Path
) -> None:
    write_record(tmp_path / "a.yaml", record)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=why):
        calibrated(CAMERAS["scene"], [tmp_path / "a.yaml"], FR3)


BAD: dict[str, tuple[list[str], str]] = {
    "no folder": (["intrinsics", "nowhere"], "nowhere: no such folder"),
    "name": (["intrinsics", ".", "--name", "a b"], "--name: expected letters"),
    "suffix": (["intrinsics", ".", "--out", "a.txt"], "a plain name ending in .yaml"),
    "table": (
        ["hand-eye", "{folder}", "--intrinsics", "{lens}", "--name", "scene"],
        "views.csv: cannot be read",
    ),
    "camera": (
        ["hand-eye", "{folder}", "--intrinsics", "{lens}"],
        "of camera 'scene', --name says",
    ),
    "robot": (
        ["hand-eye", "{folder}", "--intrinsics", "{lens}", "--name", "scene", "--robot", "r2d2"],
        "r2d2",
    ),
    "proposals": (
        ["hand-eye", "{folder}", "--intrinsics", "{lens}", "--propose", "99"],
        "expected 0 to 50",
    ),
    "intrinsics": (["joints", "{folder}"], "--intrinsics: views need those of the camera"),
    "pairs": (["joints", "{lens}", "--source", "paired"], "missing: stamp, leader_fr3_joint1"),
    "board": (["board", "a.pdf", "--board.square-mm", "50"], "does not fit on a4"),
    "board name": (["board", "a.doc"], "expected a name that ends in .pdf"),
    "no source": (["views", "new"], "expected one of --device, --realsense and"),
    "two sources": (["views", "new", "--device", "a", "--log", "b"], "go with --image-topic"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lens = tmp_path / "in" / "lens.yaml"
    write_record(lens, intrinsics_record())
    argv, why = BAD[case]
    assert main(["calibrate", *(word.format(lens=lens, folder=lens.parent) for word in argv)]) == 2
    said = capsys.readouterr().err
    assert why in said and said.count("\n") == 1


def test_a_board_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix, head in ((".pdf", b"%PDF-1.4"), (".svg", b"<svg"), (".png", b"\x89PNG")):
        file = tmp_path / f"board{suffix}"
        assert main(["calibrate", "board", str(file), "--dpi", "100", "--board.rows", "6"]) == 0
        assert file.read_bytes().startswith(head)
    assert "--board.rows 6" in capsys.readouterr().out
