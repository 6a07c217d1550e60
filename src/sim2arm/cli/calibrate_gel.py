"""`sim2arm calibrate gel`: how stiff a gel is and how it grips, from presses of an arm."""

# pyright: standard

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg

from sim2arm.calibration.gel_file import KIND
from sim2arm.calibration.gel_press import GelPressCfg, Indenter, Pressing, find_gel
from sim2arm.calibration.gel_report import write_gel
from sim2arm.core.calibration_record import CalibrationRecord
from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.kinematics import forward
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Chain

from .calibrate_intrinsics import record_path
from .errors import UserError, user_input
from .motion_source import MotionSource
from .parse import parse

AXES = {
    f"{sign}{axis}": (-1.0 if sign else 1.0) * np.eye(3)[k]
    for sign in ("", "-")
    for k, axis in enumerate("xyz")
}
MOST_TURN = 3.0
"""How far the tool may turn while it presses [deg]."""


@dataclass(frozen=True, kw_only=True)
class CalibrateGelCfg:
    """Find the stiffness, damping and friction of a gel from presses with known shape.

    Press the gel straight against a flat stamp or a ball, a dozen times, to other depths and at
    other speeds, and away from it each time; in each press slide a centimetre to and fro. The arm
    carries the gel or the stamp, keeps its orientation, and a force sensor says what it feels.
    """

    log: Annotated[Positional[Path | None], arg(metavar="LOG")] = None
    """Raw log (rosbag2 with MCAP); without, what comes on the topics now."""
    wrench_topic: str
    """Topic of the force (WrenchStamped)."""
    joints_topic: str = "/joint_states"
    """Topic with joint states of the arm."""
    area_mm2: float = 0.0
    """Area of a flat stamp that lies in the gel as a whole [mm^2]."""
    ball_radius_mm: float = 0.0
    """Radius of a ball [mm]."""
    normal: Literal["x", "-x", "y", "-y", "z", "-z"] = "z"
    """Axis of the tool along which it presses."""
    frame: Literal["tool", "base"] = "tool"
    """Whose axes the force is given in."""
    robot: str = "fr3"
    """Name of the arm."""
    seconds: float = 60.0
    """Live: for how long."""
    name: str = "gel"
    """Name of the gel."""
    out: Path | None = None
    """Record to write, .yaml. Default: NAME-gel.yaml in the working directory."""
    how: GelPressCfg = field(default_factory=GelPressCfg)
    """What counts, and what is accepted."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run; exit code 1 if the calibration is not accepted."""
    cfg = parse(CalibrateGelCfg, argv, "sim2arm calibrate gel")
    path, record = run(cfg)
    print(f"{record.device}:")
    for line in record.notes:
        print(f"  {line}")
    for problem in record.problems:
        print(f"  not accepted: {problem}")
    print(f"{path}: record; {path.with_suffix('.html').name}: report; train with --gel {path}")
    return 1 if record.problems else 0


def run(cfg: CalibrateGelCfg) -> tuple[Path, CalibrationRecord]:
    """Measure and write; return the file of the record, and the record.

    Raises:
        UserError: options do not go together, or the recording does not tell.
    """
    if not cfg.seconds > 0:
        raise UserError(f"--seconds: expected more than 0, got {cfg.seconds}")
    path = record_path(cfg.out, cfg.name, KIND, cfg.log or Path("/nowhere"))
    with user_input("--area-mm2, --ball-radius-mm"):
        indenter = Indenter(area=1e-6 * cfg.area_mm2, radius=1e-3 * cfg.ball_radius_mm)
    with user_input("calibrate gel"):
        robot = find_robot(cfg.robot)
        source = MotionSource(
            log=cfg.log, moved=cfg.joints_topic, seen=cfg.wrench_topic, names=robot.joint_names,
            wrench=True, seconds=cfg.seconds,
        )  # fmt: skip
        press = _pressing(source, robot.chain, AXES[cfg.normal], cfg.frame)
        found = find_gel(press, indenter, cfg.how)
        inputs = source.inputs()
    with user_input("calibrate gel", path):
        how = (
            f"Pressed along {cfg.normal} of the tool of {cfg.robot} ({cfg.joints_topic}), force of "
            f"{cfg.wrench_topic} in the axes of the {cfg.frame}. What else gives between joints "
            "and gel counts as a softer gel."
        )
        record = write_gel(
            path, press, found, indenter, cfg.how, device=cfg.name, how=how, inputs=inputs
        )
    return path, record


def _pressing(source: MotionSource, chain: Chain, normal: FloatArray, frame: str) -> Pressing:
    """Return what was pressed, at the stamps of the forces.

    Raises:
        ValueError: there is too little, or the tool turned.
    """
    moved, felt = dict[int, FloatArray](), dict[int, FloatArray]()
    joints_wanted, force_wanted = (len(source.names),), (6,)
    for told in source.events():
        if told.values.shape != (joints_wanted if told.moved else force_wanted):
            topic, what = (
                (source.moved, "joint states") if told.moved else (source.seen, "WrenchStamped")
            )
            raise ValueError(f"{topic}: expected {what}, got something else")
        if told.moved:
            moved[told.stamp_ns] = told.values
        elif np.isfinite(told.values).all():
            felt[told.stamp_ns] = told.values[:3]
    if len(moved) < 100 or len(felt) < 100:
        raise ValueError(
            f"expected 100 joint states and forces or more, got {len(moved)} and {len(felt)}"
        )
    stamps, joints = np.array(sorted(moved)), np.stack([moved[t] for t in sorted(moved)])
    times = np.array([t for t in sorted(felt) if stamps[0] <= t <= stamps[-1]])
    if len(times) < 100:
        raise ValueError("joint states and forces hardly overlap: are their clocks the same?")
    force = np.stack([felt[t] for t in times])
    T = forward(chain, joints)
    place = np.stack([np.interp(times, stamps, T[:, k, 3]) for k in range(3)], axis=1)
    near = np.searchsorted(stamps, times).clip(0, len(stamps) - 1)
    turns = T[near][:, :3, :3]
    if frame == "tool":
        force = np.einsum("tij,tj->ti", turns, force)
    depth_axis, across, turned = _axes(turns, normal, np.linalg.norm(force, axis=1))
    if turned > MOST_TURN:
        raise ValueError(
            f"the tool turned by {turned:.1f} deg, expected {MOST_TURN:g} deg at most: keep its "
            "orientation while you press"
        )
    depth, pushed = place @ depth_axis, force @ depth_axis
    # The sensor may say what the tool feels or what it does: a press is what grows with depth.
    deep = depth > np.quantile(depth, 0.75)
    away = depth < np.quantile(depth, 0.25)
    sign = 1.0 if np.median(pushed[deep]) >= np.median(pushed[away]) else -1.0
    return Pressing(
        times=(times - times[0]) / 1e9, depth=depth, force=sign * pushed,
        slide=place @ across.T, drag=-sign * (force @ across.T),
    )  # fmt: skip


def _axes(
    turns: FloatArray, normal: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Return the mean normal (3,), two axes across (2, 3), and how far tools turned [deg]."""
    each = turns @ normal
    mean = (weight[:, None] * each).sum(axis=0)
    mean = mean / np.linalg.norm(mean)
    turned = np.degrees(np.arccos(np.clip((each @ mean).min(), -1.0, 1.0)))
    helper = np.eye(3)[int(np.argmin(np.abs(mean)))]
    first = np.cross(mean, helper)
    first = first / np.linalg.norm(first)
    across = np.asarray([first, np.cross(mean, first)], dtype=np.float64)
    return mean, across, float(turned)
