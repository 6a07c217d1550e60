"""One policy graph in onnxruntime: loaded from bytes, compared with the contract, run by rows."""
# pyright: standard

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sim2arm.core.contract import Contract

from .bundle import BundleError, one_line

Arrays = dict[str, NDArray[Any]]

ACTION = "action"
"""Name of the graph output that holds the chunk (B, T, A)."""
_ORT_TYPES = {
    "float32": "tensor(float)",
    "float64": "tensor(double)",
    "uint8": "tensor(uint8)",
    "int32": "tensor(int32)",
    "int64": "tensor(int64)",
    "bool": "tensor(bool)",
}


def session_of(model: bytes, source: str, threads: int = 1) -> ort.InferenceSession:
    """Return a session of an ONNX model on the CPU, whose answers can be repeated.

    Args:
        model: the bytes of the file.
        source: its name, for messages.
        threads: of one call.

    Raises:
        BundleError: onnxruntime refuses the file.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the exceptions of onnxruntime share no other base class
        raise BundleError(f"{source}: onnxruntime refuses it: {one_line(error)}") from error


class PolicyGraph:
    """The ONNX graph of one contract, one row at a time."""

    def __init__(self, model: bytes, contract: Contract, source: str, threads: int = 1) -> None:
        """Load the graph and compare its tensors with the contract.

        Raises:
            BundleError: onnxruntime refuses the file, or its tensors are not the contract's.
        """
        self._session = session_of(model, source, threads)
        self._contract = contract
        self._outputs = [ACTION, *(state.name_out for state in contract.states)]
        self._compare(source)

    def _compare(self, source: str) -> None:
        contract = self._contract
        inputs = {spec.name: (spec.array_shape, spec.dtype) for spec in contract.inputs}
        inputs |= {state.name_in: (state.shape, state.dtype) for state in contract.states}
        chunk = (contract.action.horizon, contract.action.dim)
        outputs: dict[str, tuple[tuple[int, ...], str]] = {ACTION: (chunk, "float32")}
        outputs |= {state.name_out: (state.shape, state.dtype) for state in contract.states}
        for side, expected, nodes in (
            ("input", inputs, self._session.get_inputs()),
            ("output", outputs, self._session.get_outputs()),
        ):
            got = {str(node.name): node for node in nodes}
            if set(got) != set(expected):
                raise BundleError(
                    f"{source}: graph {side}s: the contract has {sorted(expected)}, "
                    f"the graph {sorted(got)}"
                )
            for name, (shape, dtype) in expected.items():
                wanted, found = [1, *shape], list(got[name].shape)
                if found != wanted:
                    raise BundleError(
                        f"{source}: graph {side} {name!r}: expected shape {wanted}, got {found}"
                    )
                if got[name].type != _ORT_TYPES[dtype]:
                    raise BundleError(
                        f"{source}: graph {side} {name!r}: expected {_ORT_TYPES[dtype]}, "
                        f"got {got[name].type}"
                    )

    def run(self, feed: Arrays) -> Arrays:
        """Return the outputs (1, ...) by name for inputs, states and noise (1, ...) by name."""
        values = self._session.run(self._outputs, feed)
        return {n: np.asarray(v) for n, v in zip(self._outputs, values, strict=True)}
