"""Chains to and from URDF: round trips, a small robot by hand, each error."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim2arm.core.kinematics import forward
from sim2arm.core.robots import PANDA, ROBOTS, Chain, Robot
from sim2arm.core.urdf import (
    chain_from_urdf,
    limits_from_urdf,
    links_of_urdf,
    urdf_from_robot,
)

SMALL = """<?xml version="1.0"?>
<!-- a 2-joint arm on a pedestal with a plate between its joints -->
<robot name="small">
  <link name="world"/> <link name="pedestal"/> <link name="upper"/> <link name="plate"/>
  <link name="lower"/> <link name="flange"/> <link name="tip"/> <link name="camera"/>
  <joint name="mount" type="fixed">
    <origin xyz="0 0 0.5"/> <parent link="world"/> <child link="pedestal"/>
  </joint>
  <joint name="shoulder" type="revolute">
    <origin xyz="0 0 0.1" rpy="0 0 0"/> <parent link="pedestal"/> <child link="upper"/>
    <axis xyz="0 0 2"/> <limit lower="-1" upper="1" effort="1" velocity="1"/>
  </joint>
  <joint name="bolts" type="fixed">
    <origin xyz="0.3 0 0" rpy="0 0 1.5707963267948966"/>
    <parent link="upper"/> <child link="plate"/>
  </joint>
  <joint name="elbow" type="continuous">
    <origin xyz="0.1 0 0"/> <parent link="plate"/> <child link="lower"/>
  </joint>
  <joint name="weld" type="fixed">
    <origin xyz="0 0 0.2"/> <parent link="lower"/> <child link="flange"/>
  </joint>
  <joint name="tool" type="fixed"><parent link="flange"/><child link="tip"/></joint>
  <joint name="finger" type="prismatic"><parent link="flange"/><child link="camera"/></joint>
</robot>
"""


def read_small(text: str = SMALL, **overrides: Any) -> Chain:
    values: dict[str, Any] = {
        "joint_names": ("shoulder", "elbow"),
        "base_frame": "world",
        "tool_frame": "tip",
    }
    return chain_from_urdf(text, **(values | overrides))


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_the_chain_of_every_robot_comes_back(robot: Robot) -> None:
    chain = robot.chain
    again = chain_from_urdf(
        urdf_from_robot(robot), chain.joint_names, chain.base_frame, chain.tool_frame
    )
    assert again.joint_names == chain.joint_names
    for name in ("T_parent_joint", "axes", "T_last_tool"):
        np.testing.assert_allclose(getattr(again, name), getattr(chain, name), rtol=0, atol=1e-12)


def test_links_have_the_names_of_the_manufacturer_and_limits_are_written() -> None:
    text = urdf_from_robot(PANDA)
    assert '<parent link="panda_link0" />' in text and '<child link="panda_link7" />' in text
    assert '<limit lower="-2.8973" upper="2.8973" effort="87.0" velocity="2.175" />' in text


def test_rotations_come_back_near_and_at_the_singularity_of_rpy() -> None:
    rng = np.random.default_rng(0)
    for offset in (0.0, 1e-16, 1e-12, 1e-9, 1e-8, 1e-6, 1e-3, 0.7):
        for sign in (-1.0, 1.0):
            pitch = sign * (np.pi / 2 - offset)
            R = _about(2, rng.uniform(-3, 3)) @ _about(1, pitch) @ _about(0, rng.uniform(-3, 3))
            T = PANDA.chain.T_last_tool.copy()
            T[:3, :3] = R
            robot = replace(PANDA, chain=replace(PANDA.chain, T_last_tool=T))
            chain = chain_from_urdf(
                urdf_from_robot(robot), PANDA.joint_names, "panda_link0", "panda_hand_tcp"
            )
            np.testing.assert_allclose(chain.T_last_tool, T, rtol=0, atol=1e-14)


def _about(axis: int, angle: float) -> np.ndarray:
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    R = np.eye(3)
    R[i, i] = R[j, j] = np.cos(angle)
    R[j, i] = np.sin(angle)
    R[i, j] = -R[j, i]
    return R


def test_a_small_robot_by_hand() -> None:
    chain = read_small()
    # mount and shoulder: 0.5 + 0.1 up; bolts and elbow: 0.3 along x, then a quarter turn about z,
    # after which 0.1 along the new x is 0.1 along y.
    np.testing.assert_allclose(chain.T_parent_joint[0, :3, 3], (0, 0, 0.6), atol=1e-15)
    np.testing.assert_allclose(chain.T_parent_joint[1, :3, 3], (0.3, 0.1, 0), atol=1e-15)
    np.testing.assert_allclose(chain.axes, ((0, 0, 1), (1, 0, 0)))  # 0 0 2 scaled; the default
    # Elbow at 90 degrees about its x, which is y of the world: the tip's z goes to -y of the
    # elbow, which is +x of the world: (0.3 + 0.2, 0.1, 0.6).
    T = forward(chain, np.array([0.0, np.pi / 2]))
    np.testing.assert_allclose(T[:3, 3], (0.5, 0.1, 0.6), atol=1e-15)


def test_a_base_in_the_middle() -> None:
    chain = read_small(base_frame="upper", joint_names=("elbow",))
    np.testing.assert_allclose(chain.T_parent_joint[0, :3, 3], (0.3, 0.1, 0), atol=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tool_frame": "tcp"}, r"the tool frame 'tcp' is not a link. Links: \['world'"),
        ({"base_frame": "base"}, "the base frame 'base' is not a link"),
        ({"base_frame": "camera"}, "no joints lead from 'camera' to 'tip'.* end at 'world'"),
        ({"joint_names": ("shoulder", "finger")}, "joint 'finger' is not between 'world' and"),
        ({"joint_names": ("shoulder",)}, "joint 'elbow' .continuous. .* moves but is not listed"),
        ({"joint_names": ("elbow", "shoulder")}, r"are \['shoulder', 'elbow'\] in this order"),
        (
            {"tool_frame": "camera", "joint_names": ("shoulder", "elbow", "finger")},
            "joint 'finger': expected a revolute joint, got prismatic",
        ),
    ],
)
def test_a_chain_that_is_not_there_is_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_small(**change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('xyz="0 0 0.1"', 'xyz="0 0"', "joint 'shoulder': origin xyz: expected 3 finite numbers"),
        ('xyz="0 0 0.1"', 'xyz="0 0 nan"', "expected 3 finite numbers, got '0 0 nan'"),
        ('xyz="0 0 2"', 'xyz="0 0 0"', "joint 'shoulder': the axis has no direction"),
        ('<child link="lower"/>', "", "joint 'elbow' has no <child link=...>"),
        ('<child link="camera"/>', '<child link="tip"/>', "'tip' is the child of two joints"),
        ('<parent link="world"/>', '<parent link="tip"/>', "no joints lead from 'world'"),
        ('<axis xyz="0 0 2"/>', '<mimic joint="elbow"/>', "got a mimic joint"),
        ("</robot>", "", "not valid XML"),
        ("a 2-joint arm", "\ud800", "not valid XML"),
        ("robot", "model", "expected the root element <robot>, got <model>"),
    ],
)
def test_a_broken_text_is_an_error(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(ValueError, match=message) as caught:
        read_small(SMALL.replace(old, new))
    assert "\n" not in str(caught.value)


def test_entities_are_refused_before_they_are_read() -> None:
    bomb = '<!DOCTYPE robot [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    with pytest.raises(ValueError, match="a DOCTYPE is not accepted"):
        read_small(SMALL.replace('<?xml version="1.0"?>', bomb))


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_the_limits_of_every_robot_come_back(robot: Robot) -> None:
    read, limits = limits_from_urdf(urdf_from_robot(robot), robot.joint_names), robot.limits
    assert (read.q_min, read.q_max) == (limits.q_min, limits.q_max)
    assert (read.dq_max, read.tau_max) == (limits.dq_max, limits.tau_max)
    root, above = links_of_urdf(urdf_from_robot(robot))
    assert root == robot.chain.base_frame
    assert above[robot.chain.tool_frame][1] == "fixed"


LIMIT = '<limit lower="-2.8973" upper="2.8973" effort="87.0" velocity="2.175" />'


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("", "joint 'panda_joint1' has no <limit lower=...>: add it to the file"),
        (LIMIT.replace("velocity", "speed"), "has no <limit velocity=...>"),
        (LIMIT.replace("2.175", "fast"), "limit velocity: expected a finite number, got 'fast'"),
        (LIMIT.replace("87.0", "0"), "velocity and effort above 0, got -2.8973, 2.8973, 2.175, 0"),
        (LIMIT.replace("-2.8973", "3"), "expected lower below upper"),
    ],
)
def test_missing_and_impossible_limits_are_a_line(new: str, message: str) -> None:
    text = urdf_from_robot(PANDA).replace(LIMIT, new, 1)
    with pytest.raises(ValueError, match=message):
        limits_from_urdf(text, PANDA.joint_names)
    with pytest.raises(ValueError, match="joint 'xyz' is not there"):
        limits_from_urdf(text, ("xyz",))


def test_a_continuous_joint_has_a_turn_to_either_side() -> None:
    text = urdf_from_robot(PANDA).replace('type="revolute"', 'type="continuous"', 1)
    assert limits_from_urdf(text, PANDA.joint_names).q_max[0] == pytest.approx(2 * np.pi)


def test_two_roots_are_an_error() -> None:
    text = urdf_from_robot(PANDA).replace("<link", '<link name="lost" /><link', 1)
    with pytest.raises(ValueError, match=r"one link that no joint leads to, got \['lost', 'panda"):
        links_of_urdf(text)
