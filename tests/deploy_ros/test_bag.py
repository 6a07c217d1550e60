# pyright: standard
"""Raw logs on disk: cut, damaged, full, slow; and read by another program."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2arm_ros.bag.description import Topic
from sim2arm_ros.bag.folder import BagFolder, FolderCfg
from sim2arm_ros.bag.reader import Log
from sim2arm_ros.bag.recording import DROPPED, Recording, RecordingCfg
from sim2arm_ros.bag.scan import LogError
from sim2arm_ros.bag.schemas import definition_of

TEXT = "std_msgs/msg/String"
COUNT = 10
Message = tuple[str, int, int, int, bytes]


def message(number: int, size: int = 6) -> Message:
    """Return topic, sequence, log time, publish time and data of a message."""
    data = np.random.default_rng(number).bytes(size)
    return f"/{'ab'[number % 2]}", number // 2, 10**9 + 1000 * number, 10**9 + number, data


def make_folder(path: Path, cfg: FolderCfg | None = None, **more: Any) -> BagFolder:
    bag = BagFolder(path, {"sim2arm": {"task": "test"}}, cfg, **more)
    for name in ("/a", "/b"):
        bag.add_topic(Topic(name=name, type=TEXT, definition="string data\n"))
    return bag


def write_log(path: Path, count: int, *, per_chunk: int, ended: bool = True) -> Path:
    """Write a log of one file and return that file."""
    bag = make_folder(path)
    for number in range(count):
        bag.add(*message(number))
        if (number + 1) % per_chunk == 0:
            bag.flush()
    if ended:
        bag.finish()
    return path / f"{path.name}_0.mcap"


def read(path: Path) -> tuple[list[Message], list[str]]:
    """Return all messages of a log and what is wrong with it."""
    with Log(path) as log:
        found = [(m.topic, m.sequence, m.log_ns, m.publish_ns, m.data) for m in log.messages]
        return found, log.problems


EVERY = [message(number) for number in range(COUNT)]


# -- cut and damaged ---------------------------------------------------------------------------


def test_a_file_that_is_cut_anywhere_gives_its_whole_chunks(tmp_path: Path) -> None:
    path, most = write_log(tmp_path / "log", COUNT, per_chunk=2), COUNT
    assert read(path) == (EVERY, [])
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        messages, problems = read(path)
        assert messages == EVERY[: len(messages)] and len(messages) % 2 == 0
        assert len(messages) <= most  # one byte less is never a message more
        assert problems and all(line.startswith("log_0.mcap: ") for line in problems)
        most = len(messages)
    assert most == 0


@pytest.mark.parametrize("ended", [True, False])
def test_a_flipped_bit_is_never_another_message(tmp_path: Path, ended: bool) -> None:
    path = write_log(tmp_path / "log", COUNT, per_chunk=2, ended=ended)
    data, silent = path.read_bytes(), 0
    with path.open("r+b", buffering=0) as file:
        for at, byte in enumerate(data):
            os.pwrite(file.fileno(), bytes([byte ^ 1 << at % 8]), at)
            try:
                messages, problems = read(path)
            except LogError as error:
                assert "\n" not in str(error)
            else:
                left = iter(EVERY)
                assert all(one in left for one in messages), at  # some of them, in their order
                said = [line for line in problems if "not ended" not in line]
                silent += len(messages) < COUNT and not said
            os.pwrite(file.fileno(), bytes([byte]), at)
    # Without a summary nothing says that the last record was once a chunk.
    assert silent <= (0 if ended else 1)


def test_a_damaged_chunk_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    for name, ended in (("ended", True), ("killed", False)):
        path = write_log(tmp_path / name, COUNT, per_chunk=2, ended=ended)
        data = bytearray(path.read_bytes())
        data[data.index(message(5)[4])] ^= 1
        path.write_bytes(data)
        messages, problems = read(path)
        assert messages == EVERY[:4] + EVERY[6:]
        (said,) = [line for line in problems if "chunk" in line]
        assert said.endswith("it is damaged: its checksum is another") and f"{name}_0.mcap" in said


def test_the_first_chunk_may_be_damaged_where_a_summary_names_the_topics(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log", COUNT, per_chunk=2)
    data = bytearray(path.read_bytes())
    data[data.index(message(0)[4])] ^= 1
    path.write_bytes(data)
    messages, problems = read(path)
    assert messages == EVERY[2:]
    assert any("8 messages are readable, its summary counts 10" in line for line in problems)
    path.write_bytes(data[:-60])
    messages, problems = read(path)
    assert messages == []
    assert any("4 messages of channel 1 are left out" in line for line in problems)


def test_texts_that_were_changed_are_left_out(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log", 4, per_chunk=4)
    with Log(path) as log:
        assert log.metadata == [("sim2arm", {"task": "test"})]
    path.write_bytes(path.read_bytes().replace(b"test", b"rest", 1))
    with Log(path) as log:
        assert log.metadata == [] and log.problems == ["log_0.mcap: 1 damaged records are left out"]


# -- full, read-only and slow disks ------------------------------------------------------------


class Disk:
    """A file on a disk that has room for so many bytes, and is so slow."""

    def __init__(self, path: Path, room: int, pause: threading.Event | None = None) -> None:
        self._file, self._room, self._pause = path.open("xb", buffering=0), room, pause

    def write(self, data: memoryview) -> int:
        if self._pause is not None:
            self._pause.wait()
        fits = max(0, self._room - self._file.tell())
        if not fits:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data[:fits]) or 0  # as a real one: first some of it, then nothing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def wait(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_disk_that_fills_up_ends_the_log_in_one_line(tmp_path: Path) -> None:
    bag = make_folder(tmp_path / "log", open_file=lambda path: Disk(path, 4000))
    recording = Recording(bag, RecordingCfg(chunk_bytes=500))
    for name in ("/a", "/b"):
        recording.add_topic(Topic(name=name, type=TEXT))
    sent = 0
    while not recording.state().error and sent < 10_000:
        _, _, log_ns, publish_ns, data = message(sent)
        recording.put(message(sent)[0], log_ns, publish_ns, data)
        sent += 1
        time.sleep(0.0002)
    assert recording.state().error == f"{tmp_path / 'log'}: No space left on device"
    assert not recording.put("/a", 1, 1, b"")  # and nobody waits
    recording.close()
    messages, problems = read(tmp_path / "log")
    expected = [message(number) for number in range(len(messages))]
    assert messages == expected and 10 < len(messages) < sent
    assert problems == ["log_0.mcap: it was not ended: read up to byte "
                        f"{(tmp_path / 'log' / 'log_0.mcap').stat().st_size}"]  # fmt: skip


def test_a_disk_without_room_is_refused_before_anything_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="MiB are free"):
        make_folder(tmp_path / "a", FolderCfg(least_free_bytes=1 << 60))
    bag = make_folder(tmp_path / "b")
    recording = Recording(bag, RecordingCfg(sync_s=0.0))
    recording.add_topic(Topic(name="/a", type=TEXT))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": 1 << 20}))
    recording.put("/a", 1, 1, b"data")
    wait(lambda: recording.state().error)
    assert "1 MiB are free, 200 MiB are left to others" in recording.state().error
    recording.close()
    assert [m[4] for m in read(tmp_path / "b")[0]] == [b"data"]  # ended in order
    assert read(tmp_path / "b")[1] == []


def test_a_read_only_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with pytest.raises(OSError, match="Read-only file system"):
        make_folder(tmp_path / "log", open_file=refuse)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    with pytest.raises(ValueError, match="expected an empty folder for the log"):
        make_folder(tmp_path / "full")


def test_a_slow_disk_holds_nobody_up_and_what_is_dropped_is_said(tmp_path: Path) -> None:
    go = threading.Event()
    go.set()
    slow: Any = lambda path: Disk(path, 1 << 30, go)  # noqa: E731
    bag = make_folder(tmp_path / "log", open_file=slow)
    recording = Recording(bag, RecordingCfg(queue_messages=50, chunk_bytes=200, chunk_s=0.0))
    for name in ("/a", "/b"):
        recording.add_topic(Topic(name=name, type=TEXT))
    time.sleep(0.02)
    go.clear()
    worst, taken = 0.0, list[Message]()
    for number in range(1000):
        topic, sequence, log_ns, publish_ns, data = message(number)
        begin = time.monotonic()
        if recording.put(topic, log_ns, publish_ns, data):
            taken.append((topic, sequence, log_ns, publish_ns, data))
        worst = max(worst, time.monotonic() - begin)
    assert recording.put("/a", 5, 5, b"mark", urgent=True)  # marks of the operator are not dropped
    state = recording.state()
    assert state.dropped == 1000 - len(taken) > 900 and state.waiting > 0
    assert worst < 0.5  # a busy machine; the disk stands still for ever
    go.set()
    recording.close()
    with Log(tmp_path / "log") as log:
        found = [(m.topic, m.sequence, m.log_ns, m.publish_ns, m.data) for m in log.messages]
        (texts,) = (values for name, values in log.metadata if name == DROPPED)
    # Numbers are missing where messages are.
    assert found == [*taken, ("/a", 500, 5, 5, b"mark")]
    told = {topic: json.loads(text) for topic, text in texts.items()}
    assert sum(each["dropped"] for each in told.values()) == state.dropped
    assert told["/b"]["to_ns"] == message(999)[2]


def test_chunks_are_written_in_time(tmp_path: Path) -> None:
    recording = Recording(make_folder(tmp_path / "log"), RecordingCfg(chunk_s=0.1))
    recording.add_topic(Topic(name="/a", type=TEXT))
    recording.lose("/a", 3, 7)
    recording.put("/a", 9, 9, b"one")
    begin = time.monotonic()
    wait(lambda: not recording.state().waiting)
    assert time.monotonic() - begin < 1.0
    messages, _ = read(tmp_path / "log")  # not ended: as after a kill
    assert messages == [("/a", 3, 9, 9, b"one")]
    recording.close()
    assert recording.state().lost == 3


def test_the_checksum_of_a_summary_is_that_of_the_specification(tmp_path: Path) -> None:
    data = write_log(tmp_path / "log", 4, per_chunk=2).read_bytes()
    # The last 37 bytes: head 9, start 8, offsets 8, checksum 4, magic 8.
    start = int.from_bytes(data[-28:-20], "little")
    assert int.from_bytes(data[-12:-8], "little") == zlib.crc32(data[start:-12])


def test_definitions_are_those_of_a_ros_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = tmp_path / "share" / "lamp_msgs" / "msg"
    share.mkdir(parents=True)
    lamp = "# A lamp.\nBulb[<=2] bulbs  # two\nstring<=8 name\nint8 ON=1\n"
    (share / "Lamp.msg").write_text(lamp)
    (share / "Bulb.msg").write_text("lamp_msgs/Watt power\n")
    (share / "Watt.msg").write_text("float64 watt\n")
    hashes = [{"type_name": "lamp_msgs/msg/Lamp", "hash_string": "RIHS01_ab"}]
    (share / "Lamp.json").write_text(json.dumps({"type_hashes": hashes}))
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere{os.pathsep}{tmp_path}")
    text, type_hash = definition_of("lamp_msgs/msg/Lamp")
    ruler = "=" * 80
    assert text == (
        f"{lamp}{ruler}\nMSG: lamp_msgs/Bulb\nlamp_msgs/Watt power\n"
        f"{ruler}\nMSG: lamp_msgs/Watt\nfloat64 watt\n"
    )
    assert type_hash == "RIHS01_ab"
    assert definition_of("lamp_msgs/msg/Watt")[1] == ""
    with pytest.raises(ValueError, match="'lamp_msgs/msg/Moon': its definition is not installed"):
        definition_of("lamp_msgs/msg/Moon")
