"""Success of the deterministic policy, measured in between while it trains.

A quick look on the training environment, at the whole ranges of its randomisation and without it;
the figure that counts is that of `sim2arm eval`, on the exported bundle behind the gate, with other
seeds.
"""

from collections.abc import Sequence

import torch

from sim2arm.policies.actor import Acting, forget
from sim2arm.sim.env import Env

FIRST_SEED = 500_000
"""Trial seeds start here; those of `sim2arm eval` are others."""


class Trial:
    """The same seeded episodes each time, one per world of its own environment.

    Where training knows motions that start a period late and such that start at once, each is half
    of the episodes and the worse half counts: a policy may master the one and not the other. For
    the same reason a randomised training is tried at its whole ranges and at the arm itself.
    """

    def __init__(self, env: Env) -> None:
        """Take the environment."""
        self._env = env

    @torch.no_grad()
    def success(self, actor: Acting) -> float:
        """Return the share of episodes that the mean action solves, in the worst case.

        Raises:
            CapacityError: the physics had no room for all contacts or constraint rows.
        """
        if not self._env.varies:
            return self._worse_half(actor)
        found: list[float] = []
        for level in (0.0, 1.0):
            self._env.level = level
            found.append(self._worse_half(actor))
        return min(found)

    def _worse_half(self, actor: Acting) -> float:
        env = self._env
        mixed = env.num_envs > 1 and 0.0 < env.lead_share < 1.0
        leading = torch.arange(env.num_envs, device=env.device) % 2 == 0
        seeds = range(FIRST_SEED, FIRST_SEED + env.num_envs)
        solved = solve(env, actor, seeds, leading if mixed else None)
        halves = [solved[leading], solved[~leading]] if mixed else [solved]
        return min(float(half.double().mean()) for half in halves)


@torch.no_grad()
def solve(
    env: Env, actor: Acting, seeds: Sequence[int], leading: torch.Tensor | None = None
) -> torch.Tensor:
    """Return which episodes the mean action solves (N,) bool.

    Args:
        env: the environment, of as many worlds as seeds.
        actor: what acts.
        seeds: of the episodes.
        leading: (N,) bool, where motions start a period late; as the environment draws if None.

    Raises:
        CapacityError: the physics had no room for all contacts or constraint rows.
    """
    obs = env.reset(seeds)
    if leading is not None:
        env.commands.leading.copy_(leading)
    running = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
    solved, memory = ~running, actor.start(env.num_envs, env.device)
    while running.any():
        action, memory = actor(actor.see(obs), memory)
        obs, _, terminated, truncated, info = env.step(action)
        done = terminated | truncated
        memory = forget(memory, done)
        solved |= running & info["success"]
        running &= ~done
    env.world.check_capacity()
    return solved
