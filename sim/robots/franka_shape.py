"""The shapes of the Franka arms and the Franka Hand, in primitives drawn for this project.

Each shape is given in the frame of its body. Visual shapes follow the silhouette of the arm with
few faces; collision shapes cover what a task can touch: the links from the elbow on, the hand,
the fingers and the pads. Dimensions are read off the data sheets' drawings to about a centimetre,
except those of the fingers and the tool centre point, which come from the sources in `franka.py`.
"""

from .parts import Bar, Box, Shape

VISUAL: dict[str, tuple[Shape, ...]] = {
    "link0": (
        Bar("cylinder", (0.0, 0.0, 0.0), (0.0, 0.0, 0.05), 0.092),
        Box((-0.075, 0.0, 0.03), (0.06, 0.07, 0.03)),
        Bar("cylinder", (0.0, 0.0, 0.05), (0.0, 0.0, 0.135), 0.070),
        Bar("cylinder", (0.0, 0.0, 0.135), (0.0, 0.0, 0.142), 0.062, "dark"),
    ),
    "link1": (
        Bar("cylinder", (0.0, 0.0, -0.191), (0.0, 0.0, -0.06), 0.064),
        Bar("capsule", (0.0, 0.0, -0.07), (0.0, -0.015, 0.0), 0.062),
        Bar("cylinder", (0.0, -0.078, 0.0), (0.0, 0.06, 0.0), 0.060),
    ),
    "link2": (
        Bar("cylinder", (0.0, 0.0, 0.06), (0.0, 0.0, 0.066), 0.052, "dark"),
        Bar("cylinder", (0.0, 0.0, 0.066), (0.0, 0.0, 0.09), 0.060),
        Bar("capsule", (0.0, 0.0, 0.02), (0.0, -0.08, 0.0), 0.061),
        Bar("cylinder", (0.0, -0.06, 0.0), (0.0, -0.193, 0.0), 0.063),
        Bar("cylinder", (0.0, -0.193, 0.0), (0.0, -0.2, 0.0), 0.055, "dark"),
    ),
    "link3": (
        Bar("cylinder", (0.0, 0.0, -0.116), (0.0, 0.0, -0.05), 0.062),
        Bar("capsule", (0.0, 0.0, -0.06), (0.06, 0.0, -0.01), 0.060),
        Bar("cylinder", (0.0825, -0.052, 0.0), (0.0825, 0.07, 0.0), 0.056),
        Bar("cylinder", (0.0825, -0.058, 0.0), (0.0825, -0.052, 0.0), 0.048, "dark"),
    ),
    "link4": (
        Bar("cylinder", (0.0, 0.0, 0.058), (0.0, 0.0, 0.08), 0.056),
        Bar("capsule", (0.0, 0.0, 0.0), (-0.065, 0.075, 0.0), 0.056),
        Bar("cylinder", (-0.0825, 0.06, 0.0), (-0.0825, 0.118, 0.0), 0.060),
        Bar("cylinder", (-0.0825, 0.118, 0.0), (-0.0825, 0.125, 0.0), 0.053, "dark"),
    ),
    "link5": (
        Bar("cylinder", (0.0, 0.0, -0.259), (0.0, 0.0, -0.19), 0.060),
        Bar("capsule", (0.0, 0.0, -0.2), (0.0, 0.055, -0.1), 0.052),
        Bar("capsule", (0.0, 0.055, -0.1), (0.0, 0.07, -0.02), 0.036),
        Bar("cylinder", (0.0, 0.04, 0.0), (0.0, 0.098, 0.0), 0.048),
        Bar("cylinder", (0.0, 0.034, 0.0), (0.0, 0.04, 0.0), 0.042, "dark"),
    ),
    "link6": (
        Bar("cylinder", (0.0, 0.0, -0.034), (0.0, 0.0, 0.05), 0.049),
        Bar("capsule", (0.0, 0.0, 0.005), (0.078, 0.0, 0.0), 0.044),
        Bar("cylinder", (0.088, -0.052, 0.0), (0.088, 0.054, 0.0), 0.046),
        Bar("cylinder", (0.088, 0.054, 0.0), (0.088, 0.058, 0.0), 0.034, "accent"),
    ),
    "link7": (
        Bar("cylinder", (0.0, 0.0, 0.053), (0.0, 0.0, 0.06), 0.040, "dark"),
        Bar("cylinder", (0.0, 0.0, 0.06), (0.0, 0.0, 0.095), 0.044),
        Box((0.045, 0.0, 0.078), (0.022, 0.018, 0.013)),
        Bar("cylinder", (0.0, 0.0, 0.095), (0.0, 0.0, 0.107), 0.032, "dark"),
    ),
    "hand": (
        Box((0.0, 0.0, 0.012), (0.026, 0.06, 0.012), "grey"),
        Box((0.0, 0.0, 0.043), (0.028, 0.1, 0.019)),
        Box((0.0, 0.0, 0.063), (0.018, 0.094, 0.002), "dark"),
    ),
    "finger": (  # the pad follows in `franka.py`
        Box((0.0, 0.0165, 0.006), (0.0105, 0.0115, 0.0095), "grey"),
        Box((0.0, 0.0115, 0.03), (0.0095, 0.0045, 0.0235), "grey"),
    ),
}

COLLISION: dict[str, tuple[Shape, ...]] = {
    "link3": (Bar("capsule", (0.0, 0.0, -0.06), (0.0825, 0.0, 0.0), 0.06),),
    "link4": (Bar("capsule", (0.0, 0.0, 0.0), (-0.0825, 0.09, 0.0), 0.058),),
    "link5": (
        Bar("capsule", (0.0, 0.0, -0.22), (0.0, 0.06, -0.08), 0.055),
        Bar("capsule", (0.0, 0.06, -0.08), (0.0, 0.07, 0.0), 0.045),
    ),
    "link6": (Bar("capsule", (0.0, 0.0, 0.0), (0.088, 0.0, 0.0), 0.05),),
    "link7": (Bar("capsule", (0.0, 0.0, 0.0), (0.0, 0.0, 0.065), 0.044),),
    "hand": (Box((0.0, 0.0, 0.0325), (0.028, 0.1, 0.0325)),),
    "finger": (
        Box((0.0, 0.0165, 0.006), (0.0105, 0.0115, 0.0095)),
        Box((0.0, 0.0115, 0.03), (0.0095, 0.0035, 0.0235)),
    ),
}

PAD = Box((0.0, 0.004, 0.045), (0.0085, 0.004, 0.0085), "dark")
"""Pad of a finger: its face is the plane y = 0, so the distance of the two faces is the sum of
the finger joints, and its centre is the tool centre point, 0.0584 + 0.045 = 0.1034 m from the
hand (franka_description). Size: 17 x 17 mm, as in MuJoCo Menagerie."""
