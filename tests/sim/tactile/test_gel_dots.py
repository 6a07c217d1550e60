"""Dots of gels: where drag carries them, and that a tracker of real dots finds them there."""

# pyright: standard

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from sim2arm.core.synthetic_tables import MINI_DOTS, OPTICS, synthetic_table
from sim2arm.sensors.markers import MarkerTracker
from sim2arm.sim.tactile.field import GelLaw
from sim2arm.sim.tactile.gel_dots import REACH, GelDots
from sim2arm.sim.tactile.gel_noise import GelNoise, NoisyGels

GEL = OPTICS["gelsight-mini-markers"]
DOTS = MINI_DOTS
ROWS, COLS = 14, 10
AREA = GEL.size[0] * GEL.size[1] / (ROWS * COLS)
LAW = GelLaw()
PIXEL = GEL.size[0] / 320
Floats = npt.NDArray[np.floating]


def flat() -> torch.Tensor:
    """Return the picture of the untouched gel without dots."""
    background = synthetic_table("gelsight-mini", 3).background
    return torch.from_numpy(np.floor(background + 0.5).astype(np.uint8))


class Gel:
    """Gels with forces on their taxels."""

    def __init__(self, count: int = 1, law: GelLaw = LAW) -> None:
        self.forces = torch.zeros((count, ROWS, COLS, 3))
        numbers = torch.tensor(law.numbers).repeat(count, 1)
        self.picture = flat().repeat(count, 1, 1, 1)
        self.chosen = torch.ones(count, dtype=torch.bool)
        drawn = self.picture, self.chosen
        self.dots = GelDots(DOTS, GEL.size, self.forces, numbers, LAW.shear, *drawn)

    def pull(self, where: Any, way: Any) -> None:
        """Press taxels and drag them by a way (..., 2) [m]."""
        force = torch.as_tensor(way, dtype=torch.float32) * LAW.shear * AREA
        self.forces[where][..., 2] = -0.01
        self.forces[where][..., :2] = force

    def draw(self) -> npt.NDArray[np.uint8]:
        self.picture[:] = flat()
        self.dots.draw()
        return self.picture.numpy().copy()


def test_gels_that_are_not_chosen_stay_as_they_are() -> None:
    gel = Gel(2)
    gel.chosen[0] = False
    drawn_now = gel.draw()
    np.testing.assert_array_equal(drawn_now[0], flat().numpy())
    assert (drawn_now[1] != flat().numpy()).any()


def rest() -> Floats:
    """Return where dots are (63, 2) [m]."""
    x, y = np.meshgrid(2e-3 * (np.arange(9) - 4), 2e-3 * (np.arange(7) - 3))
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def drawn(places: Floats) -> npt.NDArray[np.uint8]:
    """Return the flat gel with dots at places [m], in double precision."""
    x = ((np.arange(320) + 0.5) * PIXEL - 0.5 * GEL.size[0])[None]
    y = ((np.arange(240) + 0.5) * PIXEL - 0.5 * GEL.size[1])[:, None]
    light = np.ones((240, 320))
    for px, py in places:
        away = np.hypot(x - px, y - py)
        light *= 1.0 - DOTS.dark * ((DOTS.radius - away) / DOTS.soft + 0.5).clip(0.0, 1.0)
    return np.floor(flat().numpy() * light[..., None] + 0.5).astype(np.uint8)


def test_an_untouched_gel_is_its_background_with_dots() -> None:
    seen = Gel().draw()[0]
    assert np.abs(seen.astype(int) - drawn(rest())).max() <= 1  # single precision
    away = np.linalg.norm(
        np.stack(np.meshgrid(*[(np.arange(n) + 0.5 - n / 2) * PIXEL for n in (320, 240)]), -1)[
            :, :, None
        ]
        - rest(),
        axis=-1,
    ).min(axis=-1)
    clear = away > 3.1e-4
    np.testing.assert_array_equal(seen[clear], flat().numpy()[clear])
    middle = away < 1.9e-4
    assert (seen[middle] <= 0.26 * flat().numpy()[middle] + 1).all()


def test_drag_is_way_and_a_pressed_gel_without_drag_shows_none() -> None:
    gel = Gel(3)
    gel.pull(np.s_[1:], [0.0, 0.0])
    gel.pull(np.s_[2], [3e-4, -2e-4])
    gel.draw()
    np.testing.assert_array_equal(gel.dots.places[0], gel.dots.places[1])
    moved = gel.dots.places[2] - gel.dots.places[0]
    np.testing.assert_allclose(moved, np.broadcast_to([3e-4, -2e-4], (63, 2)), atol=1e-9)


@pytest.mark.parametrize("kind", ["stick-slip", "viscous"])
def test_more_drag_is_more_way(kind: str) -> None:
    """Whether the drag of the gel remembers or not, its skin is as stiff."""
    gel = Gel(4, GelLaw(kind=kind))  # pyright: ignore[reportArgumentType]
    for k in range(4):
        gel.pull(np.s_[k, 4:9, 3:7], [1e-4 * k, 0.0])
    gel.draw()
    moved = (gel.dots.places - gel.dots.places[:1])[..., 0].numpy()
    np.testing.assert_allclose(moved[:, 31], 1e-4 * np.arange(4), atol=1e-8)  # the middle
    assert (np.diff(moved, axis=0) > 0.0).all()  # and all others a little
    assert moved[3, 0] < 0.05 * moved[3, 31]


def test_the_skin_beside_is_a_membrane() -> None:
    """Against the linear equations, solved: u = reach^2 lap(u) with a free rim."""
    gel, rng = Gel(), np.random.default_rng(0)
    touched = np.zeros((ROWS, COLS), dtype=bool)
    touched[5:9, 4:7] = touched[11, 1] = True
    ways = rng.uniform(-4e-4, 4e-4, (ROWS, COLS, 2))
    where = torch.from_numpy(touched)[None]
    gel.forces[where] = torch.from_numpy(
        np.concatenate([ways * LAW.shear * AREA, np.full((ROWS, COLS, 1), -0.1)], axis=-1)
    ).float()[None][where]
    gel.draw()
    equations = np.eye(ROWS * COLS)
    right = np.where(touched[..., None], ways, 0.0).reshape(-1, 2)
    pull = {(0, 1): (REACH * COLS / GEL.size[0]) ** 2, (1, 0): (REACH * ROWS / GEL.size[1]) ** 2}
    for r, c in zip(*np.nonzero(~touched), strict=True):
        for (dr, dc), share in pull.items():
            for sign in (-1, 1):
                i, j = r + sign * dr, c + sign * dc
                if 0 <= i < ROWS and 0 <= j < COLS:
                    equations[r * COLS + c, r * COLS + c] += share
                    equations[r * COLS + c, i * COLS + j] -= share
    exact = np.linalg.solve(equations, right).reshape(ROWS, COLS, 2)
    np.testing.assert_allclose(gel.dots.ways[0], exact, atol=0.01 * 4e-4)


@pytest.mark.parametrize("kind", ["shift", "twist"])
def test_a_tracker_of_real_dots_finds_the_way(kind: str) -> None:
    """Within a tenth of a pixel on average."""
    gel = Gel()
    tracker = MarkerTracker(gel.draw()[0], size=GEL.size, diameter_px=8.0)
    y, x = np.meshgrid(
        ((np.arange(ROWS) + 0.5) / ROWS - 0.5) * GEL.size[1],
        ((np.arange(COLS) + 0.5) / COLS - 0.5) * GEL.size[0],
        indexing="ij",
    )
    shift, twist = np.broadcast_to([4e-4, 3e-4], (ROWS, COLS, 2)), np.stack([-y, x], -1) * 0.1
    way = {"shift": shift, "twist": twist}[kind]
    gel.pull(np.s_[0, 3:11, 2:8], way[3:11, 2:8].copy())
    shear = tracker.track(gel.draw()[0])
    assert shear.found.all()
    away = np.linalg.norm(tracker.rest[:, None] * PIXEL - _corner(rest())[None], axis=-1)
    order = away.argmin(axis=1)
    assert sorted(order) == list(range(63))
    true = (gel.dots.places[0].numpy() - rest())[order]
    assert np.linalg.norm(true, axis=-1).max() > 3e-4
    off = np.linalg.norm(shear.displacement - true, axis=-1) / PIXEL
    assert off.mean() < 0.1
    assert off.max() < 0.3


def test_a_tracker_finds_the_way_in_pictures_with_noise() -> None:
    """Ten sensors, each with its look and noise; at rest is another reading of the same."""
    gel = Gel(10)
    noise = NoisyGels(GelNoise(), gel.picture, 25.0)
    every = torch.ones(10, dtype=torch.bool)
    noise.start(
        every, torch.rand((10, NoisyGels.count), generator=torch.Generator().manual_seed(0))
    )
    gel.draw()
    first = noise.take(every).numpy().copy()
    gel.pull(np.s_[:, 3:11, 2:8], [4e-4, 3e-4])
    gel.draw()
    second = noise.take(every).numpy()
    true = np.linalg.norm(gel.dots.places[0].numpy() - rest(), axis=-1)
    for i in range(10):
        tracker = MarkerTracker(first[i], size=GEL.size, diameter_px=8.0)
        shear = tracker.track(second[i])
        assert shear.found.sum() >= 62
        away = np.linalg.norm(tracker.rest[:, None] * PIXEL - _corner(rest())[None], axis=-1)
        off = np.linalg.norm(shear.displacement, axis=-1) - true[away.argmin(axis=1)]
        assert np.abs(off).mean() < 0.1 * PIXEL


def _corner(places: Floats) -> Floats:
    """Return places from the middle of the first pixel [m]."""
    return places + 0.5 * np.array(GEL.size) - 0.5 * PIXEL
