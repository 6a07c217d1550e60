"""`sim2arm robot import FILE --controllers FILE`: make a robot of one's own usable by name."""

# pyright: standard

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.core.controller_file import read_controllers
from sim2arm.core.robot_files import FOLDER, MODEL, check_name, write_robot
from sim2arm.core.robots import ROBOTS
from sim2arm.sim.robots.import_numbers import Wanted
from sim2arm.sim.robots.import_robot import Imported, import_robot
from sim2arm.sim.robots.import_source import TRIED, Source, read_source
from sim2arm.sim.tasks.reach import Reach, ReachCfg

from .errors import UserError, user_input
from .parse import parse


@dataclass(frozen=True, kw_only=True)
class ImportCfg:
    """Make a robot of a URDF or MJCF, its meshes left out, and its ros2_control controllers."""

    path: Annotated[Positional[Path], arg(metavar="FILE")]
    """URDF (expand xacro first) or MJCF."""
    controllers: Path
    """Controllers file of ros2_control: which joints are the arm's, and their gains."""
    replace: bool = False
    """Write over a robot that was imported before."""
    wanted: Annotated[Wanted, arg(name="")] = field(default_factory=Wanted)
    """What is said beside the files."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(ImportCfg, argv, "sim2arm robot import")
    folder, found, source = run(cfg)
    for line in summary(found, source):
        print(line)
    print(f"{folder}: entry and model; next: sim2arm train reach-ppo --robot {found.robot.name}")
    return 0


def run(cfg: ImportCfg, robots: Path = FOLDER) -> tuple[Path, Imported, Source]:
    """Import a robot into `robots/NAME/` of the working directory.

    Returns:
        Its folder, what was made, and of what.

    Raises:
        UserError: the files do not make a robot, or there is one of this name.
    """
    with user_input("robot"):
        source = read_source(cfg.path)
    with user_input("controllers"):
        controllers = read_controllers(
            cfg.controllers.read_text(encoding="utf-8"), cfg.controllers.name
        )
    name = cfg.wanted.name or source.name
    with user_input("robot"):
        check_name(name)
        if name in ROBOTS:
            raise ValueError(f"{name!r} is the name of a robot that we know: choose --name")
        found = import_robot(source, controllers, replace(cfg.wanted, name=name))
        _check_scene(found)
    folder = robots / name
    if folder.exists() and not cfg.replace:
        raise UserError(f"{folder} is there already: add --replace, or choose another --name")
    with user_input("robot", folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MODEL).write_text(found.model, encoding="utf-8")
        write_robot(found.robot, folder, made_from(cfg, found))
    return folder, found, source


def made_from(cfg: ImportCfg, found: Imported) -> dict[str, str]:
    """Return the files with their digests and what was estimated, as the entry keeps it."""
    files = {
        label: f"{path.name} sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for label, path in (("description", cfg.path), ("controllers", cfg.controllers))
    }
    return files | dict(found.notes)


def summary(found: Imported, source: Source) -> list[str]:
    """Return what was found, a line each."""
    robot = found.robot
    chain, limits = robot.chain, robot.limits
    rows = [f"robot {robot.name}: {chain.base_frame} to {chain.tool_frame}"]
    numbers = zip(
        robot.joint_names, limits.q_min, limits.q_max, limits.dq_max, limits.tau_max, robot.kp,
        robot.kd, robot.home, strict=True,
    )  # fmt: skip
    for name, low, high, speed, torque, kp, kd, home in numbers:
        rows.append(
            f"  {name:<24} {low:7.3f} to {high:6.3f} rad, {speed:6.3f} rad/s, {torque:6.1f} N m, "
            f"kp {kp:g}, kd {kd:g}, home {home:.3f}"
        )
    if robot.gripper.joint_names:
        gripper = robot.gripper
        rows.append(
            f"  gripper {' and '.join(gripper.joint_names)}: {1e3 * gripper.open_width:.1f} mm, "
            f"{gripper.speed:g} m/s, {gripper.force:g} N"
        )
    rows += [f"  {name}: {text}" for name, text in found.notes.items()]
    if source.meshes:
        rows.append(f"  {source.meshes} meshes are left out; capsules along the chain are seen")
    for name, (metres, radians) in found.residuals.items():
        rows.append(
            f"  kinematics against MuJoCo's compile of the {name}, {TRIED} positions: "
            f"{metres:.1e} m, {radians:.1e} rad"
        )
    return rows


def _check_scene(found: Imported) -> None:
    """Build the smallest task with the robot, so that a name that clashes is seen now.

    Raises:
        ValueError: MuJoCo does not compile the scene.
    """
    with TemporaryDirectory() as folder:
        model = Path(folder) / MODEL
        model.write_text(found.model, encoding="utf-8")
        Reach(ReachCfg(), replace(found.robot, model=str(model))).scene().compile()
