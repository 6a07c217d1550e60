"""What the gate reports before it becomes active: every item that it answers for. No ROS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim2arm.core.contract import Contract
from sim2arm.core.trajectory import FloatArray

from . import activation
from .activation import Item
from .forces import EFFORTS, ForceWatch
from .gate_machine import GateMachine
from .graph import Graph
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


def force_items(watch: ForceWatch) -> list[Item]:
    """Return the items of forces that are watched."""
    return [
        activation.at_most(
            f"force: {cfg.name}", watch.value(cfg.name), cfg.most,
            "N m" if cfg.type == EFFORTS else "N", f"is {cfg.topic} published, and zeroed?",
        )
        for cfg in watch.cfgs
    ]  # fmt: skip


def heartbeat_items(heartbeat: Heartbeat, steady_ns: int, *, timed: bool) -> list[Item]:
    """Return the item of a heartbeat, where one is needed."""
    if heartbeat.cfg is None:
        return []
    age, hint = heartbeat.age_s(steady_ns), f"is {heartbeat.cfg.topic} published, and true?"
    if not timed:
        return [activation.equal("heartbeat", True, age is not None, hint)]
    return [activation.at_most("heartbeat: age", age, heartbeat.cfg.timeout_s, "s", hint)]


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
        activation.equal("robot", contract.robot, machine.robot.name),
        *chain,
        *activation.mode_items(machine.modes, steady, timed=timed),
        *force_items(heard.forces),
        *heartbeat_items(heard.heartbeat, steady, timed=timed),
        *more,
        activation.equal(
            "publishers of commands", 1, heard.command_publishers, "stop every other publisher"
        ),
        *activation.position_items(contract, heard.q),
        activation.body_item(machine.robot, heard.q),
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
