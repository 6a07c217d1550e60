"""A policy that sees: joint positions and a small camera, as a torch module in a real bundle."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sim2arm.core.contract import Contract
from sim2arm.core.driver_stage import DriverStage
from sim2arm.policies.export import export_bundle
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.cameras import scene_camera
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


class Seeing(nn.Module):
    """Moves by what its joints and patches of its pictures are."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.joints = nn.Parameter(0.05 * torch.randn(7, 6, generator=random))
        self.patches = nn.Parameter(0.1 * torch.randn(2 * 8 * 8 * 3, 6, generator=random))

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        pictures = obs["scene_rgb"].to(torch.float32) / 255.0
        patches = pictures.reshape(-1, 2, 8, 4, 8, 4, 3).mean(dim=(3, 5))
        x = obs["joint_position"] @ self.joints + patches.flatten(1) @ self.patches
        return 0.5 * torch.tanh(x[:, None]), {}


def seeing_contract(arm: SimulatedArm) -> Contract:
    """Return the contract of policies that see what an arm's cameras see."""
    contract = swinging_contract()
    joints = contract.input("joint_position")
    ranges = () if arm.eyes is None else arm.eyes.ranges(())
    inputs = (joints, *arm.organs.specs.values())
    return replace(contract, inputs=inputs, states=(), ranges=ranges)


def write_seeing(path: Path) -> Path:
    """Export a bundle and return its folder."""
    arm = SimulatedArm("reach", "fr3", vision=VISION)
    seen = []
    for _ in range(4):
        seen.append(arm.measured() | {"scene_rgb": arm.pictures["scene_rgb"].numpy().copy()})
        arm.step()
    contract = seeing_contract(arm)
    sequence = {
        spec.name: torch.stack([torch.from_numpy(each[spec.name][0]) for each in seen])
        .numpy()
        .astype(spec.dtype)
        for spec in contract.observations
    }
    export_bundle(Seeing(), contract, [sequence], path)
    return path
