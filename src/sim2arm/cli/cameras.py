"""What is seen beside the observations of a task: name -> cameras, an entry per set.

Those of the D400 family are nominal; how wrong pose and view may be, and what light and surfaces
may be, are guesses about a table in a laboratory. A measured range replaces a guess here.
"""

from dataclasses import dataclass, replace

from sim2arm.sim.camera_noise import ColourNoise, DepthNoise
from sim2arm.sim.camera_terms import CameraPose, CameraView, Colour, Light, Materials
from sim2arm.sim.cameras import scene_camera, wrist_camera
from sim2arm.sim.finishes import FINISHES
from sim2arm.sim.randomize import Term
from sim2arm.sim.vision import Sight, Vision


@dataclass(frozen=True, kw_only=True)
class Cameras:
    """Cameras, and what differs between episodes in what they see."""

    vision: Vision
    summary: str = ""
    """For `sim2arm list`."""
    terms: tuple[Term, ...] = ()


SCENE = Sight(camera=scene_camera())
WRIST = Sight(camera=wrist_camera())

# Times from exposure to arrival of a RealSense over USB, a guess [s].
_REAL = {"colour": ColourNoise(), "latency": (0.02, 0.05), "free_phase": True}
_SCENE_DEPTH = replace(
    SCENE,
    camera=replace(SCENE.camera, outputs=("rgb", "depth"), max_age_s=0.15),
    depth=DepthNoise(),  # D435
    **_REAL,
)
_WRIST_DEPTH = replace(
    WRIST,
    camera=replace(WRIST.camera, outputs=("rgb", "depth"), max_age_s=0.15),
    depth=DepthNoise(baseline=0.018, unit=0.0001),  # D405
    **_REAL,
)
_LOOKS: tuple[Term, ...] = (
    Light(light="sun"),
    Colour(materials=("floor",)),
    Colour(geoms=("table",)),
    Materials(geoms=("table",), materials=FINISHES),
)
_PLACES: tuple[Term, ...] = (
    CameraPose(camera="scene", position=0.02, rotation=0.03),
    CameraView(camera="scene"),
    CameraPose(camera="wrist", position=0.003, rotation=0.02),
    CameraView(camera="wrist"),
)

CAMERAS: dict[str, Cameras] = {
    "scene": Cameras(
        vision=Vision(sights=(SCENE,)), summary="Colour from a stand opposite any arm, 84x84."
    ),
    "wrist": Cameras(
        vision=Vision(sights=(WRIST,)), summary="Colour from the hand (body NAME_hand), 84x84."
    ),
    "scene-wrist": Cameras(vision=Vision(sights=(SCENE, WRIST)), summary="Both."),
    "scene-wrist-real": Cameras(
        summary="Both with depth, noise and latency, poses, light and surfaces by episode.",
        vision=Vision(sights=(_SCENE_DEPTH, _WRIST_DEPTH), finishes=True),
        terms=(*_PLACES, *_LOOKS),
    ),
}
"""All but the first are for arms with a body `<name>_hand`."""


def moved(cameras: Cameras, level: int) -> tuple[Term, ...]:
    """Return terms that put cameras where training did not: by 1 cm and 0.02 rad per level more.

    See `shifts.py`.
    """
    found: list[Term] = []
    for sight in cameras.vision.sights:
        name = sight.camera.name
        known = [t for t in cameras.terms if isinstance(t, CameraPose) and t.camera == name]
        position = sum(term.position for term in known) + 0.01 * level
        rotation = sum(term.rotation for term in known) + 0.02 * level
        found.append(CameraPose(camera=name, position=position, rotation=rotation))
    return tuple(found)
