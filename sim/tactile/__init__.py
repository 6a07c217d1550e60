"""Visuotactile sensors: gel, optics, force field."""
