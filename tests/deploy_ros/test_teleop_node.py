# pyright: standard, reportMissingModuleSource=false
"""A hand through real processes: the arm follows it, stands while it is silent, stops without it.

The script device stands for the hand; budgets are those of the rig.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from sim2arm_ros.supervisor import OperationError  # noqa: E402

from .rig import (  # noqa: E402
    Rig,
    assert_no_command_since,
    assert_speed,
    assert_stopped,
)
from .swinging import write_swinging  # noqa: E402
from .test_faults import REACTION  # noqa: E402
from .witness import assert_fine  # noqa: E402

pytestmark = pytest.mark.timeout(120)

ROUND = """
- {seconds: 0.3}
- {seconds: 1.0, twist: [0, 0.8, 0, 0, 0, 0]}
- {seconds: 1.0, silent: true}
- {seconds: 0.4, twist: [0, -0.8, 0, 0, 0, 0]}
- {seconds: 0.2}
- {seconds: 2.0, twist: [0, -0.4, 0, 0, 0, 0]}
"""
SCRIPT = 15 * ROUND  # who misses a rest on a busy machine finds another one


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("teleop")
    script = folder / "script.yaml"
    script.write_text(SCRIPT)
    rig = Rig(write_swinging(folder / "bundle"), folder / "logs", device=f"script:{script}")
    yield rig
    rig.close()


@pytest.fixture
def rig(processes: Rig) -> Iterator[Rig]:
    """The running processes; every command is judged, as in `test_faults`."""
    processes.relay.states.clear()
    yield processes
    assert_speed(processes)
    assert_fine([message for _, message in processes.relay.commands], processes.relay.references)


def hand(rig: Rig) -> str:
    """Return what the node says of the hand: engaged, held or silent."""
    return rig.operator.policy.get("hand", "")


def take_over(rig: Rig) -> None:
    """Bring everything up until the hand moves the arm, with the script from its beginning.

    A busy machine may make the gate hold before: then once more.
    """
    for _ in range(5):
        rig.bring_up()
        rig.judge()
        for label in ("cleanup", "configure"):  # opens the device anew
            assert rig.operator.transition("policy_node", label)
        rig.operator.policy.clear()
        rig.operator.activate("policy_node")
        try:
            rig.wait(lambda: (hand(rig) and moves(rig)) or rig.policy_stopped(), "arm that moves")
        except OperationError as error:
            told = f"gate {rig.state()} {rig.reason()!r}, hand {hand(rig)!r}"
            raise AssertionError(f"{error}: {told}, {rig.operator.policy_message!r}") from None
        if not rig.policy_stopped():
            return
    raise AssertionError(f"the hand never moved the arm: {rig.state()} {rig.reason()}")


def moves(rig: Rig, least: float = 0.05) -> bool:
    recent = rig.relay.states[-12:]  # a tenth of a second
    return len(recent) == 12 and max(float(np.abs(dq).max()) for *_, dq in recent) > least


def stood_in_silence(rig: Rig) -> bool:
    """See the arm stand while the hand is silent, and go on; return whether the gate let it."""
    take_over(rig)
    silent = 0
    for state, word in (
        ("silent", "the script is silent"),
        ("held", "let the device rest once"),
        ("engaged", ""),
    ):
        rig.wait(lambda: hand(rig) == state or rig.policy_stopped(), f"hand that is {state}")  # noqa: B023
        if rig.policy_stopped():
            return False
        assert word in rig.operator.policy_message
        if state == "silent":
            silent = rig.relay.states[-1][1]
    late = [dq for _, stamp, _, dq in rig.relay.states if stamp > silent + 0.5e9]
    stood = late[: len(late) // 2]  # it is told that it follows a little after it does
    assert len(stood) > 10 and max(float(np.abs(dq).max()) for dq in stood) < 0.01
    rig.wait(lambda: moves(rig) or rig.policy_stopped(), "arm that moves")
    return rig.state() == "ACTIVE"


def test_the_arm_follows_stands_in_silence_and_goes_on_from_there(rig: Rig) -> None:
    """In one session; a busy machine may make the gate hold meanwhile: then once more."""
    assert any(stood_in_silence(rig) for _ in range(5))
    assert len({m.header.frame_id.rpartition("/")[0] for _, m in rig.relay.commands}) == 1
    ends = np.array([m.points[1].positions for _, m in rig.relay.commands])
    # No jump: a tick moves the tool by 1.6 mm at most, 0.3 m from an axis 5 mrad, and catches up.
    assert np.abs(np.diff(ends, axis=0)).max() < 0.02


def test_a_node_that_is_killed_leaves_an_arm_that_stops(rig: Rig) -> None:
    take_over(rig)
    rig.send_signal("policy_node", signal.SIGKILL)
    since = time.monotonic()
    rig.wait(lambda: rig.state() == "HOLD", "HOLD")
    assert_stopped(rig, since)
    assert_no_command_since(rig, since, grace=REACTION)


def test_stale_joint_states_end_it_and_it_does_not_go_on_alone(rig: Rig) -> None:
    for _ in range(5):
        take_over(rig)
        rig.relay.changes["/joint_states"] = lambda message: None
        since = time.monotonic()
        rig.wait(rig.policy_stopped, "node that stops")
        # In its own words, or in those of the gate; a busy machine may have been faster.
        if re.search("joint_position.*age|joint states", rig.operator.policy_message):
            break
    else:
        raise AssertionError(f"it stopped because of {rig.operator.policy_message!r}")
    assert_stopped(rig, since)
    rig.relay.changes.clear()
    rig.pause(0.3)
    assert rig.policy_stopped()
    assert_no_command_since(rig, since, grace=REACTION)
