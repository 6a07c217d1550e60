"""Training on the arm that was identified: its numbers in place of guesses, kept with the run."""

# pyright: standard

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from sim2arm.calibration.dynamics_report import make_record
from sim2arm.calibration.identified import Identified, Number
from sim2arm.cli import main as cli
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.runs import DYNAMICS, build_env, read_config, restore
from sim2arm.cli.train import train
from sim2arm.core.calibration_file import write_record
from sim2arm.core.contract import Provenance
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.measured_terms import MeasuredArm
from sim2arm.sim.physics_terms import Gains, JointDynamics
from sim2arm.sim.scene_view import model_of

NUMBERS = {
    "coulomb/fr3_joint1": (1.5, "N m"), "kp": (0.9, "1"), "kd": (1.2, "1"),
    "payload/mass": (0.4, "kg"), "delay": (0.012, "s"),
}  # fmt: skip
SIGMA = 0.001


def write_dynamics(path: Path, device: str = "fr3", **changes: float) -> Path:
    numbers = tuple(
        Number(name=name, value=changes.get(name, value), low=0.0, high=9.0, unit=unit, scale=1.0)
        for name, (value, unit) in NUMBERS.items()
    )
    n, joints = len(numbers), np.full(7, 1e-4)
    found = Identified(
        numbers=numbers, sigma=np.full(n, SIGMA), correlation=np.eye(n), before=10 * joints,
        after=joints, held_before=10 * joints, held_after=joints, seconds=20.0,
    )  # fmt: skip
    write_record(path, make_record(found, device=device, limit_mrad=1.0, settings={}), {})
    return path


def make_cfg(out: Path, **overrides: object) -> TrainCfg:
    small = replace(EXPERIMENTS["reach-ppo"][1], num_envs=3, iterations=1, trial_episodes=1)
    cfg = replace(small, algo=replace(small.algo, rollout=4, hidden=(4,)), out=out)
    return replace(cfg, **overrides)


def test_the_arm_is_drawn_about_what_was_measured(tmp_path: Path) -> None:
    cfg = make_cfg(tmp_path / "run", dynamics=str(write_dynamics(tmp_path / "d.yaml")))
    env = build_env(replace(cfg, randomization="arm"), cfg.num_envs)
    kinds = [type(term) for term in env.randomizer.terms]
    assert MeasuredArm in kinds and Gains not in kinds
    assert JointDynamics in kinds  # of what was not measured guesses stay
    assert kinds.index(JointDynamics) < kinds.index(MeasuredArm)
    ranges = {one.name: one for one in env.randomizer.ranges}
    half = 2.0 * 1.96 * SIGMA
    assert ranges["dynamics/kp"].low == pytest.approx(0.9 - half)
    assert ranges["dynamics/payload/mass"].high == pytest.approx(0.4 + half)
    env.reset()
    world, model = env.world, model_of(env.world)
    mass = world.field("body_mass")[:, model.body("payload").id]
    assert ((mass - 0.4).abs() <= half).all() and len(set(mass.tolist())) == 3
    dof = model.joint("fr3_joint1").dofadr[0]
    assert ((world.field("dof_frictionloss")[:, dof] - 1.5).abs() <= half).all()
    row = model.actuator("fr3_joint2").id
    gain = world.field("actuator_gainprm")[:, row, 0] / env.robot.kp[1]
    assert ((gain - 0.9).abs() <= half).all()
    lead = env.commands.lead[:, 1] / (env.robot.kd[1] / env.robot.kp[1])
    assert ((lead - 1.2 / 0.9).abs() < 0.02).all()
    other = world.field("dof_damping")[:, dof]
    assert len(set(other.tolist())) == 3
    law = make_contract(env, Provenance(experiment="x")).low_level
    kp = np.array(env.robot.kp)
    assert (np.array(law.kp_range)[:, 0] <= (0.9 - half) * kp + 1e-6).all()
    assert (np.array(law.kp_range)[:, 1] >= kp).all()
    assert env.commands.line is not None
    term = env.commands.line.term
    assert (term.low, term.high) == pytest.approx((0.012 - half, 0.012 + half))


def test_a_run_keeps_them_and_goes_on_with_no_others(tmp_path: Path) -> None:
    measured, out = write_dynamics(tmp_path / "d.yaml"), tmp_path / "run"
    cfg = make_cfg(out, dynamics=str(measured))
    train("reach-ppo", cfg)
    measured.rename(tmp_path / "elsewhere.yaml")
    assert read_config(out)[1].dynamics == str(out / DYNAMICS)
    env = cast(Env, restore(out)[0].env)
    assert any(isinstance(term, MeasuredArm) for term in env.randomizer.terms)
    assert cli.main(["export", str(out)]) == 0
    assert "dynamics/payload/mass" in (out / "bundle" / "contract.yaml").read_text()
    other = write_dynamics(tmp_path / "other.yaml", kp=1.1)
    with pytest.raises(cli.UserError, match=r"with other settings \(dynamics: "):
        train("reach-ppo", replace(cfg, resume=True, iterations=2, dynamics=str(other)))
    train("reach-ppo", replace(cfg, resume=True, iterations=2, dynamics=str(out / DYNAMICS)))


def test_what_is_of_another_arm_or_no_record_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file, message in (
        (write_dynamics(tmp_path / "d.yaml", device="panda"), "dynamics of 'panda', the arm is"),
        (tmp_path / "nothing.yaml", "nothing.yaml"),
    ):
        argv = ["train", "reach-ppo", "--dynamics", str(file), "--out", str(tmp_path / "run")]
        assert cli.main(argv) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
