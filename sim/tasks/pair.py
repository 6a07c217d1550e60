"""What tasks of two arms share: where the arms stand, how they start, what they measure.

The arms stand side by side before the table, as far from each other as people's shoulders and a
half, with the axes of the world. Poses of tasks are in the world, between the arms.
"""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import torch
from torch import Tensor

from sim2arm.core.arms import ArmPlace, prefixed
from sim2arm.core.robots import Robot
from sim2arm.core.transforms import pose
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.compiled import add_pair_force_sensor

from .base import put
from .shapes import arm_scene
from .start import joints_of

ARMS = (
    ArmPlace(prefix="left_", position=(0.0, 0.35, 0.0)),
    ArmPlace(prefix="right_", position=(0.0, -0.35, 0.0)),
)
LEFT, RIGHT = 0, 1
TURNED = (0.0, 2**-0.5, 2**-0.5, 0.0)
"""Orientation of a tool that points down and closes along x."""
SIDEWAYS = (0.5, 0.5, -0.5, 0.5)
"""Of one that points along -y, from the left to the right, and closes along x; its x points up."""


class Pair:
    """Two arms of a kind in N worlds."""

    def __init__(self, robot: Robot) -> None:
        """Take the kind."""
        self.robot = robot
        self.robots = [prefixed(robot, arm.prefix) for arm in ARMS]

    def scene(self, held: Sequence[str]) -> mujoco.MjSpec:
        """Return a scene with both arms, and free bodies that they hold, without geoms yet."""
        spec = arm_scene(self.robot, ARMS)
        _let_arms_meet(spec, ARMS)
        for name in held:
            body = spec.worldbody.add_body(name=name)
            body.add_freejoint(name=name)
            for finger in self.fingers:
                add_pair_force_sensor(spec, finger, name)
        return spec

    @property
    def fingers(self) -> list[str]:
        """Bodies of the fingers: two of each arm, arm after arm."""
        sides = ("left", "right")
        return [f"{robot.name}_{side}finger" for robot in self.robots for side in sides]

    def bind(self, world: World) -> None:
        """Take the views of a world that has the scene."""
        self._world = world
        self._joints = [world.joints(robot.chain.joint_names) for robot in self.robots]
        self._fingers = [world.joints(robot.gripper.joint_names) for robot in self.robots]
        self._tools = [world.site(robot.chain.tool_frame) for robot in self.robots]
        places = [arm.position for arm in ARMS]
        self._places = torch.tensor(places, dtype=world.dtype, device=world.device)

    def start(self, tools: Sequence[tuple[Tensor, Sequence[float]]]) -> Tensor:
        """Return joints (n, 2 joints) [rad] at which the tools are.

        Args:
            tools: of each arm the positions (n, 3) in the world [m], and the orientation.
        """
        found: list[Tensor] = []
        for (position, turn), arm in zip(tools, ARMS, strict=True):
            own = position - position.new_tensor(arm.position)
            turns = position.new_tensor(turn).expand(len(position), -1)
            found.append(joints_of(self.robot, pose(own, turns), iterations=40))
        return torch.cat(found, dim=-1)

    def reset(self, chosen: Tensor, q: Tensor, width: float) -> None:
        """Put arms of chosen worlds (N,) bool to joints (N, 2 joints), grippers to a width [m]."""
        for joints, own in zip(self._joints, q.chunk(2, dim=-1), strict=True):
            put(joints.q, chosen, own)
            put(joints.dq, chosen, 0.0)
        for fingers in self._fingers:
            put(fingers.q, chosen, self.robot.gripper.position(width))
            put(fingers.dq, chosen, 0.0)

    def widths(self) -> Tensor:
        """Return the distances between the pads (N, 2) [m]."""
        return torch.stack([self.robot.gripper.width(f.q) for f in self._fingers], dim=-1)

    def tools(self) -> Tensor:
        """Return the poses of the tools in the world (N, 2, 7)."""
        return torch.stack([tool.pose for tool in self._tools], dim=1)

    def forces(self, body: str) -> Tensor:
        """Return the forces of the fingers on a body (N, 2, 2) [N]: arm, finger."""
        forces = [self._world.pair_force(finger, body) for finger in self.fingers]
        sizes = torch.linalg.vector_norm(torch.stack(forces, dim=1), dim=-1)
        return sizes.unflatten(-1, (2, 2))

    def observe(self) -> dict[str, Tensor]:
        """Return what the arms measure, arm after arm; `tool_pose` is in the world."""
        tools = self.tools()
        own = torch.cat([tools[..., :3] - self._places, tools[..., 3:]], dim=-1)
        return {
            "joint_position": torch.cat([joints.q for joints in self._joints], dim=-1),
            "joint_velocity": torch.cat([joints.dq for joints in self._joints], dim=-1),
            "gripper_width": self.widths(),
            "ee_pose": own.flatten(1),
            "tool_pose": tools.flatten(1),
        }


def _let_arms_meet(spec: mujoco.MjSpec, arms: Sequence[ArmPlace]) -> None:
    """Let what collides of one arm meet that of the other; it meets objects as before."""
    first, second = (arm.prefix for arm in arms)
    for body in spec.bodies:
        for geom in body.geoms:
            if geom.contype == 2 and body.name.startswith(first):
                geom.contype = 2 | 4
            elif geom.contype == 2 and body.name.startswith(second):
                geom.conaffinity = 1 | 4
