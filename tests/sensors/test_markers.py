"""Dots that were drawn where the test says."""

# pyright: standard

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sim2arm.core.synthetic_tables import synthetic_table
from sim2arm.sensors.markers import MarkerTracker, find_dots

SIZE = synthetic_table("gelsight-mini").size
PIXEL = SIZE[0] / 320
DIAMETER = 8.0
SPACING = 32.0
Floats = npt.NDArray[np.floating]


def rest_places() -> Floats:
    """Return 9 x 7 places, as on the gel of a GelSight Mini, x and y [pixels]."""
    x, y = np.meshgrid(160 + SPACING * (np.arange(9) - 4), 120 + SPACING * (np.arange(7) - 3))
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def moved(places: Floats, right: float) -> Floats:
    return places + np.array([right, 0.0])


def draw(places: Floats, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Return the picture of dark round dots on the gel, with noise of one level."""
    picture = synthetic_table("gelsight-mini", 3).background.astype(float)
    v, u = np.mgrid[0:240, 0:320]
    for x, y in places:
        edge = 0.5 * DIAMETER - np.hypot(u - x, v - y)
        cover = np.clip(edge + 0.5, 0.0, 1.0)[..., None]
        picture = picture * (1.0 - cover) + 25.0 * cover
    noise = np.random.default_rng(seed).normal(0.0, 1.0, picture.shape)
    return np.floor((picture + noise).clip(0, 255) + 0.5).astype(np.uint8)


def order(tracker: MarkerTracker) -> npt.NDArray[np.int64]:
    """Return which of `rest_places` each of the tracker's dots is."""
    away = np.linalg.norm(tracker.rest[:, None] - rest_places()[None], axis=-1)
    return away.argmin(axis=1)


@pytest.fixture(scope="module")
def rest_picture() -> npt.NDArray[np.uint8]:
    return draw(rest_places())


def make_tracker(rest_picture: npt.NDArray[np.uint8]) -> MarkerTracker:
    return MarkerTracker(rest_picture, size=SIZE, diameter_px=DIAMETER)


def test_dots_are_found_to_a_twentieth_of_a_pixel(rest_picture: npt.NDArray[np.uint8]) -> None:
    tracker = make_tracker(rest_picture)
    assert sorted(order(tracker).tolist()) == list(range(63))
    assert np.abs(tracker.rest - rest_places()[order(tracker)]).max() < 0.05
    places = rest_places() + np.random.default_rng(1).uniform(-3, 3, (63, 2))
    found = find_dots(draw(places), DIAMETER)
    nearest = np.linalg.norm(found[:, None] - places[None], axis=-1).min(axis=1)
    assert len(found) == 63 and nearest.max() < 0.15


@pytest.mark.parametrize("kind", ["shift", "twist", "spread"])
def test_displacements_are_those_of_the_skin(
    rest_picture: npt.NDArray[np.uint8], kind: str
) -> None:
    """In metres, within 0.1 pixels, which are 6 micrometres."""
    places, middle = rest_places(), np.array([160.0, 120.0])
    field = {
        "shift": np.broadcast_to([6.0, -4.5], places.shape),
        "twist": (places - middle)[:, ::-1] * [-0.05, 0.05],
        "spread": 0.04 * (places - middle),
    }[kind]
    tracker = make_tracker(rest_picture)
    shear = tracker.track(draw(places + field, 3))
    assert shear.found.all()
    off = shear.displacement - field[order(tracker)] * PIXEL
    assert np.linalg.norm(off, axis=-1).max() < 0.1 * PIXEL


def test_a_long_way_is_followed_step_by_step(rest_picture: npt.NDArray[np.uint8]) -> None:
    """24 pixels, three quarters of the way to the next dot, in steps of 8; then back by reset."""
    inner = rest_places().reshape(7, 9, 2)[1:-1, 1:-1].reshape(-1, 2)
    tracker = make_tracker(draw(inner))
    for k in (1, 2, 3):
        shear = tracker.track(draw(moved(inner, 8.0 * k), k))
    assert shear.found.all()
    np.testing.assert_allclose(shear.displacement[:, 0], 24.0 * PIXEL, atol=0.2 * PIXEL)
    tracker.reset()
    assert np.abs(tracker.track(draw(inner, 9)).displacement).max() < 0.2 * PIXEL


def test_dots_that_are_hidden_are_said_to_be(rest_picture: npt.NDArray[np.uint8]) -> None:
    tracker = make_tracker(rest_picture)
    three = moved(rest_places(), 3.0)
    tracker.track(draw(three, 2))
    shear = tracker.track(draw(moved(three[5:], 1.0), 4))
    hidden = np.isin(order(tracker), range(5))
    np.testing.assert_array_equal(shear.found, ~hidden)
    # They keep what was last known of them; the others moved on.
    np.testing.assert_allclose(shear.displacement[hidden, 0], 3.0 * PIXEL, atol=0.2 * PIXEL)
    np.testing.assert_allclose(shear.displacement[~hidden, 0], 4.0 * PIXEL, atol=0.2 * PIXEL)


def test_what_cannot_be_tracked_is_refused(rest_picture: npt.NDArray[np.uint8]) -> None:
    plain = np.full((240, 320, 3), 120, np.uint8)
    assert len(find_dots(plain, DIAMETER)) == 0
    with pytest.raises(ValueError, match=r"expected 4 or more dots of 8 pixels .* got 0"):
        make_tracker(plain)
    with pytest.raises(ValueError, match="diameter_px: expected 2 or more, got 1"):
        find_dots(plain, 1.0)
    with pytest.raises(ValueError, match=r"picture: expected \(240, 320, 3\), as at rest"):
        make_tracker(rest_picture).track(plain[:100])
    assert not make_tracker(rest_picture).track(plain).found.any()
