# pyright: standard
"""Transforms on /tf and /tf_static: who sends them, and who fills a buffer with them."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Thread
from typing import TYPE_CHECKING, Any

from .callback_groups import ReentrantCallbackGroup
from .executors import SingleThreadedExecutor
from .messages import message_class
from .qos import DurabilityPolicy, QoSProfile

if TYPE_CHECKING:
    from .node import Node
    from .tf2_buffer import Buffer

_AUTHORITY = "default_authority"  # ROS 2 does not tell who sent a message


def _listed(transform: Any) -> list[Any]:
    return list(transform) if isinstance(transform, Iterable) else [transform]


class TransformBroadcaster:
    """Sends where moving frames are, on /tf."""

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        kind = message_class("tf2_msgs/msg/TFMessage")
        self.pub_tf = node.create_publisher(
            kind, "/tf", QoSProfile(depth=100) if qos is None else qos
        )

    def sendTransform(self, transform: Any) -> None:
        """Send a TransformStamped, or several."""
        kind = message_class("tf2_msgs/msg/TFMessage")
        self.pub_tf.publish(kind(transforms=_listed(transform)))


class StaticTransformBroadcaster:
    """Sends where fixed frames are, on /tf_static, also to who comes later."""

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        if qos is None:
            qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        kind = message_class("tf2_msgs/msg/TFMessage")
        self.pub_tf = node.create_publisher(kind, "/tf_static", qos)
        self.net_message: Any = kind()
        self._child_frame_ids: set[str] = set()

    def sendTransform(self, transform: Any) -> None:
        """Send a TransformStamped, or several, with all that were sent before.

        A frame that was sent before keeps its first transform, as in tf2_ros of Jazzy.
        """
        for entry in _listed(transform):
            if entry.child_frame_id not in self._child_frame_ids:
                self._child_frame_ids.add(entry.child_frame_id)
                self.net_message.transforms.append(entry)
        self.pub_tf.publish(self.net_message)


class TransformListener:
    """Fills a buffer with what is sent on /tf and /tf_static."""

    def __init__(
        self,
        buffer: Buffer,
        node: Node,
        *,
        spin_thread: bool = False,
        qos: QoSProfile | int | None = None,
        static_qos: QoSProfile | int | None = None,
    ) -> None:
        if qos is None:
            qos = QoSProfile(depth=100)
        if static_qos is None:
            static_qos = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.buffer = buffer
        self.node = node
        # not the node's group: its callbacks may wait for transforms
        self.group = ReentrantCallbackGroup()
        kind = message_class("tf2_msgs/msg/TFMessage")
        self.tf_sub = node.create_subscription(
            kind, "/tf", self.callback, qos, callback_group=self.group
        )
        self.tf_static_sub = node.create_subscription(
            kind, "/tf_static", self.static_callback, static_qos, callback_group=self.group
        )
        if spin_thread:
            self.executor = SingleThreadedExecutor(context=node.context)
            self.executor.add_node(node)
            self.dedicated_listener_thread = Thread(target=self.executor.spin, daemon=True)
            self.dedicated_listener_thread.start()

    def callback(self, data: Any) -> None:
        """Take in frames that move."""
        for transform in data.transforms:
            self.buffer.set_transform(transform, _AUTHORITY)

    def static_callback(self, data: Any) -> None:
        """Take in frames that do not move."""
        for transform in data.transforms:
            self.buffer.set_transform_static(transform, _AUTHORITY)

    def unregister(self) -> None:
        """Listen no more."""
        self.node.destroy_subscription(self.tf_sub)
        self.node.destroy_subscription(self.tf_static_sub)

    def __del__(self) -> None:
        if hasattr(self, "dedicated_listener_thread"):
            self.executor.shutdown()
            self.dedicated_listener_thread.join()
        self.unregister()
