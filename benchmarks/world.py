"""Speed of a world and of the environment on it beside the bare engine, over numbers of worlds.

The bare engine is a second set of simulations of the same scene: before every `Env.step` it gets
the state, afterwards the controls of the substeps that the environment ran, and only its physics is
timed. So both do the same physics from the same states, and what else the machine does falls on
both.
`World.step` alone is timed inside the environment's step.

With `--cameras`, pictures too: alone beside the bare renderer, and as observations of the
environment beside the bare engine and renderer, which draws as many pictures.

With `--learn-iterations`, PPO trains on the same number of worlds, roll-outs and updates included.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from _bare import Bare, make_bare, used_memory, wait_for

from sim2arm.cli.errors import UserError
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.outputs import check_file
from sim2arm.cli.parse import parse, unknown
from sim2arm.cli.progress import Progress
from sim2arm.cli.runs import build_env, find_cameras
from sim2arm.cli.table import Row, format_results, write_results
from sim2arm.policies.ppo import Ppo, PpoCfg
from sim2arm.sim.env import Env
from sim2arm.sim.worlds.base import CapacityError
from sim2arm.sim.worlds.table import WORLDS

if TYPE_CHECKING:
    from _camera_speed import BarePictures

BARE = ("mujoco", "warp")
"""Worlds that have a bare engine to compare with."""


@dataclass(frozen=True, kw_only=True)
class WorldBenchCfg:
    """Measure a world and the environment on it beside the bare engine."""

    world: str = "mujoco"
    """Engine: mujoco or warp."""
    device: str = "cpu"
    """Where it runs: cpu or cuda:0."""
    num_worlds: tuple[int, ...] = (16, 64, 256)
    """Numbers of worlds, a row each."""
    experiment: str = "peg-insertion-ppo"
    """Whose task and controller are used."""
    steps: int = 50
    """Control steps of a repeat."""
    repeats: int = 5
    """Repeats; medians are reported."""
    learn_iterations: int = 0
    """Iterations of PPO to time as well, after one to warm up; 0: none."""
    randomization: str = "none"
    """What differs between episodes, a name of cli/randomizations.py."""
    cameras: str = "none"
    """Measure pictures as well, with a set of cli/cameras.py."""
    picture_seconds: float = 1.0
    """About how long a repeat of each renderer alone takes."""
    threads: int = 0
    """Threads of the physics on a CPU, 0: all."""
    json: Path | None = None
    """Write the rows there."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, measure, print and write.

    Raises:
        UserError: a number below 1, or an unknown engine or experiment.
    """
    cfg = parse(WorldBenchCfg, argv, "sim2arm bench world")
    if not cfg.num_worlds or min(*cfg.num_worlds, cfg.steps, cfg.repeats) < 1:
        raise UserError("--num-worlds, --steps and --repeats must be 1 or more")
    if cfg.world not in WORLDS:
        raise UserError(unknown("world", cfg.world, WORLDS))
    if cfg.world not in BARE:
        known = " or ".join(BARE)
        raise UserError(f"--world: expected {known}, which have a bare engine, got {cfg.world}")
    if list(cfg.num_worlds) != sorted(set(cfg.num_worlds)):
        raise UserError(f"--num-worlds: expected numbers that rise, got {list(cfg.num_worlds)}")
    if cfg.experiment not in EXPERIMENTS:
        raise UserError(unknown("experiment", cfg.experiment, EXPERIMENTS))
    find_cameras(cfg.cameras)
    check_file("--json", cfg.json)
    torch.set_num_threads(1)
    rows: list[Row] = []
    used: dict[int, int] = {}
    for n in cfg.num_worlds:
        try:
            rows += measure(cfg, n, used)
        except CapacityError as error:
            raise UserError(f"{n} worlds: {error}") from error
        if cfg.cameras != "none":
            rows += picture_rows(cfg, n)
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "world", rows)
    return 0


def measure(cfg: WorldBenchCfg, n: int, used: dict[int, int]) -> list[Row]:
    """Return the rows of N worlds; `used` keeps the memory of a GPU by number of worlds [bytes].

    What worlds need more is told beside the least number, which pays for what all share; memory
    of worlds that are gone stays in use, so numbers must rise.
    """
    env = make_env(cfg, n)
    substeps = env.commands.controls.shape[1]
    memory = used_memory(env.device)
    bare = make_bare(env.world, substeps=substeps, threads=cfg.threads)
    random = torch.Generator(env.device).manual_seed(1)
    env.reset()
    env.desynchronise()
    rates: list[tuple[float, float, float]] = []
    with Progress(f"{n} worlds", cfg.repeats, "repeats") as progress:
        _repeat(env, bare, random, cfg.steps // 5 + 1)  # warm up
        for repeat in range(cfg.repeats):
            rates.append(_repeat(env, bare, random, cfg.steps))
            progress.update(repeat + 1)
    env.world.check_capacity()
    step, world, alone = (statistics.median(column) for column in zip(*rates, strict=True))
    case = f"{cfg.experiment}, {cfg.world} on {cfg.device}, {n} worlds"
    rows = [
        Row(case=case, metric="env steps", value=step, unit="1/s", baseline=bare.name,
            baseline_value=alone),
        Row(case=case, metric="world steps", value=world * substeps, unit="1/s",
            baseline=bare.name, baseline_value=alone * substeps),
    ]  # fmt: skip
    if memory is not None:
        used[n] = memory
        least = min(used)
        if n > least:
            kib = (memory - used[least]) / (n - least) / 1024
            rows.append(Row(case=case, metric="memory per further world", value=kib, unit="KiB"))
    if cfg.learn_iterations:
        rate = learning_rate(cfg, env)
        rows.append(
            Row(case=case, metric="PPO steps, learning included", value=rate, unit="1/s",
                baseline=bare.name, baseline_value=alone)
        )  # fmt: skip
    return rows


def picture_rows(cfg: WorldBenchCfg, n: int) -> list[Row]:
    """Return the rows of pictures of N worlds: drawn alone, and in the environment."""
    from _camera_speed import BarePictures, camera_rows, has_bare_renderer

    with Progress(f"{n} worlds, pictures", None, "repeats"):
        rows = camera_rows(
            world=cfg.world, device=cfg.device, num_worlds=n, repeats=cfg.repeats,
            seconds=cfg.picture_seconds,
        )  # fmt: skip
    env = make_env(cfg, n, cfg.cameras)
    bare = make_bare(env.world, substeps=env.commands.controls.shape[1], threads=cfg.threads)
    random = torch.Generator(env.device).manual_seed(1)
    env.reset()
    env.desynchronise()
    pictures = BarePictures(env) if has_bare_renderer(env.world) else None
    rates: list[tuple[float, float, float]] = []
    with Progress(f"{n} worlds with pictures", cfg.repeats, "repeats") as progress:
        _repeat(env, bare, random, cfg.steps // 5 + 1, pictures)  # warm up
        for repeat in range(cfg.repeats):
            rates.append(_repeat(env, bare, random, cfg.steps, pictures))
            progress.update(repeat + 1)
    step, _, alone = (statistics.median(column) for column in zip(*rates, strict=True))
    case = f"{cfg.experiment}, {cfg.world} on {cfg.device}, {n} worlds, cameras {cfg.cameras}"
    row = Row(case=case, metric="env steps with pictures", value=step, unit="1/s")
    if pictures is not None:
        name = f"{bare.name} and {pictures.name}"
        row = replace(row, baseline=name, baseline_value=alone)
    return [*rows, row]


def make_env(cfg: WorldBenchCfg, n: int, cameras: str = "none") -> Env:
    """Return the environment of the experiment on N worlds, as it is trained in."""
    settings = replace(
        EXPERIMENTS[cfg.experiment][1],
        world=cfg.world,
        device=cfg.device,
        cameras=cameras,
        randomization=cfg.randomization,
        num_envs=n,
    )
    return build_env(settings, n, threads=cfg.threads)


def _repeat(
    env: Env,
    bare: Bare,
    random: torch.Generator,
    steps: int,
    pictures: BarePictures | None = None,
) -> tuple[float, float, float]:
    """Return control steps of all worlds per second: of the environment, its world, the engine.

    That of the engine includes as many bare pictures as the environment drew.
    """
    n, device = env.num_envs, env.device
    spent = [0.0, 0.0, 0.0]
    world_step = env.world.step

    def timed(targets: torch.Tensor | None = None) -> None:
        wait_for(device)
        start = time.perf_counter()
        world_step(targets)
        wait_for(device)
        spent[1] += time.perf_counter() - start

    env.world.step = timed  # type: ignore[method-assign]
    try:
        for _ in range(steps):
            shape = (n, env.action_dim)
            action = 2.0 * torch.rand(shape, generator=random, device=device) - 1.0
            bare.load()
            wait_for(device)
            start = time.perf_counter()
            env.step(action)
            wait_for(device)
            spent[0] += time.perf_counter() - start
            start = time.perf_counter()
            bare.run(env.commands.controls)
            if pictures is not None:
                pictures.draw()
            wait_for(device)
            spent[2] += time.perf_counter() - start
    finally:
        env.world.step = world_step  # type: ignore[method-assign]
    step, world, alone = (steps * n / seconds for seconds in spent)
    return step, world, alone


def learning_rate(cfg: WorldBenchCfg, env: Env) -> float:
    """Return steps of all worlds per second of PPO, roll-outs and updates."""
    settings = EXPERIMENTS[cfg.experiment][1]
    learner = Ppo(cast(PpoCfg, settings.algo), env, seed=0)
    iterations = learner.train(1 + cfg.learn_iterations)
    next(iterations)
    wait_for(env.device)
    start = time.perf_counter()
    for _ in iterations:
        pass
    wait_for(env.device)
    took = time.perf_counter() - start
    return cfg.learn_iterations * settings.algo.rollout * env.num_envs / took
