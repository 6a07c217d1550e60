# pyright: standard
"""A policy of demonstrations that LeRobot recorded: imported, trained on, exported."""

from __future__ import annotations

from pathlib import Path

from sim2arm.cli import imitate as _needs_the_train_extra  # noqa: F401
from sim2arm.cli import main as cli
from sim2arm.policies.runtime import OnnxPolicy

from .test_import_lerobot import JOINTS, theirs, write_map

__all__ = ["theirs"]


def test_a_policy_of_their_demonstrations(theirs: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours"
    words = ["import", "lerobot", str(theirs), "--map", str(write_map(tmp_path)), "--out", str(out)]
    assert cli.main(words) == 0
    run = tmp_path / "run"
    small = ["--algo.chunk", "4", "--algo.dim", "16", "--algo.heads", "2", "--algo.feed", "16"]
    small += ["--algo.layers", "1", "--algo.style-layers", "1", "--algo.width", "16"]
    small += ["--learn.batch", "2", "--steps", "2", "--robot", "so101"]
    assert cli.main(["train", "act", "--data", str(out), "--out", str(run), *small]) == 0
    assert cli.main(["export", str(run)]) == 0
    policy = OnnxPolicy(run / "bundle")
    names = {spec.name: spec.shape for spec in policy.contract.observations}
    assert names == {
        "joint_position": (len(JOINTS),), "ee_pose": (7,), "gripper_width": (1,),
        "front": (48, 64, 3),
    }  # fmt: skip
