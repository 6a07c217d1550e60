# pyright: standard, reportMissingModuleSource=false
"""recorder_node over real DDS: killed, on a full disk, and marked by an operator."""

from __future__ import annotations

import contextlib
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm.cli.convert import ConvertCfg, convert
from sim2arm.cli.imitation_runs import open_demonstrations
from sim2arm.cli.imitations import IMITATIONS
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.runtime import OnnxPolicy
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

import rclpy  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from sim2arm_ros.bag.reader import Log  # noqa: E402
from sim2arm_ros.convert import joint_state_message, status_values, to_ns  # noqa: E402
from sim2arm_ros.launcher import (  # noqa: E402
    Launch,
    policy_graph,
    private_domain,
    recorder,
    simulated_arm,
)
from sim2arm_ros.log_about import MARKS  # noqa: E402
from sim2arm_ros.node_support import latched, streaming  # noqa: E402
from sim2arm_ros.recorder_node import RecorderNode  # noqa: E402
from sim2arm_ros.requests import parse_tag  # noqa: E402
from sim2arm_ros.supervisor import Supervisor  # noqa: E402

from .logs import ACTION, COMMAND, JOINTS, REQUEST  # noqa: E402
from .swinging import INPUTS, write_swinging  # noqa: E402

pytestmark = pytest.mark.timeout(90)

HEARD: dict[str, Any] = {
    ACTION: JointState, JOINTS: JointState, REQUEST: JointTrajectory, COMMAND: JointTrajectory,
}  # fmt: skip
CHUNK_S = 0.25


@dataclass
class Evidence:
    """What is left of a run: two logs, and what a witness heard."""

    bundle: Path
    killed: Path
    """Log of a recorder that was killed."""
    full: Path
    """Log of a recorder whose disk filled up."""
    error: str = ""
    """What the second said of that."""
    code: int | None = None
    """Exit code of the second."""
    printed: str = ""
    killed_at: float = 0.0
    heard: dict[str, list[tuple[float, bytes]]] = field(
        default_factory=lambda: {topic: [] for topic in HEARD}
    )
    """By topic (steady time [s], CDR)."""


@contextlib.contextmanager
def witness(evidence: Evidence) -> Iterator[None]:
    """Hear every message, in a thread."""
    context = Context()
    rclpy.init(args=[], context=context)
    node = Node("witness", context=context)
    for topic, kind in HEARD.items():
        heard = evidence.heard[topic]
        node.create_subscription(
            kind, topic, lambda data, to=heard: to.append((time.monotonic(), data)),
            streaming(10_000), raw=True,
        )  # fmt: skip
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        rclpy.try_shutdown(context=context)
        thread.join(5.0)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """An arm in lock step under a policy; of two recorders one is killed, one has no room."""
    root = tmp_path_factory.mktemp("recorder")
    bundle = write_swinging(root / "bundle")
    found = Evidence(bundle=bundle, killed=root / "killed", full=root / "full")
    settings = root / "task.yaml"
    settings.write_text("max_steps: 100000\n")
    victim = recorder(found.killed, bundle)
    nodes = [
        simulated_arm("reach", "fr3", 60.0, lock_step=True, settings=settings),
        *policy_graph(bundle, lock_step=True),
        recorder(found.full, bundle, task="swing"),
        replace(victim, label="victim", remaps={"__node": "victim"}),
    ]
    env = private_domain()
    with (
        Launch(nodes, log_folder=root / "logs", env=env) as launch,
        Supervisor(alive=launch.dead, env=env) as operator,
        witness(found),
    ):
        operator.configure()
        operator.activate("gate_node")
        operator.reset_arm(0)
        operator.activate("policy_node")
        actions = found.heard[ACTION]
        operator.spin_until(lambda: len(actions) > 60, 30.0, "actions")
        time.sleep(random.uniform(0.0, 2 * CHUNK_S))
        launch.processes["victim"].send_signal(signal.SIGKILL)
        found.killed_at = time.monotonic()
        other = launch.processes["recorder_node"]
        size = (found.full / "full_0.mcap").stat().st_size
        resource.prlimit(other.pid, resource.RLIMIT_FSIZE, (size + 10_000, size + 10_000))
        operator.spin_until(lambda: operator.recorder_error, 20.0, "word of the recorder")
        found.error, before = operator.recorder_error, len(actions)
        operator.spin_until(lambda: len(actions) > before + 30, 20.0, "actions")  # they go on
        assert operator.policy.get("phase") == "RUNNING" and launch.dead() == []
        assert launch.dead(needed=False) == ["victim ended with code -9"]
        operator.transition("policy_node", "deactivate")
        other.send_signal(signal.SIGINT)
        found.code = other.wait(10.0)
        found.printed = (root / "logs" / "recorder_node.log").read_text()
    return found


def decoded(data: bytes, kind: Any) -> Any:
    """Return the message of CDR bytes."""
    return deserialize_message(data, kind)


def sent_in_one_piece(messages: list[bytes], heard: list[bytes]) -> int:
    """Assert that messages are some that were heard, without one missing; return where they end."""
    start = heard.index(messages[0])
    assert messages == heard[start : start + len(messages)]
    return start + len(messages)


def test_a_killed_recorder_loses_at_most_its_last_chunk(evidence: Evidence) -> None:
    with Log(evidence.killed) as log:
        (problem,) = log.problems
        assert "it was not ended" in problem or "cut off at byte" in problem
        lost_s = list[float]()
        for topic, heard in evidence.heard.items():
            messages = [m.data for m in log.messages if m.topic == topic]
            end = sent_in_one_piece(messages, [data for _, data in heard])
            lost_s.append(evidence.killed_at - heard[end][0])
    # The first that is missing was sent less than the time of a chunk before the kill; what a busy
    # machine adds is generous.
    print(f"lost: {max(lost_s):.3f} s before the kill")
    assert max(lost_s) < CHUNK_S + 1.0


def test_stamps_are_receipt_and_header(evidence: Evidence) -> None:
    with Log(evidence.killed) as log:
        joints = [m for m in log.messages if m.topic == JOINTS]
        assert [m.sequence for m in joints] == list(range(len(joints)))
        for message in joints:
            stamp = to_ns(decoded(message.data, JointState).header.stamp)
            assert message.publish_ns == stamp
            # The ROS clock is a topic of its own, and a step of the arm takes a while.
            assert abs(message.log_ns - stamp) < 1_000_000_000


def test_a_full_disk_is_one_line_and_the_log_before_it_is_whole(evidence: Evidence) -> None:
    assert evidence.error == f"{evidence.full}: File too large"  # of RLIMIT_FSIZE
    assert evidence.code == 0
    said = [line for line in evidence.printed.splitlines() if "recording has ended" in line]
    assert len(said) == 1 and "File too large; what came before is kept" in said[0]
    assert "Traceback" not in evidence.printed
    with Log(evidence.full) as log:
        for topic, heard in evidence.heard.items():
            messages = [m.data for m in log.messages if m.topic == topic]
            sent_in_one_piece(messages, [data for _, data in heard])


@pytest.mark.parametrize("which", ["killed", "full"])
def test_rows_of_a_log_are_what_the_policy_saw_and_did_to_the_bit(
    evidence: Evidence, tmp_path: Path, which: str
) -> None:
    """The policy, asked again with the rows, answers the same: every input shows in every bit."""
    convert(ConvertCfg(log=getattr(evidence, which), out=tmp_path / "set"))
    dataset = Dataset(tmp_path / "set")
    assert dataset.index.episodes == 1
    rows, count = dataset.episode(0), len(dataset)
    assert rows["sync.tick"][:, 0].tolist() == list(range(count)) and count > 30
    sent = {
        parse_tag(message.header.frame_id)[1]: np.asarray(message.position, dtype=np.float32)
        for message in (decoded(data, JointState) for _, data in evidence.heard[ACTION])
    }
    asked = rows["request.ee_delta"]
    np.testing.assert_array_equal(asked, [sent[tick] for tick in range(count)])
    policy = OnnxPolicy(evidence.bundle)
    policy.reset()
    seen = {
        "joint_position": rows["observation.state"],
        "joint_velocity": rows["observation.velocity"],
        "ee_pose": rows["measured.ee_pose"].astype(np.float32),
        "goal_pose": rows["observation.goal_pose"],
    }
    assert set(seen) == set(INPUTS)
    for tick in range(count):
        again = policy.act({name: values[tick : tick + 1] for name, values in seen.items()})
        np.testing.assert_array_equal(again[0, 0], asked[tick])
    assert not rows["safety.held"].any() and not rows["safety.changed"].any()
    np.testing.assert_array_equal(rows["command.position"], rows["request.position"])
    assert (rows["sync.goal_pose.age"] == 0.0).all()
    robot, data = policy.contract.robot, str(tmp_path / "set")
    settings = replace(IMITATIONS["act"][1], data=data, robot=robot, episodes=1)
    demonstrations, contract = open_demonstrations(settings)  # others learn from it
    assert len(demonstrations) == count and contract.action.kind == "joint_position"
    np.testing.assert_array_equal(demonstrations.arrays["goal_pose"], seen["goal_pose"])


# -- one node ----------------------------------------------------------------------------------


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


def make_node(log: Path, **values: Any) -> RecorderNode:
    values = {"folder": str(log)} | values
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    return RecorderNode(parameter_overrides=overrides)


def test_marks_of_the_operator_are_in_the_log(domain: None, tmp_path: Path) -> None:
    node = make_node(tmp_path / "log", task="put it there", chunk_s=1e5)

    def ask(event: str) -> tuple[bool, str]:
        response = node.on_mark(event, Trigger.Request(), Trigger.Response())
        return response.success, response.message

    assert ask("keep") == (False, "no episode runs: start one first")
    assert ask("start") == (True, "episode 1: start")
    assert ask("start") == (False, "episode 1 runs: keep or discard it first")
    assert ask("keep") == (True, "episode 1: keep")
    assert ask("start") == (True, "episode 2: start")
    assert ask("discard") == (True, "episode 2: discard")
    end = time.monotonic() + 5.0
    while node.recording.state().waiting:  # marks do not wait for a chunk
        assert time.monotonic() < end
        time.sleep(0.01)
    node.destroy_node()
    with Log(tmp_path / "log") as log:
        said = [status_values(decoded(m.data, DiagnosticStatus)) for m in log.messages]
        assert {m.topic for m in log.messages} == {f"/{MARKS}"}
    assert [(v["event"], v["number"]) for v in said] == [
        ("start", "1"), ("keep", "1"), ("start", "2"), ("discard", "2")
    ]  # fmt: skip
    assert said[0]["task"] == "put it there"


def test_other_topics_are_recorded_once_somebody_publishes_them(
    domain: None, tmp_path: Path
) -> None:
    node = make_node(tmp_path / "log", topics="/lamp, /nothing")
    other = Node("other")
    executor = SingleThreadedExecutor()
    for each in (node, other):
        executor.add_node(each)
    lamp = other.create_publisher(Bool, "/lamp", latched())
    joints = other.create_publisher(JointState, JOINTS, streaming(10))
    message = joint_state_message(["a"], np.ones(1), np.ones(1), 123_456_789)
    lamp.publish(Bool(data=True))
    end = time.monotonic() + 10.0
    while not all(node.recording._sequences.get(topic) for topic in ("/lamp", JOINTS)):
        assert time.monotonic() < end
        joints.publish(message)
        executor.spin_once(0.05)
    executor.shutdown()
    for each in (node, other):
        each.destroy_node()
    with Log(tmp_path / "log") as log:
        found = {m.topic: m for m in log.messages}
        assert set(found) == {"/lamp", JOINTS}
        # As they were on the wire, where they are padded to four bytes.
        assert found["/lamp"].data[:5] == bytes(serialize_message(Bool(data=True)))
        assert found[JOINTS].publish_ns == 123_456_789
        assert found[JOINTS].data == bytes(serialize_message(message))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"folder": ""}, "parameter folder: expected the folder of the log"),
        ({"folder": "/proc/nowhere/log"}, "/proc/nowhere/log: cannot be written: "),
        ({"least_free_mb": 999_999}, "cannot be written: .* MiB are free"),
        ({"bundle": "/nowhere"}, "bundle: /nowhere: expected the folder of a policy bundle"),
        ({"graph": "/nowhere.yaml"}, "/nowhere.yaml: cannot be read"),
        ({"split_mb": -1}, "parameter split_mb: expected 0 or more"),
    ],
)
def test_what_cannot_be_recorded_is_refused_in_one_line(
    domain: None, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as error:
        make_node(tmp_path / "log", **values)
    assert "\n" not in str(error.value)


def test_the_executable_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "thing").touch()
    result = subprocess.run(
        [sys.executable, "-m", "sim2arm_ros.executables", "recorder_node", "--ros-args",
         "-p", f"folder:={tmp_path / 'log'}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "expected an empty folder for the log" in result.stderr
