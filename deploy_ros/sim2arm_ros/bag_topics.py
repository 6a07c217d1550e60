"""Which topics of a log are played: what robot and sensors said, never what moves an arm."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .bag.reader import Log, LogMessage
from .graph import Graph
from .log_about import ABOUT, TRAJECTORY, About
from .requests import REQUEST_TOPIC

RECORDING = "/sim2arm/recording"
"""Topic on which whoever plays a recording says so: a gate of a real arm does not run beside it."""
TF_STATIC = "/tf_static"
MOVING = (
    TRAJECTORY,
    "geometry_msgs/msg/Twist",
    "geometry_msgs/msg/TwistStamped",
    "control_msgs/msg/JointJog",
    "std_msgs/msg/Float64MultiArray",
)
"""Types of messages that arms obey."""


def about_of(log: Log, graph: Graph) -> About:
    """Return what a log says of itself, or as little as a graph says of it.

    Raises:
        ValueError: it is ours, and what it says cannot be read; one line.
    """
    texts = [values for name, values in log.metadata if name == ABOUT]
    return About.of_texts(texts[-1]) if texts else About(graph=graph)


def played_topics(about: About) -> list[str]:
    """Return the names, in the log, of what the graph binds to a robot and its sensors."""
    graph = about.graph
    names = [
        about.name(name)
        for binding in graph.inputs.values()
        for name in (binding.topic, binding.camera_info)
        if name is not None
    ]
    names += [about.name(graph.robot_description), about.name(graph.controller.state_topic)]
    return list(dict.fromkeys([*names, TF_STATIC]))


def choose(
    messages: Sequence[LogMessage], about: About, more: Collection[str]
) -> Mapping[str, str]:
    """Return the types of the topics that are played, by name.

    Args:
        messages: of the log.
        about: it.
        more: names of others that are asked for.

    Raises:
        ValueError: none are there, one that is asked for is not, or it would move an arm.
    """
    there = {message.topic: message.type for message in messages}
    commands = {about.name(about.graph.controller.command_topic), about.name(REQUEST_TOPIC)}
    for name in more:
        if name not in there:
            raise ValueError(f"topics: {name} is not in the log; it has {_words(there)}")
        if name in commands or there[name] in MOVING:
            raise ValueError(f"topics: {name} ({there[name]}) is what arms obey: it is not played")
    wanted = {*played_topics(about), *more}
    found = {name: kind for name, kind in there.items() if name in wanted}
    if not found:
        raise ValueError(
            f"no input of the graph is in the log; it has {_words(there)}: name topics, or a graph"
        )
    return found


def _words(there: Mapping[str, str]) -> str:
    return ", ".join(sorted(there)) or "no message"
