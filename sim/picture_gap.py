"""How far pictures of a simulated arm are from recorded ones, and what explains most of it.

The arm is put where it was when a picture was taken, in several worlds at once: as it is, a tick
earlier and later, with nothing in touch, and with the camera turned, moved and with another focal
length. By how much their pictures differ, a regression tells what each of that alone may explain;
what needs another look is then looked at again with the numbers that were found.
"""

# MuJoCo's extension modules have no stubs, OpenCV's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from sim2arm.core.driver_stage import FloatArray
from sim2arm.core.transforms import quat_from_rotvec, quat_mul, quat_rotate

from .arm import SimulatedArm
from .cameras import CameraCfg
from .randomize import Column, model_of
from .worlds.compiled import find

Image = NDArray[np.uint8]
State = Mapping[str, FloatArray]
"""Of the physics of one world, as `SimulatedArm.put_state` takes it of all."""
WIDTH, BLUR = 160, 1.5
"""To which pictures are reduced at most, and by how much they are blurred then [pixels]: so far may
a camera be off and still be understood."""
NUDGES = {"turn": 1.0, "shift": 0.01, "focal": 0.04}
"""How far a camera is turned (in pixels of what is compared), moved [m], and its focal length
changed (share) to see what that does: about a pixel, less of it says little."""
ALONG = 3.0
"""How much farther about and along the axis of sight, where less of a picture changes."""
MOST = {"turn": 0.1, "shift": 0.05, "focal": 0.2, "delay": 0.3}
"""Largest numbers that are looked at again [rad], [m], share, [s]."""
REFINED = 2
"""How often numbers are corrected by what is left with them."""
AXES = "xyz"
_NUDGED = (
    *(f"{kind}/{axis}{sign}" for kind in ("turn", "shift") for axis in AXES for sign in "+-"),
    "focal+", "focal-",
)  # fmt: skip
PLAIN = ("now", "before", "after", "untouched")
"""Worlds of gels; those of a camera follow."""
_LIFT = 2.0
"""How high free bodies are where nothing is in touch [m]."""


def worlds_for(camera: CameraCfg | None) -> int:
    """Return how many worlds the arm of a `PictureReplay` needs."""
    return len(PLAIN) + (0 if camera is None else len(_NUDGED))


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When pictures were taken."""

    pictures: Mapping[str, Image]
    """(H, W, 3) by array."""
    state: Callable[[float], State]
    """Of the physics so long after they were taken [s]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureGap:
    """What was found of one camera or gel."""

    name: str
    difference: float
    """Root mean square of recorded less simulated, reduced and blurred alike [grey levels]."""
    contrast: float
    """Standard deviation of the recorded ones [grey levels]."""
    shares: Mapping[str, float]
    """By what may be wrong: which share of the mean square it alone explains."""
    numbers: Mapping[str, FloatArray]
    """By what may be wrong: by how much, recorded against simulated. brightness (2,): factor, and
    what is added [grey levels]; aim (3,) [rad] and place (3,) [m] in the optical frame; focal (1,)
    factor; delay (1,) [s]; dents (1,) factor."""
    examples: Sequence[tuple[Image, Image]]
    """Some of them, recorded and simulated (H, W, 3)."""
    moments: int


class PictureReplay:
    """A simulated arm that is put where another was, to compare what both see.

    Attributes:
        names: of the arrays that are compared.
    """

    def __init__(
        self, arm: SimulatedArm, names: Sequence[str], camera: CameraCfg | None = None
    ) -> None:
        """Prepare the worlds.

        Args:
            arm: with `worlds_for(camera)` worlds, whose sensors have no noise and are never late.
            names: of the arrays.
            camera: that takes them; None for gels.
        """
        self.names, self._arm = tuple(names), arm
        self._nudges: dict[str, float] = {}
        self._camera = None if camera is None else _Camera(arm, camera)
        model = model_of(arm.world)
        free = model.jnt_type == mujoco.mjtJoint.mjJNT_FREE
        self._heights = model.jnt_qposadr[free] + 2
        if camera is not None:
            focal = camera.final.fx * min(1.0, WIDTH / camera.final.width)
            self._nudges = NUDGES | {"turn": NUDGES["turn"] / focal}

    def nudge(self) -> None:
        """Change the camera of each world a little in one way."""
        if self._camera is None:
            return
        for k, name in enumerate(_NUDGED):
            kind, _, rest = name[:-1].partition("/")
            step = self._step(name) * (1.0 if name[-1] == "+" else -1.0)
            vector = step * (np.eye(3)[AXES.index(rest)] if rest else np.ones(1))
            self._camera.put(len(PLAIN) + k, **{kind: vector})

    def _step(self, name: str) -> float:
        """Return how far the camera of a world is off, without the sign."""
        kind, _, axis = name[:-1].partition("/")
        return self._nudges[kind] * (ALONG if axis == "z" else 1.0)

    def columns(self, seen: Mapping[str, FloatArray], dt: float) -> dict[str, FloatArray]:
        """Return how pictures (h, w, 3) would change with each number, from what worlds saw.

        Args:
            seen: (h, w, 3) by world.
            dt: time from one tick to the next [s].
        """
        now, found = seen["now"], dict[str, FloatArray]()
        for channel in range(3):
            only = np.zeros_like(now)
            only[..., channel] = 1.0
            found[f"offset/{channel}"], found[f"gain/{channel}"] = only, only * now
        found |= {"offset": np.ones_like(now), "gain": now}
        found["delay"] = (seen["before"] - seen["after"]) / (2.0 * dt)
        if self._camera is None:
            found["dents"] = now - seen["untouched"]
            return found
        for plus, minus in zip(_NUDGED[::2], _NUDGED[1::2], strict=True):
            name = plus[:-1]
            found[name] = (seen[plus] - seen[minus]) / (2.0 * self._step(plus))
        return found

    def look(self, moment: Moment, dt: float) -> dict[str, dict[str, FloatArray]]:
        """Return what all worlds see of a moment, (h, w, 3) by array and world."""
        states = dict.fromkeys(self._worlds, moment.state(0.0))
        states |= {"before": moment.state(-dt), "after": moment.state(dt)}
        lifted = {name: value.copy() for name, value in states["now"].items()}
        lifted["qpos"][self._heights] += _LIFT
        return self._see(states | {"untouched": lifted})

    def picture(self, moment: Moment) -> dict[str, Image]:
        """Return what the arm as it is sees of a moment, (H, W, 3) by array."""
        self._put(dict.fromkeys(self._worlds, moment.state(0.0)))
        return {name: self._arm.pictures[name][0].numpy().copy() for name in self.names}

    def look_again(
        self, moment: Moment, numbers: Mapping[str, FloatArray]
    ) -> dict[str, dict[str, FloatArray]]:
        """Return what is seen with the numbers that were found, (h, w, 3) by array and number."""
        states = dict.fromkeys(self._worlds, moment.state(0.0))
        places = {"delay": "before"}
        states["before"] = moment.state(-float(numbers["delay"][0]))
        if self._camera is not None:
            for kind in ("turn", "shift", "focal"):
                places[kind] = next(name for name in _NUDGED if name.startswith(kind))
                self._camera.put(self._worlds.index(places[kind]), **{kind: numbers[kind]})
        seen = self._see(states)
        return {
            name: {kind: worlds[world] for kind, world in places.items()}
            for name, worlds in seen.items()
        }

    @property
    def _worlds(self) -> tuple[str, ...]:
        return PLAIN if self._camera is None else (*PLAIN, *_NUDGED)

    def _put(self, states: Mapping[str, State]) -> None:
        arm, each = self._arm, [states[name] for name in self._worlds]
        arm.put_state({name: np.stack([state[name] for state in each]) for name in each[0]})
        everywhere = torch.ones(arm.num_arms, dtype=torch.bool)
        arm.organs.begin(everywhere, torch.zeros(arm.num_arms, arm.organs.count))
        arm.organs.see()

    def _see(self, states: Mapping[str, State]) -> dict[str, dict[str, FloatArray]]:
        self._put(states)
        return {
            name: {
                world: soften(picture)
                for world, picture in zip(
                    self._worlds, self._arm.pictures[name].numpy(), strict=True
                )
            }
            for name in self.names
        }


class _Camera:
    """A camera that differs between worlds."""

    def __init__(self, arm: SimulatedArm, camera: CameraCfg) -> None:
        row = find(model_of(arm.world), "camera", camera.name)
        self._columns = [
            Column(arm.world, name, row) for name in ("cam_pos", "cam_quat", "cam_intrinsic")
        ]
        self._count = arm.num_arms

    def put(
        self,
        world: int,
        *,
        turn: FloatArray | None = None,
        shift: FloatArray | None = None,
        focal: FloatArray | None = None,
    ) -> None:
        """Let it be turned (3,) [rad] and moved (3,) [m] in its optical frame, in one world.

        `focal` (1,) is by which share its focal length is greater.
        """
        place, direction, lens = (column.nominal.double() for column in self._columns)
        flip = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)  # the engine's looks along -z
        if shift is not None:
            place = place + quat_rotate(direction, flip * torch.from_numpy(shift))
        if turn is not None:
            direction = quat_mul(direction, quat_from_rotvec(flip * torch.from_numpy(turn)))
        if focal is not None:
            lens = torch.cat([lens[:2] * (1.0 + float(focal[0])), lens[2:]])
        chosen = torch.arange(self._count) == world
        for column, value in zip(self._columns, (place, direction, lens), strict=True):
            value = value.to(column.nominal.dtype)
            column.write(chosen, value.expand(self._count, *value.shape))


def soften(picture: NDArray[Any]) -> FloatArray:
    """Return a picture (H, W, 3) reduced and blurred (h, w, 3)."""
    scale = min(1.0, WIDTH / picture.shape[1])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float64)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), BLUR), dtype=np.float64)


KINDS: dict[str, tuple[str, ...]] = {
    "brightness": ("gain", "offset"),
    "colour": tuple(f"{what}/{k}" for what in ("gain", "offset") for k in range(3)),
    "delay": ("delay",),
    "dents": ("dents",),
    "aim": tuple(f"turn/{axis}" for axis in AXES),
    "place": tuple(f"shift/{axis}" for axis in AXES),
    "focal": ("focal",),
}
"""What may be wrong, and its columns."""
AGAIN = {"aim": "turn", "place": "shift", "focal": "focal", "delay": "delay"}
"""What is looked at again, and under which name."""


@dataclass(kw_only=True, eq=False)
class _Sums:
    """Products of columns with each other and with what is wrong, over all pictures."""

    name: str
    names: tuple[str, ...] = ()
    moments: int = 0
    gram: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    pull: FloatArray = field(default_factory=lambda: np.zeros(0))
    square: float = 0.0
    pixels: int = 0
    light: FloatArray = field(default_factory=lambda: np.zeros(2))
    mean: FloatArray = field(default_factory=lambda: np.zeros(0))

    def add(self, recorded: FloatArray, columns: Mapping[str, FloatArray], now: FloatArray) -> None:
        """Take a picture (h, w, 3), and what the arm sees as it is."""
        off = (recorded - now).ravel()
        design = np.stack([column.ravel() for column in columns.values()], axis=1)
        if not self.moments:
            self.names = tuple(columns)
            self.gram, self.pull = np.zeros((design.shape[1],) * 2), np.zeros(design.shape[1])
            self.mean = np.zeros_like(off)
        self.moments, self.pixels = self.moments + 1, self.pixels + off.size
        self.gram += design.T @ design
        self.pull += design.T @ off
        self.square += float(off @ off)
        self.light += recorded.sum(), np.square(recorded).sum()
        self.mean += off

    def fit(self, kind: str) -> tuple[FloatArray, float] | None:
        """Return the numbers (p,) and the share that they explain; None where it has no columns."""
        if not set(KINDS[kind]) <= set(self.names):
            return None
        pull = self.pull[[self.names.index(name) for name in KINDS[kind]]]
        solved = self.solve(kind, pull)
        return solved, float(solved @ pull) / max(self.square, 1e-12)

    def solve(self, kind: str, pull: FloatArray) -> FloatArray:
        """Return the numbers (p,) of a kind from products of its columns with what is wrong."""
        rows = [self.names.index(name) for name in KINDS[kind]]
        gram = self.gram[np.ix_(rows, rows)]
        scale = np.sqrt(np.diag(gram)).clip(1e-12)
        return np.linalg.lstsq(gram / np.outer(scale, scale), pull / scale, rcond=1e-9)[0] / scale

    @property
    def still(self) -> float:
        """The share of what is the same in all pictures."""
        return float(self.mean @ self.mean) / max(self.moments, 1) / max(self.square, 1e-12)

    @property
    def contrast(self) -> float:
        """Standard deviation of the recorded pictures."""
        mean, square = self.light / self.pixels
        return float(np.sqrt(max(square - mean**2, 0.0)))


def measure_pictures(
    replay: PictureReplay, moments: Sequence[Moment], dt: float, examples: int = 3
) -> list[PictureGap]:
    """Return how far what the arm sees is from what was recorded, an entry for each array.

    Args:
        replay: of the arm.
        moments: when pictures were taken, one or more.
        dt: time between the ticks of the recording [s].
        examples: how many pictures are kept.
    """
    sums = {name: _Sums(name=name) for name in replay.names}
    shown = set(np.linspace(0, len(moments) - 1, examples).round().astype(int).tolist())
    kept: dict[str, list[tuple[Image, Image]]] = {name: [] for name in replay.names}
    replay.nudge()
    for k, moment in enumerate(moments):
        for name, seen in replay.look(moment, dt).items():
            recorded = soften(moment.pictures[name])
            sums[name].add(recorded, replay.columns(seen, dt), seen["now"])
        if k in shown:
            drawn = replay.picture(moment)
            for name, pictures in kept.items():
                pictures.append((moment.pictures[name], drawn[name]))
    found = list[PictureGap]()
    for name, total in sums.items():
        fits = {kind: fit for kind in KINDS if (fit := total.fit(kind)) is not None}
        shares = {kind: share for kind, (_, share) in fits.items()}
        shares["still"] = total.still
        numbers = {kind: value for kind, (value, _) in fits.items()}
        for _ in range(REFINED):
            _refine(replay, moments, dt, total, numbers)
        shares |= _again(replay, moments, name, numbers, total.square)
        found.append(PictureGap(
            name=name, difference=float(np.sqrt(total.square / total.pixels)),
            contrast=total.contrast, shares=shares, numbers=_told(numbers), examples=kept[name],
            moments=total.moments,
        ))  # fmt: skip
    return found


def _put(numbers: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Return what is looked at again, by the names of `AGAIN`, cut to `MOST`."""
    for kind, column in AGAIN.items():
        if kind in numbers:
            numbers[kind] = numbers[kind].clip(-MOST[column], MOST[column])
    return {column: numbers[kind] for kind, column in AGAIN.items() if kind in numbers}


def _refine(
    replay: PictureReplay, moments: Sequence[Moment], dt: float, total: _Sums,
    numbers: dict[str, FloatArray],
) -> None:  # fmt: skip
    """Correct numbers by what is left with them: pictures do not change in proportion."""
    put = _put(numbers)
    kinds = [kind for kind in AGAIN if kind in numbers]
    pulls = {kind: np.zeros(len(KINDS[kind])) for kind in kinds}
    for moment in moments:
        replay.nudge()
        columns = replay.columns(replay.look(moment, dt)[total.name], dt)
        recorded, again = soften(moment.pictures[total.name]), replay.look_again(moment, put)
        for kind in kinds:
            left = recorded - again[total.name][AGAIN[kind]]
            pulls[kind] += [float((columns[name] * left).sum()) for name in KINDS[kind]]
    replay.nudge()
    for kind in kinds:
        numbers[kind] = numbers[kind] + total.solve(kind, pulls[kind])


def _again(
    replay: PictureReplay, moments: Sequence[Moment], name: str,
    numbers: dict[str, FloatArray], square: float,
) -> dict[str, float]:  # fmt: skip
    """Return which shares numbers explain that are put in and looked at."""
    put = _put(numbers)
    left = dict.fromkeys(put, 0.0)
    for moment in moments:
        recorded = soften(moment.pictures[name])
        for column, seen in replay.look_again(moment, put)[name].items():
            left[column] += float(np.square(recorded - seen).sum())
    replay.nudge()
    kinds = {column: kind for kind, column in AGAIN.items()}
    return {kinds[c]: max(0.0, 1.0 - rest / square) if square else 0.0 for c, rest in left.items()}


def _told(numbers: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return numbers as `PictureGap` has them: factors instead of what is added to one."""
    found = dict(numbers)
    del found["colour"]
    found["brightness"] = numbers["brightness"] + (1.0, 0.0)
    for kind in ("focal", "dents"):
        if kind in numbers:
            found[kind] = 1.0 + numbers[kind]
    return found
