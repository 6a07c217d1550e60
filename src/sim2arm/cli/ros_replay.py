"""`sim2arm ros replay BAG`: a recording as if a robot and its sensors said it now.

Alone it is there for whoever listens. With a bundle policy and gate run on it: the policy sees
what was recorded, the gate judges what it asks for, in a dry run, and nothing reaches a controller.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from sim2arm.policies.verify import load_contract
from sim2arm_ros.bag.playback import Stamps
from sim2arm_ros.bag.reader import Log
from sim2arm_ros.bag.scan import LogError
from sim2arm_ros.bag_topics import about_of, choose
from sim2arm_ros.dds import RosImportError, install
from sim2arm_ros.graph_file import read_graph
from sim2arm_ros.launcher import Launch, NodeProcess, Place, policy_graph, private_domain

from .errors import UserError, user_input
from .outputs import check_folder
from .parse import parse
from .ros import find_bundle, signals_interrupt
from .state_line import StateLine

if TYPE_CHECKING:
    from sim2arm_ros.supervisor import Supervisor

_PATIENCE_S = 30.0
_END_S = 1.5
"""From the last message of a recording to the end of its player, with a margin [s]."""


@dataclass(frozen=True, kw_only=True)
class RosReplayCfg:
    """Play an MCAP recording; with a bundle, run its policy and the gate on it, without an arm."""

    bag: Annotated[Positional[Path], arg(metavar="BAG")]
    """Folder of `ros up --record`, of `ros2 bag record -s mcap`, or an .mcap file."""
    bundle: Path | None = None
    """Policy bundle, or a run with one."""
    graph: Path | None = None
    """graph.yaml: what topics are inputs; of our own recordings they are known."""
    topics: tuple[str, ...] = ()
    """Other topics that are played, too; never commands."""
    rate: float = 1.0
    """2 plays twice as fast; a policy is not asked to."""
    loop: bool = False
    """Begin again after the end, until Ctrl-C."""
    stamps: Stamps = "now"
    """now: moved, each message as old as it was; receipt: of the moment in which it is sent;
    recorded: as they were, with their time on /clock."""
    logs: Path = Path("runs/ros-logs")
    """Where the output of the nodes goes, a file each."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and play."""
    cfg = parse(RosReplayCfg, argv, "sim2arm ros replay")
    check(cfg)
    topics, seconds = look(cfg)
    bundle = None if cfg.bundle is None else find_bundle(cfg.bundle)
    if bundle is not None:
        with user_input("bundle"):
            contract = load_contract(bundle)
        with user_input("graph"):
            read_graph(cfg.graph).bindings(contract)
    try:
        which = install()
    except RosImportError as error:
        raise UserError(str(error)) from error
    env = environment()
    domain = {**os.environ, **env}.get("ROS_DOMAIN_ID", "0")
    print(f"bag     {cfg.bag}, {seconds:.1f} s, {sum(topics.values())} messages")
    for name, count in topics.items():
        print(f"        {count:>8}  {name}")
    print(f"rclpy   {which.partition(': ')[2]}\ndomain  ROS_DOMAIN_ID={domain}", flush=True)
    if bundle is not None:
        print("gate    dry run: nothing is commanded", flush=True)
    with signals_interrupt():
        return _play(cfg, nodes(cfg, bundle), env, with_policy=bundle is not None)


def check(cfg: RosReplayCfg) -> None:
    """Refuse options that do not go together.

    Raises:
        UserError: one line.
    """
    if not 0.0 < cfg.rate < 1e3:
        raise UserError(f"--rate: expected above 0, got {cfg.rate:g}")
    if cfg.stamps == "recorded" and cfg.loop:
        raise UserError("--loop: time does not go back: leave it out, or --stamps recorded")
    if cfg.bundle is not None and (cfg.stamps == "recorded" or cfg.rate != 1.0):
        raise UserError("--bundle: a policy runs in time: leave out --stamps recorded and --rate")
    check_folder("--logs", cfg.logs)


def look(cfg: RosReplayCfg) -> tuple[dict[str, int], float]:
    """Return how many messages of which topics are played, and how long they take [s].

    Raises:
        UserError: it is no recording, or there is nothing to play in it.
    """
    with user_input("graph"):
        graph = read_graph(cfg.graph)
    try:
        with user_input("bag"), Log(cfg.bag) as log:
            chosen = choose(log.messages, about_of(log, graph), cfg.topics)
            counts = Counter(m.topic for m in log.messages if m.topic in chosen)
            times = [m.log_ns for m in log.messages if m.topic in chosen]
    except LogError as error:
        raise UserError(f"bag: {error}") from error
    return dict(sorted(counts.items())), 1e-9 * (max(times) - min(times)) / cfg.rate


def environment() -> dict[str, str]:
    """Return what the nodes' environment has in addition: a domain of this machine only.

    A recording must never be taken for a robot, so it is played where none is, unless
    ROS_DOMAIN_ID says where.
    """
    named = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")
    return private_domain() | {name: os.environ[name] for name in named if os.environ.get(name)}


def nodes(cfg: RosReplayCfg, bundle: Path | None) -> list[NodeProcess]:
    """Return the processes to start, the player first."""
    bag = NodeProcess(
        executable="bag_node",
        parameters={
            "bag": str(cfg.bag.resolve()), "topics": " ".join(cfg.topics), "rate": cfg.rate,
            "graph": str(cfg.graph.resolve()) if cfg.graph else "", "loop": cfg.loop,
            "stamps": cfg.stamps, "hold": bundle is not None,
        },
        needed=bundle is not None,
    )  # fmt: skip
    if bundle is None:
        return [bag]
    dry = {"dry_run": True, "real_hardware": False}
    return [bag] + [
        replace(node, parameters={**node.parameters, **dry})
        if node.executable == "gate_node"
        else node
        for node in policy_graph(bundle, place=Place(graph=cfg.graph), sim_time=False)
    ]


def _play(
    cfg: RosReplayCfg,
    processes: Sequence[NodeProcess],
    env: Mapping[str, str],
    *,
    with_policy: bool,
) -> int:
    """Start the processes, wait for the end, say how it went; return the exit code."""
    for process in processes:
        (cfg.logs / f"{process.executable}.log").unlink(missing_ok=True)
    with StateLine() as line, Launch(processes, log_folder=cfg.logs, env=env) as launch:
        try:
            if with_policy:
                _run_policy(launch, line, env)
            else:
                while not _bag_ended(launch, 0.1):
                    pass
        except KeyboardInterrupt:
            line.note("stopping")
            return 0
        if launch.processes["bag_node"].returncode != 0:
            last = launch.tail("bag_node", 1)
            raise UserError(f"bag: {last.partition(': ')[2] or last}")
        line.note("the recording is over")
    return 0


def _bag_ended(launch: Launch, within_s: float) -> bool:
    """Return whether the player ends within a time."""
    with suppress(subprocess.TimeoutExpired):
        launch.processes["bag_node"].wait(within_s)
        return True
    return False


def _run_policy(launch: Launch, line: StateLine, env: Mapping[str, str]) -> None:
    """Bring gate and policy up on the first moment, let the recording go on, watch to its end.

    Raises:
        UserError: a node does not come up or has ended, or the policy stopped before the end.
    """
    from sim2arm_ros.supervisor import OperationError

    from .ros_operator import Operator

    with Operator(launch, line, env=env, patience_s=_PATIENCE_S) as operator:
        supervisor = operator.supervisor
        try:
            operator.bring_up()
            _watch(supervisor, launch)
        except (OperationError, UserError) as error:
            if not _bag_ended(launch, 0.0):
                raise UserError(f"{error} (logs: {launch.log_folder})") from error
            return
        gate, policy = supervisor.gate, supervisor.policy_message
        counts = "  ".join(f"{n} {gate.get(n, '0')}" for n in ("approved", "slowed", "refused"))
        line.note(f"gate in a dry run: {counts}")
        # Where the recording ends, inputs fall silent, and the policy stops for that.
        if supervisor.policy.get("phase") == "STOPPED" and not _bag_ended(launch, _END_S):
            raise UserError(f"the policy stopped before the recording was over: {policy}")


def _watch(supervisor: Supervisor, launch: Launch) -> None:
    """Start the policy, then the recording; return when either has ended.

    Raises:
        OperationError: one of them does not start, or a process has ended.
    """

    def phase() -> str:
        return supervisor.policy.get("phase", "")

    def over() -> bool:
        return _bag_ended(launch, 0.0) or phase() == "STOPPED"

    supervisor.activate("policy_node")
    supervisor.spin_until(lambda: phase() in ("RUNNING", "STOPPED"), _PATIENCE_S, "tick")
    supervisor.trigger("/bag_node/play")
    supervisor.spin_until(over, float("inf"), "end")
