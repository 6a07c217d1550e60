"""A policy that sees and feels: a torch module of a few lines, exported as a real bundle."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sim2arm.core.contract import StateSpec
from sim2arm.core.driver_stage import DriverStage
from sim2arm.policies.export import export_bundle
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.cameras import scene_camera
from sim2arm.sim.touch import IMAGES, Touch
from sim2arm.sim.vision import Sight, Vision

from .swinging import swinging_contract

SIDE = 32
STAGE = DriverStage(width=640, height=480, crop=(80, 0, 480, 480), out_width=SIDE, out_height=SIDE)
VISION = Vision(
    sights=(
        Sight(
            camera=replace(scene_camera(stage=STAGE), rate_hz=30.0, max_age_s=0.5),
            latency=(0.01, 0.04),
            free_phase=True,
            history=2,
        ),
    )
)
"""A picture every second tick, 10 to 40 ms late, at any phase; the policy sees the last two."""
TOUCH = Touch(rate_hz=25.0, latency=(0.005, 0.03), free_phase=True)
"""Readings of gels that are later and more seldom still."""


class Seeing(nn.Module):
    """Moves by what its joints and patches of its pictures are, and what its gels feel."""

    def __init__(self, *, feels: bool = False) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.joints = nn.Parameter(0.05 * torch.randn(7, 6, generator=random))
        self.patches = nn.Parameter(0.1 * torch.randn(2 * 8 * 8 * 3, 6, generator=random))
        self.taxels = nn.Parameter(torch.randn(2 * 14 * 10 * 3, 6, generator=random))
        self.feels = feels

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        pictures = obs["scene_rgb"].to(torch.float32) / 255.0
        patches = pictures.reshape(-1, 2, 8, 4, 8, 4, 3).mean(dim=(3, 5))
        x = obs["joint_position"] @ self.joints + patches.flatten(1) @ self.patches
        if self.feels:
            x = x + obs["touch_field"].flatten(1) @ self.taxels
        return 0.4 * torch.tanh(x[:, None]), {}


class Feeling(nn.Module):
    """Moves by what its joints and the pictures of its gels are."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.joints = nn.Parameter(0.05 * torch.randn(7, 6, generator=random))
        self.gels = nn.Parameter(0.01 * torch.randn(2, 3 * pixels, 6, generator=random))

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = obs["joint_position"] @ self.joints
        for name, weights in zip(IMAGES, self.gels, strict=True):
            x = x + (obs[name].to(torch.float32) / 255.0).flatten(1) @ weights
        return 0.4 * torch.tanh(x[:, None]), {}


def write_seeing(
    path: Path,
    arm: SimulatedArm,
    policy: nn.Module | None = None,
    states: tuple[StateSpec, ...] = (),
) -> Path:
    """Export a policy that takes joint positions and what an arm sees; return the bundle."""
    contract = swinging_contract()
    ranges = () if arm.eyes is None else arm.eyes.ranges((), 1.0)
    inputs = (contract.input("joint_position"), *arm.organs.specs.values())
    contract = replace(contract, inputs=inputs, states=states, ranges=ranges)
    seen: dict[str, list[NDArray[Any]]] = {spec.name: [] for spec in contract.observations}
    for _ in range(4):
        measured = arm.measured()
        for spec in contract.observations:
            seen[spec.name].append(measured[spec.name][0].astype(spec.dtype))
        arm.step()
    sequence = {name: np.stack(arrays) for name, arrays in seen.items()}
    policy = policy or Seeing(feels=arm.skin is not None)
    export_bundle(policy, contract, [sequence], path)
    return path
