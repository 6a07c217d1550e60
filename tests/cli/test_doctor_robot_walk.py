# pyright: standard, reportMissingModuleSource=false
"""`sim2arm doctor robot --bundle` over real processes, a person's answers, wires that are wrong."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim2arm.calibration.latency import read_latency
from sim2arm.cli import main as cli
from sim2arm.cli import ros
from sim2arm.cli.answers import Answers
from sim2arm.cli.doctor_robot import DoctorRobotCfg
from sim2arm.cli.robot_walk import Walk
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install
from sim2arm_ros.launcher import NodeProcess, private_domain
from tests.deploy_ros.swinging import write_swinging

install()

import rclpy  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402

from sim2arm.cli import robot_steps  # noqa: E402
from tests.deploy_ros.rig import STREAMS, Relay  # noqa: E402
from tests.deploy_ros.witness import assert_fine  # noqa: E402

JOINTS = "/joint_states"
BUSY: dict[str, dict[str, object]] = {
    "gate_node": {"request_timeout_s": 0.5, "clock_freeze_s": 0.5},
    "sim_arm_node": {"substeps_per_state": 4},
}
"""Parameters that are kind to a busy test machine."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_swinging(tmp_path_factory.mktemp("walk") / "bundle", max_age_s=1.0)


# -- what a person types -----------------------------------------------------------------------


class Person(Answers):
    """Types one text after each question, into a real terminal; None closes it."""

    def __init__(self, *texts: str | None, asked: Callable[[str], None] = lambda _: None) -> None:
        self._hand, self._screen = pty.openpty()
        super().__init__(self._screen)
        self._texts, self._asked, self.questions = iter(texts), asked, list[str]()

    def ask(self, question: str) -> None:
        super().ask(question)
        self.questions.append(question)
        self._asked(question)
        text = next(self._texts, "")
        if text is None:
            os.close(self._hand)
        elif text:
            self.types(text)

    def types(self, text: str) -> None:
        """Type without being asked."""
        os.write(self._hand, text.encode())


def said(person: Answers) -> str:
    """Return the next line, which is on its way."""
    for _ in range(200):
        if (line := person.line()) is not None:
            return line
        threading.Event().wait(0.01)
    raise AssertionError("no line")


def test_only_a_line_after_the_question_answers_it() -> None:
    person = Person("yes\n")
    person.types("yes\nyes\nye")  # before anybody asked, the last not even sent
    threading.Event().wait(0.05)
    person.ask("may it?")
    assert said(person) == "yes"
    assert person.line() is None
    for text in ("\n", "y\n", "yess\n", "no yes\n"):
        other = Person(text)
        other.ask("may it?")
        assert said(other) == text.strip() != "yes"


def test_a_terminal_that_is_closed_or_none_says_no(tmp_path: Path) -> None:
    gone = Person(None)
    gone.ask("may it?")
    assert said(gone) == "" and gone.closed and gone.line() == ""
    (tmp_path / "answers").write_text("yes\n")
    with (tmp_path / "answers").open() as file:
        piped = Answers(file.fileno())
        piped.ask("may it?")
        assert piped.line() == ""


# -- over processes ----------------------------------------------------------------------------


class Wire:
    """A relay between the arm and everybody else, in a domain of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cut: Sequence[str] = ()) -> None:
        self.env = private_domain()
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        passed = {topic: kind for topic, kind in STREAMS.items() if topic not in cut}
        self.relay = Relay(self._context, passed, JOINTS)
        self.estop = self.relay.create_publisher(Bool, "/gate_node/estop", 1)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.relay)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def close(self) -> None:
        self._executor.shutdown()
        rclpy.try_shutdown(context=self._context)
        self._thread.join(5.0)
        self.relay.destroy_node()


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    made = Wire(monkeypatch)
    yield made
    made.close()


def walk(
    bundle: Path, folder: Path, wire: Wire, person: Answers, **options: Any
) -> int:  # fmt: skip
    """Walk beside a simulated arm whose topics pass the wire."""
    cfg = DoctorRobotCfg(bundle=bundle, sim="reach", logs=folder / "logs", **options)
    ready = ros.prepare(ros.RosUpCfg(bundle=bundle, sim="reach", logs=cfg.logs))
    raw = {topic: f"/raw{topic}" for topic in STREAMS}

    def changed(node: NodeProcess) -> NodeProcess:
        kind = {**node.parameters, **BUSY.get(node.executable, {})}
        arm = node.executable == "sim_arm_node"
        return replace(node, parameters=kind, remaps=raw if arm else {})

    ready = replace(ready, nodes=[changed(node) for node in ready.nodes])
    return Walk(cfg, ready, wire.env, person).run()


BUSY_WORDS = re.compile(
    r"silent for|no (request|command) for|has not said for|let nothing in|RED +command to motion"
)


def walk_on(
    capsys: pytest.CaptureFixture[str], attempt: Callable[[], int], tries: int = 7
) -> tuple[int, str]:
    """Walk until no busy machine ended it; return the exit code and what was printed."""
    out = ""
    for _ in range(tries):
        code, out = attempt(), capsys.readouterr().out
        if not BUSY_WORDS.search(out):
            return code, out
    raise AssertionError(f"a machine that is too busy:\n{out}")


def test_all_is_well_up_to_the_record_of_the_latency(
    bundle: Path, tmp_path: Path, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    before: list[int] = []
    record = tmp_path / "latency.yaml"

    def attempt() -> int:
        before.clear()
        wire.relay.commands.clear()
        heard = wire.relay.commands
        person = Person("service\n", "yes\n", asked=lambda _: before.append(len(heard)))
        return walk(bundle, tmp_path, wire, person, latency=record)

    code, out = walk_on(capsys, attempt)
    steps = out[out.index("2. peers") :]
    assert code == 0 and "RED" not in steps, steps
    assert before == [0, 0], "a command before the yes"
    assert re.search(r"ok +policy +inactive +inactive", steps)
    assert steps.count("ok   wiggle of fr3_joint") == 7
    assert "FAULT: e-stop service" in steps
    next_words = f"sim2arm ros up --bundle {bundle} --sim reach"
    assert steps.rstrip().endswith(f"All is well. Next: {next_words}")
    heard, wire.relay.commands = wire.relay.commands, []
    assert len(heard) > 1000
    assert_fine([message for _, message in heard], wire.relay.references)
    latency = read_latency(record)  # as `sim2arm train --latency` reads it
    assert len(latency) > 1000 and 0.0 < min(latency) < 0.05


def test_swapped_joints_are_found_by_the_wiggle(
    bundle: Path, tmp_path: Path, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    """The e-stop is a button here: it says true, is released, and the reset waits for that."""

    def swap(message: Any) -> Any:
        other = {"fr3_joint1": "fr3_joint3", "fr3_joint3": "fr3_joint1"}
        message.name = [other.get(name, name) for name in message.name]
        return message

    def press(question: str) -> None:
        if "e-stop now" in question:
            wire.estop.publish(Bool(data=True))
            threading.Timer(3.0, lambda: wire.estop.publish(Bool(data=False))).start()

    wire.relay.changes[JOINTS] = swap
    attempt = lambda: walk(bundle, tmp_path, wire, Person("", "yes\n", asked=press))  # noqa: E731
    code, out = walk_on(capsys, attempt)
    assert code == 1
    assert "FAULT: the e-stop topic says stop" in out
    assert "Release the e-stop now (gate_node/reset: the e-stop topic says stop)" in out
    assert "fr3_joint1 was told to move by +0.030 rad, and fr3_joint3 moved by +0.01" in out
    assert "Red in step 6" in out and "latency\n" not in out
    moved = abs(wire.relay.states[-1][2] - wire.relay.states[0][2]).max()
    assert moved < 0.03, "it stops at once"


def test_a_topic_that_nobody_publishes_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    wire = Wire(monkeypatch, cut=["/sim_arm/goal_pose"])
    with contextlib.closing(wire):
        code = walk(bundle, tmp_path, wire, Person(), patience=8.0)
    out = capsys.readouterr().out
    red = [line for line in out[out.index("2. peers") :].splitlines() if line.startswith("RED")]
    assert code == 1 and len(red) == 1 and "/sim_arm/goal_pose (goal_pose)" in red[0]
    assert "nobody publishes /sim_arm/goal_pose; of this type there are /raw/sim_arm/" in out
    assert "Red in step 2" in out and "3. clock" not in out


def test_no_answer_is_no_motion(
    bundle: Path, tmp_path: Path, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was typed too early does not count, and the terminal is closed at the question."""
    person = Person("service\nyes\nyes\n", None)
    code = walk(bundle, tmp_path, wire, person)
    out = capsys.readouterr().out
    assert code == 1 and len(person.questions) == 2
    assert "Nobody typed yes: nothing was moved." in out
    assert not wire.relay.commands


def test_an_e_stop_that_does_nothing_is_red(
    bundle: Path, tmp_path: Path, wire: Wire, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(robot_steps, "STOP_S", 3.0)
    wrong = wire.relay.create_publisher(Bool, "/gate/estop", 1)  # not the gate's
    person = Person("", asked=lambda _: wrong.publish(Bool(data=True)))
    code = walk(bundle, tmp_path, wire, person)
    out = capsys.readouterr().out
    assert code == 1 and len(person.questions) == 1
    assert "RED  it is heard  FAULT, by the e-stop  HOLD" in out
    assert "publish true on /gate_node/estop" in out and "Red in step 5" in out


# -- from the command line ---------------------------------------------------------------------


def test_nothing_there_ends_at_the_peers(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in private_domain().items():
        monkeypatch.setenv(name, value)
    words = ["--bundle", str(bundle), "--allow-fallback", "--as-it-is", "--patience", "0.5",
             "--logs", str(tmp_path / "logs")]  # fmt: skip
    assert cli.main(["doctor", "robot", *words]) == 1
    out = capsys.readouterr().out
    assert "nodes: is the driver up, in this ROS_DOMAIN_ID, on this network (--peers)?" in out
    assert "/joint_states (joint_position, joint_velocity): nobody publishes /joint_states" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--sim", "reach"], "--sim needs --bundle BUNDLE"),
        (["--bundle", "nowhere", "--sim", "reach"], "neither a policy bundle nor a run with one"),
        (["--bundle", "BUNDLE", "--sim", "reech"], "unknown task 'reech'"),
        (["--bundle", "BUNDLE", "--sim", "reach", "--latency", "a.txt"], "expected a .yaml file"),
        (["--bundle", "BUNDLE", "--robot", "so101"], "this graph is of a so101"),
    ],
)
def test_bad_input_is_one_line(
    bundle: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    words = [str(bundle) if word == "BUNDLE" else word for word in words]
    assert cli.main(["doctor", "robot", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


def test_a_secured_domain_is_refused(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    assert cli.main(["doctor", "robot", "--bundle", str(bundle), "--sim", "reach"]) == 2
    assert "this ROS domain is secured" in capsys.readouterr().err
