"""Imported grippers: which fingers they have, and that they lift what they hold."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco
import pytest
import torch

from sim2arm.core.controller_file import read_controllers
from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.core.robots import Robot
from sim2arm.sim.env import Env
from sim2arm.sim.robots.import_numbers import Wanted
from sim2arm.sim.robots.import_robot import Imported, import_robot
from sim2arm.sim.robots.import_source import read_source
from sim2arm.sim.tasks.lift_cube import LiftCube, LiftCubeCfg
from sim2arm.sim.tasks.push_t import PushT, PushTCfg
from sim2arm.sim.worlds.compiled import UnknownNameError

JOINTS = ("pan", "lift", "elbow", "wrist1", "wrist2", "wrist3")
# Parent to joint: x y z [m], roll pitch yaw [rad]; axis; as the arms of Universal Robots turn.
PLACES = (
    ("0 0 0.16", "0 0 0", "0 0 1"),
    ("0 0.14 0", "0 1.5707963 0", "0 1 0"),
    ("0 -0.12 0.42", "0 0 0", "0 1 0"),
    ("0 0 0.39", "0 1.5707963 0", "0 1 0"),
    ("0 0.09 0", "0 0 0", "0 0 1"),
    ("0 0 0.09", "0 0 0", "0 1 0"),
)
HOME = (0.0, -1.4, 2.1, -2.27, -1.5707963, -1.5707963)
INERTIAL = (
    '<inertial><mass value="{}"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" '
    'iyz="0"/></inertial>'
)
PAD = '<collision><origin xyz="0 {} 0.01"/><geometry><box size="0.02 0.01 0.03"/></geometry></collision>'  # noqa: E501


def six(*, finger: str = "slide", turn: str = "0", shapes: bool = True) -> str:
    """Return the URDF of a six-axis arm whose pads are links of their own."""
    links, joints = [f'<link name="base">{INERTIAL.format(4)}</link>'], []
    parent = "base"
    for name, (xyz, rpy, axis) in zip(JOINTS, PLACES, strict=True):
        links.append(f'<link name="{name}_link">{INERTIAL.format(1)}</link>')
        joints.append(
            f'<joint name="{name}" type="revolute"><origin xyz="{xyz}" rpy="{rpy}"/>'
            f'<parent link="{parent}"/><child link="{name}_link"/><axis xyz="{axis}"/>'
            '<limit lower="-3.1" upper="3.1" effort="100" velocity="3"/></joint>'
        )
        parent = f"{name}_link"

    def fixed(name: str, parent: str, xyz: str, rpy: str = "0 0 0", inside: str = "") -> None:
        links.append(f'<link name="{name}">{inside}</link>')
        joints.append(
            f'<joint name="{name}_fixed" type="fixed"><origin xyz="{xyz}" rpy="{rpy}"/>'
            f'<parent link="{parent}"/><child link="{name}"/></joint>'
        )

    # The hand's z leads out of the last link, its x up at home.
    fixed("hand", parent, "0 0.08 0", "-1.5707963 0 0", INERTIAL.format(0.5))
    fixed("grasp", "hand", "0 0 0.10", f"0 0 {turn}")
    for side, sign in (("a", 1.0), ("b", -1.0)):
        kind = "prismatic" if finger == "slide" else "revolute"
        axis = f"0 {sign} 0" if finger == "slide" else f"{-sign} 0 0"
        mimic = '<mimic joint="finger_a"/>' if side == "b" else ""
        if finger == "jaw" and side == "b":
            kind, axis, mimic = "fixed", "1 0 0", ""
        links.append(f'<link name="finger_{side}_link">{INERTIAL.format(0.1)}</link>')
        joints.append(
            f'<joint name="finger_{side}" type="{kind}"><origin xyz="0 0 0.05"/>'
            f'<parent link="hand"/><child link="finger_{side}_link"/><axis xyz="{axis}"/>'
            f'<limit lower="0" upper="0.04" effort="40" velocity="0.1"/>{mimic}</joint>'
        )
        pad = PAD.format(0.005 * sign) if shapes else ""
        fixed(f"pad_{side}", f"finger_{side}_link", "0 0 0.04", inside=pad)
    return f'<robot name="six">{"".join(links + joints)}</robot>'


CONTROLLERS = """
arm:
  ros__parameters:
    joints: [pan, lift, elbow, wrist1, wrist2, wrist3]
    type: joint_trajectory_controller/JointTrajectoryController
hand:
  ros__parameters: {joint: finger_a, type: position_controllers/GripperActionController}
"""


def take(folder: Path, text: str, **wanted: Any) -> Imported:
    path = folder / "six.urdf"
    path.write_text(text)
    given: dict[str, Any] = {
        "home": HOME, "tool": "grasp", "gripper": "hand",
        "kp": (600.0, 600.0, 600.0, 200.0, 200.0, 100.0),
        "kd": (50.0, 50.0, 50.0, 15.0, 15.0, 8.0),
    }  # fmt: skip
    controllers = read_controllers(CONTROLLERS, "c.yaml")
    return import_robot(read_source(path), controllers, Wanted(**(given | wanted)))


def with_model(found: Imported, folder: Path) -> Robot:
    (folder / "robot.xml").write_text(found.model)
    return replace(found.robot, model=str(folder / "robot.xml"))


def test_fingers_are_named_by_the_side_to_which_they_open(tmp_path: Path) -> None:
    found = take(tmp_path, six())
    assert found.notes["fingers"] == (
        "finger_a_link is six_leftfinger and finger_b_link is six_rightfinger"
    )
    # With the tool turned by half a turn about z, finger a opens along -y of it.
    turned = take(tmp_path, six(turn="3.1415926")).notes["fingers"]
    assert turned == "finger_b_link is six_leftfinger and finger_a_link is six_rightfinger"
    model = mujoco.MjModel.from_xml_string(found.model)
    # The pad is a link of its own, 4 cm before the finger's, its middle 1 cm farther.
    pad = model.geom("six_leftfinger_0")
    assert model.body(int(pad.bodyid[0])).name == "six_leftfinger"
    assert pad.pos == pytest.approx([0.0, 0.005, 0.05])
    assert (pad.priority[0], pad.condim[0], pad.group[0]) == (1, 4, 2)
    # What is made of the model, when a task builds its scene, is the same again.
    scene = LiftCube(LiftCubeCfg(), with_model(found, tmp_path)).scene().compile()
    again = scene.geom("six_leftfinger_0")
    assert again.pos == pytest.approx(pad.pos) and again.priority[0] == 1


def test_of_a_jaw_the_right_finger_moves(tmp_path: Path) -> None:
    # The pad is 5 cm before the hinge, the tool too: a jaw that turns about -x there moves along y.
    found = take(tmp_path, six(finger="jaw"), jaw_length=0.05)
    assert found.notes["fingers"] == "hand is six_leftfinger and finger_a_link is six_rightfinger"
    model = mujoco.MjModel.from_xml_string(found.model)
    jaw, fixed = model.geom("six_rightfinger_0"), model.geom("six_leftfinger_0")
    assert jaw.pos == pytest.approx([0.0, 0.005, 0.05])
    assert fixed.pos == pytest.approx([0.0, -0.005, 0.10])  # 5 cm more, from the hand


@pytest.mark.parametrize(
    ("text", "last", "why"),
    [
        (six(turn="-1.5707963"), 0.0, "along y of 'grasp', against each other; shares of their "
         "motion along it: finger_a 0.00, finger_b 0.00; choose another --tool"),
        (six(shapes=False), HOME[-1], "no primitive shape of finger_a_link collides: meshes "
         "are left out; give --pads"),
        # The pads are balls of 19 mm about the grasp, 10 cm beyond the hand.
        (six(), HOME[-1], "the tool 'hand' is 81 mm from what of finger_a_link collides"),
    ],
)  # fmt: skip
def test_fingers_that_hold_nothing_are_told_and_refused(
    tmp_path: Path, text: str, last: float, why: str
) -> None:
    tool = "hand" if "'hand'" in why else "grasp"
    found = take(tmp_path, text, home=(*HOME[:-1], last), tool=tool)
    assert why in found.notes["fingers"]
    task = LiftCube(LiftCubeCfg(), with_model(found, tmp_path))
    with pytest.raises(UnknownNameError, match="six has no fingers that a task can hold"):
        task.scene()


def test_pads_in_place_of_meshes(tmp_path: Path) -> None:
    sizes = (0.02, 0.004, 0.03)
    found = take(tmp_path, six(shapes=False), pads=sizes)
    assert found.notes["pads"] == "20 x 4 x 30 mm on each finger, of rubber (--pads)"
    scene = LiftCube(LiftCubeCfg(), with_model(found, tmp_path)).scene().compile()
    # The tool is 5 cm before the fingers' frames; closed pads touch there, each half as thick.
    for side, y in (("left", 0.002), ("right", -0.002)):
        pad = scene.geom(f"six_{side}pad")
        assert scene.body(int(pad.bodyid[0])).name == f"six_{side}finger"
        assert pad.pos == pytest.approx([0.0, y, 0.05], abs=1e-9)
        assert pad.size == pytest.approx([0.01, 0.002, 0.015])
        assert (pad.priority[0], pad.friction[0]) == (1, 1.0)
    # A jaw on the side to which it opens, what it is hinged to on the other.
    jaw = take(tmp_path, six(finger="jaw", shapes=False), jaw_length=0.05, pads=sizes)
    model = mujoco.MjModel.from_xml_string(jaw.model)
    assert model.geom("six_rightpad").pos == pytest.approx([0.0, 0.002, 0.05], abs=1e-9)
    assert model.geom("six_leftpad").pos == pytest.approx([0.0, -0.002, 0.10], abs=1e-9)
    with pytest.raises(
        ValueError, match=r"--pads: expected three sizes above 0 \[m\], got \[1.0\]"
    ):
        take(tmp_path, six(), pads=(1.0,))
    with pytest.raises(ValueError, match="--pads: at the tool, fingers must open along y"):
        take(tmp_path, six(turn="1.5707963"), pads=sizes)
    with pytest.raises(ValueError, match="--pads: there is no gripper"):
        take(tmp_path, six(), pads=sizes, gripper="none")


@pytest.mark.parametrize("pads", [(), (0.02, 0.01, 0.03)])
def test_an_imported_arm_lifts_a_cube(tmp_path: Path, pads: tuple[float, ...]) -> None:
    text = six(shapes=not pads)
    robot = with_model(take(tmp_path, text, acceleration=20.0, pads=pads), tmp_path)
    env = Env(LiftCube(LiftCubeCfg(cube_noise=0.0), robot), robot, num_envs=2, threads=1)
    obs, lifted = env.reset([0, 1]), torch.zeros(2, dtype=torch.bool)
    closing = torch.zeros(2)  # control steps since the pads began to close
    for _ in range(170):
        way = obs["cube_pose"][:, :3] - obs["ee_pose"][:, :3]
        over = way[:, :2].norm(dim=-1) < 0.015
        # The pads end 15 mm below the grasp, as low as the cube lies: 4 mm above its middle.
        way[:, 2] = torch.where(over, way[:, 2] + 0.004, 0.1 - obs["ee_pose"][:, 2])
        near = way.norm(dim=-1) < 0.008
        closing = torch.where(near | (closing > 0), closing + 1, 0.0)
        way[closing > 0] = 0.0
        way[closing > 25, 2] = 0.1
        steps = (0.06 * way / EeDeltaCfg().position_scale).clamp(-1.0, 1.0)
        grip = torch.where(closing > 0, -1.0, 1.0)
        obs, _, _, _, info = env.step(torch.cat([steps, torch.zeros(2, 3), grip[:, None]], dim=1))
        lifted |= info["success"]
    assert lifted.all()


def test_a_task_that_pushes_needs_no_gripper(tmp_path: Path) -> None:
    robot = with_model(take(tmp_path, six(), gripper="none"), tmp_path)
    cfg = PushTCfg(block_low=(0.5, -0.02, 0.0), block_high=(0.55, 0.02, 1.0))
    env = Env(PushT(cfg, robot), robot, num_envs=1, threads=1)
    obs = env.step(torch.zeros(1, 6))[0]
    assert torch.isfinite(obs["block_pose"]).all()
    with pytest.raises(ValueError, match="six has no gripper, and this task holds something"):
        LiftCube(LiftCubeCfg(), robot)
