"""Checkpoints: tensors as safetensors, everything else as YAML; written whole or not at all."""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from sim2arm.core.durable import write_durably


def save_checkpoint(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state dictionary; a crash leaves the old file or the new one, never half of it."""
    data = save({name: value.detach().contiguous().clone() for name, value in state.items()})
    write_durably(path, data)


def load_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a safetensors file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: train first")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
