"""ROS 2 nodes that run a policy bundle on an arm."""
