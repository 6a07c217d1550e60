"""What the cameras in real gels add to pictures: worn gels, other colours, blur, drift, noise.

An episode draws each gel's look once, from numbers of its own stream (`NoisyGels.count`). What
differs between readings follows from a seed among them, the number of the reading and the place,
so that an episode looks the same in any batch. Light meets, in this order: wear of the gel, blur of
the optics, gains and mixing of the camera's colours, its offset and drift, its noise.
"""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import warp as wp
from torch import Tensor

from sim2arm.core.contract import TrainedRange
from sim2arm.sim.randomize import factors_within
from sim2arm.sim.tasks.base import put
from sim2arm.sim.warp_device import recorded, warp_device

from .noise_kernels import blur_down, disturb, vec5, vec7, wander

WIDEST = 1.5
"""Greatest blur [pixels]: seven pixels hold 98 % of it."""


@dataclass(frozen=True, kw_only=True)
class GelNoise:
    """How pictures of real gels differ from drawn ones; zeros, and a gain of 1, change nothing.

    Defaults are ours: about what differs between two gels of one kind; measure yours.
    """

    offset: float = 8.0
    """Greatest change of a colour's background, per episode and gel [grey levels of 255]."""
    gain: float = 1.15
    """Greatest factor of a colour, per episode and gel; the least is its inverse."""
    mix: float = 0.08
    """Greatest share of another colour in each, per episode and gel; grey stays grey."""
    blur: float = 0.8
    """Greatest deviation of a Gaussian blur, per episode and gel [pixels of the picture]."""
    wear: float = 0.12
    """Greatest change of brightness of a worn place, smooth over the gel, per episode and gel."""
    drift: float = 0.5
    """Deviation of the background's way after a second, which grows as the root of time [grey
    levels]."""
    shot: float = 0.01
    """Variance of noise per grey level, anew in each reading [grey levels]."""
    read: float = 0.8
    """Deviation of noise in the dark, anew in each reading [grey levels]."""

    def __post_init__(self) -> None:
        """Refuse what is no noise."""
        for name in ("offset", "blur", "drift", "shot", "read"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if not 1.0 <= self.gain < math.inf:
            raise ValueError(f"gain: expected 1 or more, got {self.gain}")
        if self.blur > WIDEST:
            raise ValueError(f"blur: expected at most {WIDEST:g} pixels, got {self.blur}")
        if not 0.0 <= self.mix <= 0.25:
            raise ValueError(f"mix: expected 0 to 0.25, got {self.mix}")
        if not 0.0 <= self.wear < 1.0:
            raise ValueError(f"wear: expected 0 to below 1, got {self.wear}")

    def ranges(self, name: str) -> tuple[TrainedRange, ...]:
        """Return what was trained, for the contract; `name` is that of the sensor."""
        bounds = {
            "offset": ("grey level", -self.offset, self.offset),
            "gain": ("1", 1.0 / self.gain, self.gain),
            "mix": ("1", -self.mix, self.mix),
            "blur": ("pixel", 0.0, self.blur),
            "wear": ("1", 1.0 - self.wear, 1.0 + self.wear),
            "drift": ("grey level/sqrt(s)", 0.0, self.drift),
            "shot": ("grey level", 0.0, self.shot),
            "read": ("grey level", 0.0, self.read),
        }
        return tuple(
            TrainedRange(name=f"appearance/{name}/{what}", unit=unit, low=low, high=high)
            for what, (unit, low, high) in bounds.items()
        )


class NoisyGels:
    """The noise of I gels.

    Attributes:
        picture: (I, rows, cols, 3) uint8, as the cameras send it.
    """

    count = 19
    """Numbers that an episode draws for a gel: 3 offsets, 3 gains, 6 shares, blur, 5 of wear, and
    the seed."""

    def __init__(self, cfg: GelNoise, picture: Tensor, rate_hz: float) -> None:
        """Allocate; before `start` nothing but the noise of readings differs.

        Args:
            cfg: the noise.
            picture: (I, rows, cols, 3) uint8, memory that is drawn to.
            rate_hz: readings per second.
        """
        self.cfg, device = cfg, picture.device
        n, rows, cols, _ = picture.shape
        warp_device(device)  # starts Warp
        self.picture = torch.zeros_like(picture)
        self._chosen = torch.zeros(n, dtype=torch.bool, device=device)
        self._weights = _blur(torch.zeros(n, device=device))
        self._mix = torch.eye(3, device=device).repeat(n, 1, 1)
        self._wear = torch.zeros((n, 5), device=device)
        self._offset = torch.zeros((n, 3), device=device)
        self._seed, self._number = torch.zeros((2, n), dtype=torch.int32, device=device)
        blurred = wp.from_torch(torch.zeros(picture.shape, device=device), dtype=wp.vec3)
        weights = wp.from_torch(self._weights, dtype=vec7)
        offsets = wp.from_torch(self._offset, dtype=wp.vec3)
        run, when = cols if device.type == "cpu" else 1, [self._seed, self._number]
        parts, step = (n, rows, -(-cols // run)), cfg.drift / math.sqrt(rate_hz)
        looks = [
            weights,
            wp.from_torch(self._wear, dtype=vec5),
            wp.from_torch(self._mix, dtype=wp.mat33),
            *when,
            offsets,
        ]
        given = [run, cfg.shot, cfg.read**2, self._chosen, *looks, blurred]
        self._launches = [
            recorded(wander, n, [self._chosen, step, rows * cols, *when], [offsets], device),
            recorded(blur_down, parts, [run, self._chosen, weights, picture], [blurred], device),
            recorded(disturb, parts, given, [self.picture], device),
        ]

    def start(self, chosen: Tensor, unit: Tensor) -> None:
        """Begin episodes of chosen gels (I,) bool, with numbers (I, count) in [0, 1)."""
        cfg = self.cfg
        parts = unit.to(torch.float32).split([3, 3, 6, 1, 5, 1], dim=1)
        offset, gain, mix, blur, wear, seed = parts
        put(self._offset, chosen, cfg.offset * (2.0 * offset - 1.0))
        shares = mixing(cfg.mix * (2.0 * mix - 1.0))
        put(self._mix, chosen, shares * factors_within(cfg.gain, gain, 1.0)[:, :, None])
        put(self._weights, chosen, _blur(cfg.blur * blur[:, 0]))
        put(self._wear, chosen, 0.2 * cfg.wear * (2.0 * wear - 1.0))  # five forms, each up to 1
        put(self._seed, chosen, (seed[:, 0] * 2.0**24).to(torch.int32))  # all that float32 holds
        put(self._number, chosen, 0)

    def take(self, chosen: Tensor) -> Tensor:
        """Write and return `picture` of the next reading of chosen gels (I,) bool; others stay."""
        self._chosen.copy_(chosen)
        for launch in self._launches:
            launch()
        return self.picture


def mixing(shares: Tensor) -> Tensor:
    """Return matrices (I, 3, 3) with rows of sum 1 for what is beside their diagonals (I, 6)."""
    beside = torch.zeros((len(shares), 3, 3), dtype=shares.dtype, device=shares.device)
    for k, (i, j) in enumerate(((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))):
        beside[:, i, j] = shares[:, k]
    return beside + torch.diag_embed(1.0 - beside.sum(dim=-1))


def _blur(deviation: Tensor) -> Tensor:
    """Return the weights (I, 7) of pixels in a row for deviations (I,); 0: only the middle."""
    place = torch.arange(-3.0, 4.0, device=deviation.device)
    weight = torch.exp(-0.5 * (place / deviation.clamp(min=1e-3)[:, None]) ** 2)
    return weight / weight.sum(dim=-1, keepdim=True)
