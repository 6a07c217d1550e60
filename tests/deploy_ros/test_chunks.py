# pyright: standard, reportMissingModuleSource=false
"""Policies of chunks through real processes: histories, noise, actions that are committed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim2arm.cli import main as cli
from sim2arm.cli.eval import find_bundle
from sim2arm.cli.evaluation import of_bundle, run_episodes
from sim2arm.cli.ros_evaluation import run_through_ros
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401

pytestmark = pytest.mark.timeout(90)

SMALL = [
    *("--algo.dims", "16", "32", "--algo.step-dim", "16", "--algo.sampler-steps", "2"),
    *("--algo.prefixed", "--learn.batch", "4", "--trial-episodes", "1", "--steps", "2"),
    *("--executor.kind", "ahead", "--executor.execute", "6", "--executor.delay", "3"),
    *("--task.max-steps", "40"),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusion policy that sees two ticks, runs ahead, and keeps what is committed."""
    root = tmp_path_factory.mktemp("chunks")
    words = ["record", "reach", "--out", str(root / "data"), "--episodes", "1"]
    assert cli.main([*words, "--keep", "all"]) == 0
    words = ["train", "reach-diffusion", "--data", str(root / "data"), "--out", str(root / "run")]
    assert cli.main([*words, *SMALL]) == 0
    assert cli.main(["export", str(root / "run")]) == 0
    return root / "run" / "bundle"


def test_lock_step_is_the_same_as_in_process_to_the_bit(bundle: Path, tmp_path: Path) -> None:
    policy, (_, task) = OnnxPolicy(bundle), find_bundle(bundle)
    contract = policy.contract
    assert contract.executor.kind == "ahead" and contract.noise is not None
    kinds = {spec.kind for spec in contract.inputs}
    assert kinds == {"sensor", "derived", "goal", "prefix", "noise"}
    assert all(
        s.history is not None and s.history.n == 2 for s in contract.inputs if s.kind == "sensor"
    )
    inside = run_episodes(task, contract, of_bundle(policy), [0], num_arms=1)
    outside = run_through_ros(bundle, task, [0], real_time=False, folder=tmp_path / "logs")
    assert outside.episodes.endings == inside.endings
    np.testing.assert_array_equal(outside.episodes.actions[0], inside.actions[0])
    assert len(inside.actions[0]) == 40
