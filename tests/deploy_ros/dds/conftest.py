"""A domain of its own for each run, on this machine only; rclpy of whatever provides it."""

import os
import random
from collections.abc import Iterator

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
