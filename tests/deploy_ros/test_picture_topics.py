# pyright: standard, reportMissingModuleSource=false
"""From what an arm sees to messages and to a policy's inputs: stamps, ticks, intrinsics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.contract import TrainedRange
from sim2arm.core.driver_stage import DriverStage, Intrinsics, intrinsics_of_view, stage_intrinsics
from sim2arm.core.spec import ArraySpec
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from sim2arm_ros.compress_pictures import Compression  # noqa: E402
from sim2arm_ros.convert import status_values, to_ns  # noqa: E402
from sim2arm_ros.convert_pictures import camera_info_message, image_message  # noqa: E402
from sim2arm_ros.graph import InputBinding  # noqa: E402
from sim2arm_ros.graph_file import read_graph  # noqa: E402
from sim2arm_ros.picture_inputs import PictureInputs  # noqa: E402
from sim2arm_ros.picture_topics import PictureTopics  # noqa: E402
from sim2arm_ros.pictures import COMPRESSED_IMAGE, IMAGE  # noqa: E402

from .swinging import swinging_contract  # noqa: E402

STAGE = DriverStage(width=64, height=48, crop=(8, 0, 48, 48), out_width=6, out_height=4)
LENS = intrinsics_of_view(64, 48, 60.0)
SPECS = {
    spec.name: spec
    for spec in (
        ArraySpec(name="scene_rgb", kind="sensor", shape=(4, 6, 3), dtype="uint8",
                  frame="scene_optical", driver_stage=STAGE.text),
        ArraySpec(name="touch_left_rgb", kind="sensor", shape=(8, 6, 3), dtype="uint8"),
        ArraySpec(name="touch_field", kind="sensor", shape=(2, 4, 5, 3), unit="N", frame="gel"),
    )
}  # fmt: skip
DEPTH_SPEC = ArraySpec(name="scene_depth", kind="sensor", shape=(4, 6), dtype="float32", unit="m",
                       frame="scene_optical")  # fmt: skip
RANDOM = np.random.default_rng(0)
TICK = 1_000_000_000
PERIOD = 16_666_667


class Publishers:
    """Stands for a node: keeps what is published, by topic."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Any]] = {}
        self.listeners: dict[str, int] = {}
        """How many there are of a topic, if not one."""

    def create_publisher(self, kind: Any, topic: str, qos: Any) -> Any:
        kept = self.sent.setdefault(topic, [])
        methods = {
            "publish": lambda _, message: kept.append(message),
            "get_subscription_count": lambda _: self.listeners.get(topic, 1),
        }
        return type("Publisher", (), methods)()

    def take(self) -> dict[str, list[Any]]:
        """Return what came since the last call, topics without a message left out."""
        taken = {topic: list(kept) for topic, kept in self.sent.items() if kept}
        for kept in self.sent.values():
            kept.clear()
        return taken


def make_topics(*, lock_step: bool = True) -> tuple[PictureTopics, Publishers]:
    node = Publishers()
    final = stage_intrinsics(STAGE, LENS)
    return PictureTopics(node, SPECS, {"scene_rgb": final}, lock_step=lock_step), node  # type: ignore[arg-type]


def see(*ages: float) -> dict[str, tuple[np.ndarray, float]]:
    """Return new arrays with ages [s] as float32 holds them, of what an arm sees."""
    arrays = (
        RANDOM.integers(0, 255, SPECS["scene_rgb"].shape, dtype=np.uint8),
        RANDOM.integers(0, 255, SPECS["touch_left_rgb"].shape, dtype=np.uint8),
        RANDOM.normal(size=SPECS["touch_field"].shape).astype(np.float32),
    )
    pairs = zip(arrays, ages, strict=True)
    return dict(zip(SPECS, ((x, float(np.float32(age))) for x, age in pairs), strict=True))


# -- what is published -------------------------------------------------------------------------


def test_pictures_have_the_stamp_of_when_they_were_taken_and_come_once() -> None:
    topics, node = make_topics()
    seen = see(0.0, 0.02, 1 / 60)
    topics.publish(seen, TICK, again=False)
    sent = node.take()
    stamps = {t: to_ns(m[0].header.stamp) for t, m in sent.items() if t != "~/observation"}
    assert stamps["~/scene_rgb/image_raw"] == stamps["~/scene_rgb/camera_info"] == TICK
    assert abs(stamps["~/touch_left_rgb/image_raw"] - (TICK - 20_000_000)) < 10
    told = status_values(sent["~/observation"][0])
    assert told["stamp_ns"] == str(TICK) and told["scene_rgb"] == str(TICK)

    # A tick later the same pictures are a period older, and the field is a new one.
    later = {name: (x, age + PERIOD / 1e9) for name, (x, age) in seen.items()}
    later |= {"touch_field": see(0, 0, 0.0)["touch_field"]}
    topics.publish(later, TICK + PERIOD, again=False)
    sent = node.take()
    assert set(sent) == {"~/touch_field/image_raw", "~/observation"}
    told = status_values(sent["~/observation"][0])
    assert told == {
        "stamp_ns": str(TICK + PERIOD), "scene_rgb": str(TICK),
        "touch_left_rgb": str(stamps["~/touch_left_rgb/image_raw"]),
        "touch_field": str(TICK + PERIOD),
    }  # fmt: skip

    # Whoever missed them gets them again, with the same stamps.
    topics.publish(later, TICK + PERIOD, again=True)
    again = node.take()
    assert len(again) == 5
    for topic, stamp in stamps.items():
        if "field" not in topic:
            assert to_ns(again[topic][0].header.stamp) == stamp


def test_in_real_time_nothing_is_said_of_ticks() -> None:
    topics, node = make_topics(lock_step=False)
    topics.publish(see(0, 0, 0), TICK, again=False)
    assert "~/observation" not in node.sent


def test_images_are_made_for_who_listens() -> None:
    pytest.importorskip("cv2")
    node = Publishers()
    specs = SPECS | {"scene_depth": DEPTH_SPEC}
    topics = PictureTopics(node, specs, {}, compression=Compression())  # type: ignore[arg-type]
    assert {topic for topic in node.sent if topic.count("/") == 3} == {
        "~/scene_rgb/image_raw/compressed", "~/touch_left_rgb/image_raw/compressed",
        "~/scene_depth/image_raw/compressedDepth",
    }  # fmt: skip
    node.listeners = dict.fromkeys(node.sent, 0)
    picture = np.full(SPECS["scene_rgb"].shape, 100, np.uint8)
    topics.send("scene_rgb", picture, TICK)
    assert node.take() == {}
    node.listeners["~/scene_rgb/image_raw/compressed"] = 1
    topics.send("scene_rgb", picture, TICK)
    ((topic, (message,)),) = node.take().items()
    assert topic == "~/scene_rgb/image_raw/compressed"
    assert to_ns(message.header.stamp) == TICK and message.format == "rgb8; jpeg compressed bgr8"
    # The policy's side of it: the same binding but for topic and type.
    binding = InputBinding(topic="/scene", type=COMPRESSED_IMAGE, field="image", encoding="rgb8",
                           staged=True)  # fmt: skip
    later = make_inputs(scene_rgb=binding).take("scene_rgb", message)
    np.testing.assert_array_equal(later.array, picture)  # one grey: JPEG loses nothing of it


def test_an_array_that_no_image_holds_is_refused() -> None:
    spec = replace(SPECS["touch_field"], shape=(2, 3, 4, 5, 3))
    with pytest.raises(ValueError, match="'touch_field': no image holds float32"):
        PictureTopics(Publishers(), {"touch_field": spec}, {}, lock_step=False)  # type: ignore[arg-type]


# -- what the policy makes of it ---------------------------------------------------------------


def make_inputs(**bindings: InputBinding) -> PictureInputs:
    known = read_graph().inputs
    return PictureInputs({name: known[name] for name in SPECS} | bindings, SPECS)


def test_what_was_seen_is_what_the_policy_gets() -> None:
    topics, node = make_topics()
    seen, inputs = see(0.0, 0.01, 0.02), make_inputs()
    topics.publish(seen, TICK, again=False)
    sent = node.take()
    for name, spec in SPECS.items():
        later = inputs.take(name, sent[f"~/{name}/image_raw"][0])
        np.testing.assert_array_equal(later.array, seen[name][0])
        assert later.array.dtype == spec.dtype
        assert inputs.problem(name) == ""
    told = status_values(sent["~/observation"][0])
    stamps = {name: int(told[name]) for name in SPECS}
    assert not inputs.complete(TICK, stamps)  # nothing was told yet
    inputs.hear(told)
    assert inputs.complete(TICK, stamps | {"joint_position": TICK})
    assert not inputs.complete(TICK + PERIOD, stamps)
    assert not inputs.complete(TICK, stamps | {"touch_field": stamps["touch_field"] - PERIOD})


def test_an_array_that_is_no_number_is_a_problem_before_a_tick_meets_it() -> None:
    inputs = make_inputs()
    field = np.full(SPECS["touch_field"].shape, np.nan, np.float32)
    inputs.take("touch_field", image_message(field, "32FC3", "gel", TICK))
    assert "'touch_field': contains numbers that are not finite" in inputs.problem("touch_field")
    assert inputs.problem("scene_rgb") == inputs.problem("joint_position") == ""


# -- cameras against what was trained ----------------------------------------------------------

OWN = InputBinding(
    topic="/camera/image_raw", type=IMAGE, field="image", encoding="rgb8",
    camera_info="/camera/camera_info",
)  # fmt: skip


def trained(*names: str, factor: float = 1.1) -> Any:
    """Return a contract with ranges around the intrinsics of the policy's pictures."""
    final = stage_intrinsics(STAGE, LENS)
    ranges = tuple(
        TrainedRange(name=f"calibration/camera_scene/{name}", unit="pixel",
                     low=getattr(final, name) / factor, high=getattr(final, name) * factor)
        for name in names
    )  # fmt: skip
    return swinging_contract(ranges=ranges)


def told(inputs: PictureInputs, given: Intrinsics) -> bool:
    """Tell the intrinsics of a camera's own pictures."""
    return inputs.take_info("/camera/camera_info", camera_info_message(given, "scene_optical", 1))


def test_intrinsics_are_compared_after_the_driver_stage() -> None:
    inputs = make_inputs(scene_rgb=OWN)
    assert inputs.camera_infos == {"/camera/camera_info"}
    contract = trained("fx", "cx")
    (silent,) = inputs.items(contract)
    assert not silent.ok and "is /camera/camera_info published" in silent.note
    assert not told(inputs, LENS)
    items = {item.name: item for item in inputs.items(contract)}
    assert list(items) == ["scene_rgb: camera_info", "scene_rgb: fx", "scene_rgb: cx"]
    assert all(item.ok for item in items.values())
    # 48 columns become 6: fx of the policy's pictures is an eighth.
    assert float(items["scene_rgb: fx"].measured) == pytest.approx(LENS.fx / 8, rel=1e-5)
    assert told(inputs, replace(LENS, fx=1.2 * LENS.fx))  # others than before
    items = {item.name: item for item in inputs.items(contract)}
    assert [name for name, item in items.items() if not item.ok] == ["scene_rgb: fx"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (replace(LENS, width=32, cx=15.5), "expected intrinsics of 64 x 48 pixels, got 32 x 48"),
        (replace(LENS, fx=1e-9), "fx"),
    ],
)
def test_intrinsics_of_another_picture(given: Intrinsics, text: str) -> None:
    inputs = make_inputs(scene_rgb=OWN)
    told(inputs, given)
    red = [item for item in inputs.items(trained("fx")) if not item.ok]
    assert len(red) == 1 and (text in red[0].measured or text in red[0].name)


def test_intrinsics_of_staged_pictures_are_those_of_the_policy() -> None:
    staged = replace(OWN, staged=True)
    for given, good in ((stage_intrinsics(STAGE, LENS), True), (LENS, False)):
        inputs = make_inputs(scene_rgb=staged)
        told(inputs, given)
        assert all(item.ok for item in inputs.items(trained("fx", "fy", "cx", "cy"))) == good
