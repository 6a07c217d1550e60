# pyright: standard, reportMissingModuleSource=false
"""`Executor.shutdown` waits for calls that run, and for nothing else."""

import queue
import threading
import time
from typing import Any

import pytest
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node

from sim2arm_ros.dds.task import Task


class Interrupted(SingleThreadedExecutor):
    """Gets Ctrl-C between taking a call from the queue and making it."""

    def _execute(self, task: Task) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_between_taking_and_making_a_call_does_not_keep_shutdown(ros: None) -> None:
    node, executor = Node("interrupted"), Interrupted()
    node.create_timer(0.001, lambda: None)
    executor.add_node(node)
    with pytest.raises(KeyboardInterrupt):
        executor.spin()
    assert executor.shutdown(2.0)
    node.destroy_node()


@pytest.mark.parametrize("kind", [SingleThreadedExecutor, MultiThreadedExecutor])
def test_shutdown_waits_for_a_call_in_another_thread(ros: None, kind: Any) -> None:
    node, executor = Node("slow"), kind()
    began, goes_on = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        goes_on.wait(5.0)

    node.create_timer(0.001, work)
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin)
    spinning.start()
    assert began.wait(5.0)
    since = time.monotonic()
    assert not executor.shutdown(0.1)
    assert time.monotonic() - since >= 0.1
    threading.Timer(0.1, goes_on.set).start()
    assert executor.shutdown(5.0)
    spinning.join(5.0)
    node.destroy_node()


@pytest.mark.parametrize("kind", [SingleThreadedExecutor, MultiThreadedExecutor])
def test_a_callback_may_shut_its_executor_down(ros: None, kind: Any) -> None:
    node, executor = Node("leaving"), kind()
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    node.create_timer(0.001, lambda: answers.put(executor.shutdown(2.0)))
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin)
    spinning.start()
    spinning.join(5.0)
    assert not spinning.is_alive()
    assert answers.get(timeout=5.0)
    node.destroy_node()
