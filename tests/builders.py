"""Builders of the objects that many tests need."""

from __future__ import annotations

from typing import Any

from sim2arm.core.contract import (
    ActionSpec,
    Contract,
    GripperSpec,
    LowLevelSpec,
    Provenance,
    TrainedRange,
)
from sim2arm.core.robots import PANDA
from sim2arm.core.spec import ArraySpec


def make_spec(**overrides: Any) -> ArraySpec:
    """Return the spec of a joint position input."""
    values: dict[str, Any] = {
        "name": "joint_position",
        "kind": "sensor",
        "shape": (7,),
        "unit": "rad",
        "element_names": PANDA.joint_names,
        "rate_hz": 1000.0,
        "max_stamp_age_s": 0.02,
        "max_receipt_age_s": 0.02,
        "trained_age_s": (0.0, 0.005),
        "low": PANDA.limits.q_min,
        "high": PANDA.limits.q_max,
    }
    return ArraySpec(**(values | overrides))


def make_action(**overrides: Any) -> ActionSpec:
    """Return the spec of a 6-D end-effector step at 60 Hz."""
    values: dict[str, Any] = {
        "kind": "ee_delta",
        "dim": 6,
        "low": (-1.0,) * 6,
        "high": (1.0,) * 6,
        "element_names": ("x", "y", "z", "rx", "ry", "rz"),
        "scale": (0.01,) * 3 + (0.05,) * 3,
        "frame": "base",
        "rotation_side": "left",
        "relative_to": "last_command",
        "dt_s": 1.0 / 60.0,
        "parameters": {"position_leash": 0.04, "rotation_leash": 0.2},
    }
    return ActionSpec(**(values | overrides))


def make_contract(**overrides: Any) -> Contract:
    """Return a contract of a Panda with joint positions and a socket pose as inputs."""
    values: dict[str, Any] = {
        "robot": "panda",
        "joint_names": PANDA.joint_names,
        "chain": PANDA.chain.to_dict(),
        "control_hz": 60.0,
        "inputs": (
            make_spec(),
            make_spec(
                name="socket_pose",
                kind="goal",
                unit="m m m 1 1 1 1",
                frame="panda_link0",
                element_names=("x", "y", "z", "qw", "qx", "qy", "qz"),
                rate_hz=None,
                max_stamp_age_s=None,
                max_receipt_age_s=1.0,
                trained_age_s=None,
                low=(-1.0,),
                high=(1.0,),
            ),
        ),
        "action": make_action(),
        "low_level": LowLevelSpec(
            kind="joint_impedance",
            kp=PANDA.kp,
            kd=PANDA.kd,
            kp_range=tuple((0.9 * k, 1.1 * k) for k in PANDA.kp),
            kd_range=tuple((0.9 * k, 1.1 * k) for k in PANDA.kd),
        ),
        "limits": PANDA.limits,
        "gripper": GripperSpec(kind="fixed", open_width=0.08, speed=0.05, force=70.0, delay_s=0.1),
        "ranges": (TrainedRange(name="latency/action", unit="s", low=0.0, high=0.02),),
        "provenance": Provenance(
            experiment="peg-insertion-ppo",
            commit="0" * 40,
            versions={"sim2arm": "0.1.0"},
            steps=1000,
            success=0.95,
            success_interval=(0.93, 0.97),
            episodes=500,
        ),
    }
    return Contract(**(values | overrides))
