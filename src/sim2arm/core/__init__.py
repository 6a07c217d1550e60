"""The vocabulary that simulation, training and robot share: no torch, no ROS, no simulator."""
