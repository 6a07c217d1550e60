"""Bundles of LEAPP, as NVIDIA Isaac Lab exports them: a YAML file, ONNX files, initial states.

Format: LEAPP 0.7 (Apache-2.0), config version 1.3: `models` with ports in the order of their
graphs, `pipeline` with the flow of data within a tick and to the next. What is written of it is
read; artifacts that are programs (TorchScript, torch.export) are refused.
"""

# pyright: standard

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .files import ForeignError, beside, mapping, read_file, read_tensors, read_yaml
from .onnx_model import OnnxSource, onnx_source

TEMPORAL = "__temporal_axis__"
"""Stands among the names of elements where an axis is time."""
Key = tuple[str, str]
"""Model and port."""


@dataclass(frozen=True, kw_only=True)
class LeappPort:
    """An input or output of a model."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: str = ""
    """What it is physically, as `state/joint/position`; nothing where it is internal."""
    elements: tuple[str, ...] = ()
    """Names along the last axis."""
    period_ms: float | None = None
    """Time between samples where an axis is time."""
    temporal: bool = False
    """Whether an axis is time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LeappModel:
    """One graph of a pipeline."""

    source: OnnxSource
    inputs: tuple[LeappPort, ...]
    outputs: tuple[LeappPort, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Leapp:
    """A pipeline: models in the order in which they run."""

    place: str
    models: dict[str, LeappModel]
    flow: dict[Key, Key]
    """Within a tick: input -> output that it comes from."""
    feedback: dict[Key, Key]
    """To the next tick: input -> output that it comes from."""
    initial: dict[Key, NDArray[Any]]
    """First values of the inputs that are fed back."""
    inputs: dict[Key, LeappPort]
    """What comes from outside."""
    outputs: dict[Key, LeappPort]
    """What goes out."""
    frequency: float | None
    """Ticks per second, if it is said [Hz]."""

    def run(self, given: dict[Key, NDArray[Any]]) -> dict[Key, NDArray[Any]]:
        """Return all outputs of all models for inputs from outside and fed back."""
        values: dict[Key, NDArray[Any]] = {}
        for name, model in self.models.items():
            feed: dict[str, NDArray[Any]] = {}
            for port in model.inputs:
                key = (name, port.name)
                value = values[self.flow[key]] if key in self.flow else given[key]
                feed[port.name] = value.reshape(port.shape)
            answers = model.source.run(feed)
            values |= {(name, port.name): answers[port.name] for port in model.outputs}
        return values


def read_leapp(path: Path) -> Leapp:
    """Return the pipeline of a YAML file, or of the only one in a folder.

    Raises:
        ForeignError: a file is missing, was changed, or says what cannot be read here.
    """
    if path.is_dir():
        found = sorted((*path.glob("*.yaml"), *path.glob("*.yml")))
        if len(found) != 1:
            raise ForeignError(f"{path}: expected one YAML file, found {len(found)}; name it")
        path = found[0]
    data, place = read_yaml(path), str(path)
    described = mapping(data.get("models"), f"{place}: models")
    models = {name: _model(path, name, entry) for name, entry in described.items()}
    if not models:
        raise ForeignError(f"{place}: models: there is none")
    pipeline = mapping(data.get("pipeline"), f"{place}: pipeline")
    flow, feedback = (
        _edges(pipeline.get(name) or {}, models, f"{place}: pipeline.{name}")
        for name in ("data_flow", "feedback_flow")
    )
    ports = {(name, p.name): p for name, model in models.items() for p in model.inputs}
    free = {key: port for key, port in ports.items() if key not in flow and key not in feedback}
    _check_order(models, flow, place)
    configs = pipeline.get("configs") or {}
    return Leapp(
        place=place, models=models, flow=flow, feedback=feedback,
        initial=_initial(path, pipeline.get("initial_values"), feedback, ports),
        inputs=free, outputs=_outputs(pipeline.get("outputs"), models, place),
        frequency=_frequency(mapping(configs, f"{place}: pipeline.configs"), place),
    )  # fmt: skip


def _model(path: Path, name: str, entry: Any) -> LeappModel:
    place = f"{path}: models.{name}"
    data = mapping(entry, place)
    parameters = mapping(data.get("parameters"), f"{place}.parameters")
    backend = parameters.get("backend")
    if backend != "onnx":
        raise ForeignError(
            f"{place}: backend {backend!r}, expected 'onnx': such a file is a program; export it "
            "with export_with='onnx-dynamo'"
        )
    artifact = beside(path, parameters.get("model_path"))
    content = read_file(artifact)
    digest = parameters.get("sha256sum")
    if digest is not None and digest != hashlib.sha256(content).hexdigest():
        raise ForeignError(f"{artifact}: its SHA-256 is not the one that {path.name} says")
    inputs, outputs = (_ports(data.get(side), f"{place}.{side}") for side in ("inputs", "outputs"))
    source = onnx_source(content, str(artifact))
    for side, ports, graph in (("inputs", inputs, source.inputs),
                               ("outputs", outputs, source.outputs)):  # fmt: skip
        if {port.name for port in ports} != set(graph):
            raise ForeignError(
                f"{place}.{side}: expected those of the graph, {sorted(graph)}, got "
                f"{sorted(port.name for port in ports)}"
            )
    return LeappModel(source=source, inputs=inputs, outputs=outputs)


def _ports(data: Any, place: str) -> tuple[LeappPort, ...]:
    if not isinstance(data, list):
        raise ForeignError(f"{place}: expected a list of ports")
    return tuple(_port(entry, f"{place}[{i}]") for i, entry in enumerate(cast(list[Any], data)))


def _port(entry: Any, place: str) -> LeappPort:
    data = mapping(entry, place)
    name, shape, period = data.get("name"), data.get("shape"), data.get("temporal_period_ms")
    if not isinstance(name, str) or not name:
        raise ForeignError(f"{place}: name: expected a word, got {name!r}")
    if not isinstance(shape, list) or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ForeignError(f"{place}: shape: expected a list of sizes, got {shape!r}")
    names = data.get("element_names") or []
    axes = cast(list[Any], names) if isinstance(names, list) else []
    if axes and all(isinstance(each, str) for each in axes) and TEMPORAL not in axes:
        axes = [axes]  # of the only axis
    last = axes[-1] if axes and isinstance(axes[-1], list) else []
    return LeappPort(
        name=name, shape=tuple(shape), dtype=str(data.get("dtype")),
        kind=str(data.get("kind") or ""), elements=tuple(map(str, cast(list[Any], last))),
        period_ms=float(period) if isinstance(period, int | float) else None,
        temporal=TEMPORAL in axes,
    )  # fmt: skip


def _edges(data: Any, models: dict[str, LeappModel], place: str) -> dict[Key, Key]:
    """Return input -> output of edges that are told the other way round."""
    found: dict[Key, Key] = {}
    for start, ends in mapping(data, place).items():
        for end in ends if isinstance(ends, list) else [ends]:
            source, target = _key(start, place), _key(end, place)
            outputs = models[source[0]].outputs if source[0] in models else ()
            inputs = models[target[0]].inputs if target[0] in models else ()
            if source[1] not in {p.name for p in outputs} or target[1] not in {
                p.name for p in inputs
            }:
                raise ForeignError(f"{place}: {start} to {end}: there are no such ports")
            found[target] = source
    return found


def _key(text: object, place: str) -> Key:
    parts = str(text).split("/")
    if len(parts) != 2:
        raise ForeignError(f"{place}: expected model/port, got {text!r}")
    return parts[0], parts[1]


def _check_order(models: dict[str, LeappModel], flow: dict[Key, Key], place: str) -> None:
    order = list(models)
    for (target, port), (source, _) in flow.items():
        if order.index(source) >= order.index(target):
            raise ForeignError(
                f"{place}: pipeline.data_flow: {target}/{port} comes from {source}, which runs "
                "later: expected models in the order in which they run"
            )


def _outputs(data: Any, models: dict[str, LeappModel], place: str) -> dict[Key, LeappPort]:
    found: dict[Key, LeappPort] = {}
    for name, ports in mapping(data, f"{place}: pipeline.outputs").items():
        known = {port.name: port for port in models[name].outputs} if name in models else {}
        for port in ports if isinstance(ports, list) else [ports]:
            if port not in known:
                raise ForeignError(f"{place}: pipeline.outputs: there is no {name}/{port}")
            found[name, port] = known[port]
    return found


def _initial(
    path: Path, name: Any, feedback: dict[Key, Key], ports: dict[Key, LeappPort]
) -> dict[Key, NDArray[Any]]:
    """Return the first values of inputs that are fed back."""
    if not feedback:
        return {}
    if name is None:
        raise ForeignError(
            f"{path}: pipeline.initial_values: expected the file with the first values of "
            f"{', '.join('/'.join(key) for key in feedback)}"
        )
    source = beside(path, name)
    tensors = {_key(key, str(source)): value for key, value in read_tensors(source).items()}
    for key in feedback:
        if key not in tensors:
            raise ForeignError(f"{source}: has no first value of {'/'.join(key)}")
        if tensors[key].size != np.prod(ports[key].shape):
            raise ForeignError(
                f"{source}: {'/'.join(key)}: expected shape {ports[key].shape}, got "
                f"{tensors[key].shape}"
            )
    return {key: tensors[key] for key in feedback}


def _frequency(configs: dict[str, Any], place: str) -> float | None:
    frequency = configs.get("frequency")
    if frequency is None:
        return None
    if not isinstance(frequency, int | float) or not 0.0 < frequency < 1e6:
        raise ForeignError(f"{place}: pipeline.configs.frequency: expected Hz, got {frequency!r}")
    return float(frequency)
