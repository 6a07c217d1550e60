"""Training of one arm in real time: this process acts, one beside it learns (`online_learner.py`).

Neither waits for the other: what was done goes through the replay in the run folder, networks come
back as a file. The arm is in this process, or behind ROS nodes (`ros_stand.py`).
"""

# pyright: standard

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sim2arm.core.contract import Provenance
from sim2arm.core.durable import write_durably
from sim2arm.core.robot_files import find_robot
from sim2arm.policies.beside import Remote
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import make_contract
from sim2arm.sim.robots.actuators import find_actuators
from sim2arm_ros.intervention import Intervention

from .errors import UserError, user_input
from .metrics import Metrics, Window
from .one_arm import OneArm, OneWorld
from .progress import Progress
from .record_by_hand import open_device_of
from .reset_routine import ResetError
from .run_record import check_run
from .runs import (
    AGENTS,
    CHECKPOINT,
    METRICS,
    REPLAY,
    build_env,
    build_learner,
    build_task,
    drop_lost,
    find_cameras,
    find_touch,
    load_learner,
    other_run,
    rounded,
    write_config,
)
from .train_page import write_train_page
from .trial import Trial

if TYPE_CHECKING:
    from .experiments import TrainCfg

ROUTINE, JUDGE = "routine.yaml", "judge.safetensors"
"""In a run folder: how the arm comes back, and what tells success."""
NETWORKS = "networks.safetensors"
"""In a run folder: what the process that learns tells the one that acts."""
READY_IN = 120.0
"""Time that the process beside has to build its networks and read demonstrations [s]."""
ENDS_IN = 60.0
"""Time that the process beside has to write its checkpoint [s]."""


def train_online(name: str, cfg: TrainCfg) -> Path:
    """Act and learn until the last iteration; return the run folder.

    Raises:
        UserError: settings that nothing can be learnt with, a folder that holds another run, or the
            process that learns failed.
        KeyboardInterrupt: Ctrl-C, after the checkpoint was written.
    """
    folder = cfg.out or Path("runs") / name
    check_run(folder, resume=cfg.resume, other=lambda: other_run(folder, name, cfg))
    kept = _kept(cfg, folder)
    for setting, path in _given(kept):
        if not path.is_file():
            raise UserError(f"--online.{setting}: no such file: {path}")
    torch.set_num_threads(1)
    with ExitStack() as stack:
        env = stack.enter_context(_arm_of(name, kept, folder))
        learn = replace(cfg.algo.learn, keep=True, normalise=False)  # pyright: ignore
        (folder / NETWORKS).unlink(missing_ok=True)  # of another process, which may know less
        drop_lost(folder)
        with user_input("algo"):
            actor = Remote(
                learn, partial(AGENTS[type(cfg.algo)], cfg.algo), env, seed=cfg.seed,
                folder=folder / REPLAY, networks=folder / NETWORKS,
            )  # fmt: skip
        stack.callback(actor.close)
        if not cfg.resume:
            write_config(folder, name, cfg)
            _keep(cfg, folder)
        elif (folder / CHECKPOINT).is_file():
            load_learner(actor, folder)
        with user_input("metrics", folder / METRICS):
            metrics = Metrics(folder / METRICS, actor.iteration)
        stack.callback(metrics.close)
        with beside(folder) as process:
            _await(folder / NETWORKS, process)
            try:
                if cfg.online.where != "process":
                    actor.begin()  # what was seen first is old by now
                row = _act(actor, env, cfg, metrics, process)
            except ResetError as error:
                raise UserError(f"{error}; go on with --resume") from error
            finally:
                env.rest()
        _measure(cfg, folder, metrics, row)
    write_train_page(folder)
    return folder


def _arm_of(name: str, cfg: TrainCfg, folder: Path) -> AbstractContextManager[OneWorld]:
    """Give the arm of an experiment; the folder of its run is for what nodes need and say."""
    if cfg.online.where == "process":
        return one_arm(cfg)
    from .ros_stand import ros_arm

    return ros_arm(name, cfg, folder)


def _given(cfg: TrainCfg) -> Iterator[tuple[str, Path]]:
    """Yield the files of learning on one arm, by setting."""
    online = cfg.online
    if online.script:
        yield "script", Path(online.script)
    for name, (path, _) in _files(cfg, Path()).items():
        yield name, path


def _files(cfg: TrainCfg, folder: Path) -> dict[str, tuple[Path, Path]]:
    """Return files that a run keeps copies of, and where, by setting: others may change them."""
    online, found = cfg.online, dict[str, tuple[Path, Path]]()
    if online.routine:
        found["routine"] = Path(online.routine), folder / ROUTINE
    if online.judge not in ("task", "key"):
        found["judge"] = Path(online.judge), folder / JUDGE
    return found


def _keep(cfg: TrainCfg, folder: Path) -> None:
    for name, (path, copy) in _files(cfg, folder).items():
        with user_input(f"--online.{name}", path):
            write_durably(copy, path.read_bytes())


def _kept(cfg: TrainCfg, folder: Path) -> TrainCfg:
    """Return the settings of a run that goes on, with its own copies."""
    copies = {name: str(copy) for name, (_, copy) in _files(cfg, folder).items() if copy.is_file()}
    return replace(cfg, online=replace(cfg.online, **copies)) if cfg.resume else cfg


@contextmanager
def one_arm(cfg: TrainCfg) -> Generator[OneArm]:
    """Give the arm of an experiment, with the device of who may take over.

    Raises:
        UserError: there is no such arm, camera, touch or device.
    """
    cameras = find_cameras(cfg.cameras, cfg.calibrations, cfg.robot)
    touch = find_touch(cfg.touch, cfg.gel)
    env = build_env(replace(cfg, world="mujoco", device="cpu"), 1)
    contract = make_contract(env, Provenance(experiment=""))
    with user_input("task"):
        arm = SimulatedArm(
            build_task(cfg), cfg.robot, control_hz=contract.control_hz,
            actuators=find_actuators(cfg.actuators, find_robot(cfg.robot).name),
            vision=None if cameras is None else cameras.vision, touch=touch,
            beside=cfg.online.real_time,
        )  # fmt: skip
    names = list(env.groups["actor"])
    online = cfg.online
    if not online.device:
        with user_input("--online"):
            env = OneArm(arm, contract, names, online, seed=cfg.seed, most=cfg.task.max_steps)
        yield env
        return
    with open_device_of(
        online.device,
        Path(online.script) if online.script else None,
        online.teleop,
        contract.period,
    ) as hand:
        with user_input("--online.device"):
            person = Intervention(hand.device, contract, online.teleop)
        with user_input("--online"):
            env = OneArm(
                arm, contract, names, online, seed=cfg.seed, most=cfg.task.max_steps,
                person=person, now_ns=hand.now_ns,
            )  # fmt: skip
        yield env


@contextmanager
def beside(folder: Path) -> Generator[subprocess.Popen[str]]:
    """Let a process learn beside; it ends with this one, after its checkpoint.

    Raises:
        UserError: it failed.
    """
    words = [sys.executable, "-m", "sim2arm.cli.online_learner", str(folder)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            try:
                _, said = process.communicate(timeout=ENDS_IN)
            except subprocess.TimeoutExpired:
                process.kill()
                _, said = process.communicate()
            if process.returncode:
                lines = said.strip().splitlines() or [f"exit status {process.returncode}"]
                raise UserError(f"the process that learns failed: {lines[-1]}")


def _await(networks: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the process that learns is ready, or has ended: `beside` says why.

    Raises:
        UserError: it is not ready in time.
    """
    begun = time.monotonic()
    while not networks.is_file() and process.poll() is None:
        if time.monotonic() - begun > READY_IN:
            raise UserError(f"the process that learns is not ready after {READY_IN:.0f} s")
        time.sleep(0.05)


def _act(
    actor: Remote, env: OneWorld, cfg: TrainCfg, metrics: Metrics, process: subprocess.Popen[str]
) -> dict[str, Any]:
    """Act until the last iteration; return the last row, which is not written yet."""
    started = time.monotonic() - float(metrics.last.get("wall_s", 0.0))
    before = {name: int(metrics.last.get(name) or 0) for name in ("missed", "interventions")}
    per, row, window = cfg.algo.rollout, dict[str, Any](), Window()
    total, done = cfg.iterations * per, actor.iteration * per
    with Progress("train", total, "steps", done=done) as progress:
        try:
            for values in actor.train(cfg.iterations - actor.iteration):
                if process.poll() is not None:
                    break  # `beside` says why
                if row:
                    metrics.write(row)
                found = rounded(values)
                success = window.add(found["episodes"], found["successes"])
                row = {"iteration": actor.iteration, "steps": actor.iteration * per}
                row |= {"wall_s": round(time.monotonic() - started, 2)}
                row |= {"success": round(success, 4), "measured": "", "updates": actor.updates}
                row |= {"missed": before["missed"] + env.pace.missed}
                row |= {"interventions": before["interventions"] + env.interventions} | found
                progress.update(
                    actor.iteration * per, success=f"{success:.3f}", updates=str(actor.updates),
                    rate=f"{env.pace.recent_hz:.1f} Hz", missed=str(row["missed"]),
                )  # fmt: skip
        except BaseException:
            if row:
                metrics.write(row)
            raise
    return row


def _measure(cfg: TrainCfg, folder: Path, metrics: Metrics, row: dict[str, Any]) -> None:
    """Try the policy that was learnt, and write the last row."""
    if not row:
        return
    learner = build_learner(cfg, 1)
    load_learner(learner, folder)
    trial = Trial(build_env(cfg, cfg.trial_episodes))
    metrics.write(row | {"measured": round(trial.success(learner.actor), 4)})
