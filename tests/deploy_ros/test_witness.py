# pyright: standard, reportMissingModuleSource=false
"""The witness of the fault tests: what it lets through, and what it does not."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from sim2arm.core.robots import FR3
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from sim2arm_ros.convert import command_message  # noqa: E402

from .test_gate_machine import DT, HOME, Bench  # noqa: E402
from .witness import assert_fine  # noqa: E402

REFERENCES = [(0, HOME)]


def commands(ticks: int, seed: int) -> list[JointTrajectory]:
    """Return what the gate publishes where requests come late and their stamps fall back."""
    random, found = np.random.default_rng(seed), list[JointTrajectory]()
    bench = Bench(lead_s=DT, request_timeout_s=0.3)
    bench.make_ready()
    for k in range(ticks):
        bench.pass_time(DT)
        bench.arm()
        old = random.uniform(0.0, 0.012) + (0.012 if k > ticks / 2 else 0.0)
        way = np.sign(np.sin(k / 7))
        action = (0.0, way, -way, 0.0, 0.0, 0.0)
        request = bench.request(action=action, stamp_ns=bench.ros - int(old * 1e9))
        late = random.uniform(0.0, 0.016) if random.random() < 0.2 else 0.0
        bench.pass_time(late)
        command = bench.send(request)
        bench.pass_time(-late)
        if command is not None:
            tag = f"{request.session}/{request.tick}"
            message = command_message(
                command.trajectory, command.elapsed, FR3.joint_names, command.stamp_ns, tag
            )
            found.append(message)
    assert bench.machine.counters.late > 3
    return found


def test_late_commands_while_starts_move_are_one_motion() -> None:
    for seed in range(3):
        messages = commands(120, seed)
        assert_fine(messages, REFERENCES)
        assert len({len(message.points) for message in messages}) > 1


def test_a_jump_is_seen_wherever_it_is() -> None:
    messages = commands(60, 0)
    for k in (1, 30, len(messages) - 1):
        wrong = copy.deepcopy(messages)
        for point in wrong[k].points:
            point.positions = [q + 0.01 for q in point.positions]
        with pytest.raises(AssertionError):
            assert_fine(wrong, REFERENCES)
