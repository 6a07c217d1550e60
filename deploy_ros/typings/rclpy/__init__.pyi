# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.context import Context as Context
from sim2arm_ros.dds.context import get_default_context as get_default_context
from sim2arm_ros.dds.parameter import Parameter as Parameter
from sim2arm_ros.dds.rclpy_api import create_node as create_node
from sim2arm_ros.dds.rclpy_api import get_global_executor as get_global_executor
from sim2arm_ros.dds.rclpy_api import init as init
from sim2arm_ros.dds.rclpy_api import ok as ok
from sim2arm_ros.dds.rclpy_api import shutdown as shutdown
from sim2arm_ros.dds.rclpy_api import spin as spin
from sim2arm_ros.dds.rclpy_api import spin_once as spin_once
from sim2arm_ros.dds.rclpy_api import spin_until_future_complete as spin_until_future_complete
from sim2arm_ros.dds.rclpy_api import try_shutdown as try_shutdown
from sim2arm_ros.dds.task import Future as Future
from sim2arm_ros.dds.utilities import (
    get_rmw_implementation_identifier as get_rmw_implementation_identifier,
)

from . import action as action
from . import callback_groups as callback_groups
from . import client as client
from . import clock as clock
from . import clock_type as clock_type
from . import constants as constants
from . import context as context
from . import duration as duration
from . import event_handler as event_handler
from . import exceptions as exceptions
from . import executors as executors
from . import expand_topic_name as expand_topic_name
from . import guard_condition as guard_condition
from . import lifecycle as lifecycle
from . import logging as logging
from . import node as node
from . import parameter as parameter
from . import publisher as publisher
from . import qos as qos
from . import serialization as serialization
from . import service as service
from . import signals as signals
from . import subscription as subscription
from . import task as task
from . import time as time
from . import time_source as time_source
from . import timer as timer
from . import topic_endpoint_info as topic_endpoint_info
from . import utilities as utilities
from . import validate_full_topic_name as validate_full_topic_name
from . import validate_namespace as validate_namespace
from . import validate_node_name as validate_node_name
from . import validate_topic_name as validate_topic_name
from . import wait_for_message as wait_for_message
