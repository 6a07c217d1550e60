"""How far pictures of a simulated arm are from recorded ones, and what explains most of it.

The arm is put where it was when a picture was taken, in several worlds at once: as it is, a tick
earlier and later, with nothing in touch, and with the camera turned, moved and with another focal
length. By how much their pictures differ, a regression tells what each of that alone may explain.
What moves a picture is looked for by steps (Gauss and Newton's), in pictures that are blurred much
at first and then less, each step from pictures of the arm with the numbers of the last.
"""

# MuJoCo's extension modules have no stubs, OpenCV's are incomplete.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
WIDTH = 160
"""To which pictures are reduced at most [pixels]."""
BLURS = (6.0, 1.5)
"""By how much pictures are blurred, one after another [pixels]: some times as far a camera may be
off at first and still be found."""
STEPS = 4
"""Of the search for each, at most."""
NUDGES = {"turn": 1.0, "shift": 0.01, "focal": 0.04}
"""How far a camera is turned (in pixels of what is compared), moved [m], and its focal length
changed (share) to see what that does: about a pixel, less of it says little."""
ALONG = 3.0
"""How much farther about and along the axis of sight, where less of a picture changes."""
MOST = {"turn": 0.15, "shift": 0.1, "focal": 0.3, "delay": 0.3}
"""Largest numbers that are looked for [rad], [m], share, [s]."""
LOOKS = len(BLURS) * STEPS + 1
"""How often each moment is looked at, at most."""
LEAST_SHARE = 0.05
"""Of what is wrong, that numbers explain which are told."""
SETTLED = 0.1
"""Share of a nudge, or of a tick, below which the last step of a search counts as none."""
AXES = "xyz"
_NUDGED = (
    *(f"{kind}/{axis}{sign}" for kind in ("turn", "shift") for axis in AXES for sign in "+-"),
    "focal+", "focal-",
)  # fmt: skip
PLAIN = ("now", "untouched", "at/delay", "before", "after")
"""Worlds of gels: as it is, with nothing in touch, later by the delay and a tick about it."""
SEEN_BY_A_CAMERA = (*PLAIN, *(f"at/{kind}" for kind in ("turn", "shift", "focal")), *_NUDGED)
"""Worlds of a camera: with the numbers that were found, and a little off from them."""
_LIFT = 2.0
"""How high free bodies are where nothing is in touch [m]."""
KINDS: dict[str, tuple[str, ...]] = {
    "brightness": ("gain", "offset"),
    "colour": tuple(f"{what}/{k}" for what in ("gain", "offset") for k in range(3)),
    "dents": ("dents",),
    "delay": ("delay",),
    "aim": tuple(f"turn/{axis}" for axis in AXES),
    "place": tuple(f"shift/{axis}" for axis in AXES),
    "focal": ("focal",),
}
"""What may be wrong, and how pictures change with it."""
MOVES = {"delay": "delay", "aim": "turn", "place": "shift", "focal": "focal"}
"""What of it moves pictures and is looked for by steps, and under which name."""
Numbers = dict[str, FloatArray]
"""By the values of `MOVES`."""


def worlds_for(camera: CameraCfg | None) -> int:
    """Return how many worlds the arm of a `PictureReplay` needs."""
    return len(PLAIN if camera is None else SEEN_BY_A_CAMERA)


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
    factor; delay (1,) [s]; dents (1,) factor. Those that a search did
    not settle on, or that explain next to nothing, are absent."""
    examples: Sequence[tuple[Image, Image]]
    """Some of them, recorded and simulated (H, W, 3)."""
    moments: int


class PictureReplay:
    """A simulated arm that is put where another was, to compare what both see.

    Attributes:
        names: of the arrays that are compared.
        kinds: of what may be wrong with them.
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
        self._worlds = PLAIN if camera is None else SEEN_BY_A_CAMERA
        self._camera = None if camera is None else _Camera(arm, camera)
        self.kinds = [kind for kind in KINDS if kind != "dents"]
        self.nudges = {"delay": 1.0}
        if camera is None:
            self.kinds = ["brightness", "colour", "dents", "delay"]
        else:
            focal = camera.final.fx * min(1.0, WIDTH / camera.final.width)
            self.nudges |= NUDGES | {"turn": NUDGES["turn"] / focal}
        model = model_of(arm.world)
        free = model.jnt_type == mujoco.mjtJoint.mjJNT_FREE
        self._heights = model.jnt_qposadr[free] + 2

    def begin(self) -> Numbers:
        """Return the numbers of an arm that is as it is."""
        sizes = {MOVES[kind]: len(KINDS[kind]) for kind in self.kinds if kind in MOVES}
        return {name: np.zeros(size) for name, size in sizes.items()}

    def use(self, numbers: Numbers) -> None:
        """Let cameras of worlds be off by numbers, and a little more in one way each."""
        if self._camera is None:
            return
        for world, name in enumerate(self._worlds):
            if name.startswith("at/") and name != "at/delay":
                kind = name.removeprefix("at/")
                self._camera.put(world, **{kind: numbers[kind]})
            elif name in _NUDGED:
                kind, _, axis = name[:-1].partition("/")
                step = self._step(name) * (1.0 if name[-1] == "+" else -1.0)
                off = step * (np.eye(3)[AXES.index(axis)] if axis else np.ones(1))
                self._camera.put(world, **{kind: numbers[kind] + off})

    def _step(self, name: str) -> float:
        """Return how far the camera of a world is off, without the sign."""
        kind, _, axis = name[:-1].partition("/")
        return self.nudges[kind] * (ALONG if axis == "z" else 1.0)

    def look(self, moment: Moment, dt: float, numbers: Numbers) -> dict[str, dict[str, Image]]:
        """Return what all worlds see of a moment, (H, W, 3) by array and world; `use` comes first.

        Args:
            moment: when.
            dt: time between the ticks of the recording [s].
            numbers: as in `use`.
        """
        late = -float(numbers["delay"][0])
        states = dict.fromkeys(self._worlds, moment.state(0.0))
        lifted = {name: value.copy() for name, value in states["now"].items()}
        lifted["qpos"][self._heights] += _LIFT
        states |= {
            "untouched": lifted, "at/delay": moment.state(late),
            "before": moment.state(late - dt), "after": moment.state(late + dt),
        }  # fmt: skip
        self._put(states)
        return {
            name: dict(zip(self._worlds, self._arm.pictures[name].numpy(), strict=True))
            for name in self.names
        }

    def columns(self, seen: Mapping[str, FloatArray], dt: float) -> dict[str, FloatArray]:
        """Return how pictures (h, w, 3) change with each number, from what worlds saw (h, w, 3)."""
        now, found = seen["now"], dict[str, FloatArray]()
        for channel in range(3):
            only = np.zeros_like(now)
            only[..., channel] = 1.0
            found[f"offset/{channel}"], found[f"gain/{channel}"] = only, only * now
        found |= {"offset": np.ones_like(now), "gain": now}
        found["delay"] = (seen["before"] - seen["after"]) / (2.0 * dt)
        found["dents"] = now - seen["untouched"]
        if self._camera is not None:
            for plus, minus in zip(_NUDGED[::2], _NUDGED[1::2], strict=True):
                found[plus[:-1]] = (seen[plus] - seen[minus]) / (2.0 * self._step(plus))
        return found

    def _put(self, states: Mapping[str, State]) -> None:
        arm, each = self._arm, [states[name] for name in self._worlds]
        arm.put_state({name: np.stack([state[name] for state in each]) for name in each[0]})
        everywhere = torch.ones(arm.num_arms, dtype=torch.bool)
        arm.organs.begin(everywhere, torch.zeros(arm.num_arms, arm.organs.count))
        arm.organs.see()


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


def soften(picture: NDArray[Any], blur: float) -> FloatArray:
    """Return a picture (H, W, 3) reduced, and blurred by so many pixels then (h, w, 3)."""
    scale = min(1.0, WIDTH / picture.shape[1])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float64)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), blur), dtype=np.float64)


class _Sums:
    """Products of how pictures change with what is wrong, over all pictures of an array.

    Attributes:
        square: of recorded less simulated.
        left: the same with the numbers of a kind that moves pictures.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self.square, self.left, self.count, self.pixels = 0.0, dict.fromkeys(kinds, 0.0), 0, 0
        self._gram = {kind: np.zeros((len(KINDS[kind]),) * 2) for kind in kinds}
        self._pull = {kind: np.zeros(len(KINDS[kind])) for kind in kinds}
        self._mean, self._light = np.zeros(0), np.zeros(2)

    def add(
        self,
        recorded: FloatArray,
        seen: Mapping[str, FloatArray],
        columns: Mapping[str, FloatArray],
    ) -> None:
        """Take a picture (h, w, 3), what worlds saw, and how that changes."""
        off = recorded - seen["now"]
        self._mean = off if not self.count else self._mean + off
        self.count, self.pixels = self.count + 1, self.pixels + off.size
        self.square += float((off**2).sum())
        self._light += recorded.sum(), (recorded**2).sum()
        for kind, gram in self._gram.items():
            rest = recorded - seen[f"at/{MOVES[kind]}"] if kind in MOVES else off
            design = np.stack([columns[name].ravel() for name in KINDS[kind]], axis=1)
            gram += design.T @ design
            self._pull[kind] += design.T @ rest.ravel()
            self.left[kind] += float((rest**2).sum())

    def fit(self, kind: str) -> FloatArray:
        """Return the numbers (p,) that explain most of what is left."""
        gram, pull = self._gram[kind], self._pull[kind]
        scale = np.sqrt(np.diag(gram)).clip(1e-12)
        return np.linalg.lstsq(gram / np.outer(scale, scale), pull / scale, rcond=1e-9)[0] / scale

    def share(self, kind: str) -> float:
        """Return which share of what is wrong a kind explains."""
        if not self.square:
            return 0.0
        if kind in MOVES:
            return max(0.0, 1.0 - self.left[kind] / self.square)
        return float(self.fit(kind) @ self._pull[kind]) / self.square

    @property
    def still(self) -> float:
        """The share of what is the same in all pictures, noise left out."""
        if self.count < 2 or not self.square:
            return 0.0
        share = float((self._mean**2).sum()) / self.count / self.square
        return max(0.0, (self.count * share - 1.0) / (self.count - 1.0))

    @property
    def difference(self) -> float:
        """Root mean square of recorded less simulated."""
        return float(np.sqrt(self.square / self.pixels))

    @property
    def contrast(self) -> float:
        """Standard deviation of the recorded pictures."""
        mean, square = self._light / self.pixels
        return float(np.sqrt(max(square - mean**2, 0.0)))


def measure_pictures(
    replay: PictureReplay,
    moments: Sequence[Moment],
    dt: float,
    examples: int = 3,
    looked: Callable[[int], None] = lambda _: None,
) -> list[PictureGap]:
    """Return how far what the arm sees is from what was recorded, an entry for each array.

    Args:
        replay: of the arm.
        moments: when pictures were taken, one or more.
        dt: time between the ticks of the recording [s].
        examples: how many pictures are kept.
        looked: is told how many moments were looked at so far, each up to `LOOKS` times.
    """
    passes = 0
    numbers, settled = replay.begin(), set[str]()
    for blur in BLURS:
        for _ in range(STEPS):
            sums = _compare(replay, moments, dt, numbers, blur, [*MOVES])
            settled, passes = _improve(replay, numbers, sums, dt), passes + 1
            looked(passes * len(moments))
            if len(settled) == len(numbers):
                break
    shown = set(np.linspace(0, len(moments) - 1, examples).round().astype(int).tolist())
    kept: dict[str, list[tuple[Image, Image]]] = {name: [] for name in replay.names}

    def keep(k: int, name: str, recorded: Image, simulated: Image) -> None:
        if k in shown:
            kept[name].append((recorded, simulated.copy()))

    sums = _compare(replay, moments, dt, numbers, BLURS[-1], [*KINDS], keep)
    looked(LOOKS * len(moments))
    return [
        PictureGap(
            name=name, difference=total.difference, contrast=total.contrast,
            shares={kind: total.share(kind) for kind in replay.kinds} | {"still": total.still},
            numbers=_told(replay, total, numbers, settled), examples=kept[name],
            moments=total.count,
        )
        for name, total in sums.items()
    ]  # fmt: skip


def _compare(
    replay: PictureReplay, moments: Sequence[Moment], dt: float, numbers: Numbers, blur: float,
    kinds: Sequence[str],
    keep: Callable[[int, str, Image, Image], None] = lambda *_: None,
) -> dict[str, _Sums]:  # fmt: skip
    """Return sums by array, of all moments, with cameras and delay as numbers say."""
    known = [kind for kind in replay.kinds if kind in kinds]
    sums = {name: _Sums(known) for name in replay.names}
    replay.use(numbers)
    for k, moment in enumerate(moments):
        for name, worlds in replay.look(moment, dt, numbers).items():
            keep(k, name, moment.pictures[name], worlds["now"])
            seen = {world: soften(picture, blur) for world, picture in worlds.items()}
            sums[name].add(soften(moment.pictures[name], blur), seen, replay.columns(seen, dt))
    return sums


def _improve(
    replay: PictureReplay, numbers: Numbers, sums: Mapping[str, _Sums], dt: float
) -> set[str]:
    """Take a step towards numbers that explain more; return where it was none."""
    settled = set[str]()
    for kind, name in MOVES.items():
        if name not in numbers:
            continue
        step = np.mean([total.fit(kind) for total in sums.values()], axis=0)
        most, size = MOST[name], replay.nudges[name] * (dt if name == "delay" else 1.0)
        new = (numbers[name] + step).clip(-most, most)
        moved = float(np.abs(new - numbers[name]).max())
        if moved < SETTLED * size * (ALONG if len(new) == 3 else 1.0) and np.abs(new).max() < most:
            settled.add(kind)
        numbers[name] = new
    return settled


def _told(
    replay: PictureReplay, total: _Sums, numbers: Numbers, settled: set[str]
) -> dict[str, FloatArray]:
    """Return the numbers as `PictureGap` has them."""
    found = {"brightness": total.fit("brightness") + np.array([1.0, 0.0])}
    if "dents" in replay.kinds:
        found["dents"] = 1.0 + total.fit("dents")
    for kind in sorted(settled):
        if total.share(kind) < LEAST_SHARE:
            continue
        value = numbers[MOVES[kind]]
        found[kind] = 1.0 + value if kind == "focal" else value
    return found
