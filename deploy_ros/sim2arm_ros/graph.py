"""graph.yaml: where every input of a contract comes from, and how the arm is reached."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sim2arm.core import plain
from sim2arm.core.contract import Contract
from sim2arm.core.spec import ArraySpec

from .pictures import COMPRESSED_IMAGE, PICTURES, Encoding, camera_of, picture_problem
from .requests import WIDTH

GRAPH_VERSION = 1
DEFAULT_GRAPH = Path(__file__).parent / "config" / "graph.yaml"
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

    name: str = "/joint_trajectory_controller"
    """Node of the controller; its topics lie below it."""
    manager: str = "/controller_manager"
    """Node of the controller manager."""
    gain_parameters: dict[str, str] = field(default_factory=_gain_parameters)
    """Names of the parameters with the gains of a joint; `{joint}` stands for its name."""

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

    name: str = "/gripper_controller/gripper_cmd"
    """Of the action; of a Franka hand its node, whose actions `grasp` and `move` lie below it."""
    type: Literal["control_msgs/action/GripperCommand", "franka_msgs/action/Grasp"] = (
        GRIPPER_COMMAND
    )
    """What it takes."""
    position: Literal["width", "finger"] = "width"
    """What GripperCommand calls position: the distance between the pads [m], or where a finger's
    joint is, as ros2_control's parallel grippers do."""
    slack: float = 0.02
    """Of a Franka hand: how far from the wanted width what is grasped may be wide [m]; where
    closing ends at nothing or farther away, the hand says that it failed."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The content of graph.yaml."""

    version: int = GRAPH_VERSION
    controller: ControllerBinding = field(default_factory=ControllerBinding)
    gripper: GripperBinding = field(default_factory=GripperBinding)
    robot_description: str = "/robot_description"
    """Topic with the URDF of the robot."""
    observation: str = "/sim_arm/observation"
    """Topic on which a simulated arm in lock step says which pictures belong to a tick."""
    inputs: dict[str, InputBinding]
    """By name of the input."""

    def __post_init__(self) -> None:
        """Refuse names that ROS does not take."""
        names = {
            "controller.name": self.controller.name,
            "controller.manager": self.controller.manager,
            "gripper.name": self.gripper.name,
            "robot_description": self.robot_description,
            "observation": self.observation,
        }
        for key, name in names.items():
            if not is_name(name):
                raise ValueError(f"{key}: {NAME}, got {name!r}")

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


def read_graph(path: str | Path | None = None) -> Graph:
    """Return the graph of a file; the one of the package without a path.

    Raises:
        ValueError: the file is missing or not as expected; one line.
    """
    source = Path(path) if path else DEFAULT_GRAPH
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValueError(f"{source}: cannot be read: {reason}") from error
    data = plain.load_yaml(text, str(source))
    try:
        graph = plain.from_plain(Graph, data)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    if graph.version != GRAPH_VERSION:
        raise ValueError(f"{source}: version: expected {GRAPH_VERSION}, got {graph.version}")
    return graph
