"""What views of a board show of a camera, and what the next one should show.

A lens is known where corners were seen; focal length and distance are told apart by tilted boards;
the lens near the corners of the picture by boards that reach there.
"""

# NumPy infers too little here.
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim2arm.core.driver_stage import FloatArray

from .board_views import BoardView

GRID = (4, 3)
"""Columns and rows of cells that the picture is divided into."""
ENOUGH = 12
"""Corners that a cell needs."""
TILTED = np.radians(20.0)
"""From which angle between board and picture a view counts as tilted."""
STEEP = np.radians(55.0)
"""Beyond it corners are found badly."""
SIDES = ("left", "right", "top", "bottom")
EACH = 2
"""Views that each kind of tilt needs."""
COLUMNS = {1: ("",), 2: ("left", "right"), 3: ("left", "middle", "right"),
           4: ("far left", "left", "right", "far right")}  # fmt: skip
ROWS = ("upper", "middle", "lower")


@dataclass(frozen=True, kw_only=True, eq=False)
class Coverage:
    """What was covered."""

    cells: FloatArray
    """(rows, columns) corners seen in each cell of the picture."""
    tilts: dict[str, int]
    """Views in which that side of the board is turned away from the camera, and `none`."""
    sizes: tuple[float, float]
    """Least and greatest share of the picture's width that the board had."""
    missing: tuple[str, ...]
    """What to do next, most urgent first; empty when nothing is missing."""

    @property
    def lines(self) -> list[str]:
        """The picture as a map of signs: `#` covered, `+` some, `.` nothing."""
        signs = np.where(self.cells >= ENOUGH, "#", np.where(self.cells > 0, "+", "."))
        return [" ".join(row) for row in signs]


def cover(
    views: Sequence[BoardView], T_camera_board: FloatArray, size: tuple[int, int]
) -> Coverage:
    """Return what views cover.

    Args:
        views: V of them, perhaps none.
        T_camera_board: (V, 4, 4) poses of the board [m]; those of a guessed lens will do.
        size: width and height of the pictures [pixels].
    """
    columns, rows = GRID
    cells = np.zeros((rows, columns))
    tilts: dict[str, int] = {side: 0 for side in (*SIDES, "none")}
    shares: list[float] = []
    for view, T in zip(views, T_camera_board, strict=True):
        place = (view.pixels / size * GRID).astype(int)
        inside = ((place >= 0) & (place < GRID)).all(axis=1)
        np.add.at(cells, (place[inside, 1], place[inside, 0]), 1.0)
        tilts[tilt_of(T)] += 1
        shares.append(float(np.ptp(view.pixels[:, 0]) / size[0]))
    sizes = (min(shares, default=0.0), max(shares, default=0.0))
    return Coverage(
        cells=cells, tilts=tilts, sizes=sizes, missing=tuple(_missing(cells, tilts, sizes))
    )


def tilt_of(T_camera_board: FloatArray) -> str:
    """Return which side of a board, as the picture shows it, is farther away; `none` if it faces.

    Args:
        T_camera_board: (4, 4).
    """
    normal = T_camera_board[:3, 2]
    normal = normal if normal[2] > 0 else -normal  # away from the camera
    if np.arccos(np.clip(normal[2], -1.0, 1.0)) < TILTED:
        return "none"
    # On the plane depth grows against the normal's components: dz/dx = -n_x / n_z.
    if abs(normal[0]) > abs(normal[1]):
        return "left" if normal[0] > 0 else "right"
    return "top" if normal[1] > 0 else "bottom"


def _missing(cells: FloatArray, tilts: dict[str, int], sizes: tuple[float, float]) -> list[str]:
    found: list[str] = []
    for side in SIDES:
        if tilts[side] < EACH:
            found.append(
                f"tilt the board by 30 to 45 degrees, its {side} edge away from the camera "
                f"({tilts[side]} of {EACH} views)"
            )
    empty = [
        f"{ROWS[row]} {COLUMNS[GRID[0]][column]}"
        for row in range(GRID[1])
        for column in range(GRID[0])
        if cells[row, column] < ENOUGH
    ]
    if empty:
        found.append(f"move the board so that it reaches the {', '.join(empty)} of the picture")
    if 0.0 < sizes[1] < 0.5:
        found.append(
            f"come closer: the board fills {100 * sizes[1]:.0f} % of the width at most, 60 % is "
            "better"
        )
    return found
