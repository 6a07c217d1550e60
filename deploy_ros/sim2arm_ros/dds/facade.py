# pyright: standard
"""Which name of which module of rclpy and tf2_ros is made of which of our modules."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .codec import decoder, encoder
from .messages import Message

# rclpy module -> {our module: names}; '' is rclpy itself
_RCLPY: dict[str, dict[str, str]] = {
    "": {
        "rclpy_api": "init ok shutdown try_shutdown create_node spin spin_once "
        "spin_until_future_complete get_global_executor",
        "utilities": "get_rmw_implementation_identifier",
        "context": "Context get_default_context",
        "task": "Future",
        "parameter": "Parameter",
    },
    "action": {
        "action_client": "ActionClient",
        "action_goal": "CancelResponse GoalResponse",
        "action_server": "ActionServer",
        "action_graph": "get_action_client_names_and_types_by_node "
        "get_action_names_and_types get_action_server_names_and_types_by_node",
    },
    "action.client": {"action_client": "ActionClient ClientGoalHandle"},
    "action.graph": {
        "action_graph": "get_action_client_names_and_types_by_node "
        "get_action_names_and_types get_action_server_names_and_types_by_node"
    },
    "action.server": {
        "action_goal": "CancelResponse GoalEvent GoalResponse ServerGoalHandle",
        "action_server": "ActionServer default_cancel_callback default_goal_callback "
        "default_handle_accepted_callback",
        "exceptions": "RCLError",
    },
    "callback_groups": {
        "callback_groups": "CallbackGroup MutuallyExclusiveCallbackGroup ReentrantCallbackGroup"
    },
    "client": {"service": "Client"},
    "clock": {"clock": "Clock ROSClock ClockChange JumpHandle JumpThreshold TimeJump"},
    "clock_type": {"ros_time": "ClockType"},
    "constants": {"ros_time": "NS:S_TO_NS"},
    "context": {"context": "Context get_default_context"},
    "duration": {"ros_time": "Duration Infinite"},
    "event_handler": {
        "event_handler": "PublisherEventCallbacks SubscriptionEventCallbacks "
        "UnsupportedEventTypeError QoSRequestedDeadlineMissedInfo QoSOfferedDeadlineMissedInfo "
        "QoSLivelinessChangedInfo QoSLivelinessLostInfo QoSMessageLostInfo IncompatibleTypeInfo "
        "QoSRequestedIncompatibleQoSInfo QoSOfferedIncompatibleQoSInfo "
        "QoSSubscriptionMatchedInfo QoSPublisherMatchedInfo"
    },
    "exceptions": {
        "exceptions": "NotInitializedException InvalidHandle ROSInterruptException "
        "NameValidationException InvalidNodeNameException InvalidNamespaceException "
        "InvalidTopicNameException InvalidServiceNameException ParameterException "
        "ParameterNotDeclaredException ParameterAlreadyDeclaredException "
        "InvalidParameterException InvalidParameterTypeException "
        "InvalidParameterValueException ParameterImmutableException "
        "ParameterUninitializedException"
    },
    "executors": {
        "executors": "Executor SingleThreadedExecutor MultiThreadedExecutor TimeoutException "
        "ShutdownException ExternalShutdownException",
        "task": "await_or_execute",
    },
    "expand_topic_name": {"names": "expand_topic_name"},
    "guard_condition": {"guard_condition": "GuardCondition"},
    "lifecycle": {
        "lifecycle": "LifecycleNode LifecycleNode:Node LifecycleNodeMixin LifecyclePublisher "
        "LifecyclePublisher:Publisher LifecycleState LifecycleState:State ManagedEntity "
        "SimpleManagedEntity TransitionCallbackReturn"
    },
    "logging": {
        "ros_logging": "LoggingSeverity get_logger set_logger_level get_logger_level "
        "get_logger_effective_level"
    },
    "node": {"node": "Node"},
    "parameter": {
        "parameter": "Parameter PARAMETER_SEPARATOR_STRING get_parameter_value "
        "parameter_value_to_python"
    },
    "publisher": {"publisher": "Publisher"},
    "qos": {
        "qos": "QoSProfile HistoryPolicy ReliabilityPolicy DurabilityPolicy LivelinessPolicy "
        "QoSHistoryPolicy QoSReliabilityPolicy QoSDurabilityPolicy QoSLivelinessPolicy "
        "QoSPolicyKind QoSPresetProfiles QoSCompatibility InvalidQoSProfileException "
        "qos_check_compatible qos_profile_default qos_profile_system_default "
        "qos_profile_sensor_data qos_profile_services_default qos_profile_parameters "
        "qos_profile_parameter_events qos_profile_action_status_default qos_profile_unknown "
        "qos_profile_best_available"
    },
    "serialization": {"facade": "serialize_message deserialize_message"},
    "service": {"service": "Service"},
    "signals": {
        "context": "SignalHandlerOptions install_signal_handlers uninstall_signal_handlers "
        "get_current_signal_handlers_options"
    },
    "subscription": {"subscription": "Subscription MessageInfo"},
    "task": {"task": "Future Task"},
    "time": {"ros_time": "Time"},
    "time_source": {"time_source": "TimeSource"},
    "timer": {"timer": "Timer Rate"},
    "topic_endpoint_info": {"node_graph": "TopicEndpointInfo TopicEndpointTypeEnum TypeHash"},
    "utilities": {
        "utilities": "ok remove_ros_args timeout_sec_to_nsec get_rmw_implementation_identifier",
        "rclpy_api": "shutdown try_shutdown",
        "context": "get_default_context",
    },
    "validate_full_topic_name": {"names": "validate_full_topic_name"},
    "validate_namespace": {"names": "validate_namespace"},
    "validate_node_name": {"names": "validate_node_name"},
    "validate_topic_name": {"names": "validate_topic_name"},
    "wait_for_message": {"utilities": "wait_for_message"},
}


_TF2 = "BufferCore TransformException ConnectivityException LookupException "
_TF2 += "ExtrapolationException InvalidArgumentException TimeoutException"
_TF2_ROS: dict[str, dict[str, str]] = {
    "": {
        "tf2_core": _TF2,
        "tf2_buffer": "Buffer",
        "tf2_topics": "TransformListener TransformBroadcaster StaticTransformBroadcaster",
    },
    "buffer": {"tf2_buffer": "Buffer"},
    "static_transform_broadcaster": {"tf2_topics": "StaticTransformBroadcaster"},
    "transform_broadcaster": {"tf2_topics": "TransformBroadcaster"},
    "transform_listener": {"tf2_topics": "TransformListener"},
}
_PACKAGES = {"rclpy": _RCLPY, "tf2_ros": _TF2_ROS, "tf2_py": {"": {"tf2_core": _TF2}}}


def facade_modules() -> tuple[str, ...]:
    """Return the names of the modules that exist, each package in front of its modules."""
    return tuple(
        f"{package}.{name}" if name else package
        for package, modules in _PACKAGES.items()
        for name in modules
    )


def facade_module(full_name: str) -> ModuleType:
    """Return a module of `rclpy`, `tf2_ros` or `tf2_py`."""
    package, _, name = full_name.partition(".")
    module = ModuleType(full_name, f"The subset of {package} that runs without a ROS installation.")
    if not name:

        def submodule(wanted: str) -> ModuleType:
            # `import rclpy` alone gives `rclpy.executors` and so on, as the real one does
            if wanted not in _PACKAGES[package]:
                raise AttributeError(f"module {package!r} has no attribute {wanted!r}")
            return import_module(f"{package}.{wanted}")

        module.__getattr__ = submodule  # type: ignore[method-assign]
    for source, names in _PACKAGES[package][name].items():
        ours = import_module(f".{source}", __package__)
        for entry in names.split():
            theirs, _, shown = entry.partition(":")
            setattr(module, shown or theirs, getattr(ours, theirs))
    return module


def serialize_message(message: Message) -> bytes:
    """Return the CDR bytes of a message."""
    return bytes(encoder(message._NAME)(message))


def deserialize_message(serialized_message: bytes, message_type: type[Message]) -> Message:
    """Return the message of CDR bytes."""
    return decoder(message_type._NAME)(serialized_message)
