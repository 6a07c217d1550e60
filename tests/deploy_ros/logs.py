# pyright: standard, reportMissingModuleSource=false
"""Raw logs that tests write themselves: a policy that ticks at 60 Hz, joint states at 240 Hz.

Import it after `install()`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from sim2arm.core.contract import Contract
from sim2arm.core.controllers import Controller, from_contract
from sim2arm.core.joint_targets import as_joint_targets
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import FR3
from sim2arm.core.trajectory import Trajectory
from sim2arm.core.urdf import urdf_from_robot
from sim2arm_ros import log_about
from sim2arm_ros.bag.description import Topic
from sim2arm_ros.bag.folder import BagFolder
from sim2arm_ros.convert import (
    command_message,
    joint_state_message,
    pose_message,
    request_message,
    status_message,
)
from sim2arm_ros.graph_file import read_graph
from sim2arm_ros.log_about import ABOUT, About
from sim2arm_ros.node_support import latched
from sim2arm_ros.recorder_topics import plain_qos
from sim2arm_ros.requests import READY, Request, make_tag

from .swinging import swinging_contract

PERIOD_NS = 16_666_664
"""1/60 s, of four whole parts [ns]."""
START_NS = 5_000_000_000
HOME = np.array(FR3.home)
DESCRIPTION = "/robot_description"
MARKS, SIM_EPISODE = f"/{log_about.MARKS}", f"/{log_about.SIM_EPISODE}"
GATE_STATE = f"/{log_about.GATE_STATE}"
JOINTS, GOAL, ACTION = "/joint_states", "/sim_arm/goal_pose", "/policy_node/action"
LEADER, COMMANDED = "/teleop_node/action", "/gate_node/commanded"
BY_HAND = "/policy_node/intervention"
REQUEST, COMMAND = "/sim2arm/request", "/joint_trajectory_controller/joint_trajectory"
TYPES = {
    JOINTS: "sensor_msgs/msg/JointState",
    GOAL: "geometry_msgs/msg/PoseStamped",
    ACTION: "sensor_msgs/msg/JointState",
    LEADER: "sensor_msgs/msg/JointState",
    BY_HAND: "sensor_msgs/msg/JointState",
    COMMANDED: "sensor_msgs/msg/JointState",
    REQUEST: "trajectory_msgs/msg/JointTrajectory",
    COMMAND: "trajectory_msgs/msg/JointTrajectory",
    MARKS: "diagnostic_msgs/msg/DiagnosticStatus",
    SIM_EPISODE: "diagnostic_msgs/msg/DiagnosticStatus",
    GATE_STATE: "diagnostic_msgs/msg/DiagnosticStatus",
}


@dataclass
class Sent:
    """A message of a log."""

    topic: str
    log_ns: int
    stamp_ns: int
    message: Any
    lost: int = 0
    """Messages that are missing before it."""


@dataclass
class MadeUp:
    """A run of a policy; tests change `sent` before it is written."""

    contract: Contract = field(default_factory=lambda: as_joint_targets(swinging_contract()))
    task: str = ""
    changed: float = 0.0
    """By how much the gate changes what is asked for [rad]."""
    late: bool = False
    """Whether commands are joined on the way: their first point is before the end of a period."""
    asker: str = ACTION
    """Topic of the actions."""
    sent: list[Sent] = field(default_factory=list[Sent])
    types: dict[str, str] = field(default_factory=lambda: dict(TYPES))
    kept: set[str] = field(default_factory=set)
    """Topics whose publishers keep the last message."""
    asked: dict[tuple[str, int], tuple[np.ndarray, ...]] = field(default_factory=dict)
    """By session and tick: requested position and velocity, and the goal behind them."""

    def state(self, stamp_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and velocities that no float32 holds."""
        t = (stamp_ns - START_NS) / 1e9
        return HOME + 0.01 * np.sin(t + np.arange(7)), np.full(7, 0.1 * np.cos(t)) / 3.0

    def action(self, tick: int) -> np.ndarray:
        if self.contract.action.kind == "ee_delta":
            return (np.sin(tick + np.arange(6)) / 3.0).astype(np.float32)
        return self.action_of_joints(tick)

    def action_of_joints(self, tick: int) -> np.ndarray:
        return (HOME + 0.02 * np.sin(tick / 10 + np.arange(7))).astype(np.float32)

    def run(self, ticks: int, session: str = "abc", start_ns: int = START_NS) -> MadeUp:
        """Add a session: each tick answers the joint state before the last."""
        names, quarter = self.contract.joint_names, PERIOD_NS // 4
        robot = replace(FR3, chain=self.contract.kinematic_chain)
        controller = from_contract(robot, self.contract, HOME[None])
        ready = joint_state_message(names, HOME, 0.0 * HOME, start_ns, READY)
        self.add(COMMANDED, start_ns, start_ns, ready)
        for k in range(4 * ticks + 4):
            stamp = start_ns + k * quarter
            q, dq = self.state(stamp)
            self.add(JOINTS, stamp + 300_000, stamp, joint_state_message(names, q, dq, stamp))
            if k % 4 == 0:
                pose = np.array([0.4 + k / 1e4, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
                frame = self.contract.kinematic_chain.base_frame
                self.add(GOAL, stamp + 200_000, stamp, pose_message(pose, frame, stamp))
            if k % 4 == 2 and k // 4 < ticks:
                self.tick(k // 4, session, stamp - quarter, controller)
        return self

    def tick(self, tick: int, session: str, stamp: int, controller: Controller) -> None:
        """Add what is published in a tick, received 5 ms after the joint state that it answers."""
        names, at = self.contract.joint_names, stamp + 5_000_000
        action, measured = self.action(tick).astype(np.float64), self.state(stamp)[0]
        tool = forward_pose(self.contract.kinematic_chain, measured[None])
        q, dq = (part[0].copy() for part in controller.step(action[None], tool))
        self.asked[session, tick] = (q, dq, controller.motion.goal[0].copy())
        request = Request(session=session, tick=tick, stamp_ns=stamp, q=q, dq=dq)
        self.add(REQUEST, at, stamp, request_message(request, names, PERIOD_NS))
        tag, labels = make_tag(session, tick), self.contract.action.element_names
        message = joint_state_message(labels, action, action * 0.0, stamp, tag)
        self.add(self.asker, at + 100_000, stamp, message)
        points = np.stack([q - 1e-4, q + self.changed, q + self.changed + 1e-3])
        way = Trajectory(
            times=np.array([[0.003, PERIOD_NS / 1e9, 0.1]]), q=points[None], dq=0.0 * points[None]
        )
        begin = 0.002 if self.late else 0.003
        sent = command_message(way, begin, names, stamp + PERIOD_NS, tag)
        self.add(COMMAND, at + 1_000_000, stamp + PERIOD_NS, sent)

    def add(self, topic: str, log_ns: int, stamp_ns: int, message: Any) -> Sent:
        """Add a message at its place in time."""
        sent = Sent(topic, log_ns, stamp_ns, message)
        self.sent.append(sent)
        return sent

    def describe(self) -> MadeUp:
        """Add the robot's description."""
        self.types[DESCRIPTION] = "std_msgs/msg/String"
        self.kept.add(DESCRIPTION)
        self.add(DESCRIPTION, START_NS, 0, String(data=urdf_from_robot(FR3)))
        return self

    def mark(self, event: str, number: int, log_ns: int, task: str = "") -> None:
        """Add what the operator says."""
        values = {"event": event, "number": number, "task": task}
        message = status_message(DiagnosticStatus.OK, "episode", event, values)
        self.add(MARKS, log_ns, log_ns, message)

    def gate_says(self, state: str, log_ns: int) -> None:
        """Add what the gate says of itself."""
        message = status_message(DiagnosticStatus.OK, "gate", "", {"state": state})
        self.add(GATE_STATE, log_ns, log_ns, message)

    def of(self, topic: str) -> list[Sent]:
        return [sent for sent in self.sent if sent.topic == topic]

    def drop(self, which: Callable[[Sent], bool]) -> None:
        """Let messages be lost: their numbers are missing."""
        kept, lost = list[Sent](), dict[str, int]()
        for sent in sorted(self.sent, key=lambda sent: sent.log_ns):
            if which(sent):
                lost[sent.topic] = lost.get(sent.topic, 0) + 1
            else:
                kept.append(replace(sent, lost=sent.lost + lost.pop(sent.topic, 0)))
        self.sent = kept

    def write(
        self, folder: Path, *, chunk: int = 1 << 20, about: bool = True, in_time: bool = True
    ) -> Path:
        """Write the log, in the order of receipt or as `sent` has it."""
        texts = About(contract=self.contract, graph=read_graph(), task=self.task).texts()
        bag = BagFolder(folder, {ABOUT: texts} if about else {})
        for topic, kind in self.types.items():
            qos = [plain_qos(latched())] if topic in self.kept else []
            bag.add_topic(Topic(name=topic, type=kind, qos=qos))
        numbers: dict[str, int] = {}
        for sent in sorted(self.sent, key=lambda sent: sent.log_ns) if in_time else self.sent:
            number = numbers.get(sent.topic, 0) + sent.lost
            numbers[sent.topic] = number + 1
            data = bytes(serialize_message(sent.message))
            bag.add(sent.topic, number, sent.log_ns, sent.stamp_ns, data)
            if bag.waiting >= chunk:
                bag.flush()
        bag.finish()
        return folder
