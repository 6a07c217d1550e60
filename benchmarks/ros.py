"""`sim2arm bench ros`: latency from observation to command through the ROS 2 nodes.

For each rate and each kind of policy (`--sees state camera touch`), one after the other, on this
machine: the two baselines, the nodes, and the nodes' work alone. The policies are untrained and
have the size of the experiments' (two layers of 128, behind the encoders of pictures or fields);
the task is `reach`, with touch `peg-placement`, without an end. All times are of the steady clock.

- *observation to command*: the simulated arm notes the time before it sends a joint state with
  stamp s. The request of a tick carries the stamp of the newest joint state that the policy had
  seen. When the command of that tick reaches the arm's controller, the time since s was sent is
  the latency. It holds three DDS hops (arm -> policy -> gate -> arm), the work of policy and gate,
  the wait of the joint state for the policy's tick (up to one period of the joint states), and
  what the arm's physics keeps its controller from reading. Ticks without a command have none;
  they are missed periods.
- *missed periods*: control periods that passed without a new command, because the gate got no
  request or one so late that it was left out. *late commands*: commands that came after the start
  of their motion, which is a lead of one period after their observation, and were joined on the
  way. The gate counts both.
- baseline *sleep*: a process that only sleeps until absolute deadlines of the same rate; how late
  it wakes, and the deadlines that it slept over. The machine's share of the latency.
- baseline *dds-echo*: two processes on bare Cyclone DDS, without our rclpy; messages of the same
  sizes, same rate and QoS; one round trip (two hops), and those that took longer than a period.
- *in process*: policy and gate called in this process, one after the other, without ROS.

With `--soak` the nodes run with a recorder for ten minutes, at 60 Hz, and gate and executor count
up to ten million alone, which takes about 40 minutes; told is what grew.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from _ros_policies import SEES, Files, Sees, make_bundle
from _soak import Watch, counted
from numpy.typing import NDArray

from sim2arm.calibration.latency import latency_record
from sim2arm.cli.errors import UserError, user_input
from sim2arm.cli.experiments import REACH
from sim2arm.cli.machine import describe_commit, describe_machine, describe_versions
from sim2arm.cli.outputs import check_file
from sim2arm.cli.parse import parse
from sim2arm.cli.table import Row, format_results, write_results
from sim2arm.core.calibration_file import write_record
from sim2arm.core.calibration_record import CalibrationRecord
from sim2arm.core.contract import Contract
from sim2arm.core.robots import ROBOTS
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm.sim.arm import SUBSTEPS
from sim2arm_ros.dds import RosImportError, install
from sim2arm_ros.dds.discovery import cyclone_config, domain_id
from sim2arm_ros.launcher import (
    Launch,
    NodeProcess,
    policy_graph,
    private_domain,
    recorder,
    simulated_arm,
)

HERE = Path(__file__).resolve().parent
SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
_EXTRA_S = 30.0


@dataclass(frozen=True, kw_only=True)
class BenchRosCfg:
    """Measure latency and missed periods through policy_node, gate_node and a simulated arm."""

    seconds: float = 20.0
    """How long each measurement takes [s]."""
    rates: tuple[float, ...] = (60.0, 100.0)
    """Control rates [Hz]."""
    sees: tuple[Sees, ...] = ("state",)
    """What the policies see: state, camera, touch."""
    soak: bool = False
    """Instead: run the whole graph for long, and gate and executor alone for longer; see what
    grows."""
    soak_seconds: float = 600.0
    """Of the graph [s], 0 for none."""
    soak_cycles: int = 10_000_000
    """Of gate and executor, each, 0 for none."""
    json: Path | None = None
    """Write the rows there."""
    latency: Path | None = None
    """Write each latency there, NAME.yaml: a calibration record, for the delays of a simulation."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What was measured once."""

    seconds: NDArray[np.float64]
    """Per period that was measured [s]."""
    missed: int
    """Periods that were missed."""


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """What happened through the nodes."""

    latency: Timing
    commands: int
    """Ticks of the policy."""
    late: int
    """Commands that came after the start of their motion."""
    stops: tuple[str, ...]
    """Why sessions ended early."""


def main(argv: Sequence[str]) -> int:
    """Run the benchmark."""
    cfg = parse(BenchRosCfg, argv, "sim2arm bench ros")
    unknown = [rate for rate in cfg.rates if rate not in SUBSTEPS]
    if cfg.seconds < 1 or unknown or not cfg.rates:
        raise UserError(f"--seconds must be 1 or more, --rates among {sorted(SUBSTEPS)}")
    if 0 < cfg.soak_seconds < 20 or 0 < cfg.soak_cycles < 10_000:
        raise UserError(
            "--soak-seconds must be 0, or 20 or more, --soak-cycles 0, or 10000 or more"
        )
    several = len(cfg.rates) * len(cfg.sees) > 1
    if cfg.latency is not None and (several or cfg.latency.suffix != ".yaml"):
        raise UserError("--latency: expected a .yaml file and one rate, such as --rates 60")
    if not cfg.sees:
        raise UserError(f"--sees: expected some of {', '.join(SEES)}, got nothing")
    check_file("--json", cfg.json)
    check_file("--latency", cfg.latency)
    try:
        print(f"bench ros: {install()}", file=sys.stderr)
    except RosImportError as error:
        raise UserError(str(error)) from error
    rows: list[Row] = []
    if cfg.soak:
        rows += soak(cfg.soak_seconds) if cfg.soak_seconds else []
        rows += counted(cfg.soak_cycles) if cfg.soak_cycles else []
    for sees, rate in () if cfg.soak else product(cfg.sees, cfg.rates):
        with tempfile.TemporaryDirectory(prefix="sim2arm-bench-") as folder:
            rows += measure(sees, rate, cfg.seconds, Path(folder), cfg.latency)
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "ros", rows)
    return 0


def measure(
    sees: Sees, rate_hz: float, seconds: float, folder: Path, latency: Path | None = None
) -> list[Row]:
    """Return the rows of one policy at one rate; `folder` is for the bundle and the logs.

    Where a file is named, it gets the latencies.
    """
    case = f"{rate_hz:g} Hz" + ("" if sees == "state" else f", {sees}")

    def say(what: str) -> None:
        print(f"bench ros: {case}: {what}", file=sys.stderr, flush=True)

    say(f"export of an untrained policy that sees {SEES[sees]}")
    files = make_bundle(sees, rate_hz, seconds + _EXTRA_S, folder)
    bundle = files.bundle
    say(f"baselines, {seconds:g} s each")
    slept = sleep_baseline(rate_hz, seconds)
    sizes = message_sizes(bundle)
    echoed = echo_baseline(sizes, rate_hz, seconds)
    say(f"nodes, {seconds:g} s")
    nodes = run_nodes(files, rate_hz, seconds, folder / "logs")
    for reason in nodes.stops:
        say(f"a session stopped early: {reason}")
    if latency is not None:
        with user_input("--latency", latency):
            write_record(latency, latencies(rate_hz, nodes))
    baselines = {"sleep": slept, "dds-echo": echoed}
    return node_rows(case, nodes, baselines) + work_rows(case, bundle)


# -- baselines ---------------------------------------------------------------------------------


def sleep_baseline(rate_hz: float, seconds: float) -> Timing:
    """Return the lateness of a process that only sleeps."""
    found = _answer([sys.executable, str(HERE / "_sleep.py"), str(rate_hz), str(seconds)], seconds)
    return Timing(seconds=np.array(found["lateness_s"]), missed=found["missed"])


def echo_baseline(sizes: tuple[int, int], rate_hz: float, seconds: float) -> Timing:
    """Return the round trips between two processes on bare Cyclone DDS."""
    env = private_domain()
    common = [str(domain_id(env)), cyclone_config(env), *map(str, sizes)]
    command = [sys.executable, str(HERE / "_dds_echo.py")]
    with subprocess.Popen([*command, "echo", *common], stdin=subprocess.PIPE) as other:
        try:
            found = _answer([*command, "ping", *common, str(rate_hz), str(seconds)], seconds)
        finally:
            assert other.stdin is not None
            other.stdin.close()
    return Timing(seconds=np.array(found["round_trip_s"]), missed=found["missed"])


def _answer(command: list[str], seconds: float) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _EXTRA_S)
    if done.returncode != 0:
        raise RuntimeError(f"{command[1]} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def message_sizes(bundle: Path) -> tuple[int, int]:
    """Return the sizes of a joint state and of a command on the wire [bytes]."""
    from rclpy.serialization import serialize_message

    from sim2arm_ros.convert import command_message, joint_state_message

    contract = OnnxPolicy(bundle).contract
    gate, q = _gate(contract)
    decision = gate.step(q + 1e-6, 0.0 * q)
    names, tag = contract.joint_names, "0123456789ab/1000"
    joints = joint_state_message(names, q[0], q[0], 10**9)
    command = command_message(decision.trajectory, 0.0, names, 10**9, tag)
    return len(serialize_message(joints)), len(serialize_message(command))


# -- nodes -------------------------------------------------------------------------------------


def soak(seconds: float) -> list[Row]:
    """Return what grew in the nodes."""
    rate = 60.0
    with tempfile.TemporaryDirectory(prefix="sim2arm-soak-") as name:
        folder = Path(name)
        files = make_bundle("state", rate, seconds + _EXTRA_S, folder)
        watched: list[Watch] = []
        print(f"bench ros: soak: nodes, {seconds:g} s", file=sys.stderr, flush=True)
        nodes = run_nodes(
            files, rate, seconds, folder / "logs",
            also=[recorder(folder / "log", files.bundle)],
            started=lambda pids: watched.append(Watch(pids)),
            ended=lambda: watched[0].close(),
        )  # fmt: skip
    case = f"soak, {rate:g} Hz"
    counts = {"commands": nodes.commands, "missed periods": nodes.latency.missed,
              "late commands": nodes.late, "early stops": len(nodes.stops)}  # fmt: skip
    rows = [Row(case=case, metric=name, value=value) for name, value in counts.items()]
    rows += [
        Row(case=case, metric=f"observation to command, {name}",
            value=_ms(nodes.latency.seconds, share), unit="ms")
        for name, share in SHARES.items()
    ]  # fmt: skip
    return rows + watched[0].rows(case)


def run_nodes(
    files: Files,
    rate_hz: float,
    seconds: float,
    logs: Path,
    *,
    also: Sequence[NodeProcess] = (),
    started: Callable[[Mapping[str, int]], None] = lambda _: None,
    ended: Callable[[], None] = lambda: None,
) -> Nodes:
    """Run policy, gate and simulated arm in real time.

    Args:
        files: of policy, task and sensors.
        rate_hz: of the policy [Hz].
        seconds: how long [s].
        logs: folder of what the nodes say.
        also: other nodes beside them.
        started: is told the processes by name once they are active.
        ended: is called before they end.
    """
    from sim2arm_ros.supervisor import OperationError, Supervisor

    env = private_domain()
    processes = [
        simulated_arm(
            files.task,
            REACH.robot,
            rate_hz,
            lock_step=False,
            settings=files.settings,
            vision=files.vision,
            touch=files.touch,
        ),
        *policy_graph(files.bundle),
        *also,
    ]
    latency: list[float] = []
    stops: list[str] = []
    missed = late = commands = seed = 0
    try:
        with (
            Launch(processes, log_folder=logs, env=env) as launch,
            Supervisor(alive=launch.dead, env=env) as supervisor,
        ):
            supervisor.configure()
            supervisor.activate("gate_node")
            started({name: process.pid for name, process in launch.processes.items()})
            left = seconds
            while left > 0.5 and len(stops) < 100:
                log = supervisor.run_episode(seed, left)
                if supervisor.policy.get("phase") == "STOPPED":
                    stops.append(log.reason)
                latency += log.latency_s
                missed, late = missed + log.missed, late + log.late
                commands += len(log.actions)
                left, seed = seconds - commands / rate_hz, seed + 1
            ended()
    except OperationError as error:
        said = [f"{path.name}: {path.read_text()[-500:]}" for path in sorted(logs.glob("*.log"))]
        raise UserError("; ".join([str(error), *said])) from error
    if not latency:
        raise UserError(f"{rate_hz:g} Hz: no command reached the arm: {stops or 'no reason'}")
    return Nodes(
        latency=Timing(seconds=np.array(latency), missed=missed),
        commands=commands,
        late=late,
        stops=tuple(stops),
    )


def latencies(rate_hz: float, nodes: Nodes) -> CalibrationRecord:
    """Return the record of what was measured through the nodes.

    Raises:
        ValueError: no latency was below a second.
    """
    seconds = nodes.latency.seconds
    usual = seconds[seconds < 1.0]
    counts = {"missed": nodes.latency.missed, "a second or more late": len(seconds) - len(usual)}
    return latency_record(
        usual,
        device=f"policy_node, gate_node and the simulated arm on {describe_machine()['cpu']}",
        method="sim2arm bench ros: from the observation that a command answers to its arrival",
        settings={"rate_hz": rate_hz},
        notes=[f"commands {what}: {n} of {nodes.commands}" for what, n in counts.items() if n],
        versions=describe_versions() | {"commit": describe_commit()},
    )


def node_rows(case: str, nodes: Nodes, baselines: Mapping[str, Timing]) -> list[Row]:
    """Return latency and missed periods, one row per baseline."""
    rows: list[Row] = []
    for name, share in SHARES.items():
        for baseline, timing in baselines.items():
            rows.append(
                Row(case=case, metric=f"observation to command, {name}",
                    value=_ms(nodes.latency.seconds, share), unit="ms",
                    baseline=baseline, baseline_value=_ms(timing.seconds, share))
            )  # fmt: skip
    for baseline, timing in baselines.items():
        rows.append(
            Row(case=case, metric="missed periods", value=nodes.latency.missed,
                baseline=baseline, baseline_value=timing.missed)
        )  # fmt: skip
    counts = {"late commands": nodes.late, "periods": nodes.commands,
              "early stops": len(nodes.stops)}  # fmt: skip
    return rows + [Row(case=case, metric=name, value=value) for name, value in counts.items()]


# -- the work alone ----------------------------------------------------------------------------


def work_rows(case: str, bundle: Path, ticks: int = 400) -> list[Row]:
    """Return how long policy and gate work for one tick in this process."""
    times = work_times(bundle, ticks)
    return [
        Row(
            case=f"{case}, in process",
            metric=f"{part}, {name}",
            value=_ms(seconds, SHARES[name]),
            unit="ms",
        )
        for part, seconds in times.items()
        for name in ("p50", "p99")
    ]


def work_times(bundle: Path, ticks: int) -> dict[str, NDArray[np.float64]]:
    """Return the seconds per tick of the policy (from inputs to request) and of the gate."""
    from sim2arm_ros.policy_session import PolicySession

    policy = OnnxPolicy(bundle)
    contract = policy.contract
    session = PolicySession(policy, ROBOTS[contract.robot])
    session.warm_up()
    gate, q = _gate(contract)
    session.begin(q[0])
    measured = q[0]
    times: dict[str, list[float]] = {"policy": [], "gate": []}
    for k in range(ticks):
        now = 10**9 + round(k * contract.period * 1e9)
        for spec in session.derivation.sampled:
            value = measured if spec.name == "joint_position" else np.zeros(spec.array_shape)
            if spec.kind == "goal":
                value = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
            session.push(spec.name, value.astype(spec.dtype), now, now, now)
        begin = time.perf_counter()
        request = session.act(session.sample(now, now), now, now)
        middle = time.perf_counter()
        decision = gate.step(request.q[None], request.dq[None])
        end = time.perf_counter()
        if decision.share[0] < 1.0:
            raise RuntimeError(f"tick {k}: the gate did not pass the policy: {decision.reason()}")
        times["policy"].append(middle - begin)
        times["gate"].append(end - middle)
        measured = request.q
    return {name: np.array(values) for name, values in times.items()}


def _gate(contract: Contract) -> tuple[Any, NDArray[np.float64]]:
    from sim2arm_ros.gate import Gate, GateCfg

    robot = replace(ROBOTS[contract.robot], chain=contract.kinematic_chain, limits=contract.limits)
    q = np.asarray(robot.home, dtype=np.float64)[None]
    return Gate(robot, contract.period, GateCfg(), q), q


def _ms(seconds: NDArray[np.float64], share: float) -> float:
    return 1e3 * float(np.quantile(seconds, share))
