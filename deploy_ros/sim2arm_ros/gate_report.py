"""What the gate reports before it becomes active: every item that it answers for. No ROS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim2arm.core.bodies import Clearances
from sim2arm.core.contract import Contract
from sim2arm.core.kinematics import forward
from sim2arm.core.trajectory import FloatArray

from . import activation
from .activation import Item
from .forces import EFFORTS, ForceWatch
from .gate_machine import GateMachine
from .graph import Graph
from .graph_file import robot_names
from .heartbeat import Heartbeat


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the gate's node knows beside its machine."""

    description: str | None
    """The URDF of the robot."""
    q: FloatArray | None
    """(n,) newest joint positions [rad]."""
    joint_period: float | None
    """Of the joint states, smoothed [s]."""
    joint_receipt: int
    """Of the newest joint state, steady time [ns]; 0 for none."""
    command_publishers: int
    """On the topic of commands, the gate included."""
    mismatches: Sequence[str]
    """Peers with QoS that does not match."""
    forces: ForceWatch
    heartbeat: Heartbeat
    signed: bool
    """Whether the bundle has a signature of somebody who is trusted."""
    dry: bool
    """Commands go to nobody, so no arm follows them."""
    real: bool
    """It is no simulated arm."""


def force_items(watch: ForceWatch) -> list[Item]:
    """Return the items of forces that are watched."""
    return [
        activation.at_most(
            f"force: {cfg.name}", watch.value(cfg.name), cfg.most,
            "N m" if cfg.type == EFFORTS else "N", f"is {cfg.topic} published, and zeroed?",
        )
        for cfg in watch.cfgs
    ]  # fmt: skip


def known_robot_item(contract: Contract, graph: Graph) -> Item:
    """Return the item of a real robot: where its modes are known, they must be watched."""
    name = contract.robot
    expected = f"modes of {name}" if name in robot_names() else "any graph"
    fine = graph.modes is not None or name not in robot_names()
    return Item(name="robot", expected=expected, measured=expected if fine else "modes of none",
                ok=fine, note=f"start it with robot:={name}, or give the graph modes")  # fmt: skip


def heartbeat_items(heartbeat: Heartbeat, steady_ns: int, *, timed: bool) -> list[Item]:
    """Return the item of a heartbeat, where one is needed."""
    if heartbeat.cfg is None:
        return []
    age, hint = heartbeat.age_s(steady_ns), f"is {heartbeat.cfg.topic} published, and true?"
    if not timed:
        return [activation.equal("heartbeat", True, age is not None, hint)]
    return [activation.at_most("heartbeat: age", age, heartbeat.cfg.timeout_s, "s", hint)]


def state_item(machine: GateMachine) -> Item:
    """Return the item of how the gate stands: what an operator stopped is not activated."""
    stops = "; ".join(machine.stops.values())
    stands = f"{machine.state.value}: {machine.reason}".rstrip(": ")
    return Item(name="state", expected="not stopped by an operator", ok=not stops,
                measured=stops or stands, note="release the stop and call ~/reset")  # fmt: skip


def place_items(
    graph: Graph, machine: GateMachine, q: FloatArray | None, *, real: bool
) -> list[Item]:
    """Return how far an arm at q (n,) [rad] is inside of its workspace, and above its table."""
    place, robot = graph.workspace, machine.robot
    if place is None:
        return [Item(name="workspace", expected="a box and the height of the table", ok=not real,
                     measured="" if real else "none: a simulated arm",
                     note="say in graph.yaml, under workspace, where the arm may be")]  # fmt: skip
    inside = above = None
    if q is not None and np.all(np.isfinite(q)):
        tool = forward(robot.chain, q)[:3, 3]
        inside = float(min((tool - place.low).min(), (place.high - tool).min()))
        lowest = float(tool[2])
        if robot.body is not None:
            lowest = float(Clearances(robot.chain, robot.body)(q).table)
        above = lowest - place.table_height
    note = "move the arm there by hand, or change workspace in graph.yaml"
    return [
        activation.at_least("workspace: tool to its nearest side", inside, 0.0, "m", note),
        activation.at_least("lowest point above the table", above, 0.0, "m", note),
    ]


def gate_items(
    contract: Contract, graph: Graph, machine: GateMachine, heard: Heard, more: Sequence[Item]
) -> list[Item]:
    """Return the report.

    Args:
        contract: with the names of this arm.
        graph: of the arm.
        machine: that decides.
        heard: what else is known.
        more: items of controller and gripper.
    """
    chain, _ = activation.chain_items(contract, heard.description, graph.chain)
    commanded, steady = machine.commanded(), time.monotonic_ns()
    error = None
    if commanded is not None and heard.q is not None:
        error = float(np.max(np.abs(commanded[0] - heard.q)))
    timed = not machine.cfg.lock_step
    items = [
        activation.bundle_item(signed=heard.signed),
        activation.qos_item(heard.mismatches),
        state_item(machine),
        *chain,
        *activation.mode_items(machine.modes, steady, timed=timed),
        *([known_robot_item(contract, graph)] if heard.real else []),
        *force_items(heard.forces),
        *heartbeat_items(heard.heartbeat, steady, timed=timed),
        *more,
        activation.equal(
            "publishers of commands", 1, heard.command_publishers, "stop every other publisher"
        ),
        *activation.position_items(contract, heard.q),
        activation.body_item(machine.robot, heard.q),
        *place_items(graph, machine, heard.q, real=heard.real),
        *([] if heard.dry else [activation.at_most(
            "commanded against measured", error, machine.cfg.following_error, "rad",
            "is the controller active and its state published?",
        )]),
        *activation.unmeasured_items(contract),
    ]  # fmt: skip
    if not timed:
        return items
    age = (steady - heard.joint_receipt) / 1e9 if heard.joint_receipt else None
    return [
        *items,
        activation.lead_item(contract, machine.cfg.lead_s),
        activation.rate_item("joint states", heard.joint_period, contract.control_hz),
        activation.at_most("joint states: receipt age", age, machine.cfg.joint_timeout_s, "s"),
    ]
