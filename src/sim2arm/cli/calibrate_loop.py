"""`sim2arm calibrate loop`: recording, identification, training again, success before and after.

With `--draws` the arms are simulated and hide their numbers: each moves, is identified from what is
recorded, the policy is trained on from its networks on the arm that was found, and once more on the
true one. How much of the success that a hidden arm costs comes back is what a calibration is worth.
With a log there is no truth: the policy is compared on the arm that the log tells.
"""

# pyright: standard

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import Positional, arg

from sim2arm.calibration.dynamics_file import EVERY, read_dynamics, unit_of
from sim2arm.calibration.dynamics_report import make_record
from sim2arm.calibration.identified import Identified, Number
from sim2arm.core.calibration_file import write_record
from sim2arm.core.calibration_record import input_file
from sim2arm.core.durable import write_durably
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Robot
from sim2arm.policies.ppo import PpoCfg
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.delay import CommandDelay
from sim2arm.sim.hidden_arm import HiddenArm, draw_arm, record_arm
from sim2arm.sim.identification import ArmReplay, identify
from sim2arm.sim.measured_terms import measured_arm

from .errors import UserError, user_input
from .eval import FIRST_SEED, find_bundle, of_bundle
from .evaluation import OtherArm, run_episodes
from .experiments import TrainCfg
from .export import ExportCfg, export
from .parse import parse
from .randomizations import Randomization
from .recorded_arm import RecordedArmCfg, replay_arm
from .runs import CHECKPOINT, read_config
from .table import Row, format_results, write_results
from .train import train

DONE = "success.json"
RESAMPLED = 4000
LIMIT_MRAD = 1.0


@dataclass(frozen=True, kw_only=True)
class CalibrateLoopCfg:
    """Identify an arm, train its policy on, and say what that was worth."""

    log: Annotated[Positional[Path | None], arg(metavar="LOG")] = None
    """Raw log of the arm; without, `--draws` simulated arms that hide their numbers."""
    run: Path
    """Run folder of a PPO training with a bundle: the policy before."""
    out: Path
    """Folder of everything that is made; what is there already is not made again."""
    draws: int = 10
    """Simulated arms."""
    first: int = 0
    """Seed of the first of them."""
    iterations: int = 60
    """Of each training that goes on."""
    episodes: int = 200
    """Of each measurement of success."""
    joints_topic: str = "/joint_states"
    """Topic with joint states, in the log."""
    controller_topic: str = "/joint_trajectory_controller/controller_state"
    """Topic that says what the controller was told, in the log."""
    json: Path | None = None
    """Write the rows there."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(CalibrateLoopCfg, argv, "sim2arm calibrate loop")
    for name in ("draws", "iterations", "episodes"):
        if getattr(cfg, name) < 1:
            raise UserError(f"--{name}: expected 1 or more, got {getattr(cfg, name)}")
    rows = of_log(cfg) if cfg.log is not None else of_draws(cfg)
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "calibrate loop", rows)
    return 0


# -- arms that hide their numbers ---------------------------------------------------------------


def of_draws(cfg: CalibrateLoopCfg) -> list[Row]:
    """Return the rows of simulated arms."""
    experiment, settings = _settings(cfg)
    robot = find_robot(settings.robot)
    control = _train_on(cfg, experiment, settings, None, cfg.out / "more")
    found: list[dict[str, float]] = []
    for seed in range(cfg.first, cfg.first + cfg.draws):
        folder = cfg.out / f"arm-{seed}"
        print(f"arm {seed}", flush=True)
        found.append(_one(cfg, experiment, settings, robot, seed, folder, control))
        print("  " + ", ".join(f"{k} {100 * v:.1f} %" for k, v in found[-1].items()), flush=True)
    case = f"{len(found)} hidden arms, {cfg.episodes} episodes each"
    rows = [Row(case="no hidden arm", metric="success, before", value=_success(cfg, cfg.run, None))]
    return rows + compared(case, found)


def _one(
    cfg: CalibrateLoopCfg, experiment: str, settings: TrainCfg, robot: Robot, seed: int,
    folder: Path, control: Path,
) -> dict[str, float]:  # fmt: skip
    """Return the success of policies on one arm: before, trained on, with numbers, with the truth.

    Raises:
        UserError: the folder has results of other settings.
    """
    done = folder / DONE
    asked = {
        "run": file_hash(cfg.run / CHECKPOINT), "iterations": cfg.iterations,
        "episodes": cfg.episodes,
    }  # fmt: skip
    if done.is_file():
        kept = json.loads(done.read_text(encoding="utf-8"))
        if kept["asked"] != asked:
            raise UserError(f"{done} is of other settings or another run: choose another --out")
        return kept["success"]
    rng = np.random.default_rng(seed)
    hidden = draw_arm(robot, rng)
    numbers = folder / "dynamics.yaml"
    if not numbers.is_file():
        recording, width = record_arm(hidden, rng)
        _identify(ArmReplay(robot, recording, width=width), numbers)
    truth = folder / "truth.yaml"
    _write_truth(hidden, truth)
    other = OtherArm(
        change=Randomization(physics=(hidden.term,), commands=hidden.commands), seed=seed
    )
    success = {"before": _success(cfg, cfg.run, other), "trained on": _success(cfg, control, other)}
    for name, record in (("identified", numbers), ("true", truth)):
        run = _train_on(cfg, experiment, settings, record, folder / name)
        success[name] = _success(cfg, run, other)
    write_durably(done, json.dumps({"asked": asked, "success": success}).encode())
    return success


def file_hash(path: Path) -> str:
    """Return the hash of a file."""
    return input_file(path).sha256


def compared(case: str, found: Sequence[dict[str, float]]) -> list[Row]:
    """Return mean successes over arms, and how much of what was lost comes back.

    Intervals are percentiles over arms that are drawn again (Efron 1979): what differs most is the
    arm, not the episode.
    """
    names = ("before", "trained on", "identified", "true")
    values = np.array([[one[name] for name in names] for one in found])
    rng = np.random.default_rng(0)
    again = values[rng.integers(0, len(values), (RESAMPLED, len(values)))].mean(axis=1)
    rows: list[Row] = []
    for k, name in enumerate(names):
        low, high = (float(v) for v in np.quantile(again[:, k], (0.025, 0.975)))
        rows += [
            Row(case=case, metric=f"success, {name}", value=float(values[:, k].mean())),
            Row(case=case, metric=f"success, {name}, 95 % low", value=low),
            Row(case=case, metric=f"success, {name}, 95 % high", value=high),
        ]
    lost = float((values[:, 3] - values[:, 0]).mean())
    rows.append(Row(case=case, metric="success that the hidden arm costs", value=lost))
    if lost <= 0.0:
        return rows  # nothing was lost that could come back
    shares = (again[:, 2] - again[:, 0]) / np.maximum(again[:, 3] - again[:, 0], 1e-9)
    low, high = (float(v) for v in np.quantile(shares, (0.025, 0.975)))
    share = float((values[:, 2] - values[:, 0]).mean()) / lost
    for what, value in (("", share), (", 95 % low", low), (", 95 % high", high)):
        rows.append(
            Row(case=case, metric=f"share of it that comes back{what}", value=100.0 * value,
                unit="%")
        )  # fmt: skip
    return rows


def _write_truth(hidden: HiddenArm, path: Path) -> None:
    """Write the numbers of an arm as if they had been identified, exactly."""
    numbers = tuple(
        Number(name=name, value=value, low=-10.0, high=100.0, unit=unit_of(name), scale=1.0)
        for name, value in hidden.numbers.items()
    )
    n, zeros = len(numbers), np.zeros(len(hidden.robot.joint_names))
    found = Identified(
        numbers=numbers, sigma=np.full(n, 1e-12), correlation=np.eye(n), before=zeros, after=zeros,
        held_before=zeros, held_after=zeros, seconds=0.0,
    )  # fmt: skip
    record = make_record(
        found, device=hidden.robot.name, limit_mrad=LIMIT_MRAD, settings={},
        notes=("The truth of a simulated arm.",),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, record, {})


# -- an arm of which there is a log -------------------------------------------------------------


def of_log(cfg: CalibrateLoopCfg) -> list[Row]:
    """Return the rows of an arm of which there is a log: success on the arm that it tells."""
    experiment, settings = _settings(cfg)
    robot = find_robot(settings.robot)
    numbers = cfg.out / "dynamics.yaml"
    if not numbers.is_file():
        with user_input("calibrate loop"):
            arm = RecordedArmCfg(
                log=cfg.log, joints_topic=cfg.joints_topic, controller_topic=cfg.controller_topic
            )
            replay, _ = replay_arm(arm, robot)
        _identify(replay, numbers)
    with user_input("calibrate loop"):
        found = read_dynamics(numbers)
    delay = found.numbers.get("delay", (0.0, 0.0))[0]
    change = Randomization(
        physics=(measured_arm(found, robot, 0.0),), commands=CommandDelay(low=delay, high=delay)
    )
    other = OtherArm(change=change, seed=0)
    run = _train_on(cfg, experiment, settings, numbers, cfg.out / "identified")
    case = f"the arm of {cfg.log}, {cfg.episodes} episodes"
    return [
        Row(case=case, metric=f"success, {name}", value=_success(cfg, where, arm))
        for name, where, arm in (
            ("as trained", cfg.run, None), ("before", cfg.run, other), ("identified", run, other)
        )
    ]  # fmt: skip


# -- steps --------------------------------------------------------------------------------------


def _settings(cfg: CalibrateLoopCfg) -> tuple[str, TrainCfg]:
    """Return experiment and settings of the policy before.

    Raises:
        UserError: it is no PPO training.
    """
    experiment, settings, _ = read_config(cfg.run)
    if not isinstance(settings.algo, PpoCfg) or not (cfg.run / CHECKPOINT).is_file():
        raise UserError(f"{cfg.run}: expected a training with PPO that can go on")
    return experiment, settings


def _identify(replay: ArmReplay, path: Path) -> None:
    """Identify an arm and write the record.

    Raises:
        UserError: the recording does not tell it, or the numbers do not explain it.
    """
    with user_input("calibrate loop", path):
        found = identify(replay, EVERY, say=lambda text: print(f"  {text}"))
        record = make_record(found, device=replay.robot.name, limit_mrad=LIMIT_MRAD, settings={})
        for problem in record.problems:
            raise ValueError(f"not accepted: {problem}: see sim2arm calibrate dynamics")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_record(path, record, {})


def _train_on(
    cfg: CalibrateLoopCfg, experiment: str, settings: TrainCfg, record: Path | None, folder: Path
) -> Path:
    """Train the policy on, with the numbers of a record if there is one; return the run."""
    changed = replace(
        settings, start=str(cfg.run), dynamics=str(record or ""), iterations=cfg.iterations,
        target_success=1.0, trial_every=cfg.iterations, out=folder, resume=folder.exists(),
    )  # fmt: skip
    if changed.resume:  # its own copy of the record
        changed = replace(changed, dynamics=read_config(folder)[1].dynamics)
    train(experiment, changed)
    if not (folder / "bundle").is_dir():
        export(ExportCfg(run=folder))
    return folder


def _success(cfg: CalibrateLoopCfg, run: Path, other: OtherArm | None) -> float:
    """Return the share of episodes in which the policy of a run succeeds on an arm."""
    bundle, task = find_bundle(run)
    together = min(50, cfg.episodes)
    with user_input("bundle"):
        policy = OnnxPolicy(bundle, num_envs=together)
    seeds = range(FIRST_SEED, FIRST_SEED + cfg.episodes)
    return run_episodes(
        task, policy.contract, of_bundle(policy), seeds, num_arms=together, other=other
    ).rate
