"""What the pads of a gripper are, and what of them is felt: name -> touch, an entry per set."""

from dataclasses import replace

from sim2arm.sim.tactile.gel_noise import GelNoise
from sim2arm.sim.touch import Touch

_REAL = Touch(
    sensor="gelsight-mini",
    latency=(0.02, 0.05),
    free_phase=True,
    gain=1.2,
    deviation=0.005,
    lost=0.02,
    max_age_s=0.2,
)
"""A GelSight Mini on USB: 25 Hz, one to two frames late, a frame of fifty is lost (ours)."""

TOUCHES: dict[str, Touch] = {
    "gel": Touch(sees=()),
    "field": Touch(),
    "image": Touch(sees=("image",)),
    "image-field": Touch(sees=("image", "field")),
    "field-real": _REAL,
    "image-real": replace(_REAL, sees=("image",), noise=GelNoise()),
    "markers-real": replace(
        _REAL, sees=("image",), sensor="gelsight-mini-markers", noise=GelNoise()
    ),
}
"""`gel` makes the pads as soft as the others do and feels nothing: for teachers, and to compare."""
