"""`sim2arm eval RUN|BUNDLE`: success of a deployed policy on seeded episodes, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg

from sim2arm.core.contract import Contract
from sim2arm.core.robot_files import find_robot
from sim2arm.policies.bundle import CONTRACT
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.policies.verify import load_contract
from sim2arm.sim.arm import substeps_of
from sim2arm.sim.robots.actuators import find_actuators
from sim2arm.sim.tasks.base import Task
from sim2arm.sim.tasks.table import describe_task

from .arm_records import gel_of
from .errors import UserError, user_input
from .evaluation import Episodes, OtherArm, blind, of_bundle, run_episodes
from .experiments import EXPERIMENTS, TrainCfg
from .imitation_runs import is_imitation, read_imitation
from .imitations import IMITATIONS, ImitateCfg
from .intervals import clopper_pearson
from .measured import Measured, pair
from .outputs import check_file, check_folder
from .parse import parse, unknown
from .progress import Progress
from .ros_evaluation import run_through_ros
from .run_record import CONFIG
from .runs import build_task, find_cameras, find_touch, read_config
from .shifts import LEVELS, SHIFTS
from .table import Row, format_results, write_results

if TYPE_CHECKING:
    from sim2arm.sim.touch import Touch
    from sim2arm.sim.vision import Vision

    from .cameras import Cameras

FIRST_SEED = 1_000_000
"""Evaluation seeds start here."""
LOGS = "ros-logs"
"""Folder of the nodes' logs, beside the bundle."""


@dataclass(frozen=True, kw_only=True)
class EvalCfg:
    """Measure the success of a deployed policy."""

    path: Annotated[Positional[Path], arg(metavar="RUN|BUNDLE")]
    """Run folder with an exported bundle, or a bundle."""
    episodes: int = 500
    """Episodes, one seed each."""
    num_arms: int = 50
    """Episodes that run together."""
    through: Literal["process", "ros"] = "process"
    """process: this process alone; ros: also through policy, gate and simulated-arm nodes."""
    real_time: bool = False
    """Through ROS: every node keeps its own time; without it the arm waits for commands."""
    ros_episodes: int = 50
    """Episodes through ROS, with the first seeds of those in process."""
    shift: int = 0
    """1, 2 or 3: also on an arm outside the ranges of training, in process; 0: not."""
    eval_seed: int = 0
    """Which arm that is."""
    actuators: str = ""
    """What is between low-level law and joints; by default as in training."""
    open_loop: bool = True
    """Also drive blind to the noisy pose, for comparison (peg-insertion, by steps of the tool)."""
    json: Path | None = None
    """Write the rows there."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(EvalCfg, argv, "sim2arm eval")
    if min(cfg.episodes, cfg.num_arms, cfg.ros_episodes) < 1:
        raise UserError("--episodes, --num-arms and --ros-episodes must be 1 or more")
    if cfg.real_time and cfg.through != "ros":
        raise UserError("--real-time needs --through ros")
    if cfg.shift not in (0, *LEVELS):
        raise UserError(f"--shift: expected 1, 2 or 3, or 0 for none, got {cfg.shift}")
    if cfg.eval_seed < 0:
        raise UserError(f"--eval-seed: expected 0 or more, got {cfg.eval_seed}")
    check_file("--json", cfg.json)
    rows = evaluate(cfg)
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "eval", rows)
    return 0


def find_bundle(path: Path) -> tuple[Path, Task]:
    """Return the bundle that a path means and its task.

    Raises:
        UserError: neither a run with a bundle nor a bundle, or one for which there is no arm.
    """
    bundle = path if (path / CONTRACT).is_file() else path / "bundle"
    if not (bundle / CONTRACT).is_file():
        raise UserError(f"{path} is neither a bundle nor a run with one: run sim2arm export first")
    with user_input("bundle"):
        contract = load_contract(bundle)
    cfg = trained(bundle, contract)
    if contract.robot != cfg.robot:
        raise UserError(f"{bundle} is for the {contract.robot}, its task for the {cfg.robot}")
    with user_input("bundle", bundle):
        substeps_of(contract.control_hz)
    return bundle, build_task(cfg)


def trained(bundle: Path, contract: Contract) -> TrainCfg | ImitateCfg:
    """Return the settings of a bundle's training: of its run, else of its experiment.

    Raises:
        UserError: there is neither.
    """
    experiment = contract.provenance.experiment
    if (bundle.parent / CONFIG).is_file():
        imitation = is_imitation(bundle.parent)
        return (read_imitation if imitation else read_config)(bundle.parent)[1]
    known = {**EXPERIMENTS, **IMITATIONS}
    if experiment in known:
        return known[experiment][1]
    raise UserError(f"{bundle}: {unknown('experiment', experiment, known)}")


def evaluate(cfg: EvalCfg) -> list[Row]:
    """Run the episodes; return one row per figure."""
    bundle, task = find_bundle(cfg.path)
    if cfg.through == "ros":
        check_folder("logs", bundle.parent / LOGS)
    seeds, together = range(FIRST_SEED, FIRST_SEED + cfg.episodes), min(cfg.num_arms, cfg.episodes)
    with user_input("bundle"):
        policy = OnnxPolicy(bundle, num_envs=together)
    contract = policy.contract
    settings = trained(bundle, contract)
    name = cfg.actuators or settings.actuators
    sees = any(spec.driver_stage is not None for spec in contract.inputs)
    files = settings.calibrations if sees and isinstance(settings, TrainCfg) else ()
    cameras = find_cameras(settings.cameras if sees else "none", files, contract.robot)
    vision = None if cameras is None else cameras.vision
    touch = find_touch(settings.touch, gel_of(settings))  # felt or not, the pads are as soft
    with user_input("--actuators"):
        actuators = find_actuators(name, contract.robot)
    result = run_episodes(
        task, contract, of_bundle(policy), seeds, num_arms=together,
        actuators=actuators, vision=vision, touch=touch,
    )  # fmt: skip
    rows = success_rows("in process", result)
    if cfg.shift:
        other = other_arm(task, contract.robot, cfg, cameras)
        shifted = run_episodes(
            task, contract, of_bundle(policy), seeds, num_arms=together,
            other=other, actuators=actuators, vision=vision, touch=touch,
        )  # fmt: skip
        rows += success_rows(f"shift {cfg.shift}, arm {cfg.eval_seed}", shifted)
    if cfg.through == "ros":
        rows += ros_rows(cfg, bundle, task, result, contract, name, vision=vision, touch=touch)
    if cfg.open_loop and can_drive_blind(contract):
        driven = run_episodes(
            task, contract, blind(contract), seeds, num_arms=together, actuators=actuators,
            vision=vision, touch=touch,
        )  # fmt: skip
        rows += success_rows("blind", driven)
    return rows


def can_drive_blind(contract: Contract) -> bool:
    """Return whether actions are steps of the tool alone and a socket is seen."""
    steps = contract.action.kind == "ee_delta" and contract.action.dim == 6
    return steps and any(spec.name == "socket_pose" for spec in contract.inputs)


def other_arm(task: Task, robot: str, cfg: EvalCfg, cameras: Cameras | None) -> OtherArm:
    """Return the arm outside the ranges of training, with its cameras, if any, moved.

    Raises:
        UserError: there is none for the task.
    """
    name = describe_task(task)[0]
    if name not in SHIFTS:
        raise UserError(f"--shift: none for the task {name}; there are for {', '.join(SHIFTS)}")
    change = SHIFTS[name](find_robot(robot), cfg.shift)
    if cameras is not None:
        from .cameras import moved

        change = replace(change, physics=(*change.physics, *moved(cameras, cfg.shift)))
    return OtherArm(change=change, seed=cfg.eval_seed)


def ros_rows(
    cfg: EvalCfg,
    bundle: Path,
    task: Task,
    inside: Episodes,
    contract: Contract,
    actuators: str,
    *,
    vision: Vision | None = None,
    touch: Touch | None = None,
) -> list[Row]:
    """Run the first seeds through ROS nodes; print the pairs that differ, return the figures."""
    seeds = inside.seeds[: cfg.ros_episodes]
    case = "ROS, real time" if cfg.real_time else "ROS, lock step"
    with Progress(case, len(seeds), "episodes") as progress:
        outside = run_through_ros(
            bundle, task, seeds, real_time=cfg.real_time, folder=bundle.parent / LOGS,
            progress=progress.update, actuators=actuators, vision=vision, touch=touch,
        )  # fmt: skip
    pairing = pair(Measured(episodes=inside), outside, contract.action)
    for line in (*pairing.discordant, *pairing.incomplete):
        print(line)
    rows = success_rows(case, outside.episodes)
    rows += [
        Row(case=case, metric="same outcome as in process", value=pairing.both + pairing.neither,
            baseline="pairs", baseline_value=len(seeds)),
        Row(case=case, metric="missed periods", value=outside.missed),
        Row(case=case, metric="late commands", value=outside.late),
    ]  # fmt: skip
    if not cfg.real_time and pairing.largest is not None:
        name = "largest difference of an action"
        rows.append(Row(case=case, metric=name, value=pairing.largest, unit="range"))
    for metric, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        if len(outside.latency_ms):
            value = float(np.quantile(outside.latency_ms, share))
            name = f"observation to command, {metric}"
            rows.append(Row(case=case, metric=name, value=value, unit="ms"))
    return rows


def success_rows(case: str, result: Episodes) -> list[Row]:
    """Return the figures of one evaluation."""
    successes, episodes = int(result.success.sum()), len(result.success)
    low, high = clopper_pearson(successes, episodes)
    rows = [
        Row(case=case, metric="success", value=result.rate),
        Row(case=case, metric="success, 95 % low", value=low),
        Row(case=case, metric="success, 95 % high", value=high),
        Row(case=case, metric="episodes", value=episodes),
    ]
    if result.scores is not None:
        rows.append(Row(case=case, metric="score", value=float(result.scores.mean())))
    taken = result.steps[result.steps > 0]  # the policy acted at all
    if len(taken):
        rows += [
            Row(case=case, metric="mean steps of the policy", value=float(taken.mean())),
            Row(case=case, metric="ticks slowed by the gate", value=result.slowed / result.ticks),
            Row(case=case, metric="ticks refused by the gate", value=result.refused / result.ticks),
        ]
    if result.diverged is not None:
        rows.append(Row(case=case, metric="episodes that diverged", value=result.diverged))
    return rows
