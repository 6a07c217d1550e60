"""Run an exported policy with numpy and onnxruntime: what the robot, the nodes and `eval` use.

Loading verifies everything before the first action: every file against the manifest, the contract
against the copy inside the ONNX file, the graph against the contract, and the answers against the
golden sequences. Every failure is one line, `BundleError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract, StateSpec

from .bundle import GOLDEN, LARGEST_MODEL, MODEL, BundleError, one_line, read_bundle
from .golden import read_golden
from .graph import ACTION, Arrays, PolicyGraph
from .noise import draw_all
from .signature import TrustedKeys
from .verify import read_contract

_NOISE_TOLERANCE = 1e-6


class OnnxPolicy:
    """A policy from a bundle: `reset()` and `act(obs)` on a fixed number of rows.

    Rows are independent: each has its own states and noise, and each is computed alone, so that
    its actions are bit for bit those of a policy with one row.

    Attributes:
        contract: what the policy expects and gives.
        num_envs: number of rows of every call.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        num_envs: int = 1,
        threads: int = 1,
        largest_model: int = LARGEST_MODEL,
        trusted: TrustedKeys | None = None,
    ) -> None:
        """Load and verify a bundle.

        Args:
            path: folder of the bundle.
            num_envs: rows of every call of `act` (robots, or worlds of an evaluation).
            threads: threads of onnxruntime inside one row.
            largest_model: largest policy.onnx that is read [bytes].
            trusted: keys of which one must have signed the bundle; none asks for no signature.

        Raises:
            BundleError: anything about the bundle is not as it was exported; one line.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs: expected 1 or more, got {num_envs}")
        path = Path(path)
        files = read_bundle(path, largest_model, trusted)
        self.contract = read_contract(path, files)
        self.num_envs = num_envs
        source = str(path / MODEL)
        self._graph = PolicyGraph(files[MODEL], self.contract, source, threads)
        _replay(self._graph, self.contract, files[GOLDEN], str(path / GOLDEN))
        self._states = {
            state.name_in: np.stack([initial_state(state)] * num_envs)
            for state in self.contract.states
        }
        first = self.contract.noise.seed if self.contract.noise else 0
        self._seeds = np.arange(first, first + num_envs, dtype=np.int64)
        self._episodes = np.zeros(num_envs, dtype=np.int64)
        self._calls = np.zeros(num_envs, dtype=np.int64)

    def reset(self, env_ids: NDArray[Any] | Sequence[int] | None = None, seeds: Any = None) -> None:
        """Start new episodes: states to their initial values, noise to the next episode.

        Args:
            env_ids: rows to reset, or none for all.
            seeds: one new noise seed (0 or more) per row reset; its episodes count from 0.

        Raises:
            ValueError: a row that does not exist, or not one seed per row.
        """
        rows = np.arange(self.num_envs) if env_ids is None else np.asarray(env_ids, dtype=np.int64)
        if rows.ndim != 1 or (rows.size and not 0 <= rows.min() <= rows.max() < self.num_envs):
            raise ValueError(f"env_ids: expected rows below {self.num_envs}, got {env_ids!r}")
        for state in self.contract.states:
            if state.reset_when == "episode":
                self._states[state.name_in][rows] = initial_state(state)
        # A policy that was never asked is still in its first episode.
        self._episodes[rows] += self._calls[rows] > 0
        self._calls[rows] = 0
        if seeds is not None:
            values = np.asarray(seeds, dtype=np.int64)
            if values.shape != rows.shape or (values < 0).any():
                raise ValueError(f"seeds: expected {rows.size} numbers >= 0, got {seeds!r}")
            self._seeds[rows] = values
            self._episodes[rows] = 0

    def act(self, obs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return the chunk (B, T, A) for observations (B, ...); states advance by one call.

        Raises:
            ValueError: a missing, unknown or ill-formed input, or an answer that is not finite;
                the states are then as before the call.
        """
        specs = self.contract.observations
        if len(obs) != len(specs) or any(spec.name not in obs for spec in specs):
            raise ValueError(
                f"observation: expected {sorted(spec.name for spec in specs)}, got {sorted(obs)}"
            )
        for spec in specs:
            spec.check(obs[spec.name])
            shape = obs[spec.name].shape
            if len(shape) != len(spec.array_shape) + 1 or shape[0] != self.num_envs:
                raise ValueError(
                    f"input {spec.name!r}: expected {self.num_envs} rows of "
                    f"{list(spec.array_shape)}, got shape {tuple(shape)}"
                )
        action = self.contract.action
        chunk = np.empty((self.num_envs, action.horizon, action.dim), dtype=np.float32)
        next_states = {name: np.empty_like(value) for name, value in self._states.items()}
        for row in range(self.num_envs):
            outputs = self._graph.run(self._feed(obs, row))
            chunk[row] = outputs[ACTION][0]
            for state in self.contract.states:
                next_states[state.name_in][row] = outputs[state.name_out][0]
        for name, value in {ACTION: chunk, **next_states}.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise ValueError(f"the policy answered {name!r} with numbers that are not finite")
        self._states = next_states
        self._calls += 1
        return chunk

    def _feed(self, obs: Mapping[str, NDArray[Any]], row: int) -> Arrays:
        here = slice(row, row + 1)
        feed: Arrays = {
            spec.name: np.ascontiguousarray(obs[spec.name][here])
            for spec in self.contract.observations
        }
        feed |= {name: value[here] for name, value in self._states.items()}
        if self.contract.noise is not None:
            noise = draw_all(
                self.contract,
                seed=int(self._seeds[row]),
                call=int(self._calls[row]),
                episode=int(self._episodes[row]),
            )
            feed |= {name: value[None] for name, value in noise.items()}
        return feed


def initial_state(state: StateSpec) -> NDArray[Any]:
    """Return the value of a state after a reset, without batch axis."""
    values = np.asarray(state.initial, dtype=state.dtype)
    if values.size == 1:
        return np.full(state.shape, values[0], dtype=state.dtype)
    return values.reshape(state.shape)


def _replay(graph: PolicyGraph, contract: Contract, data: bytes, source: str) -> None:
    """Play the golden sequences and compare every answer.

    Raises:
        BundleError: the sequences do not fit the contract, or an answer differs.
    """
    golden = read_golden(data, contract, source)
    action = contract.action
    span = np.asarray(action.high, dtype=np.float64) - np.asarray(action.low, dtype=np.float64)
    largest = {
        state.name_out: max(1.0, float(np.abs(golden.states[state.name_out]).max()))
        for state in contract.states
    }
    seed = contract.noise.seed if contract.noise else 0
    states = {state.name_in: initial_state(state) for state in contract.states}
    episode, call = -1, 0
    for step, reset in enumerate(golden.resets):
        if reset:
            episode, call = episode + 1, 0
            for state in contract.states:
                if state.reset_when == "episode":
                    states[state.name_in] = initial_state(state)
        for name, noise in draw_all(contract, seed=seed, call=call, episode=episode).items():
            _bound(source, step, name, noise - golden.inputs[name][step], 1.0, _NOISE_TOLERANCE)
        feed = {name: values[step][None] for name, values in golden.inputs.items()}
        feed |= {name: value[None] for name, value in states.items()}
        try:
            outputs = graph.run(feed)
        except Exception as error:  # the exceptions of onnxruntime share no other base class
            raise BundleError(f"{source}: step {step}: {one_line(error)}") from error
        difference = outputs[ACTION][0] - golden.actions[step]
        _bound(source, step, ACTION, difference, span, contract.golden_tolerance)
        for state in contract.states:
            value = outputs[state.name_out][0]
            delta = value.astype(np.float64) - golden.states[state.name_out][step]
            unit = largest[state.name_out]
            _bound(source, step, state.name_out, delta, unit, contract.golden_tolerance)
            states[state.name_in] = value
        call += 1


def _bound(
    source: str, step: int, name: str, difference: NDArray[Any], unit: Any, tolerance: float
) -> None:
    worst = float(np.max(np.abs(difference) / unit)) if difference.size else 0.0
    if not worst <= tolerance:  # also when it is not a number
        raise BundleError(
            f"{source}: step {step}: {name!r} differs by {worst:.3g} of its range, allowed "
            f"{tolerance:.3g}: the graph does not answer as it did at the export"
        )
