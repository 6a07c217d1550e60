"""Several organs as one: order of the numbers of an episode, newest frames, ages."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sim2arm.core.contract import CameraMount, TrainedRange
from sim2arm.core.robots import Chain
from sim2arm.core.spec import ArraySpec, History
from sim2arm.sim.draws import SeededDraws
from sim2arm.sim.organs import Organs
from sim2arm.sim.randomize import Term


class Counting:
    """An organ that sees how often it was asked; ages by array."""

    group = "actor"

    def __init__(self, name: str, count: int, *, final: bool, history: int = 1) -> None:
        self.count, self.final = count, final
        more = History(of="frames", n=history) if history > 1 else None
        spec = ArraySpec(name=name, kind="sensor", shape=(2,), history=more)
        self.specs, self.ages = {name: spec}, dict[str, Tensor]()
        self._name, self._ticks = name, 0
        self.units: list[Tensor] = []

    def begin(self, chosen: Tensor, unit: Tensor) -> None:
        assert chosen.all()
        self.units.append(unit)
        self._ticks = 0

    def advance(self) -> None:
        self._ticks += 1

    def ranges(self, terms: Sequence[Term], level: float) -> tuple[TrainedRange, ...]:
        return ()

    def mounts(self, chain: Chain) -> tuple[CameraMount, ...]:
        return ()

    def see(self, *, last: bool = False) -> dict[str, Tensor]:
        self.ages[self._name] = torch.tensor([0.5, 0.25]) + self._ticks
        shape = self.specs[self._name].array_shape
        frames = torch.arange(shape[0] if len(shape) == 2 else 1, dtype=torch.float32)
        seen = frames[:, None].expand(-1, 2) + 10.0 * self._ticks
        return {self._name: (seen if len(shape) == 2 else seen[0]).expand(2, *shape)}


def test_organs_draw_one_after_the_other_and_show_their_newest() -> None:
    eyes = Counting("scene_rgb", 3, final=True)
    skin = Counting("touch_field", 2, final=False, history=4)
    organs = Organs(eyes, None, skin)
    assert list(organs.specs) == ["scene_rgb", "touch_field"]
    assert organs.count == 5
    organs.begin(torch.ones(2, dtype=torch.bool), SeededDraws([5, 6]).unit(organs.count))
    draws = SeededDraws([5, 6])
    torch.testing.assert_close(eyes.units[0], draws.unit(3), rtol=0.0, atol=0.0)
    torch.testing.assert_close(skin.units[0], draws.unit(2), rtol=0.0, atol=0.0)
    organs.advance()
    assert list(organs.see(last=True)) == ["scene_rgb"]  # the other is not asked
    organs.see()
    newest = organs.newest(1)
    np.testing.assert_array_equal(newest["scene_rgb"][0], [10.0, 10.0])
    np.testing.assert_array_equal(newest["touch_field"][0], [13.0, 13.0])  # the last of four
    assert [age for _, age in newest.values()] == [1.25, 1.25]
    assert organs.pictures["touch_field"].shape == (2, 4, 2)


def test_an_arm_without_organs_sees_nothing() -> None:
    organs = Organs(None)
    organs.begin(torch.ones(1, dtype=torch.bool), SeededDraws([0]).unit(organs.count))
    organs.advance()
    assert organs.see() == {}
    assert organs.newest() == organs.pictures == {}
