"""Which arm nodes are started in front of: the options that say it, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sim2arm.core.contract import Contract
from sim2arm_ros.dds import RosImportError, install
from sim2arm_ros.graph import Graph
from sim2arm_ros.graph_file import read_graph
from sim2arm_ros.launcher import NodeProcess, Place, driver

from .errors import UserError, user_input


class ArmOptions(Protocol):
    """Options that say which arm it is, of every verb that starts nodes in front of one."""

    @property
    def robot(self) -> str:
        """What it calls its topics, controllers and modes."""
        ...

    @property
    def graph(self) -> Path | None:
        """graph.yaml of the set-up."""
        ...

    @property
    def prefix(self) -> str:
        """Of its joints and frames."""
        ...

    @property
    def namespace(self) -> str:
        """Of its nodes and topics."""
        ...

    @property
    def port(self) -> str:
        """Serial port of a robot that our own node drives."""
        ...

    @property
    def servos(self) -> Path | None:
        """YAML file with its servos."""
        ...

    @property
    def calibrations(self) -> tuple[Path, ...]:
        """Records of its cameras."""
        ...

    @property
    def allow_fallback(self) -> bool:
        """Whether the DDS fallback may stand in for a ROS 2 installation in front of a robot."""
        ...


@dataclass(frozen=True, kw_only=True)
class RealArm:
    """Which arm it is, where that is no simulated one of our own: `ArmOptions`."""

    robot: str = ""
    """What it calls its topics, controllers and modes: fr3, so101, ur5e, or the path of such a
    file."""
    graph: Path | None = None
    """graph.yaml of the set-up; without it the one of the package."""
    prefix: str = ""
    """Of its joints and frames, `left_` for example."""
    namespace: str = ""
    """Of its nodes and topics, `left` for example."""
    port: str = ""
    """Serial port of a robot that our own node drives (so101)."""
    servos: Path | None = None
    """YAML file with ids, signs and zeros of its servos."""
    calibrations: tuple[Path, ...] = ()
    """Records of its cameras."""
    allow_fallback: bool = False
    """Allow the DDS fallback in place of a ROS 2 installation."""


def place_of(cfg: ArmOptions) -> Place:
    """Return which arm it is."""
    namespace = f"/{cfg.namespace.strip('/')}" if cfg.namespace else ""
    return Place(graph=cfg.graph, robot=cfg.robot, prefix=cfg.prefix, namespace=namespace)


def find_graph(cfg: ArmOptions, contract: Contract, *, drives: bool) -> Graph:
    """Return the graph of an arm, which has every input of a contract.

    Args:
        cfg: which arm it is.
        contract: of the policy.
        drives: whether the driver of a real arm, if it has one of ours, runs here.

    Raises:
        UserError: it cannot be read, or a port is missing or too much.
    """
    with user_input("graph"):
        graph = read_graph(cfg.graph, cfg.robot, cfg.prefix)
        graph.bindings(graph.named(contract))
    driven = graph.driver if drives else ""
    if bool(driven) != bool(cfg.port):
        raise UserError(
            f"--port: expected the serial port of the {graph.robot}, got nothing"
            if driven
            else "--port: this robot has a driver of its own; --robot so101 has a port"
        )
    return graph


def find_ros(cfg: ArmOptions, *, real: bool, hint: str = "") -> str:
    """Return which ROS there is; in front of a `real` arm the fallback must be allowed.

    Raises:
        UserError: there is none, or the fallback; `hint` says what else to do.
    """
    try:
        which = install()
    except RosImportError as error:
        raise UserError(str(error)) from error
    if real and "fallback" in which and not cfg.allow_fallback:
        raise UserError(
            f"a robot needs a ROS 2 installation, this is the {which.partition(': ')[2]}: source "
            f"ROS, or pass --allow-fallback{hint}"
        )
    return which


def on_hardware(
    cfg: ArmOptions, graph: Graph, nodes: Sequence[NodeProcess], *, drives: bool = True
) -> list[NodeProcess]:
    """Return the processes of a graph in front of a real arm; with `drives` its driver of ours."""
    hardware = {"real_hardware": True, "allow_fallback_on_hardware": cfg.allow_fallback}
    found = [
        replace(node, parameters={**node.parameters, **hardware})
        if node.executable == "gate_node"
        else node
        for node in nodes
    ]
    if graph.driver and drives:
        servos = str(cfg.servos.resolve()) if cfg.servos else ""
        found.insert(0, driver(graph.driver, place_of(cfg), port=cfg.port, servos=servos))
    return found


def secured(keystore: Path | None) -> dict[str, str]:
    """Return the environment of nodes that encrypt and may do what their enclaves say, if any."""
    if keystore is None:
        return {}
    return {
        "ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_SECURITY_KEYSTORE": str(keystore.resolve()),
    }  # fmt: skip
