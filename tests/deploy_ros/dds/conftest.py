"""A domain of its own for each run, on this machine only; rclpy of whatever provides it."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sim2arm_ros.dds import install

# Before any rclpy.init(), and for the processes that tests start. Domains up to 101 keep their
# ports below the ephemeral range of Linux.
os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 101))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
for _variable in ("ROS_STATIC_PEERS", "CYCLONEDDS_URI", "ROS_LOCALHOST_ONLY"):
    os.environ.pop(_variable, None)
install()

import rclpy  # noqa: E402
from rclpy.executors import Executor, SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402


@pytest.fixture
def ros() -> Iterator[None]:
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture
def executor(ros: None) -> Iterator[Executor]:
    single = SingleThreadedExecutor()
    yield single
    nodes = single.get_nodes()
    single.shutdown(1.0)
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def node(executor: Executor) -> Node:
    made = Node("test_node")
    executor.add_node(made)
    return made


@pytest.fixture
def other(executor: Executor) -> Node:
    made = Node("other_node", namespace="/space")
    executor.add_node(made)
    return made


@pytest.fixture
def start() -> "Iterator[Callable[..., subprocess.Popen[str]]]":
    """Start nodes in processes of their own; end what is left."""
    here = Path(__file__).resolve()
    path = os.pathsep.join([str(here.parents[3] / "src"), os.environ.get("PYTHONPATH", "")])
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str, script: str = "child_node.py") -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, str(here.with_name(script)), *arguments],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.terminate()  # in order, so that the next test finds no dead node in the graph
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
