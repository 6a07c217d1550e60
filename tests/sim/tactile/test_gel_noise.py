"""Noise of gels' pictures: against NumPy, its statistics, and that it is its episode's alone."""

# pyright: standard

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from sim2arm.sim.tactile.gel_noise import GelNoise, NoisyGels

NONE = GelNoise(offset=0.0, gain=1.0, mix=0.0, blur=0.0, wear=0.0, drift=0.0, shot=0.0, read=0.0)
ROWS, COLS, RATE = 24, 32, 25.0
Floats = npt.NDArray[np.float64]


def none_but(**values: Any) -> GelNoise:
    return GelNoise(**({name: getattr(NONE, name) for name in vars(NONE)} | values))


def pictures(count: int = 4, seed: int = 0) -> torch.Tensor:
    """Return random pictures; equal ones, so that only the noise differs."""
    rng = np.random.default_rng(seed)
    one = rng.integers(40, 200, (1, ROWS, COLS, 3)).astype(np.uint8)
    return torch.from_numpy(one).repeat(count, 1, 1, 1)


def make(cfg: GelNoise, picture: torch.Tensor, unit: torch.Tensor) -> NoisyGels:
    gels = NoisyGels(cfg, picture, RATE)
    gels.start(torch.ones(len(picture), dtype=torch.bool), unit)
    return gels


def units(count: int = 4, seed: int = 1) -> torch.Tensor:
    return torch.rand((count, NoisyGels.count), generator=torch.Generator().manual_seed(seed))


def every(gels: NoisyGels) -> torch.Tensor:
    return gels.take(torch.ones(len(gels.picture), dtype=torch.bool))


def test_no_noise_is_the_plain_picture() -> None:
    picture = pictures()
    gels = make(NONE, picture, units())
    for _ in range(3):
        assert torch.equal(every(gels), picture)


def expected(picture: Floats, cfg: GelNoise, u: Floats) -> Floats:
    """Return what a camera without noise of readings sends, in double precision."""
    wear, blur = 0.2 * cfg.wear * (2 * u[13:18] - 1), cfg.blur * u[12]
    x = ((2 * np.arange(COLS) + 1) / COLS - 1)[None]
    y = ((2 * np.arange(ROWS) + 1) / ROWS - 1)[:, None]
    k = np.exp(-0.5 * (np.arange(-3, 4) / blur) ** 2)
    k /= k.sum()
    wide = np.pad(picture, ((3, 3), (3, 3), (0, 0)), mode="edge")
    seen = np.zeros_like(picture)
    for i, j in np.ndindex(7, 7):
        seen += k[i] * k[j] * wide[i : i + ROWS, j : j + COLS]
    forms = wear[0] * x**2 + wear[1] * y**2 + wear[2] * x * y + wear[3] * x + wear[4] * y
    seen *= 1.0 + forms[..., None]
    m = np.zeros((3, 3))
    m[[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]] = cfg.mix * (2 * u[6:12] - 1)
    m += np.diag(1.0 - m.sum(axis=1))
    m *= cfg.gain ** (2 * u[3:6, None] - 1)
    seen = seen @ m.T + cfg.offset * (2 * u[:3] - 1)
    return np.floor(seen.clip(0, 255) + 0.5)


def test_the_look_of_an_episode_is_that_of_a_reference() -> None:
    cfg = GelNoise(offset=20.0, gain=1.3, mix=0.15, blur=1.2, wear=0.3, drift=0.0, shot=0, read=0)
    picture, unit = pictures(), units()
    found = every(make(cfg, picture, unit)).numpy().astype(int)
    for i in range(4):
        wanted = expected(picture[i].numpy().astype(float), cfg, unit[i].double().numpy())
        assert np.abs(found[i] - wanted).max() <= 1
        assert np.abs(found[i] - picture[i].numpy().astype(int)).max() > 10


def test_noise_of_readings_has_the_variance_that_is_said() -> None:
    cfg = none_but(shot=0.05, read=2.0)
    picture = torch.full((1, 120, 160, 3), 100, dtype=torch.uint8)
    gels = make(cfg, picture, units(1))
    first = every(gels).clone().double()
    second = every(gels).double()
    # 2^2 + 0.05 * 100, and 1/12 of rounding
    assert first.std().item() == pytest.approx(math.sqrt(9.0 + 1 / 12), rel=0.01)
    assert first.mean().item() == pytest.approx(100.0, abs=0.05)
    both = torch.stack([first.flatten(), second.flatten(), first.roll(1, dims=2).flatten()])
    apart = torch.corrcoef(both) - torch.eye(3)
    assert apart.abs().max() < 0.02  # neither readings nor neighbours know of each other


def test_the_background_wanders_as_the_root_of_time() -> None:
    """After 4 s a deviation of 2 * 3 levels; each channel by itself."""
    n = 400
    picture = torch.full((n, 1, 1, 3), 128, dtype=torch.uint8)
    gels = make(none_but(drift=3.0), picture, units(n))
    for _ in range(100):
        every(gels)
    moved = gels.picture[:, 0, 0].double() - 128.0
    assert moved.std(dim=0).numpy() == pytest.approx([6.0] * 3, rel=0.15)
    assert (torch.corrcoef(moved.T) - torch.eye(3)).abs().max() < 0.15


def test_a_picture_is_its_episodes_whatever_runs_beside() -> None:
    cfg, unit = GelNoise(), units()
    many, one = make(cfg, pictures(), unit), make(cfg, pictures(1), unit[2:3])
    seen = []
    for k in range(4):
        if k % 2:  # others have a reading at other times
            kept = many.picture[2].clone()
            assert torch.equal(many.take(torch.tensor([True, True, False, True]))[2], kept)
        now = many.take(torch.tensor([k > 2, False, True, True]))[2].clone()
        assert torch.equal(now, every(one)[0])
        seen.append(now)
    assert not torch.equal(seen[0], seen[1])
    many.start(torch.tensor([False, False, True, False]), unit)  # the episode once more
    again = many.take(torch.tensor([False, False, True, False]))[2]
    assert torch.equal(again, seen[0])


def test_ranges_say_what_was_trained() -> None:
    told = {found.name: (found.low, found.high, found.unit) for found in GelNoise().ranges("touch")}
    assert told["appearance/touch/gain"] == (pytest.approx(1 / 1.15), 1.15, "1")
    assert told["appearance/touch/blur"] == (0.0, 0.8, "pixel")
    assert len(told) == len(vars(NONE))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"offset": -1.0}, "offset: expected 0 or more"),
        ({"read": math.inf}, "read: expected 0 or more"),
        ({"gain": 0.9}, "gain: expected 1 or more"),
        ({"blur": 2.0}, r"blur: expected at most 1.5 pixels"),
        ({"mix": 0.3}, r"mix: expected 0 to 0.25"),
        ({"wear": 1.0}, "wear: expected 0 to below 1"),
    ],
)
def test_what_is_no_noise_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GelNoise(**settings)
