# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds import lifecycle as _lifecycle

LifecycleNode = _lifecycle.LifecycleNode
LifecycleNodeMixin = _lifecycle.LifecycleNodeMixin
LifecyclePublisher = _lifecycle.LifecyclePublisher
LifecycleState = _lifecycle.LifecycleState
ManagedEntity = _lifecycle.ManagedEntity
SimpleManagedEntity = _lifecycle.SimpleManagedEntity
TransitionCallbackReturn = _lifecycle.TransitionCallbackReturn
Node = LifecycleNode
Publisher = LifecyclePublisher
State = LifecycleState
