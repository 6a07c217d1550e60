# pyright: standard, reportMissingModuleSource=false
"""Policies that were trained elsewhere, imported, through real processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli import main as cli
from sim2arm.cli.evaluation import of_bundle, run_episodes
from sim2arm.cli.ros_evaluation import run_through_ros
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.tasks.table import make_task
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from tests import others, others_lerobot

pytestmark = pytest.mark.timeout(120)

KINDS: dict[str, Callable[[Path], tuple[Path, list[str]]]] = {
    "leapp": others.write_leapp,
    "onnx": others.write_mjlab,
    "rsl-rl": others.write_rsl_rl,
    "lerobot-act": others_lerobot.write_lerobot,
}


@pytest.mark.parametrize("kind", KINDS)
def test_lock_step_is_the_same_as_in_process_to_the_bit(kind: str, tmp_path: Path) -> None:
    source, said = KINDS[kind](tmp_path)
    bundle = tmp_path / "bundle"
    assert cli.main(["import", kind, str(source), "--out", str(bundle), *said]) == 0
    policy, task = OnnxPolicy(bundle), make_task("reach", "fr3", "max_steps: 20\n")
    more: dict[str, Any] = {"vision": others_lerobot.ONE} if kind == "lerobot-act" else {}
    inside = run_episodes(task, policy.contract, of_bundle(policy), [0], num_arms=1, **more)
    outside = run_through_ros(bundle, task, [0], real_time=False, folder=tmp_path / "logs", **more)
    assert outside.episodes.endings == inside.endings
    (through,), (alone,) = outside.episodes.actions, inside.actions
    np.testing.assert_array_equal(through, alone)
    assert len(np.unique(alone, axis=0)) > 3
    assert all(course.faults() == [] for course in outside.courses)
