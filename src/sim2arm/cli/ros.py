"""`sim2arm ros up [GRAPH]`: start the nodes of a policy, bring them up, watch them, stop them.

The stand-alone launcher: it starts the same executables with the same parameters as
`launch/policy.launch.py`, and drives their lifecycle over the same services as `ros2 lifecycle`.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from sim2arm.core.contract import Contract
from sim2arm.policies.bundle import CONTRACT
from sim2arm.policies.signature import read_trusted_keys
from sim2arm.policies.verify import load_contract
from sim2arm.sensors.teleop.devices import TELEOP_DEVICES
from sim2arm_ros.graph import Graph
from sim2arm_ros.graph_file import DEFAULT_GRAPH
from sim2arm_ros.launcher import (
    Launch,
    NodeProcess,
    operator_page,
    policy_graph,
    private_domain,
    recorder,
    sensor,
    simulated_arm,
)

from .arm_options import find_graph, find_ros, on_hardware, place_of, secured
from .errors import UserError, user_input
from .parse import parse
from .ros_checks import check, check_task
from .state_line import StateLine

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"


@dataclass(frozen=True, kw_only=True)
class RosUpCfg:
    """Start policy and gate as ROS 2 nodes, bring them up and watch them until Ctrl-C."""

    graph: Annotated[Positional[Path | None], arg(metavar="[GRAPH]")] = None
    """graph.yaml of the set-up; without it the one of the package."""
    robot: str = ""
    """What the robot calls its topics, controllers and modes: fr3, so101, ur5e, or the path of such
    a file; without it what the graph says alone. With --sim the simulated arm has them."""
    prefix: str = ""
    """Of the robot's joints and frames, `left_` for example."""
    namespace: str = ""
    """Of this arm's nodes and topics, `left` for example: several arms, a command for each."""
    port: str = ""
    """Serial port of a robot that our own node drives (so101)."""
    servos: Path | None = None
    """YAML file with ids, signs and zeros of its servos; those of LeRobot's calibration without."""
    bundle: Path
    """Policy bundle, or a run with one."""
    teleop: str = ""
    """Device with which a person asks in place of the policy, NAME or NAME:WHERE of `sim2arm list`;
    of the bundle only the contract is used."""
    intervene: str = ""
    """Device with which a person takes over from the policy while its clutch is closed, and gives
    back, within a run."""
    teleop_settings: Path | None = None
    """YAML file with how the arm follows a device, fields of `--teleop` of `sim2arm record`."""
    sim: str | None = None
    """Task: start a simulated arm with it in place of the robot, in a ROS domain of its own."""
    settings: Path | None = None
    """YAML file with the settings of the simulated task; its defaults without one."""
    cameras: str = "none"
    """Cameras of the simulated arm, a name of `sim2arm list`."""
    calibrations: tuple[Path, ...] = ()
    """Records of `calibrate intrinsics`, `hand-eye` and `latency` of the robot's cameras, which the
    policy compares with its training; with --sim the simulated cameras are as these say."""
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
    only: Literal["policy"] | None = None
    """Start only this here and let the other machine operate it: policy is what asks the gate, a
    hand with --teleop too."""
    without: Literal["policy"] | None = None
    """Start and operate everything; this runs on another machine, under `--only`."""
    peers: tuple[str, ...] = ()
    """Other machines of the ROS domain, by name or address: ROS_STATIC_PEERS. Without them it is
    this machine alone, and with them none else, unless ROS_AUTOMATIC_DISCOVERY_RANGE says so."""
    trusted_keys: Path | None = None
    """File of public keys (sim2arm keygen): the bundle must be signed with one of them."""
    keystore: Path | None = None
    """SROS 2 keystore (docker/scripts/make_keystore): messages are encrypted, and each node may do
    only what its enclave says."""
    logs: Path = Path("runs/ros-logs")
    """Where the output of the nodes goes, a file each."""
    sensors: tuple[Path, ...] = ()
    """YAML files with sensors of this computer, see `deploy_ros/sim2arm_ros/sensor_file.py`; the
    topics of NAME.yaml lie below /NAME."""
    page: bool = False
    """Serve the operator's page: the person starts, holds and watches the arm there."""
    page_port: int = 8080
    """Of the page; 0 takes any that is free."""
    page_host: str = "127.0.0.1"
    """Address that the page listens at; it has no password, so think before you open it."""
    record: Path | None = None
    """Folder of a raw log of all messages, which `sim2arm convert` makes a dataset of."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(RosUpCfg, argv, "sim2arm ros up")
    check(cfg)
    if cfg.page:
        cfg = replace(cfg, page_port=cfg.page_port or free_port(cfg.page_host))
    ready = prepare(cfg)
    env = environment(cfg)
    for name, text in describe(cfg, ready.bundle, ready.contract, ready.rclpy, env).items():
        print(f"{name:<8}{text}")
    with signals_interrupt():
        return _up(cfg, ready.nodes, env)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What is to be started, after everything that was given has been looked at."""

    bundle: Path
    contract: Contract
    graph: Graph
    nodes: list[NodeProcess]
    rclpy: str
    """Which one runs, in words."""


def prepare(cfg: RosUpCfg) -> Ready:
    """Look at what options name that passed `check`; nothing is started yet.

    Raises:
        UserError: something cannot be used; one line.
    """
    bundle = find_bundle(cfg.bundle)
    with user_input("trusted keys"):
        trusted = read_trusted_keys(cfg.trusted_keys) if cfg.trusted_keys else None
    with user_input("bundle"):
        contract = load_contract(bundle, trusted)
    graph = find_graph(cfg, contract, drives=cfg.sim is None and cfg.only is None)
    sensors: dict[str, Path | None] = {}
    if cfg.sim is not None and cfg.only is None:
        check_task(cfg.sim, contract, cfg.settings)
        sensors = write_sensors(cfg, contract)
    which = find_ros(cfg, real=cfg.sim is None, hint=" (or --sim TASK for a simulated arm)")
    found = nodes(cfg, bundle, contract, graph, **sensors)
    return Ready(bundle=bundle, contract=contract, graph=graph, nodes=found, rclpy=which)


def asker_of(cfg: RosUpCfg) -> str:
    """Return the node that asks the gate."""
    return "teleop_node" if cfg.teleop else "policy_node"


def free_port(host: str) -> int:
    """Return a port that is free now: the page is another process, and is told which."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def write_sensors(cfg: RosUpCfg, contract: Contract) -> dict[str, Path | None]:
    """Write cameras and gels of the simulated arm for its node; return the files.

    Raises:
        UserError: there are none of a name, or not those that the policy needs.
    """
    from sim2arm.sim.cameras import camera_specs

    from .ros_evaluation import write_record
    from .runs import find_cameras, find_touch

    files = [str(path) for path in cfg.calibrations]
    cameras, touch = find_cameras(cfg.cameras, files, contract.robot), find_touch(cfg.touch)
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

    A simulated arm must never answer in place of a robot: it gets a random domain, unless
    ROS_DOMAIN_ID says which. Nodes find each other on this machine and on the named peers alone,
    unless ROS_AUTOMATIC_DISCOVERY_RANGE says otherwise; ROS itself would take the whole subnet.
    """
    env: dict[str, str] = {}
    if cfg.sim is not None:
        env = private_domain()
        env["ROS_DOMAIN_ID"] = os.environ.get("ROS_DOMAIN_ID") or env["ROS_DOMAIN_ID"]
    env[RANGE] = os.environ.get(RANGE) or "LOCALHOST"
    if cfg.peers:
        env["ROS_STATIC_PEERS"] = ";".join(cfg.peers)
    return env | secured(cfg.keystore)


def nodes(
    cfg: RosUpCfg,
    bundle: Path,
    contract: Contract,
    graph: Graph,
    *,
    vision: Path | None = None,
    touch: Path | None = None,
) -> list[NodeProcess]:
    """Return the processes to start here.

    Args:
        cfg: the options.
        bundle: of the policy.
        contract: of the bundle.
        graph: of the arm.
        vision: file with the cameras of the simulated arm, see `write_sensors`.
        touch: file with its gels.
    """
    simulated, place = cfg.sim is not None, place_of(cfg)
    found = policy_graph(
        bundle, place=place, lock_step=cfg.lock_step, sim_time=simulated, device=cfg.teleop,
        settings=cfg.teleop_settings, intervene=cfg.intervene, calibrations=cfg.calibrations,
        trusted_keys=cfg.trusted_keys,
    )  # fmt: skip
    if cfg.only:
        found = [node for node in found if node.executable == asker_of(cfg)]
    if cfg.without:
        found = [node for node in found if node.executable != asker_of(cfg)]
    found += [sensor(path, sim_time=simulated) for path in cfg.sensors]
    if cfg.record is not None:
        found.append(recorder(cfg.record, bundle, place=place, sim_time=simulated))
    if cfg.page:
        found.append(
            operator_page(bundle, place=place, host=cfg.page_host, port=cfg.page_port,
                          asker=asker_of(cfg), simulated=simulated)
        )  # fmt: skip
    if cfg.sim is not None and cfg.only is None:
        arm = simulated_arm(
            cfg.sim, contract.robot, contract.control_hz, lock_step=cfg.lock_step, seed=cfg.seed,
            settings=cfg.settings, vision=vision, touch=touch, place=place,
        )  # fmt: skip
        return [arm, *found]
    return on_hardware(cfg, graph, found, drives=cfg.only is None)


def describe(
    cfg: RosUpCfg, bundle: Path, contract: Contract, which: str, env: Mapping[str, str]
) -> dict[str, str]:
    """Return what an operator reads first, by its name."""
    variables = {**os.environ, **env}
    arm = "real hardware"
    if cfg.sim is not None:
        arm = f"simulated, {cfg.sim}, {'lock step' if cfg.lock_step else 'real time'}"
    names = [cfg.robot and f"robot {cfg.robot}", cfg.prefix and f"prefix {cfg.prefix}",
             cfg.namespace and f"namespace {cfg.namespace}"]  # fmt: skip
    device, takes = cfg.teleop or cfg.intervene, "; takes over while its clutch is closed"
    hand = TELEOP_DEVICES[device.partition(":")[0]].buttons if device else ""
    return {
        "bundle": f"{bundle} ({contract.provenance.experiment or 'unknown experiment'})",
        "robot": f"{contract.robot}, {arm}, {contract.control_hz:g} Hz",
        "graph": ", ".join([str(cfg.graph or DEFAULT_GRAPH), *filter(None, names)]),
        "rclpy": which.partition(": ")[2],
        "domain": f"ROS_DOMAIN_ID={variables.get('ROS_DOMAIN_ID', '0')}, range {variables[RANGE]}",
        "logs": str(cfg.logs),
        **({"page": f"http://{cfg.page_host}:{cfg.page_port}"} if cfg.page else {}),
        **({"record": str(cfg.record)} if cfg.record is not None else {}),
        **({"hand": f"{device}; {hand}{takes if cfg.intervene else ''}"} if device else {}),
        **({"here": f"only {asker_of(cfg)}; the other machine operates it"} if cfg.only else {}),
        **({"here": f"all but {asker_of(cfg)}, on another machine"} if cfg.without else {}),
        **({"peers": "  ".join(cfg.peers)} if cfg.peers else {}),
        **({"secured": str(cfg.keystore)} if cfg.keystore else {}),
    }


def _up(cfg: RosUpCfg, processes: Sequence[NodeProcess], env: Mapping[str, str]) -> int:
    """Start the processes and operate them until the end; return the exit code."""
    from .ros_operator import Operator

    for process in processes:  # the logs of another run would be taken for this one's
        (cfg.logs / f"{process.called}.log").unlink(missing_ok=True)
    with (
        StateLine() as line,
        Launch(processes, log_folder=cfg.logs, env=env) as launch,
        Operator(
            launch, line, env=env, patience_s=cfg.patience, asker=asker_of(cfg), place=place_of(cfg)
        ) as operator,
    ):
        try:
            if cfg.only:
                operator.watch_beside()
            operator.bring_up()
            if cfg.page:
                address = f"http://{cfg.page_host}:{cfg.page_port}"
                line.note(f"open {address}: Start, Hold and Reset are there")
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
def signals_interrupt() -> Generator[None]:
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
