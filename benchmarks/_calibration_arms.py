"""Hand-eye and joint offsets of arms whose truth is known, beside OpenCV's solvers."""

# OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from _calibration_rigs import Rig, make_pairs, make_rig, make_views, spoil_poses
from _calibration_rows import error_rows, every, interval_rows, share_row

from sim2arm.calibration.hand_eye import HandEyeCfg, calibrate_hand_eye
from sim2arm.calibration.hand_eye_model import Mount, difference, inverse
from sim2arm.calibration.intrinsics import IntrinsicsCfg, calibrate_intrinsics
from sim2arm.calibration.joint_drift import find_drift
from sim2arm.cli.table import Row
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.robots_franka import FR3

POSES = 25
WRONG = 0.2
SOLVERS = {"Tsai": 0, "Park": 1, "Horaud": 2, "Andreff": 3, "Daniilidis": 4}
"""Of `cv2.calibrateHandEye`, with their numbers; Tsai is the default."""
MOUNTS: tuple[Mount, ...] = ("eye-in-hand", "eye-to-hand")


@dataclass(frozen=True, eq=False)
class _Found:
    off: FloatArray
    """(6,) of the camera's pose: found less true [m, rad]."""
    sigma: FloatArray
    others: dict[str, FloatArray]
    """(6,) of OpenCV's solvers."""
    flagged: bool = True


def hand_eye(seeds: int) -> list[Row]:
    """Return the rows of cameras on and beside an arm."""
    if not hasattr(cv2, "calibrateHandEye"):
        print(
            f"OpenCV {cv2.__version__} has no calibrateHandEye in Python: no baselines; 4.11 to "
            "4.x have it"
        )
    rows: list[Row] = []
    for mount in MOUNTS:
        case = f"{mount}, {POSES} poses"
        rows += _rows(case, every(case, seeds, lambda rng, m=mount: _measure(m, rng)))
        case = f"{mount}, {POSES} poses, {100 * WRONG:.0f} % wrong"
        found = every(case, seeds, lambda rng, m=mount: _measure(m, rng, wrong=True))
        rows += _rows(case, found)
        rows.append(share_row(case, "wrong views named, and no others", [f.flagged for f in found]))
    case = f"eye-in-hand, {POSES} poses, a lens of 40 other views"
    rows += _rows(case, every(case, seeds, lambda rng: _measure("eye-in-hand", rng, lens=True)))
    for what in ("4 poses", "rotations below 30 deg", "parallel axes"):
        case = f"eye-in-hand, {what}"
        refused = every(case, seeds, lambda rng, w=what: _refuses(w, rng))
        rows.append(share_row(case, "refused, with the reason", refused))
    return rows


def joints(seeds: int) -> list[Row]:
    """Return the rows of joint offsets that a camera finds."""
    rows: list[Row] = []
    for mount in MOUNTS:
        case = f"joint offsets, {mount}, {POSES} poses"
        found = every(case, seeds, lambda rng, m=mount: _offsets(m, rng))
        off, sigma = (np.stack([f[k] for f in found]) for k in (0, 1))
        worst = np.degrees(np.abs(off)).max(axis=1)
        rows += error_rows(case, "error of the worst joint", "deg", worst, {})
        rows += error_rows(
            case, "error of a joint", "deg", np.degrees(np.abs(off)).mean(axis=1), {}
        )
        rows += interval_rows(case, "the joints", off, sigma)
    return rows


def drift(seeds: int) -> list[Row]:
    """Return the rows of a leader and its follower: 1 degree of one joint in 60 s."""
    case = "leader and follower, 60 s, 1 deg at one of 6 joints"
    found = every(case, seeds, _drift)
    off, sigma = (np.stack([f[k] for f in found]) for k in (0, 1))
    return [
        share_row(case, "the joint named", [f[2] for f in found]),
        share_row(case, "another joint named", [f[3] for f in found]),
        *error_rows(case, "error of an offset", "deg", np.degrees(np.abs(off)).mean(axis=1), {}),
        *interval_rows(case, "the offsets", off, sigma),
    ]


def _rows(case: str, found: list[_Found]) -> list[Row]:
    off = np.stack([f.off for f in found])
    sigma = np.stack([f.sigma for f in found])
    rows: list[Row] = []
    for what, part, unit, factor in (
        ("place", slice(0, 3), "mm", 1e3), ("turn", slice(3, 6), "deg", math.degrees(1.0))
    ):  # fmt: skip
        others = {
            f"OpenCV {name}": factor * np.linalg.norm(
                np.stack([f.others[name][part] for f in found]), axis=1
            )
            for name in found[0].others
        }  # fmt: skip
        errors = factor * np.linalg.norm(off[:, part], axis=1)
        rows += error_rows(case, f"error of the camera's {what}", unit, errors, others)
    return rows + interval_rows(case, "the camera's pose", off, sigma)


def _measure(
    mount: Mount, rng: np.random.Generator, *, wrong: bool = False, lens: bool = False
) -> _Found:
    rig = make_rig(FR3, mount, POSES, rng)
    bad: set[str] = set()
    arm, used, covariance = rig.arm, rig.lens, None
    if wrong:
        arm, bad = spoil_poses(rig, round(WRONG * POSES), rng)
    if lens:
        told = calibrate_intrinsics(
            make_views(rig.lens, 40, rng), (640, 480), IntrinsicsCfg(model="pinhole")
        )
        used, covariance = told.lens, told.covariance
    found = calibrate_hand_eye(
        rig.views, arm, used, HandEyeCfg(mount=mount), lens_covariance=covariance
    )
    others = {
        name: difference(X[None], rig.X[None])[0]
        for name, X in _opencv(rig, arm.T_base_tool, used.intrinsics).items()
    }
    return _Found(
        off=difference(found.X[None], rig.X[None])[0],
        sigma=found.sigma[:6],
        others=others,
        flagged={found.names[k] for k in found.wrong} == bad,
    )


def _opencv(rig: Rig, T_base_tool: FloatArray, k: object) -> dict[str, FloatArray]:
    """Return X (4, 4) of each of OpenCV's solvers, from its own poses of the board."""
    if not hasattr(cv2, "calibrateHandEye"):
        return {}
    K = np.array([[k.fx, 0, k.cx], [0, k.fy, k.cy], [0, 0, 1.0]])  # type: ignore[attr-defined]
    bent = np.array(k.distortion)  # type: ignore[attr-defined]
    M = np.tile(np.eye(4), (len(rig.views), 1, 1))
    for one, view in zip(M, rig.views, strict=True):
        _, turn, place = cv2.solvePnP(view.points, view.pixels, K, bent)
        one[:3, :3], one[:3, 3] = cv2.Rodrigues(turn)[0], np.asarray(place).ravel()
    A = T_base_tool if rig.mount == "eye-in-hand" else inverse(T_base_tool)
    found: dict[str, FloatArray] = {}
    for name, number in SOLVERS.items():
        R, t = getattr(cv2, "calibrateHandEye")(  # noqa: B009 - some versions lack it

            list(A[:, :3, :3]), list(A[:, :3, 3]), list(M[:, :3, :3]), list(M[:, :3, 3]),
            method=number,
        )  # fmt: skip
        X = np.eye(4)
        X[:3, :3], X[:3, 3] = R, np.asarray(t).ravel()
        found[name] = X if np.isfinite(X).all() else np.eye(4)
    return found


def _offsets(mount: Mount, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return errors and deviations of the offsets of the inner joints [rad]."""
    true = np.radians(rng.uniform(-1.5, 1.5, 7)) * np.array([0, 1, 1, 1, 1, 1, 0])
    rig = make_rig(FR3, mount, POSES, rng, offsets=true)
    found = calibrate_hand_eye(rig.views, rig.arm, rig.lens, HandEyeCfg(mount=mount, joints=True))
    return (found.offsets - true)[1:-1], found.sigma[13:-1]


def _drift(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, bool, bool]:
    """Return errors and deviations [rad], whether the joint was named, and whether another was."""
    names = [f"joint{k}" for k in range(6)]
    chosen = int(rng.integers(6))
    true = np.zeros(6)
    true[chosen] = math.radians(1.0) * rng.choice([-1.0, 1.0])
    stamps, leader, follower = make_pairs(rng, true)
    found = find_drift(stamps, leader, follower, names)
    named = {alarm.split(":")[0] for alarm in found.alarms}
    right = names[chosen]
    return found.offsets - true, found.sigma, right in named, bool(named - {right})


def _refuses(what: str, rng: np.random.Generator) -> bool:
    """Return whether motions that tell nothing are refused, and why is said."""
    if what == "4 poses":
        rig, reason = make_rig(FR3, "eye-in-hand", 4, rng), "expected 5 poses or more"
    else:
        parallel = what == "parallel axes"
        rig = make_rig(FR3, "eye-in-hand", 15, rng, lean=None if parallel else 0.12)
        reason = "the same axis" if parallel else "degrees at most"
    try:
        calibrate_hand_eye(rig.views, rig.arm, rig.lens)
    except ValueError as error:
        return reason in str(error)
    return False
