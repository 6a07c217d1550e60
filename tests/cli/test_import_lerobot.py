"""`sim2arm import lerobot`: degrees of others become radians of an arm; ACT learns from them."""

# pyright: standard

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sim2arm.cli import main as cli
from sim2arm.core.contract import Contract
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.plain import from_plain
from sim2arm.core.robots import SO101
from sim2arm.policies.dataset.layout import DatasetSpec, Feature
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter

JOINTS = SO101.chain.joint_names
NAMES = (*(f"{name}.pos" for name in JOINTS), "gripper.pos")
FRONT = "observation.images.front"
SPEC = DatasetSpec(
    fps=30,
    features={
        "observation.state": Feature(dtype="float32", shape=(len(NAMES),), names=NAMES),
        "action": Feature(dtype="float32", shape=(len(NAMES),), names=NAMES),
        FRONT: Feature(dtype="video", shape=(48, 64, 3)),
    },
    robot_type="so101_follower",
)
"""As LeRobot records an SO-101: degrees, and the gripper from 0 to 100."""
MAP: dict[str, Any] = {
    "robot": "so101",
    "joints": {
        name: {"element": f"{name}.pos", "scale": math.pi / 180.0, "offset": 0.1 * k}
        for k, name in enumerate(JOINTS)
    },
    "gripper": {"element": "gripper.pos", "closed": 0.0, "opened": 100.0},
    "pictures": {"front": FRONT},
}


def degrees(episode: int, k: int) -> np.ndarray:
    joints = 10.0 * np.sin(0.2 * k + np.arange(len(JOINTS)) + episode)
    return np.append(joints, 25.0 + k).astype(np.float32)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four episodes of 70 and 40 frames."""
    root = tmp_path_factory.mktemp("theirs") / "set"
    with DatasetWriter(root, SPEC) as writer:
        for number in range(4):
            episode = writer.begin()
            for k in range(40 if number else 70):
                row = {
                    "observation.state": degrees(number, k),
                    "action": degrees(number, k + 1),
                    FRONT: np.full((48, 64, 3), 2 * k, dtype=np.uint8),
                }
                while episode.full:
                    pass
                episode.add(row, "put the cube away")
            episode.commit()
    return root


def write_map(folder: Path, **changes: Any) -> Path:
    path = folder / "map.yaml"
    path.write_text(yaml.safe_dump(MAP | changes))
    return path


def test_numbers_by_hand(theirs: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours"
    words = ["import", "lerobot", str(theirs), "--map", str(write_map(tmp_path)), "--out", str(out)]
    assert cli.main(words) == 0
    dataset = Dataset(out)
    assert np.diff(dataset.starts).tolist() == [70, 40, 40, 40]
    assert dataset.index.tasks == ("put the cube away",) and dataset.index.spec.fps == 30
    rows = dataset.episode(0)
    q = np.radians(degrees(0, 5)[:-1].astype(float)) + 0.1 * np.arange(len(JOINTS))
    width = SO101.gripper.open_width
    np.testing.assert_allclose(rows["observation.state"][5, :-1], q, atol=1e-6)
    assert rows["observation.state"][5, -1] == pytest.approx(0.30 * width)
    assert rows["action"][5, -1] == pytest.approx(2.0 * 0.31 - 1.0)  # 31 of 100 from -1 to 1
    np.testing.assert_allclose(rows["action"][4, :-1], q, atol=1e-6)
    np.testing.assert_allclose(
        rows["measured.ee_pose"][5], forward_pose(SO101.chain, q[None])[0], atol=1e-6
    )
    assert rows["sync.stamp_ns"][3, 0] == pytest.approx(1e8, abs=10.0)
    last = dataset.pictures("observation.images.front", 0, [69])[0]
    assert np.abs(last.astype(int) - 138).max() <= 4
    contract = from_plain(Contract, dataset.index.spec.documents["contract"])
    assert contract.control_hz == 30.0 and contract.action.kind == "joint_position"
    assert contract.action.element_names == (*JOINTS, "gripper")
    assert cli.main(words) == 0  # nothing is left to do
    assert Dataset(out).index.episodes == 4


def test_what_is_asked_for_beyond_the_limits_is_said(
    theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joints = {name: {**each, "scale": 1.0} for name, each in MAP["joints"].items()}
    path = write_map(tmp_path, joints=joints, pictures={}, gripper=None)
    words = ["--map", str(path), "--out", str(tmp_path / "out")]
    assert cli.main(["import", "lerobot", str(theirs), *words]) == 0
    said = capsys.readouterr().out
    assert "190 rows; " in said and "beyond the limits of the so101" in said
    assert Dataset(tmp_path / "out").features["action"].names == JOINTS


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"robot": "so100"}, "so100"),
        ({"joints": {}}, "joints: expected"),
        ({"gripper": {"element": "grip", "closed": 0.0, "opened": 1.0}}, "unknown element 'grip'"),
        ({"gripper": {"element": "gripper.pos", "closed": 1.0, "opened": 1.0}}, "are both 1.0"),
        ({"pictures": {"front": "action"}}, "unknown picture 'action'"),
        ({"scale": 1.0}, "scale"),
    ],
)
def test_a_map_that_does_not_fit(
    theirs: Path,
    tmp_path: Path,
    changes: dict[str, Any],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--map", str(write_map(tmp_path, **changes)), "--out", str(tmp_path / "out")]
    assert cli.main(["import", "lerobot", str(theirs), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_no_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--map", str(write_map(tmp_path)), "--out", str(tmp_path / "out")]
    assert cli.main(["import", "lerobot", str(tmp_path), *words]) == 2
    assert "info.json" in capsys.readouterr().err
