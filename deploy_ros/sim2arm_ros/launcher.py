"""Start the nodes of a graph as processes, without `ros2 launch`; stop them together."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

_GRACE_S = 5.0
ENCLAVES = "/sim2arm"
"""Where the enclaves of SROS 2 lie that `security.py` describes."""
PARENT_VARIABLE = "SIM2ARM_PARENT"
"""Environment variable with the process without which a node must not go on."""


@dataclass(frozen=True, kw_only=True)
class NodeProcess:
    """One executable with its parameters."""

    executable: str
    """A name of `executables.NODES`."""
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    remaps: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names of topics and services that it uses under other names."""
    label: str = ""
    """What it is called here, where one executable runs twice; else as the executable."""
    before: tuple[str, ...] = ()
    """Words in front of its command line, such as what starts it elsewhere."""
    needed: bool = True
    """Whether it matters to the others that it ends."""
    namespace: str = ""
    """In which its nodes and their names lie, with a leading slash; the root without one."""

    @property
    def called(self) -> str:
        """What it is called here."""
        return self.label or self.executable

    def command(self) -> list[str]:
        """Return the command line."""
        words = [*self.before, sys.executable, "-m", "sim2arm_ros.executables", self.executable]
        words.append("--ros-args")
        words += ["--enclave", enclave_of(self.executable)]
        for name, value in self.parameters.items():
            words += ["-p", f"{name}:={_text(value)}"]
        for name, other in self.remaps.items():
            words += ["-r", f"{name}:={other}"]
        if self.namespace:  # simulated time is one arm's own, too
            words += ["-r", f"__ns:={self.namespace}"]
            words += ["-r", f"/clock:={self.namespace}/clock"]
        return words


def enclave_of(executable: str) -> str:
    """Return the enclave of an executable: what it may do where the ROS domain is secured."""
    arm = executable in ("sim_arm_node", "so101_node")
    return f"{ENCLAVES}/{'arm' if arm else executable}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}'" if value else "''"
    return repr(value)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which arm it is, and where its names lie."""

    graph: Path | None = None
    """Another graph.yaml than the one of the package."""
    robot: str = ""
    """Name of a robot whose topics we know, or the path of such a file; see `graph_file`."""
    prefix: str = ""
    """Of its joints and frames."""
    namespace: str = ""
    """Of its nodes, with a leading slash."""

    def parameters(self) -> dict[str, object]:
        """Return those that every node of the arm has."""
        found: dict[str, object] = {"robot": self.robot, "prefix": self.prefix}
        return found | {"graph": str(self.graph.resolve()) if self.graph else ""}

    def label(self, executable: str) -> str:
        """Return what its process is called here, beside those of other arms."""
        return f"{self.namespace.strip('/').replace('/', '_')}_{executable}".lstrip("_")


def policy_graph(
    bundle: Path,
    *,
    place: Place | None = None,
    lock_step: bool = False,
    sim_time: bool = True,
    device: str = "",
    settings: Path | None = None,
    intervene: str = "",
    flights: Path | None = None,
    calibrations: Sequence[Path] = (),
    trusted_keys: Path | None = None,
) -> list[NodeProcess]:
    """Return policy, or a hand in its place, and gate for a bundle, as every robot has them.

    Args:
        bundle: the policy bundle.
        place: which arm it is; one in the root with the names of graph.yaml without it.
        lock_step: the simulated arm waits for commands.
        sim_time: a simulated arm gives the time; without, this is real hardware.
        device: of the hand, NAME or NAME:WHERE; the policy runs without one.
        settings: YAML file with how the arm follows a hand.
        intervene: device of a person who may take over from the policy, NAME or NAME:WHERE.
        flights: folder for what the gate keeps of its stops; see `flight.flights_folder`.
        calibrations: records of the robot's cameras, which the policy compares with its training.
        trusted_keys: file of public keys of which one must have signed the bundle.
    """
    place = place or Place()
    common: dict[str, object] = {"bundle": str(bundle.resolve()), "use_sim_time": sim_time}
    common |= {"lock_step": lock_step} | place.parameters()
    if trusted_keys is not None:
        common["trusted_keys"] = str(trusted_keys.resolve())
    gate: dict[str, object] = {"real_hardware": not sim_time}
    if flights is not None:
        gate["flights"] = str(flights.resolve())
    told = {"calibrations": ",".join(str(path.resolve()) for path in calibrations)}
    hand = {
        "device": device or intervene, "settings": str(settings.resolve()) if settings else "",
    }  # fmt: skip
    asker, more = ("teleop_node", hand) if device else ("policy_node", told | hand)
    return [
        NodeProcess(
            executable=name, parameters=common | its, namespace=place.namespace,
            label=place.label(name),
        )
        for name, its in (("gate_node", gate), (asker, more))
    ]  # fmt: skip


def recorder(
    folder: Path,
    bundle: Path,
    *,
    place: Place | None = None,
    task: str = "",
    sim_time: bool = True,
) -> NodeProcess:
    """Return the recorder of a raw log; nobody ends with it.

    Args:
        folder: of the log, empty or not there yet.
        bundle: the policy bundle.
        place: which arm it is.
        task: what is done, in words.
        sim_time: a simulated arm gives the time.
    """
    place = place or Place()
    return NodeProcess(
        executable="recorder_node",
        parameters={
            "folder": str(folder.resolve()), "bundle": str(bundle.resolve()), "task": task,
            "use_sim_time": sim_time,
        } | place.parameters(),
        namespace=place.namespace, label=place.label("recorder_node"), needed=False,
    )  # fmt: skip


def sensor(file: Path, *, sim_time: bool = False) -> NodeProcess:
    """Return a sensor of this computer; its node is called as its file is.

    Args:
        file: a `sensor_file.SensorFile`.
        sim_time: a simulated arm gives the time.
    """
    return NodeProcess(
        executable="sensor_node",
        label=file.stem,
        parameters={"sensor": str(file.resolve()), "use_sim_time": sim_time},
        remaps={"__node": file.stem},
    )


def operator_page(
    bundle: Path,
    *,
    place: Place | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    asker: str = "policy_node",
    simulated: bool = False,
    judge: bool = False,
) -> NodeProcess:
    """Return the operator's page; nobody ends with it.

    Args:
        bundle: the policy bundle.
        place: which arm it is; one in the root with the names of graph.yaml without it.
        host: address that the page listens at.
        port: of the page.
        asker: node that asks the gate.
        simulated: whether a simulated arm gives the time, and begins episodes.
        judge: a person says how trials ended, and is shown nothing that tells policies apart.
    """
    place = place or Place()
    return NodeProcess(
        executable="operator_node",
        parameters=place.parameters() | {
            "bundle": str(bundle.resolve()),
            "host": host, "port": port, "asker": asker, "simulated": simulated, "judge": judge,
            "use_sim_time": simulated,
        },
        namespace=place.namespace,
        label=place.label("operator_node"),
        needed=False,
    )  # fmt: skip


def simulated_arm(
    task: str,
    robot: str,
    control_hz: float,
    *,
    lock_step: bool,
    seed: int = 0,
    settings: Path | None = None,
    actuators: str = "ideal",
    vision: Path | None = None,
    touch: Path | None = None,
    place: Place | None = None,
) -> NodeProcess:
    """Return the simulated arm in place of the hardware.

    Args:
        task: name of the task.
        robot: name of the robot.
        control_hz: control periods per second.
        lock_step: let the arm wait for every command.
        seed: of the first episode.
        settings: a YAML file of the task.
        actuators: name of what is between law and joints, see `sim/robots/actuators.py`.
        vision: a YAML file with its cameras, a `sim.vision.Vision`; none without one.
        touch: a YAML file with its gels, a `sim.touch.Touch`; none without one.
        place: whose names it has.
    """
    place = place or Place()
    names = place.parameters()
    names["as_robot"] = names.pop("robot")
    files = {"task_settings": settings, "vision": vision, "touch": touch}
    return NodeProcess(
        executable="sim_arm_node",
        parameters={
            "task": task, "robot": robot, "control_hz": control_hz, "lock_step": lock_step,
            "episode_seed": seed, "actuators": actuators,
            **{name: str(path.resolve()) if path else "" for name, path in files.items()},
        } | names,
        namespace=place.namespace, label=place.label("sim_arm_node"),
    )  # fmt: skip


def driver(executable: str, place: Place, **parameters: object) -> NodeProcess:
    """Return the node of ours that drives a real arm, which `Graph.driver` names."""
    return NodeProcess(
        executable=executable, parameters=parameters | place.parameters(),
        namespace=place.namespace, label=place.label(executable),
    )  # fmt: skip


def private_domain() -> dict[str, str]:
    """Return the environment of a ROS domain of its own on this machine only.

    An evaluation must never reach a robot that happens to run, nor another evaluation: a domain in
    which somebody on this machine listens is not taken.

    Raises:
        RuntimeError: somebody listens in all of them.
    """
    for domain in random.SystemRandom().sample(range(1, 102), 101):
        if _is_free(domain):
            return {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    raise RuntimeError("the ROS domains 1 to 101 are all in use on this machine: end some nodes")


def _is_free(domain: int) -> bool:
    """Return whether nobody has the discovery port of a domain's first participant (RTPS 9.6.2)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7410 + 250 * domain))
        except OSError:
            return False
    return True


class Launch:
    """Running processes; a context manager that ends them.

    Attributes:
        processes: by what they are called.
    """

    def __init__(
        self,
        nodes: Sequence[NodeProcess],
        *,
        log_folder: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start the nodes.

        Args:
            nodes: what to start.
            log_folder: where `<called>.log` go; this terminal without one.
            env: variables in addition to this process's.
        """
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.log_folder = log_folder
        self._files: list[IO[bytes]] = []
        self._spare: set[str] = set()
        try:
            for node in nodes:
                self.start(node, env or {})
        except BaseException:
            self.close()
            raise

    def start(self, node: NodeProcess, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start one node."""
        output: IO[bytes] | None = None
        if self.log_folder is not None:
            self.log_folder.mkdir(parents=True, exist_ok=True)
            output = (self.log_folder / f"{node.called}.log").open("ab")
            self._files.append(output)
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        parent = {PARENT_VARIABLE: str(os.getpid())}
        process = subprocess.Popen(
            node.command(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            env={**threads, **os.environ, **env, **parent},
            start_new_session=True,
        )
        self.processes[node.called] = process
        if not node.needed:
            self._spare.add(node.called)
        return process

    def dead(self, *, needed: bool = True) -> list[str]:
        """Return one line per process that has ended, of those that are needed or of the others."""
        return [
            f"{name} ended with code {process.returncode}"
            for name, process in self.processes.items()
            if process.poll() is not None and (name not in self._spare) == needed
        ]

    def tail(self, name: str, lines: int = 5) -> str:
        """Return the last lines of a log."""
        if self.log_folder is None:
            return ""
        path = self.log_folder / f"{name}.log"
        text = path.read_text(errors="replace") if path.is_file() else ""
        return "\n".join(text.splitlines()[-lines:])

    def close(self) -> None:
        """End all processes: a signal first, then by force."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGINT)
        end = time.monotonic() + _GRACE_S
        for process in self.processes.values():
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for file in self._files:
            file.close()
        self._files.clear()

    def __enter__(self) -> Launch:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all processes."""
        self.close()
