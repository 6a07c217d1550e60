"""`sim2arm bench remote`: how long an arm moves on when the policy on another machine is gone.

The policy runs on a second machine: a network namespace with a link to the first, which holds gate
and simulated arm (FR3, 60 Hz, real time, budgets as on a robot). The policy swings the tool. Then
either its process is stopped (SIGSTOP) or the link is taken down, and the time counts from the last
request that arrived at the robot's side:

- *gate holds*: until the gate is heard to say HOLD. Beside it: its budget for silence and the
  control period in which it looks; a word of the gate takes some milliseconds more to be heard.
- *arm stands*: until every joint is slower than 0.01 rad/s, and stays so. Bound: the lead, then
  the last trajectory from every joint at its limit of velocity: a period of motion, one of
  coasting, the stop. The arm needs neither gate nor policy for it: the trajectory ends at rest.

Without root there is no second machine: the process is stopped on this one, and that is said.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _link import HERE, INSIDE, THERE, Link, rerun, why_not  # pyright: ignore
from torch import Tensor, nn

from sim2arm.cli.errors import UserError
from sim2arm.cli.outputs import check_file
from sim2arm.cli.parse import parse
from sim2arm.cli.table import Row, format_results, write_results
from sim2arm.core.contract import Provenance, StateSpec
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robots import FR3
from sim2arm.policies.export import export_bundle
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import arm_contract
from sim2arm.sim.tasks.table import make_task
from sim2arm_ros.dds import RosImportError, install
from sim2arm_ros.gate import GateCfg, motion_and_stop
from sim2arm_ros.gate_state import MachineCfg
from sim2arm_ros.launcher import Launch, policy_graph, private_domain, simulated_arm

HZ = 60.0
SETTINGS = "max_steps: 1000000\nposition_tolerance: 0.0\n"
SEEN = ("joint_position", "joint_velocity")
STANDS = 0.01
"""Speed below which a joint stands [rad/s]."""
_TRIES = 5
_SETTLE_S = 1.5


@dataclass(frozen=True, kw_only=True)
class BenchRemoteCfg:
    """Measure how long the arm moves on when a policy on another machine is gone."""

    stops: int = 5
    """How often each way of going is tried."""
    json: Path | None = None
    """Write the rows there."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """What followed the last request."""

    held_s: float
    stood_s: float
    speed: float
    """Fastest joint at the last request [rad/s]."""
    reason: str


class Swing(nn.Module):
    """Swings the tool with a period of a second."""

    def forward(
        self, obs: dict[str, Tensor], state: dict[str, Tensor], noise: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the chunk (1, 1, 6) and the next count."""
        del noise
        seen = 1e-6 * sum(obs[name].sum(dim=1, keepdim=True) for name in SEEN)
        phase = 0.9 * torch.cos(state["count"] * (2.0 * np.pi / HZ)) + seen
        action = torch.cat([0.0 * phase, phase, phase, *[0.0 * phase] * 3], dim=1)
        return action[:, None], {"count": state["count"] + 1.0}


def make_bundle(folder: Path) -> Path:
    """Export a policy that swings."""
    arm = SimulatedArm(make_task("reach", FR3.name, SETTINGS), FR3.name, control_hz=HZ)
    contract = arm_contract(arm, EeDeltaCfg(), Provenance(experiment="bench-remote"), lead=1.0 / HZ)
    count = StateSpec(name_in="count", name_out="count_next", shape=(1,), initial=(0.0,))
    inputs = tuple(contract.input(name) for name in SEEN)
    contract = replace(contract, inputs=inputs, states=(count,))
    steps = {name: np.stack([arm.measured()[name][0]] * 4).astype(np.float32) for name in SEEN}
    return export_bundle(Swing(), contract, [steps], folder / "bundle").path


def longest_stop() -> float:
    """Return the longest time from a tick to rest, of any joint from any allowed speed [s]."""
    top = np.array(FR3.limits.dq_max)[None]
    start, period = np.array(FR3.home)[None], 1.0 / HZ
    ddq = np.array(FR3.limits.ddq_max)
    last = motion_and_stop((start, top), (start + top * period, top), period, ddq, GateCfg())
    return period + float(last.times[0, -1])


def main(argv: Sequence[str]) -> int:
    """Run the benchmark."""
    cfg = parse(BenchRemoteCfg, argv, "sim2arm bench remote")
    if cfg.stops < 1:
        raise UserError(f"--stops: expected 1 or more, got {cfg.stops}")
    check_file("--json", cfg.json)
    problem = "" if os.environ.get(INSIDE) == "1" else why_not()
    if not problem and os.environ.get(INSIDE) != "1":
        return rerun(["-m", "sim2arm.cli.main", "bench", "remote", *argv])
    try:
        print(f"bench remote: {install()}", file=sys.stderr)
    except RosImportError as error:
        raise UserError(str(error)) from error
    if problem:
        print(f"bench remote: no second machine: {problem}; only SIGSTOP here", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="sim2arm-bench-") as folder:
        rows = measure(Path(folder), cfg.stops, linked=not problem)
    print(format_results(rows))
    if cfg.json is not None:
        write_results(cfg.json, "remote", rows)
    return 0


def measure(folder: Path, stops: int, *, linked: bool) -> list[Row]:
    """Return the rows; `folder` is for the bundle and the logs."""
    from sim2arm_ros.supervisor import OperationError

    bundle = make_bundle(folder)
    try:
        if not linked:
            with Machines(bundle, folder, None) as machines:
                return rows_of("process stopped", tried(machines, stops, machines.freeze))
        with Machines(bundle, folder, Link()) as machines:
            frozen = tried(machines, stops, machines.freeze)
            return rows_of("process stopped", frozen) + rows_of(
                "link cut", tried(machines, stops, machines.cut)
            )
    except OperationError as error:
        logs = sorted((folder / "logs").glob("*.log"))
        said = [f"{path.name}: {path.read_text()[-500:]}" for path in logs]
        raise UserError("; ".join([str(error), *said])) from error


def rows_of(case: str, stops: Sequence[Stop]) -> list[Row]:
    """Return medians and maxima beside what bounds them."""
    budget = MachineCfg().request_timeout_s + 1.0 / HZ
    bounds = {
        "gate holds": ([stop.held_s for stop in stops], "budget", budget),
        "arm stands": ([stop.stood_s for stop in stops], "bound", longest_stop()),
    }
    rows = [
        Row(case=case, metric=f"{what}, {name}", value=1e3 * float(np.quantile(values, share)),
            unit="ms", baseline=beside, baseline_value=1e3 * bound)
        for what, (values, beside, bound) in bounds.items()
        for name, share in (("p50", 0.5), ("max", 1.0))
    ]  # fmt: skip
    speeds = [stop.speed for stop in stops]
    for reason in sorted({stop.reason.partition(" for ")[0] for stop in stops}):
        print(f"bench remote: {case}: gate: {reason}", file=sys.stderr)
    return [
        *rows,
        Row(case=case, metric="speed before, least", value=min(speeds), unit="rad/s"),
        Row(case=case, metric="stops", value=len(stops)),
    ]


class Machines:
    """Gate and arm here, the policy there, an operator and a witness."""

    def __init__(self, bundle: Path, folder: Path, link: Link | None) -> None:
        """Start everything and bring the gate up; with no link all of it is here."""
        from sensor_msgs.msg import JointState
        from trajectory_msgs.msg import JointTrajectory

        from sim2arm_ros.convert import joint_field
        from sim2arm_ros.node_support import streaming
        from sim2arm_ros.requests import REQUEST_TOPIC
        from sim2arm_ros.supervisor import Supervisor

        self._link, env = link, private_domain()
        settings = folder / "task.yaml"
        settings.write_text(SETTINGS, encoding="utf-8")
        gate, policy = policy_graph(bundle, flights=folder / "flights")
        arm = simulated_arm("reach", FR3.name, HZ, lock_step=False, settings=settings)
        here, there = (({"ROS_STATIC_PEERS": address} if link else {}) for address in (THERE, HERE))
        policy = replace(policy, before=link.there if link else ())
        self._launch = Launch([arm, gate], log_folder=folder / "logs", env=env | here)
        self._policy = self._launch.start(policy, env | there)
        self.supervisor = Supervisor(alive=self._launch.dead, env=env | here)
        self._requests: list[float] = []
        self._speeds: list[tuple[float, float]] = []
        names = FR3.joint_names

        def on_joints(message: JointState) -> None:
            speed = float(np.abs(joint_field(message, "velocity", names)).max())
            self._speeds.append((time.monotonic(), speed))

        def on_request(message: JointTrajectory) -> None:
            del message
            self._requests.append(time.monotonic())

        create: Any = self.supervisor.node.create_subscription
        create(JointState, "/joint_states", on_joints, streaming(100))
        create(JointTrajectory, REQUEST_TOPIC, on_request, streaming(100))

    def __enter__(self) -> Machines:
        """Return itself, with a gate that holds."""
        self.supervisor.configure()
        self.supervisor.activate("gate_node")
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        if self._link is not None:
            self._link.mend()
        self.supervisor.close()
        self._launch.close()

    def swing(self) -> bool:
        """Start the policy; return whether the arm swings."""
        from std_srvs.srv import Trigger

        supervisor = self.supervisor
        supervisor.renew("policy_node")
        supervisor.transition("policy_node", "configure")
        supervisor.reset_arm(0)  # where there is room to swing

        def ready() -> bool:
            if supervisor.gate.get("state") == "FAULT":
                supervisor.call(Trigger, "/gate_node/reset", Trigger.Request())
            return supervisor.gate.get("ready") == "True"

        supervisor.spin_until(ready, 30.0, "ready gate")
        supervisor.policy = {}
        supervisor.activate("policy_node")

        def moves() -> bool:
            return supervisor.gate.get("state") == "ACTIVE" and len(self._requests) > 30

        self._requests.clear()
        self._speeds.clear()
        over: Callable[[], bool] = lambda: moves() or supervisor.policy.get("phase") == "STOPPED"  # noqa: E731
        supervisor.spin_until(over, 30.0, "arm that moves")
        fast: Callable[[], bool] = lambda: self._speeds[-1][1] > 0.1 or not moves()  # noqa: E731
        supervisor.spin_until(fast, 30.0, "arm that is fast")
        return moves()

    def freeze(self) -> Callable[[], None]:
        """Stop the policy's process; return what lets it go on."""
        self._policy.send_signal(signal.SIGSTOP)
        return lambda: self._policy.send_signal(signal.SIGCONT)

    def cut(self) -> Callable[[], None]:
        """Take the link down; return what takes it up."""
        assert self._link is not None
        self._link.cut()
        return self._link.mend

    def watch(self, go: Callable[[], Callable[[], None]]) -> Stop | None:
        """Let the policy go; return what followed, or none if it had stopped before."""
        supervisor = self.supervisor
        undo = go()
        try:
            gone = time.monotonic()
            held = [0.0]

            def settled() -> bool:
                if not held[0] and supervisor.gate.get("state") != "ACTIVE":
                    held[0] = time.monotonic()
                return time.monotonic() > gone + _SETTLE_S

            supervisor.spin_until(settled, 10.0, "time")
        finally:
            undo()
        last, moving = self._requests[-1], [at for at, v in self._speeds if v > STANDS]
        if not held[0] or "no request" not in supervisor.gate.get("reason", ""):
            return None
        before = [v for at, v in self._speeds if at <= last]
        stood = min(at for at, _ in self._speeds if at > moving[-1])
        return Stop(
            held_s=held[0] - last, stood_s=stood - last, speed=before[-1],
            reason=supervisor.gate["reason"],
        )  # fmt: skip


def tried(machines: Machines, count: int, go: Callable[[], Callable[[], None]]) -> list[Stop]:
    """Return so many stops; a policy that a busy machine stopped before is started again."""
    stops: list[Stop] = []
    for _ in range(count * _TRIES):
        if machines.swing() and (stop := machines.watch(go)) is not None:
            stops.append(stop)
        if len(stops) == count:
            return stops
    raise UserError(
        f"{len(stops)} of {count} stops: the gate held before, {machines.supervisor.gate}; is the "
        "machine busy?"
    )
