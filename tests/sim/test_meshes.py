"""Full-detail meshes of a small Menagerie that the test writes: seen in place, motion untouched."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest

from sim2arm.core.robots import FR3, PANDA, Robot
from sim2arm.core.transforms import quat_from_matrix
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.robots.franka import add_robot
from sim2arm.sim.robots.meshes import use_meshes

EVERY_ROBOT = pytest.mark.parametrize("robot", [PANDA, FR3], ids=["panda", "fr3"])
PLACE = 'pos="0.01 0.02 -0.03" euler="20 0 40"'  # of a mesh in its body [m], [deg]


def write_mesh(path: Path, length: float) -> None:
    """Write a tetrahedron with edges along the axes [m]; its centre is not at the origin."""
    corners = [(0, 0, 0), (length, 0, 0), (0, 0.5 * length, 0), (0, 0, 0.3 * length)]
    lines = [f"v {x} {y} {z}" for x, y, z in corners]
    path.write_text("\n".join([*lines, "f 1 3 2", "f 1 2 4", "f 2 3 4", "f 3 1 4", ""]))


def write_menagerie(root: Path, *, shift: float = 0.0, turn: float = 0.0) -> Path:
    """Write both models; link 4 of the arms is shifted along x [m] and turned about z [rad]."""
    for folder, entry, prefix in (
        ("franka_fr3", "fr3", "fr3_link"),
        ("franka_emika_panda", "panda", "link"),
    ):
        assets = root / folder / "assets"
        assets.mkdir(parents=True)
        names = [f"link{i}" for i in range(8)] + ["hand", "finger"] * (entry == "panda")
        for i, name in enumerate(names):
            write_mesh(assets / f"{name}.obj", 0.05 + 0.01 * i)
        write_mesh(assets / "solid.obj", 0.1)
        meshes = "".join(f'<mesh file="{name}.obj" scale="1 1 2"/>' for name in names)
        body = write_hand() if entry == "panda" else ""
        for i in reversed(range(8)):
            body = write_body(f"{prefix}{i}", i, body, shift * (i == 4), turn * (i == 4))
        (root / folder / f"{entry}.xml").write_text(
            f"""<mujoco model="{entry}">
              <compiler meshdir="assets"/>
              <default><default class="seen">
                <geom type="mesh" group="2" contype="0" conaffinity="0"/>
              </default></default>
              <asset>
                <material name="paint" rgba="0.1 0.2 0.3 1" specular="0.7"/>
                {meshes}<mesh name="solid" file="solid.obj"/>
              </asset>
              <worldbody><body name="base" pos="0 0 0.5">{body}</body></worldbody>
            </mujoco>"""
        )
    return root


def write_body(name: str, i: int, children: str, shift: float, turn: float) -> str:
    """Return link i, in its parent as the chain says."""
    if i == 0:
        place, joint = "", ""
    else:
        T = FR3.chain.T_parent_joint[i - 1] @ np.array(
            [
                [np.cos(turn), -np.sin(turn), 0, 0],
                [np.sin(turn), np.cos(turn), 0, 0],
                [0, 0, 1, 0],
                [0, 0, 0, 1],
            ]
        )
        T[0, 3] += shift
        quat = 2.0 * quat_from_matrix(T[:3, :3])  # need not be of length 1
        place = f'pos="{write(T[:3, 3])}" quat="{write(quat)}"'
        joint = f'<joint name="joint{i}" axis="0 0 1"/>'
    inertia = '<inertial mass="1" pos="0 0 0" diaginertia="1 1 1"/>'
    return f"""<body name="{name}" {place}>{inertia}{joint}
      <geom class="seen" mesh="link{i}" material="paint" {PLACE}/>
      <geom type="mesh" mesh="solid" group="3"/>{children}</body>"""


def write_hand() -> str:
    """Return flange, hand and fingers of the Panda."""
    finger = '<geom class="seen" mesh="finger" rgba="0.9 0.8 0.7 1"/>'
    inertia = '<inertial mass="1" pos="0 0 0" diaginertia="1 1 1"/>'
    sides = "".join(
        f"""<body name="{side}_finger" pos="0 0 0.0584" {quat}>{inertia}
        <joint type="slide" axis="0 1 0"/>{finger}</body>"""
        for side, quat in (("left", ""), ("right", 'quat="0 0 0 1"'))
    )
    return f"""<body name="link8" pos="0 0 0.107"><body name="hand" euler="0 0 -45">
      <geom class="seen" mesh="hand" material="paint" {PLACE}/>{sides}</body></body>"""


def write(numbers: np.ndarray) -> str:
    """Return numbers as MJCF writes them."""
    return " ".join(repr(float(x)) for x in numbers)


@pytest.fixture
def menagerie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    return write_menagerie(tmp_path)


def make_scene(robot: Robot) -> mujoco.MjSpec:
    spec = mujoco.MjSpec()
    add_robot(spec, robot)
    return spec


def corners(model: mujoco.MjModel, data: mujoco.MjData, body: str) -> np.ndarray:
    """Return the corners of the meshes seen on a body, in the world (n, 3), sorted [m]."""
    found = []
    for i in np.flatnonzero((model.geom_bodyid == model.body(body).id) & (model.geom_group == 2)):
        if model.geom_type[i] == mujoco.mjtGeom.mjGEOM_MESH:
            mesh = model.geom_dataid[i]
            start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
            vertices = model.mesh_vert[start : start + count]
            found.append(vertices @ data.geom_xmat[i].reshape(3, 3).T + data.geom_xpos[i])
    points = np.concatenate(found)
    return points[np.lexsort(np.round(points, 5).T)]


@EVERY_ROBOT
def test_meshes_are_where_menagerie_has_them(menagerie: Path, robot: Robot) -> None:
    spec = make_scene(robot)
    use_meshes(spec, robot)
    model = spec.compile()
    # All of Menagerie's joints and its fingers; ours stands at the origin, theirs 0.5 m above it.
    theirs = mujoco.MjModel.from_xml_path(str(menagerie / "franka_emika_panda" / "panda.xml"))
    q = np.concatenate([np.random.default_rng(0).uniform(-1.0, 1.0, 7), [0.01, 0.01]])
    data, their_data = mujoco.MjData(model), mujoco.MjData(theirs)
    data.qpos[:], their_data.qpos[:] = q, q
    mujoco.mj_kinematics(model, data)
    mujoco.mj_kinematics(theirs, their_data)
    pairs = {f"link{i}": f"link{i}" for i in range(8)} | {"hand": "hand"}
    pairs |= {"leftfinger": "left_finger", "rightfinger": "right_finger"}
    for ours, name in pairs.items():
        expected = corners(theirs, their_data, name) - [0.0, 0.0, 0.5]
        assert len(expected) == 4  # the tetrahedron
        np.testing.assert_allclose(
            corners(model, data, f"{robot.name}_{ours}"), expected, atol=1e-6
        )


@EVERY_ROBOT
def test_only_what_is_seen_changes(menagerie: Path, robot: Robot) -> None:
    spec = make_scene(robot)
    plain = spec.compile()
    use_meshes(spec, robot)
    model = spec.compile()
    seen = (model.geom_group == 2) & (model.geom_type != mujoco.mjtGeom.mjGEOM_MESH)
    left = {model.geom(int(i)).name for i in np.flatnonzero(seen)}
    assert left == {f"{robot.name}_leftpad", f"{robot.name}_rightpad"}
    for field in (
        "body_mass",
        "body_inertia",
        "body_ipos",
        "body_iquat",
        "dof_M0",
        "actuator_gear",
    ):
        np.testing.assert_array_equal(getattr(model, field), getattr(plain, field))
    for field in (
        "geom_type",
        "geom_size",
        "geom_pos",
        "geom_quat",
        "geom_bodyid",
        "geom_friction",
    ):
        solid, before = (m.geom_conaffinity != 0 for m in (model, plain))
        np.testing.assert_array_equal(getattr(model, field)[solid], getattr(plain, field)[before])
    for kind in ("body", "jnt", "actuator", "site"):
        names = [mujoco_names(m, kind) for m in (model, plain)]
        assert names[0] == names[1]
    paint = model.geom_matid[model.geom_type == mujoco.mjtGeom.mjGEOM_MESH][0]
    np.testing.assert_allclose(model.mat_rgba[paint], [0.1, 0.2, 0.3, 1.0])
    assert model.mat_specular[paint] == pytest.approx(0.7)


def mujoco_names(model: mujoco.MjModel, kind: str) -> list[bytes]:
    starts = getattr(model, f"name_{kind}adr")
    return [model.names[i:].split(b"\0", 1)[0] for i in starts]


@pytest.mark.usefixtures("menagerie")
def test_the_motion_is_the_same_to_the_last_bit() -> None:
    paths = []
    for meshes in (False, True):
        arm = SimulatedArm("peg-insertion", "fr3", meshes=meshes)
        arm.reset(3)
        assert bool(arm.world.model.nmesh) == meshes
        arm.set_gains(0.3 * arm.kp, arm.kd)  # a soft arm, pushed: peg and pads stay in contact
        arm.world.joints(FR3.joint_names).dq[:] = 0.5
        path = []
        for _ in range(30):
            arm.step()
            path.append(arm.joint_state())
        assert arm.world.pair_force("fr3_leftfinger", "peg").abs().max() > 1.0
        paths.append(np.array([np.concatenate([q, dq], axis=-1) for q, dq in path]))
    assert np.abs(paths[0][-1] - paths[0][0]).max() > 0.01
    np.testing.assert_array_equal(paths[0], paths[1])


@pytest.mark.parametrize(
    ("shift", "turn", "message"),
    [
        (0.0012, 0.0, r"'fr3_link4' lies 1\.20 mm and 0\.00 deg from where 'fr3_link4' is"),
        (0.0, 0.0020, r"'fr3_link4' lies 0\.00 mm and 0\.11 deg"),  # 0.002 * 57.3 = 0.1146 deg
    ],
)
def test_other_frames_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: float, turn: float, message: str
) -> None:
    monkeypatch.setenv("MENAGERIE_ROOT", str(write_menagerie(tmp_path, shift=shift, turn=turn)))
    spec = make_scene(FR3)
    geoms = len(spec.geoms)
    with pytest.raises(ValueError, match=message):
        use_meshes(spec, FR3)
    assert len(spec.geoms) == geoms


def test_small_differences_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_menagerie(tmp_path, shift=0.0008, turn=0.0015)  # 0.086 deg
    monkeypatch.setenv("MENAGERIE_ROOT", str(root))
    use_meshes(make_scene(FR3), FR3)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'sim2arm\[meshes\]'") as caught:
        use_meshes(make_scene(FR3), FR3)
    assert caught.value.name == "mujoco_menagerie"  # the command line knows its extra
    assert "\n" not in str(caught.value)


def test_a_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MENAGERIE_ROOT", raising=False)
    monkeypatch.setenv("MENAGERIE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MENAGERIE_BASE_URL", (tmp_path / "nowhere").as_uri())
    with pytest.raises(OSError, match=r"'franka_fr3' are not here .*not found") as caught:
        use_meshes(make_scene(FR3), FR3)
    assert "MENAGERIE_ROOT" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_incomplete_copy_is_named(menagerie: Path) -> None:
    (menagerie / "franka_fr3" / "assets" / "link5.obj").unlink()
    with pytest.raises(OSError, match=r"link5\.obj does not exist"):
        use_meshes(make_scene(FR3), FR3)
    (menagerie / "franka_fr3" / "fr3.xml").unlink()
    with pytest.raises(OSError, match=r"fr3\.xml does not exist"):
        use_meshes(make_scene(FR3), FR3)


def test_renamed_bodies_and_a_scene_without_the_robot_are_refused(menagerie: Path) -> None:
    path = menagerie / "franka_emika_panda" / "panda.xml"
    path.write_text(path.read_text().replace('name="left_finger"', 'name="finger_left"'))
    with pytest.raises(ValueError, match="body 'left_finger' is not in the model"):
        use_meshes(make_scene(FR3), FR3)
    with pytest.raises(ValueError, match="'fr3_link0' is not in the scene: call add_robot first"):
        use_meshes(mujoco.MjSpec(), FR3)
