"""Forces that stop an arm: their sizes by hand, and when they are a problem."""

# pyright: standard, reportMissingModuleSource=false

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from geometry_msgs.msg import WrenchStamped  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

from sim2arm_ros.force_topics import StopTopics, size_of  # noqa: E402
from sim2arm_ros.forces import (  # noqa: E402
    EFFORTS,
    FIELD,
    WRENCH,
    ForceCfg,
    ForceWatch,
    size_of_efforts,
    size_of_field,
    size_of_wrench,
)
from sim2arm_ros.graph_file import read_graph  # noqa: E402

WRIST = ForceCfg(name="wrist", topic="/ft", type=WRENCH, most=40.0, most_torque=5.0)
JOINTS = ForceCfg(name="joints", topic="/ext", type=EFFORTS, most=8.0, timeout_s=0.05)
MS = 1_000_000


def test_sizes_by_hand() -> None:
    assert size_of_wrench(np.array([3.0, 0.0, 4.0]), np.array([0.0, 2.0, 0.0])) == (5.0, 2.0)
    assert size_of_efforts(np.array([1.0, -7.0, 3.0])) == (7.0, 0.0)
    field = np.zeros((2, 2, 3))
    field[0, 0], field[1, 1] = (1.0, 0.0, 2.0), (2.0, 0.0, 2.0)
    assert size_of_field(field) == (5.0, 0.0)


def test_what_is_within_its_limit_is_no_problem() -> None:
    watch = ForceWatch([WRIST, JOINTS])
    assert watch.problem(0) == "wrist: nothing was heard on /ft"
    watch.hear("wrist", (40.0, 5.0), 0)
    assert watch.problem(0) == "joints: nothing was heard on /ext"
    watch.hear("joints", (8.0, 0.0), 0)
    assert watch.problem(50 * MS) is None
    assert watch.value("wrist") == 40.0


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("wrist", (40.1, 0.0), "wrist: 40.1 N, allowed 40 N"),
        ("wrist", (1.0, 5.01), "wrist: 5.01 N m, allowed 5 N m"),
        ("wrist", (np.nan, 0.0), "wrist: nan N, allowed 40 N"),
        ("wrist", (1.0, np.inf), "wrist: inf N m, allowed 5 N m"),
        ("joints", (8.2, 0.0), "joints: 8.2 N m, allowed 8 N m"),
    ],
)
def test_what_is_too_much_or_no_number_is_one(
    name: str, size: tuple[float, float], words: str
) -> None:
    watch = ForceWatch([WRIST, JOINTS])
    for cfg in watch.cfgs:
        watch.hear(cfg.name, (0.0, 0.0), 0)
    watch.hear(name, size, 0)
    assert watch.problem(0) == words
    watch.hear(name, (0.0, 0.0), 0)
    assert watch.problem(0) is None


def test_silence_is_one_where_time_counts() -> None:
    watch = ForceWatch([JOINTS])
    watch.hear("joints", (0.0, 0.0), 0)
    assert watch.problem(51 * MS) == "joints: silent for more than 0.05 s"
    assert watch.problem(51 * MS, timed=False) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"most": 0.0}, "forces: x: most: expected above 0, got 0.0"),
        ({"most": np.nan}, "forces: x: most: expected above 0, got nan"),
        ({"timeout_s": 2.0}, "forces: x: timeout_s: expected up to 1, got 2.0"),
        ({"most_torque": 1.0}, "forces: x: most_torque: sensor_msgs/msg/Image has no torque"),
    ],
)
def test_limits_that_limit_nothing_are_refused(wrong: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"name": "x", "topic": "/x", "type": FIELD, "most": 1.0}
    with pytest.raises(ValueError, match=words):
        ForceCfg(**(given | wrong))


def test_sizes_of_messages() -> None:
    wrench = WrenchStamped()
    wrench.wrench.force.z, wrench.wrench.torque.x = -7.0, 0.5
    assert size_of(wrench, WRIST, ()) == (7.0, 0.5)
    joints = JointState(name=["b", "a", "x"], position=[0.0] * 3, effort=[1.0, -6.0, 90.0])
    assert size_of(joints, JOINTS, ("a", "b")) == (6.0, 0.0)
    field = np.zeros((2, 3, 3), dtype=np.float32)
    field[0, 0], field[1, 2] = (0.0, 3.0, 0.0), (4.0, 0.0, 0.0)
    cfg = ForceCfg(name="x", topic="/x", type=FIELD, most=1.0)
    image = Image(height=2, width=3, encoding="32FC3", step=36, is_bigendian=0)
    image.data = field.tobytes()
    assert size_of(image, cfg, ()) == (5.0, 0.0)
    image.is_bigendian, image.data = 1, field.astype(">f4").tobytes()
    assert size_of(image, cfg, ()) == (5.0, 0.0)


@pytest.mark.parametrize("wrong", ["encoding", "short", "joint"])
def test_messages_that_cannot_be_read_are_an_error(wrong: str) -> None:
    image = Image(height=2, width=3, encoding="32FC3", step=36, data=bytes(72))
    cfg = ForceCfg(name="x", topic="/x", type=FIELD, most=1.0)
    if wrong == "encoding":
        image.encoding = "32FC1"
    elif wrong == "short":
        image.data = bytes(68)
    else:
        image, cfg = JointState(name=["a"], effort=[1.0]), JOINTS
    with pytest.raises(ValueError, match=r"expected|joint"):
        size_of(image, cfg, ("a", "b"))


def test_what_is_no_news_is_no_sign_of_life() -> None:
    """An empty field, the same message again, and a gripper's efforts on the arm's topic."""
    callbacks: dict[str, Any] = {}

    class Endpoints:
        def subscription(self, kind: Any, topic: str, callback: Any, qos: Any) -> None:
            callbacks[topic] = callback

    cfgs = (
        ForceCfg(name="gel", topic="gel", type=FIELD, most=5.0),
        ForceCfg(name="wrist", topic="wrench", type=WRENCH, most=20.0),
        ForceCfg(name="joints", topic="joint_states", type=EFFORTS, most=50.0),
    )
    graph = replace(read_graph(), forces=cfgs)
    stops = StopTopics(Endpoints(), graph, ["a", "b"], lambda: None)  # type: ignore[arg-type]
    empty = Image(encoding="32FC3", width=0, height=0, step=0)
    callbacks["gel"](empty)
    assert math.isnan(stops.forces.value("gel") or 0.0)
    message = WrenchStamped()
    message.header.stamp.sec = 7
    callbacks["wrench"](message)
    heard = stops.forces._heard["wrist"]
    callbacks["wrench"](message)
    assert stops.forces._heard["wrist"] is heard  # the time of the first
    message.header.stamp.nanosec = 5
    callbacks["wrench"](message)
    assert stops.forces._heard["wrist"] is not heard
    callbacks["joint_states"](JointState(name=["finger"], effort=[99.0]))
    assert stops.forces.value("joints") is None
    callbacks["joint_states"](JointState(name=["b", "a"], effort=[99.0, 1.0]))
    assert stops.forces.value("joints") == 99.0
