"""Environments of gymnasium for tests of standard tasks."""

# pyright: standard

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import gymnasium
import numpy as np
from gymnasium import spaces


class Three(gymnasium.Env[Any, Any]):
    """Ends in its third step where the action was above 1, else is cut in its fourth."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}  # type: ignore[misc]
    observation_space = spaces.Dict(
        {"time": spaces.Box(0.0, 9.0, ()), "seed": spaces.Box(0.0, 1.0, (1, 2))}
    )
    action_space = spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([4.0, 1.0], np.float32))

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        """Start."""
        super().reset(seed=seed)
        self.t, self.drawn = 0, self.np_random.random((1, 2)).astype(np.float32)
        return self._see(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, Any]:
        """Reward is the first element of the action."""
        self.t += 1
        ended = self.t == 3 and bool(action[0] > 1.0)
        return self._see(), float(action[0]), ended, self.t == 4, {}

    def render(self) -> Any:
        """Draw two colours line by line."""
        picture = np.zeros((64, 32, 3), np.uint8)
        picture[::2] = 60, 40, 20
        return picture

    def _see(self) -> Any:
        return {"time": np.float32(self.t), "seed": self.drawn}


class Dark(Three):
    """Draws nothing."""

    def render(self) -> Any:
        """See the class."""


@contextmanager
def toys() -> Iterator[None]:
    """Let gymnasium know them as `Three-v0` and `Dark-v0`."""
    for kind in (Three, Dark):
        name = f"{kind.__name__}-v0"
        gymnasium.register(name, cast("Any", kind), disable_env_checker=True, order_enforce=False)
    yield
    for kind in (Three, Dark):
        del gymnasium.registry[f"{kind.__name__}-v0"]
