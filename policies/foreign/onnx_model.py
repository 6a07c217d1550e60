"""An ONNX file of others: looked over before it runs, then run as it is."""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from sim2arm.policies.bundle import (
    LARGEST_MODEL,
    RANDOM_OPERATORS,
    BundleError,
    OnnxFacts,
    one_line,
    onnx_facts,
)
from sim2arm.policies.graph import session_of

from .files import ForeignError, read_file

OLDEST_OPSET, NEWEST_OPSET = 11, 21
"""Of the operators; 21 is what the oldest onnxruntime that a robot may have loads, 1.20."""
NEWEST_IR = 10
"""Of the file format, for the same reason."""
_OWN = ("", "ai.onnx")
"""Domain of the operators of ONNX, by both its names."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output of a graph."""

    shape: tuple[int | None, ...]
    """None where the size is free."""
    dtype: str
    """As numpy names it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxSource:
    """A model that loads."""

    proto: Any
    """`onnx.ModelProto`"""
    place: str
    """The file, for messages."""
    opset: int
    metadata: Mapping[str, str]
    inputs: dict[str, Port]
    outputs: dict[str, Port]
    session: ort.InferenceSession

    def run(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs by name for inputs by name.

        Raises:
            ForeignError: the graph cannot be run.
        """
        names = list(self.outputs)
        try:
            values = self.session.run(names, dict(feed))
        except Exception as error:  # the exceptions of onnxruntime share no other base class
            raise ForeignError(f"{self.place}: cannot be run: {one_line(error)}") from error
        return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}


def read_onnx(path: Path, limit: int = LARGEST_MODEL) -> OnnxSource:
    """Return the model of a file.

    Raises:
        ForeignError: it cannot be read, or is not one that a robot would run.
    """
    return onnx_source(read_file(path, limit), str(path))


def onnx_source(data: bytes, place: str) -> OnnxSource:
    """Return the model of the bytes of a file.

    Args:
        data: the bytes.
        place: name of the file, for messages.

    Raises:
        ForeignError: it is not one that a robot would run; nothing of it ran.
    """
    try:
        facts = onnx_facts(data)
        _check_facts(facts, place)
        proto = onnx.load_model_from_string(data)
        opset = _check_opset(proto, place)
        _check_numbers(proto.graph, place)
        for function in proto.functions:
            _check_nodes(function.node, place)
        onnx.checker.check_model(proto)
        session = session_of(data, place)
    except (DecodeError, onnx.checker.ValidationError, BundleError) as error:
        raise ForeignError(_said(place, error)) from error
    except ValueError as error:
        if isinstance(error, ForeignError):
            raise
        raise ForeignError(f"{place}: not a well-formed ONNX file: {one_line(error)}") from error
    return OnnxSource(
        proto=proto,
        place=place,
        opset=opset,
        metadata=facts.metadata,
        inputs={node.name: _port(node, place) for node in session.get_inputs()},
        outputs={node.name: _port(node, place) for node in session.get_outputs()},
        session=session,
    )


def _said(place: str, error: Exception) -> str:
    text = one_line(error)
    return text if text.startswith(place) else f"{place}: not a valid ONNX file: {text}"


def _check_facts(facts: OnnxFacts, place: str) -> None:
    if facts.external_tensors:
        raise ForeignError(
            f"{place}: tensor {facts.external_tensors[0]!r} keeps its data in another file; "
            "export a single file without external data"
        )
    random = sorted(RANDOM_OPERATORS & facts.operators)
    if random:
        raise ForeignError(
            f"{place}: draws random numbers ({', '.join(random)}); export the mean of the actions"
        )


def _check_opset(proto: Any, place: str) -> int:
    """Return the version of the operators; see that a robot has them."""
    opset = max((e.version for e in proto.opset_import if e.domain in _OWN), default=0)
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ForeignError(
            f"{place}: opset {opset}, expected {OLDEST_OPSET} to {NEWEST_OPSET}; export it again "
            f"with opset_version={NEWEST_OPSET} or less"
        )
    known = {*_OWN, *(function.domain for function in proto.functions)}
    nodes = [*proto.graph.node, *(node for each in proto.functions for node in each.node)]
    for node in nodes:
        if node.domain not in known:
            raise ForeignError(
                f"{place}: operator {node.op_type!r} is of {node.domain!r}, which a robot does not "
                "have; export with the operators of ONNX alone"
            )
    return opset


def _check_numbers(graph: Any, place: str) -> None:
    for tensor in graph.initializer:
        _check_tensor(tensor, tensor.name, place)
    _check_nodes(graph.node, place)


def _check_nodes(nodes: Any, place: str) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _check_tensor(attribute.t, node.name or node.op_type, place)
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _check_numbers(graph, place)


def _check_tensor(tensor: Any, name: str, place: str) -> None:
    """Refuse weights that are no numbers; infinity is a mask of some networks."""
    values = numpy_helper.to_array(tensor)
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ForeignError(f"{place}: {name!r} holds numbers that are not a number (NaN)")


_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def _port(node: Any, place: str) -> Port:
    if node.type not in _DTYPES:
        raise ForeignError(f"{place}: {node.name!r} is {node.type}, expected {sorted(_DTYPES)}")
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return Port(shape=shape, dtype=_DTYPES[node.type])
