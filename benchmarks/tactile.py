"""Speed of gel pictures and force fields beside TacSL's computation in torch, in one run.

`eager` and `compile` are `_tacsl.py`, as it is and through `torch.compile`; they get depths and
make pictures of them, ours get poses and find the depths, too. `each pixel` is ours as on a GPU,
without filling in. All take turns, so that what else the machine does falls on all. On a CPU
everything runs on one core.

What is touched is a ball, pressed in so far that 5, 20 and 100 % of the picture lie in contact;
each gel has its own place of it. The forces of taxels are those of
`sim.tactile.field`, with memory and the implicit step, for one object and one gel per world.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
import torch
from _tacsl import DepthToPicture, PenaltyField
from torch import Tensor

from sim2arm.cli.errors import UserError
from sim2arm.cli.outputs import check_file
from sim2arm.cli.parse import parse
from sim2arm.cli.progress import Progress
from sim2arm.cli.table import Row, format_results, write_results
from sim2arm.core.synthetic_tables import synthetic_table
from sim2arm.core.transforms import quat_to_matrix
from sim2arm.sim.tactile.distance import DistanceGrid, of_geoms
from sim2arm.sim.tactile.field import FieldCfg, ForceField, GelPlace
from sim2arm.sim.tactile.gel_camera import GelCamera
from sim2arm.sim.tactile.gel_cfg import GelCfg
from sim2arm.sim.worlds.law import Bodies

SENSOR = "gelsight-mini"
BALLS = {5: 0.004, 20: 0.012, 100: 0.060}
"""Share of the picture in contact [%] -> radius of the ball [m]."""
STEP = 1.0 / 480.0
"""Time between two fields [s]."""
OTHERS = ("eager", "compile", "each pixel")


@dataclass(frozen=True, kw_only=True)
class TactileBenchCfg:
    """Measure pictures/s and fields/s of gels beside TacSL's computation."""

    gels: tuple[int, ...] = (1, 16, 64)
    """Numbers of gels that are drawn together."""
    shares: tuple[int, ...] = (5, 20, 100)
    """Shares of the picture in contact, of 5, 20 and 100 [%]."""
    rows: int = 240
    """Of a picture; its columns are 4/3 of that."""
    fields: tuple[int, ...] = (64, 1024, 4096)
    """Numbers of fields of 10 x 10 taxels that are computed together."""
    repeats: int = 7
    """Repeats; medians are reported."""
    seconds: float = 0.2
    """Least length of a repeat [s]."""
    compile: bool = True
    """Whether to measure `torch.compile` too, which takes a minute."""
    device: str = "cpu"
    """cpu or cuda:0."""
    json: Path | None = None
    """Write the rows there."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, measure, print and write.

    Raises:
        UserError: a number below 1, or an unknown share.
    """
    cfg = parse(TactileBenchCfg, argv, "sim2arm bench tactile")
    if min(*cfg.gels, *cfg.fields, cfg.repeats, cfg.rows) < 1 or not 0.0 < cfg.seconds < 60.0:
        raise UserError("gels, fields, rows and repeats must be 1 or more, --seconds 0 to 60")
    if not set(cfg.shares) <= set(BALLS):
        raise UserError(f"--shares: expected some of {sorted(BALLS)}, got {list(cfg.shares)}")
    if cfg.device != "cpu" and not torch.cuda.is_available():
        raise UserError(f"--device {cfg.device}: torch finds no GPU here; take cpu")
    check_file("--json", cfg.json)
    torch.set_num_threads(1)
    device = torch.device(cfg.device)
    rows: list[Row] = []
    for share in cfg.shares:
        for gels in cfg.gels:
            rows += pictures(cfg, share, gels, device)
    for count in cfg.fields:
        rows += fields(cfg, count, device)
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "tactile", rows)
    return 0


# -- pictures --------------------------------------------------------------------------------------


def pictures(cfg: TactileBenchCfg, share: int, gels: int, device: torch.device) -> list[Row]:
    """Return pictures/s from poses, beside pictures/s from depths."""
    table = synthetic_table(SENSOR)
    rows, cols = cfg.rows, cfg.rows * 4 // 3
    pixel = table.size[0] / cols
    grids, shape = [ball(BALLS[share])], GelCfg(rows=rows, cols=cols, pixel=pixel)
    look = table.coefficients, table.background_at(rows, cols)
    camera, other = (
        GelCamera(shape, grids, gels, *look, device=device, follow=follow)
        for follow in (None, False)
    )
    for each in (camera, other):
        each.poses[:, 0] = poses(share, gels, table.size).to(device)
    depth = camera.dent().clone()
    touched = float((depth > 1e-6).float().mean())
    theirs = DepthToPicture(rows, cols, pixel, device)
    parts = depth.split(1 if device.type == "cpu" else gels)  # on a CPU one by one is fastest
    work = {"ours": camera.draw, "eager": lambda: [theirs(part) for part in parts]}
    if device.type == "cpu":
        work["each pixel"] = other.draw
    if cfg.compile:
        quick = torch.compile(theirs.__call__, dynamic=False)
        work["compile"] = lambda: [quick(part) for part in parts]
    case = f"{cols}x{rows}, {gels} gels, {share} % in contact"
    speeds = alternate(cfg, work, gels, device, case)
    found = [
        Row(case=case, metric="pictures", value=speeds["ours"], unit="1/s", baseline=name,
            baseline_value=speeds[name])
        for name in OTHERS if name in speeds
    ]  # fmt: skip
    return [*found, Row(case=case, metric="skin that is dented", value=100.0 * touched, unit="%")]


def ball(radius: float) -> DistanceGrid:
    """Return the distances of a ball, of a large one with wider cells."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[radius, 0.0, 0.0])
    return of_geoms(spec.compile(), [0], spacing=max(3e-4, radius / 120.0))


def poses(share: int, gels: int, size: tuple[float, float]) -> Tensor:
    """Return poses (gels, 7) of balls that cover a share [%] of what is seen."""
    random = np.random.default_rng(share)
    radius = BALLS[share]
    # over the corners where all is touched
    wide = (
        0.5 * math.hypot(*size)
        if share == 100
        else math.sqrt(share / 100 * size[0] * size[1] / math.pi)
    )
    deep = radius - math.sqrt(radius**2 - wide**2)
    found = np.zeros((gels, 7))
    if share < 100:
        room = 0.5 * np.array(size) - wide
        found[:, :2] = random.uniform(-1.0, 1.0, (gels, 2)) * np.minimum(room, 2e-3)
    found[:, 2], found[:, 3] = radius - deep, 1.0
    return torch.from_numpy(found).to(torch.float32)


# -- forces ----------------------------------------------------------------------------------------


def fields(cfg: TactileBenchCfg, count: int, device: torch.device) -> list[Row]:
    """Return fields/s of 10 x 10 taxels."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_body(name="gel")
    body = spec.worldbody.add_body(name="peg")
    body.add_freejoint()
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[0.008, 0.025, 0.0], mass=0.05)
    model = spec.compile()
    shape = FieldCfg(height=0.020, width=0.020, rows=10, cols=10)
    law = ForceField(
        shape, [GelPlace(body="gel", place=(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0))], ["peg"]
    )
    bodies = _bodies(model, count, device)
    act = law.bind(bodies)
    grid, random = law.grids[0], torch.Generator().manual_seed(0)
    taxels = torch.stack(
        torch.meshgrid(*[0.002 * (torch.arange(10.0) - 4.5)] * 2, torch.zeros(1), indexing="xy"),
        dim=-1,
    ).reshape(-1, 3)
    theirs = PenaltyField(
        torch.from_numpy(grid.values).to(device),
        torch.from_numpy(grid.origin).float().to(device),
        grid.spacing,
        taxels.to(device),
        STEP,
    )
    position = bodies.position[:, 2]
    rotation = quat_to_matrix(bodies.rotation[:, 2])
    before = torch.zeros((count, 100, 3), device=device)
    jitter = 1e-5 * torch.randn((2, count, 3), generator=random).to(device)
    turn = [0]

    def ours() -> None:
        turn[0] = 1 - turn[0]
        position.add_(jitter[turn[0]]).sub_(jitter[1 - turn[0]])
        act()

    case = f"10x10 taxels, {count} fields"
    work: dict[str, Callable[[], object]] = {
        "ours": ours,
        "eager": lambda: theirs(position, rotation, before),
    }
    speeds = alternate(cfg, work, count, device, case)
    act()
    held = float((law.forces.abs().sum(dim=-1) > 0.0).float().mean())
    return [
        Row(case=case, metric="fields", value=speeds["ours"], unit="1/s", baseline="eager",
            baseline_value=speeds["eager"]),
        Row(case=case, metric="taxels in contact", value=100.0 * held, unit="%"),
    ]  # fmt: skip


def _bodies(model: mujoco.MjModel, count: int, device: torch.device) -> Bodies:
    """Return worlds in which a peg lies 0.9 mm deep in a gel; nothing moves them."""

    def rows(values: np.ndarray) -> Tensor:
        return (
            torch.from_numpy(np.asarray(values, dtype=np.float32))
            .repeat(count, *[1] * values.ndim)
            .to(device)
        )

    position = rows(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.008 - 9e-4]]))
    lying = [math.cos(math.pi / 4), math.sin(math.pi / 4), 0.0, 0.0]
    return Bodies(
        model=model,
        timestep=STEP,
        position=position,
        rotation=rows(np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], lying])),
        centre=position,
        velocity=torch.zeros((count, model.nv), device=device),
        mass=rows(model.body_mass),
        inertia=rows(model.body_inertia),
        axes=rows(model.body_iquat),
        wrench=torch.zeros((count, model.nbody, 6), device=device),
    )


# -- time ------------------------------------------------------------------------------------------


def alternate(
    cfg: TactileBenchCfg,
    work: Mapping[str, Callable[[], object]],
    each: int,
    device: torch.device,
    case: str,
) -> dict[str, float]:
    """Return by name how many per second, the median of repeats that take turns."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    found: dict[str, list[float]] = {name: [] for name in work}
    with Progress(case, cfg.repeats, "repeats") as progress:
        for do in work.values():
            do()  # compiles
        for repeat in range(cfg.repeats):
            for name, do in work.items():
                do()
                wait()
                start, done = time.perf_counter(), 0
                while time.perf_counter() - start < cfg.seconds:
                    do()
                    done += 1
                    if device.type == "cuda" and done % 32 == 0:
                        wait()
                wait()
                found[name].append(done * each / (time.perf_counter() - start))
            progress.update(repeat + 1)
    return {name: statistics.median(values) for name, values in found.items()}
