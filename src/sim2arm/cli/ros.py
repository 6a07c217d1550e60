"""`sim2arm ros up [GRAPH]`: start the nodes of a policy, bring them up, watch them, stop them.

The stand-alone launcher: it starts the same executables with the same parameters as
`launch/policy.launch.py`, and drives their lifecycle over the same services as `ros2 lifecycle`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated

from tyro.conf import Positional, arg

from sim2arm.core.contract import Contract
from sim2arm.policies.bundle import CONTRACT
from sim2arm.policies.verify import load_contract
from sim2arm.sensors.teleop.devices import TELEOP_DEVICES
from sim2arm_ros.dds import RosImportError, install
from sim2arm_ros.graph import DEFAULT_GRAPH, read_graph
from sim2arm_ros.launcher import (
    Launch,
    NodeProcess,
    operator_page,
    policy_graph,
    private_domain,
    recorder,
    simulated_arm,
)

from .errors import UserError, user_input
from .extras import missing_extra
from .outputs import check_folder
from .parse import parse, unknown
from .state_line import StateLine


@dataclass(frozen=True, kw_only=True)
class RosUpCfg:
    """Start policy and gate as ROS 2 nodes, bring them up and watch them until Ctrl-C."""

    graph: Annotated[Positional[Path | None], arg(metavar="[GRAPH]")] = None
    """graph.yaml of the robot; without it the one of the package."""
    bundle: Path
    """Policy bundle, or a run with one."""
    teleop: str = ""
    """Device with which a person asks in place of the policy, NAME or NAME:WHERE of `sim2arm list`;
    of the bundle only the contract is used."""
    teleop_settings: Path | None = None
    """YAML file with how the arm follows it, fields of `--teleop` of `sim2arm record`."""
    sim: str | None = None
    """Task: start a simulated arm with it in place of the robot, in a ROS domain of its own."""
    settings: Path | None = None
    """YAML file with the settings of the simulated task; its defaults without one."""
    cameras: str = "none"
    """Cameras of the simulated arm, a name of `sim2arm list`."""
    touch: str = "none"
    """Gels of the simulated arm."""
    lock_step: bool = False
    """The simulated arm waits for every command."""
    seed: int = 0
    """Seed of the first simulated episode; the others count up."""
    episodes: int = 0
    """Simulated episodes to run; 0: until Ctrl-C."""
    duration: float = 0.0
    """Stop after this time [s]; 0: at Ctrl-C."""
    patience: float = 30.0
    """How long a red activation may take to turn green [s]."""
    yes: bool = False
    """On a robot: start the policy without asking."""
    allow_fallback: bool = False
    """On a robot: allow the DDS fallback in place of a ROS 2 installation."""
    logs: Path = Path("runs/ros-logs")
    """Where the output of the nodes goes, a file each."""
    page: bool = False
    """Serve the operator's page: the person starts, holds and watches the arm there."""
    port: int = 8080
    """Of the page; 0 takes any that is free."""
    host: str = "127.0.0.1"
    """Address that the page listens at; it has no password, so think before you open it."""
    record: Path | None = None
    """Folder of a raw log of all messages, which `sim2arm convert` makes a dataset of."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(RosUpCfg, argv, "sim2arm ros up")
    check(cfg)
    if cfg.page:
        cfg = replace(cfg, port=cfg.port or free_port(cfg.host))
    bundle = find_bundle(cfg.bundle)
    with user_input("bundle"):
        contract = load_contract(bundle)
    with user_input("graph"):
        read_graph(cfg.graph).bindings(contract)
    sensors: dict[str, Path | None] = {}
    if cfg.sim is not None:
        check_task(cfg.sim, contract, cfg.settings)
        sensors = write_sensors(cfg, contract)
    try:
        which = install()
    except RosImportError as error:
        raise UserError(str(error)) from error
    if cfg.sim is None and "fallback" in which and not cfg.allow_fallback:
        raise UserError(
            f"a robot needs a ROS 2 installation, this is the {which.partition(': ')[2]}: source "
            "ROS, or pass --allow-fallback (or --sim TASK for a simulated arm)"
        )
    env = environment(cfg)
    for name, text in describe(cfg, bundle, contract, which, env).items():
        print(f"{name:<8}{text}")
    with _signals_interrupt():
        return _up(cfg, nodes(cfg, bundle, contract, **sensors), env)


def check(cfg: RosUpCfg) -> None:
    """Refuse options that do not go together.

    Raises:
        UserError: one line.
    """
    if cfg.sim is None:
        for name in ("lock_step", "episodes", "settings", "cameras", "touch"):
            if getattr(cfg, name) not in (False, 0, None, "none"):
                raise UserError(f"--{name.replace('_', '-')} needs --sim TASK")
        if not cfg.yes and not cfg.page and not sys.stdin.isatty():
            raise UserError(
                "a robot moves only when told: answer at a terminal, or pass --page or --yes"
            )
    else:
        from sim2arm.sim.tasks.table import TASKS

        if cfg.sim not in TASKS:
            raise UserError(unknown("task", cfg.sim, TASKS))
    for name in ("settings", "teleop_settings"):
        path = getattr(cfg, name)
        if path is not None and not path.is_file():
            raise UserError(f"--{name.replace('_', '-')}: no such file: {path}")
    check_hand(cfg)
    if cfg.page:
        for name in ("yes", "lock_step", "episodes"):
            if getattr(cfg, name):
                raise UserError(
                    f"--{name.replace('_', '-')}: with --page the person starts, and sees the arm "
                    "in real time: leave one out"
                )
        check_page(cfg.host, cfg.port)
    if not 0 <= cfg.seed < 2**63:
        raise UserError(f"--seed: expected 0 or more, got {cfg.seed}")
    if cfg.episodes < 0 or cfg.duration < 0 or cfg.patience <= 0:
        raise UserError("--episodes and --duration must be 0 or more, --patience above 0")
    check_folder("--logs", cfg.logs)
    if cfg.record is not None:
        check_folder("--record", cfg.record)
        if cfg.record.is_dir() and any(cfg.record.iterdir()):
            raise UserError(f"--record: {cfg.record} is not empty, expected a new folder")


def check_hand(cfg: RosUpCfg) -> None:
    """Refuse a hand that its node could not read.

    Raises:
        UserError: one line.
    """
    name = cfg.teleop.partition(":")[0]
    if not name:
        if cfg.teleop_settings is not None:
            raise UserError("--teleop-settings needs --teleop DEVICE")
        return
    if name not in TELEOP_DEVICES:
        raise UserError(unknown("device", name, TELEOP_DEVICES))
    if name == "terminal":
        raise UserError("--teleop terminal: a node has no terminal; pass keyboard, or another")
    if cfg.lock_step:
        raise UserError("--teleop: a hand does not wait for commands: leave out --lock-step")


def check_page(host: str, port: int) -> None:
    """Refuse a page that could not be served.

    Raises:
        UserError: one line.
    """
    try:
        from sim2arm_ros.page import check_port
    except ModuleNotFoundError as error:
        raise UserError(f"--page {missing_extra(error.name) or error}") from error
    with user_input("--host and --port"):
        check_port(host, port)


def free_port(host: str) -> int:
    """Return a port that is free now: the page is another process, and is told which."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


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


def write_sensors(cfg: RosUpCfg, contract: Contract) -> dict[str, Path | None]:
    """Write cameras and gels of the simulated arm for its node; return the files.

    Raises:
        UserError: there are none of a name, or not those that the policy needs.
    """
    from sim2arm.sim.cameras import camera_specs

    from .ros_evaluation import write_record
    from .runs import find_cameras, find_touch

    cameras, touch = find_cameras(cfg.cameras), find_touch(cfg.touch)
    vision = None if cameras is None else cameras.vision
    sights = () if vision is None else vision.sights
    seen = {name for sight in sights for name in camera_specs(sight.camera)}
    missing = [s.name for s in contract.inputs if s.driver_stage and s.name not in seen]
    if missing:
        raise UserError(
            f"--cameras: the policy sees {', '.join(missing)}, and {cfg.cameras} gives "
            f"{', '.join(sorted(seen)) or 'nothing'}; with which was it trained?"
        )
    cfg.logs.mkdir(parents=True, exist_ok=True)
    return {
        "vision": write_record(cfg.logs / "vision.yaml", vision),
        "touch": write_record(cfg.logs / "touch.yaml", touch),
    }


def find_bundle(path: Path) -> Path:
    """Return the bundle that a path means.

    Raises:
        UserError: neither a bundle nor a run with one.
    """
    for folder in (path, path / "bundle"):
        if (folder / CONTRACT).is_file():
            return folder
    raise UserError(f"--bundle: {path} is neither a policy bundle nor a run with one")


def environment(cfg: RosUpCfg) -> dict[str, str]:
    """Return what the nodes' environment has in addition to this process's.

    A simulated arm must never answer in place of a robot: it gets a random domain on this machine
    only, unless ROS_DOMAIN_ID says which.
    """
    if cfg.sim is None:
        return {}
    named = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")
    return private_domain() | {name: os.environ[name] for name in named if os.environ.get(name)}


def nodes(
    cfg: RosUpCfg,
    bundle: Path,
    contract: Contract,
    *,
    vision: Path | None = None,
    touch: Path | None = None,
) -> list[NodeProcess]:
    """Return the processes to start.

    Args:
        cfg: the options.
        bundle: of the policy.
        contract: of the bundle.
        vision: file with the cameras of the simulated arm, see `write_sensors`.
        touch: file with its gels.
    """
    simulated = cfg.sim is not None
    graph = policy_graph(
        bundle, graph=cfg.graph, lock_step=cfg.lock_step, sim_time=simulated, device=cfg.teleop,
        settings=cfg.teleop_settings,
    )  # fmt: skip
    if cfg.record is not None:
        graph.append(recorder(cfg.record, bundle, graph=cfg.graph, sim_time=simulated))
    if cfg.page:
        asker = "teleop_node" if cfg.teleop else "policy_node"
        graph.append(operator_page(bundle, graph=cfg.graph, host=cfg.host, port=cfg.port,
                                   asker=asker, simulated=simulated))  # fmt: skip
    if cfg.sim is not None:
        arm = simulated_arm(
            cfg.sim, contract.robot, contract.control_hz, lock_step=cfg.lock_step, seed=cfg.seed,
            settings=cfg.settings, vision=vision, touch=touch,
        )  # fmt: skip
        return [arm, *graph]
    return on_hardware(graph, allow_fallback=cfg.allow_fallback)


def on_hardware(graph: Sequence[NodeProcess], *, allow_fallback: bool) -> list[NodeProcess]:
    """Return the processes of a graph in front of a real arm."""
    hardware = {"real_hardware": True, "allow_fallback_on_hardware": allow_fallback}
    return [
        replace(node, parameters={**node.parameters, **hardware})
        if node.executable == "gate_node"
        else node
        for node in graph
    ]


def describe(
    cfg: RosUpCfg, bundle: Path, contract: Contract, which: str, env: Mapping[str, str]
) -> dict[str, str]:
    """Return what an operator reads first, by its name."""
    variables = {**os.environ, **env}
    arm = "real hardware"
    if cfg.sim is not None:
        arm = f"simulated, {cfg.sim}, {'lock step' if cfg.lock_step else 'real time'}"
    reach = variables.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "as ROS has it")
    hand = TELEOP_DEVICES[cfg.teleop.partition(":")[0]].buttons if cfg.teleop else ""
    return {
        "bundle": f"{bundle} ({contract.provenance.experiment or 'unknown experiment'})",
        "robot": f"{contract.robot}, {arm}, {contract.control_hz:g} Hz",
        "graph": str(cfg.graph or DEFAULT_GRAPH),
        "rclpy": which.partition(": ")[2],
        "domain": f"ROS_DOMAIN_ID={variables.get('ROS_DOMAIN_ID', '0')}, range {reach}",
        "logs": str(cfg.logs),
        **({"page": f"http://{cfg.host}:{cfg.port}"} if cfg.page else {}),
        **({"record": str(cfg.record)} if cfg.record is not None else {}),
        **({"hand": f"{cfg.teleop}; {hand}"} if cfg.teleop else {}),
    }


def _up(cfg: RosUpCfg, processes: Sequence[NodeProcess], env: Mapping[str, str]) -> int:
    """Start the processes and operate them until the end; return the exit code."""
    from .ros_operator import Operator

    for process in processes:  # the logs of another run would be taken for this one's
        (cfg.logs / f"{process.executable}.log").unlink(missing_ok=True)
    with (
        StateLine() as line,
        Launch(processes, log_folder=cfg.logs, env=env) as launch,
        Operator(launch, line, env=env, patience_s=cfg.patience) as operator,
    ):
        try:
            operator.bring_up()
            if cfg.page:
                line.note(f"open http://{cfg.host}:{cfg.port}: Start, Hold and Reset are there")
                operator.watch(cfg.duration)
            elif cfg.sim is not None:
                operator.run_episodes(cfg.seed, cfg.episodes, cfg.duration)
            else:
                who = "hand" if cfg.teleop else "policy"
                if not cfg.yes:
                    line.ask(f"The arm will move. Press Enter to start the {who}, Ctrl-C to leave")
                operator.run_policy(cfg.duration)
        except KeyboardInterrupt:
            line.note("stopping")
    return 0


@contextmanager
def _signals_interrupt() -> Generator[None]:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does, so that the arm is stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
