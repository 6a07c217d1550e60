"""The subset of rclpy over Eclipse Cyclone DDS, for machines without a ROS installation."""

from .hook import RosImportError, backend, install, uninstall

__all__ = ["RosImportError", "backend", "install", "uninstall"]
