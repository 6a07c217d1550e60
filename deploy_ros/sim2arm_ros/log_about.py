"""What a raw log says of itself: contract, graph, task, and what topics are called.

The recorder writes it into every file, so that a log is converted without anything else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sim2arm.core import plain
from sim2arm.core.contract import Contract
from sim2arm.policies.bundle import BundleError
from sim2arm.policies.verify import load_contract

from .graph import JOINT_STATE, Graph
from .pictures import PICTURES
from .requests import IN_ITS_PLACE, REQUEST_TOPIC
from .robot_modes import KINDS

ABOUT = "sim2arm"
"""Name of the texts."""
MARKS = "recorder_node/episode"
"""Topic on which the recorder says what the operator said of an episode."""
SIM_EPISODE = "sim_arm/episode"
"""Topic on which a simulated arm says how its episodes end."""
GATE_STATE = "gate_node/state"
"""Topic on which the gate says whether it passes requests."""
ACTIONS = {
    "policy_node/action": "policy",
    **{f"policy_node/{topic}": who for who, topic in IN_ITS_PLACE.items()},
    "teleop_node/action": "human",
    "replay_node/action": "replay",
}
"""Topics with what was asked for in the contract's units, and who asks there."""
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
STATUS = "diagnostic_msgs/msg/DiagnosticStatus"
_TEXT = "std_msgs/msg/String"


@dataclass(frozen=True, kw_only=True)
class RecordedTopic:
    """A topic that is recorded."""

    name: str
    type: str
    latched: bool = False
    """Whether late subscribers get the last message."""
    reliable: bool = True
    """Whether lost messages are asked for again."""
    depth: int = 1000
    """Messages that the middleware keeps until they are taken."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a log says of itself."""

    contract: Contract | None = None
    graph: Graph
    task: str = ""
    """What is done, in words."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """Full names of topics, by what graph and nodes call them."""

    def name(self, topic: str) -> str:
        """Return the name of a topic in the log."""
        return self.names.get(topic, topic if topic.startswith("/") else f"/{topic}")

    def texts(self) -> dict[str, str]:
        """Return it as texts."""
        return {
            "contract": "" if self.contract is None else self.contract.to_yaml(),
            "graph": plain.dump_yaml(plain.to_plain(self.graph)),
            "task": self.task,
            "names": json.dumps(dict(self.names), sort_keys=True),
        }

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> About:
        """Return what texts say.

        Raises:
            ValueError: they say nothing; one line.
        """
        try:
            contract = texts["contract"]
            return cls(
                contract=Contract.from_yaml(contract) if contract else None,
                graph=plain.from_plain(Graph, plain.load_yaml(texts["graph"], "graph")),
                task=texts["task"],
                names=json.loads(texts["names"]),
            )
        except KeyError as error:
            raise ValueError(f"the texts {ABOUT!r} of the log lack {error}") from error


def read_about(bundle: str | Path, graph: Graph, task: str = "") -> About:
    """Return what a log will say of itself.

    Args:
        bundle: folder of a policy bundle, or a contract.yaml by itself; empty for none.
        graph: of the arm.
        task: what is done, in words.

    Raises:
        ValueError: one of them cannot be read; one line.
    """
    path, contract = Path(bundle), None
    if path.is_file():
        contract = Contract.from_yaml(path.read_text(encoding="utf-8"), str(path))
    elif str(bundle):
        try:
            contract = load_contract(path)
        except BundleError as error:
            raise ValueError(f"bundle: {error}") from error
    if contract is not None:
        contract = graph.named(contract)
        graph.bindings(contract)
    return About(contract=contract, graph=graph, task=task)


def recorded_topics(about: About) -> list[RecordedTopic]:
    """Return what is recorded: all that a run can be understood by, and that rows are made of."""
    graph, control = about.graph, about.graph.controller
    bindings = graph.inputs if about.contract is None else graph.bindings(about.contract)
    joints = graph.inputs["joint_position"]
    reliable = joints.reliability == "reliable"
    found = [RecordedTopic(name=joints.topic, type=JOINT_STATE, reliable=reliable)]
    for binding in bindings.values():
        picture, reliable = binding.type in PICTURES, binding.reliability == "reliable"
        found.append(
            RecordedTopic(
                name=binding.topic, type=binding.type, depth=30 if picture else 1000,
                reliable=reliable and not picture,
            )
        )  # fmt: skip
        if binding.camera_info:
            kind = "sensor_msgs/msg/CameraInfo"
            found.append(RecordedTopic(name=binding.camera_info, type=kind, reliable=False))
    ways = (REQUEST_TOPIC, "gate_node/changed", control.command_topic)
    found += [RecordedTopic(name=name, type=TRAJECTORY) for name in ways]
    controller = "control_msgs/msg/JointTrajectoryControllerState"
    found.append(RecordedTopic(name=control.state_topic, type=controller))
    found += [
        RecordedTopic(name=name, type=JOINT_STATE) for name in (*ACTIONS, "gate_node/commanded")
    ]
    found += [RecordedTopic(name=f"{node}/activation", type=_TEXT, latched=True)
              for node in ("gate_node", "policy_node", "teleop_node")]  # fmt: skip
    found += [RecordedTopic(name=f"{node}/state", type=STATUS, latched=True)
              for node in ("gate_node", "policy_node", "teleop_node")]  # fmt: skip
    if graph.modes is not None:
        found += [
            RecordedTopic(name=graph.modes.topics[name], type=topic.type, latched=topic.latched,
                          reliable=topic.latched)
            for name, topic in KINDS[graph.modes.kind].topics.items()
        ]  # fmt: skip
    found += [
        RecordedTopic(name=graph.robot_description, type=_TEXT, latched=True),
        RecordedTopic(name="/tf_static", type="tf2_msgs/msg/TFMessage", latched=True),
        RecordedTopic(name="/diagnostics", type="diagnostic_msgs/msg/DiagnosticArray"),
        RecordedTopic(name=graph.observation, type=STATUS),
        RecordedTopic(name=SIM_EPISODE, type=STATUS, latched=True),
    ]
    return list({topic.name: topic for topic in found}.values())
