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
from .robot_modes import ModesCfg, RobotModes
from .supported import least_speed

PARAMETERS: dict[str, Any] = {
    "lock_step": False, "real_hardware": True, "allow_fallback_on_hardware": False,
    "dry_run": False, "request_timeout_s": 0.1, "lead_periods": 1.0, "clock_freeze_s": 0.1,
    "workspace_low": [-1.0, -1.0, -0.2], "workspace_high": [1.0, 1.0, 1.3],
    "table_height": GateCfg().table_height, "flights": "",
}  # fmt: skip
"""Names and what they are when nobody says otherwise."""
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


def _lead(node: Node) -> float:
    """Return how many control periods after its tick a motion starts in real time."""
    lead = float(node.get_parameter("lead_periods").value)
    if not 0.0 <= lead <= 3.0:
        raise ValueError(f"lead_periods: expected 0 to 3, got {lead}")
    return lead


def make_flight(
    node: Node, contract: Contract, watched: ModesCfg | None
) -> tuple[Flight, ClockGuard]:
    """Return what decides for a contract, and what watches the clock.

    Args:
        node: with `PARAMETERS`.
        contract: with the names of the arm.
        watched: where the robot tells its state, None for one that does not.

    Raises:
        ValueError: a parameter is not what it may be; one line.
    """
    low, high = (node.get_parameter(f"workspace_{s}").value for s in ("low", "high"))
    limits = GateCfg(
        workspace_low=tuple(low),
        workspace_high=tuple(high),
        table_height=float(node.get_parameter("table_height").value),
    )
    joints = contract.input("joint_position")
    cfg = MachineCfg(
        request_timeout_s=float(node.get_parameter("request_timeout_s").value),
        joint_timeout_s=joints.max_receipt_age_s or 0.05,
        joint_age_s=joints.max_stamp_age_s or 0.05,
        latch_after_s=3.0 * (joints.max_receipt_age_s or 0.05),
        lead_s=_lead(node) * contract.period,
        following_error=_ANYWHERE if _flag(node, "dry_run") else MachineCfg.following_error,
        lock_step=_flag(node, "lock_step"),
    )
    freeze = None if cfg.lock_step else float(node.get_parameter("clock_freeze_s").value)
    modes = None
    if watched is not None:
        modes = RobotModes(replace(watched, least_speed=least_speed(contract)))
    robot = gate_robot(contract)
    flight = Flight(GateMachine(robot, contract.period, limits, cfg, modes), limits)
    return flight, ClockGuard(ClockGuardCfg(freeze=freeze))
