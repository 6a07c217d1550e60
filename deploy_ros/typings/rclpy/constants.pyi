# The part of rclpy that runs without a ROS installation, as real nodes see it.
