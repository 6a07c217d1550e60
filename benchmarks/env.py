"""Speed of the vectorised environment beside bare physics and beside gymnasium's AsyncVectorEnv.

Both sides of a comparison take turns in one run, so that what else the machine does falls on both:

- `mujoco.batch`: after every `Env.step`, a second batch of the same model gets the state before
  that step and the controls of its substeps, and only its `rollout` is timed.
- `AsyncVectorEnv`: worker processes, one plain single-world environment each (`_single_env.py`),
  against the same task behind our `gymnasium.vector.VectorEnv`.

Actions are uniform in [-1, 1].
"""

# MuJoCo's and gymnasium's generic types are not worth spelling out here.
# pyright: standard

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _single_env import SinglePegInsertion
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv
from mujoco.batch import Batch

from sim2arm.cli.errors import UserError
from sim2arm.cli.outputs import check_file
from sim2arm.cli.parse import parse
from sim2arm.cli.progress import Progress
from sim2arm.cli.table import Row, format_results, write_results
from sim2arm.core.robots import FR3
from sim2arm.sim.arm import SUBSTEPS, make_task
from sim2arm.sim.env import Env
from sim2arm.sim.gym import GymVectorEnv
from sim2arm.sim.worlds.mujoco import MujocoWorld

PARTS = ("physics", "controller", "observation", "reward", "reset")


@dataclass(frozen=True, kw_only=True)
class EnvBenchCfg:
    """Measure steps/s of the peg-insertion environment beside its baselines."""

    worlds: tuple[int, ...] = (64, 256)
    """Numbers of worlds beside bare physics."""
    steps: int = 100
    """Control steps of a repeat."""
    repeats: int = 5
    """Repeats; medians are reported."""
    vector_worlds: int = 16
    """Worlds beside AsyncVectorEnv."""
    vector_steps: int = 100
    """Control steps of a repeat beside AsyncVectorEnv."""
    threads: int = 0
    """Threads of the physics, 0: all CPUs."""
    json: Path | None = None
    """Write the rows there."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments, measure, print and write.

    Raises:
        UserError: a number below 1.
    """
    cfg = parse(EnvBenchCfg, argv, "sim2arm bench env")
    numbers = (*cfg.worlds, cfg.steps, cfg.repeats, cfg.vector_worlds, cfg.vector_steps)
    if not cfg.worlds or min(numbers) < 1 or cfg.threads < 0:
        raise UserError("worlds, steps and repeats must be 1 or more, --threads 0 or more")
    check_file("--json", cfg.json)
    torch.set_num_threads(1)
    rows: list[Row] = []
    # AsyncVectorEnv forks: before any thread pool of ours exists.
    for substeps in (8, 1):
        rows.append(beside_async(cfg, substeps))
    for worlds in cfg.worlds:
        rows += beside_physics(cfg, worlds)
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "env", rows)
    return 0


# -- beside bare physics -----------------------------------------------------------------------


def beside_physics(cfg: EnvBenchCfg, worlds: int) -> list[Row]:
    """Return steps/s beside the physics alone, and the share of each part of a step."""
    env = make_env(cfg, worlds, 60.0)
    world = env.world
    assert isinstance(world, MujocoWorld)
    bare = Batch(world.model, worlds, cfg.threads)
    random = torch.Generator().manual_seed(1)
    ours: list[float] = []
    alone: list[float] = []
    with Progress(f"{worlds} worlds", cfg.repeats + 1, "repeats") as progress:
        _alternate(env, world, bare, random, cfg.steps // 5 + 1)  # warm up
        for repeat in range(cfg.repeats):
            times = _alternate(env, world, bare, random, cfg.steps)
            ours.append(cfg.steps * worlds / times[0])
            alone.append(cfg.steps * worlds / times[1])
            progress.update(repeat + 1)
        shares = _shares(env, random, cfg.steps)
    case = f"peg-insertion, {worlds} worlds"
    rows = [
        Row(
            case=case,
            metric="env steps",
            value=statistics.median(ours),
            unit="1/s",
            baseline="mujoco.batch",
            baseline_value=statistics.median(alone),
        )
    ]
    return rows + [
        Row(case=case, metric=f"share of {part}", value=100.0 * share, unit="%")
        for part, share in shares.items()
    ]


def _alternate(
    env: Env, world: MujocoWorld, bare: Batch, random: torch.Generator, steps: int
) -> tuple[float, float]:
    """Return the time of environment steps and of the same physics alone [s]."""
    ours = alone = 0.0
    for _ in range(steps):
        action = _actions(env, random)
        before = world.batch.state.copy()
        start = time.perf_counter()
        env.step(action)
        ours += time.perf_counter() - start
        bare.state[:] = before
        controls = env.commands.controls.numpy()
        start = time.perf_counter()
        bare.rollout(controls.shape[1], controls, record=())
        alone += time.perf_counter() - start
    return ours, alone


def _shares(env: Env, random: torch.Generator, steps: int) -> dict[str, float]:
    """Return the share of each part of a step; what is left is `other`."""
    spent: dict[str, float] = {part: 0.0 for part in PARTS}
    _watch(env.world, "step", "physics", spent)
    _watch(env, "plan", "controller", spent)
    _watch(env, "_observe", "observation", spent)
    _watch(env, "_judge", "reward", spent)
    _watch(env, "_start", "reset", spent)
    actions = [_actions(env, random) for _ in range(steps)]
    start = time.perf_counter()
    for action in actions:
        env.step(action)
    total = time.perf_counter() - start
    shares = {part: value / total for part, value in spent.items()}
    return shares | {"other": 1.0 - sum(shares.values())}


def _watch(owner: Any, name: str, part: str, spent: dict[str, float]) -> None:
    """Replace a method of an object by one that adds its time to a part."""
    method: Callable[..., Any] = getattr(owner, name)

    def timed(*args: Any) -> Any:
        start = time.perf_counter()
        result = method(*args)
        spent[part] += time.perf_counter() - start
        return result

    setattr(owner, name, timed)


def _actions(env: Env, random: torch.Generator) -> torch.Tensor:
    return 2.0 * torch.rand((env.num_envs, env.action_dim), generator=random) - 1.0


def make_env(cfg: EnvBenchCfg, worlds: int, control_hz: float) -> Env:
    """Return the peg-insertion environment, its episodes of different ages."""
    task = make_task("peg-insertion", "fr3")
    env = Env(task, FR3, num_envs=worlds, control_hz=control_hz, threads=cfg.threads)
    env.reset()
    env.desynchronise()
    return env


# -- beside AsyncVectorEnv ---------------------------------------------------------------------


def beside_async(cfg: EnvBenchCfg, substeps: int) -> Row:
    """Return physics steps/s of both vector environments, `substeps` per action."""
    control_hz = 480.0 / substeps
    assert SUBSTEPS[control_hz] == substeps
    worlds = cfg.vector_worlds
    build = partial(SinglePegInsertion, FR3, control_hz=control_hz, substeps=substeps)
    theirs = AsyncVectorEnv([build] * worlds, autoreset_mode=AutoresetMode.SAME_STEP)
    try:
        ours = GymVectorEnv(make_env(cfg, worlds, control_hz))
        random = np.random.default_rng(1)
        rates: dict[str, list[float]] = {"ours": [], "theirs": []}
        sides: dict[str, VectorEnv] = {"ours": ours, "theirs": theirs}
        label = f"AsyncVectorEnv, {substeps} substeps"
        with Progress(label, cfg.repeats, "repeats") as progress:
            for repeat in range(-1, cfg.repeats):  # the first warms up
                actions = random.uniform(-1, 1, (cfg.vector_steps, worlds, 6)).astype(np.float32)
                for name, env in sides.items():
                    if repeat < 0:
                        env.reset(seed=0)
                    start = time.perf_counter()
                    for action in actions:
                        env.step(action)
                    took = time.perf_counter() - start
                    if repeat >= 0:
                        rates[name].append(cfg.vector_steps * worlds * substeps / took)
                progress.update(repeat + 1)
    finally:
        theirs.close()
    return Row(
        case=f"peg-insertion, {worlds} worlds, {substeps} physics steps per action",
        metric="physics steps",
        value=statistics.median(rates["ours"]),
        unit="1/s",
        baseline="AsyncVectorEnv",
        baseline_value=statistics.median(rates["theirs"]),
    )
