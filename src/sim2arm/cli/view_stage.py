"""N worlds side by side on the page: meshes, contact forces, and below each how it ended."""

# pyright: standard

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sim2arm.sim.contact_forces import contact_forces
from sim2arm.sim.mesh_shapes import box
from sim2arm.sim.scene_view import Places, SceneView
from sim2arm.sim.worlds.base import World
from sim2arm_ros.page import Page

from .shows import Moment
from .view_colors import ARROW_COLOR, FAILED, METRES_PER_NEWTON, RUNNING, SUCCEEDED

Forces = Literal["none", "followed", "all"]
FloatArray: TypeAlias = NDArray[np.float32]

GAP = 0.35
"""Between the worlds [m]."""
SIGHT = np.array((0.75, -0.5, 0.45))
"""Where the eye is, seen from what it looks at, in parts of the distance."""
NEAR = 1.3
"""Distance from which one world is looked at [m]."""
PLATE = 0.01
"""Half the thickness of the plates: browsers cannot tell thinner ones from the ground [m]."""
MARK = "mark"
"""Name of the plates below the worlds."""


def grid_offsets(count: int, size: tuple[float, float]) -> FloatArray:
    """Return where in the plane the worlds stand (N, 3) [m]: rows along y, the first in front.

    Args:
        count: N.
        size: of the cell of a world in x and y [m].
    """
    columns = math.ceil(math.sqrt(count))
    row, column = np.divmod(np.arange(count), columns)
    return np.stack(
        [-row * size[0], column * size[1], np.zeros(count)], axis=-1
    ).astype(np.float32)  # fmt: skip


class Stage:
    """Shows moments of worlds on a page."""

    def __init__(self, page: Page) -> None:
        """Begin with an empty page; the first moment tells what there is to show."""
        self._page = page
        self._view: SceneView | None = None
        self._world: World | None = None
        self._places: list[Places] = []
        self._drawn: tuple[int, ...] = ()
        self.followed = 0
        self.forces: Forces = "followed"

    @property
    def offsets(self) -> FloatArray:
        """Where the worlds stand, (N, 3) [m]."""
        return self._offsets

    def draw(self, moment: Moment, *, first: bool) -> None:
        """Show a moment; `first` of a round: sizes and colours too."""
        if self._world is not moment.world:
            self._begin(moment.world)
            first = True
        assert self._view is not None
        if first:
            self._dress(self._view)
        news = self._view.places(moving_only=not first)
        moved: dict[str, tuple[Any, Any]] = {}
        for i, (form, new) in enumerate(zip(self._view.forms, news, strict=True)):
            if new is None:
                continue
            old, shown = self._places[i], moment.shown[:, None, None]
            if not first:  # an episode that is over keeps its last picture
                new = Places(
                    positions=np.where(shown, new.positions, old.positions),
                    turns=np.where(shown, new.turns, old.turns),
                )
            self._places[i] = new
            moved[form.name] = self._placed(new)
        self._page.move_meshes(moved)
        self._draw_forces(moment)
        self._mark(moment)

    def follow(self, world: int) -> None:
        """Look at another world, from where the last one was looked at."""
        before, self.followed = self.followed, world
        if self._view is not None:
            self._page.shift_cameras(self._offsets[world] - self._offsets[before])
            self._label()

    def go_near(self) -> None:
        """Look at the followed world from near."""
        if self._view is not None:
            target = self._offsets[self.followed] + np.array((self._top[0], self._top[1], 0.15))
            self._page.turn_cameras((target + NEAR * SIGHT).tolist(), target.tolist())

    def _begin(self, world: World) -> None:
        """Put the meshes of a scene on the page, or go on with those that are there."""
        view, fresh = SceneView(world), self._world is None
        self._view, self._world = view, world
        self._places = [place for place in view.places() if place is not None]
        if not fresh:  # the same scene, compiled again
            return
        low, high = view.bounds()
        size = high - low
        self._offsets = grid_offsets(world.num_worlds, (size[0] + GAP, size[1] + GAP))
        floor = float(low[2]) if view.ground is None else view.ground
        self._page.add_ground(floor)
        for form, place in zip(view.forms, self._places, strict=True):
            self._page.add_meshes(
                form.name, form.triangles.vertices, form.triangles.faces, *self._placed(place)
            )
        plate = box()
        middle = self._offsets + np.array((*(0.5 * (low + high))[:2], floor + PLATE))
        self._page.add_meshes(
            MARK,
            plate.vertices,
            plate.faces,
            middle,
            np.tile((1.0, 0.0, 0.0, 0.0), (len(middle), 1)),
        )
        half = 0.5 * (size + 0.6 * GAP)
        self._plate = np.tile((half[0], half[1], PLATE), (len(middle), 1))
        self._top = np.array([*(0.5 * (low + high))[:2], high[2] + 0.1])
        self._aim(world.num_worlds, low, high, floor)
        self._label()

    def _aim(self, count: int, low: FloatArray, high: FloatArray, floor: float) -> None:
        """Let the whole grid be seen from in front, half from above."""
        spread = np.ptp(self._offsets, axis=0)
        middle = 0.5 * (low + high) + 0.5 * (self._offsets.min(axis=0) + self._offsets.max(axis=0))
        middle[2] = 0.5 * max(low[2], floor) if count > 1 else 0.1
        distance = 1.7 + 0.8 * float(np.linalg.norm(spread))
        self._page.look((middle + distance * SIGHT).tolist(), middle.tolist())

    def _dress(self, view: SceneView) -> None:
        for form, look in zip(view.forms, view.looks(), strict=True):
            self._page.color_meshes(
                form.name,
                look.scales.reshape(-1, 3),
                look.colors.reshape(-1, 3),
                look.opacities.reshape(-1),
            )
        self._drawn = ()

    def _placed(self, place: Places) -> tuple[FloatArray, FloatArray]:
        """Return the places of all worlds in one list, (N K, 3) and (N K, 4)."""
        positions = place.positions + self._offsets[:, None]
        return positions.reshape(-1, 3), place.turns.reshape(-1, 4)

    def _draw_forces(self, moment: Moment) -> None:
        shown = np.flatnonzero(moment.shown).tolist()
        if self.forces == "followed":
            shown = [i for i in shown if i == self.followed]
        if self.forces == "none" or not shown:
            self._page.draw_arrows(np.empty((0, 2, 3)), ARROW_COLOR)
            return
        found = contact_forces(moment.world, shown)
        tails = found.points + self._offsets[found.worlds]
        self._page.draw_arrows(
            np.stack([tails, tails + METRES_PER_NEWTON * found.forces], axis=1), ARROW_COLOR
        )

    def _mark(self, moment: Moment) -> None:
        """Colour the plates, when something has changed."""
        state = np.where(moment.running, 0, np.where(moment.success, 1, 2))
        state[len(moment.seeds) :] = 0
        if tuple(state) == self._drawn:
            return
        self._drawn = tuple(state)
        colors = np.array((RUNNING, SUCCEEDED, FAILED), dtype=np.uint8)[state]
        self._page.color_meshes(MARK, self._plate, colors, np.ones(len(state)))

    def _label(self) -> None:
        """Name the followed world, where there are others."""
        if len(self._offsets) == 1:
            return
        place = self._offsets[self.followed] + self._top
        self._page.label(f"world {self.followed}", place.tolist())
