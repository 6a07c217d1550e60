"""Run folders: the configuration, versions and metrics that stand beside every checkpoint."""

# pyright: standard

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from torch import Tensor

from sim2arm.core.durable import write_durably
from sim2arm.core.plain import to_plain
from sim2arm.core.robot_files import find_robot
from sim2arm.policies import base
from sim2arm.policies.checkpoint import load_checkpoint, save_checkpoint
from sim2arm.policies.cqn import Cqn, CqnCfg
from sim2arm.policies.distill import Distill, DistillCfg
from sim2arm.policies.distributed import ALONE, Ranks
from sim2arm.policies.drqv2 import DrqV2, DrqV2Cfg
from sim2arm.policies.networks import PictureError, RelativePoseError
from sim2arm.policies.offpolicy import Agent, OffPolicy
from sim2arm.policies.ppo import Ppo, PpoCfg
from sim2arm.policies.sac import Sac, SacCfg
from sim2arm.policies.td3 import Td3, Td3Cfg
from sim2arm.sim.actuators import ActuatorError
from sim2arm.sim.curriculum import Block, Curriculum, CurriculumCfg
from sim2arm.sim.env import Env
from sim2arm.sim.robots.actuators import IDEAL, find_actuators
from sim2arm.sim.tasks import table
from sim2arm.sim.tasks.base import Task
from sim2arm.sim.worlds.compiled import UnknownNameError
from sim2arm.sim.worlds.law import LawError
from sim2arm.sim.worlds.table import WORLDS, DeviceError, RoomError

from .arm_records import (
    command_delay,
    measured_dynamics,
    measured_gel,
    measured_latency,
    measured_touch,
    physics_terms,
)
from .errors import UserError, user_input
from .experiments import EXPERIMENTS, TrainCfg
from .one_arm import OnlineCfg
from .parse import unknown
from .randomizations import RANDOMIZATIONS
from .run_record import CONFIG, difference, read_record, settings_of, write_record
from .standards import STANDARDS, ReplayAlgoCfg

if TYPE_CHECKING:
    from sim2arm.sim.touch import Touch

    from .cameras import Cameras

METRICS, CHECKPOINT, REPLAY = "metrics.csv", "checkpoint.safetensors", "replay"
LATENCY = "latency.yaml"
"""Copy of the calibration record that the latencies of a run's commands are drawn from."""
DYNAMICS = "dynamics.yaml"
"""Copy of the record of the numbers of the arm."""
GEL = "gel.yaml"
"""Copy of the record of a gel."""
LEVEL = "curriculum/"
"""What the names of a curriculum's state in a checkpoint begin with."""
ROOM = {"contacts": None, "rows": None}
"""Settings that only engines with limited room know, as the others have them."""
FREE = {
    "iterations": 1, "target_success": 0.0, "threads": 1, "out": None, "resume": False,
    "latency": "", "dynamics": "", "gel": "", "calibrations": (),
} | ROOM  # fmt: skip
"""Settings that may change when a run goes on; of latencies and calibrations, where files are."""

BEFORE = {
    "actuators": IDEAL,
    "calibrations": [],
    "cameras": "none",
    "curriculum": to_plain(CurriculumCfg()),
    "demos": "",
    "dynamics": "",
    "gel": "",
    "latency": "",
    "online": to_plain(OnlineCfg()),
    "start": "",
    "teacher": "",
    "touch": "none",
} | ROOM
"""Settings that older runs lack, and what those were trained with all the same."""


Learner = Ppo | Distill | OffPolicy
"""What trains."""
AGENTS: dict[type, Callable[..., Agent]] = {
    Td3Cfg: Td3,
    SacCfg: Sac,
    DrqV2Cfg: DrqV2,
    CqnCfg: Cqn,
}
"""What learns from replay, by its configuration."""


class TaskCfg(Protocol):
    """What every experiment says of its task."""

    @property
    def task(self) -> Any:
        """Its settings, of a kind that `sim/tasks/table.py` knows."""
        ...

    @property
    def robot(self) -> str:
        """Name of the arm."""
        ...


def build_task(cfg: TaskCfg) -> Task:
    """Return the task of an experiment.

    Raises:
        UserError: it has none, or the robot is not known.
    """
    if cfg.task is None:
        raise UserError(
            "nothing is simulated: this policy learnt what demonstrations show, no task"
        )
    with user_input("robot"):
        robot = find_robot(cfg.robot)
    with user_input("task"):
        return table.build_task(cfg.task, robot)


def find_cameras(name: str, calibrations: Sequence[str] = (), robot: str = "") -> Cameras | None:
    """Return a set of cameras, None for `none`, which imports no camera code.

    Args:
        name: of the set.
        calibrations: records of its cameras.
        robot: name of the arm that carries them.

    Raises:
        UserError: there is none of this name, or a record is of none of its cameras.
    """
    if name == "none":
        if calibrations:
            raise UserError("--calibrations: there are no cameras: name some with --cameras")
        return None
    from .cameras import CAMERAS

    if name not in CAMERAS:
        raise UserError(unknown("cameras", name, ["none", *CAMERAS]))
    if not calibrations:
        return CAMERAS[name]
    from .calibrated import calibrated

    return calibrated(CAMERAS[name], calibrations, find_robot(robot))


def find_touch(name: str, gel: str = "") -> Touch | None:
    """Return gels, None for `none`, which imports no code of theirs.

    Args:
        name: of the touch.
        gel: record of how they resist; what is usual if empty.

    Raises:
        UserError: there are none of this name, or the file is no record of a gel.
    """
    if name == "none":
        if gel:
            raise UserError("--gel: the pads are no gels: add --touch gel or another touch")
        return None
    from .touches import TOUCHES

    if name not in TOUCHES:
        raise UserError(unknown("touch", name, ["none", *TOUCHES]))
    return measured_touch(TOUCHES[name], gel)


def build_env(
    cfg: TrainCfg,
    num_envs: int,
    *,
    dress: Callable[[Task], Task] = lambda task: task,
    threads: int = 0,
) -> Env:
    """Return the environment of an experiment; `dress` may change how its scene looks.

    The physics on a CPU has as many threads as it says, 0: all cores.

    Raises:
        UserError: a setting is not possible.
    """
    task = dress(build_task(cfg))
    robot = find_robot(cfg.robot)
    with user_input("controller"):
        cfg.controller.check(robot)
    if cfg.randomization not in RANDOMIZATIONS:
        raise UserError(unknown("randomization", cfg.randomization, RANDOMIZATIONS))
    with user_input("actuators"):
        actuators = find_actuators(cfg.actuators, cfg.robot)
    cameras = find_cameras(cfg.cameras, cfg.calibrations, cfg.robot)
    touch = find_touch(cfg.touch, cfg.gel)
    if cfg.world not in WORLDS:
        raise UserError(unknown("world", cfg.world, WORLDS))
    try:
        return Env(
            task,
            robot,
            num_envs=num_envs,
            controller=cfg.controller,
            lead_share=cfg.lead_share,
            actuators=actuators,
            terms=(
                *physics_terms(cfg, robot),
                *(() if cameras is None else cameras.terms),
            ),
            sensors=RANDOMIZATIONS[cfg.randomization](robot).sensors,
            delay=command_delay(cfg, robot),
            vision=None if cameras is None else cameras.vision,
            touch=touch,
            seed=cfg.seed,
            world=cfg.world,
            device=cfg.device,
            threads=threads,
            contacts=cfg.contacts,
            rows=cfg.rows,
        )
    except (ActuatorError, UnknownNameError, DeviceError, RoomError, LawError) as error:
        raise UserError(str(error)) from error


def on_engine(cfg: TrainCfg, world: str, device: str) -> TrainCfg:
    """Return settings with another engine of the physics, on another device.

    Room for contacts and rows goes with the engine.
    """
    room = {} if world == cfg.world else ROOM
    return replace(cfg, world=world, device=device, **room)


def build_learner(
    cfg: TrainCfg,
    num_envs: int | None = None,
    ranks: Ranks = ALONE,
    folder: Path | None = None,
    reads: bool = False,
) -> Learner:
    """Return the algorithm with its environment: of several ranks, this one's share of worlds.

    With the folder of a run it has the run's replay, if that is kept, to go on with; or to read,
    where another process acts.

    Raises:
        UserError: a setting is not possible.
    """
    own, share = cfg, num_envs or cfg.num_envs
    if not ranks.alone:
        with user_input("num_envs"):
            share = ranks.share(share)
            own = replace(
                cfg,
                num_envs=share,
                seed=ranks.seed(cfg.seed),
                device=ranks.device(cfg.device),
            )
    env = build_env(own, share, threads=ranks.threads())
    env.level = cfg.curriculum.start
    if cfg.curriculum.moves:
        env.block = Block(share, env.device)
    try:
        if isinstance(cfg.algo, DistillCfg):
            return Distill(cfg.algo, env, seed=cfg.seed, ranks=ranks)
        if isinstance(cfg.algo, PpoCfg):
            return Ppo(cfg.algo, env, seed=cfg.seed, ranks=ranks)
        with user_input("algo"):
            return off_policy(cfg.algo, env, seed=cfg.seed, ranks=ranks, folder=folder, reads=reads)
    except RelativePoseError as error:
        raise UserError(f"--algo.relative: {error}") from error
    except PictureError as error:
        raise UserError(f"--cameras {cfg.cameras}: {error}") from error


def off_policy(
    algo: ReplayAlgoCfg,
    env: base.Env,
    *,
    seed: int,
    ranks: Ranks = ALONE,
    folder: Path | None = None,
    reads: bool = False,
) -> OffPolicy:
    """Return what learns from replay.

    Args:
        algo: its configuration.
        env: its worlds.
        seed: of it.
        ranks: who trains with it; alone.
        folder: of the run whose replay it goes on with, if that is kept.
        reads: whether another process acts and writes the replay.
    """
    build, kept = partial(AGENTS[type(algo)], algo), None if folder is None else folder / REPLAY
    learn = replace(algo.learn, keep=True) if reads else algo.learn
    if folder is not None and not reads:
        drop_lost(folder)
    return OffPolicy(learn, build, env, seed=seed, ranks=ranks, folder=kept, reads=reads)


def drop_lost(folder: Path) -> None:
    """Remove the replay of a run whose networks are lost: both begin anew."""
    if not (folder / CHECKPOINT).is_file():
        shutil.rmtree(folder / REPLAY, ignore_errors=True)


def write_config(folder: Path, experiment: str, cfg: TrainCfg) -> None:
    """Write config.yaml: what was asked for, with which commit and versions.

    Raises:
        UserError: the folder cannot be written to.
    """
    record = Path(cfg.latency).read_bytes() if cfg.latency else None
    own = {DYNAMICS: cfg.dynamics, GEL: cfg.gel}
    kept = "" if record is None else LATENCY
    cameras = _copies(cfg)
    copies = cameras | {name: Path(file).read_bytes() for name, file in own.items() if file}
    with user_input("run", folder):
        folder.mkdir(parents=True, exist_ok=True)
        if record is not None:
            write_durably(folder / LATENCY, record)
        for name, data in copies.items():
            write_durably(folder / name, data)
    settings = replace(
        cfg, out=None, resume=False, latency=kept, calibrations=tuple(cameras),
        dynamics=DYNAMICS if cfg.dynamics else "", gel=GEL if cfg.gel else "",
    )  # fmt: skip
    write_record(folder, experiment, to_plain(settings))


def _copies(cfg: TrainCfg) -> dict[str, bytes]:
    """Return the records of cameras by the names that a run keeps them under."""
    if not cfg.calibrations:
        return {}
    from .calibrated import kept_name

    return {kept_name(file): Path(file).read_bytes() for file in cfg.calibrations}


def read_config(folder: Path) -> tuple[str, TrainCfg, dict[str, Any]]:
    """Return experiment, configuration and the whole content of a run's config.yaml.

    Raises:
        UserError: there is no run, or its file is not what `train` writes.
    """
    data = read_record(folder)
    experiment = data["experiment"]
    with user_input("run", folder / CONFIG):
        if experiment in STANDARDS:
            raise ValueError(
                f"{experiment} learnt a standard task, without an arm: its returns stand in "
                f"{METRICS}, there is nothing to deploy"
            )
        if experiment not in EXPERIMENTS:
            raise ValueError(unknown("experiment", experiment, EXPERIMENTS))
        settings = settings_of(data, EXPERIMENTS[experiment][1], BEFORE)
        if settings.latency:
            settings = replace(settings, latency=str(folder / settings.latency))
        if settings.dynamics:
            settings = replace(settings, dynamics=str(folder / settings.dynamics))
        if settings.gel:
            settings = replace(settings, gel=str(folder / settings.gel))
        kept = tuple(str(folder / name) for name in settings.calibrations)
        settings = replace(settings, calibrations=kept)
    return experiment, settings, data


def other_run(folder: Path, experiment: str, cfg: TrainCfg) -> str:
    """Return in what the run of a folder differs from one that would go on with it, or ""."""
    before, old, _ = read_config(folder)
    more = [f"latency: {old.latency or 'none'} != {cfg.latency or 'none'}"]
    same = measured_latency(old) == measured_latency(cfg)
    lines = [] if same else more
    if measured_dynamics(old) != measured_dynamics(cfg):
        lines.append(f"dynamics: {old.dynamics or 'none'} != {cfg.dynamics or 'none'}")
    if measured_gel(old.gel) != measured_gel(cfg.gel):
        lines.append(f"gel: {old.gel or 'none'} != {cfg.gel or 'none'}")
    if _copies(old) != _copies(cfg):
        lines.append("calibrations: the records of the cameras are others")
    return difference((before, old), (experiment, cfg), FREE, lines)


def restore(folder: Path, num_envs: int | None = None) -> tuple[Learner, TrainCfg]:
    """Return the learner of a run as its checkpoint left it, on this machine's CPU.

    The environment draws from the ranges in which the policy was trained.
    """
    _, cfg, _ = read_config(folder)
    cfg = on_engine(cfg, "mujoco", "cpu")
    learner, curriculum = build_learner(cfg, num_envs), Curriculum(cfg.curriculum)
    load_learner(learner, folder, curriculum)
    cast(Env, learner.env).level = curriculum.held
    return learner, cfg


def save_learner(learner: Learner, folder: Path, curriculum: Curriculum | None = None) -> None:
    """Write the checkpoint of a run, with the state of its curriculum if there is one.

    Raises:
        UserError: a value is not finite; the checkpoint before stays.
    """
    state = learner.state_dict()
    if curriculum is not None:
        state |= {f"{LEVEL}{name}": value for name, value in curriculum.state_dict().items()}
    for name, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise UserError(
                f"training failed: {name} is not finite after iteration {learner.iteration}; "
                f"{last_good(folder)}{_lower(learner)}"
            )
    save_checkpoint(folder / CHECKPOINT, state)


def rounded(values: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """Return numbers for a row, empty where nothing was measured."""
    return {key: "" if x is None else round(float(x), 6) for key, x in values.items()}


def check_metrics(row: Mapping[str, float | str], learner: Learner, folder: Path) -> None:
    """See that what an iteration measured is finite.

    Raises:
        UserError: it is not, so nothing can be learnt any more.
    """
    bad = [f"{n} is {v}" for n, v in row.items() if not isinstance(v, str) and not isfinite(v)]
    if bad:
        raise UserError(
            f"training failed: {', '.join(bad)} in iteration {learner.iteration}; "
            f"{last_good(folder)}{_lower(learner)}"
        )


def _lower(learner: Learner) -> str:
    """Return what to do where a training came to numbers that are not finite."""
    rate = "lr-high" if isinstance(learner, Ppo) else "lr"
    return f"; try a lower --algo.{rate} in another --out"


def last_good(folder: Path) -> str:
    """Return what is left of a run whose last iteration is worth nothing, as part of a line."""
    there = (folder / CHECKPOINT).is_file()
    return f"{folder / CHECKPOINT} is from before" if there else "there is no checkpoint yet"


def load_learner(
    learner: Learner, folder: Path, curriculum: Curriculum | None = None, *, resume: bool = False
) -> None:
    """Take over the checkpoint of a run.

    Args:
        learner: of the same settings.
        folder: of the run.
        curriculum: of the same settings; it and the environment take over the level. None: for
            the networks alone.
        resume: go on with the random stream of the environment too, to train on.

    Raises:
        UserError: no checkpoint, a damaged one, or one of networks of another size.
    """
    path = folder / CHECKPOINT
    with user_input("checkpoint", path):
        state = load_checkpoint(path)
    try:
        if curriculum is not None:
            level = {k.removeprefix(LEVEL): v for k, v in state.items() if k.startswith(LEVEL)}
            curriculum.load_state_dict(level)
            cast(Env, learner.env).level = curriculum.level
        if resume:
            learner.resume(state)
        else:
            learner.load_state_dict(state)
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{path} is not of this version ({reason}); train again") from error
