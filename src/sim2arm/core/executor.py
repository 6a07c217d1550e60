"""From chunks of actions to one action per tick, by the stamps of their entries.

Every entry has a time: that of the tick at which the policy observed, plus t0, plus a whole number
of dt (`ActionSpec`). Entries whose time has passed are dropped, however late the chunk arrives, and
no entry is used after its time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import PREFIX, PREFIX_KNOWN, ActionSpec, ExecutorSpec

_NS_PER_S = 1e9
_QUATERNION = ("qw", "qx", "qy", "qz")


class ChunkExhausted(Exception):  # noqa: N818 - names what happened, as StaleReading does
    """No entry of any chunk is for this time: hold until a new chunk comes."""


class Executor:
    """Turn overlapping chunks into actions; one clock for all rows of a batch.

    - step: the one entry of the newest chunk.
    - receding: the first `execute` entries of the newest chunk.
    - ahead: the newest chunk once `delay` of its entries are over, until then the one before; a
      first chunk, which no other precedes, at once.
    - ensemble: the mean of all chunks that have an entry for this time, weighted with
      exp(-decay i), where chunk i was observed i entries after the oldest of them (i = 0).

    Actions are passed on as they are. Targets relative to the start of their chunk have to be
    made absolute before they are pushed: only then do chunks with different starts go together.
    Source: Zhao et al., arXiv 2304.13705, algorithm 2 (temporal ensembling); Chi et al., arXiv
    2303.04137, section 3 (receding horizon).
    """

    def __init__(
        self, spec: ExecutorSpec, action: ActionSpec, period_s: float | None = None
    ) -> None:
        """Prepare without a chunk.

        Args:
            spec: how chunks become actions.
            action: shape and times of a chunk.
            period_s: time between calls of `next`, dt if none [s]. A tick belongs to an entry up
                to half of it (or half of dt) before the entry's time, so that ticks may jitter.

        Raises:
            ValueError: the kind does not go with the actions.
        """
        problem = _problem(spec, action)
        if problem is not None:
            raise ValueError(f"executor.kind {spec.kind!r}: {problem}")
        self.spec, self.action = spec, action
        self._dt = action.dt_s * _NS_PER_S
        period = self._dt if period_s is None else period_s * _NS_PER_S
        self._early = 0.5 * min(period, self._dt)
        usable = {"step": 1, "receding": spec.execute}
        self._usable = usable.get(spec.kind, action.horizon)
        names = action.element_names
        self._quaternion = [names.index(name) for name in _QUATERNION] if "qw" in names else None
        self.reset()

    def reset(self) -> None:
        """Forget all chunks, as at the start of an episode or after a hold."""
        self._chunks: list[tuple[int, NDArray[Any]]] = []  # time of the first entry, oldest first

    def push(self, chunk: NDArray[Any], observed_ns: int) -> None:
        """Take a new chunk.

        Args:
            chunk: (..., T, A) actions.
            observed_ns: time of the tick whose observation it answers [ns].

        Raises:
            ValueError: wrong shape, numbers that are not finite, or not newer than the last one.
        """
        expected = (self.action.horizon, self.action.dim)
        if chunk.shape[-2:] != expected:
            raise ValueError(f"chunk: expected shape (..., T, A) = {expected}, got {chunk.shape}")
        if not np.isfinite(chunk).all():
            raise ValueError("chunk: contains numbers that are not finite (NaN or inf)")
        first = observed_ns + round(self.action.t0_s * _NS_PER_S)
        if self._chunks and first <= self._chunks[-1][0]:
            raise ValueError(
                f"chunk: expected a newer observation than that of the last chunk, got one "
                f"{(self._chunks[-1][0] - first) / _NS_PER_S:.4f} s older"
            )
        if self._chunks and chunk.shape != self._chunks[-1][1].shape:
            raise ValueError(
                f"chunk: expected shape {self._chunks[-1][1].shape} as before, got {chunk.shape}"
            )
        self._chunks.append((first, np.array(chunk)))  # policies may reuse their buffers

    def wants(self, now_ns: int) -> bool:
        """Return whether a chunk observed now is used: always, or when the last one is used up.

        Of kind ahead: when the newest was observed `execute` entries ago. A policy of another kind
        that takes a while asks `wants(now_ns + expected_duration_ns)`.
        """
        if self.spec.kind == "ahead" and self._chunks:
            return self._index(self._chunks[-1][0], now_ns) >= self.spec.execute
        return self.spec.kind not in ("receding", "ahead") or not self._covering(now_ns)

    def prefix(self, now_ns: int, like: tuple[int, ...]) -> dict[str, NDArray[np.float32]]:
        """Return the inputs of kind prefix of a chunk observed now.

        Args:
            now_ns: time of the tick.
            like: shape of a chunk (..., T, A).

        Returns:
            The actions that will be done until the new chunk is used, at its first `delay` entries,
            and which those are, (..., T); zeros elsewhere, and of a first chunk.
        """
        actions = np.zeros(like, dtype=np.float32)
        known = np.zeros(like[:-1], dtype=np.float32)
        covering = self._covering(now_ns)
        if covering and self.spec.kind == "ahead":
            first, chunk = self._chosen(covering, now_ns)
            at = self._index(first, now_ns)
            count = min(self.spec.delay, self.action.horizon - at)
            actions[..., :count, :] = chunk[..., at : at + count, :]
            known[..., :count] = 1.0
        return {PREFIX: actions, PREFIX_KNOWN: known}

    def next(self, now_ns: int) -> NDArray[Any]:
        """Return the action (..., A) for this tick, in the dtype of the chunks.

        Raises:
            ChunkExhausted: no entry is for this time.
        """
        self._chunks = [
            (first, chunk)
            for first, chunk in self._chunks
            if self._index(first, now_ns) < self._usable
        ]
        covering = self._covering(now_ns)
        if not covering:
            raise ChunkExhausted(self._why(now_ns))
        if self.spec.kind == "ensemble":
            return self._ensemble(covering, now_ns)
        first, chunk = self._chosen(covering, now_ns)
        return chunk[..., self._index(first, now_ns), :]

    def _chosen(
        self, covering: list[tuple[int, NDArray[Any]]], now_ns: int
    ) -> tuple[int, NDArray[Any]]:
        """Return the chunk whose entry is used: of kind ahead not before its delay is over."""
        ripe = [each for each in covering if self._index(each[0], now_ns) >= self.spec.delay]
        return ripe[-1] if ripe else covering[0]

    def _index(self, first: int, now_ns: int) -> int:
        return math.floor((now_ns - first + self._early) / self._dt)

    def _covering(self, now_ns: int) -> list[tuple[int, NDArray[Any]]]:
        return [
            (first, chunk)
            for first, chunk in self._chunks
            if 0 <= self._index(first, now_ns) < self._usable
        ]

    def _ensemble(self, covering: list[tuple[int, NDArray[Any]]], now_ns: int) -> NDArray[Any]:
        oldest = covering[0][0]
        rank = [round((first - oldest) / self._dt) for first, _ in covering]
        weights = np.exp(-self.spec.decay * np.array(rank))
        weights /= weights.sum()
        entries = np.stack(
            [chunk[..., self._index(first, now_ns), :] for first, chunk in covering], axis=-2
        ).astype(np.float64)  # (..., K, A)
        if self._quaternion is not None:
            q = entries[..., self._quaternion]
            with_newest = (q * q[..., -1:, :]).sum(axis=-1, keepdims=True)
            entries[..., self._quaternion] = np.where(with_newest < 0, -q, q)
        mean = (weights[:, None] * entries).sum(axis=-2)
        if self._quaternion is not None:
            q = mean[..., self._quaternion]
            mean[..., self._quaternion] = q / np.linalg.norm(q, axis=-1, keepdims=True)
        return mean.astype(covering[0][1].dtype)

    def _why(self, now_ns: int) -> str:
        if not self._chunks:
            return "no action for this tick: no chunk has come, or all are used up"
        wait = (self._chunks[0][0] - now_ns) / _NS_PER_S
        return f"no action for this tick: the next chunk begins in {wait:.4f} s"


def _problem(spec: ExecutorSpec, action: ActionSpec) -> str | None:
    """Return why the kind does not go with the actions, or none."""
    if spec.kind == "step":
        one = action.horizon == 1
        return None if one else f"needs action.horizon 1, got {action.horizon}"
    if spec.kind in ("receding", "ahead"):
        fits = 1 <= spec.execute <= action.horizon
        return None if fits else f"execute: expected 1 to {action.horizon}, got {spec.execute}"
    if action.relative_to == "last_command":
        return "steps from the last command cannot be averaged, use targets"
    if action.kind.startswith("ee_") and not set(_QUATERNION) <= set(action.element_names):
        return "rotation vectors cannot be averaged, use poses with the elements qw qx qy qz"
    return None
