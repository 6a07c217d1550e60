"""Simulation: batched worlds, robot models, tasks, simulated sensors, the environment."""
