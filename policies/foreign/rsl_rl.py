"""Checkpoints of rsl_rl: the actor's perceptron and its normaliser.

Where things are (rsl_rl, BSD-3, `runners/on_policy_runner.py`, `modules/`, `models/`):

- up to 3.x `model_state_dict` with `actor.N.weight`, `std` or `log_std`; the normaliser as
  `actor_obs_normalizer.*` (3.x) or in a part of its own, `obs_norm_state_dict` (2.x).
- since 4.0 `actor_state_dict` with `mlp.N.weight`, `obs_normalizer.*`, and `std` or `log_std`
  (4.x), `distribution.std_param` or `distribution.log_std_param` (5.x).
"""

# pyright: standard

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from sim2arm.policies.bundle import LARGEST_MODEL
from sim2arm.policies.export import model_of

from . import rsl_rl_child
from .files import ForeignError, Tensors, check_file, read_tensors
from .onnx_model import OnnxSource, onnx_source

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "selu": nn.SELU,
    "relu": nn.ReLU,
    "crelu": nn.CELU,
    "lrelu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "swish": nn.SiLU,
    "mish": nn.Mish,
    "identity": nn.Identity,
}
"""As `resolve_nn_activation` of rsl_rl names them; its `crelu` is CELU."""
EPS = 1e-2
"""Added to deviations, `EmpiricalNormalization` of rsl_rl."""
PATIENCE_S = 120.0
"""Longest time that a checkpoint may take to be read."""
_LAYOUTS = (
    # perceptron, normaliser (any of), deviations of actions (any of)
    (
        "model_state_dict/actor.",
        ("model_state_dict/actor_obs_normalizer.", "obs_norm_state_dict/"),
        ("model_state_dict/std", "model_state_dict/log_std"),
    ),
    (
        "actor_state_dict/mlp.",
        ("actor_state_dict/obs_normalizer.",),
        tuple(
            f"actor_state_dict/{name}"
            for name in ("std", "log_std", "distribution.std_param", "distribution.log_std_param")
        ),
    ),
)
_OTHERS = ("memory_a.", "rnn.", "cnns.", "cnn.")
"""Parameters of actors that are more than a perceptron."""


class RslRlActor(nn.Module):
    """Observations (B, O) to the mean of actions (B, A)."""

    mean: Tensor
    spread: Tensor

    def __init__(self, layers: nn.Sequential, mean: Tensor, spread: Tensor) -> None:
        """Put layers behind a normaliser."""
        super().__init__()
        self.layers = layers
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, obs: Tensor) -> Tensor:
        """Return actions."""
        return self.layers((obs - self.mean) / self.spread)


def read_checkpoint(path: Path) -> Tensors:
    """Return the tensors of a checkpoint as `part/name`, read in a process of its own.

    Raises:
        ForeignError: it cannot be read, or not without running what it names.
    """
    check_file(path)
    _check_zip(path)
    with TemporaryDirectory() as folder:
        target = Path(folder) / "tensors.safetensors"
        command = [sys.executable, "-I", rsl_rl_child.__file__, str(path.absolute()), str(target)]
        try:
            done = subprocess.run(
                command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=PATIENCE_S, check=False, text=True, errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ForeignError(f"{path}: not read within {PATIENCE_S:g} s") from error
        if done.returncode != 0:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            said = " ".join(lines)[:300] if lines else f"exit code {done.returncode}"
            raise ForeignError(f"{path}: torch.load(weights_only=True) does not read it: {said}")
        return read_tensors(target)


def _check_zip(path: Path) -> None:
    """Refuse what would unpack to more than is read of any model."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise ForeignError(f"{path}: expected a zip archive, as torch.save writes") from error
    if size > LARGEST_MODEL:
        raise ForeignError(f"{path}: {size} bytes unpacked, at most {LARGEST_MODEL} are read")


def read_rsl_rl(path: Path, activation: str) -> OnnxSource:
    """Return the actor of a checkpoint as a graph.

    Args:
        path: of the checkpoint.
        activation: a name of `ACTIVATIONS`; checkpoints do not have it.

    Raises:
        ForeignError: the checkpoint cannot be read, or has no such actor.
    """
    actor = build_actor(read_checkpoint(path), activation, str(path))
    example = (torch.zeros(1, actor.mean.shape[-1]),)
    proto = model_of(actor, example, ["obs"], ["actions"])
    return onnx_source(proto.SerializeToString(), str(path))


def build_actor(tensors: Tensors, activation: str, place: str) -> RslRlActor:
    """Return the actor of the tensors of a checkpoint.

    Args:
        tensors: what `read_checkpoint` returned.
        activation: a name of `ACTIVATIONS`.
        place: name of the file, for messages.

    Raises:
        ForeignError: they are not those of a perceptron with normal actions.
    """
    found = [layout for layout in _LAYOUTS if _layers(tensors, layout[0], place)]
    if not found:
        raise ForeignError(f"{place}: no actor is there; tensors: {', '.join(sorted(tensors)[:8])}")
    mlp, normalizers, deviations = found[0]
    layers = _layers(tensors, mlp, place)
    others = [n for n in tensors if n.rpartition("/")[2].startswith(_OTHERS)]
    if others:
        raise ForeignError(f"{place}: {others[0]!r}: expected a perceptron alone")
    if not any(name in tensors for name in deviations):
        raise ForeignError(
            f"{place}: no deviation of actions is among its tensors: how actions follow from the "
            "last layer is known of normal distributions with one deviation per action only"
        )
    modules: list[nn.Module] = []
    for weight, bias in layers:
        if modules:
            modules.append(ACTIVATIONS[activation]())
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        modules.append(linear)
    mean, spread = _normalizer(tensors, normalizers, layers[0][0].shape[1], place)
    return RslRlActor(nn.Sequential(*modules), mean, spread).eval()


def _layers(tensors: Tensors, start: str, place: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights and biases of a perceptron in order; none if it is not there."""
    pattern = re.compile(re.escape(start) + r"(\d+)\.weight")
    places = sorted(int(m[1]) for m in map(pattern.fullmatch, tensors) if m)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for index in places:
        weight, bias = (tensors.get(f"{start}{index}.{name}") for name in ("weight", "bias"))
        width = found[-1][0].shape[0] if found else None
        if (
            weight is None
            or bias is None
            or weight.ndim != 2
            or bias.shape != weight.shape[:1]
            or width not in (None, weight.shape[1])
        ):
            raise ForeignError(f"{place}: {start}{index}: expected the next layer of a perceptron")
        found.append((weight.astype(np.float32), bias.astype(np.float32)))
    return found


def _normalizer(
    tensors: Tensors, starts: tuple[str, ...], size: int, place: str
) -> tuple[Tensor, Tensor]:
    """Return mean and what is divided by; those of no normaliser if there is none."""
    for start in starts:
        mean, std = tensors.get(f"{start}_mean"), tensors.get(f"{start}_std")
        if mean is None or std is None:
            continue
        if mean.size != size or std.size != size:
            raise ForeignError(
                f"{place}: {start}_mean: expected {size} numbers, got {mean.size} and {std.size}"
            )
        flat = [torch.from_numpy(v.reshape(-1).astype(np.float32)) for v in (mean, std)]
        return flat[0], flat[1] + EPS
    return torch.zeros(size), torch.ones(size)
