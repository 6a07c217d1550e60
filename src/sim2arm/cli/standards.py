"""Trainings on standard tasks: name -> (help line, configuration), for published tables.

`--task` names a task of dm_control's suite or one of gymnasium; the extra `suite` brings them.
Their policies drive no arm, so there is nothing to export.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from sim2arm.policies.bins import Zoom
from sim2arm.policies.cqn import CqnCfg
from sim2arm.policies.drqv2 import DrqV2Cfg
from sim2arm.policies.offpolicy import ReplayCfg
from sim2arm.policies.sac import SacCfg
from sim2arm.policies.td3 import Td3Cfg

ReplayAlgoCfg: TypeAlias = Td3Cfg | SacCfg | DrqV2Cfg | CqnCfg
"""Settings of what learns from replay."""


@dataclass(frozen=True, kw_only=True)
class StandardCfg:
    """Train a policy on a standard task."""

    task: str = "cartpole_swingup"
    """DOMAIN_TASK of dm_control's suite, or gym:ID of gymnasium."""
    algo: ReplayAlgoCfg = field(default_factory=SacCfg)
    """The algorithm."""
    pixels: int = 0
    """Side of the picture that is seen instead of the state [pixels]; 0: the state."""
    repeat: int | None = None
    """Steps of the task (frames) per action; None: 2 of dm_control, 1 of gymnasium."""
    num_envs: int = 1
    """Worlds, one after the other."""
    frames: int = 100_000
    """Steps of the task, of all worlds."""
    trial_every: int = 5_000
    """Frames between trials of the policy without random actions; there is one at the end too."""
    trial_episodes: int = 10
    """Episodes of a trial, seeded."""
    device: str = "cpu"
    """Where networks run: cpu or cuda:0."""
    seed: int = 0
    """Seed of everything drawn in training."""
    threads: int = 1
    """Threads of torch."""
    out: Path | None = None
    """Run folder; runs/<name> by default."""
    resume: bool = False
    """Go on from the checkpoint in the run folder; the replay is there only with
    `--algo.learn.keep`."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be trained with."""
        counts = ("repeat", "num_envs", "frames", "trial_every", "trial_episodes", "threads")
        for name, low in {**dict.fromkeys(counts, 1), "pixels": 0, "seed": 0}.items():
            value = getattr(self, name)
            if name == "repeat" and value is None:
                continue
            if not isinstance(value, int) or not low <= value < 2**63:
                raise ValueError(f"{name}: expected a whole number, {low} or more, got {value!r}")
        if self.algo.sight.asymmetric:
            raise ValueError("algo.sight.asymmetric: a standard task tells its critic nothing more")
        if 0 < self.pixels < 15:
            raise ValueError(f"pixels: expected 15 or more, or 0 for the state, got {self.pixels}")
        if isinstance(self.algo, CqnCfg):
            self._check_returns(self.algo)

    def _check_returns(self, algo: CqnCfg) -> None:
        """See that CQN tells the returns of a task apart."""
        if self.task.startswith(GYM):
            if (algo.low, algo.high) == RETURNS:
                raise ValueError(
                    f"algo.low, algo.high: expected bounds of the discounted returns of {self.task}"
                )
            return
        most = self.steps_per_action / max(1.0 - algo.learn.discount, 1e-6)
        if algo.low > 0.0 or algo.high < 0.999 * most:
            raise ValueError(
                f"algo.low, algo.high: expected 0 or less and {most:.0f} or more, the returns of "
                f"rewards up to 1 per frame, got {algo.low:g}, {algo.high:g}"
            )

    @property
    def steps_per_action(self) -> int:
        """Frames per action."""
        return self.repeat or (1 if self.task.startswith(GYM) else 2)

    @property
    def per_iteration(self) -> int:
        """Frames of an iteration."""
        return self.algo.rollout * self.num_envs * self.steps_per_action

    @property
    def iterations(self) -> int:
        """Iterations that come to the frames."""
        return -(-self.frames // self.per_iteration)


GYM = "gym:"
"""What names of gymnasium's tasks begin with."""
RETURNS = (0.0, 200.0)
"""Discounted returns of dm_control's tasks, 2 per action at a discount of 0.99."""
LEARN = ReplayCfg(rollout=5, updates=5, rows=1_000_000, random=2_500, normalise=False, keep=True)
"""An update per action of one world, after 2500 random actions."""
SAC = StandardCfg(
    # Two updates per action and one learning rate, as the baseline whose figures are compared with.
    algo=SacCfg(learn=replace(LEARN, updates=10), critic_lr=3e-4)
)
TD3 = replace(SAC, algo=Td3Cfg(learn=LEARN))
DRQV2 = replace(
    SAC,
    task="cartpole_balance",
    pixels=84,
    # The published size: 2.3 s per update on two cores. Smaller ones are --pixels,
    # --algo.sight.width and --algo.hidden.
    algo=DrqV2Cfg(
        learn=ReplayCfg(
            rollout=10,
            updates=5,
            rows=100_000,
            random=2_000,
            steps=3,
            tau=0.01,
            normalise=False,
            keep=True,
        ),
        noise_steps=100_000,
    ),
)
CQN = replace(
    SAC,
    algo=CqnCfg(
        learn=replace(LEARN, steps=3, tau=0.02), zoom=Zoom(levels=3, bins=5),
        low=RETURNS[0], high=RETURNS[1], lr=1e-4, weight_decay=0.0, noise=0.1, critic=1.0,
        imitation=0.0, acts_on_target=False,
    ),
)  # fmt: skip

STANDARDS: dict[str, tuple[str, StandardCfg]] = {
    "standard-sac": ("A standard task with SAC.", SAC),
    "standard-tqc": (
        "The same with TQC: 5 critics of 25 quantiles.",
        replace(
            SAC,
            algo=SacCfg(
                learn=LEARN, critic_hidden=(512, 512, 512), critics=5, quantiles=25, critic_lr=3e-4
            ),
        ),
    ),
    "standard-droq": (
        "The same with DroQ: dropout, layer norm and 20 updates per action.",
        replace(
            SAC,
            algo=SacCfg(
                learn=replace(LEARN, updates=100), delay=20, dropout=0.01, norm=True,
                make_up=False, pessimism=False, critic_lr=3e-4,
            ),
        ),
    ),
    "standard-td3": ("The same with TD3.", TD3),
    "standard-ddpg": (
        "The same with DDPG.",
        replace(TD3, algo=Td3Cfg(learn=LEARN, critics=1, target_noise=0.0)),
    ),
    "standard-cqn": ("The same with CQN: 3 levels of 5 bins, no demonstrations.", CQN),
    "standard-drqv2": ("A standard task from pictures with DrQ-v2.", DRQV2),
}  # fmt: skip
