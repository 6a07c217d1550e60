"""`sim2arm record --device`: what a hand asked for is what rows say, silence holds, nothing jumps.

The script device stands for the hand; it is played by ticks, so that rows are the same on any
machine.
"""

# pyright: standard

from __future__ import annotations

import os
import pty
import sys
import termios
import urllib.request
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from sim2arm.cli import main as cli
from sim2arm.cli import record_by_hand, record_page
from sim2arm.cli.hand_status import Status, in_line
from sim2arm.cli.turns import Phase
from sim2arm.core.contract import Contract
from sim2arm.core.plain import from_plain
from sim2arm.core.robots import FR3
from sim2arm.core.spec import StaleReading
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.sensors.teleop import devices
from sim2arm.sensors.teleop.base import TeleopReading

WORDS = ("--device", "script", "--no-page", "--no-real-time")
STEP = 0.25 * 0.01
"""Step of the tool at half deflection, which is a quarter of the controller's [m]."""


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """Write steps; return the option that plays them."""

    def write(*steps: str) -> str:
        path = tmp_path / "script.yaml"
        path.write_text("\n".join(f"- {{{step}}}" for step in steps))
        return f"--script={path}"

    return write


def run(out: Path, task: str, *words: str) -> int:
    return cli.main(["record", task, "--out", str(out), *words])


def states(rows: Any) -> list[str]:
    return [str(state) for state in rows["teleop.state"]]


def test_silence_holds_and_coming_back_does_not_jump(
    tmp_path: Path, script: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    played = script(
        "seconds: 0.1, press: [start]",
        "seconds: 0.5, twist: [0.5, 0, 0, 0, 0, 0]",
        "seconds: 1.0, silent: true",
        "seconds: 0.3, twist: [-0.5, 0, 0, 0, 0, 0]",
        "seconds: 0.1",
        "seconds: 0.3, twist: [-0.5, 0, 0, 0, 0, 0]",
        "seconds: 0.3, twist: [-0.5, 0, 0, 0, 0, 0], clutch: false",
        "seconds: 0.1, press: [keep]",
    )
    linear = ("--teleop.twist.expo", "0", "--teleop.twist.dead-zone", "0")
    assert run(tmp_path / "set", "reach", *WORDS, played, *linear, "--lead-share", "0") == 0
    out = capsys.readouterr().out
    assert "the script is silent" in out and "let the device rest once" in out
    assert "1 episodes kept, 0 discarded; loop " in out and "ticks missed; 0 rows dropped" in out
    dataset = Dataset(tmp_path / "set")
    rows, notes = dataset.episode(0), dataset.notes(0)
    assert notes["device"] == "script" and notes["missed"] == 0 and notes["seed"] == 0
    assert set(rows["source"]) == {"human"} and not rows["safety.held"].any()
    state, asked = np.array(states(rows)), rows["request.ee_delta"][:, 0]
    # 0.2 s after its last word the device counts as silent; then it has to rest once.
    runs = [state[0], *(b for a, b in pairwise(state) if a != b)]
    assert runs == ["engaged", "silent", "held", "engaged", "held", "engaged"]
    assert (state == "silent").sum() == pytest.approx(0.8 * 60, abs=1)
    assert not asked[state != "engaged"].any()
    assert set(np.round(asked[state == "engaged"], 6)) == {-0.25, 0.0, 0.25}
    x = rows["measured.ee_pose"][:, 0]
    still = np.flatnonzero(state == "silent")[20:]  # once it has caught up
    assert np.ptp(x[still]) < 1e-3
    # Before, it had followed for 0.5 s and the 0.2 s: 42 steps of a quarter of 1 cm.
    assert x[still[0]] - x[0] == pytest.approx(42 * STEP, abs=2e-3)
    # No jump: the joints make no larger step than that one of the tool needs, 0.3 m from an axis.
    commanded = rows["command.position"]
    assert np.abs(np.diff(commanded, axis=0)).max() < 2 * STEP / 0.3
    assert np.abs(np.diff(x)).max() < 2 * STEP  # it catches up
    back = np.flatnonzero((state[1:] == "engaged") & (state[:-1] != "engaged")) + 1
    assert len(back) == 2
    for k in back:
        assert np.abs(commanded[k] - commanded[k - 1]).max() < 2e-3


def test_keep_discard_and_again_and_the_set_goes_on(
    tmp_path: Path, script: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    def episode(end: str) -> tuple[str, ...]:
        return "seconds: 0.1, press: [start]", f"seconds: 0.1, press: [{end}]"

    played = script(*episode("keep"), *episode("rerecord"), *episode("keep"), *episode("discard"))
    assert run(tmp_path / "set", "reach", *WORDS, played, "--seed", "7") == 0
    out = capsys.readouterr().out
    assert "seed 8: discarded" in out and "seed 8: kept" in out and "seed 9: discarded" in out
    assert "2 episodes kept, 2 discarded" in out
    played = script(*episode("keep"), *episode("keep"), "seconds: 5.0")
    assert run(tmp_path / "set", "reach", *WORDS, played, "--episodes", "2") == 0  # and is over
    dataset = Dataset(tmp_path / "set")
    assert [dataset.notes(k)["seed"] for k in range(4)] == [7, 8, 9, 10]
    assert [len(dataset.episode(k)["index"]) for k in range(4)] == [6] * 4
    assert run(tmp_path / "set", "reach", "--episodes", "1") == 2  # of the expert
    assert "holds other columns" in capsys.readouterr().err


def test_an_episode_that_the_task_ends_is_settled_at_the_next_start(
    tmp_path: Path, script: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    start, long = "seconds: 0.1, press: [start]", "seconds: 1.5"
    played = script(start, long, start, long, "seconds: 0.1, press: [keep]", start, long)
    words = (*WORDS, played, "--longest", "1")
    assert run(tmp_path / "set", "reach", *words) == 0  # the last one is settled at the end
    out = capsys.readouterr().out
    assert "seed 0: discarded, failure after 1.0 s" in out and "will be discarded" in out
    assert "seed 1: kept, failure after 1.0 s" in out and "seed 2: discarded" in out
    rows = Dataset(tmp_path / "set").episode(0)
    assert rows["next.done"][:, 0].tolist() == [False] * 59 + [True]


def test_the_gripper_works_and_rows_are_joint_targets_too(
    tmp_path: Path, script: Callable[..., str]
) -> None:
    played = script(
        "seconds: 0.2, press: [start]",
        "seconds: 0.5, press: [gripper_close], twist: [0, 0, -1, 0, 0, 0.5]",
        "seconds: 0.1, press: [keep]",
    )
    words = (*WORDS, played, "--teleop.twist.frame", "tool", "--teleop.twist.rotation-scale", "0")
    assert run(tmp_path / "set", "lift-cube", *words) == 0
    dataset = Dataset(tmp_path / "set")
    rows = dataset.episode(0)
    contract = from_plain(Contract, dataset.index.spec.documents["contract"])
    assert contract.action.kind == "joint_position" and rows["action"].shape[1] == 8
    np.testing.assert_array_equal(rows["action"][:, 7], rows["request.ee_delta"][:, 6])
    closing = rows["request.ee_delta"][:, 6]
    assert closing[0] == 1.0 and closing[-1] == -1.0
    assert rows["observation.state"][-1, 7] < rows["observation.state"][0, 7] - 0.02
    # Down along the axis of a tool that points down is up.
    assert rows["request.ee_delta"][20, 2] > 0.4 and not rows["request.ee_delta"][:, 3:6].any()


class Leader:
    """A leader arm that stands where the arm stands, or off by an angle, then follows a path."""

    kind: Literal["joints"] = "joints"
    joint_names = FR3.joint_names

    def __init__(self, off: float = 0.0, silent_from: int = 10**9) -> None:
        self.off, self.silent_from, self.count = off, silent_from, 0
        self.q = np.asarray(FR3.home)

    def read(self) -> TeleopReading:
        self.count += 1
        if self.count >= self.silent_from:
            raise StaleReading("servos [3] did not answer")
        q = self.q.copy()
        q[0] += self.off
        q[5] += 0.05 * np.sin(self.count / 10.0)
        return TeleopReading(
            joints=q, clutch=True, gripper=None, presses={"start": 1} if self.count > 3 else {},
            sequence=self.count, stamp_ns=0, receipt_ns=record_by_hand.steady_ns(),
        )  # fmt: skip

    def close(self) -> None:
        pass


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Plug in a leader arm; a session without its buttons ends after half a second of ticks."""

    def entry(leader: Leader) -> None:
        found = devices.TeleopEntry(
            summary="", where="", buttons="none", starts=True, open=lambda *_: leader
        )
        monkeypatch.setitem(devices.TELEOP_DEVICES, "leader", found)
        run = record_by_hand.HandSession.run
        monkeypatch.setattr(
            record_by_hand.HandSession, "run",
            lambda session, over: run(session, lambda: leader.count > 40),
        )  # fmt: skip

    return entry


def test_a_leader_arm_moves_the_joints(
    tmp_path: Path, plug: Callable[[Any], None], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    leader = Leader(silent_from=30)
    plug(leader)
    monkeypatch.setattr(record_by_hand.HandSession, "end", lambda s: s._press("keep"))
    begin = record_by_hand.Person.begin

    def stand(person: Any, q: np.ndarray, gripper: float = 1.0) -> None:
        leader.q = q  # a person has put the leader where the arm stands
        begin(person, q, gripper)

    monkeypatch.setattr(record_by_hand.Person, "begin", stand)
    words = ("--device", "leader", "--no-page", "--episodes", "1", "--lead-share", "0")
    assert run(tmp_path / "set", "lift-cube", *words) == 0
    assert "servos [3] did not answer" in capsys.readouterr().out
    dataset = Dataset(tmp_path / "set")
    rows, state = dataset.episode(0), states(dataset.episode(0))
    asked = rows["request.joint_position"]
    assert asked.shape[1] == 8 and state[0] == "engaged" and state[-1] == "silent"
    np.testing.assert_allclose(rows["action"], asked, atol=1e-6)
    quiet = [k for k, word in enumerate(state) if word == "silent"]
    np.testing.assert_array_equal(asked[quiet], np.tile(asked[quiet[0] - 1], (len(quiet), 1)))
    assert np.ptp(asked[:, 5]) > 0.02 and np.ptp(asked[:, 0]) < 1e-6
    assert np.abs(rows["command.position"][-1] - asked[-1, :7]).max() < 0.01


def test_a_leader_elsewhere_is_refused_with_one_line(
    tmp_path: Path, plug: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    plug(Leader(off=0.9))
    words = ("--device", "leader", "--no-page")
    assert run(tmp_path / "set", "reach", *words) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "not started" in line]
    assert len(lines) == 1 and "leader joint 'fr3_joint1' is at " in lines[0]
    assert "expected at most 0.2 rad apart" in lines[0]
    assert not Dataset(tmp_path / "set").index.episodes


def test_a_device_that_fails_for_good_ends_it_with_one_line(
    tmp_path: Path, plug: Callable[[Any], None], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail() -> TeleopReading:
        raise RuntimeError("ValueError: the bus speaks another protocol")

    leader = Leader()
    plug(leader)
    monkeypatch.setattr(leader, "read", fail)
    assert run(tmp_path / "set", "reach", "--device", "leader", "--no-page") == 2
    error = capsys.readouterr().err
    assert "--device leader: ValueError: the bus speaks another protocol" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "mouse"], "--device: no teleoperation device 'mouse'. Devices: keyboard"),
        (["--device", "script"], "--device script: name the file with --script"),
        (["--device", "script", "--script", "/none.yaml"], "/none.yaml"),
        (["--device", "terminal"], "not a terminal"),
        (["--device", "keyboard", "--no-real-time"], "--no-real-time: only the device script"),
        (["--script", "a.yaml"], "--script: only the device script plays one"),
        (["--device", "script", "--longest", "0"], "--longest: expected more than 0 s, got 0"),
        (["--teleop.twist.dead-zone", "2"], "dead_zone: expected 0 or more and less than 1"),
    ],
)
def test_bad_input(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert run(tmp_path / "set", "reach", *words) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "set").exists()


def test_a_device_without_a_button_to_start_needs_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = devices.TeleopEntry(summary="", where="", buttons="none", open=lambda *_: Leader())
    monkeypatch.setitem(devices.TELEOP_DEVICES, "leader", entry)
    assert run(tmp_path / "set", "reach", "--device", "leader", "--no-page") == 2
    assert "leader has no button that starts an episode" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_keys_typed_into_the_terminal_drive_the_arm_in_real_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hand, screen = pty.openpty()
    typed, echoes = iter([b"n", *[b"a"] * 12, b"\r"]), list[bool]()
    step = record_by_hand.Person.step

    def type_and_step(person: Any, *args: Any) -> Any:
        echoes.append(bool(termios.tcgetattr(screen)[3] & termios.ECHO))
        if len(echoes) % 4 == 1:  # a key that is held repeats 15 times a second
            os.write(hand, next(typed, b"\x1b"))
        return step(person, *args)

    monkeypatch.setattr(record_by_hand.Person, "step", type_and_step)
    with os.fdopen(screen, closefd=False) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        words = ("--device", "terminal", "--no-page", "--episodes", "1", "--lead-share", "0")
        assert run(tmp_path / "set", "reach", *words) == 0
    assert "N begin, Enter keep" in capsys.readouterr().out
    assert not any(echoes) and termios.tcgetattr(screen)[3] & termios.ECHO
    rows = Dataset(tmp_path / "set").episode(0)
    assert set(states(rows)) == {"engaged"} and not rows["request.ee_delta"][:, 0].any()
    moved = np.ptp(rows["measured.ee_pose"][:, :3], axis=0)
    assert moved[1] > 0.02 and moved[1] > 5 * moved[0]  # A is to the left


# -- the page ----------------------------------------------------------------------------------


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[record_page.RecordPage]]:
    """The pages that are served."""
    made: list[record_page.RecordPage] = []
    begin = record_page.RecordPage.__init__

    def remember(page: Any, title: str, *, port: int) -> None:
        begin(page, title, port=port)
        made.append(page)

    monkeypatch.setattr(record_page.RecordPage, "__init__", remember)
    yield made


def test_the_page_shows_the_arm_and_what_is_seen_and_its_buttons_count(
    tmp_path: Path, script: Callable[..., str], pages: list[record_page.RecordPage],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    drawn: list[tuple[Status, str]] = []
    draw = record_page.RecordPage.draw

    def watch(page: Any, arm: Any, status: Status, left: float) -> None:
        draw(page, arm, status, left)
        drawn.append((status, page._figures.content))
        for number, name in {10: "start", 40: "rerecord", 50: "start", 60: "keep"}.items():
            if len(drawn) == number:
                page._pressed.put(name)
        if len(drawn) == 5:
            with urllib.request.urlopen(page.address, timeout=20) as answer:
                assert answer.status == 200

    for name in ("PICTURE_S", "FIGURES_S", "SEEN_S"):
        monkeypatch.setattr(record_page, name, 1e-9)  # something is due at each tick,
    monkeypatch.setattr(record_page, "LONGEST_S", 0.0)  # and drawn
    monkeypatch.setattr(record_page.RecordPage, "draw", watch)
    words = ("--device", "script", "--no-real-time", "--port", "0", "--episodes", "1")
    words = (*words, script("seconds: 2.0"), "--cameras", "scene")
    assert run(tmp_path / "set", "reach", *words) == 0
    assert "reach: open http://127.0.0.1:" in capsys.readouterr().out
    (page,) = pages
    assert set(page._pictures) == {"scene rgb"}
    assert Dataset(tmp_path / "set").notes(0)["device"] == "script"
    running = [text for status, text in drawn if status.phase is Phase.RUNNING]
    assert any("**recording**" in text and "hand | **engaged**" in text for text in running)
    assert any("| kept | 0, discarded 1 |" in text for _, text in drawn)
    meshes = page._page._meshes
    assert any(name.endswith("/moving") for name in meshes)


def test_pictures_of_gels_stand_beside_each_other() -> None:
    seen = {
        "scene_rgb": np.full((84, 84, 3), 7, np.uint8),
        "touch_left_rgb": np.full((60, 80, 3), 1, np.uint8),
        "touch_right_rgb": np.full((60, 80, 3), 2, np.uint8),
        "touch_field": np.zeros((2, 14, 10, 3), np.float32),
    }
    seen["touch_field"][1, 3, 4] = (0.125, 9.0, 9.0)  # a quarter of what is white
    strips = dict(record_page.strips(seen))
    # Enlarged by whole numbers to at least 160 rows; a white line between the two fields.
    shapes = {name: picture.shape for name, picture in strips.items()}
    assert shapes == {
        "scene rgb": (168, 168, 3), "touch rgb": (180, 480, 3), "touch field": (168, 252, 3)
    }  # fmt: skip
    assert strips["touch rgb"][0, 239, 0] == 1 and strips["touch rgb"][0, 240, 0] == 2
    field = strips["touch field"][::12, ::12, 0]
    assert field[3, 11 + 4] == 128 and np.count_nonzero(field) == 14 + 1  # sqrt(1/4) of 255


def test_buttons_that_mean_nothing_now_are_grey() -> None:
    page = record_page.RecordPage("reach", port=0)
    try:
        grey = {
            phase: [
                name
                for name, button in page._buttons.items()
                if (page._enable(phase), button.disabled)[1]
            ]
            for phase in (Phase.READY, Phase.RUNNING, Phase.ENDED)
        }
    finally:
        page.stop()
    assert grey[Phase.READY] == ["keep", "rerecord", "discard"]
    assert grey[Phase.RUNNING] == ["start"] and grey[Phase.ENDED] == []


def test_without_the_extra_there_is_no_page_and_it_is_said(
    tmp_path: Path, script: Callable[..., str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import builtins

    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name == "record_page":
            raise ModuleNotFoundError("No module named 'viser'", name="viser")
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    words = ("--device", "script", "--no-real-time", script("seconds: 0.2"))
    assert run(tmp_path / "set", "reach", *words) == 0
    assert "no page: it needs the extra 'view'" in capsys.readouterr().out


def test_one_line_says_how_things_stand() -> None:
    status = Status(
        phase=Phase.RUNNING, seed=3, episode=0, seconds=1.25, success=False, gate="passes",
        hand="silent", why="the device is gone", kept=1, discarded=2, dropped=0, rate_hz=59.96,
        missed=4,
    )  # fmt: skip
    assert in_line(status) == (
        "seed 3 recording 1.2 s  hand silent  gate passes  kept 1  discarded 2  60 Hz, missed 4  "
        "the device is gone"
    )
