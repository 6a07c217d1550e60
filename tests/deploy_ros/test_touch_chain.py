# pyright: standard
"""From a teacher to real processes by touch: trained, exported, driven through ROS in lock step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from sim2arm.cli.eval import trained
from sim2arm.cli.evaluation import of_bundle, run_episodes
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.export import ExportCfg, export
from sim2arm.cli.ros_evaluation import run_through_ros
from sim2arm.cli.runs import build_task
from sim2arm.cli.touches import TOUCHES
from sim2arm.cli.train import train
from sim2arm.policies.ppo import PpoCfg
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.tasks.peg_placement import PegPlacementCfg
from sim2arm.sim.touch import FIELD
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401

pytestmark = pytest.mark.timeout(60)


def small(name: str, out: Path, **changes: object) -> TrainCfg:
    """Return a training of seconds on gels that differ between episodes."""
    cfg = EXPERIMENTS[name][1]
    task = replace(cast(PegPlacementCfg, cfg.task), max_steps=20)
    algo = replace(cast(PpoCfg, cfg.algo), rollout=4, epochs=1, minibatches=2, hidden=(8,))
    algo = replace(algo, actor=replace(algo.actor, lstm=min(4, algo.actor.lstm)))
    common = {"num_envs": 4, "iterations": 2, "trial_episodes": 2, "randomization": "gel"}
    return replace(cfg, out=out, task=task, algo=algo, **(common | changes))


def test_a_student_of_touch_moves_an_arm_through_ros_as_in_process(tmp_path: Path) -> None:
    """Its teacher knows the peg's pose, on the same gels; it has forces and memory alone."""
    taught = small("peg-placement-ppo", tmp_path / "teacher", touch="gel")
    teacher = train("peg-placement-ppo", taught)
    cfg = small("peg-placement-aacd", tmp_path / "run", touch="field", teacher=str(teacher))
    run = train("peg-placement-aacd", cfg)
    export(ExportCfg(run=run))
    bundle, seeds = run / "bundle", (0, 1)
    policy = OnnxPolicy(bundle)
    contract = policy.contract
    assert [state.shape for state in contract.states] == [(1, 4), (1, 4)]
    felt = contract.input(FIELD)
    assert (felt.shape, felt.unit, felt.rate_hz) == ((2, 14, 10, 3), "N", 60.0)
    assert "peg_pose" not in [spec.name for spec in contract.inputs]
    assert "physics/gel stiffness" in [found.name for found in contract.ranges]
    assert trained(bundle, contract) == replace(cfg, out=None)
    touch = TOUCHES["field"]
    inside = run_episodes(
        build_task(cfg), contract, of_bundle(policy), seeds, num_arms=1,
        touch=touch,
    )  # fmt: skip
    outside = run_through_ros(
        bundle, build_task(cfg), seeds, real_time=False, folder=tmp_path / "logs", touch=touch
    )
    assert inside.steps.tolist() == [20, 20]
    assert outside.episodes.endings == inside.endings
    for through, alone in zip(outside.episodes.actions, inside.actions, strict=True):
        np.testing.assert_array_equal(through, alone)
        assert len(np.unique(alone, axis=0)) > 10
    assert all(course.faults() == [] for course in outside.courses)
