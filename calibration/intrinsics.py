"""Intrinsics of a camera from views of a board, robust to views that are wrong.

The start is a search over focal lengths by the median error of views, so that a minority of wrong
ones has no say. Then least squares over all views (`bundle`), with corners and whole views that do
not agree left out and named. What comes out is judged on views that were left out of the fit.
"""

# SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2
from scipy.stats import t as student

from sim2arm.core.driver_stage import FloatArray

from .board_pose import solve_poses
from .board_views import BoardView, Corners
from .bundle import Bundle, fit, seen_points
from .coverage import Coverage, cover
from .lens import COEFFICIENTS, NAMES, Lens, project

Model = Literal["pinhole", "rational", "fisheye"]
METHOD = (
    "Least squares of the reprojection over all views with outliers left out; start by search over "
    "focal lengths; uncertainty of the normal equations, poses eliminated (Triggs et al. 1999)"
)
LEAST_VIEWS = 8
LEAST_CORNERS = 8
"""Of a view, so that it says more than its own pose (6 numbers)."""
FOCALS = np.geomspace(0.35, 3.0, 14)
"""Focal lengths that are tried, in widths of the picture."""
USUAL = 1.0
"""Spread of the coefficients of rational models: numerator and denominator can grow together
without a trace in the picture, which the views then do not tell from others. Those of lenses that
are sold are of this size."""
USUAL_NOISE = 0.2
"""Of a corner, for the weight of that [pixels]."""
ROUNDS = 6
FAR_CORNER = 4.5
"""Standard deviations from which a corner counts as wrong."""
FAR_VIEW = 2.0
"""Times the typical error of a view, from which it counts as wrong, if chance does not explain it.
"""
CHANCE = 1e-5
MOST_WRONG = 0.4
"""Share of views that may be wrong; with more nobody knows which ones are right."""


@dataclass(frozen=True, kw_only=True)
class IntrinsicsCfg:
    """How intrinsics are found and when they are accepted."""

    model: Model | Literal["auto"] = "auto"
    """Of the lens; auto: the simplest whose cross-validated error is within 2 % of the least."""
    folds: int = 5
    """Parts of the views that are left out in turn."""
    limit_px: float = 1.0
    """Largest cross-validated error, root mean square, that is accepted [pixels]."""
    focal_limit: float = 0.01
    """Largest 95 % interval of a focal length that is accepted, as its half over the length."""
    seed: int = 0
    """Of how views are parted."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.folds < 2 or not (self.limit_px > 0 and self.focal_limit > 0):
            raise ValueError("folds: expected 2 or more; limits above 0")


@dataclass(frozen=True, kw_only=True, eq=False)
class IntrinsicsCalibration:
    """What was found."""

    model: Model
    lens: Lens
    sigma: FloatArray
    """(P,) one standard deviation of each number of the lens, such that 1.96 of them are the
    half of a 95 % interval."""
    covariance: FloatArray
    """(P, P) of the numbers of the lens."""
    noise_px: float
    """Standard deviation of a corner's coordinate [pixels]."""
    names: tuple[str, ...]
    """Of all views that had corners, V."""
    errors: FloatArray
    """(V,) root mean square per coordinate under the found lens, of all views [pixels]."""
    held_out: FloatArray
    """(V,) the same under a lens of other views, and a pose of every second corner; of views that
    are not used under the found lens [pixels]."""
    rejected: dict[str, str]
    """Views that were left out, and why."""
    wrong: tuple[int, ...]
    """Numbers of the views among `names` that did not agree with the others."""
    wrong_corners: int
    """Single corners that were left out."""
    alternatives: dict[str, float]
    """Cross-validated error of each model that was tried [pixels]."""
    coverage: Coverage
    T_camera_board: FloatArray
    """(V, 4, 4) [m]."""
    residuals: FloatArray
    """(M, 4) of the corners that were used: place in the picture and found less predicted
    [pixels]."""

    @property
    def error(self) -> float:
        """Cross-validated root mean square [pixels]."""
        used = np.delete(self.held_out, list(self.wrong))
        return float(np.sqrt(np.mean(used**2)))

    @property
    def element_names(self) -> tuple[str, ...]:
        """Names of the numbers of the lens."""
        return (*NAMES, *COEFFICIENTS[self.model])


@dataclass(frozen=True, eq=False)
class _Fit:
    bundle: Bundle
    kept: list[BoardView]
    good: npt.NDArray[np.bool_]
    """(V,) views that were used."""
    wrong_corners: int
    noise: float


def calibrate_intrinsics(
    views: Sequence[BoardView], size: tuple[int, int], cfg: IntrinsicsCfg | None = None
) -> IntrinsicsCalibration:
    """Return the intrinsics that explain the views.

    Args:
        views: of one board at many places, `LEAST_VIEWS` or more with enough corners.
        size: width and height of the pictures [pixels].
        cfg: how.

    Raises:
        ValueError: too few views, more than `MOST_WRONG` of them do not agree, or they do not
            determine the focal length; one line that says what to do.
    """
    cfg = cfg or IntrinsicsCfg()
    rejected = {
        view.name: f"{len(view.pixels)} corners, expected {LEAST_CORNERS} or more, not on a line"
        for view in views
        if len(view.pixels) < LEAST_CORNERS or not view.spans
    }
    views = [view for view in views if view.name not in rejected]
    if len(views) < LEAST_VIEWS:
        raise ValueError(
            f"expected {LEAST_VIEWS} views or more with {LEAST_CORNERS} corners, got {len(views)}: "
            "take more pictures with the whole board in them"
        )
    names: tuple[Model, ...] = ("pinhole", "rational", "fisheye")
    models = names if cfg.model == "auto" else (cfg.model,)
    fits: dict[Model, _Fit] = {}
    held: dict[Model, FloatArray] = {}
    for model in models:
        found = _robust_fit(views, size, model)
        if found is not None:
            fits[model] = found
            held[model] = _cross_validate(views, found, cfg)
    if not fits:
        raise ValueError(
            f"no {cfg.model} lens explains the views: are width and height of the squares and the "
            "dictionary those of the board that was printed?"
        )
    errors: dict[Model, float] = {
        m: float(np.sqrt(np.mean(held[m][f.good] ** 2))) for m, f in fits.items()
    }
    shares: dict[Model, float] = {m: float(f.good.mean()) for m, f in fits.items()}
    able: list[Model] = [m for m in fits if shares[m] >= max(shares.values()) - 1e-9]
    best = min(errors[m] for m in able)
    chosen: Model = next(m for m in able if errors[m] <= 1.02 * best)
    return _finish(views, size, cfg, chosen, fits[chosen], held[chosen], errors, rejected)


def _finish(
    views: Sequence[BoardView],
    size: tuple[int, int],
    cfg: IntrinsicsCfg,
    model: Model,
    found: _Fit,
    held: FloatArray,
    errors: dict[Model, float],
    rejected: dict[str, str],
) -> IntrinsicsCalibration:
    lens, good = found.bundle.lens, found.good
    share = 1.0 - good.mean()
    if share > MOST_WRONG:
        raise ValueError(
            f"{int((~good).sum())} of {len(good)} views do not agree with the others: is the board "
            "flat, the focus fixed, nothing moving while pictures are taken?"
        )
    covariance = _covariance(found)
    sigma = np.sqrt(np.diag(covariance))
    poses, rms = solve_poses(lens, views)
    coverage = cover([v for v, g in zip(views, good, strict=True) if g],
                     poses.T_camera_board[good], size)  # fmt: skip
    relative = 1.96 * sigma[:2] / lens.numbers[:2]
    if not (relative < cfg.focal_limit).all():
        missing = coverage.missing[0] if coverage.missing else "take more pictures"
        raise ValueError(
            f"the focal length is known to {100 * relative.max():.1f} % only (95 %, limit "
            f"{100 * cfg.focal_limit:g} %): {missing}"
        )
    typical = float(np.median(rms[good]))
    why = {
        views[k].name: f"error {rms[k]:.2f} px, others {typical:.2f} px"
        for k in np.flatnonzero(~good).tolist()
    }
    corners = Corners(found.kept)
    return IntrinsicsCalibration(
        model=model,
        lens=lens,
        sigma=sigma,
        covariance=covariance,
        noise_px=found.noise,
        names=tuple(view.name for view in views),
        errors=np.where(np.isfinite(rms), rms, 1e3),
        held_out=held,
        rejected=rejected | why,
        wrong=tuple(int(k) for k in np.flatnonzero(~good)),
        wrong_corners=found.wrong_corners,
        alternatives={str(name): value for name, value in errors.items()},
        coverage=coverage,
        T_camera_board=poses.T_camera_board,
        residuals=np.concatenate([corners.pixels, found.bundle.residuals], axis=1),
    )


# -- start -----------------------------------------------------------------------------------------


def _search(
    views: Sequence[BoardView], size: tuple[int, int], model: Model
) -> tuple[Lens, FloatArray] | None:
    """Return the straight lens with the least median error of views, and their poses."""
    width, height = size
    some = list(views)[:: max(1, len(views) // 12)]
    best: tuple[float, Lens] | None = None
    for focal in FOCALS * width:
        middle = (0.5 * (width - 1), 0.5 * (height - 1))
        coefficients = np.zeros(len(COEFFICIENTS[model]))
        numbers = np.concatenate([[focal, focal, *middle], coefficients])
        lens = Lens(width=width, height=height, numbers=numbers)
        error = float(np.median(solve_poses(lens, some, quick=True)[1]))
        if math.isfinite(error) and (best is None or error < best[0]):
            best = (error, lens)
    if best is None:
        return None
    return best[1], solve_poses(best[1], views)[0].T_camera_board


def _robust_fit(views: Sequence[BoardView], size: tuple[int, int], model: Model) -> _Fit | None:
    """Return the fit of the views that agree; None if there is no start."""
    start = _search(views, size, model)
    if start is None:
        return None
    lens, T = start
    corners = Corners(views)
    # Weights of Cauchy: wrong views lose their say while the lens comes into its own.
    weights = np.ones(len(corners.pixels))
    bundle = None
    for _ in range(ROUNDS):
        bundle = fit(views, lens, T, weights=weights, prior=_prior(lens))
        lens, T = bundle.lens, bundle.T_camera_board
        rms = corners.rms(bundle.residuals)
        scale = max(float(np.median(rms)), 1e-3)
        far = np.linalg.norm(bundle.residuals, axis=1) / (2.4 * scale)
        view = (rms / (2.0 * scale))[corners.view]
        weights = 1.0 / ((1.0 + far**2) * (1.0 + view**4))
    return _keep(views, lens, T)


def _keep(views: Sequence[BoardView], lens: Lens, T: FloatArray) -> _Fit | None:
    """Leave out corners and views that do not agree, fit the others, until nothing changes."""
    good, fine = np.ones(len(views), dtype=bool), [np.ones(len(v.pixels), bool) for v in views]
    bundle, kept, noise = None, [], 1.0
    for _ in range(ROUNDS):
        poses, rms = solve_poses(lens, views)
        corners = Corners(views)
        typical = float(np.median(rms))
        if not math.isfinite(typical):
            return None
        typical = max(typical, 1e-3)
        size = np.linalg.norm(poses.residuals, axis=1)
        freedom = np.maximum(2 * corners.counts - 6, 1)
        square = (rms / typical) ** 2 * 2 * corners.counts
        unlikely = chi2.sf(square, freedom) < CHANCE
        now = ~(unlikely & (rms > FAR_VIEW * typical))
        near = np.split(size < FAR_CORNER * typical * math.sqrt(2.0), corners.starts[1:])
        # A view with a few wrong corners among right ones is right without them.
        some = np.array([part.mean() > 0.7 for part in near])
        trimmed = [v.where(part) for v, part in zip(views, near, strict=True)]
        again = np.array([len(v.pixels) >= LEAST_CORNERS for v in trimmed]) & some
        retried = solve_poses(lens, [t if ok else v for t, ok, v in
                                     zip(trimmed, again, views, strict=True)])[1]  # fmt: skip
        now |= again & (retried < 1.5 * typical)
        chosen = [k for k in range(len(views)) if now[k]]
        if len(chosen) < max(3, LEAST_VIEWS // 2):
            return None
        kept = [trimmed[k] if again[k] else views[k] for k in chosen]
        bundle = fit(kept, lens, poses.T_camera_board[chosen], prior=_prior(lens))
        same = bool((now == good).all()) and all(
            (a == b).all() for a, b in zip(near, fine, strict=True)
        )
        lens, good, fine = bundle.lens, now, near
        if same:
            break
    assert bundle is not None
    lost = sum(len(views[k].pixels) for k in np.flatnonzero(good).tolist()) - sum(
        len(view.pixels) for view in kept
    )
    freedom_left = _freedom(kept, len(lens.numbers))
    noise = math.sqrt(float(np.sum(bundle.residuals**2)) / max(freedom_left, 1))
    return _Fit(bundle=bundle, kept=kept, good=good, wrong_corners=lost, noise=noise)


def _prior(lens: Lens) -> FloatArray:
    """Return how much the squares of the lens's numbers count, for corners of usual noise."""
    counts = np.zeros(len(lens.numbers))
    if len(counts) == 4 + len(COEFFICIENTS["rational"]):
        counts[4:] = (USUAL_NOISE / USUAL) ** 2
    return counts


def _freedom(views: Sequence[BoardView], numbers: int) -> int:
    return 2 * sum(len(view.pixels) for view in views) - 6 * len(views) - numbers


def _covariance(found: _Fit) -> FloatArray:
    """Return the covariance of the numbers; what the views do not tell has a huge variance."""
    information = found.bundle.information
    scale = 1.0 / np.sqrt(np.diag(information).clip(1e-300))
    values, vectors = np.linalg.eigh(scale[:, None] * information * scale)
    inverse = vectors / values.clip(1e-14) @ vectors.T
    wide = student.ppf(0.975, max(_freedom(found.kept, len(scale)), 1)) / 1.96
    return (found.noise * float(wide)) ** 2 * scale[:, None] * inverse * scale


# -- judgement -------------------------------------------------------------------------------------


def _cross_validate(views: Sequence[BoardView], found: _Fit, cfg: IntrinsicsCfg) -> FloatArray:
    """Return the error (V,) of each view under a lens of others [pixels].

    The pose of a held-out view is that of every second of its corners, the error that of the
    others, and the other way round.
    """
    right = [k for k in range(len(views)) if found.good[k]]
    order = np.random.default_rng(cfg.seed).permutation(right)
    errors = np.zeros(len(views))
    folds = min(cfg.folds, len(right) // 2)
    kept = dict(zip(right, found.kept, strict=True))
    poses = dict(zip(right, found.bundle.T_camera_board, strict=True))
    for fold in range(folds):
        out = [int(k) for k in order[fold::folds]]
        others = [int(k) for k in order if int(k) not in out]
        lens = fit(
            [kept[k] for k in others],
            found.bundle.lens,
            np.stack([poses[k] for k in others]),
            prior=_prior(found.bundle.lens),
        ).lens
        errors[out] = _halves(lens, [kept[k] for k in out])
    wrong = [k for k in range(len(views)) if not found.good[k]]
    if wrong:
        errors[wrong] = _halves(found.bundle.lens, [views[k] for k in wrong])
    return errors


def _halves(lens: Lens, views: Sequence[BoardView]) -> FloatArray:
    total = np.zeros(len(views))
    for half in (0, 1):
        parts = [np.arange(len(view.pixels)) % 2 == half for view in views]
        mine = [view.where(part) for view, part in zip(views, parts, strict=True)]
        rest = [view.where(~part) for view, part in zip(views, parts, strict=True)]
        poses, errors = solve_poses(lens, mine)
        corners = Corners(rest)
        points = seen_points(corners, poses.T_camera_board)
        off = corners.pixels - project(lens, points)[0]
        total += np.where(np.isfinite(errors), corners.rms(off), 1e3) ** 2
    return np.sqrt(0.5 * total).clip(max=1e3)
