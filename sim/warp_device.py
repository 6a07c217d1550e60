"""Warp, started without its banner, and its devices by torch's names."""

# Warp's types are incomplete.
# pyright: standard, reportArgumentType=false

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import warp as wp

_NO_DRIVER = "Could not find or load the NVIDIA CUDA driver"


def warp_device(device: torch.device) -> Any:
    """Return Warp's device of a device of torch, `cpu` or `cuda:0`; starts Warp.

    Raises:
        RuntimeError: Warp has no such device.
    """
    if wp.config.log_level < wp.LOG_WARNING:  # a banner, and a line for each kernel that is loaded
        wp.config.log_level = wp.LOG_WARNING
        with _without_line(_NO_DRIVER):
            wp.init()
    return wp.device_from_torch(device)


def torch_stream(device: torch.device) -> Any:
    """Return the stream on which torch works on a GPU as Warp's; None on the CPU."""
    if device.type != "cuda":
        return None
    return wp.stream_from_torch(torch.cuda.current_stream(device))


def recorded(
    kernel: Any,
    dim: int | tuple[int, ...],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    device: torch.device,
) -> Callable[[], None]:
    """Return what launches a kernel on tensors and arrays that stay where they are; it keeps them.

    What is not a tensor is passed on as it is.
    """
    place = warp_device(device)
    inside, outside = (
        [wp.from_torch(v) if isinstance(v, torch.Tensor) else v for v in values]
        for values in (inputs, outputs)
    )
    command: Any = wp.launch(
        kernel, dim=dim, inputs=inside, outputs=outside, device=place, record_cmd=True
    )
    return _Recorded(command, (inside, outside), device)


class _Recorded:
    """A recorded launch; the command holds addresses only, so this keeps what lies there."""

    def __init__(self, command: Any, arrays: Any, device: torch.device) -> None:
        self._command, self._arrays, self._device = command, arrays, device

    def __call__(self) -> None:
        self._command.launch(torch_stream(self._device))


@contextmanager
def _without_line(text: str) -> Generator[None, None, None]:
    """Drop a line that native code writes to stderr: a machine without a GPU is no fault."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            said = file.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.write("".join(line for line in said if text not in line))
