"""A pipeline of LEAPP as one graph of a contract, and as what it is compared with."""

# pyright: standard

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2arm.core.contract import Contract, StateSpec
from sim2arm.policies.graph import ACTION, Arrays

from .files import ForeignError
from .leapp import Key, Leapp, LeappPort
from .wiring import Tensor, Wiring

TARGET, KP, KD = "target/joint/position", "kp", "kd"
"""Kinds of outputs that have a meaning here."""
_PROBES = 4
"""Random inputs at which gains must be the same."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Where an input of a pipeline comes from."""

    input: str
    """Input of the contract."""
    order: tuple[int, ...] = ()
    """Which element of it is each of the pipeline's; empty: all, as they come."""


@dataclass(frozen=True, kw_only=True)
class LeappPolicy:
    """How a pipeline meets a contract."""

    feeds: dict[Key, Feed]
    target: Key
    """Output with the positions of joints."""
    order: tuple[int, ...]
    """Which of its elements is each joint of the robot."""


def find_output(leapp: Leapp, kind: str) -> Key | None:
    """Return the output of a kind, none if there is none.

    Raises:
        ForeignError: there are several.
    """
    found = [key for key, port in leapp.outputs.items() if port.kind == kind]
    if len(found) > 1:
        names = ", ".join("/".join(key) for key in found)
        raise ForeignError(f"{leapp.place}: expected one output of kind {kind!r}, got {names}")
    return found[0] if found else None


def gains(leapp: Leapp, key: Key) -> NDArray[np.float64]:
    """Return gains that a pipeline answers with, (n,), in the order of its joints.

    Raises:
        ForeignError: they depend on what is seen.
    """
    random = np.random.default_rng(0)
    seen: list[NDArray[Any]] = []
    for _ in range(_PROBES):
        given = {
            name: (port_value(port, random.uniform(-1.0, 1.0, port.shape)))
            for name, port in leapp.inputs.items()
        }
        given |= leapp.initial
        seen.append(leapp.run(given)[key].reshape(-1).astype(np.float64))
    if any(not np.array_equal(values, seen[0]) for values in seen):
        raise ForeignError(
            f"{leapp.place}: output {'/'.join(key)}: gains that depend on what is seen; the "
            "controller of the arm keeps its gains"
        )
    return seen[0]


def port_value(port: LeappPort, values: NDArray[Any]) -> NDArray[Any]:
    """Return values in the type of a port."""
    if port.dtype == "bool":
        return values > 0.0
    return (255.0 * np.abs(values) if port.dtype == "uint8" else values).astype(port.dtype)


def leapp_states(leapp: Leapp) -> tuple[StateSpec, ...]:
    """Return what is carried from tick to tick, with its first values."""
    ports = {(n, p.name): p for n, model in leapp.models.items() for p in model.inputs}
    states: list[StateSpec] = []
    for index, key in enumerate(leapp.feedback):
        port, first = ports[key], leapp.initial[key].reshape(-1)
        shape = port.shape[1:] if len(port.shape) > 1 and port.shape[0] == 1 else port.shape
        states.append(
            StateSpec(
                name_in=f"state_{index}_{_plain(port.name)}",
                name_out=f"state_{index}_{_plain(port.name)}_next",
                shape=shape,
                dtype=port.dtype,  # pyright: ignore[reportArgumentType] # the contract checks it
                initial=tuple(float(v) for v in first),
            )
        )
    return tuple(states)


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def leapp_model(leapp: Leapp, policy: LeappPolicy, contract: Contract) -> Any:
    """Return the graph of the contract (`onnx.ModelProto`)."""
    wiring = Wiring(max(model.source.opset for model in leapp.models.values()))
    states = dict(zip(leapp.feedback, contract.states, strict=True))
    made: dict[Key, str] = {}
    for name, model in leapp.models.items():
        feeds: dict[str, str] = {}
        for port in model.inputs:
            key = (name, port.name)
            if key in leapp.flow:
                tensor = made[leapp.flow[key]]
            elif key in states:
                tensor = states[key].name_in
            else:
                feed = policy.feeds[key]
                tensor = wiring.chosen(feed.input, feed.order) if feed.order else feed.input
            feeds[port.name] = wiring.reshaped(tensor, port.shape)
        answers = wiring.part(model.source, f"{_plain(name)}_{len(made)}_", feeds)
        made |= {(name, port): tensor for port, tensor in answers.items()}
    shape = (1, contract.action.horizon, contract.action.dim)
    joints = wiring.chosen(made[policy.target], policy.order)
    tensor = wiring.reshaped(joints, shape)
    outputs: list[tuple[str, Tensor]] = [(tensor, (ACTION, shape, "float32"))]
    inputs = [(spec.name, (1, *spec.array_shape), spec.dtype) for spec in contract.inputs]
    for key, state in states.items():
        inputs.append((state.name_in, (1, *state.shape), state.dtype))
        tensor = wiring.reshaped(made[leapp.feedback[key]], (1, *state.shape))
        outputs.append((tensor, (state.name_out, (1, *state.shape), state.dtype)))
    return wiring.close(inputs, outputs)


def leapp_answer(
    leapp: Leapp, policy: LeappPolicy, contract: Contract
) -> Callable[[Arrays], Arrays]:
    """Return what answers as the pipeline does by itself, `bundle_writer.Origin`."""
    states = dict(zip(leapp.feedback, contract.states, strict=True))

    def answer(given: Arrays) -> Arrays:
        fed = {key: given[state.name_in] for key, state in states.items()}
        for key, feed in policy.feeds.items():
            value = given[feed.input]
            fed[key] = value[..., list(feed.order)] if feed.order else value
        made = leapp.run(fed)
        shape = (1, contract.action.horizon, contract.action.dim)
        answers: Arrays = {ACTION: made[policy.target][..., list(policy.order)].reshape(shape)}
        for key, state in states.items():
            answers[state.name_out] = made[leapp.feedback[key]].reshape(1, *state.shape)
        return answers

    return answer
