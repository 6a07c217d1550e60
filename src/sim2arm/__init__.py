"""sim2arm: train a robot arm in simulation and run the policy on the real one."""

__version__ = "0.1.0"
