"""What a real camera adds to a picture: exposure, white balance, shot noise, JPEG; holes in depth.

An episode draws exposure, white balance and the seed of its noise once (`count` numbers of its own
stream). The noise of a pixel follows from that seed, the number of the picture and the place, by a
hash, so that an episode looks the same in any batch and on any device. Tensors only, no host sync:
on a GPU all worlds are computed, on a CPU the chosen ones.
"""

# pyright: standard

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .cameras import CameraCfg
from .jpeg import jpeg
from .tasks.base import put

_LEVELS = 1 << 14
"""Steps of light that are told apart: 5 of the smallest step of sRGB."""


@dataclass(frozen=True, kw_only=True)
class ColourNoise:
    """How pictures of a colour camera differ from drawn ones.

    Light that a pixel collects has a variance of `shot * light + read^2`, light of full scale 1;
    source: Foi et al., IEEE Trans. Image Processing 17(10), 2008. Numbers of 8 bit are sRGB
    (IEC 61966-2-1).
    """

    stops: float = 0.5
    """Largest error of the exposure, as a power of two, per episode."""
    white: float = 0.1
    """Largest error of the gains of red and of blue against green, per episode."""
    shot: float = 4e-4
    """Variance of full light: 2500 electrons, about a small pixel at 12 dB of gain."""
    read: float = 0.002
    """Standard deviation in the dark, of full scale."""
    quality: int | None = None
    """Of JPEG, 1 to 100, as in a UVC camera's MJPEG; None: the camera does not compress."""

    def __post_init__(self) -> None:
        """Refuse what is no noise."""
        for name in ("stops", "shot", "read"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if not 0.0 <= self.white < 1.0:
            raise ValueError(f"white: expected 0 to below 1, got {self.white}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ValueError(f"quality: expected 1 to 100 or None, got {self.quality}")


class ColourCamera:
    """The noise of one colour camera in N worlds."""

    count = 4
    """Numbers that an episode draws: exposure, red, blue, seed."""

    def __init__(self, cfg: ColourNoise, num_worlds: int, device: torch.device) -> None:
        """Allocate; before `start`, exposure and white balance are exact."""
        self.cfg = cfg
        self._gain = torch.ones((num_worlds, 3), device=device)
        self._noise = NoiseStream(num_worlds, device)
        self._light = srgb_to_light(torch.arange(256, device=device) / 255.0)
        levels = light_to_srgb(torch.arange(_LEVELS + 1, device=device) / _LEVELS)
        self._value = (255.0 * levels + 0.5).to(torch.uint8)

    def start(self, chosen: Tensor, unit: Tensor) -> None:
        """Begin episodes in chosen worlds (N,) bool, with numbers (N, count) in [0, 1)."""
        error = 2.0 * unit[:, :3] - 1.0
        exposure = torch.exp2(self.cfg.stops * error[:, :1])
        white = torch.ones_like(unit[:, :3])
        white[:, 0], white[:, 2] = (
            1.0 + self.cfg.white * error[:, 1],
            1.0 + self.cfg.white * error[:, 2],
        )
        put(self._gain, chosen, (exposure * white).to(self._gain.dtype))
        self._noise.start(chosen, unit[:, 3])

    def take(self, rgb: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Return pictures (N, H, W, 3) uint8 with the noise of the next picture of chosen worlds.

        Args:
            rgb: (N, H, W, 3) uint8.
            chosen: (N,) bool, or all; what comes back for others has no meaning.
        """
        cfg, rows = self.cfg, rows_of(chosen)
        light = self._light[rgb[rows].to(torch.int32)] * self._gain[rows, None, None]
        normal = self._noise.normal(rgb.shape[1:], chosen)
        light = light + normal * torch.sqrt(cfg.shot * light + cfg.read**2)
        seen = self._value[(_LEVELS * light.clamp(0.0, 1.0) + 0.5).to(torch.int32)]
        return _placed(seen if cfg.quality is None else jpeg(seen, cfg.quality), rgb, rows)


def srgb_to_light(value: Tensor) -> Tensor:
    """Return linear light of sRGB values, both 0 to 1."""
    return torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def light_to_srgb(light: Tensor) -> Tensor:
    """Return sRGB values of linear light, both 0 to 1."""
    return torch.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=1e-9) ** (1.0 / 2.4) - 0.055
    )


@dataclass(frozen=True, kw_only=True)
class DepthNoise:
    """How depth of an active stereo camera of Intel's D400 family differs from the truth.

    Everything follows from disparity `d = focal * baseline / depth` [pixels of the camera]: its
    noise and its steps, the shadow beside near things, which one of the two eyes does not see, the
    band at the left edge and the nearest distance. The left eye's picture is what is measured in.

    Sources: Grunnet-Jepsen, Sweetser, Woodfill, "Tuning depth cameras for best performance", Intel
    (RMS error = depth^2 * subpixel / (focal * baseline), subpixel about 0.08 px, 0.05 at its best);
    Keselman et al., "Intel RealSense Stereoscopic Depth Cameras", CVPR workshops 2017 (matching
    windows, steps, range of disparity); data sheet of the D400 family, 337029 (eyes, distances).
    Share and size of holes without a reason in the geometry are guesses: measure your scene.
    """

    baseline: float = 0.05
    """Between the eyes [m]: D435 0.05, D415 0.055, D455 0.095, D405 0.018."""
    deviation: float = 0.08
    """Standard deviation of the disparity [pixels]."""
    blob: int = 4
    """Side of the squares in which its error is the same [pixels of the result]: the matcher
    compares windows."""
    step: float = 1.0 / 32.0
    """Steps of the disparity [pixels]: five bits behind the point."""
    unit: float = 0.001
    """Step of the depth that is sent [m]: D405 0.0001."""
    search: float = 126.0
    """Greatest disparity that is searched [pixels]: at 848 x 480, 0.17 m with 0.05 m between the
    eyes and 0.064 m with 0.018 m."""
    farthest: float = 10.0
    """Farthest distance that is found [m]."""
    lost: float = 0.02
    """Share of squares without a match, all else being well."""

    def __post_init__(self) -> None:
        """Refuse what is no camera."""
        for name in ("baseline", "unit", "farthest", "blob", "search"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected above 0, got {getattr(self, name)}")
        for name in ("deviation", "step"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if not 0.0 <= self.lost < 1.0:
            raise ValueError(f"lost: expected 0 to below 1, got {self.lost}")


class DepthCamera:
    """The noise of one depth camera in N worlds."""

    count = 1
    """Numbers that an episode draws: the seed."""

    def __init__(
        self, cfg: DepthNoise, camera: CameraCfg, num_worlds: int, device: torch.device
    ) -> None:
        """Allocate.

        Args:
            cfg: the noise.
            camera: whose intrinsics and driver stage count.
            num_worlds: N.
            device: of the pictures.
        """
        self.cfg = cfg
        self._reach = camera.intrinsics.fx * cfg.baseline  # depth times disparity [m pixels]
        self._shrink = camera.final.fx / camera.intrinsics.fx
        self._margin = camera.stage.window[0] * self._shrink
        self._noise = NoiseStream(num_worlds, device)

    def start(self, chosen: Tensor, unit: Tensor) -> None:
        """Begin episodes in chosen worlds (N,) bool, with numbers (N, count) in [0, 1)."""
        self._noise.start(chosen, unit[:, 0])

    def take(self, picture: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Return depth (N, H, W) [m] as the camera sends it; 0 where it found nothing.

        Args:
            picture: (N, H, W) true depth [m].
            chosen: (N,) bool, or all; what comes back for others has no meaning.
        """
        cfg, rows = self.cfg, rows_of(chosen)
        depth = picture[rows]
        true = self._reach / depth.clamp(min=1e-6)
        seen = (true <= cfg.search) & (depth <= cfg.farthest) & (depth > 0.0)
        seen &= ~in_shadow(torch.where(depth > 0.0, true, 0.0) * self._shrink, self._margin)
        height, width = depth.shape[1:]
        blobs = (math.ceil(height / cfg.blob), math.ceil(width / cfg.blob))
        normal = self._noise.normal(blobs, chosen)
        matched = self._noise.unit(blobs, chosen) >= cfg.lost
        found = true + cfg.deviation * _spread(normal, cfg.blob, height, width)
        if cfg.step > 0.0:
            found = torch.round(found / cfg.step) * cfg.step
        seen &= _spread(matched, cfg.blob, height, width) & (found > 0.0)
        metres = self._reach / torch.where(seen, found, 1.0)
        found = torch.where(seen, torch.round(metres / cfg.unit) * cfg.unit, 0.0)
        return _placed(found, picture, rows)


def in_shadow(disparity: Tensor, margin: float = 0.0) -> Tensor:
    """Return where the right eye sees something else: (N, H, W) bool.

    A pixel of column u lies at `u - d` in the right picture; something to its right in the left
    picture that lies there or farther left hides it. Left of the camera's picture there is none.

    Args:
        disparity: d (N, H, W) in pixels of this picture, 0 where nothing is.
        margin: columns that were cut off at the left.
    """
    column = torch.arange(disparity.shape[-1], device=disparity.device, dtype=disparity.dtype)
    right = column - disparity
    least = torch.cummin(right.flip(-1), dim=-1).values.flip(-1)
    beyond = torch.nn.functional.pad(least[..., 1:], (0, 1), value=math.inf)
    return (beyond <= right) | (right < -margin)


def _spread(values: Tensor, side: int, height: int, width: int) -> Tensor:
    """Return (N, height, width): each value over a square."""
    wide = values.repeat_interleave(side, dim=1).repeat_interleave(side, dim=2)
    return wide[:, :height, :width]


class NoiseStream:
    """Random numbers of N worlds that depend on seed, picture and place alone."""

    def __init__(self, num_worlds: int, device: torch.device) -> None:
        """Allocate; before `start` all seeds are 0."""
        self._seed = torch.zeros(num_worlds, dtype=torch.int64, device=device)
        self._drawn = torch.zeros(num_worlds, dtype=torch.int64, device=device)

    def start(self, chosen: Tensor, unit: Tensor) -> None:
        """Begin episodes in chosen worlds (N,) bool, with a number (N,) in [0, 1) as seed."""
        put(self._seed, chosen, (unit * 2.0**31).to(torch.int64))
        put(self._drawn, chosen, 0)

    def bits(self, shape: tuple[int, ...] | torch.Size, chosen: Tensor | None) -> Tensor:
        """Return (n, *shape) integers of 32 random bits of chosen worlds, others at each call."""
        rows = rows_of(chosen)
        place = torch.arange(math.prod(shape), device=self._seed.device, dtype=torch.int64)
        key = hash32(hash32(self._seed[rows]) + self._drawn[rows])
        self._drawn += 1 if chosen is None else chosen
        return hash32(key[:, None] + place * 0x9E3779B1).unflatten(1, tuple(shape))

    def unit(self, shape: tuple[int, ...] | torch.Size, chosen: Tensor | None) -> Tensor:
        """Return (n, *shape) numbers in (0, 1), float32."""
        return ((self.bits(shape, chosen) >> 8).to(torch.float32) + 0.5) * 2.0**-24

    def normal(self, shape: tuple[int, ...] | torch.Size, chosen: Tensor | None) -> Tensor:
        """Return (n, *shape) standard normal numbers, up to 4.9, float32, by Box and Muller."""
        size = math.prod(shape)
        bits = self.bits((-(-size // 2),), chosen)  # two numbers of each
        radius = torch.sqrt(-2.0 * torch.log(((bits >> 16).to(torch.float32) + 0.5) * 2.0**-16))
        angle = ((bits & 0xFFFF).to(torch.float32) + 0.5) * (math.tau * 2.0**-16)
        both = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
        return both[:, :size].unflatten(1, tuple(shape))


def rows_of(chosen: Tensor | None) -> Tensor | slice:
    """Return which worlds are computed: the chosen ones, or all where a GPU would be waited for."""
    if chosen is None or chosen.device.type != "cpu":
        return slice(None)
    return chosen.nonzero()[:, 0]


def _placed(values: Tensor, like: Tensor, rows: Tensor | slice) -> Tensor:
    """Return values (n, ...) in their rows of an array like one of all worlds."""
    if isinstance(rows, slice):
        return values
    whole = torch.zeros_like(like)
    whole[rows] = values
    return whole


def hash32(x: Tensor) -> Tensor:
    """Return 32 mixed bits of integers, by the finaliser of MurmurHash3 (public domain)."""
    x = x & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return x ^ (x >> 16)
