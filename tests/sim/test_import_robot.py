"""Robots of URDF and MJCF files: their chain, numbers and model, and what is refused."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.core.bodies import Clearances
from sim2arm.core.controller_file import read_controllers
from sim2arm.core.kinematics import forward
from sim2arm.core.robots import NO_GRIPPER, ROBOTS, SO101, Robot
from sim2arm.sim.env import Env
from sim2arm.sim.robots.import_model import write_model
from sim2arm.sim.robots.import_numbers import Wanted
from sim2arm.sim.robots.import_robot import Imported, import_robot
from sim2arm.sim.robots.import_source import read_source
from sim2arm.sim.robots.models import add_robot
from sim2arm.sim.tasks.reach import Reach, ReachCfg
from tests.sim.import_files import CONTROLLERS, URDF


def take(
    folder: Path, text: str = URDF, controllers: str = CONTROLLERS, file: str = "arm.urdf",
    **wanted: Any,
) -> Imported:  # fmt: skip
    """Import from texts."""
    path = folder / file
    path.write_text(text)
    return import_robot(
        read_source(path), read_controllers(controllers, "c.yaml"), Wanted(**wanted)
    )


def with_model(found: Imported, folder: Path) -> Robot:
    """Return the robot with its model in a file."""
    (folder / "robot.xml").write_text(found.model)
    return replace(found.robot, model=str(folder / "robot.xml"))


def test_a_small_arm_by_hand(tmp_path: Path) -> None:
    found = take(tmp_path)
    robot = found.robot
    assert robot.name == "small"
    assert (robot.chain.base_frame, robot.chain.tool_frame) == ("world", "tip")
    assert robot.joint_names == ("shoulder", "elbow")  # as they stand, not as they are listed
    assert robot.kp == (100.0, 50.0) and robot.kd == (10.0, 5.0)
    assert robot.limits.q_min == (-1.5, pytest.approx(-2 * np.pi))
    assert robot.limits.dq_max == (2.0, 3.0) and robot.limits.tau_max == (30.0, 10.0)
    assert robot.home == (-0.25, 0.0)
    gripper = robot.gripper
    assert gripper.joint_names == ("grip", "follow")
    assert (gripper.open_width, gripper.speed, gripper.force) == (0.08, 0.1, 20.0)
    assert robot.tool_box is None
    # At zero the tool lies 0.4 m along x of the shoulder, which is turned by rpy 0.1 0.2 0.3 on a
    # base turned by 0.2 about z: x points to (cos 0.2 cos 0.5, cos 0.2 sin 0.5, -sin 0.2).
    x = np.array([np.cos(0.2) * np.cos(0.5), np.cos(0.2) * np.sin(0.5), -np.sin(0.2)])
    tool = forward(robot.chain, np.zeros(2))[:3, 3]
    np.testing.assert_allclose(tool, 0.4 * x + [0.0, 0.0, 0.7], atol=1e-12)
    assert max(*found.residuals["file"], *found.residuals["model"]) < 1e-12
    assert set(found.notes) == {"acceleration", "jerk", "home", "gripper", "fingers", "body"}


def test_its_model_has_the_masses_and_joints_of_the_file(tmp_path: Path) -> None:
    model = mujoco.MjModel.from_xml_string(take(tmp_path).model)
    assert model.body_mass.sum() == pytest.approx(4.2)
    assert model.body("small_upper").ipos == pytest.approx([0.1, 0.0, 0.02])
    assert sorted(model.body("small_upper").inertia) == pytest.approx([0.01, 0.015, 0.02])
    shoulder = model.joint("shoulder")
    assert (shoulder.damping[0], shoulder.frictionloss[0]) == (0.3, 0.1)
    assert shoulder.armature[0] == pytest.approx(100.0 / 100.0**2)
    assert [model.actuator(i).name for i in range(model.nu)] == [
        "shoulder", "elbow", "small_gripper"
    ]  # fmt: skip
    assert (model.body_gravcomp[2:] == 1.0).all()
    solid = model.geom_contype != 0
    assert solid.sum() == 1 and model.geom_size[solid][0, :2].tolist() == [0.03, 0.1]
    assert (~solid).sum() == 3  # capsules: base to shoulder, to elbow, to tool; nothing else


def test_it_reaches_on_both_engines_and_its_gripper_works(tmp_path: Path) -> None:
    robot = with_model(take(tmp_path), tmp_path)
    for world in ("mujoco", "warp"):
        env = Env(Reach(ReachCfg(), robot), robot, num_envs=2, world=world, threads=1)
        obs = env.reset([0, 1])
        for _ in range(20):
            obs, reward, _, _, info = env.step(torch.ones(2, 6))
            assert torch.isfinite(reward).all() and not info["diverged"].any()
        at = forward(robot.chain, obs["joint_position"].double().numpy())
        np.testing.assert_allclose(obs["ee_pose"][:, :3], at[:, :3, 3], atol=1e-6)
    spec = mujoco.MjSpec()
    add_robot(spec, robot, position=(0.0, 0.0, 0.3))
    spec.option.timestep = 1.0 / 480.0
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    model = spec.compile()
    data = mujoco.MjData(model)
    for width in (0.08, 0.0, 0.03):
        data.ctrl[-1] = width
        for _ in range(700):
            mujoco.mj_step(model, data)
        assert data.joint("grip").qpos[0] + data.joint("follow").qpos[0] == pytest.approx(
            width, abs=1e-4
        )


def test_an_arm_without_a_gripper(tmp_path: Path) -> None:
    home, kd = ("shoulder=0.1", "elbow=0.2"), ("elbow=4", "shoulder=9")
    found = take(tmp_path, gripper="none", home=home, kp=(80.0,), kd=kd)
    robot = with_model(found, tmp_path)
    assert robot.gripper is NO_GRIPPER
    assert (robot.home, robot.kp, robot.kd) == ((0.1, 0.2), (80.0, 80.0), (9.0, 4.0))
    model = mujoco.MjModel.from_xml_string(found.model)
    assert model.nu == model.nv == 2  # the fingers stay as they are built
    assert model.body_mass.sum() == pytest.approx(4.2)
    env = Env(Reach(ReachCfg(), robot), robot, num_envs=2, threads=1)
    env.reset([0, 1])
    _, reward, *_ = env.step(torch.zeros(2, 6))
    assert torch.isfinite(reward).all()


def test_a_root_link_with_another_name(tmp_path: Path) -> None:
    found = take(tmp_path, URDF.replace('"world"', '"stand"'))
    assert found.robot.chain.base_frame == "stand"
    assert max(found.residuals["file"]) < 1e-12
    found = take(tmp_path, base="base_link")
    tool = forward(found.robot.chain, np.zeros(2))[:3, 3]
    assert tool[2] == pytest.approx(0.2 - 0.4 * np.sin(0.2))


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_our_own_models_come_back_as_mjcf(robot: Robot, tmp_path: Path) -> None:
    spec = mujoco.MjSpec()
    add_robot(spec, robot)
    joints = ", ".join(robot.joint_names)
    controllers = f"""
      arm: {{ros__parameters: {{joints: [{joints}]}}}}
      hand:
        ros__parameters: {{joint: {robot.gripper.joint_names[0]}, type: x}}
    """
    found = take(
        tmp_path, write_model(spec), controllers, "arm.xml", name="copy", gripper="hand",
        base=f"{robot.name}_link0", velocity=robot.limits.dq_max, kp=robot.kp, kd=robot.kd,
        home=robot.home, grip_speed=robot.gripper.speed, grip_force=robot.gripper.force,
        tool=robot.chain.tool_frame,  # a site
        jaw_length=robot.gripper.opening if robot is SO101 else None,
    )  # fmt: skip
    metres, radians = found.robot.chain.difference(robot.chain)
    assert metres < 1e-12 and radians < 1e-7  # by the sine, where the cosine is 1
    assert found.robot.limits.q_min == pytest.approx(robot.limits.q_min, abs=1e-12)
    assert found.robot.limits.tau_max == pytest.approx(robot.limits.tau_max, rel=1e-5)
    assert found.robot.gripper.open_width == pytest.approx(robot.gripper.open_width)
    assert found.robot.gripper.closed == pytest.approx(robot.gripper.closed)
    left = "link5" if robot is SO101 else "leftfinger"  # what the jaw is hinged to
    assert found.notes["fingers"] == (
        f"{robot.name}_{left} is copy_leftfinger and {robot.name}_rightfinger is copy_rightfinger"
    )
    assert max(*found.residuals["file"], *found.residuals["model"]) < 1e-12
    if robot is SO101:  # its shapes that collide are on the last three links
        assert "too few links have shapes" in found.notes["body"]
    else:
        assert_holds_its_shapes(found)


def assert_holds_its_shapes(found: Imported) -> None:
    """Assert that shapes of links never meet where the capsules around them do not."""
    robot, body = found.robot, found.robot.body
    assert body is not None and len(body.pairs) >= 2
    model = mujoco.MjModel.from_xml_string(found.model)
    data, line = mujoco.MjData(model), np.zeros(6)
    places = [model.joint(name).qposadr[0] for name in robot.joint_names]
    links = [int(model.joint(name).bodyid[0]) for name in robot.joint_names]
    shapes = [g for g in range(model.ngeom) if model.geom_contype[g]]
    clearances = Clearances(robot.chain, replace(body, margin=0.0))
    random = np.random.default_rng(0)
    q = random.uniform(robot.limits.q_min, robot.limits.q_max, (20_000, len(places)))
    apart = clearances(q).itself
    near = np.nonzero((apart > 0.0) & (apart < 0.02))[0][:60]
    assert len(near) == 60
    for row in near:
        data.qpos[places] = q[row]
        for joint in robot.gripper.joint_names:
            width = random.uniform(0.0, robot.gripper.open_width)
            data.qpos[model.joint(joint).qposadr[0]] = robot.gripper.position(width)
        mujoco.mj_kinematics(model, data)
        for a, b in itertools.combinations(shapes, 2):
            if (link_of(model, links, a), link_of(model, links, b)) in body.pairs:
                assert mujoco.mj_geomDistance(model, data, a, b, 1.0, line) > 0.0


def link_of(model: Any, links: list[int], geom: int) -> int:
    """Return behind which joint a shape lies."""
    body = int(model.geom_bodyid[geom])
    while body and body not in links:
        body = int(model.body_parentid[body])
    return links.index(body) + 1 if body else 0


def test_capsules_around_shapes_by_hand(tmp_path: Path) -> None:
    body = take(tmp_path).robot.body
    assert body is not None
    # One cylinder, 0.2 m long along x of the upper arm around x = 0.1; the other links have none.
    bar = next(c for c in body.capsules if c.link == 1)
    ends = sorted((bar.start, bar.end))
    # As wide as the cylinder (24 corners around it: 0.9 % more), so its ends stand out by a ball.
    assert bar.radius == pytest.approx(0.03, rel=0.03)
    np.testing.assert_allclose(ends, [(0.0, 0.0, 0.0), (0.2, 0.0, 0.0)], atol=0.01)


REVOLUTE = '<joint name="elbow" type="continuous">'
MIMIC = '<mimic joint="shoulder"/></joint>'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</robot>", "", "not valid XML"),
        ("<robot", "<!DOCTYPE x><robot", "a DOCTYPE is not accepted"),
        ('robot name="small"', 'sdf name="small"', r"expected a URDF .* got <sdf>|not valid XML"),
        (
            'name="small">',
            'name="small" xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:property name="w"/>',
            "arm.urdf: it holds xacro: expand it first",
        ),
        ('velocity="2"', "", "joint 'shoulder' has no <limit velocity=...>: add it to the file"),
        ('effort="10"', 'effort="0"', "velocity and effort above 0"),
        ('<axis xyz="0 0 -2"/>', '<axis xyz="0 0 0"/>', "axis"),
        (REVOLUTE, REVOLUTE.replace("continuous", "prismatic"), "expected a revolute joint"),
        ('velocity="3"/>', 'velocity="3"/><mimic joint="shoulder"/>', "a mimic joint"),
        ('<mimic joint="grip"/>', "", "joint 'follow' belongs neither to the arm nor to the gri"),
        (
            'joint="grip"/>',
            'joint="grip" multiplier="-1"/>',
            r"'follow' mimics 'grip' by \[0.0, -1",
        ),
        ('<mass value="1"/>', '<mass value="0"/>', "MuJoCo does not compile it"),
        (
            '<link name="tip"/>',
            '<link name="tip"/><link name="w"/>',
            "one link that no joint leads",
        ),
    ],
)
def test_files_that_make_no_robot_are_a_line(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in URDF
    with pytest.raises(ValueError, match=message) as caught:
        take(tmp_path, URDF.replace(old, new))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tool": "hand"}, "tool frame 'hand' is not a link|body 'hand' is not there"),
        ({"base": "lower"}, "no joints lead|is not between"),
        ({"controller": "leg"}, r"'leg' moves no joints in the controllers file\. Those that do"),
        ({"controller": "hand_controller"}, "expected a revolute joint|moves but is not listed"),
        ({"gripper": "foot"}, "gripper 'foot' is no controller with a joint"),
        ({"kp": (1.0, 2.0, 3.0)}, "--kp: expected 1 or 2 numbers above 0"),
        ({"torque": (-1.0,)}, "--torque: expected 1 or 2 numbers above 0"),
        ({"torque": ("elbow=5", "shoulder=-5")}, "--torque: expected 1 or 2 numbers above 0"),
        ({"home": ("shoulder=0", "elbow=9")}, "home of 'elbow': expected an angle between"),
        ({"kp": ("elbow=80",)}, r"--kp: .* for each of \['shoulder', 'elbow'\], got \['elbow'\]"),
        ({"kp": ("elbow=80", "elbow=90")}, "each joint once, got 'elbow=90'"),
        ({"kp": ("elbow=stiff", "shoulder=90")}, "--kp: expected joint=number.*'elbow=stiff'"),
        ({"kd": ("elbow=nan", "shoulder=9")}, "--kd: expected joint=number.*'elbow=nan'"),
        ({"velocity": (1.0, "elbow=2")}, "--velocity: expected joint=number.*got 1.0"),
        ({"kp": (1e-3,), "kd": (1e-3,)}, "is not held in simulation with kp 0.001"),
    ],
)
def test_wrong_wishes_are_a_line(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        take(tmp_path, **change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "a", "b"),
    [("kp", 90, 60), ("kd", 9, 6), ("velocity", 3, 2), ("torque", 9, 6), ("home", 0.5, -0.25)],
)
def test_numbers_of_joints_land_where_they_belong(
    option: str, a: float, b: float, tmp_path: Path
) -> None:
    """The controllers file lists the elbow first, the arm begins with the shoulder."""

    def numbers(controllers: str, *given: float | str) -> tuple[float, ...]:
        wanted: dict[str, Any] = {option: given}
        robot = take(tmp_path, controllers=controllers, **wanted).robot
        limits = {"velocity": robot.limits.dq_max, "torque": robot.limits.tau_max}
        return limits[option] if option in limits else getattr(robot, option)

    assert numbers(CONTROLLERS, f"elbow={b}", f"shoulder={a}") == (a, b)
    assert numbers(CONTROLLERS, a) == (a, a)
    with pytest.raises(ValueError, match=f"--{option}: expected joint=number") as caught:
        numbers(CONTROLLERS, a, b)  # of whom?
    assert "'arm_controller' lists ['elbow', 'shoulder'], from base to tool they" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    in_order = CONTROLLERS.replace("[elbow, shoulder]", "[shoulder, elbow]")
    assert numbers(in_order, a, b) == (a, b)


def test_what_no_file_says_is_asked_for(tmp_path: Path) -> None:
    position = CONTROLLERS.replace("gains:", "other:")
    with pytest.raises(ValueError, match=r"'arm_controller' has no gains .* give --kp"):
        take(tmp_path, controllers=position)
    two = CONTROLLERS + "second: {ros__parameters: {joints: [a, b]}}\n"
    with pytest.raises(ValueError, match="expected one controller with several joints, found"):
        take(tmp_path, controllers=two)
    assert take(tmp_path, controllers=two, controller="arm_controller").robot.name == "small"
    missing = CONTROLLERS.replace("[elbow, shoulder]", "[elbow, wrist]")
    with pytest.raises(ValueError, match="joint 'wrist' of the controller is not there"):
        take(tmp_path, controllers=missing)
    ends = URDF.replace('<link name="tip"/>', '<link name="tip"/><link name="eye"/>').replace(
        "</robot>",
        '<joint name="e" type="fixed"><parent link="lower"/><child link="eye"/></joint></robot>',
    )
    with pytest.raises(ValueError, match=r"several frames end .* \['eye', 'tip'\]; choose --tool"):
        take(tmp_path, ends)
    assert take(tmp_path, ends, tool="tip").robot.chain.tool_frame == "tip"


MJCF = """<mujoco model="bare"><worldbody><body name="base"><body name="a">
  <joint name="shoulder" axis="0 0 1" {0}/><geom size="0.05" mass="1"/>
  <body name="b" pos="0.2 0 0"><joint name="elbow" axis="0 1 0" pos="0.01 0 0.02"/>
  <geom size="0.05" mass="1"/><body name="tip" pos="0.1 0 0"/></body></body></body></worldbody>
  </mujoco>"""
ARM = """arm:
  ros__parameters: {joints: [shoulder, elbow], k_gains: [50.0, 50.0], d_gains: [5.0, 5.0]}
"""


def test_an_mjcf_lacks_what_must_be_given(tmp_path: Path) -> None:
    text, given = MJCF.format(""), {"name": "bare", "velocity": (2.0,), "torque": (20.0,)}
    found = take(tmp_path, text, ARM, "arm.xml", **given)
    assert found.robot.chain.base_frame == "base" and found.robot.chain.tool_frame == "tip"
    # The elbow turns about a point beside its body's origin: at 90 degrees about y, what was
    # (0.09, 0, -0.02) from there is (-0.02, 0, -0.09).
    tool = forward(found.robot.chain, np.array([0.0, np.pi / 2]))[:3, 3]
    np.testing.assert_allclose(tool, (0.19, 0.0, -0.07), atol=1e-12)
    for left_out, message in (("velocity", "give --velocity"), ("torque", "has no torque limit")):
        rest = {name: value for name, value in given.items() if name != left_out}
        with pytest.raises(ValueError, match=message):
            take(tmp_path, text, ARM, "arm.xml", **rest)
    with pytest.raises(ValueError, match="'shoulder': expected ref 0"):
        take(tmp_path, MJCF.format('ref="1"'), ARM, "arm.xml", **given)
    with pytest.raises(ValueError, match="'shoulder': expected a hinge"):
        take(tmp_path, MJCF.format('type="slide"'), ARM, "arm.xml", **given)
    with pytest.raises(ValueError, match=r"the tool 'nail' is not there. Bodies: .* sites: \[\]"):
        take(tmp_path, text, ARM, "arm.xml", **(given | {"tool": "nail"}))


def test_a_model_that_is_gone_or_another_is_a_line(tmp_path: Path) -> None:
    robot = with_model(take(tmp_path), tmp_path)
    Path(robot.model).write_text(MJCF.format(""))
    with pytest.raises(ValueError, match=r"'small': .*'small_base' is not there.*import it again"):
        add_robot(mujoco.MjSpec(), robot)
    Path(robot.model).unlink()
    with pytest.raises(ValueError, match=r"'small': .*No such file.*import it again"):
        add_robot(mujoco.MjSpec(), robot)
