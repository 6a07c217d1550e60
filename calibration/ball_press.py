"""From presses of a ball to a gradient table: samples under the contacts, and the fit.

Under a ball of radius R whose middle is c the skin follows the ball: at p the components of its
unit normal are n = (c - p) / R, whatever the depth. So every pixel under a contact says what colour
a known slope has at a known place. The table is what explains them: six coefficients per node,
bilinear between nodes, as smooth from node to node as the samples allow, outliers weighed less
(Huber). The node without slope stays 0.
"""

# SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

from sim2arm.core.gradient_table import FloatArray, corners, forms

from .contact_circle import Circle

HUBER = 1.345
"""In standard deviations: where residuals begin to count less (95 % efficient for normal ones)."""
ROBUST_ROUNDS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """M pixels under contacts of one ball."""

    place: FloatArray
    """(M, 2) in metres from the upper left corner of the picture."""
    middle: FloatArray
    """(M, 2) of the ball that touches there, likewise."""
    change: FloatArray
    """(M, 3) RGB less the background [grey levels]."""
    press: npt.NDArray[np.int64]
    """(M,) number of the press."""
    radius: float
    """Of the ball [m]."""
    size: tuple[float, float]
    """Of the picture [m]."""

    @property
    def n(self) -> FloatArray:
        """(M, 2) components of the unit normal."""
        return (self.middle - self.place) / self.radius

    @property
    def forms(self) -> FloatArray:
        """(M, 6) `FORMS` at the places."""
        x, y = (2.0 * self.place / np.array(self.size) - 1.0).T
        return forms(x, y)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Samples:
        """Return those samples for which `chosen` (M,) holds."""
        return Samples(
            place=self.place[chosen],
            middle=self.middle[chosen],
            change=self.change[chosen],
            press=self.press[chosen],
            radius=self.radius,
            size=self.size,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A table and what it rests on."""

    coefficients: FloatArray
    """(B, B, 3, 6), all nodes filled."""
    seen: npt.NDArray[np.int64]
    """(B, B) how many presses touched a node."""

    def predict(self, samples: Samples) -> FloatArray:
        """Return the change of colour (M, 3) of samples."""
        return predict(self.coefficients, samples.n, samples.forms)


def contact_pixels(
    circle: Circle, shape: tuple[int, int], pixel: tuple[float, float], margin_px: float
) -> npt.NDArray[np.bool_]:
    """Return which pixels (rows, cols) lie under a contact, `margin_px` inside its edge."""
    x, y = (np.arange(shape[1]) + 0.5) * pixel[0], (np.arange(shape[0]) + 0.5) * pixel[1]
    inside = circle.radius - margin_px * max(pixel)
    far = (x[None] - circle.x) ** 2 + (y[:, None] - circle.y) ** 2
    return (far < inside * inside) if inside > 0 else np.zeros(shape, dtype=bool)


def take_samples(
    pictures: Sequence[npt.NDArray[np.uint8]],
    background: npt.NDArray[np.float32],
    circles: Sequence[Circle],
    *,
    radius: float,
    size: tuple[float, float],
    margin_px: float,
    most: int,
    rng: np.random.Generator,
) -> Samples:
    """Return the pixels under contacts, at most `most` per press, drawn at random.

    Args:
        pictures: (rows, cols, 3) of each press.
        background: (rows, cols, 3) of the flat gel.
        circles: contact of each press.
        radius: of the ball [m].
        size: width and height of what the pictures show [m].
        margin_px: how far inside the edges of contacts [pixels].
        most: samples per press.
        rng: draws the pixels.
    """
    rows, cols = background.shape[:2]
    pixel = (size[0] / cols, size[1] / rows)
    parts: list[list[FloatArray]] = [[], [], [], []]
    for k, (picture, circle) in enumerate(zip(pictures, circles, strict=True)):
        v, u = np.nonzero(contact_pixels(circle, (rows, cols), pixel, margin_px))
        if len(v) > most:
            chosen = rng.choice(len(v), most, replace=False)
            v, u = v[chosen], u[chosen]
        place = np.stack([(u + 0.5) * pixel[0], (v + 0.5) * pixel[1]], axis=-1)
        parts[0].append(place)
        parts[1].append(np.broadcast_to([circle.x, circle.y], place.shape))
        parts[2].append(picture[v, u].astype(np.float64) - background[v, u])
        parts[3].append(np.full(len(v), k))
    place, middle, change, press = (np.concatenate(part) for part in parts)
    return Samples(
        place=place,
        middle=middle,
        change=change,
        press=press.astype(np.int64),
        radius=radius,
        size=size,
    )


def fit_table(samples: Samples, nodes: int, smoothness: float) -> Fit:
    """Return the table that explains the samples.

    Args:
        samples: M >= 1.
        nodes: of the table, along each axis.
        smoothness: how much second differences between nodes count, in samples per node.
    """
    around, weights = corners(samples.n, nodes)
    zero = (nodes * nodes) // 2
    used = np.unique(around[weights > 0.0])
    used = used[used != zero]
    number = np.full(nodes * nodes, -1)
    number[used] = np.arange(len(used))
    design: Any = _design(number[around], weights, samples.forms, len(used))
    per_node = len(samples.place) / max(len(used), 1)
    rough = smoothness * per_node * _roughness(number.reshape(nodes, nodes), len(used), zero)
    trust = np.ones(len(samples.place))
    solved = np.zeros((design.shape[1], 3))
    for _ in range(ROBUST_ROUNDS):
        weighted = design.multiply(trust[:, None]).tocsr()
        square = (weighted.T @ design + rough).tocsc()
        factor = splu(square, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        solved = factor.solve(weighted.T @ samples.change)
        off = np.linalg.norm(samples.change - design @ solved, axis=1)
        scale = max(float(np.median(off)) / 1.538, 1e-3)  # of |r| for three normal channels
        trust = np.minimum(1.0, HUBER * np.sqrt(3.0) * scale / np.maximum(off, 1e-9))
    table = np.zeros((nodes * nodes, 3, 6))
    table[used] = solved.reshape(len(used), 6, 3).transpose(0, 2, 1)
    filled = _fill(table.reshape(nodes, nodes, 3, 6), np.append(used, zero))
    return Fit(coefficients=filled, seen=_presses_at(around, weights, samples.press, nodes))


def refine_middles(samples: Samples, fit: Fit, *, most: float) -> Samples:
    """Return the samples with the middle of each ball moved to where the table explains it best.

    One step of Gauss-Newton per press. The mean of all moves is taken out, because a common one
    would only move the table.

    Args:
        samples: as fitted.
        fit: their table.
        most: longest move [m].
    """
    nudge = 1e-3
    here, basis = fit.predict(samples), samples.forms
    change = [
        predict(fit.coefficients, samples.n + nudge * axis, basis) - here
        for axis in np.eye(2)  # a middle that moves by R dn turns every normal by dn
    ]
    slope = np.stack(change, axis=-1) / (nudge * samples.radius)  # (M, 3, 2)
    off = samples.change - here
    size = np.linalg.norm(off, axis=1)
    trust = 1.0 / np.maximum(size, max(float(np.median(size)), 1e-9))
    count = int(samples.press.max()) + 1
    moves = np.zeros((count, 2))
    for k in range(count):
        mine = samples.press == k
        if not mine.any():
            continue
        a = (slope[mine] * trust[mine, None, None]).reshape(-1, 2)
        b = (off[mine] * trust[mine, None]).ravel()
        move = np.linalg.lstsq(a, b, rcond=None)[0]
        moves[k] = move * min(1.0, most / max(float(np.linalg.norm(move)), 1e-12))
    moves -= moves.mean(axis=0)
    return Samples(
        place=samples.place,
        middle=samples.middle + moves[samples.press],
        change=samples.change,
        press=samples.press,
        radius=samples.radius,
        size=samples.size,
    )


def predict(table: FloatArray, n: FloatArray, basis: FloatArray) -> FloatArray:
    """Return the change of colour (M, 3) for normals (M, 2) and `FORMS` (M, 6)."""
    where, weights = corners(n, len(table))
    flat = table.reshape(-1, 3, 6)
    return sum(
        weights[:, k, None] * np.einsum("mcf,mf->mc", flat[where[:, k]], basis) for k in range(4)
    )  # type: ignore[return-value]


def _design(
    number: npt.NDArray[np.int64], weights: FloatArray, basis: FloatArray, count: int
) -> Any:
    """Return (M, count * 6): what each coefficient adds to each sample."""
    columns = number[:, :, None] * 6 + np.arange(6)  # (M, 4, 6)
    values = weights[:, :, None] * basis[:, None]
    rows = np.broadcast_to(np.arange(len(number))[:, None, None], columns.shape)
    known = np.broadcast_to((number >= 0)[:, :, None] & (weights > 0.0)[:, :, None], columns.shape)
    return sparse.csr_matrix(
        (values[known], (rows[known], columns[known])), shape=(len(number), 6 * count)
    )


def _roughness(number: npt.NDArray[np.int64], count: int, zero: int) -> Any:
    """Return (6 count, 6 count): the sum of squares of second differences along both axes."""
    rows: list[Any] = []
    there = number >= 0
    there.flat[zero] = True
    for axis in (0, 1):
        n, ok = np.moveaxis(number, axis, 0), np.moveaxis(there, axis, 0)
        full = ok[:-2] & ok[1:-1] & ok[2:]
        triples = np.stack([n[:-2][full], n[1:-1][full], n[2:][full]], axis=-1)  # (D, 3)
        values = np.broadcast_to([1.0, -2.0, 1.0], triples.shape)
        row = np.broadcast_to(np.arange(len(triples))[:, None], triples.shape)
        kept = triples >= 0  # the node without slope is 0
        rows.append(
            sparse.csr_matrix(
                (values[kept], (row[kept], triples[kept])), shape=(len(triples), count)
            )
        )
    second = sparse.vstack(rows).tocsr()
    tie = second.T @ second + 1e-6 * sparse.identity(count)
    return sparse.kron(tie, sparse.identity(6)).tocsr()


def _fill(table: FloatArray, known: npt.NDArray[np.int64]) -> FloatArray:
    """Return the table with the nearest known node in every other one."""
    missing = np.ones(table.shape[:2], dtype=bool)
    missing.flat[known] = False
    nearest: Any = ndimage.distance_transform_edt(
        missing, return_distances=False, return_indices=True
    )
    return table[tuple(nearest)]


def _presses_at(
    around: npt.NDArray[np.int64],
    weights: FloatArray,
    press: npt.NDArray[np.int64],
    nodes: int,
) -> npt.NDArray[np.int64]:
    """Return (B, B): how many presses have a sample of which a node is the main part."""
    main = np.take_along_axis(around, weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    pairs = np.unique(np.stack([main, press]), axis=1)
    return np.bincount(pairs[0], minlength=nodes * nodes).reshape(nodes, nodes)
