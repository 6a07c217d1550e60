"""`sim2arm replay DATASET --cameras NAME --out NEW`: simulated episodes seen with other cameras.

Nothing is simulated again: each row holds the whole state of the physics, which is put back and
looked at. All other columns are copied.
"""

# pyright: standard

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sim2arm.core.contract import Contract
from sim2arm.core.plain import from_plain, to_plain
from sim2arm.policies.dataset.columns import column_of
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.layout import PICTURES, DatasetSpec, Feature
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DROPPED, DatasetWriter, Episode

from .errors import UserError
from .progress import Progress
from .take import stand_of

STATE = "sim."
"""What the names of columns of the state begin with."""
OWN = {"timestamp", "frame_index", "episode_index", "index", "task_index", DROPPED}
"""Columns that the writer makes."""


def see_again(root: Path, cameras: str, out: Path) -> int:
    """Write a dataset like another, as other cameras see it; return its episodes.

    Raises:
        UserError: it is no dataset of simulated arms, or there are no such cameras.
    """
    try:
        dataset = Dataset(root)
        seen = Seen(dataset, cameras)
        with (
            DatasetWriter(out, seen.spec) as writer,
            Progress("replay", dataset.index.episodes, "episodes") as progress,
        ):
            for number in range(writer.index.episodes, dataset.index.episodes):
                _copy(dataset, number, seen, writer.begin())
                progress.update(number + 1)
    except (DatasetError, OSError) as error:
        raise UserError(str(error)) from error
    return dataset.index.episodes


class Seen:
    """The arm of a dataset with other cameras.

    Attributes:
        arm: it.
        spec: of the new dataset.
        copied: columns that stay as they are.
    """

    def __init__(self, dataset: Dataset, cameras: str) -> None:
        """Build the arm of a dataset.

        Raises:
            UserError: it is no dataset of simulated arms, or there are no such cameras.
        """
        documents, stand = dataset.index.spec.documents, stand_of(dataset)
        if cameras == "none":
            raise UserError("--cameras: expected a name of sim2arm list, got none")
        setting, contract = documents["setting"], from_plain(Contract, documents["contract"])
        self.arm = replace(stand, cameras=cameras).arm()
        eyes = self.arm.eyes
        assert eyes is not None  # it was built with cameras
        self.columns = {spec.name: column_of(spec)[0] for spec in eyes.specs.values()}
        new = dict(column_of(replace(spec, history=None)) for spec in eyes.specs.values())
        age = Feature(dtype="float32", shape=(1,), unit="s")
        ages = {f"sync.{name}.age": age for name in eyes.specs}
        old = {n for n in dataset.features if n.startswith("observation.images.")}
        old |= {f"sync.{name.rpartition('.')[2]}.age" for name in old}
        kept = {n: f for n, f in dataset.features.items() if n not in old | OWN}
        self.copied = [name for name in kept if name not in new | ages]
        gone = {name.rpartition(".")[2] for name in old}
        inputs = [s for s in contract.inputs if s.name not in gone | set(eyes.specs)]
        contract = replace(contract, inputs=(*inputs, *eyes.specs.values()))
        self.spec = DatasetSpec(
            fps=dataset.index.spec.fps,
            features=kept | new | ages,
            robot_type=contract.robot,
            documents=dict(documents)
            | {"contract": to_plain(contract), "setting": {**setting, "cameras": cameras}},
        )

    def look(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns that the cameras see of a state, a row of `sim.` columns."""
        arm = self.arm
        names = {n.removeprefix(STATE): v[None] for n, v in state.items() if n.startswith(STATE)}
        arm.put_state(names)
        arm.organs.see()
        row: dict[str, Any] = {}
        for name, (picture, age) in arm.organs.newest().items():
            if name in self.columns:
                row[self.columns[name]] = picture.copy()
                row[f"sync.{name}.age"] = np.float32(age)
        arm.organs.advance()
        return row


def _copy(dataset: Dataset, number: int, seen: Seen, episode: Episode) -> None:
    """Write an episode as the cameras see it."""
    rows, notes = dataset.episode(number), dict(dataset.notes(number))
    seen.arm.reset(int(notes["seed"]))
    length = len(rows["index"])
    pictures = {
        name: dataset.pictures(name, number, range(length))
        for name in seen.copied
        if dataset.features[name].dtype in PICTURES
    }
    words = dataset.task(int(dataset.starts[number]))
    for k in range(length):
        row = {n: pictures[n][k] if n in pictures else rows[n][k] for n in seen.copied}
        row |= seen.look({name: rows[name][k] for name in rows if name.startswith(STATE)})
        while episode.full:
            time.sleep(1e-3)
        episode.add(row, words)
    episode.commit(notes)
