"""Recorded pictures as a sensor: a folder or a video with the stamps of its pictures.

A folder holds pictures and `frames.csv` with the columns `file,stamp_ns`; a video has a file beside
it with the same name and `.csv`, with the column `stamp_ns`, a line per picture. Videos whose
colours are stored at half the resolution (most are) destroy the colours of gels: use FFV1 or a
folder.
"""

# PyAV's and OpenCV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from sim2arm.core.driver_stage import DriverStage, Intrinsics, check_intrinsics, run_stage
from sim2arm.core.spec import ArraySpec, Reading

from .base import Clocks, check_fresh, picture_spec

FRAMES = "frames.csv"
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class ReplayCfg:
    """How a recording is played."""

    stage: DriverStage
    """From a recorded picture to the array."""
    name: str = "tactile_rgb"
    """Of the array."""
    frame: str | None = None
    """Frame of the picture."""
    rate_hz: float | None = None
    """Of the sensor that was recorded."""
    speed: float = 1.0
    """2 plays twice as fast."""
    shift: bool = True
    """Whether stamps are moved to now; else they are the recorded ones and their age is not
    checked, only that of the receipt."""
    max_age: float = 0.2
    """Oldest picture that is still returned [s]."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not (self.speed > 0 and self.max_age > 0):
            raise ValueError(
                f"speed, max_age: expected more than 0, got {self.speed}, {self.max_age}"
            )


class Replay:
    """A recording as a sensor; time begins with the first `read`."""

    def __init__(
        self,
        path: str | Path,
        cfg: ReplayCfg,
        *,
        intrinsics: Intrinsics | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        """Read the stamps; pictures are read when they are due.

        Args:
            path: folder or video.
            cfg: how.
            intrinsics: of the recorded pictures, where the stage undistorts.
            clocks: others than those of this machine.

        Raises:
            ValueError: it is no recording, or the stage undistorts and there are no intrinsics or
                others; one line.
        """
        check_intrinsics(cfg.stage, intrinsics)
        self._intrinsics = intrinsics
        self.path, self.cfg, self._clocks = Path(path), cfg, clocks or Clocks()
        self.stamps_ns, self._files = _index(self.path)
        self._pictures: Iterator[Image] | None = None
        self._at, self._reading = -1, None
        self._start: tuple[int, int] | None = None
        spec = picture_spec(
            cfg.name, cfg.stage, frame=cfg.frame, rate_hz=cfg.rate_hz, max_age=cfg.max_age
        )
        if not cfg.shift:  # stamps are those of the recording
            spec = replace(spec, max_stamp_age_s=None)
        self._spec = {cfg.name: spec}

    @property
    def spec(self) -> Mapping[str, ArraySpec]:
        """The picture after the driver stage."""
        return self._spec

    @property
    def ended(self) -> bool:
        """Whether the last picture was read."""
        return self._at == len(self.stamps_ns) - 1

    def read(self) -> Reading:
        """Return the newest picture that is due, (rows, cols, 3) RGB after the driver stage.

        Raises:
            StaleReading: the recording is over, or has a gap.
            ValueError: a picture cannot be read or has another size than the stage takes.
        """
        if self._start is None:
            self._start = (self._clocks.steady_ns(), self._clocks.wall_ns())
        steady, wall = self._start
        due = self._clocks.steady_ns() - steady
        after = (self.stamps_ns - self.stamps_ns[0]) / self.cfg.speed
        newest = int(np.searchsorted(after, due, side="right")) - 1
        if newest > self._at:
            array = run_stage(self.cfg.stage, self._picture(newest), self._intrinsics)
            array.flags.writeable = False
            passed = round(float(after[newest]))
            stamp = wall + passed if self.cfg.shift else int(self.stamps_ns[newest])
            self._reading = Reading(
                arrays={self.cfg.name: array},
                sequence=newest,
                stamp_ns=stamp,
                receipt_ns=steady + passed,
            )
            self._at = newest
        why = "the recording is over" if self.ended else ""
        return check_fresh(self._reading, self._spec, self._clocks, why)

    def _picture(self, number: int) -> Image:
        if self._files is not None:
            return _read_picture(self._files[number])
        if self._pictures is None:
            self._pictures = _decode(self.path)
        picture = None
        for _ in range(number - self._at):
            picture = next(self._pictures, None)
        if picture is None:
            raise ValueError(f"{self.path}: expected {len(self.stamps_ns)} pictures, got fewer")
        return picture


def write_recording(
    folder: str | Path, pictures: Sequence[Image], stamps_ns: Sequence[int]
) -> None:
    """Write pictures (rows, cols, 3) RGB as PNG with their stamps [ns]; the index last.

    Raises:
        ValueError: not one stamp per picture, or stamps that do not grow.
    """
    folder, stamps = Path(folder), np.array(stamps_ns, dtype=np.int64)
    if len(pictures) != len(stamps):
        raise ValueError(f"expected {len(pictures)} stamps, one per picture, got {len(stamps)}")
    _check_stamps(stamps, folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{k:06}.png" for k in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        if not cv2.imwrite(str(folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            raise OSError(f"{folder / name}: cannot be written")
    lines = [f"{name},{stamp}" for name, stamp in zip(names, stamps.tolist(), strict=True)]
    (folder / FRAMES).write_text("\n".join(["file,stamp_ns", *lines, ""]))


def _index(path: Path) -> tuple[npt.NDArray[np.int64], list[Path] | None]:
    """Return the stamps (K,) [ns] and the files of a folder; none for a video."""
    if not path.exists():
        raise ValueError(f"{path}: no such recording")
    place = path / FRAMES if path.is_dir() else path.with_suffix(".csv")
    wanted = ["file", "stamp_ns"] if path.is_dir() else ["stamp_ns"]
    try:
        with place.open(newline="") as file:
            table = csv.DictReader(file)
            rows, columns = list(table), table.fieldnames
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{place}: the stamps of a recording cannot be read: {error}") from error
    if columns is None or not set(wanted) <= set(columns):
        raise ValueError(f"{place}: expected the columns {','.join(wanted)}, got {columns}")
    try:
        stamps = np.array([int(row["stamp_ns"]) for row in rows], dtype=np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{place}: stamp_ns: expected whole numbers: {error}") from error
    _check_stamps(stamps, place)
    if not path.is_dir():
        return stamps, None
    files = [path / row["file"] for row in rows]
    outside = [file for file in files if file.resolve().parent != path.resolve()]
    if outside:
        raise ValueError(f"{place}: expected plain names of files, got {outside[0]}")
    return stamps, files


def _check_stamps(stamps: npt.NDArray[np.int64], place: Path) -> None:
    if not len(stamps):
        raise ValueError(f"{place}: a recording has one picture or more")
    back = np.nonzero(np.diff(stamps) <= 0)[0]
    if len(back):
        raise ValueError(f"{place}: stamps must grow, that of picture {back[0] + 1} does not")


def _read_picture(path: Path) -> Image:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path}: not a picture that can be read")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8)


def _decode(path: Path) -> Iterator[Image]:
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    except (FFmpegError, IndexError) as error:
        raise ValueError(f"{path}: not a video that can be read: {error}") from error
