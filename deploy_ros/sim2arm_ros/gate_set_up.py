"""From the parameters of the gate's node to what decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rclpy.node import Node

from sim2arm.core.clock import ClockGuard, ClockGuardCfg
from sim2arm.core.contract import Contract

from .dds import backend
from .flight import Flight, gate_robot
from .gate import GateCfg
from .gate_machine import GateMachine
from .gate_state import MachineCfg
from .graph import Graph
from .robot_modes import RobotModes
from .supported import least_speed

PARAMETERS: dict[str, Any] = {
    "lock_step": False, "real_hardware": True, "allow_fallback_on_hardware": False,
    "dry_run": False, "request_timeout_s": 0.1, "lead_periods": 1.0, "clock_freeze_s": 0.1,
    "flights": "",
}  # fmt: skip
"""Names and what they are when nobody says otherwise."""
_LONGEST_S = 1.0
"""Longest budget of a watchdog that may be asked for [s]."""
_ANYWHERE = 1e3
"""How far an arm may be from its command in a dry run, in which it does not follow [rad]."""


def _flag(node: Node, name: str) -> bool:
    return bool(node.get_parameter(name).value)


def check_backend(node: Node) -> None:
    """Refuse what does not go together, and hardware on the fallback.

    Raises:
        ValueError: one line.
    """
    if _flag(node, "dry_run"):
        if _flag(node, "real_hardware") or _flag(node, "lock_step"):
            raise ValueError("dry_run: there is no arm: neither real_hardware nor lock_step")
        return
    if _flag(node, "real_hardware") and _flag(node, "lock_step"):
        raise ValueError("real hardware does not wait: lock_step is for simulated arms only")
    fallback = "fallback" in backend()
    if _flag(node, "real_hardware") and fallback and not _flag(node, "allow_fallback_on_hardware"):
        raise ValueError(
            "real hardware needs a real ROS 2, this is the fallback: source ROS, or set "
            "allow_fallback_on_hardware"
        )


def _budget(node: Node, name: str) -> float:
    """Return the time of a parameter [s]."""
    found = float(node.get_parameter(name).value)
    if not 0.0 < found <= _LONGEST_S:
        raise ValueError(f"{name}: expected more than 0, at most {_LONGEST_S:g} s, got {found}")
    return found


def _lead(node: Node) -> float:
    """Return how many control periods after its tick a motion starts in real time."""
    lead = float(node.get_parameter("lead_periods").value)
    if not 0.0 <= lead <= 3.0:
        raise ValueError(f"lead_periods: expected 0 to 3, got {lead}")
    return lead


def make_flight(node: Node, contract: Contract, graph: Graph) -> tuple[Flight, ClockGuard]:
    """Return what decides for a contract, and what watches the clock.

    Args:
        node: with `PARAMETERS`.
        contract: with the names of the arm.
        graph: where the arm may be, and where the robot tells its state.

    Raises:
        ValueError: a parameter is not what it may be; one line.
    """
    limits, place = GateCfg(), graph.workspace
    if place is not None:
        limits = GateCfg(
            workspace_low=place.low, workspace_high=place.high, table_height=place.table_height
        )
    joints = contract.input("joint_position")
    silence, age = joints.max_receipt_age_s, joints.max_stamp_age_s
    assert silence is not None and age is not None  # `check_supported` sees to it
    cfg = MachineCfg(
        request_timeout_s=_budget(node, "request_timeout_s"),
        joint_timeout_s=silence,
        joint_age_s=age,
        latch_after_s=3.0 * silence,
        lead_s=_lead(node) * contract.period,
        following_error=_ANYWHERE if _flag(node, "dry_run") else MachineCfg.following_error,
        lock_step=_flag(node, "lock_step"),
    )
    freeze = None if cfg.lock_step else _budget(node, "clock_freeze_s")
    modes = None
    if graph.modes is not None:
        modes = RobotModes(replace(graph.modes, least_speed=least_speed(contract)))
    robot = gate_robot(contract)
    flight = Flight(GateMachine(robot, contract.period, limits, cfg, modes), limits)
    return flight, ClockGuard(ClockGuardCfg(freeze=freeze))
