"""Policies from one vector of observations to one of actions, as mjlab and Isaac Lab train them.

What surrounds the network there (differences from default positions, scales, the last action,
default positions plus scaled actions) becomes part of the graph here. It is written twice: as
operators (`flat_model`), and in numpy around the network as it came (`flat_answer`), which the
import compares.
"""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim2arm.core.contract import Contract, StateSpec
from sim2arm.policies.graph import ACTION, Arrays

from .files import ForeignError
from .onnx_model import OnnxSource
from .wiring import Tensor, Wiring

LAST, LAST_NEXT = "last_action", "last_action_next"
"""State: what the network answered at the tick before, 0 after a reset."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """Some elements of the vector of observations."""

    name: str
    """As the source calls it."""
    input: str | None
    """Input of the contract that it is made of; None: the last action."""
    size: int
    order: tuple[int, ...] = ()
    """Which element of the input is each of the term; empty: all, as they come."""
    offset: tuple[float, ...] = ()
    """What is taken away from them first, in the order of the term."""
    scale: float = 1.0
    """What they are then multiplied by."""


@dataclass(frozen=True, kw_only=True)
class FlatPolicy:
    """What surrounds the network."""

    terms: tuple[Term, ...]
    clip: float | None = None
    """Largest action by amount; others are cut off before they are used and seen again."""
    scale: tuple[float, ...] = ()
    """What actions are multiplied by, in the order of the source; empty: nothing."""
    offset: tuple[float, ...] = ()
    """What is then added."""
    order: tuple[int, ...] = ()
    """Which element of that is each of the contract; empty: all, as they come."""

    @property
    def remembers(self) -> bool:
        """Whether the last action is seen."""
        return any(term.input is None for term in self.terms)


def action_size(source: OnnxSource, terms: tuple[Term, ...]) -> int:
    """Return the number of actions of a network after comparing its size with the terms.

    Raises:
        ForeignError: it has not one vector of observations and one of actions, or another size.
    """
    ports = [*source.inputs.values(), *source.outputs.values()]
    vectors = [p for p in ports if len(p.shape) == 2 and p.shape[0] in (None, 1)]
    if (len(source.inputs), len(source.outputs)) != (1, 1) or len(vectors) != 2:
        raise ForeignError(
            f"{source.place}: expected one input (1, observations) and one output (1, actions), "
            f"got {_shapes(source.inputs)} and {_shapes(source.outputs)}"
        )
    if any(port.dtype != "float32" for port in ports):
        raise ForeignError(f"{source.place}: expected float32, got {[p.dtype for p in ports]}")
    width, count = ports[0].shape[1], ports[1].shape[1]
    if count is None:
        raise ForeignError(f"{source.place}: the number of actions is free; export it fixed")
    given = sum(term.size for term in terms)
    if width is not None and width != given:
        told = ", ".join(f"{term.name} {term.size}" for term in terms)
        raise ForeignError(
            f"{source.place}: the network takes {width} numbers, its observations are {given} "
            f"({told}): give them with --observations, in their order"
        )
    return count


def _shapes(ports: dict[str, Any]) -> str:
    return ", ".join(f"{name} {port.shape}" for name, port in ports.items()) or "none"


def flat_states(policy: FlatPolicy, count: int) -> tuple[StateSpec, ...]:
    """Return the states of a policy with so many actions."""
    if not policy.remembers:
        return ()
    return (StateSpec(name_in=LAST, name_out=LAST_NEXT, shape=(count,)),)


def flat_model(source: OnnxSource, policy: FlatPolicy, contract: Contract) -> Any:
    """Return the graph of the contract (`onnx.ModelProto`)."""
    wiring = Wiring(source.opset)

    def row(numbers: tuple[float, ...]) -> str:
        return wiring.constant(np.asarray(numbers, dtype=np.float32)[None])

    parts = [_wire_term(wiring, term) for term in policy.terms]
    (given,), (answered,) = source.inputs, source.outputs
    action = wiring.part(source, "net_", {given: wiring.node("Concat", *parts, axis=-1)})[answered]
    if policy.clip is not None:
        action = wiring.node("Min", action, row((policy.clip,)))
        action = wiring.node("Max", action, row((-policy.clip,)))
    target = action
    if policy.scale:
        target = wiring.node("Mul", target, row(policy.scale))
    if policy.offset:
        target = wiring.node("Add", target, row(policy.offset))
    if policy.order:
        target = wiring.chosen(target, policy.order)
    shape = (1, contract.action.horizon, contract.action.dim)
    tensor = wiring.reshaped(target, shape)
    outputs: list[tuple[str, Tensor]] = [(tensor, (ACTION, shape, "float32"))]
    inputs = [(spec.name, (1, *spec.array_shape), spec.dtype) for spec in contract.inputs]
    for state in contract.states:
        inputs.append((state.name_in, (1, *state.shape), state.dtype))
        outputs.append((action, (state.name_out, (1, *state.shape), state.dtype)))
    return wiring.close(inputs, outputs)


def _wire_term(wiring: Wiring, term: Term) -> str:
    """Return the tensor (1, size) of a term."""
    value = wiring.reshaped(term.input or LAST, (1, -1))
    if term.order:
        value = wiring.chosen(value, term.order)
    if term.offset:
        offset = np.asarray(term.offset, dtype=np.float32)[None]
        value = wiring.node("Sub", value, wiring.constant(offset))
    if term.scale != 1.0:
        scale = np.array([[term.scale]], dtype=np.float32)
        value = wiring.node("Mul", value, wiring.constant(scale))
    return value


def flat_answer(
    source: OnnxSource, policy: FlatPolicy, contract: Contract
) -> Callable[[Arrays], Arrays]:
    """Return what answers as the network did in its own surroundings, `bundle_writer.Origin`."""

    def answer(given: Arrays) -> Arrays:
        parts: list[Any] = []
        for term in policy.terms:
            value = given[term.input or LAST].reshape(-1).astype(np.float64)
            value = value[list(term.order)] if term.order else value
            value = value - np.array(term.offset) if term.offset else value
            parts.append(term.scale * value)
        seen = np.concatenate(parts)[None].astype(np.float32)
        (name,), (answered,) = source.inputs, source.outputs
        action = source.run({name: seen})[answered]
        if policy.clip is not None:
            action = action.clip(-policy.clip, policy.clip)
        target = action[0].astype(np.float64)
        target = target * np.array(policy.scale) if policy.scale else target
        target = target + np.array(policy.offset) if policy.offset else target
        target = target[list(policy.order)] if policy.order else target
        shape = (1, contract.action.horizon, contract.action.dim)
        answers: Arrays = {ACTION: target.reshape(shape).astype(np.float32)}
        return answers | {state.name_out: action for state in contract.states}

    return answer
