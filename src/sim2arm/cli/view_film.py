"""Many worlds as a video: a tile each, contact forces as arrows, a frame that tells success."""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from sim2arm.sim.contact_forces import ContactForces, contact_forces
from sim2arm.sim.scene_view import model_of, parameter, read
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.compiled import find
from sim2arm.sim.worlds.mujoco import MujocoWorld
from sim2arm.sim.worlds.rendering import renderer_name

from .arrows import Lens, draw_arrows
from .film_scene import CLOSE, OVERVIEW
from .playback import Actions
from .progress import Progress
from .shows import Moment, Show
from .video import RAY_CASTER, FilmCfg, Mp4, Picture, draw_caption, shrink
from .view_colors import ARROW_COLOR, FAILED, METRES_PER_NEWTON, PAPER, SUCCEEDED

WIDTH = 960
"""Of the picture, about [pixels]."""
NARROWEST = 64
"""Of a tile [pixels]."""
LEAST_ARROWS = 160
"""Width of a tile from which on arrows are drawn: in smaller ones they would hide the scene."""


@dataclass(frozen=True, kw_only=True)
class ViewFilm:
    """What was filmed."""

    path: Path
    episodes: int
    succeeded: int
    frames: int
    renderer: str
    width: int
    height: int


def film(
    show: Show,
    path: Path,
    *,
    seed: int,
    episodes: int,
    actions: Actions,
    camera: Literal["overview", "close"] = "overview",
    cfg: FilmCfg | None = None,
    width: int = WIDTH,
) -> ViewFilm:
    """Play seeded episodes and film them: one world by both cameras, several by one.

    Args:
        show: what is filmed.
        path: file to write.
        seed: of the first episode.
        episodes: how many.
        actions: what moves the arms.
        camera: that of several worlds.
        cfg: rate and quality; sizes follow from `width`.
        width: of the picture, about [pixels].
    """
    shown = min(show.num_worlds, episodes)
    name = {"overview": OVERVIEW, "close": CLOSE}[camera]
    views = [(i, name) for i in range(shown)] if shown > 1 else [(0, OVERVIEW), (0, CLOSE)]
    with _Crew(show, path, views, cfg or FilmCfg(), width) as crew:
        for first in range(seed, seed + episodes, show.num_worlds):
            count = min(show.num_worlds, seed + episodes - first)
            show.play(range(first, first + count), lambda: actions, crew.record)
    return crew.result()


class _Crew:
    """Draws moments of a show into a file."""

    def __init__(
        self, show: Show, path: Path, views: Sequence[tuple[int, str]], cfg: FilmCfg, width: int
    ) -> None:
        self._show, self._path, self._cfg = show, path, cfg
        self._mosaic = Mosaic(views, width)
        self._mp4: Mp4 | None = None
        self._episodes = self._succeeded = self._steps = 0
        self._renderer, self._stride = "", 1

    def record(self, moment: Moment) -> None:
        """Take a picture if it is time for one; the end of a round always, and it stands a while.

        What draws, and so how many pictures there are, the first moment tells.
        """
        if self._mp4 is None:
            self._mp4 = self._begin(moment.world)
        over = not moment.running.any()
        if moment.step == 1 or moment.step % self._stride == 0 or over:
            self._mosaic.draw(moment, fresh=moment.step == 1)
        if moment.step % self._stride == 0 or over:
            self._write(self._mp4, moment, over)
        if over:
            self._episodes += len(moment.seeds)
            self._succeeded += int(moment.success.sum())
        self._steps += 1
        self._progress.update(self._steps)

    def result(self) -> ViewFilm:
        """Return what was filmed."""
        assert self._mp4 is not None  # there was an episode
        return ViewFilm(
            path=self._path,
            episodes=self._episodes,
            succeeded=self._succeeded,
            frames=self._mp4.frames,
            renderer=self._renderer,
            width=self._mosaic.width,
            height=self._mosaic.height + self._cfg.caption,
        )

    def __enter__(self) -> _Crew:
        self._progress = Progress("film", None, "steps")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.close()
        if self._mp4 is not None:
            self._mp4.__exit__(kind, error, trace)

    def _begin(self, world: World) -> Mp4:
        cfg = self._cfg
        self._renderer = renderer_name() if isinstance(world, MujocoWorld) else RAY_CASTER
        slow = self._renderer == RAY_CASTER and world.device.type == "cpu"
        self._stride = cfg.slow_stride if slow else cfg.stride
        self._mosaic.rays = 1 if slow else cfg.rays
        rate = Fraction(round(1.0 / self._show.period), self._stride * cfg.slowdown)
        size = (self._mosaic.width, self._mosaic.height + cfg.caption)
        return Mp4(self._path, *size, rate, cfg.quality)

    def _write(self, mp4: Mp4, moment: Moment, over: bool) -> None:
        picture = self._mosaic.picture(moment)
        line = self._line(moment, over)
        frame = np.concatenate([picture, draw_caption(line, picture.shape[1], self._cfg.caption)])
        for _ in range(1 + over * round(self._cfg.hold * float(mp4.rate))):
            mp4.write(frame)

    def _line(self, moment: Moment, over: bool) -> tuple[str, str, str]:
        """Return the words of the caption: what, when, how it ended."""
        first, last = moment.seeds[0], moment.seeds[-1]
        seeds = f"seed {first}" if first == last else f"seeds {first}-{last}"
        slow = f"     speed 1/{self._cfg.slowdown}" if self._cfg.slowdown > 1 else ""
        when = f"{moment.step * self._show.period:.2f} s{slow}"
        solved, count = int(moment.success.sum()), len(moment.seeds)
        outcome = "success" if count == 1 else f"{solved} of {count} succeeded"
        return f"{self._show.name}     {seeds}", when, (outcome if solved else "no success") * over


class Mosaic:
    """Tiles beside each other, each a camera's view of a world.

    Attributes:
        width, height: of the whole [pixels].
        rays: samples per pixel along each axis.
    """

    def __init__(self, views: Sequence[tuple[int, str]], width: int) -> None:
        """Divide the picture.

        Args:
            views: world and camera of each tile.
            width: about that of the whole [pixels].
        """
        self._views = list(views)
        self._columns = math.ceil(math.sqrt(len(views)))
        rows = math.ceil(len(views) / self._columns)
        wide = max(NARROWEST, width // self._columns)
        self._size = (wide - wide % 4, 3 * (wide // 4) - 3 * (wide // 4) % 2)
        self.width, self.height = self._columns * self._size[0], rows * self._size[1]
        self._tiles = np.zeros((len(views), self._size[1], self._size[0], 3), dtype=np.uint8)
        self.rays = 1

    def draw(self, moment: Moment, *, fresh: bool) -> None:
        """Draw the tiles of worlds that belong to their episodes; `fresh`: all tiles."""
        for camera in dict.fromkeys(camera for _, camera in self._views):
            tiles = [
                (tile, world)
                for tile, (world, name) in enumerate(self._views)
                if name == camera and (fresh or moment.shown[world])
            ]
            if tiles:
                self._draw_by(moment.world, camera, tiles)

    def picture(self, moment: Moment) -> Picture:
        """Return the whole (height, width, 3), with a frame around episodes that are over."""
        wide, high = self._size
        whole = np.full((self.height, self.width, 3), PAPER, dtype=np.uint8)
        for tile, (world, _) in enumerate(self._views):
            row, column = divmod(tile, self._columns)
            part = whole[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
            part[:] = self._tiles[tile]
            part[:, -1] = part[-1] = PAPER
            if world < len(moment.seeds) and not moment.running[world]:
                _frame(part, SUCCEEDED if moment.success[world] else FAILED)
        return whole

    def _draw_by(self, world: World, camera: str, tiles: list[tuple[int, int]]) -> None:
        wide, high = self._size
        ids = [i for _, i in tiles]
        pictures = world.render(camera, ids, self.rays * wide, self.rays * high)
        arrows = wide >= LEAST_ARROWS
        forces = contact_forces(world, ids) if arrows else None
        for (tile, i), drawn in zip(tiles, pictures, strict=True):
            self._tiles[tile] = shrink(drawn, self.rays)
            if forces is not None:
                draw_forces(self._tiles[tile], lens_of(world, camera, i, wide, high), forces, i)


def lens_of(world: World, camera: str, i: int, width: int, height: int) -> Lens:
    """Return a camera of a world, where it was when the world was last drawn."""
    number = find(model_of(world), "camera", camera)
    fovy = parameter(world, "cam_fovy")
    return Lens(
        position=read(world, "cam_xpos")[i, number].double().cpu().numpy(),
        rotation=read(world, "cam_xmat")[i, number].double().cpu().numpy().reshape(3, 3),
        fovy_deg=float(fovy[i % len(fovy), number]),
        width=width,
        height=height,
    )


def draw_forces(picture: Picture, lens: Lens, forces: ContactForces, i: int) -> None:
    """Draw the contact forces of world `i` into its picture."""
    rows = forces.worlds == i
    tails = forces.points[rows]
    ends = np.stack([tails, tails + METRES_PER_NEWTON * forces.forces[rows]], axis=1)
    draw_arrows(picture, lens.project(ends), ARROW_COLOR, max(1.5, lens.width / 200))


def _frame(part: Picture, color: tuple[int, int, int]) -> None:
    """Draw a frame along the edge of a tile, in place."""
    width = max(2, part.shape[1] // 80)
    part[:width] = part[-width:] = color
    part[:, :width] = part[:, -width:] = color
