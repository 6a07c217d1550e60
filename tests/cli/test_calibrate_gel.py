# pyright: standard, reportMissingModuleSource=false
"""`calibrate gel` on a raw log of an arm that presses; training on the gel that was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.calibration.gel_file import read_gel
from sim2arm.calibration.gel_press import GelPressCfg, Indenter, find_gel
from sim2arm.calibration.gel_report import make_record
from sim2arm.cli import main as cli
from sim2arm.cli.arm_records import measured_touch
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.runs import GEL, build_env, find_touch, read_config
from sim2arm.cli.touches import TOUCHES
from sim2arm.cli.train import train
from sim2arm.core.calibration_file import read_record, write_record
from sim2arm.core.kinematics import forward_and_jacobian
from sim2arm.core.robots import FR3
from sim2arm.sim.gel_terms import GelFriction, GelStiffness
from sim2arm.sim.tactile.field import ForceField
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from geometry_msgs.msg import WrenchStamped  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402

from sim2arm_ros.bag.description import Topic  # noqa: E402
from sim2arm_ros.bag.folder import BagFolder  # noqa: E402
from sim2arm_ros.convert import joint_state_message, to_stamp  # noqa: E402
from tests.calibration.test_gel_press import (  # noqa: E402
    DAMPING,
    FRICTION,
    STAMP,
    STIFFNESS,
    pressing,
    ways,
)

RATE = 200.0
HOME = np.array(FR3.home)


def joints_at(offsets: np.ndarray) -> np.ndarray:
    """Return joints (T, 7) whose tool is moved by offsets (T, 3) in its own axes, not turned."""
    T0 = forward_and_jacobian(FR3.chain, HOME)[0]
    wanted = T0[:3, 3] + offsets @ T0[:3, :3].T
    q = np.tile(HOME, (len(offsets), 1))
    for _ in range(6):
        T, J = forward_and_jacobian(FR3.chain, q)
        turn = T0[:3, :3] @ np.swapaxes(T[:, :3, :3], -1, -2)
        axis = 0.5 * np.stack(
            [turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0],
             turn[:, 1, 0] - turn[:, 0, 1]], axis=1
        )  # fmt: skip
        left = np.concatenate([wanted - T[:, :3, 3], axis], axis=1)
        q = q + np.einsum("tij,tj->ti", np.linalg.pinv(J), left)
    return q


def write_log(folder: Path, *, frame: str = "tool", sign: float = -1.0, turn: float = 0.0) -> Path:
    """Write a log of presses along z of the tool; the sensor says what the tool feels (-1)."""
    depth, slide = ways(RATE)
    q = joints_at(np.concatenate([slide, depth[:, None]], axis=1))
    q[:, 6] += turn * np.clip(np.linspace(-1.0, 1.0, len(q)), 0.0, 1.0)
    press = pressing(STAMP)
    # In the axes of the tool: on it pushes -force along z, and the drag across.
    felt = -sign * np.concatenate([press.drag, -press.force[:, None]], axis=1)
    if frame == "base":
        felt = felt @ forward_and_jacobian(FR3.chain, HOME)[0][:3, :3].T
    bag, messages = BagFolder(folder, {}), list[tuple[int, str, Any]]()
    kinds = {"/joint_states": "sensor_msgs/msg/JointState",
             "/wrench": "geometry_msgs/msg/WrenchStamped"}  # fmt: skip
    for name, kind in kinds.items():
        bag.add_topic(Topic(name=name, type=kind))
    for i, (joints, force) in enumerate(zip(q, felt, strict=True)):
        stamp = round((10.0 + i / RATE) * 1e9)
        state = joint_state_message(FR3.joint_names, np.round(joints, 6), 0 * joints, stamp)
        messages.append((stamp, "/joint_states", state))
        wrench = WrenchStamped()
        wrench.header.stamp = to_stamp(stamp)
        wrench.wrench.force.x, wrench.wrench.force.y, wrench.wrench.force.z = force.tolist()
        messages.append((stamp + 1000, "/wrench", wrench))
    for number, (stamp, topic, message) in enumerate(messages):
        bag.add(topic, number // 2, stamp, stamp, bytes(serialize_message(message)))
    bag.finish()
    return folder


def calibrate(log: Path, out: Path, *options: str) -> int:
    argv = ["calibrate", "gel", str(log), "--wrench-topic", "/wrench", "--out", str(out)]
    return cli.main([*argv, *(options or ("--area-mm2", "64"))])


@pytest.mark.parametrize(("frame", "sign"), [("tool", -1.0), ("tool", 1.0), ("base", -1.0)])
def test_presses_of_an_arm_tell_its_gel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], frame: str, sign: float
) -> None:
    log = write_log(tmp_path / "log", frame=frame, sign=sign)
    out = tmp_path / "mini.yaml"
    assert calibrate(log, out, "--area-mm2", "64", "--frame", frame) == 0
    said = capsys.readouterr().out
    assert "from 8 presses" in said and "Friction 0.8" in said and f"--gel {out}" in said
    gel = read_gel(out)
    assert gel.stiffness[0] == pytest.approx(STIFFNESS, rel=0.02)
    assert gel.friction is not None and gel.friction[0] == pytest.approx(FRICTION, rel=0.01)
    damping = read_record(out).values["damping"].numbers[0]
    assert damping == pytest.approx(DAMPING, rel=0.3)
    assert (tmp_path / "mini.html").is_file()


def test_what_cannot_be_told_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, out = write_log(tmp_path / "log"), tmp_path / "x.yaml"
    turned = write_log(tmp_path / "turned", turn=0.3)
    for where, options, words in (
        (log, ("--ball-radius-mm", "0"), "area of a flat stamp or the radius of a ball"),
        (log, ("--area-mm2", "64", "--ball-radius-mm", "3"), "area of a flat stamp or the radius"),
        (log, ("--area-mm2", "64", "--normal", "x"), "expected 6 presses|does not grow|explains"),
        (log, ("--area-mm2", "64", "--wrench-topic", "/ft"), "/ft is not in the log"),
        (log, ("--area-mm2", "64", "--joints-topic", "/wrench"), "expected joint states"),
        (turned, ("--area-mm2", "64", "--normal", "x"), "the tool turned by"),
        (tmp_path / "none", ("--area-mm2", "64"), "none"),
        (log, ("--area-mm2", "64", "--seconds", "0"), "--seconds"),
    ):
        assert calibrate(where, out, *options) == 2, options
        error = capsys.readouterr().err
        assert any(word in error for word in words.split("|")), (options, error)
        assert error.count("\n") == 1 and not out.exists()


# -- training ----------------------------------------------------------------------------------


def write_gel(path: Path, **overrides: Any) -> Path:
    found = replace(find_gel(pressing(STAMP), STAMP), **overrides)
    write_record(path, make_record(found, Indenter(area=64e-6), GelPressCfg(), device="x"), {})
    return path


def make_cfg(out: Path, **overrides: object) -> TrainCfg:
    small = replace(EXPERIMENTS["peg-placement-ppo"][1], num_envs=3, iterations=1, trial_episodes=1)
    cfg = replace(small, algo=replace(small.algo, rollout=4, hidden=(4,)), out=out)
    return replace(cfg, **overrides)


def test_gels_are_drawn_about_what_was_measured(tmp_path: Path) -> None:
    file = write_gel(tmp_path / "gel.yaml")
    gel = read_gel(file)
    cfg = make_cfg(tmp_path / "run", touch="field", gel=str(file), randomization="gel")
    env = build_env(cfg, cfg.num_envs)
    for kind, told in ((GelStiffness, gel.stiffness), (GelFriction, gel.friction)):
        (term,) = [t for t in env.randomizer.terms if type(t) is kind]
        assert told is not None
        share = 2.0 * told[1] / told[0]
        assert (term.low, term.high) == pytest.approx((1.0 - share, 1.0 + share))
    env.reset()
    forces = getattr(env.world, "law")  # noqa: B009
    assert isinstance(forces, ForceField)
    share = 2.0 * gel.stiffness[1] / gel.stiffness[0]
    stiffness = forces.numbers[..., 0] / gel.stiffness[0]
    assert (abs(stiffness - 1.0) <= share * 1.01).all() and len(set(stiffness[:, 0].tolist())) == 3


def test_what_was_not_told_goes_with_the_stiffness(tmp_path: Path) -> None:
    before = TOUCHES["field"].law
    file = write_gel(tmp_path / "gel.yaml", friction=None)
    law = measured_touch(TOUCHES["field"], str(file)).law
    factor = law.stiffness / before.stiffness
    assert law.friction == before.friction and law.shear == pytest.approx(factor * before.shear)
    cfg = make_cfg(tmp_path / "run", touch="gel", gel=str(file), randomization="gel")
    (term,) = [t for t in build_env(cfg, 1).randomizer.terms if type(t) is GelFriction]
    assert (term.low, term.high) == (GelFriction().low, GelFriction().high)  # the guess stays


def test_a_run_keeps_it_and_goes_on_with_no_other(tmp_path: Path) -> None:
    file, out = write_gel(tmp_path / "gel.yaml"), tmp_path / "run"
    cfg = make_cfg(out, touch="gel", gel=str(file))
    train("peg-placement-ppo", cfg)
    file.rename(tmp_path / "elsewhere.yaml")
    kept = read_config(out)[1]
    assert kept.gel == str(out / GEL)
    touch = find_touch(kept.touch, kept.gel)
    assert touch is not None and touch.law.stiffness == pytest.approx(STIFFNESS, rel=0.02)
    other = write_gel(tmp_path / "other.yaml", friction=None)
    with pytest.raises(cli.UserError, match=r"with other settings \(gel: "):
        train("peg-placement-ppo", replace(cfg, resume=True, iterations=2, gel=str(other)))


def test_a_gel_without_touch_or_no_record_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_gel(tmp_path / "gel.yaml")
    for options, words in (
        (["--gel", str(file)], "--gel: the pads are no gels: add --touch"),
        (["--gel", str(tmp_path / "none.yaml"), "--touch", "gel"], "none.yaml"),
    ):
        argv = ["train", "peg-placement-ppo", *options, "--out", str(tmp_path / "run")]
        assert cli.main(argv) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
