"""The sweeps: name -> (help line, cells); a cell is an experiment with settings of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Overrides = Mapping[str, Any]
"""Settings of a training by name; of a part as `algo.NAME` or `executor.NAME`."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training of a sweep, once per seed."""

    case: str
    """What stands in the table."""
    experiment: str
    """Name in `EXPERIMENTS`, `IMITATIONS` or `STANDARDS`."""
    overrides: Overrides = field(default_factory=dict[str, Any])
    """Settings that differ from those of the experiment."""
    teacher: str = ""
    """Name of the cell whose run with the same seed is its teacher."""
    published: float | None = None
    """What a paper reports for it: success in [0, 1], or a return."""


SOFT: Overrides = {"touch": "gel"}
"""Pads as soft as those that feel: what is compared differs in what it sees, not in its physics."""

# TacSL (arXiv 2408.06506), table IV: means of 3 seeds x 1024 episodes. Its privileged column of BC
# and DAgger has no use here: the teacher is the cell of PPO. The order of the last two columns
# follows the text of the table as it was extracted.
COLUMNS: dict[str, Overrides] = {
    "reduced": SOFT,
    "tactile image": {"touch": "image"},
    "force field": {"touch": "field"},
    "wrist": {**SOFT, "cameras": "wrist"},
    "image + field": {"touch": "image-field"},
    "image + wrist": {"touch": "image", "cameras": "wrist"},
}
"""What a student sees beside joints, tool and goal: column of the table -> settings."""
TABLE_IV: dict[str, dict[str, tuple[float, ...]]] = {
    "placement": {
        "BC": (0.319, 0.994, 0.993, 0.995, 0.984, 0.984),
        "DAgger": (0.409, 0.990, 1.0, 0.998, 0.997, 0.990),
        "AACD": (0.421, 0.999, 0.999, 0.995, 0.999, 0.996),
    },
    "insertion": {
        "BC": (0.087, 0.820, 0.804, 0.936, 0.570, 0.941),
        "DAgger": (0.053, 0.908, 0.925, 0.968, 0.876, 0.925),
        "AACD": (0.000, 0.834, 0.930, 0.948, 0.932, 0.897),
    },
}
"""Task -> method -> success in the order of `COLUMNS`."""
TEACHERS = {
    "placement": ("peg-placement-ppo", 0.999),
    "insertion": ("peg-insertion-ppo-privileged", 0.973),
}
"""Task -> experiment of the teacher, and what TacSL's has."""


def tacsl_table() -> dict[str, Cell]:
    """Return the cells of TacSL's table IV."""
    found: dict[str, Cell] = {}
    for task, methods in TABLE_IV.items():
        teacher, published = TEACHERS[task]
        found[f"{task}-teacher"] = Cell(
            case=f"{task}, PPO, privileged",
            experiment=teacher,
            overrides=SOFT,
            published=published,
        )
        for method, values in methods.items():
            for (column, overrides), value in zip(COLUMNS.items(), values, strict=True):
                name = f"{task}-{method}-{column}".lower().replace(" + ", "-").replace(" ", "-")
                found[name] = Cell(
                    case=f"{task}, {method}, {column}",
                    experiment=f"peg-{task}-{method.lower()}",
                    overrides=overrides,
                    teacher=f"{task}-teacher",
                    published=value,
                )
    return found


def touch_claim() -> dict[str, Cell]:
    """Return the cells that compare ways to learn placement by touch, at equal steps."""
    # No student stops early; iterations of DAgger are of 40 steps, those of PPO of 64: 3.11 M steps
    # in 256 worlds.
    ppo: dict[str, Any] = {"target_success": 1.0, "iterations": 190}
    dagger, felt = {**ppo, "iterations": 304}, {"touch": "field"}
    students: dict[str, tuple[str, Overrides, bool]] = {
        "aacd": ("peg-placement-aacd", {**ppo, **felt}, True),
        "aacd-frozen": ("peg-placement-aacd", {**ppo, **felt, "algo.freeze_critic": True}, True),
        "dagger": ("peg-placement-dagger", {**dagger, **felt}, True),
        "scratch": ("peg-placement-student", {**ppo, **felt}, False),
        "aacd-blind": ("peg-placement-aacd", {**ppo, **SOFT}, True),
        "dagger-blind": ("peg-placement-dagger", {**dagger, **SOFT}, True),
        "scratch-blind": ("peg-placement-student", {**ppo, **SOFT}, False),
    }
    found = {"teacher": Cell(case="teacher", experiment="peg-placement-ppo", overrides=SOFT)}
    for name, (experiment, overrides, taught) in students.items():
        found[name] = Cell(
            case=name.replace("-", ", "),
            experiment=experiment,
            overrides=overrides,
            teacher="teacher" if taught else "",
        )
    return found


def diffusion_parts() -> dict[str, Cell]:
    """Return the cells that take a part out of diffusion policy, on pushing with state.

    The parts are those of Yuan, arXiv 2412.00084: history, chunks of actions, how much of a chunk
    is done, the network, FiLM; and noise itself. Its figures are of other tasks.
    """
    alone: dict[str, tuple[str, Overrides]] = {
        "whole": ("U-Net, 2 ticks seen, 8 of 16 actions done", {}),
        "one-tick": ("1 tick seen", {"algo.history": 1}),
        "one-action": ("1 of 16 actions done", {"executor.execute": 1}),
        "open-loop": ("15 of 16 actions done", {"executor.execute": 15}),
        "no-chunk": ("chunks of 4 actions, 1 done", {"algo.chunk": 4, "executor.execute": 1}),
        "transformer": ("transformer", {"algo.denoiser": "transformer"}),
        "perceptron": ("perceptron", {"algo.denoiser": "perceptron"}),
        "joined": ("what is seen joined to the input", {"algo.film": False}),
        "no-noise": ("regression by the same network", {"algo.denoise": False}),
    }
    return {
        name: Cell(case=case, experiment="push-t-diffusion", overrides=overrides)
        for name, (case, overrides) in alone.items()
    }


# Baseline of SimbaV2 (arXiv 2502.15280) at 100 000 frames, 2 per action; of SAC alone.
PUBLISHED_RETURNS = {("sac", "cartpole_swingup"): 861.0, ("sac", "cheetah_run"): 178.0}


def standard_tasks() -> dict[str, Cell]:
    """Return the cells that compare what learns from replay on standard tasks, by their state."""
    found: dict[str, Cell] = {}
    for task in ("cartpole_swingup", "cheetah_run"):
        for name in ("sac", "td3", "cqn", "ddpg", "tqc", "droq"):
            found[f"{task}-{name}"] = Cell(
                case=f"{task}, {name.upper()}",
                experiment=f"standard-{name}",
                overrides={"task": task},
                published=PUBLISHED_RETURNS.get((name, task)),
            )
    return found


def few_demonstrations() -> dict[str, Cell]:
    """Return the cells that lift a cube with what 50 demonstrations and 30 000 steps teach."""
    data = "data/lift-cube"
    found = {
        name: Cell(
            case=name.upper(),
            experiment=f"lift-cube-{name}",
            overrides={"target_success": 1.0, "demos": data},
        )
        for name in ("cqn", "cqn-as", "drqv2")
    }
    found["bc"] = Cell(
        case="BC, demonstrations alone",
        experiment="lift-cube-bc",
        overrides={"target_success": 1.0, "data": data},
    )
    return found


SWEEPS: dict[str, tuple[str, dict[str, Cell]]] = {
    "tacsl-table": ("TacSL's table IV: what students see x how they learn it.", tacsl_table()),
    "touch-placement": ("Placement with and without touch, seven ways to learn.", touch_claim()),
    "standard-tasks": ("Standard tasks by their state, 100 000 frames.", standard_tasks()),
    "few-demonstrations": (
        "Lifting a cube with 50 demonstrations in data/lift-cube.",
        few_demonstrations(),
    ),
    "diffusion-parts": ("What each part of diffusion policy is worth.", diffusion_parts()),
}
