"""Teleoperation: what a person's hands say, and what an arm is asked to do because of it."""
