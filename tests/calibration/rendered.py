"""An FR3 with a camera, drawn by the simulation's renderer, that looks at a textured board."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import mujoco
import numpy as np
import torch

from sim2arm.calibration.board import BoardCfg, Image
from sim2arm.calibration.hand_eye_model import inverse
from sim2arm.calibration.view_folder import TABLE, table_lines
from sim2arm.core.driver_stage import DriverStage, FloatArray, Intrinsics
from sim2arm.core.inverse import solve_pose
from sim2arm.core.kinematics import forward
from sim2arm.core.robots_franka import FR3
from sim2arm.core.transforms import pose_to_matrix, quat_from_matrix
from sim2arm.sim.camera_rig import CameraRig
from sim2arm.sim.cameras import CameraCfg, add_camera
from sim2arm.sim.robots.models import add_robot
from sim2arm.sim.scene import add_surroundings, add_table
from sim2arm.sim.worlds.table import make_world

BOARD = BoardCfg()
LENS = Intrinsics(
    width=640, height=480, fx=598.0, fy=601.0, cx=323.5, cy=236.0,
    distortion=(-0.08, 0.04, 0.001, -0.0005, 0.0),
)  # fmt: skip
X = (0.062, -0.011, -0.055, 0.9971, 0.0312, -0.0402, 0.0566)
"""Of the optical frame in the tool, x y z [m], qw qx qy qz before they are made unit."""
Y = np.array([[1.0, 0, 0, 0.38], [0, -1.0, 0, 0.085], [0, 0, -1.0, 0.003], [0, 0, 0, 1.0]])
"""Pose of the board in the base: on the table, read from above."""
_DETAIL = 64
"""Pixels of the texture per square."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """What was drawn."""

    lens: Intrinsics
    X: FloatArray
    """(4, 4) true pose of the camera in the tool [m]."""
    pictures: list[Image]
    q: FloatArray
    """(N, 7) joints [rad]."""


def make_rendered(count: int, seed: int = 0) -> Rendered:
    """Return pictures of the board from many sides, the arm at poses that it can reach."""
    unit = np.array(X[3:]) / np.linalg.norm(X[3:])
    cfg = CameraCfg(
        name="wrist",
        body=FR3.chain.tool_frame,
        pose=(*X[:3], *(float(v) for v in unit)),
        intrinsics=LENS,
        stage=DriverStage(width=640, height=480, out_width=640, out_height=480),
        samples=2,
    )
    spec = mujoco.MjSpec()
    add_robot(spec, FR3)
    add_surroundings(spec)
    add_table(spec)
    _add_board(spec)
    add_camera(spec, cfg)
    world = make_world("mujoco", spec, 1, timestep=0.002, control_substeps=1)
    rig = CameraRig(world, [cfg])
    data = world.site(cfg.optical_frame).pose[0].numpy()
    tool = np.asarray(forward(FR3.chain, world.joints(FR3.joint_names).q[0].numpy()))
    optical = inverse(tool) @ np.asarray(pose_to_matrix(data))
    rng = np.random.default_rng(seed)
    pictures: list[Image] = []
    joints: list[FloatArray] = []
    while len(pictures) < count:
        q = _draw_pose(optical, rng)
        if q is None:
            continue
        world.joints(FR3.joint_names).q[:] = torch.from_numpy(q)
        world.forward()
        frame = rig.draw()["wrist_rgb"][0].numpy().copy()
        noisy = frame + rng.normal(0.0, 2.0, frame.shape)
        pictures.append(np.floor(noisy.clip(0.0, 255.0) + 0.5).astype(np.uint8))
        joints.append(q)
    return Rendered(LENS, optical, pictures, np.stack(joints))


def write_folder(folder: Path, rendered: Rendered) -> None:
    """Write pictures and `views.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"view-{k:03}.png" for k in range(len(rendered.pictures))]
    for name, picture in zip(files, rendered.pictures, strict=True):
        assert cv2.imwrite(str(folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    text = table_lines(FR3.joint_names, files, range(len(files)), rendered.q)
    (folder / TABLE).write_text(text)


def _draw_pose(optical: FloatArray, rng: np.random.Generator) -> FloatArray | None:
    """Return joints from which the camera looks at the board, tilted and turned somehow."""
    width, height = BOARD.size
    middle = Y @ np.array([0.5 * width, 0.5 * height, 0.0, 1.0])
    angle, lean = rng.uniform(-np.pi, np.pi), 0.75 * np.sqrt(rng.uniform(0.05, 1.0))
    far = rng.uniform(0.25, 0.42)
    direction = np.array([np.sin(lean) * np.cos(angle), np.sin(lean) * np.sin(angle), np.cos(lean)])
    eye = middle[:3] + far * direction + rng.uniform(-0.03, 0.03, 3)
    z = middle[:3] + rng.uniform(-0.05, 0.05, 3) * (1, 1, 0) - eye
    z /= np.linalg.norm(z)
    turn = rng.uniform(-0.5, 0.5)
    side = np.array([np.cos(turn), np.sin(turn), 0.0])
    x = side - z * (side @ z)
    x /= np.linalg.norm(x)
    camera = np.eye(4)
    camera[:3, :3], camera[:3, 3] = np.stack([x, np.cross(z, x), z], axis=-1), eye
    wanted = camera @ inverse(optical)
    pose = np.concatenate([wanted[:3, 3], quat_from_matrix(wanted[:3, :3])])
    q = np.asarray(solve_pose(FR3, pose, np.array(FR3.home), iterations=40))
    reached = np.abs(np.asarray(forward(FR3.chain, q)) - wanted).max() < 1e-6
    return q if reached else None


def _add_board(spec: mujoco.MjSpec) -> None:
    """Add the board as a thin mesh whose corners say which part of the picture they show."""
    grey = np.pad(BOARD.picture(_DETAIL), _DETAIL, constant_values=255)
    rows, cols = grey.shape
    texture = spec.add_texture(
        name="board", type=mujoco.mjtTexture.mjTEXTURE_2D, width=cols, height=rows, nchannel=3
    )
    texture.data = np.repeat(grey[:, :, None], 3, axis=2).tobytes()
    material = spec.add_material(name="board", specular=0.0, shininess=0.0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "board"
    square = 1e-3 * BOARD.square_mm
    low = np.array([-square, -square])
    high = np.array(BOARD.size) + square
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    flat = np.array([[x, y, z] for z in (0.0, 0.002) for x, y in corners])
    places = flat @ Y[:3, :3].T + Y[:3, 3]
    shown = np.array([[0, 0], [1, 0], [1, 1], [0, 1]] * 2, dtype=float)
    # Seen from above the upper side runs counter-clockwise; the frame's z points down.
    faces = np.array([[0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7]])
    spec.add_mesh(
        name="board", uservert=places.ravel(), userface=faces.ravel(), usertexcoord=shown.ravel(),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )  # fmt: skip
    spec.worldbody.add_geom(
        name="board", type=mujoco.mjtGeom.mjGEOM_MESH, meshname="board", material="board",
        contype=0, conaffinity=0,
    )  # fmt: skip
