"""Motion from a raw log, or from topics as they come, for calibrations."""

# pyright: standard

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim2arm.core.calibration_record import InputFile, input_file

from .errors import UserError


@dataclass(frozen=True, kw_only=True)
class MotionSource:
    """What is listened to, and where."""

    log: Path | None
    """Raw log (rosbag2 with MCAP); None: topics now."""
    moved: str
    """Topic that says what moved."""
    seen: str
    """Topic that says what was seen of it."""
    names: tuple[str, ...]
    """Joints, in order."""
    told: bool = False
    """Live: whether the first is what a controller is told, not joint states."""
    picture: bool = False
    """Live: whether the second has pictures, not joint states."""
    compressed: bool = False
    """Live: whether pictures are compressed."""
    wrench: bool = False
    """Whether the second has forces (WrenchStamped)."""
    seconds: float = 40.0
    """Live: for how long."""

    def events(self) -> Iterator[Any]:
        """Yield what is heard (`sim2arm_ros.motion_events.Told`).

        Raises:
            UserError: there is no ROS, or no such log.
            ValueError: what is heard cannot be read.
        """
        from sim2arm_ros.dds import RosImportError, install

        try:
            install()
        except RosImportError as error:
            raise UserError(str(error)) from error
        from sim2arm_ros.bag.reader import Log
        from sim2arm_ros.bag.scan import LogError
        from sim2arm_ros.forces import WRENCH
        from sim2arm_ros.graph import JOINT_STATE
        from sim2arm_ros.motion_events import STATE, MotionTopics, live_motion, log_motion
        from sim2arm_ros.pictures import COMPRESSED_IMAGE, IMAGE

        topics = MotionTopics(moved=self.moved, seen=self.seen, names=self.names)
        if self.log is None:
            picture = COMPRESSED_IMAGE if self.compressed else IMAGE
            seen = WRENCH if self.wrench else picture if self.picture else JOINT_STATE
            kinds = (STATE if self.told else JOINT_STATE, seen)
            print(f"listening to {self.moved} and {self.seen} for {self.seconds:g} s", flush=True)
            yield from live_motion(topics, kinds, self.seconds)
            return
        try:
            with Log(self.log) as log:
                yield from log_motion(log, topics)
        except LogError as error:
            raise UserError(str(error)) from error

    def inputs(self) -> tuple[InputFile, ...]:
        """Return the files of the log with their hashes."""
        if self.log is None:
            return ()
        files: Iterable[Path] = sorted(self.log.iterdir()) if self.log.is_dir() else [self.log]
        return tuple(input_file(file) for file in files if file.is_file())
