# pyright: standard
"""Raw logs between our recorder and other programs."""

from __future__ import annotations

from pathlib import Path

from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from sim2arm_ros.bag.description import Topic
from sim2arm_ros.bag.folder import BagFolder, FolderCfg
from sim2arm_ros.bag.reader import Log
from sim2arm_ros.bag.schemas import definition_of

from .test_bag import EVERY, TEXT, message


def test_rosbags_reads_a_log_of_several_files(tmp_path: Path) -> None:
    bag = BagFolder(tmp_path / "log", {}, FolderCfg(split_bytes=1000))
    kind, qos = "sensor_msgs/msg/JointState", {"history": "keep_last", "depth": 10,
        "reliability": "best_effort", "durability": "volatile", "liveliness": "automatic",
        "deadline": {"sec": 0, "nsec": 0}, "lifespan": {"sec": 0, "nsec": 0},
        "liveliness_lease_duration": {"sec": 0, "nsec": 0},
        "avoid_ros_namespace_conventions": False}  # fmt: skip
    text, type_hash = definition_of(kind)
    for name in ("/a", "/b"):
        bag.add_topic(Topic(name=name, type=kind, definition=text, type_hash=type_hash, qos=[qos]))
    for number in range(20):
        bag.add(*message(number, 100))
        bag.flush()
    bag.finish()
    assert len(list((tmp_path / "log").glob("*.mcap"))) > 2
    with Reader(tmp_path / "log") as reader:
        assert (reader.message_count, reader.duration) == (20, 19_001)
        (a, _) = reader.connections
        assert (a.topic, a.msgtype, a.msgcount, a.digest) == ("/a", kind, 10, type_hash)
        assert "float64[] velocity" in a.msgdef.data and "MSG: std_msgs/Header" in a.msgdef.data
        found = [(c.topic, at, data) for c, at, data in reader.messages()]
    assert found == [(m[0], m[2], m[4]) for m in (message(n, 100) for n in range(20))]
    with Log(tmp_path / "log") as log:
        assert [m.data for m in log.messages] == [data for *_, data in found] and log.ours


def test_a_log_of_others_is_read_compressed_or_not(tmp_path: Path) -> None:
    for mode in (CompressionMode.NONE, CompressionMode.STORAGE):
        writer = Writer(tmp_path / mode.name, version=9, storage_plugin=StoragePlugin.MCAP)
        writer.set_compression(mode, CompressionFormat.ZSTD)
        with writer:
            store = get_typestore(Stores.ROS2_JAZZY)
            connection = writer.add_connection("/a", TEXT, typestore=store)
            for number in range(10):
                writer.write(connection, number, message(number)[4])
        with Log(tmp_path / mode.name) as log:
            assert [m.data for m in log.messages] == [m[4] for m in EVERY]
            assert (log.problems, log.ours) == ([], False)
