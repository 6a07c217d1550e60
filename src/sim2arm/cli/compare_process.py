"""Trials of a comparison in this process: many starts at once, and pictures of these."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sim2arm.core.contract import Contract
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.policies.verify import load_contract
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.robots.actuators import find_actuators
from sim2arm.sim.tasks.base import Task
from sim2arm.sim.tasks.table import describe_task, make_task
from sim2arm_ros.page_pictures import png

from .compare_arm import SharedArm
from .compare_log import TrialLog, pairings
from .errors import UserError, user_input
from .eval import find_bundle
from .evaluation import of_bundle, run_episodes
from .film_scene import OVERVIEW, furnished
from .progress import Progress

if TYPE_CHECKING:
    from .compare import CompareCfg

STARTS = "starts"
"""Folder of the pictures."""
PICTURES = 12
"""Starts with different outcomes that the report shows at most."""
SIZE = (320, 240)
"""Width and height of a picture [pixels]."""


def find_task(cfg: CompareCfg, bundles: Sequence[Path]) -> Task:
    """Return the task of a comparison: the one that is named, or that of every training.

    Raises:
        UserError: there is none of this name, or the bundles were trained for different ones.
    """
    if cfg.task:
        robot = load_contract(bundles[0]).robot
        with user_input("--task and --settings"):
            text = "" if cfg.settings is None else cfg.settings.read_text(encoding="utf-8")
            return make_task(cfg.task, robot, text)
    found = [find_bundle(bundle)[1] for bundle in bundles]
    told = {describe_task(task) for task in found}
    if len(told) > 1:
        names = ", ".join(sorted({name for name, _ in told}))
        raise UserError(f"the bundles were trained for different tasks ({names}): pass --task")
    return found[0]


def run_in_process(cfg: CompareCfg, bundles: Sequence[Path], arm: SharedArm, log: TrialLog) -> None:
    """Run what is missing, so many starts at a time as there are arms, one bundle after another."""
    task = find_task(cfg, bundles)
    left = log.missing()
    with Progress("trials", log.plan.trials, "trials") as progress:
        for first in range(0, log.plan.pairs, cfg.num_arms):
            group = [part for part in left if first <= part[1] < first + cfg.num_arms]
            for bundle in dict.fromkeys(bundle for *_, bundle in group):  # in their drawn order
                trials = [(trial, pair) for trial, pair, b in group if b == bundle]
                _run_group(bundles[bundle], task, arm, log, trials)
                progress.update(len(log.outcomes))
    draw_starts(log, task, load_contract(bundles[0]))


def _run_group(
    bundle: Path, task: Task, arm: SharedArm, log: TrialLog, trials: Sequence[tuple[int, int]]
) -> None:
    from .compare import outcome

    seeds = [log.plan.first_seed + pair for _, pair in trials]
    with user_input("bundle"):
        policy = OnnxPolicy(bundle, num_envs=len(seeds))
    contract = policy.contract
    sees = any(spec.driver_stage is not None for spec in contract.inputs)
    episodes = run_episodes(
        task, contract, of_bundle(policy), seeds, num_arms=len(seeds),
        actuators=find_actuators(arm.actuators, arm.robot),
        vision=arm.vision() if sees else None, touch=arm.pads(),
    )  # fmt: skip
    for i, (trial, _) in enumerate(trials):
        log.add(outcome(
            trial, bool(episodes.success[i]), ended=episodes.endings[i],
            steps=int(episodes.steps[i]),
        ))  # fmt: skip


def draw_starts(log: TrialLog, task: Task, contract: Contract) -> None:
    """Write pictures of the starts whose outcomes differ: what decides is often to be seen."""
    pairs = sorted({pair for each in pairings(log.plan, log.outcomes) for pair in each.differing})
    if not pairs:
        return
    arm = SimulatedArm(furnished(task), contract.robot, control_hz=contract.control_hz, threads=1)
    folder = log.folder / STARTS
    folder.mkdir(exist_ok=True)
    for pair in pairs[:PICTURES]:
        arm.reset(log.plan.first_seed + pair)
        picture = arm.world.render(OVERVIEW, [0], *SIZE)[0]
        (folder / f"pair-{pair + 1:03d}.png").write_bytes(png(picture))
