"""The ChArUco board: squares with markers in the white ones, so that parts of it are known, too.

The frame of the board has its origin at the upper left outer corner as printed, x to the right, y
down, z into the paper: seen by a camera that looks at it, z points away from the camera.
Source: S. Garrido-Jurado et al., "Automatic generation and detection of highly reliable fiducial
markers under occlusion", Pattern Recognition 47(6), 2014.
"""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sim2arm.core.driver_stage import FloatArray

from .board_views import BoardView

Image = npt.NDArray[np.uint8]
DICTIONARIES = {
    "4x4_50": cv2.aruco.DICT_4X4_50,
    "4x4_250": cv2.aruco.DICT_4X4_250,
    "5x5_100": cv2.aruco.DICT_5X5_100,
    "5x5_250": cv2.aruco.DICT_5X5_250,
    "6x6_250": cv2.aruco.DICT_6X6_250,
    "apriltag_36h11": cv2.aruco.DICT_APRILTAG_36h11,
}
"""Markers by name: bits, and how many there are."""


@dataclass(frozen=True, kw_only=True)
class BoardCfg:
    """A board as it was printed."""

    columns: int = 10
    """Squares from left to right."""
    rows: int = 7
    """Squares from top to bottom."""
    square_mm: float = 24.0
    """Side of a square as it was meant to be printed [mm]."""
    marker_mm: float = 17.0
    """Side of a marker, its black edge included [mm]."""
    dictionary: str = "5x5_100"
    """Markers, a name of `DICTIONARIES`."""
    ruler_mm: tuple[float, float] = (100.0, 100.0)
    """Lengths of the two rulers beside the board, measured on the paper, across and down [mm]; 100
    each if the printer kept the scale."""
    legacy: bool = False
    """Whether the board was made by OpenCV before 4.6 with an even number of rows."""

    def __post_init__(self) -> None:
        """Refuse what is no board."""
        if self.dictionary not in DICTIONARIES:
            raise ValueError(
                f"dictionary: expected one of {', '.join(DICTIONARIES)}, got {self.dictionary!r}"
            )
        if not (3 <= self.columns <= 40 and 3 <= self.rows <= 40):
            raise ValueError(f"columns, rows: expected 3 to 40, got {self.columns}, {self.rows}")
        if not 0.0 < self.marker_mm < self.square_mm < 1000.0:
            raise ValueError(
                "marker_mm, square_mm: expected a marker smaller than its square, got "
                f"{self.marker_mm:g} and {self.square_mm:g} mm"
            )
        if not all(90.0 <= length <= 110.0 for length in self.ruler_mm):
            raise ValueError(
                "ruler_mm: expected 90 to 110 mm, the lengths of the printed rulers of 100 mm, got "
                f"{self.ruler_mm}: measured in inches, or of another board?"
            )
        needed, there = self.columns * self.rows // 2, len(self._markers.bytesList)
        if needed > there:
            raise ValueError(
                f"dictionary {self.dictionary!r} has {there} markers, the board needs {needed}: "
                "take a larger one"
            )

    @property
    def _markers(self) -> cv2.aruco.Dictionary:
        return cv2.aruco.getPredefinedDictionary(DICTIONARIES[self.dictionary])

    @property
    def of_opencv(self) -> cv2.aruco.CharucoBoard:
        """The board as OpenCV knows it, in squares."""
        board = cv2.aruco.CharucoBoard(
            (self.columns, self.rows), 1.0, self.marker_mm / self.square_mm, self._markers
        )
        board.setLegacyPattern(self.legacy)
        return board

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as printed [m]."""
        x, y = self._square
        return self.columns * x, self.rows * y

    @property
    def _square(self) -> tuple[float, float]:
        """Sides of a square as the rulers say [m]."""
        across, down = self.ruler_mm
        return 1e-5 * self.square_mm * across, 1e-5 * self.square_mm * down

    @property
    def corners(self) -> FloatArray:
        """(K, 3) inner corners in the frame of the board, row by row [m]."""
        x, y = self._square
        v, u = np.mgrid[1 : self.rows, 1 : self.columns]
        flat = np.stack([x * u.ravel(), y * v.ravel(), np.zeros(u.size)], axis=-1)
        return flat

    def picture(self, pixels_per_square: int) -> Image:
        """Return the board (rows * n, columns * n) grey, without a margin, n pixels a square."""
        n = pixels_per_square
        return np.asarray(
            self.of_opencv.generateImage((self.columns * n, self.rows * n)), dtype=np.uint8
        )


class BoardFinder:
    """Finds the corners of one board in pictures."""

    def __init__(self, board: BoardCfg) -> None:
        """Prepare."""
        self.board = board
        self._corners = board.corners
        markers = cv2.aruco.DetectorParameters()
        markers.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
        chess = cv2.aruco.CharucoParameters()
        self._detector = cv2.aruco.CharucoDetector(board.of_opencv, chess, markers)

    def find(self, picture: Image, name: str) -> BoardView:
        """Return the corners in a picture, to fractions of a pixel; perhaps none.

        Args:
            picture: (rows, cols) or (rows, cols, 3) RGB.
            name: of the picture.
        """
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
        found, numbers, _, _ = self._detector.detectBoard(grey)
        if found is None or numbers is None or len(numbers) < 4:
            return _none(name)
        numbers = np.asarray(numbers, dtype=np.int64).ravel()
        where = np.ascontiguousarray(np.asarray(found, dtype=np.float32).reshape(-1, 1, 2))
        near = _spacing(where[:, 0].astype(np.float64), self._corners[numbers])
        # Within the white about a corner: edges of markers would draw it to themselves.
        white = 0.5 * (1.0 - self.board.marker_mm / self.board.square_mm)
        half = int(np.clip(0.9 * white * near, 2, 9))
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-3)
        fine = cv2.cornerSubPix(grey, where.copy(), (half, half), (-1, -1), criteria)
        moved = np.linalg.norm((fine - where)[:, 0], axis=1)
        pixels = np.where((moved < 0.5 * half + 1.0)[:, None], fine[:, 0], where[:, 0])
        height, width = grey.shape
        inside = ((pixels > half) & (pixels < (width - 1 - half, height - 1 - half))).all(axis=1)
        order = np.argsort(numbers[inside])
        chosen = numbers[inside][order]
        return BoardView(
            name=name,
            points=self._corners[chosen],
            pixels=pixels[inside][order].astype(np.float64),
        )


def _none(name: str) -> BoardView:
    return BoardView(name=name, points=np.zeros((0, 3)), pixels=np.zeros((0, 2)))


def _spacing(pixels: FloatArray, points: FloatArray) -> float:
    """Return the typical distance of neighbouring corners in the picture [pixels]."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    least = np.min(apart[apart > 0], initial=np.inf)
    pairs = np.argwhere(np.triu((apart > 0) & (apart < 1.05 * least)))
    far = np.linalg.norm(pixels[pairs[:, 0]] - pixels[pairs[:, 1]], axis=1)
    return float(np.quantile(far, 0.1)) if len(far) else 8.0
