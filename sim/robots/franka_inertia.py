"""Masses, joint friction and rotor inertia of the Franka arms and the Franka Hand.

Sources, named in the comments by these letters:

- [U] franka_description 1.0.1 (Apache-2.0), `robots/fer/inertials.yaml`,
  `robots/fr3/inertials.yaml`, `end_effectors/franka_hand/inertials.yaml`; fer is the Panda.
- [G] Gaz et al., "Dynamic identification of the Franka Emika Panda robot with retrieval of
  feasible parameters using penalty-based optimization", RA-L 4(4), 2019, supplementary material:
  the linear friction model (viscous and Coulomb part of each joint).
- [M] MuJoCo Menagerie (Apache-2.0), `franka_fr3/fr3.xml`: identified friction and rotor inertia
  of the FR3.
- [C] our choice: nothing is published.
"""

from .parts import Inertia, JointDynamics

LINK0 = Inertia(
    2.3966, (-0.0172, 0.0004, 0.0745), (0.0090, 0.0115, 0.0085, 0.0, 0.0020, 0.0)
)  # [U]

PANDA_LINKS: tuple[Inertia, ...] = (  # [U]
    LINK0,
    Inertia(
        2.7907,
        (0.00033, -0.02204, -0.04762),
        (0.01564782655, 0.01439883526, 0.00500443991, 5.31236e-06, -3.676721e-05, -0.00248480843),
    ),
    Inertia(
        2.5420,
        (0.00038, -0.09211, 0.01908),
        (0.01662427728, 0.00462501261, 0.01545124526, 3.086077e-05, 8.3594e-06, 0.0035589983),
    ),
    Inertia(
        2.2513,
        (0.05152, 0.01696, -0.02971),
        (0.00631741992, 0.00866285493, 0.00657804051, 0.00097309955, 0.00292525834, 0.00093469224),
    ),
    Inertia(
        2.2037,
        (-0.05113, 0.05825, 0.01698),
        # The published xy is -0.00339591957, which makes no physical body (the principal moments
        # 0.00368 + 0.00796 < 0.01274) and has not the sign that the link's shape asks for, which
        # runs from the origin towards -x +y; with +, as on the FR3, the tensor is physical.
        (0.00784585566, 0.00649543136, 0.01003079917, 0.00339591957, 0.00158704074, -0.00181477884),
    ),
    Inertia(
        2.2855,
        (-0.00005, 0.03730, -0.09280),
        (0.02297014781, 0.02095060919, 0.00430606551, -9.49345e-06, -2.063156e-05, 0.00382345782),
    ),
    Inertia(
        1.353,
        (0.06572, -0.00371, 0.00153),
        (0.00087964522, 0.00277796968, 0.00286701969, -0.00021487814, -0.00011911662, 1.274322e-05),
    ),
    Inertia(
        0.35973,
        (0.00089, -0.00044, 0.05491),
        (0.00019541063, 0.00019210361, 0.00017936256, 1.65231e-06, 1.48826e-06, -1.31132e-06),
    ),
)

FR3_LINKS: tuple[Inertia, ...] = (  # [U]
    LINK0,
    Inertia(
        2.9274653454,
        (4.128e-07, -0.0181251324, -0.0386035970),
        (0.0239273165, 0.0224821613, 0.0063500983, 1.33179e-05, -0.0001140477, -0.0019950321),
    ),
    Inertia(
        2.9355370338,
        (0.0031828864, -0.0743221644, 0.0088146084),
        (0.0419389463, 0.0251451489, 0.0617021447, 0.0002025733, 0.0040777842, -0.0042252158),
    ),
    Inertia(
        2.2449013699,
        (0.0407015686, -0.0048200565, -0.0289730823),
        (0.0241014255, 0.0197405327, 0.0190444945, 0.0024046946, -0.0028562693, -0.0021042127),
    ),
    Inertia(
        2.6155955791,
        (-0.0459100965, 0.0630492960, -0.0085187868),
        (0.0345299832, 0.0288816219, 0.0412547117, 0.0132255227, 0.0101514300, -0.0009762834),
    ),
    Inertia(
        2.3271207594,
        (-0.0016039605, 0.0292536262, -0.0972965990),
        (0.0516102785, 0.0478772971, 0.0164236256, -0.0057151734, -0.0035673168, 0.0106739851),
    ),
    Inertia(
        1.8170376524,
        (0.0597131221, -0.0410294666, -0.0101692726),
        (0.0054123336, 0.0140583295, 0.0160808179, 0.0061934564, 0.0014219289, -0.0013140754),
    ),
    Inertia(
        0.6271432862,
        (0.0045225817, 0.0086261921, -0.0161633251),
        (
            0.00021092389150,
            0.00017718568002,
            0.00005993190600,
            -0.00002433299114,
            0.00004564480394,
            0.00008744070223,
        ),
    ),
)

HAND = Inertia(  # [U]
    0.6544, (-0.0000376, 0.0119128, 0.0207260), (0.00186, 0.00030, 0.00174, 0.0, 0.0, -0.00002)
)
FINGER = Inertia(  # [U]
    0.0291, (0.0, 0.0152850, 0.0219675), (8.49e-06, 8.53e-06, 1.77e-06, 0.0, 0.0, -1.06e-06)
)

PANDA_JOINTS = JointDynamics(
    # [M] The FR3's values: the drives are of the same family and the Panda's are not published.
    armature=(0.195, 0.195, 0.195, 0.195, 0.074, 0.074, 0.074),
    # [G]; the identified value of joint 6 is negative (-0.013), which is no friction: zero.
    damping=(0.0665, 0.1987, 0.0399, 0.2257, 0.1023, 0.0, 0.0638),
    frictionloss=(0.2450, 0.1523, 0.1827, 0.3591, 0.2669, 0.1658, 0.2109),  # [G]
)
FR3_JOINTS = JointDynamics(  # [M]
    armature=(0.195, 0.195, 0.195, 0.195, 0.074, 0.074, 0.074),
    damping=(0.21,) * 7,
    frictionloss=(1.137, 1.137, 1.137, 1.137, 0.763, 0.44, 0.248),
)

LINKS: dict[str, tuple[Inertia, ...]] = {"panda": PANDA_LINKS, "fr3": FR3_LINKS}
JOINTS: dict[str, JointDynamics] = {"panda": PANDA_JOINTS, "fr3": FR3_JOINTS}

FINGER_ARMATURE = 0.05
"""Inertia of the finger drive seen from the finger [kg] [C]."""
FINGER_DAMPING = 70.0 / 0.05
"""Friction of a finger drive [N s/m] [C]: the continuous force of the data sheet, 70 N, moves a
finger at the speed of the data sheet, 0.05 m/s, and an outside force hardly moves it, like the
geared drive."""
