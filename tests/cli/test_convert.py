# pyright: standard, reportMissingModuleSource=false
"""`sim2arm convert`: rows to the bit, true stamps, and every gap said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim2arm.cli.main import main
from sim2arm.core.controllers import Controller
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.spec import ArraySpec
from sim2arm.policies.dataset.reader import Dataset
from sim2arm_ros.dds import context as _needs_the_dds_extra  # noqa: F401
from sim2arm_ros.dds import install

install()

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402

from sim2arm_ros.convert import pose_message, status_message  # noqa: E402
from sim2arm_ros.convert_pictures import image_message  # noqa: E402
from sim2arm_ros.log_about import MARKS, SIM_EPISODE  # noqa: E402
from tests.deploy_ros.logs import (  # noqa: E402
    ACTION,
    BY_HAND,
    COMMAND,
    GOAL,
    JOINTS,
    LEADER,
    PERIOD_NS,
    REQUEST,
    START_NS,
    MadeUp,
    Sent,
)
from tests.deploy_ros.swinging import swinging_contract, write_swinging  # noqa: E402

TICKS = 30
Convert = Callable[..., Dataset]


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Writes a log, converts it and opens the dataset."""

    def run(made: MadeUp, *options: str, code: int = 0) -> Dataset:
        log = tmp_path / "log"
        if not log.exists():
            made.write(log)
        assert main(["convert", str(log), "--out", str(tmp_path / "set"), *options]) == code
        return Dataset(tmp_path / "set")

    return run


def tagged(topic: str, *ticks: int, session: str = "abc") -> Callable[[Sent], bool]:
    """Return what is true of messages of some ticks."""
    tags = {f"{session}/{tick}" for tick in ticks}
    return lambda sent: sent.topic == topic and sent.message.header.frame_id in tags


@pytest.mark.parametrize("late", [False, True])
def test_rows_are_what_was_sent_to_the_bit(convert: Convert, late: bool) -> None:
    made = MadeUp(task="swing", changed=1e-4, late=late).run(TICKS)
    dataset = convert(made)
    assert (dataset.index.episodes, len(dataset)) == (1, TICKS)
    assert dataset.index.spec.fps == 60 and dataset.task(0) == "swing"
    rows = dataset.episode(0)
    stamps = rows["sync.stamp_ns"][:, 0]
    expected = START_NS + np.arange(TICKS) * PERIOD_NS + PERIOD_NS // 4
    np.testing.assert_array_equal(stamps, expected)
    states = [made.state(int(stamp)) for stamp in stamps]
    q, dq = (np.stack(part) for part in zip(*states, strict=True))
    np.testing.assert_array_equal(rows["observation.state"], q.astype(np.float32))
    np.testing.assert_array_equal(rows["observation.velocity"], dq.astype(np.float32))
    pose = forward_pose(made.contract.kinematic_chain, q)
    np.testing.assert_array_equal(rows["measured.ee_pose"], pose)
    actions = np.stack([made.action(tick) for tick in range(TICKS)])
    np.testing.assert_array_equal(rows["request.joint_position"], actions)
    np.testing.assert_array_equal(rows["action"], actions)
    asked = [made.asked["abc", tick] for tick in range(TICKS)]
    np.testing.assert_array_equal(rows["request.position"], [each[0] for each in asked])
    np.testing.assert_array_equal(rows["request.velocity"], [each[1] for each in asked])
    np.testing.assert_array_equal(rows["command.position"], [each[0] + 1e-4 for each in asked])
    assert rows["safety.changed"].all() and not rows["safety.held"].any()
    assert set(rows["source"]) == {"policy"}
    np.testing.assert_array_equal(rows["sync.request_ns"][:, 0], stamps + 5_000_000)
    # The goal of the tick's own period was there a millisecond before its joint state.
    ages = rows["sync.goal_pose.age"][:, 0]
    np.testing.assert_allclose(ages, PERIOD_NS / 4e9, atol=1e-8)
    x = 0.4 + 4 * np.arange(TICKS) / 1e4
    np.testing.assert_array_equal(rows["observation.goal_pose"][:, 0], x.astype(np.float32))
    assert dataset.notes(0)["session"] == "abc" and dataset.notes(0)["cut"] == ""


def test_steps_of_the_tool_become_what_they_asked_of_the_joints(
    convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp(contract=swinging_contract()).run(TICKS).run(TICKS, "def", START_NS + 10**9)
    made.drop(tagged(ACTION, 20, session="def"))
    dataset = convert(made)
    rows = dataset.episode(0)
    actions = np.stack([made.action(tick) for tick in range(TICKS)])
    np.testing.assert_array_equal(rows["request.ee_delta"], actions)
    goals = np.stack([made.asked["abc", tick][2] for tick in range(TICKS)])
    np.testing.assert_array_equal(rows["action"], goals.astype(np.float32))
    assert dataset.features["action"].names == made.contract.joint_names
    documents = dataset.index.spec.documents
    assert documents["contract"]["action"]["kind"] == "joint_position"
    assert documents["request"]["kind"] == "ee_delta"
    # Behind an action that is lost nobody knows where the goal was.
    assert dataset.index.episodes == 2 and len(dataset.episode(1)["action"]) == 20
    said = capsys.readouterr().out
    assert "session def: cut at tick 20: its action is not in the log; 20 rows" in said
    assert "session def: 10 gaps" in said


def test_a_leader_arm_asks_for_joints_whatever_the_contract_has(convert: Convert) -> None:
    made = MadeUp(asker=LEADER).run(TICKS)
    made.contract = swinging_contract()  # steps of the tool
    dataset = convert(made)
    rows = dataset.episode(0)
    actions = np.stack([made.action_of_joints(tick) for tick in range(TICKS)])
    np.testing.assert_array_equal(rows["action"], actions)
    np.testing.assert_array_equal(rows["request.joint_position"], actions)
    assert set(rows["source"]) == {"human"}
    assert dataset.index.spec.documents["request"]["kind"] == "joint_position"


class TakenOver(MadeUp):
    """A run of a policy in which a person acts for a while."""

    def tick(self, tick: int, session: str, stamp: int, controller: Controller) -> None:
        self.asker = BY_HAND if 10 <= tick < 20 else ACTION
        super().tick(tick, session, stamp, controller)


@pytest.mark.parametrize("lost", [None, 10, 14, 19, 20])
def test_a_person_who_took_over_is_in_the_rows_and_what_is_lost_is_seen(
    convert: Convert, capsys: pytest.CaptureFixture[str], lost: int | None
) -> None:
    made = TakenOver(contract=swinging_contract()).run(TICKS)
    if lost is not None:
        made.drop(tagged(BY_HAND if 10 <= lost < 20 else ACTION, lost))
    rows = convert(made).episode(0)
    count = TICKS if lost is None else lost
    by_hand = np.isin(np.arange(count), np.arange(10, 20))
    assert list(rows["source"]) == np.where(by_hand, "human", "policy").tolist()
    goals = np.stack([made.asked["abc", tick][2] for tick in range(count)])
    np.testing.assert_array_equal(rows["action"], goals.astype(np.float32))
    assert ("gaps" in capsys.readouterr().out) == (lost is not None)


def test_requests_that_the_contract_does_not_make_are_refused(
    convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp(contract=swinging_contract()).run(TICKS)
    for sent in made.of(REQUEST):
        sent.message.points[0].positions = [q + 1e-6 for q in sent.message.points[0].positions]
    convert(made, code=2)
    said = "its request is not what the controller of the contract makes of the actions"
    assert said in capsys.readouterr().out


def test_what_came_after_the_joint_state_is_not_seen(convert: Convert) -> None:
    made = MadeUp().run(TICKS)
    for sent in made.of(GOAL):  # late: between the joint state of a tick and the next
        sent.log_ns += PERIOD_NS // 4 + 1_000_000
    rows = convert(made).episode(0)
    # Of the first tick no goal had come: it is no row, and those of the others are a period older.
    assert len(rows["action"]) == TICKS - 1
    ages = rows["sync.goal_pose.age"][:, 0]
    np.testing.assert_allclose(ages, 1.25 * PERIOD_NS / 1e9, atol=1e-8)


def test_a_reading_that_comes_out_of_order_is_counted_and_not_used(
    convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp().run(TICKS)
    frame, old = made.contract.kinematic_chain.base_frame, START_NS + 2 * PERIOD_NS - 5
    pose = np.array([9.0, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
    made.add(GOAL, START_NS + 10 * PERIOD_NS, old, pose_message(pose, frame, old))
    rows = convert(made).episode(0)
    assert len(rows["action"]) == TICKS and rows["observation.goal_pose"].max() < 2.0
    assert "goal_pose: out of order (1 messages)" in capsys.readouterr().out


# -- gaps --------------------------------------------------------------------------------------


def measured(topic: str, stamp_ns: int) -> Callable[[Sent], bool]:
    """Return what is true of a message with a stamp."""
    return lambda sent: sent.topic == topic and sent.stamp_ns == stamp_ns


def test_an_episode_is_cut_where_something_is_missing(
    convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five sessions, of each of which one message of tick 12 is missing."""
    cuts = {
        "request": (12, "13: 1 ticks were skipped, or are not in the log"),
        "action": (12, "12: its action is not in the log"),
        "command": (12, "12: commands are not in the log"),
        "joints": (12, "12: its joint state is not in the log"),
        # When it would have come nobody knows: it may be that tick 11 saw it.
        "goal": (11, "11: input 'goal_pose': 1 messages are not in the log"),
    }
    made, topics = MadeUp(), {"request": REQUEST, "action": ACTION, "command": COMMAND}
    for number, name in enumerate(cuts):
        start = START_NS + number * 10**9
        made.run(TICKS, name, start)
        at = start + 12 * PERIOD_NS
        if name in topics:
            made.drop(tagged(topics[name], 12, session=name))
        else:
            made.drop(measured(JOINTS, at + PERIOD_NS // 4) if name == "joints"
                      else measured(GOAL, at))  # fmt: skip
    dataset, said = convert(made), capsys.readouterr().out
    assert dataset.index.episodes == 10
    for number, (name, (first, why)) in enumerate(cuts.items()):
        assert f"session {name}: cut at tick {why}; {first} rows before it kept" in said
        pieces = (2 * number, 2 * number + 1)
        ticks = [dataset.episode(k)["sync.tick"][:, 0].tolist() for k in pieces]
        assert ticks == [list(range(first)), list(range(13, TICKS))]
        notes = [dataset.notes(k) for k in pieces]
        assert [each["cut"] for each in notes] == [f"at tick {why}", ""]
        assert [(each["session"], each["piece"]) for each in notes] == [(name, 1), (name, 2)]


def test_an_episode_with_a_gap_can_be_refused(
    convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp().run(TICKS).run(TICKS, "def", START_NS + 10**9)
    made.drop(tagged(ACTION, 12))
    dataset = convert(made, "--gaps", "refuse")
    assert "session abc: refused at tick 12: its action is not in" in capsys.readouterr().out
    assert [dataset.notes(k)["session"] for k in range(dataset.index.episodes)] == ["def"]


def test_short_pieces_are_left_out_and_said(
    convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp().run(TICKS)
    made.drop(tagged(ACTION, 3, 25))
    dataset = convert(made)
    out = capsys.readouterr().out
    assert "cut at tick 3: its action is not in the log; 3 rows before it left out" in out
    assert "its last 4 rows are left out: too few" in out
    assert dataset.index.episodes == 1 and len(dataset) == 21


def test_an_input_that_is_too_old_is_a_gap(
    convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp().run(200)
    since = START_NS + 20 * PERIOD_NS
    made.sent = [s for s in made.sent if s.topic != GOAL or s.stamp_ns < since]
    dataset = convert(made)
    # 19 is the last goal; at 2 s of receipt age, 120 periods later, it is too old.
    assert len(dataset) == 139
    assert "input 'goal_pose': receipt age 200" in capsys.readouterr().out


def test_ticks_that_the_gate_did_not_pass_are_held(
    convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the gate has it: no command is lost, none is sent, and it says so up to tick 24."""
    made = MadeUp().run(TICKS)
    held = {f"abc/{tick}" for tick in range(20, TICKS)}
    made.sent = [s for s in made.sent
                 if s.topic != COMMAND or s.message.header.frame_id not in held]  # fmt: skip
    made.gate_says("ACTIVE", START_NS + 29 * PERIOD_NS)
    made.gate_says("HOLD", START_NS + 25 * PERIOD_NS)
    rows = convert(made).episode(0)
    assert rows["safety.held"][:, 0].tolist() == [False] * 20 + [True] * 5
    assert not rows["safety.changed"][20:].any()
    # The arm runs out the last command: a milliradian beyond it at 0.1 s, 5 periods later.
    last = made.asked["abc", 19][0]
    np.testing.assert_allclose(rows["command.position"][24], last + 1e-3, atol=1e-4)
    assert 0.0 < rows["command.position"][20, 0] - last[0] < 1e-3
    said = capsys.readouterr().out  # of a log that a kill has cut nobody knows
    assert "cut at tick 25: what the gate made of it is not in the log" in said


# -- which ticks are an episode ----------------------------------------------------------------


def test_the_operator_says_what_is_kept(
    convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp().run(120)
    for number, (event, first, last) in enumerate((("keep", 10, 40), ("discard", 50, 80)), 1):
        made.mark("start", number, START_NS + first * PERIOD_NS, "put it there")
        made.mark(event, number, START_NS + last * PERIOD_NS, "put it there")
    made.mark("start", 3, START_NS + 90 * PERIOD_NS)
    dataset = convert(made)
    out = capsys.readouterr().out
    assert "episode 2: discarded by the operator" in out
    assert "episode 3: its end is not in the log" in out
    assert dataset.index.episodes == 1 and dataset.task(0) == "put it there"
    rows = dataset.episode(0)
    assert rows["sync.tick"][:, 0].tolist() == list(range(10, 40))
    assert rows["next.done"][:, 0].tolist() == rows["next.success"][:, 0].tolist()
    assert rows["next.done"][:, 0].tolist() == [False] * 29 + [True]


def test_an_episode_ends_where_the_arm_says(convert: Convert) -> None:
    made, end = MadeUp().run(TICKS), START_NS + 20 * PERIOD_NS
    for stamp, done in ((START_NS - PERIOD_NS, False), (end, True)):
        values = {"seed": 7, "done": done, "success": done, "stamp_ns": stamp}
        message = status_message(DiagnosticStatus.OK, "episode", "", values)
        made.add(f"/{SIM_EPISODE}", stamp, stamp, message)
    dataset = convert(made)
    rows, notes = dataset.episode(0), dataset.notes(0)
    assert len(rows["action"]) == 20 and rows["next.success"][-1, 0]
    assert (notes["seed"], notes["success"], notes["ended"]) == (7, True, True)


def test_an_arm_that_is_started_again_begins_anew(convert: Convert, tmp_path: Path) -> None:
    made, again = MadeUp().run(TICKS), MadeUp().run(TICKS, "def", START_NS - 3 * 10**9)
    parts = [sorted(part.sent, key=lambda sent: sent.log_ns) for part in (made, again)]
    made.sent = parts[0] + parts[1]
    made.write(tmp_path / "log", in_time=False)
    dataset = convert(made)
    assert [dataset.notes(k)["session"] for k in range(2)] == ["abc", "def"]
    assert len(dataset) == 2 * TICKS


def test_the_same_log_again_adds_nothing(
    convert: Convert, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp().run(TICKS)
    made.drop(tagged(ACTION, 12))
    before = len(convert(made))
    dataset = convert(made)
    assert len(dataset) == before and dataset.index.episodes == 2
    assert "0 episodes, 0 rows, 2 were there already" in capsys.readouterr().out


# -- pictures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [30.0, 60.0])
def test_pictures_of_gels_are_kept_without_loss(
    convert: Convert, capsys: pytest.CaptureFixture[str], rate: float
) -> None:
    spec = ArraySpec(
        name="touch_left_rgb", kind="sensor", shape=(6, 8, 3), dtype="uint8", rate_hz=rate,
        max_stamp_age_s=0.2,
    )  # fmt: skip
    made, topic = MadeUp(), "/sim_arm/touch_left_rgb/image_raw"
    made.contract = replace(made.contract, inputs=(*made.contract.inputs, spec))
    made.run(TICKS)
    made.types[topic] = "sensor_msgs/msg/Image"
    random, pictures = np.random.default_rng(0), dict[int, np.ndarray]()
    for k in range(-2, TICKS, 2):  # every second period, 20 ms late
        stamp = START_NS + k * PERIOD_NS
        pictures[stamp] = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        message = image_message(pictures[stamp], "rgb8", "", stamp)
        made.add(topic, stamp + 20_000_000, stamp, message)
    dataset = convert(made)
    key = "observation.tactile.touch_left_rgb"
    found = dataset.pictures(key, 0, range(TICKS))
    stamps = dataset.episode(0)["sync.touch_left_rgb.stamp_ns"][:, 0].tolist()
    np.testing.assert_array_equal(found, np.stack([pictures[stamp] for stamp in stamps]))
    # A picture comes 3.3 ms into the next period, joint states 4.5 ms into each.
    assert [(stamp - START_NS) // PERIOD_NS for stamp in stamps[:6]] == [-2, 0, 0, 2, 2, 4]
    # 16 pictures in 30 periods; a camera of 60 Hz would have sent 30.
    lost = f"{topic}: 16 messages, about 30 were expected at 60 Hz: some were lost before"
    assert (lost in capsys.readouterr().out) == (rate == 60.0)


# -- what is no log ----------------------------------------------------------------------------


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["convert", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_what_is_no_log_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--out", str(tmp_path / "set"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "some.mcap").write_bytes(b"this is no MCAP file")
    (tmp_path / "empty.mcap").write_bytes(b"")
    for name, said in (
        ("nothing", "expected the folder of a log, or an .mcap file; found nothing"),
        ("folder", "no .mcap file lies in it"),
        ("some.mcap", "expected an MCAP file"),
        ("empty.mcap", "it says no contract: name the --bundle"),
    ):
        assert said in fails(capsys, str(tmp_path / name), *out)
    assert not (tmp_path / "set").exists()


def test_a_log_without_a_contract_needs_a_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp(contract=swinging_contract()).run(TICKS)
    log = made.write(tmp_path / "log", about=False)
    words = (str(log), "--out", str(tmp_path / "set"))
    assert "name the --bundle" in fails(capsys, *words)
    bundle = write_swinging(tmp_path / "bundle")
    assert main(["convert", *words, "--bundle", str(bundle)]) == 0
    assert len(Dataset(tmp_path / "set")) == TICKS
    assert "expected" in fails(capsys, *words, "--bundle", str(tmp_path / "none"))
    assert "--shortest" in fails(capsys, *words, "--shortest", "0")


def test_a_log_without_episodes_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp().run(TICKS)
    made.sent = [sent for sent in made.sent if sent.topic != COMMAND]
    log = made.write(tmp_path / "log")
    line = fails(capsys, str(log), "--out", str(tmp_path / "set"))
    assert "nothing in it became an episode" in line


def test_a_damaged_chunk_is_named_and_cuts_the_episode(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp().run(TICKS)
    made.mark("start", 1, START_NS)
    made.mark("keep", 1, START_NS + TICKS * PERIOD_NS)
    assert made.of(f"/{MARKS}")
    log = made.write(tmp_path / "log", chunk=4000)
    (file,) = log.glob("*.mcap")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert main(["convert", str(log), "--out", str(tmp_path / "set"), "--shortest", "2"]) == 0
    out = capsys.readouterr().out
    assert "log_0.mcap: the chunk at byte" in out and "its checksum is another" in out
    assert "session abc: cut at tick" in out
    dataset, whole = Dataset(tmp_path / "set"), list[int]()
    for k in range(dataset.index.episodes):
        rows = dataset.episode(k)
        whole += rows["sync.tick"][:, 0].tolist()
        expected = np.stack([made.action(int(tick)) for tick in rows["sync.tick"][:, 0]])
        np.testing.assert_array_equal(rows["action"], expected)
    assert TICKS - 12 < len(whole) < TICKS
