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
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sim2arm.core.contract import Contract

from .bundle_writer import PARITY_STEPS, Origin, check_sequences, seal, write_bundle
from .bundle_writer import ExportError as ExportError
from .bundle_writer import ExportReport as ExportReport
from .graph import ACTION, Arrays

OPSET = 20
TIE = 1e-4
"""Alternatives whose values differ by less are equal to float32: which is chosen, rounding says."""


class _Flat(nn.Module):
    """The module with its tensors as positional arguments, as an ONNX graph has them."""

    def __init__(self, module: nn.Module, contract: Contract) -> None:
        super().__init__()
        self.module = module
        self.obs_names = [spec.name for spec in contract.observations]
        self.state_names = [state.name_in for state in contract.states]
        self.noise_names = [spec.name for spec in contract.noises]
        self.next_names = [state.name_out for state in contract.states]

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
    def answer(self, given: Arrays) -> Arrays:
        """Return action and next states, as `PolicyGraph.run` does."""
        outputs = self(*(torch.from_numpy(given[name].copy()) for name in self.names))
        names = [ACTION, *self.next_names]
        return {name: value.numpy() for name, value in zip(names, outputs, strict=True)}

    @torch.no_grad()
    def tied(self, given: Arrays) -> bool:
        """Return whether rounding decides what is answered."""
        gap = getattr(self.module, "gap", None)
        if gap is None:
            return False
        obs, state = (
            {name: torch.from_numpy(given[name].copy()) for name in part}
            for part in (self.obs_names, self.state_names)
        )
        return bool((gap(obs, state) < TIE).any())


def export_bundle(
    module: nn.Module,
    contract: Contract,
    sequences: Sequence[Mapping[str, NDArray[Any]]],
    path: str | Path,
    *,
    parity_tolerance: float = 1e-5,
    parity_steps: int = PARITY_STEPS,
    overwrite: bool = False,
) -> ExportReport:
    """Export a policy and prove that the bundle does what the module does.

    Args:
        module: `forward(obs, state, noise) -> (chunk, state)` on the CPU, float32.
        contract: what the policy expects and gives.
        sequences: recorded observations (L, *array_shape) by name, one mapping per episode, at
            least 2 steps each. Each is compared over `parity_steps` (a shorter one starts again
            from its first observation, without a reset).
        path: folder to write; it appears complete or not at all.
        parity_tolerance: largest difference, in units of the action range.
        parity_steps: steps of each sequence that are compared.
        overwrite: replace a bundle that is already there.

    Raises:
        ExportError: the module does not fit the contract, uses random operators or tensors of
            another file, or differs from its graph.
        FileExistsError: `path` exists and `overwrite` is not set.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: choose another folder or pass overwrite")
    episodes = check_sequences(contract, sequences)
    training = module.training
    module.eval()
    try:
        flat = _Flat(module, contract)
        _check_module(flat, contract)
        model = _to_onnx(flat, contract)
        origin = Origin(answer=flat.answer, tied=flat.tied, steps=parity_steps)
        return write_bundle(model, contract, origin, episodes, path, tolerance=parity_tolerance)
    finally:
        module.train(training)


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
    outputs = [ACTION, *flat.next_names]
    return seal(model_of(flat, _example(flat, contract), flat.names, outputs), contract)


def model_of(
    module: nn.Module, example: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]
) -> Any:
    """Return the ONNX model of a module of tensors (`onnx.ModelProto`).

    Args:
        module: in evaluation mode.
        example: one tensor per argument of `forward`; shapes are those of the graph.
        inputs: names of the arguments.
        outputs: names of what it returns.
    """
    with _quiet():
        program = torch.onnx.export(
            module, example, dynamo=True, opset_version=OPSET, input_names=list(inputs),
            output_names=list(outputs), external_data=False, verbose=False,
        )  # fmt: skip
    assert program is not None  # only of the older exporter
    return cast(Any, program.model_proto)


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
