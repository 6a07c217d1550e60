"""What a task is: a scene, its observations, rewards, ends and success, on N worlds at once."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import mujoco
import torch
from torch import Tensor

from sim2arm.core.arms import ArmPlace
from sim2arm.core.spec import ArraySpec
from sim2arm.sim.draws import Draws
from sim2arm.sim.worlds.base import World

Starts: TypeAlias = dict[str, Tensor]
"""Start states of episodes, named arrays (n, ...). Many are drawn in little more time than one."""


def check_settings(cfg: Any, *, positive: Sequence[str], lengths: Mapping[str, int]) -> None:
    """Refuse a configuration with a field that is not above 0 or has wrong entries.

    A field `..._low` must not lie above its `..._high` anywhere.

    Raises:
        ValueError: names the field.
    """
    for name in positive:
        if not 0 < getattr(cfg, name) < math.inf:
            raise ValueError(f"{name} must be above 0, got {getattr(cfg, name)}")
    for name, length in lengths.items():
        if len(getattr(cfg, name)) != length:
            raise ValueError(f"{name} must have {length} numbers, got {getattr(cfg, name)}")
        if name.endswith("_low"):
            high = f"{name.removesuffix('_low')}_high"
            if not all(
                a <= b for a, b in zip(getattr(cfg, name), getattr(cfg, high), strict=False)
            ):
                raise ValueError(
                    f"{name} must not lie above {high}, got {getattr(cfg, name)} and "
                    f"{getattr(cfg, high)}"
                )


def put(target: Tensor, chosen: Tensor, values: Tensor | float) -> None:
    """Write to the rows of chosen worlds, without waiting for a GPU.

    Args:
        target: (N, ...), written to.
        chosen: (N,) bool.
        values: (N, ...) or a number.
    """
    target.copy_(torch.where(chosen.reshape(-1, *[1] * (target.ndim - 1)), values, target))


def arms_of(task: Task) -> tuple[ArmPlace, ...]:
    """Return the arms of a task that has several, none of one with a single arm."""
    return tuple(getattr(task, "arms", ()))


class Task(Protocol):
    """One task of an arm; the conformance suite `tests/sim/tasks/test_tasks.py` runs on each."""

    @property
    def cfg(self) -> Any:
        """The configuration it was built with, a frozen dataclass."""
        ...

    @property
    def actor(self) -> tuple[str, ...]:
        """Names of the observations that the policy sees."""
        ...

    @property
    def critic(self) -> tuple[str, ...]:
        """Names of the observations that the critic sees."""
        ...

    @property
    def goals(self) -> tuple[ArraySpec, ...]:
        """Specs of the actor's inputs that the task gives; the arm's own are in `specs`."""
        ...

    @property
    def grip_width(self) -> float:
        """Distance between the finger pads that the gripper is told to keep [m].

        With `gripper_action` it is that at the start of an episode.
        """
        ...

    @property
    def gripper_action(self) -> bool:
        """Whether the policy works the gripper: a seventh element of the action."""
        ...

    def scene(self) -> mujoco.MjSpec:
        """Return the model of one world."""
        ...

    def bind(self, world: World) -> None:
        """Take the views of the world that was built from the scene."""
        ...

    def draw(self, draws: Draws) -> Starts:
        """Return start states (n, ...), float64; among them the joints `q` (n, joints) [rad]."""
        ...

    def reset(self, world: World, chosen: Tensor, starts: Starts) -> None:
        """Write start states (N, ...) into chosen worlds (N,) bool."""
        ...

    def observe(self) -> dict[str, Tensor]:
        """Return the named observations, (N, ...)."""
        ...

    def update(self, world: World) -> None:
        """Advance counters and measures after a control step, before reward and ends are read."""
        ...

    def reward(self, world: World) -> dict[str, Tensor]:
        """Return named terms, each (N,)."""
        ...

    def done(self, world: World) -> tuple[Tensor, Tensor]:
        """Return terminated and truncated, (N,) bool, never both."""
        ...

    def success(self, world: World) -> Tensor:
        """Return whether the task is solved, (N,) bool."""
        ...

    def desynchronise(self, generator: torch.Generator) -> None:
        """Spread the ages of the episodes."""
        ...


class Scored(Protocol):
    """What a task may offer besides: a published measure other than success."""

    def score(self, world: World) -> Tensor:
        """Return what the last control step is worth (N,), 0 to 1; an episode has its best."""
        ...
