"""What rosbag2 wants to know of a folder before it opens a file: the text of `metadata.yaml`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .mcap_file import McapFile

LIBRARY = "sim2arm"
"""Begins what our files say wrote them."""
_VERSION = 9
"""Of the text: that of Jazzy."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """What is recorded of one topic."""

    name: str
    type: str
    """`package/msg/Name`."""
    definition: str = ""
    """Text of the type and of those that it uses."""
    type_hash: str = ""
    """`RIHS01_...`, empty if it is not known."""
    qos: Sequence[Mapping[str, Any]] = ()
    """As rosbag2 names the fields of a profile."""


@dataclass(kw_only=True)
class Part:
    """A file that is finished, or under way."""

    path: Path
    file: McapFile
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def plain(self) -> dict[str, Any]:
        """Return what rosbag2 says of a file."""
        total = sum(self.counts.values())
        start, end = (self.file.start_ns, self.file.end_ns) if total else (0, 0)
        return {
            "path": self.path.name,
            "starting_time": {"nanoseconds_since_epoch": start},
            "duration": {"nanoseconds": end - start},
            "message_count": total,
        }


def description(parts: Sequence[Part], topics: Sequence[Topic]) -> bytes:
    """Return the text of `metadata.yaml`."""
    files = [part.plain() for part in parts]
    told = [file for file in files if file["message_count"]]
    starts = [file["starting_time"]["nanoseconds_since_epoch"] for file in told]
    ends = [s + f["duration"]["nanoseconds"] for s, f in zip(starts, told, strict=True)]
    start, end = (min(starts), max(ends)) if told else (0, 0)
    information = {
        "version": _VERSION,
        "storage_identifier": "mcap",
        "relative_file_paths": [part.path.name for part in parts],
        "starting_time": {"nanoseconds_since_epoch": start},
        "duration": {"nanoseconds": end - start},
        "message_count": sum(file["message_count"] for file in files),
        "topics_with_message_count": [_plain_topic(topic, parts) for topic in topics],
        "compression_format": "",
        "compression_mode": "",
        "files": files,
        "custom_data": None,
        "ros_distro": os.environ.get("ROS_DISTRO", LIBRARY),
    }
    return yaml.safe_dump({"rosbag2_bagfile_information": information}).encode()


def _plain_topic(topic: Topic, parts: Sequence[Part]) -> dict[str, Any]:
    described = {
        "name": topic.name,
        "type": topic.type,
        "serialization_format": "cdr",
        "offered_qos_profiles": list(map(dict, topic.qos)),
        "type_description_hash": topic.type_hash,
    }
    count = sum(part.counts.get(topic.name, 0) for part in parts)
    return {"topic_metadata": described, "message_count": count}
