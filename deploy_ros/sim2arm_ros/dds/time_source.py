# pyright: standard
"""Simulated time: the parameter use_sim_time, and /clock."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from .callback_groups import ReentrantCallbackGroup
from .clock import ROSClock
from .messages import message_class
from .parameter import Parameter
from .qos import QoSProfile, ReliabilityPolicy
from .ros_time import ClockType, Time

if TYPE_CHECKING:
    from .node import Node
    from .subscription import Subscription

USE_SIM_TIME_NAME = "use_sim_time"
CLOCK_TOPIC = "/clock"


class TimeSource:
    """Feeds the clock of one node."""

    def __init__(self, node: Node, clock: ROSClock) -> None:
        self._node_reference = weakref.ref(node)
        self._clock = clock
        self._subscription: Subscription | None = None
        self._last = Time(clock_type=ClockType.ROS_TIME)
        if not node.has_parameter(USE_SIM_TIME_NAME):
            node.declare_parameter(USE_SIM_TIME_NAME, False)
        value = node.get_parameter(USE_SIM_TIME_NAME)
        if value.type_ is Parameter.Type.BOOL:
            self._activate(value.value)
        else:
            node.get_logger().error(f"{USE_SIM_TIME_NAME}: expected a bool, got {value.value!r}")
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, parameters: list[Parameter]) -> Any:
        result = message_class("rcl_interfaces/msg/SetParametersResult")
        for parameter in parameters:
            if parameter.name == USE_SIM_TIME_NAME:
                if parameter.type_ is not Parameter.Type.BOOL:
                    return result(successful=False, reason=f"{USE_SIM_TIME_NAME} must be a bool")
                self._activate(parameter.value)
        return result(successful=True)

    def _activate(self, enabled: bool) -> None:
        node = self._node_reference()
        if node is None or enabled == self._clock.ros_time_is_active:
            return
        if not enabled:
            if self._subscription is not None:
                node.destroy_subscription(self._subscription)
                self._subscription = None
            self._clock._set_ros_time_is_active(False)
            return
        self._clock._set_ros_time_is_active(True)
        self._clock.set_ros_time_override(self._last)
        self._subscription = node.create_subscription(
            message_class("rosgraph_msgs/msg/Clock"),
            CLOCK_TOPIC,
            self._on_clock,
            QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
            callback_group=ReentrantCallbackGroup(),
        )

    def _on_clock(self, message: Any) -> None:
        self._last = Time.from_msg(message.clock)
        self._clock.set_ros_time_override(self._last)
