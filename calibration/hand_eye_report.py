"""The record of a hand-eye calibration or of joint offsets, and its pictures."""

# OpenCV's and SciPy's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import scipy

import sim2arm
from sim2arm.core.calibration_file import write_record
from sim2arm.core.calibration_record import (
    CalibrationRecord,
    InputFile,
    Quantity,
    make_picture,
    make_quantity,
    make_residuals,
    utc_now,
)
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.transforms import quat_from_matrix

from .board import BoardCfg, Image
from .board_views import BoardView
from .camera_file import INTERVAL, POSE
from .drawing import BLUE, GREEN, ORANGE, RED, SOFT, Plan, contact_sheet, dot, line, png
from .hand_eye import METHOD, HandEyeCalibration, HandEyeCfg
from .hand_eye_model import difference, predict
from .lens import project

JOINTS = "joints"
"""`what` of a record of joint offsets."""
OFFSETS = "offsets"
"""Its value: what to add to measured joints [rad]."""
ELEMENTS = ("x", "y", "z", "qw", "qx", "qy", "qz")
MOVES = ("x", "y", "z", "about x", "about y", "about z")
SHEET = 6


def make_record(
    found: HandEyeCalibration,
    cfg: HandEyeCfg,
    *,
    what: str,
    device: str,
    frames: tuple[str, str],
    settings: Mapping[str, float],
    inputs: Sequence[InputFile] = (),
    notes: Sequence[str] = (),
    pictures: Mapping[str, tuple[bytes, str]] | None = None,
) -> CalibrationRecord:
    """Return the record.

    Args:
        found: what was measured.
        cfg: how.
        what: `hand-eye` or `joints`.
        device: name of the camera, or of the robot.
        frames: base and tool of the arm.
        settings: of board and so on.
        inputs: files.
        notes: before ours.
        pictures: files and captions by name.
    """
    base, tool = frames
    in_hand = found.mount == "eye-in-hand"
    camera_in, board_in = (tool, base) if in_hand else (base, tool)
    noise_px, shift, turn = found.noise
    values = {
        POSE: pose_quantity(found.X, found.sigma[:6], camera_in, "optical frame, z forward"),
        INTERVAL: make_quantity(
            1.96 * found.sigma[:6], "m m m rad rad rad", frame=camera_in, element_names=MOVES,
            note="half of the 95 % interval of the camera's place and of its turn",
        ),
        "pose_board": pose_quantity(found.Y, found.sigma[6:12], board_in, "upper left corner"),
        "arm": make_quantity(
            [shift, turn], "m rad", element_names=("shift", "turn"),
            note="what the tool's pose is inexact by, per axis, as the views tell",
        ),
        "noise": make_quantity(noise_px, "px", note="of a corner's coordinate"),
    }  # fmt: skip
    if cfg.joints and found.arm.chain is not None:
        values[OFFSETS] = make_quantity(
            found.offsets, "rad", uncertainty=found.sigma[12:],
            element_names=found.arm.chain.joint_names,
            note="add them to what the joints say; of the first and last none shows",
        )  # fmt: skip
    moved = difference(found.X[None], found.started_at[None])[0]
    more = [
        f"The closed form alone lies {1e3 * np.linalg.norm(moved[:3]):.1f} mm and "
        f"{math.degrees(float(np.linalg.norm(moved[3:]))):.2f} deg from this."
    ]
    if found.rejected:
        lines = "; ".join(f"{name}: {why}" for name, why in found.rejected.items())
        more.append(f"Not used: {lines}.")
    held = found.held_out
    return CalibrationRecord(
        what=what,
        device=device,
        date=utc_now(),
        method=f"{METHOD}; {found.mount}",
        settings={**settings, "folds": float(cfg.folds), "seed": float(cfg.seed)},
        inputs=tuple(inputs),
        values=values,
        residuals={
            "held-out points": make_residuals(
                held[:, 0], "m", limit=1e-3 * cfg.limit_mm, excluded=found.wrong,
                note="corners of the board in space, by a calibration of other views",
            ),
            "held-out turn": make_residuals(held[:, 1], "rad", excluded=found.wrong),
            "held-out picture": make_residuals(held[:, 2], "px", excluded=found.wrong),
            "disagreement": make_residuals(
                found.distance, "1", excluded=found.wrong,
                note="of a view with all, in standard deviations of 6 numbers (about 2.4)",
            ),
        },
        pictures=tuple(make_picture(n, d, words) for n, (d, words) in (pictures or {}).items()),
        notes=(*summary(found), *notes, *more),
        versions={
            "sim2arm": sim2arm.__version__, "numpy": np.__version__, "scipy": scipy.__version__,
            "opencv": cv2.__version__,
        },
    )  # fmt: skip


def pose_quantity(T: FloatArray, sigma: FloatArray, frame: str, note: str) -> Quantity:
    """Return a pose; the uncertainty of its quaternion is that of small turns."""
    q = np.asarray(quat_from_matrix(T[:3, :3]))
    w, x, y, z = q
    # dq = (0, turn / 2) q for a turn about the axes of the outer frame.
    by_turn = 0.5 * np.array([[-x, -y, -z], [w, z, -y], [-z, w, x], [y, -x, w]])
    spread = np.sqrt((by_turn**2) @ sigma[3:] ** 2)
    return make_quantity(
        [*T[:3, 3], *q], "m m m 1 1 1 1", uncertainty=[*sigma[:3], *spread], frame=frame,
        element_names=ELEMENTS, note=note,
    )  # fmt: skip


def summary(found: HandEyeCalibration) -> list[str]:
    """Return what was found in plain words."""
    x, y, z = 1e3 * found.X[:3, 3]
    a, b, c = 1e3 * 1.96 * found.sigma[:3]
    turn = math.degrees(1.96 * float(found.sigma[3:6].max()))
    good = np.delete(found.held_out, list(found.wrong), axis=0)
    points, angle, _ = np.sqrt(np.mean(good**2, axis=0))
    used = len(found.names) - len(found.wrong)
    lines = [
        f"The camera is at ({x:.1f}, {y:.1f}, {z:.1f}) mm, known to +- ({a:.2f}, {b:.2f}, {c:.2f}) "
        f"mm and +- {turn:.3f} deg (95 %); {used} of {used + len(found.rejected)} views were used.",
        f"By a calibration of the other views, points of the board are off by {1e3 * points:.2f} "
        f"mm and {math.degrees(angle):.3f} deg (rms; the view's own error is in it).",
    ]
    if found.arm.chain is not None and found.sigma[12:].any():
        parts = [
            f"{name} {math.degrees(o):+.3f} +- {math.degrees(1.96 * s):.3f}"
            for name, o, s in zip(
                found.arm.chain.joint_names, found.offsets, found.sigma[12:], strict=True
            )
            if s > 0
        ]
        lines.append(f"Joint offsets to add [deg, 95 %]: {', '.join(parts)}.")
    return lines


def write_hand_eye(
    path: Path,
    found: HandEyeCalibration,
    record: Callable[[Mapping[str, tuple[bytes, str]]], CalibrationRecord],
    views: Sequence[BoardView],
    picture: Callable[[str], Image],
    board: BoardCfg,
) -> CalibrationRecord:
    """Write record, page and pictures; arguments as those of `write_intrinsics`."""
    drawn = draw(found, views, picture, board)
    files = {f"{path.stem}-{name}.png": (png(image), words) for name, (image, words) in
             drawn.items()}  # fmt: skip
    made = record(files)
    write_record(path, made, {name: data for name, (data, _) in files.items()})
    return made


def draw(
    found: HandEyeCalibration,
    views: Sequence[BoardView],
    picture: Callable[[str], Image],
    board: BoardCfg,
) -> dict[str, tuple[Image, str]]:
    """Return pictures (rows, cols, 3) RGB with captions, by name."""
    moving = "camera" if found.mount == "eye-in-hand" else "board"
    return {
        "places": (
            _places(found, board),
            f"From the side and from above, in the base of the arm: the tool (grey), the {moving} "
            "in each view (orange, red where the view was left out), camera and board with their "
            "axes (x red, y green, z blue).",
        ),
        "views": _sheet(found, views, picture),
    }


def _places(found: HandEyeCalibration, board: BoardCfg) -> Image:
    T = found.arm.shifted(found.offsets)[0]
    in_hand = found.mount == "eye-in-hand"
    cameras = T @ found.X if in_hand else np.broadcast_to(found.X, T.shape)
    boards = np.broadcast_to(found.Y, T.shape) if in_hand else T @ found.Y
    width, height = board.size
    edge = np.array([[0, 0, 0], [width, 0, 0], [width, height, 0], [0, height, 0], [0, 0, 0.0]])
    outline = edge @ boards[0, :3, :3].T + boards[0, :3, 3]
    every = np.concatenate([T[:, :3, 3], cameras[:, :3, 3], boards[:, :3, 3], outline,
                            np.zeros((1, 3))])  # fmt: skip
    plans: list[Image] = []
    for axes, names in (((0, 2), ("x", "z")), ((0, 1), ("x", "y"))):
        plan = Plan(every, axes, names)
        moving = cameras if in_hand else boards
        for k, (tool, place) in enumerate(zip(T, moving, strict=True)):
            colour = RED if k in found.wrong else ORANGE
            plan.path(np.stack([tool[:3, 3], place[:3, 3]]), SOFT)
            dot(plan.picture, plan.at(tool[:3, 3]), 2.0, SOFT)
            dot(plan.picture, plan.at(place[:3, 3]), 3.0, colour)
            if in_hand:
                plan.path(np.stack([place[:3, 3], place[:3, 3] + 0.06 * place[:3, 2]]), BLUE)
        plan.path(outline, GREEN, 1)
        plan.frame(cameras[0], 0.08)
        plan.frame(boards[0], 0.06)
        plan.frame(np.eye(4), 0.1)
        plan.say("camera", cameras[0, :3, 3])
        plan.say("board", boards[0, :3, 3])
        plan.say("base", np.zeros(3))
        plans.append(plan.picture)
    return np.concatenate([plans[0], np.full((plans[0].shape[0], 12, 3), 255, np.uint8), plans[1]],
                          axis=1)  # fmt: skip


def _sheet(
    found: HandEyeCalibration, views: Sequence[BoardView], picture: Callable[[str], Image]
) -> tuple[Image, str]:
    by_name = {view.name: view for view in views}
    order = [int(k) for k in np.argsort(-found.held_out[:, 2])]
    wrong = [k for k in order if k in found.wrong][:3]
    right = [k for k in order if k not in found.wrong]
    chosen = [*wrong, *right[:: max(1, len(right) // (SHEET - len(wrong)))]][:SHEET]
    seen = predict(found.mount, found.arm, found.X, found.Y, found.offsets).T_camera_board
    images: list[Image] = []
    titles: list[str] = []
    for k in chosen:
        view, T = by_name[found.names[k]], seen[k]
        image = picture(view.name).copy()
        wide = max(1.0, image.shape[1] / 320.0)
        points = view.points @ T[:3, :3].T + T[:3, 3]
        ahead = points[:, 2] > 1e-3
        pixels = project(found.lens, points[ahead])[0]
        for at, expected in zip(view.pixels[ahead], pixels, strict=True):
            line(image, at, expected, RED, max(1, round(wide)))
            dot(image, at, 2.5 * wide, GREEN)
        images.append(image)
        off, _, px = found.held_out[k]
        titles.append(f"{view.name}  {1e3 * off:.2f} mm, {px:.1f} px")
    bad = [k in found.wrong for k in chosen]
    return contact_sheet(images, titles, bad), (
        "Views with the error of the board by a calibration of others, framed red those that were "
        "left out; green: corners as found; red lines lead to where arm and camera expect them."
    )
