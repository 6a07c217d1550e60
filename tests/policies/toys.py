"""Small environments that need memory or eyes; a goal in [-1, 1] that the action should equal."""

# pyright: standard

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SIDE = 24
"""Of the pictures of `Look` [pixel]."""


class Toy:
    """N goals; reward is minus the distance of the action, not in the first step of an episode."""

    action_dim = 1
    device = torch.device("cpu")
    actor = ("clue", "age")

    def __init__(self, num_envs: int = 64, length: int = 5) -> None:
        self.num_envs, self.length = num_envs, length
        self.groups = {"actor": list(self.actor), "critic": ["age", "goal"]}
        self.groups["teacher"] = ["age", "goal"]
        self.generator = torch.Generator().manual_seed(0)
        self.age = torch.zeros(num_envs)
        self.goal = self.draw()

    def draw(self) -> Tensor:
        return torch.rand(self.num_envs, 1, generator=self.generator) * 2 - 1

    def observe(self) -> dict[str, Tensor]:
        return {"age": (self.age / self.length)[:, None].clone(), "goal": self.goal.clone()}

    def reset(self) -> dict[str, Tensor]:
        self.goal, self.age = self.draw(), torch.zeros(self.num_envs)
        return self.observe()

    def state_dict(self) -> dict[str, Tensor]:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.generator.set_state(state["generator"])

    def desynchronise(self) -> None:
        """Leave them: a clue that was missed is not coming back."""

    def step(
        self, action: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, dict[str, Any]]:
        away = (action.clamp(-1, 1) - self.goal)[:, 0].abs()
        reward = torch.where(self.age > 0, -away, 0.0)
        self.age = self.age + 1
        done = self.age >= self.length
        final = self.observe()
        self.goal = torch.where(done[:, None], self.draw(), self.goal)
        self.age = torch.where(done, 0.0, self.age)
        never = torch.zeros_like(done)
        info = {"final_obs": final, "success": away < 0.25, "reward_terms": {"near": reward}}
        return self.observe(), reward, never, done, info | {"diverged": never}


class Recall(Toy):
    """The goal is shown in the first step only."""

    def observe(self) -> dict[str, Tensor]:
        shown = torch.where(self.age[:, None] == 0, self.goal, torch.zeros_like(self.goal))
        return super().observe() | {"clue": shown}


class Look(Toy):
    """The goal is where a bright square stands in a picture, from left to right."""

    actor = ("picture", "age")

    def observe(self) -> dict[str, Tensor]:
        centre = (self.goal + 1.0) / 2.0 * (SIDE - 9) + 4.0  # (N, 1)
        lit = (torch.arange(SIDE)[None] - centre).abs() < 4.0  # (N, SIDE)
        picture = torch.zeros(self.num_envs, SIDE, SIDE, 3, dtype=torch.uint8)
        picture[:, 8:16] = torch.where(lit[:, None, :, None], 255, 0).to(torch.uint8)
        return super().observe() | {"picture": picture}


class Feel(Toy):
    """The goal is how far up the pressed spot of a force field lies, on the second gel."""

    actor = ("field", "age")

    def observe(self) -> dict[str, Tensor]:
        row = (self.goal + 1.0) / 2.0 * 5.0
        near = torch.exp(-((torch.arange(6)[None] - row) ** 2))  # (N, 6)
        field = torch.zeros(self.num_envs, 2, 6, 4, 3)
        field[:, 1, :, :, 0] = 0.2 * near[:, :, None]
        return super().observe() | {"field": field}
