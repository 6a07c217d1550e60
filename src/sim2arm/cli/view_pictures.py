"""What policies see in many worlds, side by side: as one picture, or as a video.

A world is a cell, in which the arrays of all cameras stand beside each other. Depth is grey, near
is bright, and in no grey where nothing was found.
"""

# pyright: standard

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sim2arm_ros.page_pictures import enlarge, grey_depth, grey_field

from .playback import Actions
from .progress import Progress
from .shows import Moment, Show
from .video import FilmCfg, Mp4, Picture, draw_caption, save_png
from .view_colors import PAPER

STEPS = (1, 25, 50, 75)
"""Control steps whose pictures a sheet shows."""
LEAST = 160
"""Pictures are enlarged by a whole number to at least so many rows [pixels]."""
GAP = 4
"""Between cells [pixels]."""
_CAPTION = 36


class _Enough(Exception):  # noqa: N818  # no error: it leaves a running episode
    """All pictures were taken."""


def contact_sheet(
    show: Show, path: Path, *, seed: int, actions: Actions, steps: Sequence[int] = STEPS
) -> str:
    """Write what the cameras see at the start of seeded episodes: a row per world.

    Args:
        show: episodes with cameras.
        path: PNG to write.
        seed: of the first world; the next ones have the next seeds.
        actions: what moves the arms.
        steps: control steps, a column each.

    Returns:
        A line that says what is there.
    """
    n = show.num_worlds
    seeds = range(seed, seed + n)
    columns: list[list[Picture | None]] = []
    names: list[str] = []

    def watch(moment: Moment) -> None:
        if moment.step == 1:
            names.extend(moment.pictures)
        if moment.step in steps:
            there = moment.shown
            columns.append([_cell(moment.pictures, i) if there[i] else None for i in range(n)])
        if moment.step >= max(steps):
            raise _Enough

    with suppress(_Enough):
        show.play(seeds, lambda: actions, watch)
    whole = _grid([column[i] for i in range(n) for column in columns], len(columns))
    taken = ", ".join(str(step) for step in steps[: len(columns)])
    line = (f"{show.name}     seeds {seeds[0]}-{seeds[-1]}", f"steps {taken}", "")
    whole = np.concatenate([whole, draw_caption(line, whole.shape[1], _CAPTION)])
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, whole)
    return f"{path}: {n} worlds at steps {taken}, each with {', '.join(names)}"


def film_pictures(
    show: Show,
    path: Path,
    *,
    seed: int,
    episodes: int,
    actions: Actions,
    cfg: FilmCfg | None = None,
) -> str:
    """Film what the cameras see in seeded episodes, all worlds side by side.

    Args:
        show: episodes with cameras.
        path: MP4 to write.
        seed: of the first episode.
        episodes: how many.
        actions: what moves the arms.
        cfg: rate and quality; the size follows from the pictures.

    Returns:
        A line that says what is there.
    """
    cfg, shown = cfg or FilmCfg(), min(show.num_worlds, episodes)
    rate = Fraction(round(1.0 / show.period), cfg.stride * cfg.slowdown)
    cells: list[Picture | None] = [None] * shown
    films: list[Mp4] = []  # one, once the size is known
    with ExitStack() as stack, Progress("film", None, "steps") as progress:

        def watch(moment: Moment) -> None:
            for i in range(shown):
                if moment.shown[i]:
                    cells[i] = _cell(moment.pictures, i)
                elif moment.step == 1:
                    cells[i] = None
            over = not moment.running.any()
            if moment.step % cfg.stride == 0 or over:
                frame = _frame(show, moment, cells, cfg.caption)
                if not films:
                    height, width = frame.shape[:2]
                    films.append(stack.enter_context(Mp4(path, width, height, rate, cfg.quality)))
                for _ in range(1 + over * round(cfg.hold * float(rate))):
                    films[0].write(frame)
            progress.update(moment.step)

        for first in range(seed, seed + episodes, show.num_worlds):
            count = min(show.num_worlds, seed + episodes - first)
            show.play(range(first, first + count), lambda: actions, watch)
    return f"{path}: {films[0].frames} pictures of what is seen in {shown} worlds"


def _frame(show: Show, moment: Moment, cells: Sequence[Picture | None], caption: int) -> Picture:
    """Return a picture of a video: the cells about as wide as high, and a line below."""
    some = next(cell for cell in cells if cell is not None)
    columns = max(1, round(math.sqrt(len(cells) * some.shape[0] / some.shape[1] * 4.0 / 3.0)))
    whole = _grid(cells, columns)
    whole = whole[: whole.shape[0] // 2 * 2, : whole.shape[1] // 2 * 2]  # as H.264 wants it
    line = (f"{show.name}     seeds {moment.seeds[0]}-{moment.seeds[-1]}",
            f"{moment.step * show.period:.2f} s", "")  # fmt: skip
    return np.concatenate([whole, draw_caption(line, whole.shape[1], caption)])


def _cell(pictures: Mapping[str, Tensor], world: int) -> Picture:
    """Return the newest pictures of all cameras of a world, beside each other."""
    parts: list[Picture] = []
    for name, values in pictures.items():
        picture = values[world].cpu().numpy()
        if picture.ndim > (3 if name.endswith("_rgb") else 2):
            picture = picture[-1]  # of a history
        parts.append(as_picture(name, picture))
    factor = math.ceil(LEAST / max(part.shape[0] for part in parts))
    height = factor * max(part.shape[0] for part in parts)
    large = [enlarge(part, factor) for part in parts]
    padded = [np.pad(part, ((0, height - len(part)), (0, 0), (0, 0))) for part in large]
    return np.concatenate(padded, axis=1)


def as_picture(name: str, seen: NDArray[Any]) -> Picture:
    """Return one frame of an array that cameras or gels give as colours (H, W, 3).

    Args:
        name: of the array: colours end in `_rgb`, fields of gels in `_field`; others are depth.
        seen: (H, W, 3) uint8, (gels, H, W, 3) [N], or (H, W) [m].
    """
    if name.endswith("_rgb"):
        return seen
    return grey_field(seen) if name.endswith("_field") else grey_depth(seen)


def _grid(cells: Sequence[Picture | None], columns: int) -> Picture:
    """Return cells of one size row by row; where there is none it stays empty."""
    high, wide = next(cell for cell in cells if cell is not None).shape[:2]
    rows = math.ceil(len(cells) / columns)
    shape = (rows * (high + GAP) - GAP, columns * (wide + GAP) - GAP, 3)
    whole = np.full(shape, PAPER, dtype=np.uint8)
    for k, cell in enumerate(cells):
        if cell is not None:
            top, left = (k // columns) * (high + GAP), (k % columns) * (wide + GAP)
            whole[top : top + high, left : left + wide] = cell
    return whole
