"""`sim2arm calibrate views FOLDER`: takes what `calibrate intrinsics` and `hand-eye` read.

From a camera of this computer, from topics of ROS, or from a raw log. Whoever holds the board, or
moves the arm, is told what to show next; nothing here moves anything.
"""

# pyright: standard

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from tyro.conf import Positional, arg

from sim2arm.calibration.board import BoardCfg, BoardFinder
from sim2arm.calibration.still_views import Event, StillViews, Taken
from sim2arm.calibration.view_folder import FACTORY, SUFFIXES, TABLE, table_lines
from sim2arm.core.camera_info import camera_info_yaml
from sim2arm.core.driver_stage import DriverStage
from sim2arm.core.durable import write_durably
from sim2arm.core.robot_files import find_robot
from sim2arm.core.robots import Robot
from sim2arm.core.spec import StaleReading
from sim2arm.sensors.camera_thread import ThreadedCamera as Camera
from sim2arm.sensors.realsense_cfg import RealSenseCfg
from sim2arm.sensors.uvc import UvcCamera, UvcCfg

from .errors import UserError, user_input
from .outputs import check_folder
from .parse import parse

PATIENCE = 10.0
"""How long a camera may take to send a picture [s]."""


@dataclass(frozen=True, kw_only=True)
class CalibrateViewsCfg:
    """Take pictures of a board, and the joints of an arm, for a calibration.

    A view is taken when board and arm stand still at a place that is new; Ctrl-C ends.
    """

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Where, without pictures."""
    device: str = ""
    """Camera of this computer: words of its name, or a path."""
    realsense: str = ""
    """RealSense of this computer, by librealsense: its serial number, `any` for the only one. The
    lens that it says it has is kept beside the pictures; `calibrate intrinsics` compares."""
    width: int = 640
    """Of the camera's pictures [pixels]."""
    height: int = 480
    """Of the camera's pictures [pixels]."""
    rate_hz: float = 30.0
    """Of the camera's pictures."""
    image_topic: str = ""
    """Topic with pictures, live or in the log."""
    compressed: bool = False
    """Whether it is one of CompressedImage, when it is live."""
    joints_topic: str = ""
    """Topic with joint states, for hand-eye."""
    robot: str = "fr3"
    """Name of the arm, whose joints these are."""
    log: Path | None = None
    """Raw log (rosbag2 with MCAP) to take views from, instead of live."""
    board: BoardCfg = field(default_factory=BoardCfg)
    """The board as it was printed."""
    count: int = 40
    """Views after which it ends."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(CalibrateViewsCfg, argv, "sim2arm calibrate views")
    taken = run(cfg)
    verb = "hand-eye" if cfg.joints_topic else "intrinsics"
    print(f"{cfg.folder}: {taken} views; next: sim2arm calibrate {verb} {cfg.folder}")
    return 0


def run(
    cfg: CalibrateViewsCfg,
    open_camera: Callable[[CalibrateViewsCfg], Camera] | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Take the views; return how many there are.

    Raises:
        UserError: options do not go together, or the source gives nothing that can be used.
    """
    check(cfg)
    robot = None
    with user_input("calibrate views"):
        if cfg.joints_topic:
            robot = find_robot(cfg.robot)
        finder = BoardFinder(cfg.board)
    views = StillViews(finder, joints=robot is not None)
    saved = _Saved(cfg.folder, robot)
    try:
        source = _source(cfg, robot, open_camera or open_here)
        with user_input("calibrate views"), closing(source) as events:
            take(events, views, saved, cfg.count, say)
    except KeyboardInterrupt:
        say("ended by Ctrl-C")
    if not saved.files:
        raise UserError(f"no view was taken: {views.why_not}")
    return len(saved.files)


def check(cfg: CalibrateViewsCfg) -> None:
    """Refuse options that do not go together.

    Raises:
        UserError: one line.
    """
    if sum(map(bool, (cfg.device, cfg.realsense, cfg.image_topic))) != 1:
        raise UserError("expected one of --device, --realsense and --image-topic")
    if not cfg.image_topic and (cfg.joints_topic or cfg.log):
        raise UserError(
            "--joints-topic, --log: go with --image-topic: a camera without ROS stamps is of no "
            "moment of an arm"
        )
    if cfg.count < 1:
        raise UserError(f"--count: expected 1 or more, got {cfg.count}")
    check_folder("FOLDER", cfg.folder)
    if cfg.folder.exists() and any(p.suffix.lower() in SUFFIXES for p in cfg.folder.iterdir()):
        raise UserError(f"{cfg.folder} has pictures already: choose another folder")


class _Saved:
    """Views on disk, each with its line in the table before the next."""

    def __init__(self, folder: Path, robot: Robot | None) -> None:
        self.files: list[str] = []
        self._folder, self._robot = folder, robot
        self._stamps: list[int] = []
        self._q: list[np.ndarray] = []

    def add(self, taken: Taken) -> None:
        done, data = cv2.imencode(".png", cv2.cvtColor(taken.picture, cv2.COLOR_RGB2BGR))
        assert done
        name = f"view-{len(self.files):03}.png"
        write_durably(self._folder / name, data.tobytes())
        self.files.append(name)
        if self._robot is not None and taken.q is not None:
            self._stamps.append(taken.stamp_ns)
            self._q.append(taken.q)
            text = table_lines(self._robot.joint_names, self.files, self._stamps, np.stack(self._q))
            write_durably(self._folder / TABLE, text.encode())


def take(
    events: Iterable[Event], views: StillViews, saved: _Saved, count: int,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Take views until there are enough; say what is wrong with a picture once, and what is next.

    Raises:
        OSError: a view cannot be written.
    """
    told = ""
    for event in events:
        taken: Taken | None = None
        if event.q is not None:
            taken = views.hear(event.stamp_ns, event.q)
        elif event.picture is not None:
            taken = views.see(event.stamp_ns, event.picture)
        if taken is not None:
            saved.add(taken)
            for line in guidance(views, len(saved.files), count):
                say(line)
            if len(saved.files) >= count:
                return
        elif views.why_not != told:
            told = views.why_not
            say(f"  {told}")


def guidance(views: StillViews, number: int, count: int) -> list[str]:
    """Return what a person is told after a view: the map of the picture, and what to do next."""
    coverage = views.coverage()
    todo = coverage.missing[0] if coverage.missing else "everything is covered; more is better"
    return [f"{number} of {count} views; next: {todo}", *(f"    {row}" for row in coverage.lines)]


def _source(
    cfg: CalibrateViewsCfg, robot: Robot | None, open_camera: Callable[[CalibrateViewsCfg], Camera]
) -> Generator[Event]:
    if not cfg.image_topic:
        yield from of_camera(cfg, open_camera)
        return
    from sim2arm_ros.dds import RosImportError, install

    try:
        install()
    except RosImportError as error:
        raise UserError(str(error)) from error
    from sim2arm_ros.bag.reader import Log
    from sim2arm_ros.bag.scan import LogError
    from sim2arm_ros.view_events import ViewTopics, live_events, log_events

    topics = ViewTopics(
        image=cfg.image_topic, compressed=cfg.compressed, joints=cfg.joints_topic,
        names=robot.joint_names if robot else (),
    )  # fmt: skip
    if cfg.log is None:
        yield from live_events(topics)
        return
    try:
        with Log(cfg.log) as log:
            yield from log_events(log, topics)
    except LogError as error:
        raise UserError(str(error)) from error


def open_here(cfg: CalibrateViewsCfg) -> Camera:
    """Return the camera of this computer; its pictures are as they come.

    Raises:
        OSError, ValueError: there is none; one line.
    """
    stage = DriverStage(
        width=cfg.width, height=cfg.height, out_width=cfg.width, out_height=cfg.height
    )
    if not cfg.realsense:
        return UvcCamera(
            UvcCfg(device=cfg.device, width=cfg.width, height=cfg.height, rate_hz=cfg.rate_hz,
                   stage=stage, name="picture", stamps="receipt")
        )  # fmt: skip
    from sim2arm.sensors.realsense import RealSenseCamera

    return RealSenseCamera(realsense_cfg(cfg, stage))


def realsense_cfg(cfg: CalibrateViewsCfg, stage: DriverStage) -> RealSenseCfg:
    """Return what is asked of a RealSense: colour alone."""
    return RealSenseCfg(
        name="picture", serial="" if cfg.realsense == "any" else cfg.realsense, width=cfg.width,
        height=cfg.height, rate_hz=round(cfg.rate_hz), stage=stage, stamps="receipt",
    )  # fmt: skip


def _keep_factory(cfg: CalibrateViewsCfg, camera: Camera) -> None:
    """Write down the lens that the camera says it has; where it says none, none is there."""
    (cfg.folder / FACTORY).unlink(missing_ok=True)
    said = getattr(camera, "intrinsics", {})
    for lens in list(said.values())[:1]:
        write_durably(cfg.folder / FACTORY, camera_info_yaml(lens, "factory").encode())


def of_camera(
    cfg: CalibrateViewsCfg, open_camera: Callable[[CalibrateViewsCfg], Camera]
) -> Generator[Event]:
    """Yield the pictures of a camera, each once, until it falls silent.

    Raises:
        OSError, ValueError: there is none, or it is silent; one line.
    """
    with open_camera(cfg) as camera:
        _keep_factory(cfg, camera)
        last, heard = None, time.monotonic()
        while True:
            try:
                reading = camera.read()
            except (StaleReading, RuntimeError) as error:
                if isinstance(error, RuntimeError) or time.monotonic() - heard > PATIENCE:
                    raise ValueError(str(error)) from error
                time.sleep(0.01)
                continue
            heard = time.monotonic()
            if reading.sequence == last:
                time.sleep(0.003)
                continue
            last = reading.sequence
            yield Event(stamp_ns=reading.stamp_ns, picture=next(iter(reading.arrays.values())))
