# The part of rclpy that runs without a ROS installation, as real nodes see it.
from sim2arm_ros.dds.exceptions import InvalidHandle as InvalidHandle
from sim2arm_ros.dds.exceptions import InvalidNamespaceException as InvalidNamespaceException
from sim2arm_ros.dds.exceptions import InvalidNodeNameException as InvalidNodeNameException
from sim2arm_ros.dds.exceptions import InvalidParameterException as InvalidParameterException
from sim2arm_ros.dds.exceptions import (
    InvalidParameterTypeException as InvalidParameterTypeException,
)
from sim2arm_ros.dds.exceptions import (
    InvalidParameterValueException as InvalidParameterValueException,
)
from sim2arm_ros.dds.exceptions import InvalidServiceNameException as InvalidServiceNameException
from sim2arm_ros.dds.exceptions import InvalidTopicNameException as InvalidTopicNameException
from sim2arm_ros.dds.exceptions import NameValidationException as NameValidationException
from sim2arm_ros.dds.exceptions import NotInitializedException as NotInitializedException
from sim2arm_ros.dds.exceptions import (
    ParameterAlreadyDeclaredException as ParameterAlreadyDeclaredException,
)
from sim2arm_ros.dds.exceptions import ParameterException as ParameterException
from sim2arm_ros.dds.exceptions import ParameterImmutableException as ParameterImmutableException
from sim2arm_ros.dds.exceptions import (
    ParameterNotDeclaredException as ParameterNotDeclaredException,
)
from sim2arm_ros.dds.exceptions import (
    ParameterUninitializedException as ParameterUninitializedException,
)
from sim2arm_ros.dds.exceptions import ROSInterruptException as ROSInterruptException
