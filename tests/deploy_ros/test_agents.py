# pyright: standard, reportMissingModuleSource=false
"""What learns from replay, through real processes: frames and plans that the graph carries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sim2arm.cli.evaluation import of_bundle, run_episodes
from sim2arm.cli.ros_evaluation import run_through_ros
from sim2arm.policies.actor import ExportedActor
from sim2arm.policies.actor_critic import SightCfg
from sim2arm.policies.bins import Zoom
from sim2arm.policies.cqn import Cqn, CqnCfg
from sim2arm.policies.drqv2 import DrqV2, DrqV2Cfg
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.policies.sac import Sac, SacCfg
from sim2arm.policies.td3 import Td3, Td3Cfg
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.vision import Vision
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401

from .seeing import SIDE, VISION, write_seeing

pytestmark = pytest.mark.timeout(60)

SIGHT = SightCfg(stack=3, width=4, trunk=8, lengths=())
BINS = CqnCfg(sight=SIGHT, zoom=Zoom(levels=2, bins=3), hidden=(16,), atoms=11)
AGENTS: dict[str, tuple[Any, Any]] = {
    "td3": (Td3, Td3Cfg(sight=SIGHT, hidden=(16,))),
    "sac": (Sac, SacCfg(sight=SIGHT, hidden=(16,))),  # TQC and DroQ differ in critics alone
    "drqv2": (DrqV2, DrqV2Cfg(sight=SIGHT, hidden=(16,))),
    "cqn": (Cqn, BINS),
    "cqn-as": (Cqn, replace(BINS, row=4)),
}
ONE = Vision(sights=(replace(VISION.sights[0], history=1),))
"""The graph remembers frames itself."""


def acting(name: str) -> Any:
    """Return what acts, whose pictures matter."""
    torch.manual_seed(0)
    kind, cfg = AGENTS[name]
    picture = torch.zeros((1, SIDE, SIDE, 3), dtype=torch.uint8)
    obs = {"joint_position": torch.zeros(1, 7), "scene_rgb": picture}
    actor = kind(cfg, obs, {"actor": list(obs)}, 6).actor
    heads = [actor.head.mlp[-1]] if hasattr(actor, "head") else []
    if not heads:
        heads = [actor.critic.value.head, actor.critic.advantage.head]
    for head in heads:
        nn.init.normal_(head.weight)
    return actor


@pytest.mark.parametrize("name", AGENTS)
def test_lock_step_is_the_same_as_in_process_to_the_bit(name: str, tmp_path: Path) -> None:
    actor = acting(name)
    arm = SimulatedArm(make_task("reach", "fr3", "max_steps: 20\n"), "fr3", vision=ONE)
    bundle = write_seeing(tmp_path / "bundle", arm, ExportedActor(actor), states=actor.states)
    policy, task = OnnxPolicy(bundle), make_task("reach", "fr3", "max_steps: 20\n")
    plans = ["plans", "plans_made"] if name == "cqn-as" else []
    assert [s.name_in for s in policy.contract.states] == ["started", "before_scene_rgb", *plans]
    inside = run_episodes(task, policy.contract, of_bundle(policy), [0], num_arms=1, vision=ONE)
    outside = run_through_ros(
        bundle, task, [0], real_time=False, folder=tmp_path / "logs", vision=ONE
    )
    assert outside.episodes.endings == inside.endings
    (through,), (alone,) = outside.episodes.actions, inside.actions
    np.testing.assert_array_equal(through, alone)
    assert len(np.unique(alone, axis=0)) > 3
    assert all(course.faults() == [] for course in outside.courses)
