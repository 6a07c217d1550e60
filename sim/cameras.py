"""Cameras on the robot and around it: what they are, into a scene, pictures as policies see them.

A camera is a real one, with intrinsics and lens, and the driver stage that its pictures run
through. The simulation draws the result of the stage directly, small; a lens that the stage leaves
in is put in by bending a slightly larger picture (`camera_rig`). `<camera>_optical` is a site of
the scene, z forward, x right, y down.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np

from sim2arm.core.driver_stage import (
    DriverStage,
    FloatArray,
    Intrinsics,
    intrinsics_of_view,
    stage_intrinsics,
    undistort,
)
from sim2arm.core.spec import ArraySpec
from sim2arm.core.transforms import pose_compose, quat_from_matrix, quat_mul

from .worlds.compiled import UnknownNameError
from .worlds.pictures import OUTPUTS, Output

_FLIP = (0.0, 1.0, 0.0, 0.0)
"""From the optical frame to MuJoCo's of a camera, which looks along -z with y up."""


@dataclass(frozen=True, kw_only=True)
class CameraCfg:
    """A camera, where it is mounted and what becomes of its pictures."""

    name: str
    """Letters, digits and underscores; arrays are `<name>_rgb` and `<name>_depth`."""
    body: str = "world"
    """Body, or site such as the tool frame of an arm, on which it is mounted; `*_hand` is the only
    body whose name ends so."""
    pose: tuple[float, ...]
    """Of the frame `<name>_optical` in it, x y z [m], qw qx qy qz; z forward, x right."""
    intrinsics: Intrinsics
    """Of the camera's own pictures."""
    stage: DriverStage
    """What makes the policy's pictures of them; depth always takes nearest pixels."""
    outputs: tuple[Output, ...] = ("rgb",)
    """rgb and depth, and segmentation, which only the simulation has."""
    samples: int = 1
    """Rays per pixel along each axis of colour pictures; more come nearer to an area's mean."""
    rate_hz: float = 30.0
    """Pictures per second."""
    phase_s: float = 0.0
    """Offset of its pictures from the control ticks [s]."""
    max_age_s: float = 0.1
    """Oldest picture that is still used [s]."""

    def __post_init__(self) -> None:
        """Refuse what is no camera; see also `DriverStage`."""
        if not self.name.replace("_", "a").isalnum():
            raise ValueError(f"camera name: letters, digits, underscores, got {self.name!r}")
        if len(self.pose) != 7 or abs(math.hypot(*self.pose[3:]) - 1.0) > 1e-6:
            raise ValueError(
                f"camera {self.name!r}: pose: expected x y z and a unit quaternion w x y z, got "
                f"{self.pose}"
            )
        if not self.outputs or not set(self.outputs) <= set(OUTPUTS):
            raise ValueError(
                f"camera {self.name!r}: outputs: expected some of {OUTPUTS}, got {self.outputs}"
            )
        if self.samples < 1 or not (self.rate_hz > 0 and self.max_age_s > 0):
            raise ValueError(f"camera {self.name!r}: samples, rate and age must be above 0")
        stage_intrinsics(self.stage, self.intrinsics)  # raises where they do not fit

    @property
    def optical_frame(self) -> str:
        """Name of the frame and of its site."""
        return f"{self.name}_optical"

    @property
    def final(self) -> Intrinsics:
        """Intrinsics of the pictures that policies see."""
        return stage_intrinsics(self.stage, self.intrinsics)


def look_at(
    position: tuple[float, float, float], target: tuple[float, float, float]
) -> tuple[float, ...]:
    """Return the pose of an optical frame that looks from a point to another, level in the body.

    Raises:
        ValueError: it would look straight up or down, where level has no meaning.
    """
    forward = np.subtract(target, position)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    if np.linalg.norm(right) < 1e-9 * max(np.linalg.norm(forward), 1e-300):
        raise ValueError(f"look_at: {target} lies straight above or below {position}")
    z, x = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
    turn = quat_from_matrix(np.stack([x, np.cross(z, x), z], axis=-1))
    return (*position, *(float(v) for v in turn))


def add_camera(spec: mujoco.MjSpec, cfg: CameraCfg) -> None:
    """Add a camera and its optical frame to a scene.

    Args:
        spec: the scene, changed in place.
        cfg: the camera; its body must be in the scene.

    Raises:
        UnknownNameError: the body is not in the scene, or several are called like it.
    """
    sites = [] if cfg.body.startswith("*") else [site.name for site in spec.sites if site.name]
    mount = find_mount(cfg, [*(body.name for body in spec.bodies), *sites])
    pose = np.array(cfg.pose)
    if mount in sites:
        site = spec.site(mount)
        body, pose = site.parent, pose_compose(np.concatenate([site.pos, site.quat]), pose)
    else:
        body = spec.worldbody if mount == "world" else spec.body(mount)
    position, turn = pose[:3], pose[3:]
    body.add_site(name=cfg.optical_frame, pos=position, quat=turn, size=[0.002] * 3, group=4)
    drawn = drawn_intrinsics(cfg)
    camera = body.add_camera(name=cfg.name, pos=position, quat=quat_mul(turn, np.array(_FLIP)))
    # A pixel is a unit of length, so that the field `cam_intrinsic` is in pixels.
    camera.resolution = (drawn.width, drawn.height)
    camera.sensor_size = (drawn.width, drawn.height)
    camera.focal_length = (drawn.fx, drawn.fy)
    camera.principal_length = principal(drawn)


def find_mount(cfg: CameraCfg, bodies: Sequence[str]) -> str:
    """Return the body or site of a scene on which a camera is mounted.

    Args:
        cfg: the camera.
        bodies: names of the scene's, and of its sites.

    Raises:
        UnknownNameError: it is not among them, or several are called like it.
    """
    if cfg.body.startswith("*"):
        found = [name for name in bodies if name.endswith(cfg.body[1:])]
    else:
        found = [name for name in bodies if name == cfg.body]
    if len(found) != 1:
        raise UnknownNameError(
            f"camera {cfg.name!r}: expected one body {cfg.body!r} in the scene, found {found}. "
            f"Known: {list(bodies)}"
        )
    return found[0]


def principal(k: Intrinsics) -> tuple[float, float]:
    """Return the last two numbers of `cam_intrinsic`: middle minus axis, by the edges [pixels]."""
    return 0.5 * (k.width - 1) - k.cx, 0.5 * (k.height - 1) - k.cy


def camera_specs(cfg: CameraCfg) -> dict[str, ArraySpec]:
    """Return the inputs of policies that a camera gives; none for segmentation."""
    final = cfg.final
    frame = (final.height, final.width)
    common = ArraySpec(
        name=f"{cfg.name}_rgb",
        kind="sensor",
        shape=(*frame, 3),
        dtype="uint8",
        unit="1",
        frame=cfg.optical_frame,
        element_names=("r", "g", "b"),
        rate_hz=cfg.rate_hz,
        phase_s=cfg.phase_s,
        max_stamp_age_s=cfg.max_age_s,
        max_receipt_age_s=cfg.max_age_s,
        driver_stage=cfg.stage.text,
    )
    depth = replace(
        common,
        name=f"{cfg.name}_depth",
        shape=frame,
        dtype="float32",
        unit="m",
        element_names=(),
        driver_stage=replace(cfg.stage, resample="nearest").text,
    )
    known: dict[Output, ArraySpec] = {"rgb": common, "depth": depth}
    return {known[one].name: known[one] for one in cfg.outputs if one in known}


def ideal_points(final: Intrinsics) -> FloatArray:
    """Return (H, W, 2): what each pixel's ray is at depth 1, without the lens."""
    v, u = np.mgrid[0 : final.height, 0 : final.width].astype(np.float64)
    bent = np.stack([(u - final.cx) / final.fx, (v - final.cy) / final.fy], axis=-1)
    return undistort(final, bent)


def drawn_intrinsics(cfg: CameraCfg) -> Intrinsics:
    """Return the pinhole that is drawn: the final one, or one that holds all its bent rays."""
    final = cfg.final
    if not final.distorts:
        return final
    points = ideal_points(final)
    u, v = points[..., 0] * final.fx + final.cx, points[..., 1] * final.fy + final.cy
    left, top = math.floor(min(u.min(), 0.0)), math.floor(min(v.min(), 0.0))
    right = math.ceil(max(u.max(), final.width - 1.0))
    bottom = math.ceil(max(v.max(), final.height - 1.0))
    return replace(
        final,
        width=right - left + 1,
        height=bottom - top + 1,
        cx=final.cx - left,
        cy=final.cy - top,
        distortion=(),
    )


SMALL = 84
"""Usual side of a policy's picture [pixels]; source: Mnih et al., Nature 518, 2015."""


def wrist_camera(body: str = "*_hand", **changes: object) -> CameraCfg:
    """Return a RealSense D405 before a gripper, turned towards what it holds.

    View 87 deg wide at 848 x 480, nominal (data sheet of the D400 family, 337029); the middle
    square becomes 84 x 84. The mount is ours: 7 cm beside the hand's axis along x, 25 deg inwards.

    Args:
        body: of the hand, z towards the fingertips.
        changes: fields of `CameraCfg` that differ.
    """
    turn = math.radians(25.0)
    z = (-math.sin(turn), 0.0, math.cos(turn))
    y = (-math.cos(turn), 0.0, -math.sin(turn))  # down in the picture: towards the hand
    x = np.cross(y, z)
    quat = quat_from_matrix(np.stack([x, y, z], axis=-1))
    stage = DriverStage(
        width=848, height=480, crop=(184, 0, 480, 480), out_width=SMALL, out_height=SMALL
    )
    cfg = CameraCfg(
        name="wrist",
        body=body,
        pose=(0.07, 0.0, 0.04, *(float(v) for v in quat)),
        intrinsics=intrinsics_of_view(848, 480, 87.0),
        stage=stage,
    )
    return replace(cfg, **changes)


def scene_camera(**changes: object) -> CameraCfg:
    """Return a RealSense D435 on a stand opposite the robot, looking at the table.

    Colour view 54.5 deg wide at 640 x 480: the 69 deg of 16:9 (data sheet of the D400 family,
    337029), cut to 4:3. The middle square becomes 84 x 84.

    Args:
        changes: fields of `CameraCfg` that differ.
    """
    stage = DriverStage(
        width=640, height=480, crop=(80, 0, 480, 480), out_width=SMALL, out_height=SMALL
    )
    cfg = CameraCfg(
        name="scene",
        pose=look_at((1.25, 0.0, 0.55), (0.45, 0.0, 0.1)),
        intrinsics=intrinsics_of_view(640, 480, 54.5),
        stage=stage,
    )
    return replace(cfg, **changes)
