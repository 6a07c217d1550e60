"""Features of poses: millimetres stay visible beside decimetres."""

from __future__ import annotations

import math

import torch

from sim2arm.policies.networks import PoseFeatures


def test_squashed_positions_by_hand() -> None:
    features = PoseFeatures({"a": (7,), "b": (7,)}, (("a", "b"),), (0.05, 0.01))
    assert features.size == 14 + 9 + 6
    a = torch.tensor([[1.0, 0, 0, 1, 0, 0, 0]])
    b = torch.tensor([[1.01, 0, -0.05, 1, 0, 0, 0]])
    out = features({"a": a, "b": b})
    # p = (0.01, 0, -0.05) m: p / 0.05 = (0.2, 0, -1), p / 0.01 = (1, 0, -5).
    expected = [math.tanh(v) for v in (0.2, 0.0, -1.0, 1.0, 0.0, -5.0)]
    torch.testing.assert_close(out[0, -6:], torch.tensor(expected), atol=1e-5, rtol=0)
