"""The robots we know, by name; their numbers with sources are in `robots_<maker>.py`."""

from __future__ import annotations

from .robot_types import NO_GRIPPER as NO_GRIPPER
from .robot_types import Body as Body
from .robot_types import Capsule as Capsule
from .robot_types import Chain as Chain
from .robot_types import FloatArray as FloatArray
from .robot_types import Gripper as Gripper
from .robot_types import JointLimits as JointLimits
from .robot_types import Numbers as Numbers
from .robot_types import Robot as Robot
from .robot_types import ToolBox as ToolBox
from .robot_types import VelocityProfile as VelocityProfile
from .robots_franka import FR3, PANDA
from .robots_so101 import SO101
from .robots_ur5e import UR5E

ROBOTS: dict[str, Robot] = {"panda": PANDA, "fr3": FR3, "ur5e": UR5E, "so101": SO101}
"""Every robot by name."""
