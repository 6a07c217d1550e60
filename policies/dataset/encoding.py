"""Pictures of the running episode are encoded beside the control loop, in threads."""

# PyAV's stubs are incomplete.
# pyright: standard

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim2arm.core.clock import let_others_first

from .layout import Feature
from .pictures import VideoFile, encode_png
from .stats import PictureCount, Stats

Image = npt.NDArray[Any]


class _Again:
    """Stands for the picture before."""


_AGAIN = _Again()
_SOME = 16
"""One row of pixels of so many is compared first."""


def _same(picture: Image, other: Image) -> bool:
    """Return whether two pictures are equal; that they differ is soon seen."""
    some = np.array_equal(picture[::_SOME], other[::_SOME])
    return some and np.array_equal(picture, other)


class Encoder:
    """Encodes the pictures of a column of one episode, as they come.

    Attributes:
        pngs: of an image column, finished files by frame.
    """

    def __init__(self, feature: Feature, fps: int, path: Path, most: int) -> None:
        """Start.

        Args:
            feature: of the column.
            fps: frames per second.
            path: of the video that is written; nothing is written for images.
            most: pictures that may wait.
        """
        self.feature, self.path, self.pngs = feature, path, list[bytes]()
        self._fps = fps
        self._count = PictureCount(feature)
        self._waiting: queue.Queue[Image | _Again | None] = queue.Queue(most)
        self._error: Exception | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"encode {path.stem}", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether no picture may be added now."""
        return self._waiting.full()

    def check(self) -> None:
        """See that it goes on.

        Raises:
            OSError: a picture before could not be encoded.
        """
        if self._error is not None:
            raise OSError(f"{self.path.name}: cannot be encoded: {self._error}") from self._error

    def add(self, picture: Image | None) -> None:
        """Take a picture (rows, columns, channels) if not full.

        Args:
            picture: of which a copy is kept; None: the one before again.
        """
        self._waiting.put_nowait(_AGAIN if picture is None else np.array(picture, order="C"))

    def finish(self) -> Stats:
        """Wait until all is encoded; return the statistics.

        Raises:
            OSError: it could not be written.
        """
        self._waiting.put(None)
        self._thread.join()
        self.check()
        return self._count.stats()

    def abandon(self) -> None:
        """Stop without finishing."""
        while self._thread.is_alive():
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                self._waiting.put(None)
                self._thread.join()

    def _run(self) -> None:
        let_others_first()
        try:
            self._encode()
        except Exception as error:  # whatever it is, the recorder must hear of it
            self._error = error
            while not self._ended:  # whoever adds or waits is not held up
                self._ended = self._waiting.get() is None

    def _encode(self) -> None:
        video = None
        if self.feature.dtype == "video":
            video = VideoFile(self.path, self.feature, self._fps)
        before: Image | None = None
        while (given := self._waiting.get()) is not None:
            if isinstance(given, _Again):
                assert before is not None  # `Episode.add` sees to it
                picture, again = before, True
            else:  # rows may come faster than pictures, and not everybody can tell
                picture, again = given, before is not None and _same(given, before)
            self._count.add(picture)
            if video is not None:
                video.add(picture, again=again)
            elif again:
                self.pngs.append(self.pngs[-1])
            else:
                self.pngs.append(encode_png(picture))
            before = picture
        self._ended = True
        if video is not None:
            video.close()
