"""The proof and the files of a bundle, whatever its graph was made of: parity, golden, manifest.

Nothing is written unless the graph answers like what it was made of and the finished bundle loads.
"""
# pyright: standard

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract
from sim2arm.core.durable import sync_folder

from .bundle import (
    CONTRACT,
    CONTRACT_KEY,
    GOLDEN,
    LEAPP,
    MANIFEST,
    MODEL,
    RANDOM_OPERATORS,
    onnx_facts,
    write_manifest,
)
from .golden import Golden, write_golden
from .graph import ACTION, Arrays, PolicyGraph
from .leapp import leapp_yaml
from .noise import draw_all
from .runtime import OnnxPolicy, initial_state

PARITY_STEPS = 256
"""Length of every roll-out in which a graph is compared with what it was made of."""
GOLDEN_STEPS = 64
"""Most steps taken from each sequence for the golden file; half of them after a second reset."""
GOLDEN_SEQUENCES = 4


class ExportError(ValueError):
    """A policy cannot be exported, or its graph does not answer like it; one line."""


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export measured."""

    path: Path
    parity_max_abs: float
    """Largest difference of the graph and what it was made of, in units of the action range."""
    parity_steps: int
    """Steps compared."""
    onnx_bytes: int
    golden_steps: int


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a graph was made of."""

    answer: Callable[[Arrays], Arrays]
    """Inputs, states and noise (1, ...) by name -> action and next states, as `PolicyGraph.run`."""
    tied: Callable[[Arrays], bool] = lambda _: False
    """Whether rounding decides what is answered."""
    steps: int = PARITY_STEPS
    """Steps of each sequence in which the two are compared."""


def check_sequences(
    contract: Contract, sequences: Sequence[Mapping[str, NDArray[Any]]]
) -> list[Arrays]:
    """Return recorded episodes that fit a contract.

    Raises:
        ExportError: there is none, or one does not fit.
    """
    names = [spec.name for spec in contract.observations]
    if not sequences:
        raise ExportError("sequences: expected at least one recorded episode, got none")
    for i, sequence in enumerate(sequences):
        if set(sequence) != set(names):
            raise ExportError(f"sequences[{i}]: expected {sorted(names)}, got {sorted(sequence)}")
        for spec in contract.observations:
            try:
                spec.check(sequence[spec.name])
            except ValueError as error:
                raise ExportError(f"sequences[{i}]: {error}") from error
        lengths = {sequence[spec.name].shape[0] for spec in contract.observations}
        ranks = {sequence[s.name].ndim - len(s.array_shape) for s in contract.observations}
        if ranks != {1} or len(lengths) != 1 or min(lengths) < 2:
            raise ExportError(
                f"sequences[{i}]: expected one time axis, equally long (2 or more) in all inputs"
            )
    return [dict(sequence) for sequence in sequences]


def seal(proto: Any, contract: Contract) -> bytes:
    """Return an ONNX model as a bundle has it: single, deterministic, with the contract inside.

    Args:
        proto: `onnx.ModelProto`, changed in place.
        contract: what the policy expects and gives.

    Raises:
        ExportError: it uses random operators or tensors of another file.
    """
    nodes = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    for owner in [proto, proto.graph, *nodes, *proto.graph.value_info]:
        del owner.metadata_props[:]  # file names and stack traces of the exporting machine
        owner.doc_string = ""
    names = {"joint_names": ",".join(contract.joint_names)}
    names["joint_stiffness"] = ",".join(map(repr, contract.low_level.kp))
    names["joint_damping"] = ",".join(map(repr, contract.low_level.kd))
    names["action_scale"] = ",".join(map(repr, contract.action.scale))
    for key, text in {CONTRACT_KEY: contract.canonical_json(), **names}.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, text
    model = proto.SerializeToString(deterministic=True)
    facts = onnx_facts(model)
    if facts.external_tensors:
        raise ExportError(f"tensor {facts.external_tensors[0]!r} was stored outside of the file")
    random = sorted(RANDOM_OPERATORS & facts.operators)
    if random:
        raise ExportError(
            f"the graph draws random numbers ({', '.join(random)}): take noise as a declared input"
        )
    return model


def write_bundle(
    model: bytes,
    contract: Contract,
    origin: Origin,
    episodes: Sequence[Arrays],
    path: Path,
    *,
    tolerance: float = 1e-5,
) -> ExportReport:
    """Prove that a graph answers like what it was made of, and write the bundle.

    Args:
        model: what `seal` returned.
        contract: what the policy expects and gives.
        origin: what the graph was made of.
        episodes: what `check_sequences` returned.
        path: folder to write; one that is there is replaced.
        tolerance: largest difference, in units of the action range.

    Raises:
        ExportError: the answers differ.
        BundleError: the graph is not that of the contract.
    """
    graph = PolicyGraph(model, contract, MODEL)
    difference = _parity(origin, graph, contract, episodes, tolerance)
    golden = _record(origin, graph, contract, episodes)
    files = {
        MODEL: model,
        CONTRACT: contract.to_yaml().encode(),
        GOLDEN: write_golden(golden),
        LEAPP: leapp_yaml(contract, model, MODEL),
    }
    files[MANIFEST] = write_manifest(files)
    _write_folder(path, files)
    return ExportReport(
        path=path,
        parity_max_abs=difference,
        parity_steps=len(episodes) * origin.steps,
        onnx_bytes=len(model),
        golden_steps=golden.resets.size,
    )


def _parity(
    origin: Origin,
    graph: PolicyGraph,
    contract: Contract,
    episodes: Sequence[Arrays],
    tolerance: float,
) -> float:
    """Return the largest difference of two roll-outs, each on its own states, ties left out."""
    action = contract.action
    span = np.asarray(action.high, dtype=np.float64) - np.asarray(action.low, dtype=np.float64)
    seed = contract.noise.seed if contract.noise else 0
    worst, tied = 0.0, 0
    for index, episode in enumerate(episodes):
        start = {state.name_in: initial_state(state)[None] for state in contract.states}
        ours, theirs = dict(start), dict(start)
        length = next(iter(episode.values())).shape[0] if episode else 1
        for step in range(origin.steps):
            feed = {name: values[step % length][None] for name, values in episode.items()}
            noise = draw_all(contract, seed=seed, call=step, episode=index)
            feed |= {name: value[None] for name, value in noise.items()}
            expected, answers = origin.answer(feed | ours), graph.run(feed | theirs)
            difference = np.abs(expected[ACTION][0] - answers[ACTION][0]) / span
            close = origin.tied(feed | ours)
            if close:
                tied += 1
            elif not (difference <= tolerance).all():
                raise ExportError(
                    f"parity: step {step} of sequence {index}: onnxruntime differs from the "
                    f"source by {float(difference.max()):.3g} of the action range, allowed "
                    f"{tolerance:.3g}"
                )
            else:
                worst = max(worst, float(difference.max()))
            theirs = {state.name_in: answers[state.name_out] for state in contract.states}
            ours = {state.name_in: expected[state.name_out] for state in contract.states}
            if close:  # what is carried on may be of the other choice
                ours = {name: value.copy() for name, value in theirs.items()}
    if 2 * tied > len(episodes) * origin.steps:
        raise ExportError(
            f"parity: rounding decides what is answered in {tied} of "
            f"{len(episodes) * origin.steps} steps: the policy has learnt too little to be compared"
        )
    return worst


def _record(
    origin: Origin, graph: PolicyGraph, contract: Contract, episodes: Sequence[Arrays]
) -> Golden:
    """Return the golden sequences: the start of each episode, twice, a reset before each half.

    Steps in which rounding decides are left out: other machines may round otherwise.
    """
    seed = contract.noise.seed if contract.noise else 0
    resets: list[bool] = []
    steps: list[Arrays] = []
    states = {state.name_in: initial_state(state)[None] for state in contract.states}
    count = -1
    for episode in episodes[:GOLDEN_SEQUENCES]:
        length = next(iter(episode.values())).shape[0] if episode else GOLDEN_STEPS
        half = min(length, GOLDEN_STEPS) // 2
        for first in (0, half):
            count += 1
            for state in contract.states:
                if state.reset_when == "episode":
                    states[state.name_in] = initial_state(state)[None]
            fresh = True
            for call in range(half):
                feed = {name: values[first + call][None] for name, values in episode.items()}
                noise = draw_all(contract, seed=seed, call=call, episode=count)
                feed |= {name: value[None] for name, value in noise.items()}
                if origin.tied(feed | states):
                    continue
                answers = graph.run(feed | states)
                states = {s.name_in: answers[s.name_out] for s in contract.states}
                resets.append(fresh)
                fresh = False
                steps.append(feed | answers)
    joined = {name: np.concatenate([step[name] for step in steps]) for name in steps[0]}
    return Golden(
        resets=np.asarray(resets),
        inputs={spec.name: joined[spec.name] for spec in contract.inputs},
        actions=joined[ACTION],
        states={state.name_out: joined[state.name_out] for state in contract.states},
    )


def _write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder that appears complete or not at all; load it before it gets its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".{path.name}.new-{os.getpid()}"
    old = path.parent / f".{path.name}.old-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir()
        for name, data in files.items():
            with (fresh / name).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(fresh)
        OnnxPolicy(fresh)  # the bundle as a robot will see it
        if path.exists():
            path.rename(old)
        fresh.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
