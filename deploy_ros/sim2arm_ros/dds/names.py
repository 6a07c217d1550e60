# pyright: standard
"""Names: validation, expansion, and the DDS names of topics, services and types."""

from __future__ import annotations

import re

from .exceptions import (
    InvalidNamespaceException,
    InvalidNodeNameException,
    InvalidParameterException,
    InvalidServiceNameException,
    InvalidTopicNameException,
)

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
_TOPIC = re.compile(r"~(/[A-Za-z_][A-Za-z0-9_]*)*|/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_]\w*)*", re.A)
MAX_NODE_NAME = 255  # rmw


def validate_node_name(name: str) -> bool:
    """Return True, or raise InvalidNodeNameException."""
    if not _TOKEN.fullmatch(name) or len(name) > MAX_NODE_NAME:
        raise InvalidNodeNameException(
            name, "node name must be letters, digits and '_', not starting with a digit"
        )
    return True


def validate_namespace(name: str) -> bool:
    """Return True, or raise InvalidNamespaceException."""
    if name != "/" and not _FULL.fullmatch(name):
        raise InvalidNamespaceException(
            name, "namespace must be absolute, of letters, digits and '_', without trailing '/'"
        )
    return True


def validate_topic_name(name: str, *, is_service: bool = False) -> bool:
    """Return True for a name before expansion (`a`, `/a/b`, `~/a`), or raise."""
    if not _TOPIC.fullmatch(name.replace("{node}", "n").replace("{ns}", "n")):
        kind = InvalidServiceNameException if is_service else InvalidTopicNameException
        raise kind(name, "name must be tokens of letters, digits and '_' separated by '/'")
    return True


def validate_full_topic_name(name: str, *, is_service: bool = False) -> bool:
    """Return True for a fully qualified name, or raise."""
    if not _FULL.fullmatch(name):
        kind = InvalidServiceNameException if is_service else InvalidTopicNameException
        raise kind(name, "name must be absolute, of letters, digits and '_'")
    return True


def validate_parameter_name(name: str) -> bool:
    """Return True, or raise InvalidParameterException."""
    if not name or not isinstance(name, str):
        raise InvalidParameterException(name)
    return True


def normalise_namespace(namespace: str) -> str:
    """Return the namespace with its leading slash."""
    return namespace if namespace.startswith("/") else f"/{namespace}"


def expand_topic_name(topic_name: str, node_name: str, node_namespace: str) -> str:
    """Return the fully qualified name of a topic or service."""
    base = "" if node_namespace == "/" else node_namespace
    topic_name = topic_name.replace("{node}", node_name).replace("{ns}", base.lstrip("/"))
    if topic_name.startswith("~"):
        return f"{base}/{node_name}{topic_name[1:]}"
    if topic_name.startswith("/"):
        return topic_name
    return f"{base}/{topic_name}"


def full_node_name(name: str, namespace: str) -> str:
    """Return the fully qualified name of a node."""
    return f"{namespace}{name}" if namespace.endswith("/") else f"{namespace}/{name}"


# --- DDS ------------------------------------------------------------------------------------


def dds_topic(name: str, plain: bool = False) -> str:
    """Return the DDS topic of a ROS topic (`plain`: ROS conventions avoided)."""
    return name.lstrip("/") if plain else f"rt{name}"


def dds_service(name: str) -> tuple[str, str]:
    """Return the DDS topics of the requests and the replies of a service."""
    return f"rq{name}Request", f"rr{name}Reply"


def dds_type(name: str) -> str:
    """Return the DDS name of `package/msg/Name`."""
    package, kind, short = name.split("/")
    return f"{package}::{kind}::dds_::{short}_"


def ros_type(dds_name: str) -> str | None:
    """Return `package/msg/Name` of a DDS type, None where it is not a ROS type."""
    parts = dds_name.split("::")
    if len(parts) == 4 and parts[2] == "dds_" and parts[3].endswith("_"):
        return f"{parts[0]}/{parts[1]}/{parts[3][:-1]}"
    return None


def ros_topic(dds_name: str) -> str | None:
    """Return the ROS topic of a DDS topic, None where it is not one."""
    return dds_name[2:] if dds_name.startswith("rt/") else None


def ros_service(dds_name: str) -> str | None:
    """Return the ROS service that a DDS topic belongs to, None where it is none."""
    if dds_name.startswith("rq/") and dds_name.endswith("Request"):
        return dds_name[2:-7]
    if dds_name.startswith("rr/") and dds_name.endswith("Reply"):
        return dds_name[2:-5]
    return None


def ros_service_type(dds_name: str) -> str | None:
    """Return `package/srv/Name` of the DDS type of a request or response.

    That of a service of an action is such as `package/action/Name_SendGoal`.
    """
    name = ros_type(dds_name)
    if name is None or not ("/srv/" in name or "/action/" in name):
        return None
    for ending in ("_Request", "_Response"):
        if name.endswith(ending):
            return name[: -len(ending)]
    return None
