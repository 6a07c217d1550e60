# pyright: standard
"""Numbers of an arm from a recording of it: found where they are known, named where not told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from sim2arm.calibration.dynamics_file import read_dynamics
from sim2arm.calibration.dynamics_report import make_record, summary, write_dynamics
from sim2arm.calibration.excitation import ExcitationCfg, make_excitation
from sim2arm.calibration.identified import Identified
from sim2arm.core.bodies import Clearances
from sim2arm.core.robot_files import find_robot
from sim2arm.core.trajectory import Trajectory
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.identification import ArmReplay, Recording, identify, longest_run
from sim2arm.sim.measured_terms import MeasuredArm, measured_arm

Array = np.ndarray
ROBOT = find_robot("ur5e")
SECONDS = 9.0
JOINTS = ROBOT.joint_names
TRUE = {
    **{f"coulomb/{name}": 4.0 - 0.5 * k for k, name in enumerate(JOINTS)},
    **{f"viscous/{name}": 2.0 + 0.3 * k for k, name in enumerate(JOINTS)},
    "kp": 1.1, "kd": 0.9, "payload/mass": 0.8, "payload/x": 0.03, "payload/y": -0.02,
    "payload/z": 0.05,
}  # fmt: skip


def term(numbers: dict[str, float]) -> MeasuredArm:
    return MeasuredArm(
        joints=JOINTS, tool=ROBOT.chain.tool_frame, numbers={k: (v, v) for k, v in numbers.items()},
        units=dict.fromkeys(numbers, "1"),
    )  # fmt: skip


def record(numbers: dict[str, float], *, late: int = 0, noise: float = 1e-4) -> Recording:
    """Let a simulated arm with these numbers move, and measure it; `late` counts substeps."""
    hidden = term(numbers)
    arm = SimulatedArm("reach", ROBOT.name, physics=(hidden,))
    arm.change_physics(np.full(hidden.count, 0.5))
    arm.reset(3)
    start = arm.joint_state()[0][0]
    motion = start + make_excitation(
        ROBOT, 1 / 60, ExcitationCfg(seconds=SECONDS, tries=3, share=0.5), table_height=-1.0
    )
    times = np.arange(len(motion)) / 60
    speeds = CubicSpline(times, motion, bc_type="clamped")(times, 1)
    arm.command(Trajectory(times=times[None], q=motion[None], dq=speeds[None]), after=late)
    told, stamps, measured = list[tuple[Array, Array]](), list[float](), list[Array]()
    for k in range(len(motion) - 2):
        told.append((motion[k], speeds[k]))
        stamps.append(k / 60)
        measured.append(arm.joint_state()[0][0])
        arm.step()
    q = np.stack(measured)
    rng = np.random.default_rng(0)
    q = np.round((q + noise * rng.normal(size=q.shape)) / noise) * noise
    return Recording(
        told_stamps=np.array(stamps), told_q=np.stack([a for a, _ in told]),
        told_dq=np.stack([b for _, b in told]), stamps=np.array(stamps), q=q,
    )  # fmt: skip


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(TRUE)


@pytest.fixture(scope="module")
def replay(recording: Recording) -> ArmReplay:
    return ArmReplay(ROBOT, recording, threads=1)


@pytest.fixture(scope="module")
def found(replay: ArmReplay) -> Identified:
    return identify(replay, ["coulomb", "viscous", "kp", "kd", "payload"])


def test_friction_gains_and_payload_are_found(found: Identified) -> None:
    for number in found.numbers:
        true = TRUE[number.name]
        kind = number.name.partition("/")[0]
        share = 0.15 if kind == "viscous" else 0.05  # in 9 s
        size = 0.05 if number.name[:-1] == "payload/" else abs(true)
        assert abs(number.value - true) < share * size, number
    assert found.held_after.max() < 2e-4 < 1e-3 < found.held_before.max()  # the noise is left
    assert found.told.all()


def test_intervals_hold_most_of_them(found: Identified) -> None:
    off = np.array([n.value - TRUE[n.name] for n in found.numbers])
    inside = np.abs(off) < 1.96 * found.sigma
    assert inside.mean() >= 0.8
    assert np.median(1.96 * found.sigma / np.maximum(np.abs(off), 1e-12)) < 30.0


def test_a_delay_is_told_from_lag(recording: Recording) -> None:
    late = replace(recording, told_stamps=recording.told_stamps - 0.025)
    replay = ArmReplay(ROBOT, late, threads=1)
    found = identify(replay, ["coulomb", "kp", "payload/mass", "delay"])
    delay, sigma = found.value("delay")
    assert abs(delay - 0.025) < max(1.96 * sigma, 2e-3)
    with pytest.raises(KeyError):
        found.value("viscous/nobody")


def test_what_motion_does_not_tell_is_named(recording: Recording) -> None:
    """Without a payload nothing tells where it is."""
    bare = record({"kp": 1.0})
    found = identify(ArmReplay(ROBOT, bare, threads=1), ["payload"])
    assert [n.name for n in found.numbers] == ["payload/mass"] and found.told.all()
    assert set(found.missing) == {"payload/x", "payload/y", "payload/z"}
    assert found.numbers[0].value < 0.01
    written = make_record(found, device="ur5e", limit_mrad=50.0, settings={})
    assert any("Not told by this motion" in note and "payload/" in note for note in written.notes)
    assert "payload/x: not told" in summary(found)


def test_numbers_in_the_model_are_numbers_of_the_simulated_arm(
    recording: Recording, replay: ArmReplay
) -> None:
    values = np.array([n.value for n in replay.numbers])
    for k, number in enumerate(replay.numbers):
        values[k] = TRUE.get(number.name, values[k])
    (run,) = replay.run(values[None])
    assert np.abs(run - replay.measured).max() < 5e-4  # noise and steps of the encoders
    bare, full = replay.run(np.stack([[n.value for n in replay.numbers], values]))
    assert np.abs(bare - replay.measured).max() > 5e-3
    np.testing.assert_allclose(full, run, atol=1e-9)


# -- recordings --------------------------------------------------------------------------------


def test_of_a_recording_the_longest_run_from_rest_is_taken(recording: Recording) -> None:
    shift = recording.told_stamps[-1] + 1.0
    short = 200
    both = Recording(
        told_stamps=np.concatenate([recording.told_stamps[:short], recording.told_stamps + shift]),
        told_q=np.concatenate([recording.told_q[:short] + 1.0, recording.told_q]),
        told_dq=np.concatenate([recording.told_dq[:short], recording.told_dq]),
        stamps=np.concatenate([recording.stamps[:short], recording.stamps + shift]),
        q=np.concatenate([recording.q[:short] + 1.0, recording.q]),
    )
    run = longest_run(both, ROBOT)
    assert run.told_stamps[0] >= shift
    assert np.abs(run.told_dq[0]).max() < 1e-3
    moving = replace(recording, told_dq=recording.told_dq + 0.01)
    with pytest.raises(ValueError, match="never told to stand still"):
        longest_run(moving, ROBOT)


def test_an_arm_that_does_something_else_is_refused(recording: Recording) -> None:
    wrong = recording.q.copy()
    wrong[:, 2] -= 0.3
    replay = ArmReplay(ROBOT, replace(recording, q=wrong), threads=1)
    with pytest.raises(ValueError, match=f"joint '{JOINTS[2]}' is 1[67].. deg from where"):
        identify(replay, ["kp"])
    with pytest.raises(ValueError, match="expected some of armature, coulomb, delay"):
        identify(replay, ["nothing"])
    soon = replace(recording, told_stamps=recording.told_stamps - 0.15)  # later than is looked for
    with pytest.raises(ValueError, match=r"delay comes out at the end of what .* \(0\.1 s"):
        identify(ArmReplay(ROBOT, soon, threads=1), ["delay"])
    with pytest.raises(ValueError, match=r"1\.\d s of what was told and measured overlap"):
        ArmReplay(ROBOT, replace(
            recording, stamps=recording.stamps[:100], q=recording.q[:100]))  # fmt: skip
    with pytest.raises(ValueError, match="50 stamps or more that rise"):
        replace(recording, stamps=recording.stamps[::-1])


# -- records, training -------------------------------------------------------------------------


def test_a_record_becomes_the_arm_of_training(
    found: Identified, replay: ArmReplay, tmp_path: Path
) -> None:
    path = tmp_path / "ur5e-dynamics.yaml"
    motion = (replay.times, replay.measured, replay.measured + 1e-3, replay.measured)
    record = write_dynamics(
        path, found, JOINTS, motion,
        lambda pictures: make_record(
            found, device="ur5e", limit_mrad=1.0, settings={"held_out": 0.25}, pictures=pictures
        ),
    )  # fmt: skip
    assert record.problems == []
    told = read_dynamics(path)
    assert told.robot == "ur5e" and set(told.numbers) == set(TRUE)
    value, half = told.numbers["payload/mass"]
    assert abs(value - 0.8) < 0.04 and half == pytest.approx(1.96 * found.value("payload/mass")[1])
    assert told.units["viscous/" + JOINTS[0]] == "N m s/rad"
    made = measured_arm(told, ROBOT)
    ranges = {one.name: one for one in made.ranges()}
    trained = ranges["dynamics/payload/mass"]
    assert trained.low < value < trained.high and trained.unit == "kg"
    assert made.ranges(0.0)[0].low == made.ranges(0.0)[0].high
    with pytest.raises(ValueError, match="dynamics of 'ur5e', the arm is a 'fr3'"):
        measured_arm(told, find_robot("fr3"))


def test_an_identification_that_does_not_explain_is_not_read(
    found: Identified, tmp_path: Path
) -> None:
    from sim2arm.core.calibration_file import write_record

    record = make_record(found, device="ur5e", limit_mrad=1e-3, settings={})
    assert record.problems
    write_record(tmp_path / "x.yaml", record, {})
    with pytest.raises(ValueError, match="not accepted: held out"):
        read_dynamics(tmp_path / "x.yaml")


# -- excitation --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fr3", "ur5e", "so101"])
def test_excitation_keeps_the_limits_and_moves_every_joint(name: str) -> None:
    robot, cfg = find_robot(name), ExcitationCfg(seconds=12.0, tries=4)
    motion = make_excitation(robot, 1 / 60, cfg)
    again = make_excitation(robot, 1 / 60, cfg)
    np.testing.assert_array_equal(motion, again)
    assert motion.shape == (720, len(robot.joint_names))
    q, home = np.asarray(robot.home) + motion, np.asarray(robot.home)
    limits = robot.limits
    assert (q > limits.q_min).all() and (q < limits.q_max).all()
    assert np.abs(motion).max() <= cfg.most_rad + 1e-9
    speed = np.gradient(motion, 1 / 60, axis=0)
    assert (np.abs(speed) <= cfg.share * np.asarray(limits.dq_max) + 1e-9).all()
    bend = np.gradient(speed, 1 / 60, axis=0)
    assert (np.abs(bend) <= cfg.share * np.asarray(limits.ddq_max) + 1e-9).all()
    assert np.abs(motion[:55]).max() == 0.0 and np.abs(motion[-1]).max() < 1e-3
    assert (np.abs(motion).max(axis=0) > 0.005).all()
    if robot.body is not None:
        gaps = Clearances(robot.chain, robot.body)(home + motion)
        assert Clearances(robot.chain, robot.body)(home + 0.1 + motion).table.min() > 0.0
        assert gaps.itself.min() > robot.body.margin and gaps.table.min() > 0.0


def test_motion_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"share: expected 0\.02 to 0\.8, got 0\.9"):
        ExcitationCfg(share=0.9)
    with pytest.raises(ValueError, match="what the links of ur5e take up is not known"):
        make_excitation(replace(ROBOT, body=None), 1 / 60)
    with pytest.raises(ValueError, match="slowest_hz: expected less than fastest_hz"):
        ExcitationCfg(slowest_hz=2.0, fastest_hz=1.0)
    with pytest.raises(ValueError, match="tries: expected 1 or more"):
        ExcitationCfg(tries=0)
