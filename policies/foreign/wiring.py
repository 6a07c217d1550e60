"""An ONNX graph that is put together from the graphs of others and a few operators of ours."""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import compose, helper, numpy_helper

from .files import ForeignError
from .onnx_model import NEWEST_IR, OnnxSource

Tensor = tuple[str, tuple[int, ...], str]
"""Name, shape and type of an input or output."""


class Wiring:
    """Nodes and constants in the making; tensors are told by their names.

    Operators of ours are those whose form is the same in all versions that are read.
    """

    def __init__(self, opset: int) -> None:
        """Begin with nothing, for operators of this version."""
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._functions: list[Any] = []
        self._opsets = {"": opset}

    def constant(self, values: NDArray[Any]) -> str:
        """Return the tensor of a constant."""
        name = f"constant_{len(self._initializers)}"
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Return the tensor that an operator makes of others."""
        name = f"wire_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def reshaped(self, tensor: str, shape: Sequence[int]) -> str:
        """Return a tensor in another shape."""
        return self.node("Reshape", tensor, self.constant(np.array(shape, dtype=np.int64)))

    def chosen(self, tensor: str, order: Sequence[int]) -> str:
        """Return elements of a tensor along its last axis, in an order."""
        return self.node("Gather", tensor, self.constant(np.array(order, dtype=np.int64)), axis=-1)

    def part(self, source: OnnxSource, prefix: str, feeds: Mapping[str, str]) -> dict[str, str]:
        """Put a graph of others in; return the tensors of its outputs by their names.

        Args:
            source: the graph.
            prefix: of its own, for the names inside.
            feeds: tensor of each of its inputs.

        Raises:
            ForeignError: its operators are of another version than those of the other parts.
        """
        proto = compose.add_prefix(source.proto, prefix)
        for entry in proto.opset_import:
            domain = "" if entry.domain == "ai.onnx" else entry.domain
            if self._opsets.setdefault(domain, entry.version) != entry.version:
                raise ForeignError(
                    f"{source.place}: opset {entry.version} of {domain or 'ONNX'!r}, another part "
                    f"has {self._opsets[domain]}: export all parts with the same opset_version"
                )
        for name in source.inputs:
            self._nodes.append(helper.make_node("Identity", [feeds[name]], [prefix + name]))
        self._nodes += proto.graph.node
        self._initializers += proto.graph.initializer
        if proto.graph.sparse_initializer:
            raise ForeignError(f"{source.place}: sparse tensors are not read")
        self._functions += proto.functions
        return {name: prefix + name for name in source.outputs}

    def close(self, inputs: Sequence[Tensor], outputs: Sequence[tuple[str, Tensor]]) -> Any:
        """Return the model (`onnx.ModelProto`).

        Args:
            inputs: of the graph.
            outputs: of the graph, each with the tensor that it is.
        """
        nodes = [*self._nodes]
        for tensor, (name, _, _) in outputs:
            nodes.append(helper.make_node("Identity", [tensor], [name]))
        graph = helper.make_graph(
            nodes, "policy", [_info(*each) for each in inputs],
            [_info(*each) for _, each in outputs], self._initializers,
        )  # fmt: skip
        opsets = [helper.make_opsetid(*entry) for entry in self._opsets.items()]
        return helper.make_model(
            graph, opset_imports=opsets, functions=self._functions, ir_version=NEWEST_IR,
            producer_name="sim2arm",
        )  # fmt: skip


def _info(name: str, shape: Sequence[int], dtype: str) -> Any:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, list(shape))
