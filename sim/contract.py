"""The contract of an environment: what its policies expect of a robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from sim2arm.core.contract import (
    LEAD,
    ActionSpec,
    ArmSpec,
    Contract,
    Provenance,
    TrainedRange,
)
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robots import Robot
from sim2arm.core.spec import ArraySpec

from .arm import SimulatedArm
from .env import Env
from .organs import Organs
from .physics_terms import gain_factors
from .specs import arm_specs, gripper_spec, law_of
from .tasks.base import Task, arms_of


def make_contract(env: Env, provenance: Provenance, *, group: str = "actor") -> Contract:
    """Return the contract of policies trained in an environment.

    Args:
        env: the environment; its robot, task, controller and rate are described, and what it
            draws at its level.
        provenance: where the policy comes from.
        group: of observations that the policy sees.
    """
    robot = env.robot
    known = known_specs(robot, env.task, env.organs)
    inputs = tuple(known[name] for name in env.groups[group])
    if env.sensing is not None:
        ages = env.sensing.ages()
        inputs = tuple(
            replace(spec, trained_age_s=ages.get(spec.name, spec.trained_age_s)) for spec in inputs
        )
    kp, kd = gain_factors(env.randomizer.terms, env.level)
    line = env.commands.line
    least, most = (0.0, 0.0) if line is None else line.shifts()
    return Contract(
        robot=robot.name,
        joint_names=robot.chain.joint_names,
        chain=robot.chain.to_dict(),
        control_hz=env.control_hz,
        inputs=inputs,
        action=steps_of_tools(robot, env.task, env.commands.cfg, env.period),
        low_level=law_of(robot, kp, kd),
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
        cameras=tuple(
            mount
            for organ in env.organs.each
            if set(env.groups[group]) & set(organ.specs)
            for mount in organ.mounts(robot.chain)
        ),
        provenance=provenance,
    )


def known_specs(robot: Robot, task: Task, organs: Organs) -> dict[str, ArraySpec]:
    """Return the specs of all that arms measure and a task tells, by name."""
    prefixes = [arm.prefix for arm in arms_of(task)] or [""]
    goals = {spec.name: spec for spec in task.goals}
    return arm_specs(robot, prefixes) | goals | organs.specs


def steps_of_tools(robot: Robot, task: Task, cfg: EeDeltaCfg, period: float) -> ActionSpec:
    """Return actions that are steps of tools, and shares of openings where grippers act.

    Args:
        robot: of which the arms are.
        task: says how many there are, and whether their grippers act.
        cfg: of the controller.
        period: of control [s].
    """
    parameters = {name: float(value) for name, value in asdict(cfg).items()}
    position, rotation = parameters.pop("position_scale"), parameters.pop("rotation_scale")
    names: tuple[str, ...] = ("x", "y", "z", "rx", "ry", "rz")
    scale = (position,) * 3 + (rotation,) * 3
    if task.gripper_action:  # from -1, closed, to 1, open
        names, scale = (*names, "gripper"), (*scale, 0.5 * robot.gripper.open_width)
    prefixes = [arm.prefix for arm in arms_of(task)] or [""]
    every = tuple(prefix + name for prefix in prefixes for name in names)
    return ActionSpec(
        kind="ee_delta",
        dim=len(every),
        low=(-1.0,) * len(every),
        high=(1.0,) * len(every),
        element_names=every,
        scale=scale * len(prefixes),
        frame="base",
        rotation_side="left",
        relative_to="last_command",
        dt_s=period,
        parameters=parameters,
    )


def arm_contract(
    arm: SimulatedArm, cfg: EeDeltaCfg, provenance: Provenance, *, lead: float = 0.0
) -> Contract:
    """Return the contract of whoever moves simulated arms as they are, and sees all they measure.

    Args:
        arm: the arms.
        cfg: of the controller.
        provenance: of what will move them.
        lead: most time from a tick to the start of its motion [s].
    """
    robot, task = arm.robot, arm.task
    return Contract(
        robot=robot.name,
        arms=tuple(ArmSpec(prefix=a.prefix, position=a.position) for a in arms_of(task)),
        joint_names=robot.chain.joint_names,
        chain=robot.chain.to_dict(),
        control_hz=1.0 / arm.period,
        inputs=tuple(known_specs(robot, task, arm.organs).values()),
        action=steps_of_tools(robot, task, cfg, arm.period),
        low_level=law_of(robot),
        limits=robot.limits,
        gripper=gripper_spec(robot, acts=task.gripper_action),
        ranges=(
            TrainedRange(name=LEAD, unit="s", low=0.0, high=lead),
            *(found for organ in arm.organs.each for found in organ.ranges((), 0.0)),
        ),
        cameras=tuple(mount for organ in arm.organs.each for mount in organ.mounts(robot.chain)),
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
