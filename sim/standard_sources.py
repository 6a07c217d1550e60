"""Standard tasks, one environment each: those of `dm_control`, and any of gymnasium.

They are where published tables come from. Names are `DOMAIN_TASK` of dm_control's suite, as in
`cartpole_swingup`, and `gym:ID` of gymnasium, as in `gym:Pendulum-v1`. Needs the extra `suite`.
"""

# dm_control and gymnasium are untyped or generic over unknown spaces.
# pyright: standard

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from .worlds.rendering import renderer_name

GYM = "gym:"
"""What names of gymnasium's environments begin with."""
PIXELS = "pixels"
"""Name of the picture."""
CAMERAS = {"quadruped": 2}
"""Camera of a domain whose picture the papers learn from (DrQ-v2); 0 for all others."""
SHADOWS = 512
"""Side of the map of shadows; the suite's 2048 takes twice the time for the same small pictures."""
Arrays = dict[str, NDArray[Any]]


class Source(Protocol):
    """One environment with actions in [-1, 1].

    Attributes:
        action_dim: elements of an action.
    """

    action_dim: int

    def reset(self, seed: int) -> Arrays:
        """Start an episode; return what is seen: vectors float32, pictures (H, W, 3) uint8."""
        ...

    def step(self, action: NDArray[np.float32]) -> tuple[Arrays, float, bool, bool]:
        """Return what is seen, reward, whether the episode ended, and whether it was cut."""
        ...


class DmControlTask:
    """A task of dm_control's suite; its episodes are cut after their time, of most 1000 steps."""

    def __init__(self, name: str, *, pixels: int = 0) -> None:
        """Load it.

        Args:
            name: as in `cartpole_swingup`.
            pixels: side of the picture that is seen instead of the state; 0: the state.

        Raises:
            ValueError: there is no such task; one line.
        """
        domain, task = _dm_control_tasks().get(name, ("", ""))
        if not domain:
            near = difflib.get_close_matches(name, _dm_control_tasks(), n=3, cutoff=0.5)
            hint = f"perhaps {' or '.join(near)}" if near else "as in cartpole_swingup"
            raise ValueError(
                f"dm_control has no task {name!r}, {hint}; one of gymnasium is called {GYM}ID"
            )
        if pixels and renderer_name() == "warp":
            raise ValueError(f"{name}: pictures need OpenGL, by EGL or OSMesa; there is none here")
        self._env = dm_control_suite().load(domain, task, task_kwargs={"random": 0})
        quality = self._env.physics.model.vis.quality
        quality.shadowsize = min(quality.shadowsize, SHADOWS)
        spec = self._env.action_spec()
        self._low, self._high = _bounds(spec.minimum, spec.maximum, name)
        self.action_dim = int(spec.shape[0])
        self._pixels, self._camera = pixels, CAMERAS.get(domain, 0)

    def reset(self, seed: int) -> Arrays:
        """See `Source`."""
        self._env.task.random.seed(seed)
        return self._see(self._env.reset())

    def step(self, action: NDArray[np.float32]) -> tuple[Arrays, float, bool, bool]:
        """See `Source`."""
        found = self._env.step(_stretch(action, self._low, self._high))
        last = bool(found.last())
        ended = last and found.discount == 0.0
        return self._see(found), float(found.reward), ended, last and not ended

    def _see(self, found: Any) -> Arrays:
        if self._pixels:
            side = self._pixels
            return {PIXELS: self._env.physics.render(side, side, camera_id=self._camera)}
        return {name: _vector(value) for name, value in found.observation.items()}


class GymTask:
    """An environment of gymnasium with actions in a box."""

    def __init__(self, name: str, *, pixels: int = 0) -> None:
        """Load it.

        Args:
            name: as in `Pendulum-v1`.
            pixels: side of the picture that is seen instead of the state; 0: the state.

        Raises:
            ValueError: there is no such environment, or its spaces do not fit; one line.
        """
        import gymnasium
        from gymnasium import spaces

        try:
            how: dict[str, Any] = {"render_mode": "rgb_array"} if pixels else {}
            self._env = gymnasium.make(name, **how)
            self._env.reset(seed=0)
            picture: Any = self._env.render() if pixels else None
        except (gymnasium.error.Error, ImportError) as error:
            reason = str(error).strip() or type(error).__name__
            raise ValueError(f"{GYM}{name}: {reason.splitlines()[0]}") from error
        if pixels and np.ndim(picture) != 3:
            raise ValueError(f"{GYM}{name}: expected a picture (H, W, 3) of it, it draws none")
        actions = self._env.action_space
        if not isinstance(actions, spaces.Box) or len(actions.shape) != 1:
            raise ValueError(f"{GYM}{name}: expected actions in a box (A,), it has {actions}")
        self._low, self._high = _bounds(actions.low, actions.high, name)
        self.action_dim, self._pixels = actions.shape[0], pixels
        seen = self._env.observation_space
        parts = seen.spaces.values() if isinstance(seen, spaces.Dict) else [seen]
        if not pixels and not all(isinstance(part, spaces.Box) for part in parts):
            raise ValueError(f"{GYM}{name}: expected observations in boxes, it has {seen}")

    def reset(self, seed: int) -> Arrays:
        """See `Source`."""
        return self._see(self._env.reset(seed=seed % 2**31)[0])

    def step(self, action: NDArray[np.float32]) -> tuple[Arrays, float, bool, bool]:
        """See `Source`."""
        seen, reward, ended, cut, _ = self._env.step(_stretch(action, self._low, self._high))
        return self._see(seen), float(reward), bool(ended), bool(cut) and not ended

    def _see(self, seen: Any) -> Arrays:
        if self._pixels:
            picture = np.asarray(self._env.render())
            return {PIXELS: _resized(picture, self._pixels)}
        parts = seen if isinstance(seen, Mapping) else {"state": seen}
        return {str(name): _vector(value) for name, value in parts.items()}


def open_source(name: str, *, pixels: int = 0) -> Source:
    """Return one environment by its name; see the module.

    Raises:
        ValueError: there is none of this name, or it is not one that agents can act in; one line.
        ModuleNotFoundError: the extra `suite` is not installed.
    """
    if name.startswith(GYM):
        return GymTask(name.removeprefix(GYM), pixels=pixels)
    return DmControlTask(name, pixels=pixels)


@cache
def dm_control_suite() -> Any:
    """Return dm_control's suite, whose tables of the engine's arrays fit the engine.

    dm_control 1.0.50 lists arrays that MuJoCo 4 does not have, and fails where it looks them up;
    those are taken off its list. Where all are there, nothing changes.
    """
    renderer_name()  # dm_control takes what it chose, when it is imported
    from dm_control.mujoco.wrapper.mjbindings import sizes

    engine: Any = mujoco  # whose extension modules have no stubs
    for name, kind in {"mjmodel": engine.MjModel, "mjdata": engine.MjData}.items():
        table = sizes.array_sizes[name]
        for absent in [field for field in table if not hasattr(kind, field)]:
            del table[absent]
    from dm_control import suite

    return suite


@cache
def _dm_control_tasks() -> dict[str, tuple[str, str]]:
    """Return domain and task by name."""
    return {f"{domain}_{task}": (domain, task) for domain, task in dm_control_suite().ALL_TASKS}


def _bounds(low: Any, high: Any, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError(f"{name}: expected bounds of its actions, they have none")
    return low, high


def _stretch(
    action: NDArray[np.float32], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return actions from [-1, 1] between bounds."""
    share = (np.clip(action, -1.0, 1.0) + 1.0) / 2.0
    return (low + share * (high - low)).astype(np.float32)


def _vector(value: Any) -> NDArray[np.float32]:
    return np.atleast_1d(np.asarray(value, dtype=np.float32)).ravel()


def _resized(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) as (side, side, 3): means over areas."""
    import cv2  # of the extra vision

    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
