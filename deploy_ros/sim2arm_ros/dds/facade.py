# pyright: standard
"""Which name of which rclpy module is made of which of our modules."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .codec import decoder, encoder
from .messages import Message

# rclpy module -> {our module: names}; '' is rclpy itself
_MODULES: dict[str, dict[str, str]] = {
    "": {
        "rclpy_api": "init ok shutdown try_shutdown create_node spin spin_once "
        "spin_until_future_complete get_global_executor",
        "utilities": "get_rmw_implementation_identifier",
        "context": "Context get_default_context",
        "task": "Future",
        "parameter": "Parameter",
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
        "ShutdownException ExternalShutdownException"
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


def rclpy_modules() -> tuple[str, ...]:
    """Return the names of the modules that exist, `rclpy` first."""
    return tuple(f"rclpy.{name}" if name else "rclpy" for name in _MODULES)


def rclpy_module(full_name: str) -> ModuleType:
    """Return the module `rclpy` or `rclpy.<name>`."""
    name = full_name.partition(".")[2]
    module = ModuleType(full_name, "The subset of rclpy that runs without a ROS installation.")
    if not name:
        module.__path__ = []

        def submodule(wanted: str) -> ModuleType:
            # `import rclpy` alone gives `rclpy.executors` and so on, as the real one does
            if wanted not in _MODULES:
                raise AttributeError(f"module 'rclpy' has no attribute {wanted!r}")
            return import_module(f"rclpy.{wanted}")

        module.__getattr__ = submodule  # type: ignore[method-assign]
    for source, names in _MODULES[name].items():
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
