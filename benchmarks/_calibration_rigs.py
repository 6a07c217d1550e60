"""Cameras, boards and arms whose truth is known, with the noise of real ones."""

# NumPy infers too little here.
# pyright: standard

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim2arm.calibration.board import BoardCfg
from sim2arm.calibration.board_views import BoardView
from sim2arm.calibration.bundle import moved
from sim2arm.calibration.hand_eye_model import Arm, Mount, arm_of_joints, inverse
from sim2arm.calibration.lens import NEAREST, Lens, project
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.inverse import solve_pose
from sim2arm.core.kinematics import forward
from sim2arm.core.robots import Robot
from sim2arm.core.transforms import quat_from_matrix, quat_from_rotvec, quat_to_matrix

BOARD = BoardCfg()
PIXELS = 0.3
"""Noise of a corner's coordinate [pixels]."""
SHIFT, TURN = 0.0002, math.radians(0.05)
"""Noise of the tool's pose along and about each axis [m, rad]."""
STEP = 2.0 * math.pi / 2**14
"""Of the encoders: 14 bits a turn [rad]."""
DROPPED = 0.1
"""Share of corners that are not found, and of frames that are lost."""
SIZE = (640, 480)
LENSES = {
    "pinhole": (605.0, 607.0, 322.4, 237.1, -0.09, 0.06, 0.0008, -0.0006, -0.01),
    "rational": (420.0, 421.0, 318.0, 243.0, 0.35, 0.04, 0.0003, -0.0004, 0.002, 0.62, 0.12, 0.01),
    "fisheye": (285.0, 286.0, 321.0, 238.0, -0.012, 0.006, -0.004, 0.0008),
}


def make_lens(model: str = "pinhole", rng: np.random.Generator | None = None) -> Lens:
    """Return a camera; with a generator one of a series, its focal length within 10 %."""
    numbers = np.array(LENSES[model])
    if rng is not None:
        numbers[:2] *= rng.uniform(0.9, 1.1)
        numbers[2:4] += rng.uniform(-10.0, 10.0, 2)
    return Lens(width=SIZE[0], height=SIZE[1], numbers=numbers)


def look(lens: Lens, T_camera_board: FloatArray, name: str, rng: np.random.Generator) -> BoardView:
    """Return what a picture of the board gives: inside of it, noisy, some corners missing."""
    points = BOARD.corners
    seen = points @ T_camera_board[:3, :3].T + T_camera_board[:3, 3]
    ahead = seen[:, 2] > max(NEAREST, 0.02)
    pixels = np.full((len(points), 2), -1.0)
    pixels[ahead] = project(lens, seen[ahead])[0]
    pixels += rng.normal(0.0, PIXELS, pixels.shape)
    inside = ahead & (pixels > 2.0).all(axis=1) & (pixels < np.array(SIZE) - 3.0).all(axis=1)
    inside &= rng.uniform(size=len(points)) > DROPPED
    return BoardView(name=name, points=points[inside], pixels=pixels[inside])


def board_before(lens: Lens, rng: np.random.Generator, *, tilt: float = 0.85) -> FloatArray:
    """Return a pose (4, 4) of a board that fills a good part of the picture, tilted somehow."""
    width, height = BOARD.size
    angle = rng.uniform(-math.pi, math.pi)
    lean = tilt * math.sqrt(rng.uniform(0.05, 1.0))
    axis = np.array([math.cos(angle), math.sin(angle), 0.0]) * lean
    turn = rng.uniform(-0.5, 0.5) if tilt > 0.2 else 0.0
    R = quat_to_matrix(quat_from_rotvec(axis)) @ quat_to_matrix(
        quat_from_rotvec(np.array([0.0, 0.0, turn]))
    )
    share = rng.uniform(0.45, 0.95)
    depth = lens.numbers[0] * width / (share * SIZE[0])
    middle = (rng.uniform(0.2, 0.8, 2) * SIZE - lens.numbers[2:4]) / lens.numbers[:2] * depth
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = np.array([*middle, depth]) - R @ np.array([0.5 * width, 0.5 * height, 0.0])
    return T


def _turned(lens: Lens, rng: np.random.Generator) -> FloatArray:
    """Return a pose of a board that faces the camera, turned about its axis and shifted."""
    width, height = BOARD.size
    R = quat_to_matrix(quat_from_rotvec(np.array([0.0, 0.0, rng.uniform(-1.2, 1.2)])))
    T = np.eye(4)
    T[:3, :3] = R
    shift = np.array([*rng.uniform(-0.02, 0.02, 2), rng.uniform(0.3, 0.4)])
    T[:3, 3] = shift - R @ np.array([0.5 * width, 0.5 * height, 0.0])
    return T


def make_views(lens: Lens, count: int, rng: np.random.Generator) -> list[BoardView]:
    """Return views in which a third of the corners or more are seen."""
    found: list[BoardView] = []
    while len(found) < count:
        view = look(lens, board_before(lens, rng), f"view-{len(found):03}", rng)
        if len(view.pixels) >= len(BOARD.corners) // 3:
            found.append(view)
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Rig:
    """An arm, a camera and a board, and what was seen of them."""

    robot: Robot
    mount: Mount
    lens: Lens
    X: FloatArray
    """(4, 4) true pose of the camera in tool or base [m]."""
    Y: FloatArray
    """(4, 4) true pose of the board in base or tool [m]."""
    offsets: FloatArray
    """(n,) true angles less those measured [rad]."""
    arm: Arm
    """As measured."""
    views: list[BoardView]


def make_rig(
    robot: Robot,
    mount: Mount,
    count: int,
    rng: np.random.Generator,
    *,
    offsets: FloatArray | None = None,
    lean: float | None = 0.85,
) -> Rig:
    """Return a rig at poses that a person would take: the board in the picture from many sides.

    Args:
        robot: the arm.
        mount: which of camera and board moves.
        count: views.
        rng: draws everything.
        offsets: of the joints; none by default.
        lean: how far the board is tilted at most [rad]; None: the tool only turns about the axis
            of the camera, and shifts.
    """
    n = len(robot.joint_names)
    offsets = np.zeros(n) if offsets is None else offsets
    lens = make_lens("pinhole", rng)
    camera, board = _places(mount, rng)
    q_all: list[FloatArray] = []
    views: list[BoardView] = []
    home = np.array(robot.home)
    while len(q_all) < count:
        seen = _turned(lens, rng) if lean is None else board_before(lens, rng, tilt=lean)
        # Where the tool has to be for the board to be seen so.
        if mount == "eye-in-hand":
            wanted = board @ inverse(seen) @ inverse(camera)
        else:
            wanted = camera @ seen @ inverse(board)
        pose = np.concatenate([wanted[:3, 3], quat_from_matrix(wanted[:3, :3])])
        q = np.asarray(solve_pose(robot, pose, home, iterations=40))
        if np.abs(np.asarray(forward(robot.chain, q)) - wanted).max() > 1e-6:
            continue
        off = rng.normal(0.0, 1.0, 6) * np.repeat([SHIFT, TURN], 3)
        T = np.asarray(forward(robot.chain, q)) @ moved(np.eye(4), off)
        where = (
            inverse(T @ camera) @ board if mount == "eye-in-hand" else inverse(camera) @ T @ board
        )
        view = look(lens, where, f"view-{len(q_all):03}", rng)
        if len(view.pixels) < len(BOARD.corners) // 3 or rng.uniform() < DROPPED:
            continue
        q_all.append(np.round((q - offsets) / STEP) * STEP)
        views.append(view)
    arm = arm_of_joints(robot.chain, np.stack(q_all))
    return Rig(
        robot=robot, mount=mount, lens=lens, X=camera, Y=board, offsets=offsets, arm=arm,
        views=views,
    )  # fmt: skip


def _places(mount: Mount, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return true poses of camera and board."""
    small = rng.uniform(-1.0, 1.0, 6) * np.repeat([0.02, 0.15], 3)
    width, height = BOARD.size
    if mount == "eye-in-hand":
        camera = np.eye(4)
        camera[:3, 3] = (0.06, 0.0, -0.06)
        table = np.eye(4)  # z of the board into the table
        table[:3, :3] = np.diag([1.0, -1.0, -1.0])
        table[:3, 3] = (0.5 - 0.5 * width, 0.5 * height, 0.02)
        return moved(camera, small), moved(table, rng.uniform(-0.03, 0.03, 6))
    # A camera before the arm that looks back at it; a board on the tool that faces the camera.
    camera = np.eye(4)
    camera[:3, :3] = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    camera[:3, 3] = (1.15, 0.0, 0.45)
    board = np.eye(4)
    board[:3, :3] = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]])
    board[:3, 3] = (-0.5 * width, 0.5 * height, 0.03)
    return moved(camera, small), moved(board, rng.uniform(-0.03, 0.03, 6))


def spoil_poses(rig: Rig, count: int, rng: np.random.Generator) -> tuple[Arm, set[str]]:
    """Return the arm with joints of another moment in some views, and the names of these."""
    assert rig.arm.q is not None  # rigs have joints
    q = rig.arm.q.copy()
    chosen = rng.choice(len(q), count, replace=False)
    q[chosen] += rng.uniform(0.02, 0.15, (count, q.shape[1])) * rng.choice(
        [-1.0, 1.0], (count, q.shape[1])
    )
    return arm_of_joints(rig.robot.chain, q), {rig.views[k].name for k in chosen}


def make_pairs(
    rng: np.random.Generator, offsets: FloatArray, seconds: float = 60.0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return stamps [s], leader and follower [rad] of two small arms: n joints, 50 Hz.

    The follower is 60 ms late, stays 0.4 degrees behind in the direction of motion, wanders by half
    a degree within a second, and both are read in steps of 2 pi / 4096; one row in 20 is lost.
    """
    n, rate, late = len(offsets), 50.0, 0.06
    stamps = np.arange(0.0, seconds, 1.0 / rate)
    phase, speed = rng.uniform(0.0, 2.0 * math.pi, (n, 3)), rng.uniform(0.05, 0.4, (n, 3))
    size = rng.uniform(0.1, 0.3, (n, 3))

    def motion(times: FloatArray) -> FloatArray:
        turns = 2.0 * math.pi * speed * times[:, None, None] + phase
        return (size * np.sin(turns)).sum(axis=-1)

    leader, follower = motion(stamps), motion(stamps - late)
    toward = np.tanh(np.gradient(follower, 1.0 / rate, axis=0) / 0.05)
    wander = np.zeros_like(follower)
    for k in range(1, len(stamps)):
        wander[k] = 0.98 * wander[k - 1] + rng.normal(0.0, math.radians(0.1), n)
    follower = follower - math.radians(0.4) * toward + offsets + wander
    step = 2.0 * math.pi / 4096
    kept = rng.uniform(size=len(stamps)) > 0.05
    return (
        stamps[kept],
        np.round(leader[kept] / step) * step,
        np.round(follower[kept] / step) * step,
    )
