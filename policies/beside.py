"""Acting and learning in processes of their own: neither waits for the other.

The actor writes what it does to a replay on disk and takes the newest networks from a file; the
learner follows the replay, with as many updates per step as the settings say, and writes the
networks. One arm acts, as a robot would; the rows of the replay are all that it tells.
"""

# pyright: standard

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .buffers import DEMO
from .checkpoint import load_checkpoint, save_checkpoint
from .learner import Means
from .offpolicy import OffPolicy

UPDATES, METRIC = "updates", "metric/"
"""In the file of networks: how many updates they had, and what the names of their means begin with.
"""
POLL = 0.05
"""Time between looks at the file [s]."""


class Remote(OffPolicy):
    """Acts; its networks come from a file.

    Attributes:
        updates: that the networks had, which act.
    """

    def __init__(self, *args: Any, networks: Path, **kwargs: Any) -> None:
        """Build it as `OffPolicy`; `networks` is the file."""
        super().__init__(*args, **kwargs)
        self.updates = 0
        self._inbox = _Inbox(networks)

    def update(self) -> dict[str, Tensor | None]:
        """Take the newest networks, if there are any; return means of the updates since the last.

        They are of the process that learns; None in iterations without news.
        """
        state = self._inbox.take()
        found: dict[str, Tensor | None] = dict.fromkeys(self.agent.metrics)
        if state is not None:
            self.updates = int(state.pop(UPDATES))
            told = [name for name in state if name.startswith(METRIC)]
            found |= {name.removeprefix(METRIC): state.pop(name) for name in told}
            self.model.load_state_dict(state)
        self.iteration += 1
        return found

    def close(self) -> None:
        """Look at the file no more."""
        self._inbox.close()


class _Inbox:
    """Reads a file of networks whenever it is new, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen = path, 0
        self._lock, self._over = threading.Lock(), threading.Event()
        self._newest: dict[str, Tensor] | None = None
        self._thread = threading.Thread(target=self._watch, name="networks", daemon=True)
        self._thread.start()

    def take(self) -> dict[str, Tensor] | None:
        """Return what came since the last call, None if nothing did."""
        with self._lock:
            found, self._newest = self._newest, None
        return found

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(POLL):
            try:
                stamp = self._path.stat().st_mtime_ns
            except FileNotFoundError:
                continue
            if stamp == self._seen:
                continue
            found = load_checkpoint(self._path)  # it is replaced whole
            with self._lock:
                self._seen, self._newest = stamp, found


class Follower:
    """Learns from what another process does; a row is a step, or the end of an episode.

    Attributes:
        updates: so far.
        written: rows that the other process has written.
    """

    def __init__(self, learner: OffPolicy) -> None:
        """Take a learner whose replay another process writes, and which may have learnt before."""
        self.learner, cfg = learner, learner.cfg
        self._means = Means()
        self._share = cfg.updates / (cfg.rollout * learner.env.num_envs)
        self.written = self._scaled = self._told = 0
        self.updates = int(self._share * max(learner.steps - cfg.random, 0))

    def work(self, most: int) -> bool:
        """Follow and learn, at most so many updates; return whether there was anything to do."""
        learner, cfg = self.learner, self.learner.cfg
        self.written = learner.replay.follow()
        if cfg.normalise and self.written > self._scaled:
            learner.agent.learn_scale(learner.replay.since(self._scaled))
        self._scaled = self.written
        if learner.demos is not None and cfg.relabel:
            self._relabel()
        learner.follow_to(self.written)
        due = int(self._share * max(self.written - cfg.random, 0)) - self.updates
        count = min(due, most) if self.written > max(cfg.random, 1) else 0
        for batch in learner.batches(count):
            self._means.add(learner.agent.update(batch, learner.generator))
            self.updates += 1
        return count > 0

    def _relabel(self) -> None:
        """Take new episodes that succeeded as demonstrations."""
        replay, demos = self.learner.replay, self.learner.demos
        assert demos is not None
        for rows in replay.ended_since(self._told):
            if replay.won(rows[1]):
                demos.copy_episode(replay, 0, rows, {DEMO: True})
        self._told = self.written

    def publish(self, networks: Path) -> None:
        """Write the networks for who acts."""
        state = dict(self.learner.model.state_dict())
        means = self._means.take().items()
        told = {f"{METRIC}{name}": mean for name, mean in means if mean is not None}
        save_checkpoint(networks, state | told | {UPDATES: torch.tensor(self.updates)})
