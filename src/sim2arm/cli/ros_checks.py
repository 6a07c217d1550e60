"""What `sim2arm ros up` refuses before anything is started."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sim2arm.core.contract import Contract
from sim2arm.sensors.teleop.devices import TELEOP_DEVICES
from sim2arm_ros.graph import is_name
from sim2arm_ros.launcher import enclave_of

from .errors import UserError, user_input
from .extras import missing_extra
from .outputs import check_folder
from .parse import unknown

if TYPE_CHECKING:
    from .arm_options import ArmOptions
    from .ros import RosUpCfg


def check(cfg: RosUpCfg) -> None:
    """Refuse options that do not go together.

    Raises:
        UserError: one line.
    """
    if cfg.sim is None:
        for name in ("lock_step", "episodes", "settings", "cameras", "touch"):
            if getattr(cfg, name) not in (False, 0, None, "none"):
                raise UserError(f"--{name.replace('_', '-')} needs --sim TASK")
        told = cfg.yes or cfg.page or cfg.only is not None
        if not told and not sys.stdin.isatty():
            raise UserError(
                "a robot moves only when told: answer at a terminal, or pass --page or --yes"
            )
    else:
        if cfg.port or cfg.servos:
            raise UserError("--port and --servos: a simulated arm has none; leave out --sim")
        from sim2arm.sim.tasks.table import TASKS

        if cfg.sim not in TASKS:
            raise UserError(unknown("task", cfg.sim, TASKS))
    for name in ("settings", "teleop_settings"):
        path = getattr(cfg, name)
        if path is not None and not path.is_file():
            raise UserError(f"--{name.replace('_', '-')}: no such file: {path}")
    check_arm_options(cfg)
    if cfg.calibrations and cfg.teleop:
        raise UserError("--calibrations: the policy compares them, and a hand asks in its place")
    check_hand(cfg)
    check_sensors(cfg)
    check_sides(cfg)
    if cfg.page:
        for name in ("yes", "lock_step", "episodes", "only", "namespace"):
            if getattr(cfg, name):
                raise UserError(
                    f"--{name.replace('_', '-')}: with --page the person starts, and sees one arm "
                    "in real time: leave one out"
                )
        check_page(cfg.page_host, cfg.page_port, "--page-host and --page-port")
    if not 0 <= cfg.seed < 2**63:
        raise UserError(f"--seed: expected 0 or more, got {cfg.seed}")
    if cfg.episodes < 0 or cfg.duration < 0 or cfg.patience <= 0:
        raise UserError("--episodes and --duration must be 0 or more, --patience above 0")
    check_folder("--logs", cfg.logs)
    if cfg.record is not None:
        check_folder("--record", cfg.record)
        if cfg.record.is_dir() and any(cfg.record.iterdir()):
            raise UserError(f"--record: {cfg.record} is not empty, expected a new folder")


def check_arm_options(cfg: ArmOptions) -> None:
    """Refuse what says which arm it is, and cannot.

    Raises:
        UserError: one line.
    """
    if cfg.servos is not None and not cfg.servos.is_file():
        raise UserError(f"--servos: no such file: {cfg.servos}")
    for path in cfg.calibrations:
        if not path.is_file() or "," in str(path):
            raise UserError(f"--calibrations: no such file, or a comma in its name: {path}")
    parts = cfg.namespace.strip("/").split("/")
    if cfg.namespace and not all(re.fullmatch(r"[A-Za-z]\w*", part, re.ASCII) for part in parts):
        raise UserError(f"--namespace: expected a name such as left, got {cfg.namespace!r}")


def check_sides(cfg: RosUpCfg) -> None:
    """Refuse what two machines cannot do.

    Raises:
        UserError: one line.
    """
    if cfg.only and cfg.without:
        raise UserError("--only and --without: this machine runs one side, the other the rest")
    apart = "--only" if cfg.only else "--without"
    if (cfg.only or cfg.without) and cfg.lock_step:
        raise UserError(f"{apart}: lock step would wait for the network: leave out --lock-step")
    if (cfg.only or cfg.without) and cfg.sim and not os.environ.get("ROS_DOMAIN_ID"):
        raise UserError(f"{apart}: set ROS_DOMAIN_ID to the same number on both machines")
    for name in ("episodes", "duration"):
        if cfg.only and getattr(cfg, name):
            raise UserError(f"--{name}: the other machine operates: pass it there")
    for peer in cfg.peers:
        if re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z.:-]*", peer) is None:
            raise UserError(f"--peers: expected names or addresses of machines, got {peer!r}")
    if cfg.keystore is not None:
        asker = "teleop_node" if cfg.teleop else "policy_node"
        check_keystore(cfg.keystore, [asker] if cfg.only else ["gate_node"])


def check_keystore(keystore: Path, executables: Sequence[str]) -> None:
    """Refuse a keystore without the enclaves of the operator and of what is started here.

    Raises:
        UserError: one line.
    """
    for enclave in ("operator", *executables):
        path = keystore / f"enclaves{enclave_of(enclave)}" / "permissions.p7s"
        if not path.is_file():
            raise UserError(
                f"--keystore: {path} is missing; make it with docker/scripts/make_keystore"
            )


def check_hand(cfg: RosUpCfg) -> None:
    """Refuse a hand that its node could not read.

    Raises:
        UserError: one line.
    """
    if cfg.teleop and cfg.intervene:
        raise UserError("--teleop: it asks in place of the policy, and --intervene beside it")
    option, device = ("--intervene", cfg.intervene) if cfg.intervene else ("--teleop", cfg.teleop)
    name = device.partition(":")[0]
    if not name:
        if cfg.teleop_settings is not None:
            raise UserError("--teleop-settings needs --teleop or --intervene DEVICE")
        return
    if name not in TELEOP_DEVICES:
        raise UserError(unknown("device", name, TELEOP_DEVICES))
    if name == "terminal":
        raise UserError(f"{option} terminal: a node has no terminal; pass keyboard, or another")
    if cfg.lock_step:
        raise UserError(f"{option}: a hand does not wait for commands: leave out --lock-step")


def check_sensors(cfg: RosUpCfg) -> None:
    """Refuse sensors that their nodes could not open, or whose names are none.

    Raises:
        UserError: one line.
    """
    if not cfg.sensors:
        return
    from sim2arm_ros.sensor_file import read_sensor_file

    names = [path.stem for path in cfg.sensors]
    for path in cfg.sensors:
        if not is_name(path.stem) or names.count(path.stem) > 1:
            raise UserError(
                f"--sensors: {path}: expected files of different names that are names of ROS nodes"
            )
        with user_input("--sensors"):
            read_sensor_file(str(path))


def check_page(host: str, port: int, options: str) -> None:
    """Refuse a page that could not be served; `options` say where.

    Raises:
        UserError: one line.
    """
    try:
        from sim2arm_ros.page import check_port
    except ModuleNotFoundError as error:
        raise UserError(f"--page {missing_extra(error.name) or error}") from error
    with user_input(options):
        check_port(host, port)


def check_task(name: str, contract: Contract, settings: Path | None) -> None:
    """Refuse a simulated arm that its node could not make.

    Raises:
        UserError: one line.
    """
    from sim2arm.sim.arm import substeps_of
    from sim2arm.sim.tasks.table import make_task

    with user_input("settings", settings):
        text = "" if settings is None else settings.read_text(encoding="utf-8")
        task = make_task(name, contract.robot, text)
    with user_input("bundle"):
        substeps_of(contract.control_hz)
    given = {spec.name for spec in task.goals}
    needed = {spec.name for spec in contract.inputs if spec.kind == "goal"}
    if needed - given:
        raise UserError(
            f"--sim: the policy needs {', '.join(sorted(needed - given))}, and {name} gives "
            f"{', '.join(sorted(given)) or 'no goal'}; which task was it trained for?"
        )
