"""Film seeded episodes of a deployed policy: the whole arm, and the goal from near beside it."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.tasks.base import Task
from sim2arm.sim.worlds.rendering import renderer_name

from .evaluation import Act, Episodes, run_episodes
from .film_scene import CLOSE, OVERVIEW, furnished

Picture = NDArray[np.uint8]
"""(height, width, 3), RGB."""

RAY_CASTER = "warp"
_INK, _PAPER, _GOOD, _BAD = "#e6e9ee", "#14181f", "#5bd08a", "#ff8f7a"


@dataclass(frozen=True, kw_only=True)
class FilmCfg:
    """Size, rate and quality of a film."""

    width: int = 480
    """Width of the overview [pixels]; the view from near is a square beside it."""
    height: int = 360
    """Height of both views [pixels]."""
    caption: int = 36
    """Height of the line of text below [pixels]."""
    hold: float = 1.0
    """How long the end of an episode stands [s]."""
    slowdown: int = 1
    """2 plays at half speed, which the caption then says."""
    quality: int = 26
    """Constant rate factor of H.264: a lower number is better and larger."""
    stride: int = 2
    """Control steps between pictures where OpenGL draws."""
    rays: int = 2
    """Samples per pixel along each axis where OpenGL draws."""
    slow_stride: int = 4
    """Control steps between pictures where the ray caster draws, one sample per pixel."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """What was filmed, with what."""

    path: Path
    """MP4 with H.264."""
    episodes: Episodes
    frames: int
    renderer: str
    width: int
    height: int
    still: Picture
    """A picture of the last episode, half a second before its end."""


def film_episodes(
    task: Task,
    contract: Contract,
    act: Act,
    seeds: Sequence[int],
    path: Path,
    *,
    cfg: FilmCfg | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Film:
    """Run one episode per seed, one after the other, and film it.

    Args:
        task: the task, on the contract's robot.
        contract: says how actions become motion.
        act: the policy, on one row.
        seeds: of the episodes.
        path: file to write.
        cfg: size, rate and quality.
        progress: called with the number of control steps that were filmed.
    """
    cfg = cfg or FilmCfg()
    slow = renderer_name() == RAY_CASTER
    if slow:
        import warp

        warp.config.log_level = warp.LOG_WARNING  # it would print the modules that it loads
    stride = cfg.slow_stride if slow else cfg.stride
    rate = Fraction(round(contract.control_hz), stride * cfg.slowdown)
    with Mp4(path, cfg.width + cfg.height, cfg.height + cfg.caption, rate, cfg.quality) as mp4:
        camera = _Crew(mp4, cfg, seeds, stride, 1 if slow else cfg.rays, progress)
        episodes = run_episodes(
            task=furnished(task),
            contract=contract,
            act=act,
            seeds=seeds,
            num_arms=1,
            record=camera.record,
        )
    return Film(
        path=path,
        episodes=episodes,
        frames=mp4.frames,
        renderer=renderer_name(),
        width=cfg.width + cfg.height,
        height=cfg.height + cfg.caption,
        still=camera.still(),
    )


class _Crew:
    """Draws an arm after its control steps, with a caption, into a file."""

    def __init__(
        self,
        mp4: Mp4,
        cfg: FilmCfg,
        seeds: Sequence[int],
        stride: int,
        rays: int,
        progress: Callable[[int], None],
    ) -> None:
        self._mp4, self._cfg, self._seeds = mp4, cfg, list(seeds)
        self._stride, self._rays, self._progress = stride, rays, progress
        self._hold = round(cfg.hold * float(mp4.rate))
        self._episode, self._steps = 0, 0
        self._last: list[Picture] = []

    def record(self, arm: SimulatedArm) -> None:
        """Take a picture if it is time for one; an end is always taken and stands a while."""
        self._steps += 1
        done = bool(arm.done[0])
        if arm.ticks % self._stride == 0 or done:
            view = self._look(arm)
            self._last.append(view)
            outcome = ("success" if arm.success[0] else "no success") if done else ""
            label = f"episode {self._episode + 1} of {len(self._seeds)}"
            seed = f"seed {self._seeds[self._episode]}"
            speed = f"     speed 1/{self._cfg.slowdown}" if self._cfg.slowdown > 1 else ""
            line = (f"{label}     {seed}", f"{arm.time:.2f} s{speed}", outcome)
            width, height = view.shape[1], self._cfg.caption
            frame = np.concatenate([view, draw_caption(line, width, height)])
            for _ in range(1 + self._hold * done):
                self._mp4.write(frame)
            self._last = self._last[-self._hold // 2 - 1 :]
        self._episode += done
        self._progress(self._steps)

    def still(self) -> Picture:
        """Return the picture half of `hold` before the end."""
        return self._last[0]

    def _look(self, arm: SimulatedArm) -> Picture:
        width, height, rays = self._cfg.width, self._cfg.height, self._rays
        overview, close = (
            arm.world.render(camera, [0], rays * width, rays * height)[0]
            for camera in (OVERVIEW, CLOSE)
        )
        margin = (width - height) // 2
        close = close[:, rays * margin : rays * (margin + height)]
        view = np.concatenate([overview, close], axis=1)
        view = shrink(view, rays)
        view[:, width - 1 : width + 1] = 255  # a line between the two views
        return view


def shrink(picture: Picture, factor: int) -> Picture:
    """Return the mean of each square of `factor` x `factor` pixels."""
    if factor == 1:
        return picture
    rows, columns = (size - size % factor for size in picture.shape[:2])
    total = np.full((rows // factor, columns // factor, 3), factor**2 // 2, dtype=np.uint16)
    for row in range(factor):
        for column in range(factor):
            total += picture[row:rows:factor, column:columns:factor]
    return (total // factor**2).astype(np.uint8)


def save_png(path: Path, picture: Picture) -> None:
    """Write one picture as PNG."""
    from matplotlib.image import imsave

    imsave(path, picture)


def draw_caption(line: tuple[str, str, str], width: int, height: int) -> Picture:
    """Return a strip (height, width, 3) of text: left, middle, and the outcome on the right.

    An outcome that starts with `no` is red, any other green.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor=_PAPER)
    canvas = FigureCanvasAgg(figure)
    left, middle, outcome = line
    size = 0.36 * height
    style = {"va": "center", "fontsize": size, "family": "DejaVu Sans"}
    figure.text(0.015, 0.47, left, color=_INK, ha="left", **style)
    figure.text(0.58, 0.47, middle, color=_INK, ha="left", **style)
    colour = _BAD if outcome.startswith("no") else _GOOD
    figure.text(0.985, 0.47, outcome, color=colour, ha="right", weight="bold", **style)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


class Mp4:
    """An MP4 file with one H.264 stream (yuv420p), its index at the front."""

    def __init__(self, path: Path, width: int, height: int, rate: Fraction, quality: int) -> None:
        """Begin a file of pictures of a size [pixels], `rate` per second, as `FilmCfg.quality`."""
        self.rate, self.frames = rate, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        stream = self._container.add_stream("libx264", rate=rate)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(quality), "preset": "medium"}
        self._stream = stream

    def write(self, picture: Picture) -> None:
        """Append a picture of the stream's size."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def __enter__(self) -> Mp4:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._container.mux(self._stream.encode())
        self._container.close()
