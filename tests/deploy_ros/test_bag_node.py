# pyright: standard, reportMissingModuleSource=false
"""Recordings once more: what is played, what never is, and that no gate takes them for an arm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from sim2arm_ros import bag_player  # noqa: E402
from sim2arm_ros.bag_node import BagNode  # noqa: E402
from sim2arm_ros.bag_topics import RECORDING  # noqa: E402
from sim2arm_ros.convert import to_ns  # noqa: E402
from sim2arm_ros.gate_node import GateNode  # noqa: E402
from sim2arm_ros.launcher import private_domain  # noqa: E402
from sim2arm_ros.node_support import latched, streaming  # noqa: E402

from .logs import COMMAND, GOAL, JOINTS, REQUEST, MadeUp  # noqa: E402
from .rig import COMMANDS  # noqa: E402
from .swinging import swinging_contract, write_swinging  # noqa: E402

TICKS = 12
"""0.2 s of a log."""


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A domain of its own, of rclpy's default context."""
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bag_player, "_DISCOVERY_S", 0.1)
    yield
    rclpy.try_shutdown()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return MadeUp(contract=swinging_contract()).run(TICKS).write(tmp_path / "log")


Sent = list[tuple[str, int, bytes]]


@pytest.fixture
def play(domain: None, log: Path) -> Iterator[Callable[..., tuple[BagNode, Sent]]]:
    """Makes nodes, and what they publish: topic, ROS time and bytes."""
    made: list[BagNode] = []

    def make(**parameters: Any) -> tuple[BagNode, Sent]:
        values = {"bag": str(log)} | parameters
        words = [w for n, v in values.items() for w in ("-p", f"{n}:={_word(v)}")]
        rclpy.try_shutdown()
        rclpy.init(args=["--ros-args", *words])
        sent: Sent = []
        node = BagNode()
        made.append(node)
        for name, publisher in node.player._publishers.items():
            publisher.publish = lambda data, name=name: sent.append((name, time.time_ns(), data))
        return node, sent

    yield make
    for node in made:
        node.destroy_node()


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"'{value}'" if value == "" else str(
        value
    )  # fmt: skip


def end(node: BagNode) -> None:
    until = time.monotonic() + 10.0
    while not node.player.ended_s:
        assert time.monotonic() < until, "it did not end"
        time.sleep(0.01)


def joint_state(data: bytes) -> Any:
    return deserialize_message(data, JointState)


def stamp(data: bytes) -> int:
    return to_ns(joint_state(data).header.stamp)


def test_inputs_are_played_in_order_as_old_as_they_were_and_commands_never(
    play: Any, log: Path
) -> None:
    node, sent = play()
    end(node)
    assert node.player.error == ""
    made = MadeUp(contract=swinging_contract()).run(TICKS)
    expected = sorted((m.log_ns, m.topic) for m in made.sent if m.topic in (JOINTS, GOAL))
    assert [name for name, _, _ in sent] == [name for _, name in expected]
    assert set(node.player.topics) == {JOINTS, GOAL}  # requests, commands and actions are left out
    for name, now, data in sent:
        if name == JOINTS:  # received 0.3 ms after its stamp
            assert -1_000_000 < now - stamp(data) - 300_000 < 5_000_000
    # At the times of the log.
    passed = 1e-9 * (sent[-1][1] - sent[0][1])
    assert passed == pytest.approx(1e-9 * (expected[-1][0] - expected[0][0]), abs=0.05)
    # Nothing but the stamp has changed.
    joints = joint_state(sent[1][2])
    original = made.of(JOINTS)[0].message
    assert joints.position == original.position and joints.name == original.name


def test_true_stamps_bring_their_clock(play: Any) -> None:
    node, sent = play(stamps="recorded")
    told: list[int] = []
    node.player._clock.publish = lambda message: told.append(to_ns(message.clock))
    end(node)
    first = next(data for name, _, data in sent if name == JOINTS)
    assert stamp(first) == 5_000_000_000  # as the log has it
    assert told == sorted(told) and max(np.diff(told)) <= 10_000_000
    assert told[0] >= 5_000_000_000


def test_stamps_of_receipt_are_now(play: Any) -> None:
    node, sent = play(stamps="receipt")
    end(node)
    for name, now, data in sent:
        if name == JOINTS:
            assert 0 <= now - stamp(data) < 5_000_000


def test_a_loop_goes_on_with_later_stamps(play: Any) -> None:
    node, sent = play(loop=True)
    until = time.monotonic() + 10.0
    while node.player.playback.turns < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    stamps = [stamp(data) for name, _, data in list(sent) if name == JOINTS]
    assert np.all(np.diff(stamps) > 0) and node.player.phase == "PLAYING"


def test_the_first_moment_is_shown_until_it_is_asked_to_play(play: Any) -> None:
    node, sent = play(hold=True)
    time.sleep(0.4)
    assert node.player.phase == "HELD" and node.player.playback.sent == 0
    joints = [data for name, _, data in sent if name == JOINTS]
    assert len(joints) > 30 and np.all(np.diff([stamp(data) for data in joints]) > 0)
    assert len({data[12:] for data in joints}) == 1  # one moment, new stamps
    answers = [node.on_play(Trigger.Request(), Trigger.Response()) for _ in range(2)]
    assert [answer.success for answer in answers] == [True, False]
    end(node)
    positions = [data[12:] for name, _, data in sent if name == JOINTS]
    assert len(set(positions)) > 4 * TICKS - 4


def test_where_a_robot_is_nothing_is_said(domain: None, log: Path) -> None:
    rclpy.init(args=["--ros-args", "-p", f"bag:={log}"])
    robot = Node("robot")
    robot.create_publisher(JointState, JOINTS, streaming(10))
    node = BagNode()
    end(node)
    assert "robot publishes /joint_states" in node.player.error
    assert node.player.playback.sent == node.count_publishers(RECORDING) == 0
    node.destroy_node()
    robot.destroy_node()


def test_beside_somebody_else_it_ends(play: Any) -> None:
    node, _ = play(hold=True)
    until = time.monotonic() + 10.0
    while node.count_publishers(RECORDING) == 0:  # it says what it is
        assert time.monotonic() < until
        time.sleep(0.01)
    other = Node("robot")
    other.create_publisher(JointState, JOINTS, streaming(10))
    end(node)
    assert node.player.error.startswith("robot publishes /joint_states, too: a robot or a simul")
    node.player.ended_s -= 1.0
    with pytest.raises(ValueError, match="robot publishes /joint_states, too"):
        node.on_timer()
    other.destroy_node()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"bag": ""}, "parameter bag: expected the folder of a recording, got nothing"),
        ({"bag": "/nowhere"}, "/nowhere: expected the folder of a log"),
        ({"stamps": "old"}, "stamps: expected one of now, receipt, recorded, got 'old'"),
        ({"stamps": "recorded", "loop": True}, "time neither stands nor goes back"),
        ({"rate": 0.0}, "rate: expected above 0, got 0"),
        (
            {"topics": "/camera"},
            "topics: /camera is not in the log; it has /gate_node/commanded, /",
        ),
        ({"topics": COMMAND}, "is what arms obey: it is not played"),
        ({"topics": REQUEST}, "is what arms obey: it is not played"),
    ],
)
def test_what_cannot_be_played_is_one_line(
    play: Any, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as error:
        play(**parameters)
    assert "\n" not in str(error.value)


def test_stamps_of_another_clock_are_refused(play: Any, tmp_path: Path) -> None:
    made = MadeUp(contract=swinging_contract()).run(TICKS)
    made.sent = [replace(sent, log_ns=sent.log_ns + 10**15) for sent in made.sent]
    late = made.write(tmp_path / "late")
    with pytest.raises(ValueError, match=r"/goal_pose: it was 1000000\.0 s old .* another clock"):
        play(bag=str(late))
    node, sent = play(bag=str(late), stamps="receipt")
    end(node)
    assert sent


# -- the gate ----------------------------------------------------------------------------------


@pytest.fixture
def gate(domain: None, tmp_path: Path) -> Iterator[Callable[..., GateNode]]:
    """Makes configured gates."""
    rclpy.init(args=[])
    bundle, made = write_swinging(tmp_path / "bundle"), list[GateNode]()

    def make(**parameters: Any) -> GateNode:
        node = GateNode()
        made.append(node)
        for name, value in ({"bundle": str(bundle)} | parameters).items():
            assert node.set_parameters([Parameter(name, value=value)])[0].successful
        node.configured = node.trigger_configure()  # type: ignore[attr-defined]
        return node

    yield make
    for node in made:
        node.destroy_node()


def red(node: GateNode) -> set[str]:
    return {item.name for item in node.report() if not item.ok}


def test_a_gate_of_real_hardware_is_not_beside_a_recording(gate: Any) -> None:
    node = gate(real_hardware=True, allow_fallback_on_hardware=True)
    assert "recordings that are played here" not in red(node)
    player = Node("bag_node")
    marker = player.create_publisher(String, RECORDING, latched())
    until = time.monotonic() + 5.0
    while node.count_publishers(RECORDING) == 0 and time.monotonic() < until:
        time.sleep(0.01)
    assert "recordings that are played here" in red(node)
    node.on_tick()
    machine = node.machine
    assert machine is not None and "a recording is played here" in machine.problems["recording"]
    player.destroy_publisher(marker)
    while node.count_publishers(RECORDING) and time.monotonic() < until:
        time.sleep(0.01)
    node.on_tick()
    assert "recording" not in machine.problems
    player.destroy_node()


def test_a_dry_run_has_no_way_to_a_controller(gate: Any) -> None:
    node = gate(real_hardware=False, dry_run=True)
    own = {name for name, _ in node.get_publisher_names_and_types_by_node("gate_node", "/")}
    assert "/gate_node/dry_run" in own and COMMANDS not in own
    clients = {name for name, _ in node.get_client_names_and_types_by_node("gate_node", "/")}
    assert not {name for name in clients if "controller" in name}
    heard = {name for name, _ in node.get_subscriber_names_and_types_by_node("gate_node", "/")}
    assert not {name for name in heard if "controller" in name}
    item = next(item for item in node.report() if item.name == "dry run")
    assert item.ok and item.measured == "commands go to /gate_node/dry_run"


def test_a_dry_run_takes_the_measured_for_the_commanded(gate: Any) -> None:
    """So that it gets ready on joint states alone, also of an arm that moves."""
    node = gate(real_hardware=False, dry_run=True)
    made, machine = MadeUp(contract=swinging_contract()).run(TICKS), node.machine
    for sent in made.of(JOINTS)[:10]:
        message, now = sent.message, node.get_clock().now()
        message.header.stamp = now.to_msg()
        node.on_joints(message)
    assert machine.ready
    np.testing.assert_allclose(machine.commanded()[0], made.of(JOINTS)[9].message.position)


@pytest.mark.parametrize("more", [{"real_hardware": True}, {"lock_step": True}])
def test_a_dry_run_is_of_no_arm(gate: Any, more: dict[str, Any]) -> None:
    node = gate(**({"real_hardware": False, "dry_run": True} | more))
    assert node.configured is TransitionCallbackReturn.FAILURE  # type: ignore[attr-defined]
