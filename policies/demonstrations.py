"""Frames of demonstrations in memory, and batches of them: what was seen, and what was done next.

Names are those of the contract, as on the robot: `observation.state` is joint positions and gripper
width, pictures and touch have their own names.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .dataset.files import DatasetError
from .dataset.layout import PICTURES
from .dataset.reader import Dataset


class Demonstrations:
    """Frames of all episodes of a dataset.

    Attributes:
        arrays: (F, ...) of each, pictures uint8.
        actions: (F, A) float32.
        starts: (episodes + 1,) first frame of each episode, and the number of all.
    """

    def __init__(
        self,
        dataset: Dataset,
        sees: Sequence[str] = (),
        episodes: int | None = None,
        *,
        first: int = 0,
    ) -> None:
        """Read them.

        Args:
            dataset: of `sim2arm record`.
            sees: arrays to keep; all if empty.
            episodes: to read, one after the other; all if None.
            first: number of the first one.

        Raises:
            DatasetError: there are no actions, an array is not there, or there are fewer episodes;
                one line.
        """
        end = dataset.index.episodes if episodes is None else first + episodes
        if not first < end <= dataset.index.episodes:
            raise DatasetError(
                f"{dataset.root}: expected {max(end, first + 1)} episodes or more, got "
                f"{dataset.index.episodes}"
            )
        if "action" not in dataset.features or len(dataset) == 0:
            raise DatasetError(f"{dataset.root}: expected frames with a column 'action'")
        found: dict[str, list[np.ndarray]] = {}
        actions: list[np.ndarray] = []
        for episode in range(first, end):
            for name, values in arrays_of(dataset, episode, sees).items():
                found.setdefault(name, []).append(values)
            actions.append(dataset.episode(episode)["action"])
        if absent := [name for name in sees if name not in found]:
            raise DatasetError(
                f"{dataset.root}: there is no array {absent[0]!r}. Known: {sorted(found)}"
            )
        self.arrays = {n: torch.from_numpy(np.concatenate(v)) for n, v in found.items()}
        self.actions = torch.from_numpy(np.concatenate(actions))
        starts = dataset.starts[first : end + 1].astype(np.int64)
        self.starts = torch.from_numpy(starts - starts[0])
        lengths = self.starts.diff()
        self._first = self.starts[:-1].repeat_interleave(lengths)
        self._last = (self.starts[1:] - 1).repeat_interleave(lengths)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.actions)

    def seen(
        self, frames: Tensor, history: int = 1, names: Sequence[str] = ()
    ) -> dict[str, Tensor]:
        """Return what was seen at frames.

        Args:
            frames: (B,) their numbers.
            history: frames up to there; where an episode has fewer its first is repeated, as on
                the robot.
            names: of the arrays; all if empty.

        Returns:
            (B, history, ...) of each array.
        """
        back = torch.arange(1 - history, 1)
        at = (frames[:, None] + back).maximum(self._first[frames][:, None])
        return {name: self.arrays[name][at] for name in names or self.arrays}

    def ahead(
        self, frames: Tensor, size: int, names: Sequence[str]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return what was seen after frames.

        Args:
            frames: (B,) their numbers.
            size: frames from the next one on.
            names: of the arrays.

        Returns:
            (B, size, ...) of each array, the last of an episode repeated beyond its end; and
            (B, size) bool, where that is so.
        """
        at, last = frames[:, None] + torch.arange(1, size + 1), self._last[frames][:, None]
        return {name: self.arrays[name][at.minimum(last)] for name in names}, at > last

    def chunk(self, frames: Tensor, size: int, past: int = 0) -> tuple[Tensor, Tensor]:
        """Return what was done around frames (B,).

        Args:
            frames: numbers of frames.
            size: of a chunk.
            past: actions of it that lie before the frame.

        Returns:
            Actions (B, size, A), the first and the last of an episode repeated beyond its ends;
            (B, size) bool, where that is so.
        """
        at = frames[:, None] + torch.arange(-past, size - past)
        first, last = self._first[frames][:, None], self._last[frames][:, None]
        return self.actions[at.maximum(first).minimum(last)], (at > last) | (at < first)


def arrays_of(dataset: Dataset, episode: int, sees: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Return the arrays of an episode (frames, ...), float32 or pictures, by name.

    Args:
        dataset: of `sim2arm record`.
        episode: its number.
        sees: arrays to return; all if empty.
    """
    rows, found = dataset.episode(episode), dict[str, np.ndarray]()
    state = rows["observation.state"]
    names = dataset.features["observation.state"].names or ()
    widths = sum(name.endswith("width") for name in names)  # behind the joints, one per gripper
    joints = state.shape[1] - widths
    found["joint_position"], found["gripper_width"] = state[:, :joints], state[:, joints:]
    for name, key in (("joint_velocity", "observation.velocity"), ("ee_pose", "measured.ee_pose")):
        if key in rows:
            found[name] = rows[key].astype(np.float32)
    for key, feature in dataset.features.items():
        name = key.rpartition(".")[2]
        if not key.startswith("observation.") or name in ("state", "velocity"):
            continue
        if sees and name not in sees:
            continue
        if feature.dtype in PICTURES:
            found[name] = dataset.pictures(key, episode, range(len(state)))
        else:
            found[name] = rows[key].astype(np.float32)
    return {name: values for name, values in found.items() if not sees or name in sees}
