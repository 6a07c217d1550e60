# pyright: standard, reportMissingModuleSource=false
"""What cameras see and gels feel, on the operator's page in a real browser."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.ros_evaluation import write_record
from sim2arm.sim.arm import SimulatedArm
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install
from tests.browser import NO_BROWSER, find_browser

install()

from sensor_msgs.msg import Image  # noqa: E402

from sim2arm_ros.page_pictures import FIRM  # noqa: E402

from .page_stand import Shown, Stand, shown  # noqa: E402
from .rig import Rig  # noqa: E402
from .seeing import TOUCH, VISION, write_seeing  # noqa: E402

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER),
]

SEEN, FELT = "/sim_arm/scene_rgb/image_raw", "/sim_arm/touch_field/image_raw"
NEAR = 12
"""What JPEG may change of a colour."""


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("seen")
    arm = SimulatedArm("peg-placement", "fr3", vision=VISION, touch=TOUCH)
    rig = Rig(
        write_seeing(folder / "bundle", arm), folder / "logs", task="peg-placement",
        vision=write_record(folder / "vision.yaml", VISION),
        touch=write_record(folder / "touch.yaml", TOUCH), more={SEEN: Image, FELT: Image},
    )  # fmt: skip
    stand = Stand(folder, rig)
    yield stand
    stand.close()


def painted(value: Any) -> Any:
    """Return what gives every number of an image one value."""

    def paint(message: Image) -> Image:
        kind = np.float32 if message.encoding == "32FC3" else np.uint8
        count = len(message.data) // np.dtype(kind).itemsize
        message.data = array("B", np.full(count, value, kind).tobytes())
        return message

    return paint


def is_near(color: tuple[int, int, int], expected: tuple[int, int, int]) -> bool:
    return all(abs(a - b) <= NEAR for a, b in zip(color, expected, strict=True))


def wait_middle(stand: Stand, name: str, expected: int) -> Shown:
    """Wait until a live picture has a grey in its middle."""
    found: list[Shown] = []

    def is_there() -> bool:
        picture = shown(stand.tab, name)
        if picture is None or picture.label != name:
            return False
        found.append(picture)
        return is_near(picture.middle, (expected, expected, expected))

    stand.tab.wait(is_there, f"picture {name!r} of {expected}")
    return found[-1]


def age(stand: Stand) -> int:
    """Return the age with which the camera's picture is marked [s], 0 without a mark."""
    picture = shown(stand.tab, "scene rgb")
    found = re.fullmatch(r"scene rgb: OLD, (\d+) s", "" if picture is None else picture.label)
    return int(found[1]) if found else 0


def test_what_is_seen_and_felt_now_is_on_the_page(stand: Stand) -> None:
    """Pictures of the arm's camera and gels; then what the wire makes of them, twice."""
    tab, changes = stand.tab, stand.rig.relay.changes
    for name in ("scene rgb", "touch field"):
        tab.wait(lambda name=name: shown(tab, name), f"picture {name!r}")
    seen = shown(tab, "scene rgb")
    assert seen is not None and seen.colors > 20  # the arm in its scene, no empty square
    sources = {seen.source}
    for name, topic, shades in (
        ("scene rgb", SEEN, {40: 40, 200: 200}),
        # sqrt(a quarter of the firm pressure / it) * 255 + 0.5 = 128
        ("touch field", FELT, {0.25 * FIRM: 128, FIRM: 255}),
    ):
        for value, expected in shades.items():
            changes[topic] = painted(value)
            sources.add(wait_middle(stand, name, expected).source)
        del changes[topic]
    assert len(sources) == 5


def test_a_picture_of_a_camera_that_died_is_marked_with_its_age(stand: Stand) -> None:
    tab, changes = stand.tab, stand.rig.relay.changes
    changes[SEEN] = painted((0, 0, 200) * 32 * 32)  # blue, so that a lack of colour is seen
    tab.wait(lambda: (p := shown(tab, "scene rgb")) and is_near(p.middle, (0, 0, 200)), "blue")
    changes[SEEN] = lambda _: None
    tab.wait(lambda: age(stand) >= 1, "age")
    first = age(stand)
    tab.wait(lambda: age(stand) >= first + 2, "picture that gets older")
    old = shown(tab, "scene rgb")
    assert old is not None
    red, green, blue = old.middle
    assert max(abs(red - blue), abs(green - blue)) <= NEAR  # grey, where it was blue
    assert old.edge[0] > 150 and old.edge[2] < 100  # in a red frame
    # The gels live: what is marked is the one picture that is old.
    tab.wait(lambda: (p := shown(tab, "touch field")) and p.label == "touch field", "live gels")
    changes[SEEN] = painted(90)
    wait_middle(stand, "scene rgb", 90)  # and it is live again, without a mark
    del changes[SEEN]
