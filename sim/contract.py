"""The contract of an environment: what its policies expect of a robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from sim2arm.core.contract import (
    LEAD,
    ActionSpec,
    Contract,
    LowLevelSpec,
    Provenance,
    TrainedRange,
)
from sim2arm.core.spec import ArraySpec

from .env import Env
from .physics_terms import gain_factors
from .specs import arm_specs, gripper_spec


def make_contract(env: Env, provenance: Provenance, *, group: str = "actor") -> Contract:
    """Return the contract of policies trained in an environment.

    Args:
        env: the environment; its robot, task, controller and rate are described, and what it
            draws at its level.
        provenance: where the policy comes from.
        group: of observations that the policy sees.
    """
    robot, cfg = env.robot, env.commands.cfg
    known = arm_specs(robot) | {spec.name: spec for spec in env.task.goals}
    known |= env.organs.specs
    inputs = tuple(known[name] for name in env.groups[group])
    if env.sensing is not None:
        ages = env.sensing.ages()
        inputs = tuple(
            replace(spec, trained_age_s=ages.get(spec.name, spec.trained_age_s)) for spec in inputs
        )
    parameters = {name: float(value) for name, value in asdict(cfg).items()}
    kp, kd = gain_factors(env.randomizer.terms, env.level)
    line = env.commands.line
    least, most = (0.0, 0.0) if line is None else line.shifts()
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
        inputs=inputs,
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
            TrainedRange(
                name=LEAD,
                unit="s",
                low=least,
                high=most + (env.period if env.lead_share else 0.0),
            ),
            *(() if line is None else line.ranges()),
            *env.randomizer.ranges,
            *_noise_ranges(env, known),
            *_organ_ranges(env, group),
        ),
        provenance=provenance,
    )


def _noise_ranges(env: Env, known: Mapping[str, ArraySpec]) -> list[TrainedRange]:
    """Return biases and deviations of what the policy sees."""
    noises = () if env.sensing is None else env.sensing.noises
    return [
        TrainedRange(name=f"{kind}/{term.name}", unit=known[term.name].unit, low=0.0, high=value)
        for term in noises
        if term.name in known
        for kind, value in (("bias", term.bias), ("noise", term.deviation))
    ]


def _organ_ranges(env: Env, group: str) -> list[TrainedRange]:
    """Return what differs between episodes in the cameras and gels that the policy sees."""
    seen = set(env.groups[group])
    return [
        found
        for organ in env.organs.each
        if seen & set(organ.specs)
        for found in organ.ranges(env.randomizer.terms, env.level)
    ]
