"""Recording in real time: what a simulated arm with cameras and gels leaves of its periods.

One episode of `--seconds` at `--hz`: physics, gate and controller, pictures of two cameras of
640x480 at 30 Hz, drawn in a thread, and of two gels at 25 Hz, all encoded into a dataset while the
arm moves, as `sim2arm record --device` does it. Rows are lost where the encoders do not keep up,
ticks where the loop does not. What was recorded is read back from the disk.
"""

# pyright: standard

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from sim2arm.cli.cameras import SCENE, WRIST
from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.outputs import check_file
from sim2arm.cli.pace import Pace
from sim2arm.cli.parse import parse
from sim2arm.cli.progress import Progress
from sim2arm.cli.recording import ArmRecorder
from sim2arm.cli.table import Row, format_results, write_results
from sim2arm.cli.take import Stand, Take, contract_of
from sim2arm.cli.touches import TOUCHES
from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.robots import FR3
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.tasks.table import build_task
from sim2arm.sim.vision import Sight, Vision

TASK = "peg-insertion"
WIDTH, HEIGHT = 640, 480


@dataclass(frozen=True, kw_only=True)
class RecordBenchCfg:
    """Measure recording in real time: rows and ticks that are lost, and processor time."""

    seconds: float = 60.0
    """Length of the episode [s]."""
    cameras: int = 2
    """Cameras of 640x480 at 30 Hz: scene, and wrist."""
    hz: float = 100.0
    """Ticks per second: 50, 60 or 100."""
    touch: bool = True
    """Whether there are gels, whose pictures come at 25 Hz."""
    folder: Path | None = None
    """Where the dataset is written and kept; a folder that is deleted by default."""
    json: Path | None = None
    """Write the rows there."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, record, print and write.

    Raises:
        UserError: a number is out of its range.
    """
    cfg = parse(RecordBenchCfg, argv, "sim2arm bench record")
    if cfg.hz not in (50.0, 60.0, 100.0):
        raise UserError(f"--hz: expected 50, 60 or 100, got {cfg.hz:g}")
    if not 0.1 <= cfg.seconds <= 3600.0 or not 0 <= cfg.cameras <= 2:
        raise UserError("--seconds must be 0.1 to 3600, --cameras 0 to 2")
    check_file("--json", cfg.json)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="record-") as folder:
        rows = measure(cfg, cfg.folder or Path(folder) / "dataset")
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "record", rows)
    return 0


def sights(count: int) -> tuple[Sight, ...]:
    """Return cameras whose whole pictures are kept, late as over USB."""
    found: list[Sight] = []
    for sight in (SCENE, WRIST)[:count]:
        wide = sight.camera.intrinsics.width
        stage = DriverStage(
            width=wide, height=HEIGHT, crop=((wide - WIDTH) // 2, 0, WIDTH, HEIGHT),
            out_width=WIDTH, out_height=HEIGHT,
        )  # fmt: skip
        camera = replace(sight.camera, stage=stage, max_age_s=0.15)
        found.append(replace(sight, camera=camera, latency=(0.02, 0.05)))
    return tuple(found)


def make_arm(cfg: RecordBenchCfg) -> SimulatedArm:
    """Return the arm, whose episode does not end by itself."""
    settings = replace(
        EXPERIMENTS[f"{TASK}-ppo"][1].task, max_steps=round(cfg.hz * cfg.seconds) + 1
    )
    return SimulatedArm(
        build_task(settings, FR3),
        "fr3",
        control_hz=cfg.hz,
        vision=Vision(sights=sights(cfg.cameras)) if cfg.cameras else None,
        beside=True,
        touch=replace(TOUCHES["image-real"], lost=0.0) if cfg.touch else None,
    )


def measure(cfg: RecordBenchCfg, root: Path) -> list[Row]:
    """Return what recording took, and what came of it.

    Raises:
        AssertionError: what is read back is not what was recorded.
    """
    arm, stand = make_arm(cfg), Stand(task=TASK, robot="fr3")
    contract = contract_of(arm, stand, leads=False)
    recorder = ArmRecorder(arm, contract, round(cfg.hz), {"bench": "record"})
    ticks, rng = round(cfg.hz * cfg.seconds), np.random.default_rng(0)
    phases = rng.uniform(0.0, 2.0 * np.pi, contract.action.dim)
    with DatasetWriter(root, recorder.spec) as writer:
        arm.reset(0)
        take = Take(arm, contract, recorder, writer.begin(), lead=False, waits=False)
        pace, drawn = Pace(contract.period, real_time=True), drawn_by(arm)
        with Progress("record", cfg.seconds, "s") as progress:
            before, start = processor(), time.perf_counter()
            for tick in range(ticks):
                pace.wait()
                take.step(0.3 * np.sin(phases + 0.05 * tick), "script")
                if tick % round(cfg.hz) == 0:
                    progress.update(tick / cfg.hz)
            wall, spent = time.perf_counter() - start, processor() - before
        pictures = {name: count - drawn[name] for name, count in drawn_by(arm).items()}
        start = time.perf_counter()
        take.episode.commit({"seed": 0})
        late = time.perf_counter() - start
    check(root, ticks - take.episode.dropped)
    text = f"{cfg.cameras} cameras {WIDTH}x{HEIGHT}, {2 * cfg.touch} gels, joints at {cfg.hz:g} Hz"
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    rows = [
        Row(case=text, metric="rows lost", value=take.episode.dropped, baseline="rows",
            baseline_value=ticks),
        Row(case=text, metric="ticks missed", value=pace.missed, baseline="ticks",
            baseline_value=ticks),
        Row(case=text, metric="loop rate", value=pace.rate_hz, unit="1/s", baseline="asked for",
            baseline_value=cfg.hz),
        Row(case=text, metric="processor", value=spent / wall, unit="cores"),
        Row(case=text, metric="commit", value=late, unit="s"),
        Row(case=text, metric="written", value=1e-6 * size / cfg.seconds, unit="MB/s"),
    ]  # fmt: skip
    return rows + [
        Row(case=text, metric=f"pictures of {name}", value=count, baseline="30 Hz",
            baseline_value=30.0 * cfg.seconds)
        for name, count in pictures.items()
    ]  # fmt: skip


def drawn_by(arm: SimulatedArm) -> dict[str, int]:
    """Return how many pictures each camera took so far."""
    return {} if arm.eyes is None else dict(arm.eyes.drawn)


def check(root: Path, rows: int) -> None:
    """See that all rows are there, in the videos too."""
    dataset = Dataset(root)
    assert len(dataset) == rows, f"{len(dataset)} rows of {rows}"
    for key in dataset.index.spec.videos:
        some = sorted({*range(0, rows, 97), rows - 1})
        assert len(dataset.pictures(key, 0, some)) == len(some), key


def processor() -> float:
    """Return the time that this process has had of all processors so far [s]."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
