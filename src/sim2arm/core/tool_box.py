"""Steps of a tool that stay in a box, as learning by trial on a robot needs them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class ToolBox:
    """A box that the commanded position of a tool stays in, its edges along the base frame's axes.

    What would leave it is shortened along the axis in question. A tool that is outside, because it
    began there or its arm could not follow, may come closer and goes no further away; nothing moves
    that was not asked to.
    """

    def __init__(self, corners: Sequence[float]) -> None:
        """Take the least x y z, then the greatest [m].

        Raises:
            ValueError: they are not six finite numbers, or leave no room.
        """
        values = np.asarray(corners, dtype=np.float64)
        if values.shape != (6,) or not np.isfinite(values).all():
            raise ValueError(f"box: expected x y z of two corners, got {list(corners)}")
        self._low, self._high = values[:3], values[3:]
        if not (self._low < self._high).all():
            raise ValueError(f"box: the least x y z come first, got {list(corners)}")

    def keep(self, action: FloatArray, position: FloatArray, scale: float) -> FloatArray:
        """Return `ee_delta` actions whose steps stay inside.

        Args:
            action: (N, 3 or more), the translation first.
            position: (N, 3) commanded now, in the base frame [m].
            scale: step of an action of 1 [m].
        """
        low, high = np.minimum(self._low, position), np.maximum(self._high, position)
        wanted = np.clip(position + scale * action[:, :3], low, high)
        return np.concatenate([(wanted - position) / scale, action[:, 3:]], axis=-1)
