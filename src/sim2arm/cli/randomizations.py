"""What of the physics differs between episodes: name -> terms, a line per experiment or family.

The ranges are guesses about what a careful owner of an arm does not know: no identification of one
stands behind them. A measured range replaces a guess here.
"""

from sim2arm.core.robots import FR3
from sim2arm.sim.physics_terms import Friction, Gains, Gravity, JointDynamics, Mass, MassSpread
from sim2arm.sim.randomize import Term

ARM: tuple[Term, ...] = (
    Gains(joints=FR3.chain.joint_names, kp=1.15, kd=1.15),
    JointDynamics(joints=FR3.chain.joint_names, damping=1.5, armature=1.2, dry_friction=0.3),
    Gravity(tilt=0.02),
)

RANDOMIZATIONS: dict[str, tuple[Term, ...]] = {
    "none": (),
    "arm": ARM,
    "peg": (
        *ARM,
        Mass(body="peg", low=0.7, high=1.4),
        MassSpread(body="peg", factor=1.2, shift=0.003),
        Friction(geoms=("peg",), low=0.7, high=1.3),
    ),
}
