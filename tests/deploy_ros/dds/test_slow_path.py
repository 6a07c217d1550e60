# pyright: standard
"""A binding without the private functions carries the same bytes; damaged replies are counted."""

from collections.abc import Iterator
from typing import Any

import pytest

from sim2arm_ros.dds import cyclone, rclpy_api
from sim2arm_ros.dds.context import Context
from sim2arm_ros.dds.cyclone import Sample
from sim2arm_ros.dds.executors import SingleThreadedExecutor
from sim2arm_ros.dds.messages import message_class, service_class
from sim2arm_ros.dds.node import Node

from .spinning import spin_until

JOINT_STATE: Any = message_class("sensor_msgs/msg/JointState")
TRIGGER: Any = service_class("std_srvs/srv/Trigger")


@pytest.fixture
def context() -> Iterator[Context]:
    made = Context()
    rclpy_api.init(args=[], context=made)
    yield made
    made.try_shutdown()


@pytest.mark.parametrize("raw", [True, False])
def test_topics_and_services_with_and_without_the_private_functions(
    context: Context, monkeypatch: pytest.MonkeyPatch, raw: bool
) -> None:
    monkeypatch.setattr(cyclone, "RAW_WRITE", raw)
    monkeypatch.setattr(cyclone, "RAW_TAKE", raw)
    node = Node("slow", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    received: list[Any] = []
    node.create_subscription(JOINT_STATE, "joints", received.append, 10)
    publisher = node.create_publisher(JOINT_STATE, "joints", 10)
    node.create_service(TRIGGER, "~/go", lambda _, response: response)
    client = node.create_client(TRIGGER, "~/go")
    assert client.wait_for_service(5.0)
    future = client.call_async(TRIGGER.Request())
    assert spin_until(executor, future.done)
    assert future.result() == TRIGGER.Response()
    message = JOINT_STATE(name=["a", "b"], position=[1.0, -2.0])
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 1)
    publisher.publish(message)
    assert spin_until(executor, lambda: received)
    assert received == [message]
    node.destroy_node()


def test_a_malformed_sample_is_dropped_and_counted(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node("hears_noise", context=context)
    received: list[Any] = []
    subscription = node.create_subscription(JOINT_STATE, "joints", received.append, 10)
    client = node.create_client(TRIGGER, "~/go")
    for entity in (subscription, client):
        # Cyclone drops most of what is malformed by itself; what it lets through ends here
        monkeypatch.setattr(entity.reader, "take", lambda _: [Sample(b"\0\1\0\0\xff", 0, 0)])
        assert entity.take() is None
        assert entity.take() is None
        assert entity.dropped == 2
    assert received == []
    node.destroy_node()
