# pyright: standard, reportMissingModuleSource=false
"""Lock step through real processes is the same as in process: every action to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim2arm.cli import eval as evaluate
from sim2arm.cli.evaluation import of_bundle, run_episodes
from sim2arm.cli.measured import Measured, pair
from sim2arm.cli.ros_evaluation import run_through_ros
from sim2arm.core.robots import FR3
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.tasks.reach import Reach, ReachCfg
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401

from .swinging import write_swinging

pytestmark = pytest.mark.timeout(60)

SEEDS = (0, 1)
# Wide enough that a swing ends one of the two.
CFG = ReachCfg(position_tolerance=0.25, rotation_tolerance=4.0, max_steps=45)


def test_lock_step_is_the_same_as_in_process_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, task = write_swinging(tmp_path / "bundle"), Reach(CFG, FR3)
    policy = OnnxPolicy(bundle)
    inside = run_episodes(task, policy.contract, of_bundle(policy), SEEDS, num_arms=1)
    outside = run_through_ros(bundle, task, SEEDS, real_time=False, folder=tmp_path / "logs")
    assert outside.episodes.seeds == SEEDS
    assert sorted(inside.success.tolist()) == [False, True]
    assert set(inside.endings) == {"success", "time up"}
    assert outside.episodes.success.tolist() == inside.success.tolist()
    assert outside.episodes.steps.tolist() == inside.steps.tolist()
    assert outside.episodes.endings == inside.endings
    for through, alone in zip(outside.episodes.actions, inside.actions, strict=True):
        assert through.dtype == alone.dtype == np.float32
        np.testing.assert_array_equal(through, alone)
    assert all(course.faults() == [] for course in outside.courses)

    # And what `sim2arm eval --through ros` makes of them.
    found = pair(Measured(episodes=inside), outside, policy.contract.action)
    assert (found.largest, found.same_steps, found.incomplete) == (0.0, 2, ())
    monkeypatch.setattr(evaluate, "run_through_ros", lambda *_, **__: outside)
    cfg = evaluate.EvalCfg(path=bundle, through="ros", ros_episodes=2)
    rows = evaluate.ros_rows(cfg, bundle, task, inside, policy.contract, "ideal")
    table = {row.metric: row.value for row in rows}
    assert table["same outcome as in process"] == 2
    assert table["largest difference of an action"] == 0.0
    assert (table["missed periods"], table["late commands"]) == (0, 0)
