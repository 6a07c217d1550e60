"""How LeRobot normalises: statistics as what is taken away and what is divided by.

Newer policies have `policy_preprocessor.json` and `policy_postprocessor.json` with a file of
statistics each; in older ones they are parameters, `normalize_inputs.buffer_observation_state.mean`
and so on. Formulas as in LeRobot (Apache-2.0), `processor/normalize_processor.py`, and before
version 0.4 `policies/normalize.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .files import ForeignError, Tensors, beside, mapping, read_json, read_tensors
from .lerobot_act import ACTION, ENVIRONMENT, STATE, LerobotActCfg

PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
EPS = 1e-8
"""Added to what is divided by, where a file does not say."""
_WITHOUT_EFFECT = ("to_batch_processor", "device_processor")
_BOUNDS = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
_OLD = ("normalize_inputs.", "normalize_targets.", "unnormalize_outputs.")
Affine = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Center and spread: normalised is (x - center) / spread."""


def read_statistics(folder: Path, cfg: LerobotActCfg, weights: Tensors) -> dict[str, Affine]:
    """Return how each feature is normalised, and the action back.

    Args:
        folder: of the policy.
        cfg: of the network.
        weights: of `model.safetensors`; those that normalise are taken out.

    Raises:
        ForeignError: they are not there, or what is done to features is not known here.
    """
    kinds = _kinds(cfg)
    old = {name: weights.pop(name) for name in list(weights) if name.startswith(_OLD)}
    if (folder / PRE).exists():
        seen, eps = _step(folder / PRE, "normalizer_processor")
        acted, _ = _step(folder / POST, "unnormalizer_processor")
        place = str(folder / PRE)
    elif old:
        seen, acted = (_buffers(old, start, kinds) for start in (_OLD[0], _OLD[2]))
        eps = EPS
        place = str(folder / "model.safetensors")
    else:
        raise ForeignError(f"{folder}: expected {PRE}, or statistics among the parameters")
    found: dict[str, Affine] = {}
    for name, kind in kinds.items():
        mode = cfg.normalization.get(kind, "IDENTITY")
        statistics = acted if name == ACTION else seen
        found[name] = _affine(name, mode, statistics, eps, f"{place}: {name}")
    return found


def _kinds(cfg: LerobotActCfg) -> dict[str, str]:
    kinds = {STATE: "STATE", ACTION: "ACTION"} | {name: "VISUAL" for name in cfg.pictures}
    return kinds | ({ENVIRONMENT: "ENV"} if cfg.environment else {})


def _affine(name: str, mode: str, statistics: Mapping[str, Any], eps: float, place: str) -> Affine:
    if mode == "IDENTITY":
        return np.zeros(1, np.float32), np.ones(1, np.float32)
    if mode not in _BOUNDS:
        raise ForeignError(f"{place}: normalisation {mode!r} is not known: {sorted(_BOUNDS)}")
    try:
        first, second = (
            np.asarray(statistics[f"{name}.{part}"], np.float64).reshape(-1)
            for part in _BOUNDS[mode]
        )
    except KeyError as error:
        raise ForeignError(f"{place}: {mode} needs the statistic {error}") from error
    if mode == "MEAN_STD":
        spread = second if name == ACTION else second + eps
        return first.astype(np.float32), spread.astype(np.float32)
    width = np.where(second == first, eps, second - first)
    return (first + 0.5 * width).astype(np.float32), (0.5 * width).astype(np.float32)


def _buffers(old: Tensors, start: str, names: Iterable[str]) -> dict[str, Any]:
    """Return the statistics of older files by the names of newer ones."""
    parts = {part for bounds in _BOUNDS.values() for part in bounds}
    buffers = {name: f"{start}buffer_{name.replace('.', '_')}" for name in names}
    return {
        f"{name}.{part}": old[f"{buffer}.{part}"]
        for name, buffer in buffers.items()
        for part in parts
        if f"{buffer}.{part}" in old
    }


def _step(path: Path, wanted: str) -> tuple[dict[str, Any], float]:
    """Return the statistics of one step, and what is added; see that the others change nothing."""
    steps = read_json(path).get("steps")
    found: tuple[dict[str, Any], float] | None = None
    for entry in cast(list[Any], steps) if isinstance(steps, list) else []:
        step = mapping(entry, f"{path}: steps")
        name, config = step.get("registry_name"), mapping(step.get("config") or {}, str(path))
        if name == wanted and found is None:
            tensors = read_tensors(beside(path, step.get("state_file")))
            found = dict(tensors), float(config.get("eps", EPS))
        elif name == "rename_observations_processor" and not config.get("rename_map"):
            continue
        elif name not in _WITHOUT_EFFECT:
            raise ForeignError(f"{path}: the step {name!r} is not known here")
    if found is None:
        raise ForeignError(f"{path}: expected a step {wanted!r}")
    return found
