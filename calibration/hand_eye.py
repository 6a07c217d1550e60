"""Hand-eye calibration: where the camera is on the tool or beside the arm, and how surely.

Each view gives a pose of the board with its own uncertainty, from the corners in the picture
(`bundle`); the arm is inexact by a shift and a turn of the tool that are estimated with everything
else (restricted maximum likelihood). Camera, board and, if asked for, joint offsets are then what
explains all views best, each residual weighed by what it is worth; views whose residual is not
explained by both errors lose their weight (Student's t) and are left out and named.

Sources: K. Strobl and G. Hirzinger, "Optimal hand-eye calibration", IROS 2006 (weights of both
errors); D. Harville, "Maximum likelihood approaches to variance component estimation", JASA 72,
1977; K. Lange et al., "Robust statistical modeling using the t distribution", JASA 84, 1989.
"""

# SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2
from scipy.stats import t as student

from sim2arm.core.driver_stage import FloatArray

from .board_pose import solve_poses
from .board_views import BoardView, Corners
from .bundle import fit, seen_points
from .hand_eye_fit import (
    EXPECTED,
    PoseViews,
    State,
    distances,
    information,
    predicted,
    sensitivity,
    solve,
)
from .hand_eye_model import Arm, Mount, difference, inverse
from .hand_eye_start import rotation_vectors, start
from .lens import Lens, project

METHOD = (
    "Least squares of the board's poses over all views, weighed by the errors of picture and arm "
    "(Strobl and Hirzinger 2006; variances by restricted maximum likelihood), Student's t against "
    "outliers; start: Park and Martin 1994 over subsets of views"
)
LEAST_POSES = 5
LEAST_ROTATION = math.radians(30.0)
"""Of the tool between two views."""
LEAST_ANGLE = math.radians(15.0)
"""Between the axes of these rotations."""
TURNED = math.radians(10.0)
"""From which rotation on its axis counts."""
CHANCE = 1e-5
"""Chance at which a right view would be left out."""
MOST_WRONG = 0.4
"""Share of views that may be wrong; with more nobody knows which ones are right."""
LEAST_CORNERS = 6
PARTS = (slice(0, 3), slice(3, 6))
"""Of a small move: shift and turn; the median length of 3 normal numbers is 1.54 deviations."""
MOST_INEXACT = np.array([0.01, math.radians(2.0)])
"""Of an arm, shift [m] and turn [rad]; beyond it the views do not agree."""
LARGEST_OFFSET = math.radians(1.0)
"""Half of the 95 % interval of a joint offset beyond which it counts as unknown."""


@dataclass(frozen=True, kw_only=True)
class HandEyeCfg:
    """How it is found and when it is accepted."""

    mount: Mount = "eye-in-hand"
    """eye-in-hand: the camera moves with the tool; eye-to-hand: the board does."""
    joints: bool = False
    """Whether joint offsets are found as well."""
    folds: int = 5
    """Parts of the views that are left out in turn."""
    limit_mm: float = 3.0
    """Largest error of held-out points that is accepted, root mean square [mm]."""
    seed: int = 0
    """Of subsets and parts."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.folds < 2 or not self.limit_mm > 0:
            raise ValueError("folds: expected 2 or more; limit_mm more than 0")


@dataclass(frozen=True, kw_only=True, eq=False)
class HandEyeCalibration:
    """What was found of N views."""

    mount: Mount
    names: tuple[str, ...]
    X: FloatArray
    """(4, 4) pose of the camera's optical frame in the tool (in hand) or in the base [m]."""
    Y: FloatArray
    """(4, 4) pose of the board in the base (in hand) or in the tool [m]."""
    offsets: FloatArray
    """(n,) to add to measured joints [rad]; zeros unless asked for."""
    sigma: FloatArray
    """(12 + n,) of X, Y: shift along and turn about the axes of their outer frames [m, rad]; of
    offsets [rad]. 1.96 of them are the half of a 95 % interval; zero for what was not fitted."""
    noise: tuple[float, float, float]
    """Of a corner [pixels], of the arm: shift [m] and turn [rad] per axis."""
    wrong: tuple[int, ...]
    """Views that were left out."""
    rejected: dict[str, str]
    """Why, by name, also of those without a pose, which are not among `names`."""
    residuals: FloatArray
    """(N, 6) of the board's pose in the camera [m, rad]."""
    distance: FloatArray
    """(N,) of the residuals in standard deviations."""
    held_out: FloatArray
    """(N, 3): error of the board's corners in space [m], root mean square; turn of the board [rad];
    error in the picture [pixels]; of each view by a calibration of others."""
    T_camera_board: FloatArray
    """(N, 4, 4) as seen [m]."""
    started_at: FloatArray
    """(4, 4) X of the closed form [m]."""
    information: FloatArray
    """(12 + n, 12 + n) of what was fitted, `sigma`'s rows; zero rows for the others."""
    arm: Arm
    lens: Lens


def calibrate_hand_eye(
    views: Sequence[BoardView],
    arm: Arm,
    lens: Lens,
    cfg: HandEyeCfg | None = None,
    *,
    lens_covariance: FloatArray | None = None,
) -> HandEyeCalibration:
    """Return the camera's pose that explains N views.

    Args:
        views: corners of the board in N pictures, all of the lens's size.
        arm: where the tool was in each.
        lens: the camera.
        cfg: how.
        lens_covariance: (P, P) of the lens's numbers, which makes the result less sure; a lens
            without is taken for exact.

    Raises:
        ValueError: too few views, motions from which it cannot be told, more than `MOST_WRONG` of
            the views do not agree, or joint offsets that do not show; one line with what to do.
    """
    cfg = cfg or HandEyeCfg()
    if cfg.joints and arm.q is None:
        raise ValueError("joint offsets need joint positions, and these views have tool poses")
    views, arm, rejected = _with_board(views, arm)
    check_motion(arm.T_base_tool)
    found, noise_px, by_lens = _look(views, arm, lens, cfg.mount)
    first, found = _begin(found, views, lens, cfg)
    n = 0 if arm.q is None else arm.q.shape[1]
    # The first joint turns the board or camera in the base, the last one that on the tool: both
    # are already in their poses.
    free = np.arange(1, n - 1) if cfg.joints else np.zeros(0, dtype=np.int64)
    state, good = _agree(found, first, free)
    names = [view.name for view in views]
    check_motion(found.arm.T_base_tool[good])
    told = information(found.where(good), state, free)
    covariance = _covariance(told, 6 * int(good.sum()))
    if lens_covariance is not None:
        moves = sensitivity(found.where(good), state, free, by_lens[good])
        covariance = covariance + moves @ lens_covariance @ moves.T
    sigma = np.zeros(12 + n)
    sigma[np.concatenate([np.arange(12), 12 + free])] = np.sqrt(np.diag(covariance))
    if arm.chain is not None:
        _check_offsets(sigma[12:], [arm.chain.joint_names[k] for k in free], free)
    residuals, distance = distances(found, state)
    wrong = np.flatnonzero(~good)
    why = {names[k]: f"{distance[k]:.0f} standard deviations from the others" for k in wrong}
    shift, turn = (float(v) for v in np.exp(state.deviations))
    rows = np.concatenate([np.arange(12), 12 + free])
    whole = np.zeros((12 + n, 12 + n))
    whole[np.ix_(rows, rows)] = told
    return HandEyeCalibration(
        mount=cfg.mount,
        names=tuple(names),
        X=state.X,
        Y=state.Y,
        offsets=state.offsets,
        sigma=sigma,
        noise=(noise_px, shift, turn),
        wrong=tuple(int(k) for k in wrong),
        rejected=rejected | why,
        residuals=residuals,
        distance=distance,
        held_out=_validate(found, views, lens, state, free, good, cfg),
        T_camera_board=found.measured,
        started_at=first.X,
        information=whole,
        arm=found.arm,
        lens=lens,
    )


# -- what is looked at -----------------------------------------------------------------------------


def _with_board(
    views: Sequence[BoardView], arm: Arm
) -> tuple[list[BoardView], Arm, dict[str, str]]:
    if len(views) != len(arm.T_base_tool):
        raise ValueError(f"{len(views)} views and {len(arm.T_base_tool)} poses of the tool")
    enough = np.array(
        [len(view.pixels) >= LEAST_CORNERS and view.spans for view in views], dtype=bool
    )
    rejected = {
        view.name: f"{len(view.pixels)} corners, expected {LEAST_CORNERS} or more, not on a line"
        for view, ok in zip(views, enough, strict=True)
        if not ok
    }
    kept = [view for view, ok in zip(views, enough, strict=True) if ok]
    return kept, arm.where(enough), rejected


def _look(
    views: Sequence[BoardView], arm: Arm, lens: Lens, mount: Mount
) -> tuple[PoseViews, float, FloatArray]:
    """Return the board's poses, the noise of a corner [pixels], how poses change with the lens."""
    bundle, errors = solve_poses(lens, views)
    lost = [view.name for view, e in zip(views, errors, strict=True) if not np.isfinite(e)]
    if lost:
        raise ValueError(
            f"{', '.join(lost[:3])}: no pose of the board explains the corners under this lens: "
            "are the intrinsics those of this camera and size?"
        )
    corners = Corners(views)
    square = corners.per_view(np.sum(bundle.residuals**2, axis=1))
    freedom = np.maximum(2 * corners.counts - 6, 1)
    # The typical view says what a corner is inexact by; a worse one is worth less.
    each = square / freedom
    noise = max(float(np.sqrt(np.median(each))), 0.02)
    worse = np.maximum(each, noise**2)
    inverse = np.linalg.inv(bundle.pose_information)
    covariance = np.asarray(inverse * worse[:, None, None], dtype=np.float64)
    found = PoseViews(
        mount=mount, arm=arm, measured=bundle.T_camera_board, covariance=np.asarray(covariance)
    )
    return found, noise, bundle.by_lens


def _begin(
    found: PoseViews, views: Sequence[BoardView], lens: Lens, cfg: HandEyeCfg
) -> tuple[State, PoseViews]:
    """Return the start, and the views with poses that a plane's likeness had turned over."""
    A = found.arm.T_base_tool if cfg.mount == "eye-in-hand" else inverse(found.arm.T_base_tool)
    X, Y = start(A, found.measured, cfg.seed)
    n = 0 if found.arm.q is None else found.arm.q.shape[1]
    state = State(X=X, Y=Y, offsets=np.zeros(n))
    expected = predicted(found, state).T_camera_board
    before = (expected[:, :3, 3][:, 2] > 0.01) & (expected[:, 2, 2] > 0.0)
    again = fit(
        views, lens, np.where(before[:, None, None], expected, found.measured),
        fixed_lens=True, steps=15,
    )  # fmt: skip
    corners = Corners(views)
    old = corners.rms(_off(corners, lens, found.measured))
    near = np.linalg.norm(difference(again.T_camera_board, expected)[:, 3:], axis=1)
    far = np.linalg.norm(difference(found.measured, expected)[:, 3:], axis=1)
    other = before & (corners.rms(again.residuals) < 1.3 * old) & (near < far - math.radians(3.0))
    if not other.any():
        return state, found
    scale = old**2 * 2 * corners.counts / np.maximum(2 * corners.counts - 6, 1)
    turned = np.linalg.inv(again.pose_information) * scale[:, None, None]
    chosen = other[:, None, None]
    return state, PoseViews(
        mount=found.mount,
        arm=found.arm,
        measured=np.where(chosen, again.T_camera_board, found.measured),
        covariance=np.where(chosen, turned, found.covariance),
    )


def _agree(
    found: PoseViews, state: State, free: npt.NDArray[np.int64]
) -> tuple[State, npt.NDArray[np.bool_]]:
    """Return the fit of the views that agree, and which they are."""
    first = _agreeing(found, state, free)
    if _enough(first[1]):
        return first
    # An arm that is worse than expected looks like a crowd of wrong views: from what the start
    # leaves unexplained downwards.
    residuals = distances(found, state)[0]
    left = [float(np.median(np.linalg.norm(residuals[:, p], axis=1))) / 1.54 for p in PARTS]
    worse = replace(state, deviations=np.log(np.maximum(left, EXPECTED)))
    second = _agreeing(found, worse, free)
    inexact = np.exp(second[0].deviations) > MOST_INEXACT
    if not _enough(second[1]) or inexact.any():
        raise ValueError(
            f"{int((~first[1]).sum())} of {len(first[1])} views do not agree with the others: does "
            "the board stand still, are joints and pictures of the same moment, is it this robot?"
        )
    return second


def _enough(good: npt.NDArray[np.bool_]) -> bool:
    return bool(good.mean() >= 1.0 - MOST_WRONG and good.sum() >= LEAST_POSES)


def _agreeing(
    found: PoseViews, state: State, free: npt.NDArray[np.int64]
) -> tuple[State, npt.NDArray[np.bool_]]:
    """Return the fit from a start, and which views agree with it, perhaps too few."""
    state = solve(found, state, free, robust=True)
    limit = math.sqrt(float(chi2.isf(CHANCE, 6)))
    good = distances(found, state)[1] < limit
    for _ in range(8):
        if not _enough(good):
            break
        state = solve(found.where(good), state, free, robust=False)
        now = distances(found, state)[1] < limit
        if (now == good).all():
            break
        good = now
    return state, good


def check_motion(T_base_tool: FloatArray) -> None:
    """Refuse motions from which the camera's pose cannot be told.

    Args:
        T_base_tool: (N, 4, 4) poses of the tool.

    Raises:
        ValueError: fewer than `LEAST_POSES` poses, less than `LEAST_ROTATION` of rotation, or
            rotations about parallel axes; one line.
    """
    n = len(T_base_tool)
    if n < LEAST_POSES:
        raise ValueError(f"expected {LEAST_POSES} poses or more, got {n}: take more views")
    i, j = np.triu_indices(n, 1)
    turns = rotation_vectors(inverse(T_base_tool[i]) @ T_base_tool[j])
    angles = np.linalg.norm(turns, axis=1)
    if angles.max() < LEAST_ROTATION:
        raise ValueError(
            f"the tool turned by {math.degrees(angles.max()):.0f} degrees at most, expected "
            f"{math.degrees(LEAST_ROTATION):.0f} or more: without rotation the camera's place does "
            "not show; turn the wrist between views"
        )
    axes = turns[angles > TURNED] / angles[angles > TURNED, None]
    main = np.linalg.eigh(axes.T @ axes)[1][:, -1]
    apart = np.arccos(np.abs(axes @ main).clip(0.0, 1.0))
    if np.quantile(apart, 0.9) < LEAST_ANGLE:
        x, y, z = main * np.sign(main[np.abs(main).argmax()])
        raise ValueError(
            f"all rotations are about nearly the same axis, ({x:.2f}, {y:.2f}, {z:.2f}) of the "
            "tool: the camera's place along it does not show; turn the tool about another axis, too"
        )


# -- what it is worth ------------------------------------------------------------------------------


def _covariance(told: FloatArray, residuals: int) -> FloatArray:
    """Return the covariance of camera, board and free offsets, the lens taken for exact."""
    scale = 1.0 / np.sqrt(np.diag(told).clip(1e-300))
    values, vectors = np.linalg.eigh(scale[:, None] * told * scale)
    inverse = vectors / values.clip(1e-14) @ vectors.T
    wide = float(student.ppf(0.975, max(residuals - len(told), 1))) / 1.96
    return wide**2 * scale[:, None] * inverse * scale


def _check_offsets(sigma: FloatArray, names: Sequence[str], free: npt.NDArray[np.int64]) -> None:
    unknown = [
        name for name, k in zip(names, free, strict=True) if 1.96 * sigma[k] > LARGEST_OFFSET
    ]
    if unknown:
        raise ValueError(
            f"the offset of {', '.join(unknown)} does not show (95 % interval beyond 1 degree): "
            "move these joints more between views"
        )


def _validate(
    found: PoseViews,
    views: Sequence[BoardView],
    lens: Lens,
    state: State,
    free: npt.NDArray[np.int64],
    good: npt.NDArray[np.bool_],
    cfg: HandEyeCfg,
) -> FloatArray:
    """Return the errors (N, 3) of each view by a calibration of others."""
    order = np.random.default_rng(cfg.seed).permutation(np.flatnonzero(good))
    expected = predicted(found, state).T_camera_board.copy()
    folds = min(cfg.folds, max(2, len(order) - LEAST_POSES + 1))
    for fold in range(folds):
        out = order[fold::folds]
        others = np.setdiff1d(order, out)
        if len(others) >= LEAST_POSES - 1:
            other = solve(found.where(others), state, free, robust=False)
            expected[out] = predicted(found.where(out), other).T_camera_board
    corners = Corners(views)
    off = seen_points(corners, expected) - seen_points(corners, found.measured)
    apart = np.sqrt(corners.per_view(np.sum(off**2, axis=1)) / corners.counts)
    turn = np.linalg.norm(difference(found.measured, expected)[:, 3:], axis=1)
    picture = corners.rms(_off(corners, lens, expected)) * math.sqrt(2.0)
    return np.stack([apart, turn, np.minimum(picture, 1e4)], axis=-1)


def _off(corners: Corners, lens: Lens, T: FloatArray) -> FloatArray:
    points = seen_points(corners, T)
    points[:, 2] = points[:, 2].clip(1e-3)
    return corners.pixels - project(lens, points)[0]
