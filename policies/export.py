"""Write a trained policy as a bundle: ONNX, contract, golden sequences, LEAPP, manifest.

The exported form of every algorithm is a torch module `forward(obs, state, noise)` that returns
the chunk (B, T, A) and the next state, dictionaries in and out, keyed by the names of the
contract (states by `name_in`). One that chooses between alternatives says by `gap(obs, state)` (B,)
how far the best is from the second best: where that is nothing, answers may differ. Nothing is
written unless the graph answers like the module and the finished bundle loads.
"""
# pyright: standard

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
"""Length of every roll-out in which torch and onnxruntime are compared."""
GOLDEN_STEPS = 64
"""Most steps taken from each sequence for the golden file; half of them after a second reset."""
GOLDEN_SEQUENCES = 4
OPSET = 20
TIE = 1e-4
"""Alternatives whose values differ by less are equal to float32: which is chosen, rounding says."""


class ExportError(ValueError):
    """A module cannot be exported, or its graph does not answer like it; one line."""


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export measured."""

    path: Path
    parity_max_abs: float
    """Largest difference of torch and onnxruntime, actions in units of the action range."""
    parity_steps: int
    """Steps compared."""
    onnx_bytes: int
    golden_steps: int


class _Flat(nn.Module):
    """The module with its tensors as positional arguments, as an ONNX graph has them."""

    def __init__(self, module: nn.Module, contract: Contract) -> None:
        super().__init__()
        self.module = module
        self.obs_names = [spec.name for spec in contract.observations]
        self.state_names = [state.name_in for state in contract.states]
        self.noise_names = [spec.name for spec in contract.noises]

    @property
    def names(self) -> list[str]:
        """Graph inputs in order."""
        return self.obs_names + self.state_names + self.noise_names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.names, tensors, strict=True))
        chunk, state = self.module(
            {name: given[name] for name in self.obs_names},
            {name: given[name] for name in self.state_names},
            {name: given[name] for name in self.noise_names},
        )
        return (chunk, *(state[name] for name in self.state_names))

    @torch.no_grad()
    def tied(self, given: Mapping[str, Tensor]) -> bool:
        """Return whether rounding decides what is answered."""
        gap = getattr(self.module, "gap", None)
        if gap is None:
            return False
        names = self.obs_names, self.state_names
        obs, state = ({name: given[name] for name in part} for part in names)
        return bool((gap(obs, state) < TIE).any())


def export_bundle(
    module: nn.Module,
    contract: Contract,
    sequences: Sequence[Mapping[str, NDArray[Any]]],
    path: str | Path,
    *,
    parity_tolerance: float = 1e-5,
    overwrite: bool = False,
) -> ExportReport:
    """Export a policy and prove that the bundle does what the module does.

    Args:
        module: `forward(obs, state, noise) -> (chunk, state)` on the CPU, float32.
        contract: what the policy expects and gives.
        sequences: recorded observations (L, *array_shape) by name, one mapping per episode, at
            least 2 steps each. Each is compared over 256 steps (a shorter one starts again from
            its first observation, without a reset).
        path: folder to write; it appears complete or not at all.
        parity_tolerance: largest difference, in units of the action range.
        overwrite: replace a bundle that is already there.

    Raises:
        ExportError: the module does not fit the contract, uses random operators or tensors of
            another file, or differs from its graph.
        FileExistsError: `path` exists and `overwrite` is not set.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: choose another folder or pass overwrite")
    episodes = _check_sequences(contract, sequences)
    training = module.training
    module.eval()
    try:
        flat = _Flat(module, contract)
        _check_module(flat, contract)
        model = _to_onnx(flat, contract)
        graph = PolicyGraph(model, contract, MODEL)
        difference = _parity(flat, graph, contract, episodes, parity_tolerance)
    finally:
        module.train(training)
    golden = _record(flat, graph, contract, episodes)
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
        parity_steps=len(episodes) * PARITY_STEPS,
        onnx_bytes=len(model),
        golden_steps=golden.resets.size,
    )


def _check_sequences(
    contract: Contract, sequences: Sequence[Mapping[str, NDArray[Any]]]
) -> list[Arrays]:
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


def _check_module(flat: _Flat, contract: Contract) -> None:
    """Call the module once and compare its answers with the contract."""
    with torch.no_grad():
        try:
            outputs = flat(*_example(flat, contract))
        except KeyError as error:
            raise ExportError(f"the module and the contract disagree on the key {error}") from error
    action = contract.action
    expected = [(ACTION, (1, action.horizon, action.dim), "float32")]
    expected += [(s.name_out, (1, *s.shape), s.dtype) for s in contract.states]
    for (name, shape, dtype), tensor in zip(expected, outputs, strict=True):
        got = (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        if got != (shape, dtype):
            raise ExportError(
                f"the module returns {name!r} as {got[1]} {got[0]}, the contract says "
                f"{dtype} {shape}"
            )


def _example(flat: _Flat, contract: Contract) -> tuple[Tensor, ...]:
    shapes = {spec.name: (spec.array_shape, spec.dtype) for spec in contract.inputs}
    shapes |= {state.name_in: (state.shape, state.dtype) for state in contract.states}
    return tuple(
        torch.zeros((1, *shapes[name][0]), dtype=getattr(torch, shapes[name][1]))
        for name in flat.names
    )


def to_onnx(module: nn.Module, contract: Contract) -> bytes:
    """Return the graph of a policy as `export_bundle` writes it, without proof that it is right.

    Args:
        module: as `export_bundle` takes it, in evaluation mode.
        contract: what the policy expects and gives.

    Raises:
        ExportError: the module does not fit the contract, or uses random operators or tensors of
            another file.
    """
    flat = _Flat(module, contract)
    _check_module(flat, contract)
    return _to_onnx(flat, contract)


def _to_onnx(flat: _Flat, contract: Contract) -> bytes:
    """Return the ONNX file: single, deterministic, with the contract inside."""
    with _quiet():
        program = torch.onnx.export(
            flat,
            _example(flat, contract),
            dynamo=True,
            opset_version=OPSET,
            input_names=flat.names,
            output_names=[ACTION, *(state.name_out for state in contract.states)],
            external_data=False,
            verbose=False,
        )
    assert program is not None  # only of the older exporter
    proto = cast(Any, program.model_proto)
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


@contextmanager
def _quiet() -> Generator[None]:
    """Silence the notes of the exporter about itself; errors still come."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _parity(
    flat: _Flat,
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
        ours = {name: torch.from_numpy(value.copy()) for name, value in start.items()}
        theirs: Arrays = dict(start)
        length = next(iter(episode.values())).shape[0] if episode else 1
        for step in range(PARITY_STEPS):
            feed = {name: values[step % length][None] for name, values in episode.items()}
            noise = draw_all(contract, seed=seed, call=step, episode=index)
            feed |= {name: value[None] for name, value in noise.items()}
            tensors = {name: torch.from_numpy(value.copy()) for name, value in feed.items()} | ours
            with torch.no_grad():
                outputs = flat(*(tensors[name] for name in flat.names))
            answers = graph.run(feed | theirs)
            difference = np.abs(outputs[0].numpy()[0] - answers[ACTION][0]) / span
            close = flat.tied(tensors)
            if close:
                tied += 1
            elif not (difference <= tolerance).all():
                raise ExportError(
                    f"parity: step {step} of sequence {index}: onnxruntime differs from torch by "
                    f"{float(difference.max()):.3g} of the action range, allowed {tolerance:.3g}"
                )
            else:
                worst = max(worst, float(difference.max()))
            theirs = {state.name_in: answers[state.name_out] for state in contract.states}
            ours = dict(zip(flat.state_names, outputs[1:], strict=True))
            if close:  # what is carried on may be of the other choice
                ours = {name: torch.from_numpy(value.copy()) for name, value in theirs.items()}
    if 2 * tied > len(episodes) * PARITY_STEPS:
        raise ExportError(
            f"parity: rounding decides what is answered in {tied} of "
            f"{len(episodes) * PARITY_STEPS} steps: the policy has learnt too little to be compared"
        )
    return worst


def _record(
    flat: _Flat, graph: PolicyGraph, contract: Contract, episodes: Sequence[Arrays]
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
                if flat.tied(
                    {n: torch.from_numpy(v.copy()) for n, v in {**feed, **states}.items()}
                ):
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
