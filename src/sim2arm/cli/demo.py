"""`sim2arm demo`: train, export, evaluate, run through ROS 2 nodes, film, report. Resumable.

With `--pretrained` a policy that comes with the package takes the place of training and export.
"""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim2arm.core.contract import Contract
from sim2arm.core.durable import hash_file
from sim2arm.core.plain import load_yaml, to_plain
from sim2arm.policies.bundle import MANIFEST
from sim2arm.policies.pretrained import PEG_INSERTION
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.policies.verify import load_contract
from sim2arm.sim.tasks.base import Task

from .demo_page import write_page
from .demo_summary import Outcome, format_summary, rows_of, summarise, write_summary
from .errors import UserError, user_input
from .eval import FIRST_SEED
from .evaluation import blind, of_bundle
from .experiments import EXPERIMENTS, TrainCfg
from .export import ExportCfg, export
from .measured import Measured, measure_in_process, read_measured, write_measured
from .metrics import EVENTS
from .outputs import check_file, check_folder
from .parse import parse, unknown
from .progress import Progress, duration
from .run_record import CONFIG
from .runs import CHECKPOINT, METRICS, build_task, other_run
from .stages import Results, Stages
from .table import write_results
from .train import train
from .video import FilmCfg, film_episodes, save_png

EXPORTED = "export.yaml"
STAGES, BUNDLE, MEASURED, FILM, STILL = "stages.json", "bundle", "measured", "film.mp4", "film.png"
PRETRAINED = "peg-insertion-ppo"
IN_PROCESS, BLIND, LOCK_STEP, REAL_TIME = "in process", "blind", "ROS lock step", "ROS real time"
FRESH = (EXPORTED, CONFIG, METRICS, EVENTS, CHECKPOINT, STAGES, BUNDLE, MEASURED, FILM, STILL,
         "ros-lock-step", "ros-real-time", "summary.json", "report.html")  # fmt: skip
"""What `--fresh` removes from the folder."""
FILMED, FILMED_SHORT = 3, 5
"""Episodes of the film, the first seeds; how many where episodes are short."""
SHORT = 90
"""Control steps, on average, of short episodes: they are filmed at half speed."""
TOGETHER = 20
"""Episodes in process that run together; outcomes do not depend on it."""


@dataclass(frozen=True, kw_only=True)
class DemoCfg:
    """Train a policy, export it, run it through ROS 2 nodes, and report. A second call goes on."""

    experiment: str = PRETRAINED
    """What to train; `sim2arm list experiments` shows all."""
    pretrained: bool = False
    """Take the policy that comes with the package instead of training one: a minute instead of
    ten."""
    episodes: int | None = None
    """Episodes in process; 500, with --pretrained 40."""
    ros_episodes: int | None = None
    """Of these, how many also run through ROS nodes in lock step; 50, with --pretrained 10. 0
    leaves it out."""
    real_time_episodes: int | None = None
    """Of these, how many also run through ROS nodes in real time; 20, with --pretrained 3. 0 leaves
    it out."""
    iterations: int | None = None
    """Most training iterations; those of the experiment by default."""
    out: Path | None = None
    """Folder of the run; runs/demo, with --pretrained runs/demo-pretrained."""
    fresh: bool = False
    """Start over instead of going on."""
    json: Path | None = None
    """Also write the measured rows there, as `bench` and `eval` do."""

    def complete(self) -> Asked:
        """Return what is asked for, with what was left open."""
        usual = (40, 10, 3) if self.pretrained else (500, 50, 20)
        asked = (self.episodes, self.ros_episodes, self.real_time_episodes)
        episodes, ros, real = (u if a is None else a for u, a in zip(usual, asked, strict=True))
        if self.episodes is not None:  # who asks for few wants few of each
            ros = min(ros, episodes) if self.ros_episodes is None else ros
            real = min(real, episodes) if self.real_time_episodes is None else real
        folder = "runs/demo-pretrained" if self.pretrained else "runs/demo"
        return Asked(
            experiment=self.experiment, pretrained=self.pretrained, episodes=episodes,
            ros_episodes=ros, real_time_episodes=real, iterations=self.iterations,
            out=Path(folder) if self.out is None else self.out, fresh=self.fresh, json=self.json,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Asked:
    """`DemoCfg` with every number known."""

    experiment: str
    pretrained: bool
    episodes: int
    ros_episodes: int
    real_time_episodes: int
    iterations: int | None
    out: Path
    fresh: bool
    json: Path | None


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(DemoCfg, argv, "sim2arm demo").complete()
    _check(cfg)
    try:
        demo(cfg)
    except KeyboardInterrupt:
        again = shlex.join(["sim2arm", "demo", *(word for word in argv if word != "--fresh")])
        raise KeyboardInterrupt(f"{cfg.out} keeps what is done; go on with: {again}") from None
    return 0


def _check(cfg: Asked) -> None:
    if cfg.experiment not in EXPERIMENTS:
        raise UserError(unknown("experiment", cfg.experiment, EXPERIMENTS))
    if cfg.pretrained and (cfg.experiment != PRETRAINED or cfg.iterations is not None):
        raise UserError(
            f"--pretrained takes the place of training: expected {PRETRAINED} without "
            f"--iterations, got {cfg.experiment} and --iterations {cfg.iterations}"
        )
    if cfg.episodes < 1:
        raise UserError(f"--episodes must be 1 or more, got {cfg.episodes}")
    if cfg.iterations is not None and cfg.iterations < 1:
        raise UserError(f"--iterations must be 1 or more, got {cfg.iterations}")
    for option, value in (
        ("--ros-episodes", cfg.ros_episodes),
        ("--real-time-episodes", cfg.real_time_episodes),
    ):
        if not 0 <= value <= cfg.episodes:
            raise UserError(f"{option} must lie in 0 to --episodes ({cfg.episodes}), got {value}")
    check_folder("--out", cfg.out)
    check_file("--json", cfg.json)


def demo(cfg: Asked) -> dict[str, Any]:
    """Do every stage that is not done, write summary and report; return the summary.

    Raises:
        UserError: the folder holds another run.
        KeyboardInterrupt: Ctrl-C; what is done is kept.
    """
    began = time.monotonic()
    if cfg.fresh:
        _clear(cfg.out)
    training = _training(cfg)
    _check_folder(cfg.out, cfg.experiment, training)
    task = build_task(training)
    steered = any(spec.name == "socket_pose" for spec in task.goals)
    total = (
        (3 if cfg.pretrained else 4)
        + steered
        + (cfg.ros_episodes > 0)
        + (cfg.real_time_episodes > 0)
    )
    stages = Stages(cfg.out / STAGES, total)
    exported = _take(stages, cfg) if cfg.pretrained else _make(stages, cfg, training)
    with user_input("bundle"):
        contract = load_contract(cfg.out / BUNDLE)
    process = _in_process(stages, cfg, IN_PROCESS, task, contract)
    driven = _in_process(stages, cfg, BLIND, task, contract) if steered else None
    lock_step = _through_ros(stages, cfg, LOCK_STEP, task) if cfg.ros_episodes else None
    real_time = _through_ros(stages, cfg, REAL_TIME, task) if cfg.real_time_episodes else None
    film = _film(stages, cfg, task, float(process.episodes.steps.mean()))
    outcome = Outcome(
        folder=cfg.out,
        experiment=cfg.experiment,
        target=training.target_success,
        contract=contract,
        exported=exported,
        process=process,
        blind=driven,
        lock_step=lock_step,
        real_time=real_time,
        film=film,
        seconds=stages.seconds,
        pretrained=cfg.pretrained,
        commit_train=contract.provenance.commit,
    )
    summary = summarise(outcome)
    write_summary(cfg.out, summary)
    page = write_page(outcome, summary, cfg.out / FILM)
    if cfg.json is not None:
        write_results(cfg.json, "demo", rows_of(summary))
    print(f"\n{format_summary(summary)}\n\nreport: {page}")
    print(f"this call: {duration(time.monotonic() - began)}", flush=True)
    return summary


def _clear(folder: Path) -> None:
    """Remove what a demo writes, and nothing else."""
    for name in FRESH:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _training(cfg: Asked) -> TrainCfg:
    default = EXPERIMENTS[cfg.experiment][1]
    iterations = default.iterations if cfg.iterations is None else cfg.iterations
    return replace(default, out=cfg.out, iterations=iterations)


def _check_folder(folder: Path, experiment: str, training: TrainCfg) -> None:
    """See that a run in the folder is one that this training can go on with."""
    if not (folder / CONFIG).is_file():
        return
    other = other_run(folder, experiment, training)
    if not other:
        return
    raise UserError(
        f"{folder} holds a run {other}: start over with --fresh, or choose another --out"
    )


def _take(stages: Stages, cfg: Asked) -> Results:
    """Take the run that comes with the package, with what its export found."""

    def work() -> Results:
        shutil.copytree(PEG_INSERTION, cfg.out, dirs_exist_ok=True)
        return load_yaml((cfg.out / EXPORTED).read_text(encoding="utf-8"), EXPORTED)

    inputs = {"manifest": hash_file(PEG_INSERTION / BUNDLE / MANIFEST), "commit": stages.commit}
    return stages.run("pretrained", inputs, work, outputs=[cfg.out / BUNDLE / MANIFEST])


def _make(stages: Stages, cfg: Asked, training: TrainCfg) -> Results:
    _train(stages, cfg, training)
    return _export(stages, cfg)


def _train(stages: Stages, cfg: Asked, training: TrainCfg) -> None:
    def work() -> Results:
        resume = (cfg.out / CONFIG).is_file()
        train(cfg.experiment, replace(training, resume=resume))
        return {}

    settings = to_plain(replace(training, out=None, resume=False))
    inputs = {"experiment": cfg.experiment, "settings": settings}
    outputs = [cfg.out / CHECKPOINT, cfg.out / METRICS]
    stages.run("train", inputs, work, outputs=outputs, goes_on=True)


def _export(stages: Stages, cfg: Asked) -> Results:
    def work() -> Results:
        report = export(ExportCfg(run=cfg.out, out=cfg.out / BUNDLE, overwrite=True))
        return {
            "parity_max_abs": report.parity_max_abs,
            "parity_steps": report.parity_steps,
            "onnx_bytes": report.onnx_bytes,
        }

    inputs = {"checkpoint": hash_file(cfg.out / CHECKPOINT), "commit": stages.commit}
    return stages.run("export", inputs, work, outputs=[cfg.out / BUNDLE / MANIFEST])


def _inputs(stages: Stages, cfg: Asked, episodes: int) -> Results:
    """Return what every stage after the export depends on."""
    manifest = hash_file(cfg.out / BUNDLE / MANIFEST)
    return {"bundle": manifest, "first": FIRST_SEED, "episodes": episodes, "commit": stages.commit}


def _in_process(stages: Stages, cfg: Asked, name: str, task: Task, contract: Contract) -> Measured:
    path = cfg.out / MEASURED / f"{name.replace(' ', '-')}.safetensors"
    seeds = range(FIRST_SEED, FIRST_SEED + cfg.episodes)
    together = min(TOGETHER, cfg.episodes)

    def work() -> Results:
        if name == BLIND:
            measured = measure_in_process(
                task, contract, blind(contract), seeds, num_arms=together, label=name
            )
        else:
            policy = OnnxPolicy(cfg.out / BUNDLE, num_envs=together)
            measured = measure_in_process(
                task,
                contract,
                of_bundle(policy),
                seeds,
                num_arms=together,
                label=name,
            )
        write_measured(path, measured)
        return {}

    stages.run(name, _inputs(stages, cfg, cfg.episodes), work, outputs=[path])
    with user_input("measured episodes", path):
        return read_measured(path)


def _through_ros(stages: Stages, cfg: Asked, name: str, task: Task) -> Measured:
    real_time = name == REAL_TIME
    episodes = cfg.real_time_episodes if real_time else cfg.ros_episodes
    folder = cfg.out / name.lower().replace(" ", "-")
    path = cfg.out / MEASURED / f"{folder.name}.safetensors"

    def work() -> Results:
        from .ros_evaluation import run_through_ros  # the only stage that needs the extra `dds`

        seeds = range(FIRST_SEED, FIRST_SEED + episodes)
        with Progress(name, episodes, "episodes") as progress:
            measured = run_through_ros(
                cfg.out / BUNDLE,
                task,
                seeds,
                real_time=real_time,
                folder=folder,
                progress=progress.update,
            )
        write_measured(path, measured)
        return {}

    stages.run(name, _inputs(stages, cfg, episodes), work, outputs=[path])
    with user_input("measured episodes", path):
        return read_measured(path)


def _film(stages: Stages, cfg: Asked, task: Task, steps: float) -> Results:
    """Film the first episodes; `steps` is how long an episode takes."""
    short = steps < SHORT
    episodes = min(FILMED_SHORT if short else FILMED, cfg.episodes)
    style = FilmCfg(stride=1, slow_stride=2, slowdown=2) if short else FilmCfg()

    def work() -> Results:
        policy = OnnxPolicy(cfg.out / BUNDLE)
        seeds = range(FIRST_SEED, FIRST_SEED + episodes)
        with Progress("film", unit="control steps") as progress:
            film = film_episodes(
                task,
                policy.contract,
                of_bundle(policy),
                seeds,
                cfg.out / FILM,
                cfg=style,
                progress=progress.update,
            )
        save_png(cfg.out / STILL, film.still)
        return {
            "seeds": list(film.episodes.seeds),
            "success": film.episodes.success.tolist(),
            "steps": film.episodes.steps.tolist(),
            "frames": film.frames,
            "renderer": film.renderer,
            "size": [film.width, film.height],
        }

    return stages.run("film", _inputs(stages, cfg, episodes), work, outputs=[cfg.out / FILM])
