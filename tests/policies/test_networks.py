"""Features of poses: millimetres stay visible beside decimetres."""

from __future__ import annotations

import math

import pytest
import torch

from sim2arm.policies.networks import PoseFeatures, RelativePoseError


def test_squashed_positions_by_hand() -> None:
    features = PoseFeatures({"a": (7,), "b": (7,)}, (("a", "b"),), (0.05, 0.01))
    assert features.size == 14 + 9 + 6
    a = torch.tensor([[1.0, 0, 0, 1, 0, 0, 0]])
    b = torch.tensor([[1.01, 0, -0.05, 1, 0, 0, 0]])
    out = features({"a": a, "b": b})
    # p = (0.01, 0, -0.05) m: p / 0.05 = (0.2, 0, -1), p / 0.01 = (1, 0, -5).
    expected = [math.tanh(v) for v in (0.2, 0.0, -1.0, 1.0, 0.0, -5.0)]
    torch.testing.assert_close(out[0, -6:], torch.tensor(expected), atol=1e-5, rtol=0)


def test_poses_of_two_arms_are_compared_arm_by_arm() -> None:
    shapes, bases = {"tools": (14,), "cube": (7,)}, ((0.0, 0.35, 0.0), (0.0, -0.35, 0.0))
    features = PoseFeatures(shapes, (("tools", "cube"), ("tools", "tools")), (0.01,), bases)
    assert features.size == 21 + 12 * (2 + 4)
    # Both tools stand 0.4 m before their bases; the cube lies 1 cm left of the right tool, which
    # is turned 90 degrees about z: so along its x axis.
    half = 0.5**0.5
    tools = torch.tensor([[0.4, 0, 0.2, 1, 0, 0, 0, 0.4, 0, 0.2, half, 0, 0, half]])
    cube = torch.tensor([[0.4, -0.34, 0.2, 1, 0, 0, 0]])
    out = features({"tools": tools, "cube": cube})[0, 21:].unflatten(0, (6, 12))
    expected = [[0, -0.69, 0], [0.01, 0, 0], [0, 0, 0], [0, -0.7, 0], [0.7, 0, 0], [0, 0, 0]]
    torch.testing.assert_close(out[:, :3], torch.tensor(expected), atol=1e-6, rtol=0)
    torch.testing.assert_close(out[1, 3:9], torch.tensor([0.0, 1, -1, 0, 0, 0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(out[:, 9:], torch.tanh(out[:, :3] / 0.01))


@pytest.mark.parametrize("bases", [(), ((0.0, 0.3, 0.0),), ((0.0, 0.0, 0.0),) * 3])
def test_where_arms_stand_must_be_said_of_each(
    bases: tuple[tuple[float, float, float], ...],
) -> None:
    with pytest.raises(RelativePoseError, match=r"'tools' of the pair tools cube is not a pose"):
        PoseFeatures({"tools": (14,), "cube": (7,)}, (("tools", "cube"),), bases=bases)
