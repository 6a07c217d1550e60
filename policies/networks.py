"""Networks that algorithms share: perceptrons, the empirical normaliser, features of poses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from sim2arm.core.transforms import pose_compose, pose_inverse, quat_to_matrix

RelativePose = tuple[str, str]
"""Names of two poses: the second is given in the frame of the first."""
Position = tuple[float, float, float]
"""x, y, z [m]."""


class EmpiricalNormalization(nn.Module):
    """Shift and scale by the mean and deviation of all data seen: (x - mean) / (std + 0.01)."""

    mean: Tensor
    var: Tensor
    count: Tensor

    def __init__(self, size: int) -> None:
        """Start with mean 0 and variance 1 for vectors of the given size."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("var", torch.ones(size))
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Take vectors (B, size) into the statistics."""
        self.merge(x.shape[0], x.mean(dim=0), x.var(dim=0, unbiased=False))

    @torch.no_grad()
    def merge(self, count: int, mean: Tensor, var: Tensor) -> None:
        """Take other data into the statistics, by its count, mean and variance (size,).

        Source: Chan, Golub and LeVeque, "Updating formulae ... sample variances", 1979.
        """
        total = self.count + count
        delta = mean - self.mean
        share = count / total
        self.var += share * (var - self.var + delta * delta * (1.0 - share))
        self.mean += share * delta
        self.count.copy_(total)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised vectors."""
        return (x - self.mean) / (self.var.sqrt() + 0.01)


class RelativePoseError(ValueError):
    """A relative pose was asked for of what is not an observed pose."""


class PictureError(ValueError):
    """Networks for vectors were given pictures."""


class PoseFeatures(nn.Module):
    """One vector from named observations, extended by relative poses.

    Each relative pose adds 9 numbers: position [m] and the first two columns of the rotation
    matrix, and for each length its position squashed at that length, `tanh(p / length)`: a
    normaliser over decimetres of travel hides the millimetres that decide at the goal. Poses of
    several arms, (7 arms,) one after the other, are compared arm by arm. It is part of the exported
    graph, so the robot repeats nothing of it.
    """

    _bases: Tensor

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        relative: Sequence[RelativePose],
        lengths: Sequence[float] = (),
        bases: Sequence[Position] = (),
    ) -> None:
        """Take what is observed and compared.

        Args:
            shapes: of the observations, in order.
            relative: pairs of poses.
            lengths: at which relative positions are squashed [m].
            bases: of several arms, where each stands in the frame of the other poses, whose axes
                it has [m]; poses of arms are each in the frame of its base.

        Raises:
            RelativePoseError: a pair names what is neither an observed pose nor those of all arms.
            PictureError: an observation has more than one axis.
        """
        super().__init__()
        for name, shape in shapes.items():
            if len(shape) > 1:
                raise PictureError(
                    f"these networks see vectors, and {name!r} has the shape {shape}: keep "
                    "pictures in a group of their own, or take an algorithm that learns from them"
                )
        arms: dict[tuple[int, ...], int] = {(7,): 1}
        arms |= {(7 * len(bases),): len(bases)} if len(bases) > 1 else {}
        for pair in relative:
            for name in pair:
                if shapes.get(name) not in arms:
                    poses = sorted(n for n, shape in shapes.items() if shape in arms)
                    several = " (of several arms: bases says where they stand)" if not bases else ""
                    raise RelativePoseError(
                        f"{name!r} of the pair {' '.join(pair)} is not a pose that the networks "
                        f"see{several}. Poses: {', '.join(poses)}"
                    )
        self.names, self.relative, self.lengths = tuple(shapes), tuple(relative), tuple(lengths)
        offsets = torch.zeros((len(bases), 7))
        offsets[:, :3] = torch.tensor(bases).reshape(-1, 3)
        self.register_buffer("_bases", offsets, persistent=False)
        plain = sum(torch.Size(s).numel() for s in shapes.values())
        compared = sum(arms[shapes[a]] * arms[shapes[b]] for a, b in relative)
        self.size = plain + (9 + 3 * len(self.lengths)) * compared

    def forward(self, obs: Mapping[str, Tensor]) -> Tensor:
        """Return vectors (B, size)."""
        parts = [obs[name].flatten(1) for name in self.names]
        for frame, other in self.relative:
            for here in self._poses(obs[frame]):
                for there in self._poses(obs[other]):
                    pose = pose_compose(pose_inverse(here), there)
                    columns = quat_to_matrix(pose[:, 3:])[:, :, :2]
                    parts += [pose[:, :3], columns.flatten(1)]
                    parts += [torch.tanh(pose[:, :3] / length) for length in self.lengths]
        return torch.cat(parts, dim=-1)

    def _poses(self, values: Tensor) -> Sequence[Tensor]:
        """Return each pose of (B, 7 arms), (B, 7) in one frame."""
        arms = values.shape[1] // 7
        if arms == 1:
            return (values,)
        poses = values.reshape(-1, arms, 7) + self._bases
        return [poses[:, k] for k in range(arms)]


def mlp(sizes: Sequence[int]) -> nn.Sequential:
    """Return a perceptron with ELU between its layers."""
    layers: list[nn.Module] = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            layers.append(nn.ELU())
    return nn.Sequential(*layers)
