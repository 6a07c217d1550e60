"""The contract of an environment: what its policies expect of a robot."""

from __future__ import annotations

from dataclasses import asdict

from sim2arm.core.contract import (
    LEAD,
    ActionSpec,
    Contract,
    LowLevelSpec,
    Provenance,
    TrainedRange,
)

from .env import Env
from .physics_terms import gain_factors
from .specs import arm_specs, gripper_spec


def make_contract(env: Env, provenance: Provenance) -> Contract:
    """Return the contract of policies trained in an environment.

    Args:
        env: the environment; its robot, task, controller and rate are described.
        provenance: where the policy comes from.
    """
    robot, cfg = env.robot, env.commands.cfg
    known = arm_specs(robot) | {spec.name: spec for spec in env.task.goals}
    parameters = {name: float(value) for name, value in asdict(cfg).items()}
    kp, kd = gain_factors(env.randomizer.terms)
    position, rotation = parameters.pop("position_scale"), parameters.pop("rotation_scale")
    names: tuple[str, ...] = ("x", "y", "z", "rx", "ry", "rz")
    scale = (position,) * 3 + (rotation,) * 3
    if env.task.gripper_action:  # from -1, closed, to 1, open
        names, scale = (*names, "gripper"), (*scale, 0.5 * robot.gripper.open_width)
    return Contract(
        robot=robot.name,
        joint_names=robot.chain.joint_names,
        chain=robot.chain.to_dict(),
        control_hz=env.control_hz,
        inputs=tuple(known[name] for name in env.groups["actor"]),
        action=ActionSpec(
            kind="ee_delta",
            dim=env.action_dim,
            low=(-1.0,) * env.action_dim,
            high=(1.0,) * env.action_dim,
            element_names=names,
            scale=scale,
            frame="base",
            rotation_side="left",
            relative_to="last_command",
            dt_s=env.period,
            parameters=parameters,
        ),
        low_level=LowLevelSpec(
            kind="joint_impedance",
            kp=robot.kp,
            kd=robot.kd,
            kp_range=tuple((k / kp, k * kp) for k in robot.kp),
            kd_range=tuple((k / kd, k * kd) for k in robot.kd),
        ),
        limits=robot.limits,
        gripper=gripper_spec(robot, acts=env.task.gripper_action),
        ranges=(
            TrainedRange(name=LEAD, unit="s", low=0.0, high=env.period if env.lead_share else 0.0),
            *env.randomizer.ranges,
        ),
        provenance=provenance,
    )
