# pyright: standard, reportMissingModuleSource=false
"""Discovery, service calls and new endpoints in several threads at once."""

import threading
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401


def test_service_calls_while_endpoints_come_and_go(ros: None) -> None:
    """The DDS binding shares buffers between threads; unlocked, ids of services get lost."""
    node = Node("busy")
    group = ReentrantCallbackGroup()
    node.create_service(Trigger, "~/go", lambda _, r: r, callback_group=group)
    clients = [node.create_client(Trigger, "~/go", callback_group=group) for _ in range(2)]
    assert all(c.wait_for_service(5.0) for c in clients)
    executor = MultiThreadedExecutor(num_threads=3)
    executor.add_node(node)
    answers: list[Any] = []
    errors: list[BaseException] = []
    stop = threading.Event()

    def guarded(work: Any) -> None:
        try:
            work()
        except BaseException as error:  # reported by the main thread
            errors.append(error)

    def call(client: Any) -> None:
        for _ in range(150):
            answers.append(client.call(Trigger.Request(), timeout_sec=5.0))

    def come_and_go() -> None:
        while not stop.is_set():
            node.destroy_publisher(node.create_publisher(String, "fleeting", 1))

    spinning = threading.Thread(target=guarded, args=(executor.spin,))
    churning = threading.Thread(target=guarded, args=(come_and_go,))
    calling = [threading.Thread(target=guarded, args=(lambda c=c: call(c),)) for c in clients]
    for thread in (spinning, churning, *calling):
        thread.start()
    for thread in calling:
        thread.join(30.0)
    stop.set()
    churning.join(5.0)
    executor.shutdown(1.0)
    spinning.join(5.0)
    assert errors == []
    assert answers == [Trigger.Response()] * 300
    assert not any(t.is_alive() for t in (spinning, churning, *calling))
    node.destroy_node()
