"""What a URDF looks like: shapes, and links at joint positions, by hand."""

import math

import numpy as np
import pytest

from sim2arm.core.kinematics import link_frames
from sim2arm.core.robots import FR3
from sim2arm.core.urdf import chain_from_urdf, link_names, urdf_from_robot
from sim2arm.core.urdf_shapes import GREY, UrdfBranch, UrdfShape, UrdfTree, with_shapes

SMALL = """<robot name="small">
  <material name="blue"><color rgba="0 0 1 1"/></material>
  <link name="base"><visual><geometry><box size="0.1 0.2 0.3"/></geometry>
    <material name="blue"/></visual></link>
  <link name="arm"><visual><origin xyz="0 0 0.5" rpy="0 0 0"/>
    <geometry><cylinder radius="0.05" length="1"/></geometry></visual>
    <visual><geometry><sphere radius="0.06"/></geometry>
    <material name=""><color rgba="2 0.5 -1 1"/></material></visual></link>
  <link name="left"/> <link name="right"/>
  <link name="cap"><visual><geometry><mesh filename="package://caps/a.stl" scale="0.1 0.1 0.1"/>
    </geometry></visual></link>
  <joint name="turn" type="revolute"><parent link="base"/><child link="arm"/>
    <origin xyz="0 0 0.3"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="1" effort="1" velocity="1"/>
  </joint>
  <joint name="lid" type="fixed"><parent link="arm"/><child link="cap"/>
    <origin xyz="0 0 1"/></joint>
  <joint name="slide" type="prismatic"><parent link="cap"/><child link="left"/>
    <axis xyz="1 0 0"/><limit lower="0" upper="1" effort="1" velocity="1"/></joint>
  <joint name="other" type="prismatic"><parent link="cap"/><child link="right"/>
    <axis xyz="1 0 0"/><mimic joint="slide" multiplier="-2" offset="0.01"/></joint>
</robot>"""


def test_shapes_have_sizes_places_and_colours() -> None:
    box, cylinder, sphere, mesh = UrdfTree(SMALL).shapes
    assert (box.link, box.kind, box.size, box.color) == ("base", "box", (0.1, 0.2, 0.3), (0, 0, 1))
    assert (cylinder.kind, cylinder.size, cylinder.color) == ("cylinder", (0.05, 1.0), GREY)
    np.testing.assert_array_equal(cylinder.T_link_shape[:3, 3], (0, 0, 0.5))
    assert (sphere.size, sphere.color) == ((0.06,), (1.0, 0.5, 0.0))  # colours end at 0 and 1
    assert (mesh.kind, mesh.mesh, mesh.size) == ("mesh", "package://caps/a.stl", (0.1, 0.1, 0.1))


def test_links_stand_where_the_joints_put_them() -> None:
    tree = UrdfTree(SMALL)
    assert tree.root == "base" and tree.joints == ["turn", "slide", "other"]
    assert tree.above == {"arm": "base", "cap": "arm", "left": "cap", "right": "cap"}
    frames = tree.frames({"turn": math.pi / 2, "slide": 0.1})
    # The arm lies along x: the cap is 1 m out at the height of the joint.
    np.testing.assert_allclose(frames["cap"][:3, 3], (1.0, 0.0, 0.3), atol=1e-12)
    # Its x axis points down: the left finger is 0.1 m below, the right -2 * 0.1 + 0.01 above.
    np.testing.assert_allclose(frames["left"][:3, 3], (1.0, 0.0, 0.2), atol=1e-12)
    np.testing.assert_allclose(frames["right"][:3, 3], (1.0, 0.0, 0.49), atol=1e-12)


def test_a_robot_that_gets_shapes_and_a_finger_keeps_its_chain() -> None:
    T = np.eye(4)
    T[:3, :3] = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    T[:3, 3] = (0.1, 0.2, 0.3)
    last = link_names(FR3.chain)[-2]
    finger = UrdfBranch(link="finger", joint="finger_joint", parent=last, kind="prismatic",
                        T_parent_joint=T, axis=np.array((0.0, 0.0, 1.0)))  # fmt: skip
    shapes = [
        UrdfShape(link="finger", T_link_shape=T, kind="box", size=(0.1, 0.2, 0.3)),
        UrdfShape(link=last, T_link_shape=np.eye(4), kind="mesh", size=(1, 1, 1), mesh="a.stl"),
        UrdfShape(link=last, T_link_shape=np.eye(4), kind="sphere", size=(0.4,)),
        UrdfShape(link=last, T_link_shape=np.eye(4), kind="cylinder", size=(0.4, 0.5)),
    ]
    text = with_shapes(urdf_from_robot(FR3), shapes, [finger])
    chain = FR3.chain
    again = chain_from_urdf(text, chain.joint_names, chain.base_frame, chain.tool_frame)
    assert max(chain.difference(again)) < 1e-12
    tree = UrdfTree(text)
    assert sorted(shape.kind for shape in tree.shapes) == ["box", "cylinder", "mesh", "sphere"]
    np.testing.assert_allclose(
        next(s for s in tree.shapes if s.kind == "box").T_link_shape, T, atol=1e-9
    )
    q = np.array(FR3.home)
    frames = tree.frames({**dict(zip(chain.joint_names, q.tolist(), strict=True)),
                          "finger_joint": 0.5})  # fmt: skip
    expected = link_frames(chain, q)
    np.testing.assert_allclose(frames[last], expected[-2], atol=1e-12)
    up = np.eye(4)
    up[2, 3] = 0.5
    np.testing.assert_allclose(frames["finger"], expected[-2] @ T @ up, atol=1e-9)
    with pytest.raises(ValueError, match="shape on link 'no': expected one of"):
        with_shapes(text, [UrdfShape(link="no", T_link_shape=T, kind="sphere", size=(1.0,))])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('<box size="0.1 0.2 0.3"/>', '<box size="0.1 0.2"/>', "box: expected size in metres"),
        ('<box size="0.1 0.2 0.3"/>', '<box size="0.1 0.2 nan"/>', "box: expected size"),
        ('<sphere radius="0.06"/>', '<sphere radius="big"/>', "sphere: expected radius"),
        ('<sphere radius="0.06"/>', "", "expected a box, cylinder, sphere or mesh file, got noth"),
        ('<sphere radius="0.06"/>', "<cone/>", "got <cone>"),
        ('<link name="right"/>', '<link name="right"/><link name="lost"/>', "one link that no"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(old: str, new: str, said: str) -> None:
    assert old in SMALL
    with pytest.raises(ValueError, match=said) as error:
        UrdfTree(SMALL.replace(old, new))
    assert "\n" not in str(error.value)


def test_links_in_a_circle_are_refused() -> None:
    circle = SMALL.replace('<parent link="base"/>', '<parent link="cap"/>')
    with pytest.raises(ValueError, match="no joints lead from 'base' to"):
        UrdfTree(circle)
