"""Demonstrations as rows of a replay: what was seen, the steps of the tool that were asked for.

The reward of a demonstration is 1 where it succeeded and 0 elsewhere, so who learns from it besides
must be rewarded so, too (`ReplayCfg.sparse`). A dataset does not hold what was seen after the last
action: an episode that did not end in success is cut one step before.
"""

# pyright: standard

from __future__ import annotations

import torch
from torch import Tensor

from .buffers import ACTION, DEMO, Replay
from .dataset.files import DatasetError
from .dataset.reader import Dataset
from .demonstrations import arrays_of

REQUEST = "request.ee_delta"
"""Column of the actions."""


def replay_of(like: Replay, dataset: Dataset, episodes: int | None = None) -> Replay:
    """Return a replay of one world with the columns of another, and room for all its rows besides.

    Episodes that become demonstrations then drive out none; on a CPU, room that is not used yet
    takes no memory.

    Args:
        like: says what is seen and done, and where the rows are to lie.
        dataset: of `sim2arm record`.
        episodes: the first ones that are taken; all if None.

    Raises:
        DatasetError: there are fewer episodes, an array is not there, or has another shape.
    """
    count = dataset.index.episodes if episodes is None else episodes
    if not 0 < count <= dataset.index.episodes:
        raise DatasetError(
            f"{dataset.root}: expected {max(count, 1)} episodes or more, got "
            f"{dataset.index.episodes}"
        )
    if REQUEST not in dataset.features:
        raise DatasetError(
            f"{dataset.root}: expected a column {REQUEST!r}, steps of the tool: record them here"
        )
    rows = len(dataset) + dataset.index.episodes + like.worlds * like.rows + 16
    found = Replay(like.obs, like.action_dim, rows=rows, columns=like.columns, device=like.device)
    for episode in range(count):
        _add(found, dataset, episode)
    return found


def _add(replay: Replay, dataset: Dataset, episode: int) -> None:
    rows = dataset.episode(episode)
    arrays = arrays_of(dataset, episode, tuple(replay.obs))
    seen: dict[str, Tensor] = {}
    for name, column in replay.obs.items():
        if name not in arrays:
            known = sorted(arrays_of(dataset, episode))
            raise DatasetError(f"{dataset.root}: there is no array {name!r}. Known: {known}")
        values = torch.from_numpy(arrays[name])
        if tuple(values.shape[1:]) != column.shape:
            raise DatasetError(
                f"{dataset.root}: {name!r}: expected {list(column.shape)}, got "
                f"{list(values.shape[1:])}: record with the same cameras and touch"
            )
        seen[name] = values.to(replay.device)
    if dataset.notes(episode).get("disturb"):
        raise DatasetError(
            f"{dataset.root}: episode {episode} was recorded with --disturb: what was asked for is "
            "not what was done, so nothing can be learnt of what came of it; record without"
        )
    actions = torch.from_numpy(rows[REQUEST]).to(replay.device)
    if actions.shape[1] != replay.action_dim:
        raise DatasetError(
            f"{dataset.root}: {ACTION}: expected {replay.action_dim} elements, got "
            f"{actions.shape[1]}"
        )
    solved = torch.from_numpy(rows["next.success"]).flatten()
    wins = solved.nonzero()[:, 0].tolist()
    # one step less where nothing says what followed from the last one
    length = wins[0] + 1 if wins else len(actions) - 1
    yes = torch.ones(1, dtype=torch.bool, device=replay.device)
    for t in range(length):
        last, now = t + 1 == length, slice(t, t + 1)
        win = yes & bool(wins and last)
        after = now if wins else slice(t + 1, t + 2)  # after a success nothing is looked at
        replay.add(
            {n: v[now] for n, v in seen.items()}, actions[now], win.float(), win, yes & last,
            {n: v[after] for n, v in seen.items()}, {DEMO: yes},
        )  # fmt: skip
