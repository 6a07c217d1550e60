"""Colours and scales that the page and the video of `sim2arm view` share."""

METRES_PER_NEWTON = 0.003
"""Length of an arrow for the force that it stands for: 30 N are 9 cm."""
ARROW_COLOR = (226, 0, 122)
RUNNING, SUCCEEDED, FAILED = (196, 203, 214), (86, 190, 130), (226, 118, 102)
"""How an episode stands."""
PAPER = (255, 255, 255)
"""Between the tiles of a video."""
