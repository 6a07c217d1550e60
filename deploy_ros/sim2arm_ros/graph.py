"""graph.yaml: where every input of a contract comes from, and how the arm is reached.

Names without a leading slash lie in the namespace of the nodes, so that two arms have one file.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Literal

from sim2arm.core.contract import Contract
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Chain, Gripper
from sim2arm.core.spec import ArraySpec

from .forces import ForceCfg
from .heartbeat import HeartbeatCfg
from .pictures import COMPRESSED_IMAGE, PICTURES, Encoding, camera_of, picture_problem
from .requests import WIDTH
from .robot_modes import ModesCfg

GRAPH_VERSION = 1
_POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")
_UNITS = {"position": ("rad", "m"), "velocity": ("rad/s", "m/s"), "effort": ("N m", "N")}
JOINT_STATE = "sensor_msgs/msg/JointState"
POSE_STAMPED = "geometry_msgs/msg/PoseStamped"
GRIPPER_COMMAND: Literal["control_msgs/action/GripperCommand"] = (
    "control_msgs/action/GripperCommand"
)
FRANKA = "franka_msgs/action/Grasp"


NAME = "expected a ROS name such as /arm/joint_states"


def is_name(name: str) -> bool:
    """Return whether ROS takes this as the name of a topic, a service or a node.

    Source: design.ros2.org/articles/topic_and_service_names.html.
    """
    part = r"[A-Za-z_]\w*"
    found = re.fullmatch(f"/?{part}(/{part})*", name, re.ASCII)
    return found is not None and "__" not in name


@dataclass(frozen=True, kw_only=True)
class InputBinding:
    """Where one input of the policy comes from."""

    topic: str
    type: Literal[
        "sensor_msgs/msg/JointState",
        "geometry_msgs/msg/PoseStamped",
        "sensor_msgs/msg/Image",
        "sensor_msgs/msg/CompressedImage",
    ]
    """Type of the messages."""
    field: Literal["position", "velocity", "effort", "gripper_width", "pose", "image"]
    """Which field of the message is the input; the width follows from the positions of fingers."""
    encoding: Encoding | None = None
    """Of images how pixels are stored, or what JPEG and PNG become; other encodings are refused."""
    staged: bool = False
    """Whether who sends the images has run the driver stage; if not, the policy node does."""
    camera_info: str | None = None
    """Topic with the intrinsics of the images."""
    reliability: Literal["reliable", "best_effort"] = "reliable"
    depth: int = 10
    """Messages that are kept (KEEP_LAST)."""

    @property
    def is_picture(self) -> bool:
        """Whether its messages are images."""
        return self.type in PICTURES

    def problem(self, spec: ArraySpec) -> str | None:
        """Return why this binding cannot feed an input, or None."""
        joints = (*_UNITS, WIDTH)
        known = {POSE_STAMPED: ("pose",), JOINT_STATE: joints}.get(self.type, ("image",))
        if self.field not in known:
            return f"{self.type} has no field {self.field!r}"
        for label, name in (("topic", self.topic), ("camera_info", self.camera_info)):
            if name is not None and not is_name(name):
                return f"{label}: {NAME}, got {name!r}"
        if self.depth < 1:
            return f"depth: expected 1 or more, got {self.depth}"
        if self.is_picture:
            return picture_problem(
                spec, compressed=self.type == COMPRESSED_IMAGE, encoding=self.encoding or "",
                staged=self.staged, camera_info=self.camera_info or "",
            )  # fmt: skip
        for label in ("encoding", "staged", "camera_info"):
            if getattr(self, label):
                return f"{label}: {self.type} has none"
        if self.type == POSE_STAMPED:
            fits = spec.element_names == _POSE
            return None if fits else f"a pose is {' '.join(_POSE)}, not {spec.element_names}"
        if self.field == WIDTH:
            fits = spec.unit == "m" and spec.shape == (1,)
            return None if fits else f"a width is (1,) in m, not {spec.shape} in {spec.unit!r}"
        if not spec.element_names:
            return "joints are found by name: the input needs element_names"
        units = _UNITS[self.field]
        return None if spec.unit in units else f"{self.field} is in {units[0]}, not {spec.unit!r}"


def _gain_parameters() -> dict[str, str]:
    return {"kp": "gains.{joint}.p", "kd": "gains.{joint}.d"}


@dataclass(frozen=True, kw_only=True)
class ControllerBinding:
    """The controller that executes trajectories."""

    name: str = "joint_trajectory_controller"
    """Node of the controller; its topics lie below it."""
    manager: str = "controller_manager"
    """Node of the controller manager."""
    gain_parameters: dict[str, str] | None = field(default_factory=_gain_parameters)
    """Names of the parameters with the gains of a joint; `{joint}` stands for its name. None: the
    law runs inside the robot, whose gains nobody can read."""
    also_active: tuple[str, ...] = ()
    """Controllers that must run beside it, as those that tell the robot's modes."""

    @property
    def command_topic(self) -> str:
        """Where trajectories go."""
        return f"{self.name}/joint_trajectory"

    @property
    def state_topic(self) -> str:
        """Where the controller says what it does."""
        return f"{self.name}/controller_state"


@dataclass(frozen=True, kw_only=True)
class GripperBinding:
    """The action that works the gripper."""

    name: str = "gripper_controller/gripper_cmd"
    """Of the action; of a Franka hand its node, whose actions `grasp` and `move` lie below it."""
    type: Literal["control_msgs/action/GripperCommand", "franka_msgs/action/Grasp"] = (
        GRIPPER_COMMAND
    )
    """What it takes."""
    position: Literal["width", "finger"] = "width"
    """What GripperCommand calls position: the distance between the pads [m], or where a finger's
    joint is, as ros2_control's parallel grippers do."""
    prefixed: bool = True
    """Whether the joints of its fingers have the prefix of the arm."""
    slack: float = 0.02
    """Of a Franka hand: how far from the wanted width what is grasped may be wide [m]; where
    closing ends at nothing or farther away, the hand says that it failed."""


@dataclass(frozen=True, kw_only=True)
class ChainBounds:
    """How far the links of the robot may be from those of the contract's chain."""

    metres: float = 0.002
    radians: float = math.radians(0.2)


@dataclass(frozen=True, kw_only=True)
class WorkspaceCfg:
    """Where the arm may be, in its base frame; the gate checks the numbers."""

    low: tuple[float, float, float]
    """Lowest position of the tool [m]."""
    high: tuple[float, float, float]
    """Highest [m]."""
    table_height: float
    """What tool, links and hand stay above [m]; far below the arm where there is no table."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The content of graph.yaml, and of the robot's file over it."""

    version: int = GRAPH_VERSION
    robot: str = ""
    """Robot of the contracts that it is for; any robot if empty."""
    prefix: str = ""
    """Of the names of the joints, and of the links at both ends of the chain."""
    driver: Literal["", "so101_node"] = ""
    """Executable of ours that drives the arm; empty where the robot has one of its own."""
    controller: ControllerBinding = field(default_factory=ControllerBinding)
    gripper: GripperBinding = field(default_factory=GripperBinding)
    modes: ModesCfg | None = None
    """Where the robot tells its own state, None for one that does not."""
    forces: tuple[ForceCfg, ...] = ()
    """Above which the arm stops."""
    heartbeat: HeartbeatCfg | None = None
    """Without which the arm stops; None where it needs none."""
    workspace: WorkspaceCfg | None = None
    """Where the arm may be; a real one needs it, a simulated one without may be anywhere."""
    chain: ChainBounds = field(default_factory=ChainBounds)
    robot_description: str = "robot_description"
    """Topic with the URDF of the robot."""
    observation: str = "sim_arm/observation"
    """Topic on which a simulated arm in lock step says which pictures belong to a tick."""
    max_skew_s: float | None = None
    """Most time between the stamps of the sensors that a policy sees at a tick [s]; None: each has
    its own age alone, as the contract says."""
    inputs: dict[str, InputBinding]
    """By name of the input."""

    def __post_init__(self) -> None:
        """Refuse names that ROS does not take, and a time that is none."""
        if self.max_skew_s is not None and not 0.0 < self.max_skew_s <= 10.0:
            raise ValueError(f"max_skew_s: expected above 0 to 10, got {self.max_skew_s}")
        names = {
            "controller.name": self.controller.name,
            "controller.manager": self.controller.manager,
            "gripper.name": self.gripper.name,
            "robot_description": self.robot_description,
            "observation": self.observation,
        }
        modes = {} if self.modes is None else self.modes.topics
        names |= {f"modes.topics.{key}": name for key, name in modes.items()}
        names |= {f"forces: {force.name}: topic": force.topic for force in self.forces}
        if self.heartbeat is not None:
            names["heartbeat.topic"] = self.heartbeat.topic
        if len({force.name for force in self.forces}) != len(self.forces):
            raise ValueError(f"forces: expected a name each, got {[f.name for f in self.forces]}")
        for key, name in names.items():
            if not is_name(name):
                raise ValueError(f"{key}: {NAME}, got {name!r}")
        if self.prefix and not re.fullmatch(r"[A-Za-z]\w*", self.prefix, re.ASCII):
            raise ValueError(
                f"prefix: expected letters, digits and _, a letter first, got {self.prefix!r}"
            )

    def named(self, contract: Contract) -> Contract:
        """Return a contract with the names that joints and frames have on this robot.

        Raises:
            ValueError: it is a contract of another robot.
        """
        if self.robot and contract.robot != self.robot:
            raise ValueError(
                f"robot: this graph is of a {self.robot}, the bundle is for a {contract.robot}: "
                "pass the robot or the bundle that belongs to the other"
            )
        return prefixed(contract, self.prefix)

    def gripper_of(self, contract: Contract) -> Gripper:
        """Return the gripper of a contract's robot, with the names that its joints have here."""
        gripper = find_robot(contract.robot).gripper
        prefix = self.prefix if self.gripper.prefixed else ""
        names = tuple(prefix + name for name in gripper.joint_names)
        return replace(gripper, joint_names=names)

    def bindings(self, contract: Contract) -> dict[str, InputBinding]:
        """Return the bindings of the inputs that a contract takes from sensors and goals.

        Raises:
            ValueError: an input has no binding, or one of the wrong kind.
        """
        found: dict[str, InputBinding] = {}
        for spec in measured(contract):
            if spec.name not in self.inputs:
                raise ValueError(
                    f"graph: input {spec.name!r} has no binding; known: {sorted(self.inputs)}; "
                    "add it under inputs"
                )
            binding = self.inputs[spec.name]
            problem = binding.problem(spec)
            if problem is None and binding.is_picture and not binding.camera_info:
                problem = _unmeasured(contract, spec)
            if problem is not None:
                raise ValueError(f"graph: input {spec.name!r}: {problem}")
            found[spec.name] = binding
        return found


def prefixed_chain(chain: Chain, prefix: str) -> Chain:
    """Return a chain with a prefix in front of its joints and of its first and last frame."""
    names = tuple(prefix + name for name in chain.joint_names)
    ends = {"base_frame": prefix + chain.base_frame, "tool_frame": prefix + chain.tool_frame}
    return replace(chain, joint_names=names, **ends)


def named_as(chain: Chain, other: Chain) -> Chain:
    """Return a chain with the names of another."""
    ends = {"base_frame": other.base_frame, "tool_frame": other.tool_frame}
    return replace(chain, joint_names=other.joint_names, **ends)


def prefixed(contract: Contract, prefix: str) -> Contract:
    """Return a contract with a prefix in front of the names of joints and ends of the chain."""
    if not prefix:
        return contract
    chain = contract.kinematic_chain
    return replace(
        contract,
        joint_names=tuple(prefix + name for name in contract.joint_names),
        chain=prefixed_chain(chain, prefix).to_dict(),
        inputs=tuple(prefixed_spec(spec, chain, prefix) for spec in contract.inputs),
    )


def prefixed_spec(spec: ArraySpec, chain: Chain, prefix: str) -> ArraySpec:
    """Return an input with the prefix in front of what is named after the chain.

    Frames of cameras and of the world keep their names: which these are is up to who publishes.
    """
    ends = (chain.base_frame, chain.tool_frame)
    names = (prefix + n if n in chain.joint_names else n for n in spec.element_names)
    frame = prefix + spec.frame if spec.frame in ends else spec.frame
    return replace(spec, element_names=tuple(names), frame=frame)


def measured(contract: Contract) -> tuple[ArraySpec, ...]:
    """Return the inputs of a contract that come from sensors and goals.

    The width of a gripper that acts is among them whether the policy sees it or not: what is
    wanted of it begins where it stands.
    """
    found = [spec for spec in contract.inputs if spec.kind in ("sensor", "goal")]
    if contract.grips and WIDTH not in [spec.name for spec in found]:
        found.append(ArraySpec(name=WIDTH, kind="sensor", shape=(1,), unit="m"))
    return tuple(found)


def intrinsic_range(camera: str, what: str) -> str:
    """Return the name of the trained range of fx, fy, cx or cy of a camera."""
    return f"calibration/camera_{camera}/{what}"


INTRINSICS = ("fx", "fy", "cx", "cy")
"""Of the pictures that policies see; what `camera_info` tells is compared with their ranges."""


def _unmeasured(contract: Contract, spec: ArraySpec) -> str | None:
    """Return why an input needs `camera_info`, or None."""
    camera = camera_of(spec)
    names = () if camera is None else [intrinsic_range(camera, what) for what in INTRINSICS]
    for trained in contract.ranges:
        if trained.name in names:
            return f"camera_info: it is compared with the trained range {trained.name!r}"
    return None
