"""The vectorised environment as gymnasium's `VectorEnv`, for algorithms from elsewhere."""

# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from .env import Env

Arrays = dict[str, NDArray[Any]]


class GymVectorEnv(VectorEnv):
    """N episodes of a task with numpy arrays; resets in the same step, as `Env` does.

    For environments on the CPU, of any engine.
    Observations are a dictionary of the arrays in both groups of the environment, pictures uint8
    and float32 [m] without bounds. Where an
    episode ended, `infos["final_obs"][i]` is the dictionary of its last observation and
    `infos["_final_obs"]` says where that is. `infos["success"]` and
    `infos["diverged"]` are (N,) bool.
    """

    def __init__(self, env: Env) -> None:
        """Wrap an environment; its episodes start again at `reset`.

        Raises:
            ValueError: it does not run on the CPU, where numpy's arrays are, or it has cameras
                whose pictures are not in `final_obs`, or gels that feel, which never are.
        """
        if env.device.type != "cpu":
            raise ValueError(
                f"gymnasium's arrays are in the memory of the host, this environment is on "
                f"{env.device}: build it on the device 'cpu', or use `Env` itself, with tensors"
            )
        if env.eyes is not None and not env.eyes.vision.final:
            raise ValueError("gymnasium's final_obs is a whole observation: set `final` of Vision")
        if env.skin is not None and env.skin.names:
            raise ValueError(
                f"gymnasium's final_obs is a whole observation, and {list(env.skin.names)} are not "
                "in it: use gels that feel nothing, `Touch(sees=())`, or `Env` itself"
            )
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.env, self.num_envs = env, env.num_envs
        obs = env.reset()
        self._names = list(dict.fromkeys(env.groups["critic"] + env.groups["actor"]))
        self._pictures = () if env.eyes is None else env.eyes.names
        boxes: dict[str, gymnasium.Space[Any]] = {name: _box(obs[name]) for name in self._names}
        self.single_observation_space = gymnasium.spaces.Dict(boxes)
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (env.action_dim,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Arrays, dict[str, Any]]:
        """Start all episodes.

        Args:
            seed: world i gets seed + i, as in gymnasium, or one seed each; None goes on drawing.
            options: not used.

        Raises:
            ValueError: another number of seeds than of worlds.
        """
        if seed is None:
            return self._arrays(self.env.reset()), {}
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must be a number or {self.num_envs} of them, got {len(seeds)}")
        return self._arrays(self.env.reset(seeds)), {}

    def step(
        self, actions: NDArray[np.floating]
    ) -> tuple[Arrays, NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Apply actions (N, A) in [-1, 1]; see the class for `infos`."""
        obs, reward, terminated, truncated, info = self.env.step(torch.from_numpy(actions))
        infos: dict[str, Any] = {name: info[name].numpy() for name in ("success", "diverged")}
        done = (terminated | truncated).numpy()
        if done.any():
            last = self._arrays(info["final_obs"])
            final = np.full(self.num_envs, None, dtype=object)
            for i in np.flatnonzero(done):
                final[i] = {name: value[i] for name, value in last.items()}
            infos |= {"final_obs": final, "_final_obs": done}
        return self._arrays(obs), reward.numpy(), terminated.numpy(), truncated.numpy(), infos

    def _arrays(self, obs: dict[str, torch.Tensor]) -> Arrays:
        arrays = {name: obs[name].numpy() for name in self._names}
        # What the cameras give is memory of theirs, and gymnasium's users keep what they get.
        return arrays | {n: arrays[n].copy() for n in self._pictures if n in arrays}


def _box(values: torch.Tensor) -> gymnasium.spaces.Box:
    shape = tuple(values.shape[1:])
    if values.dtype == torch.uint8:
        return gymnasium.spaces.Box(0, 255, shape, np.uint8)
    return gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
