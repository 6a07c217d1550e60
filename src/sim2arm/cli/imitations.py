"""Experiments that learn from demonstrations: name -> (help line, configuration)."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from sim2arm.core.contract import ExecutorSpec
from sim2arm.policies.act import ActCfg
from sim2arm.policies.act_jepa import ActJepaCfg
from sim2arm.policies.bc import BcCfg
from sim2arm.policies.beso import BesoCfg
from sim2arm.policies.chunks import prefixed
from sim2arm.policies.diffusion import DiffusionCfg
from sim2arm.policies.imitation import AnyNetworkCfg, LearnCfg
from sim2arm.sim.tasks.bimanual_insertion import BimanualInsertionCfg
from sim2arm.sim.tasks.pair import ARMS
from sim2arm.sim.tasks.transfer_cube import TransferCubeCfg

from .experiments import EXPERIMENTS, AnyTaskCfg

DATA = "data"
"""Folder of the datasets of demonstrations, one per task."""


AnyPairCfg: TypeAlias = TransferCubeCfg | BimanualInsertionCfg
"""Settings of tasks of two arms."""


@dataclass(frozen=True, kw_only=True)
class ImitateCfg:
    """Learn chunks of actions from demonstrations."""

    task: AnyTaskCfg | AnyPairCfg | None
    """The task; None: demonstrations of anything, such as those of a robot."""
    algo: AnyNetworkCfg = field(default_factory=ActCfg)
    """The network and its loss."""
    learn: LearnCfg = field(default_factory=LearnCfg)
    """Steps of learning, whatever the network."""
    executor: ExecutorSpec = field(default_factory=lambda: ExecutorSpec(kind="ensemble"))
    """How chunks become actions."""
    data: str
    """Folder of a dataset of `sim2arm record`."""
    episodes: int | None = None
    """Episodes of it that are learnt from, the first ones; all if None."""
    cameras: str = "none"
    """What is seen, as the demonstrations were recorded with it."""
    touch: str = "none"
    """What the pads are and feel, as in the demonstrations."""
    actuators: str = "ideal"
    """What is between low-level law and joints in trials, a name of `sim/robots/actuators.py`."""
    robot: str = "fr3"
    """Name of the arm."""
    steps: int = 10_000
    """Steps of learning."""
    target_success: float = 1.0
    """Stop when this share of the trial episodes succeeds."""
    trial_episodes: int = 50
    """Episodes of a trial."""
    trial_every: int = 1000
    """Steps between trials; there is one at the last step too."""
    held_out: int = 2
    """Without a task: episodes, the last ones, that are not learnt from; instead of trials, chunks
    are compared with what was done in them."""
    seed: int = 0
    """Seed of everything drawn in training."""
    threads: int = 1
    """Threads of torch."""
    out: Path | None = None
    """Run folder; runs/<experiment> by default."""
    resume: bool = False
    """Go on from the checkpoint in the run folder."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be learnt with."""
        least = dict.fromkeys(("steps", "trial_episodes", "trial_every", "held_out", "threads"), 1)
        for name, low in (least | {"seed": 0}).items():
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value < 2**63:
                raise ValueError(f"{name}: expected a whole number, {low} or more, got {value!r}")
        if self.task is None and (self.cameras, self.touch) != ("none", "none"):
            raise ValueError(
                "cameras, touch: without a task nothing is simulated: learn.sees names what is seen"
            )
        if self.episodes is not None and self.episodes < 1:
            raise ValueError(f"episodes: expected 1 or more, got {self.episodes}")
        if not 0.0 <= self.target_success <= 1.0:
            raise ValueError(f"target_success: expected 0 to 1, got {self.target_success}")
        horizon = self.algo.chunk - self.algo.past
        if not 1 <= self.executor.execute <= horizon:
            raise ValueError(
                f"executor.execute: expected 1 to {horizon}, the actions of a chunk from its tick "
                f"on, got {self.executor.execute}"
            )
        executor, together = self.executor, self.executor.execute + self.executor.delay
        if executor.kind == "ahead" and not 1 <= executor.delay <= executor.execute:
            raise ValueError(
                f"executor.delay: expected 1 to {executor.execute} (execute), got {executor.delay}"
            )
        if executor.kind == "ahead" and together > horizon:
            raise ValueError(f"executor: execute and delay: expected {horizon}, got {together}")
        if prefixed(self.algo) and executor.kind != "ahead":
            raise ValueError("algo.prefixed: only --executor.kind ahead commits actions")
        if self.executor.kind == "step" and horizon != 1:
            raise ValueError(f"executor.kind: step is for chunks of 1 action, got {horizon}")


ARM = ("joint_position", "ee_pose")
"""What every policy here sees of the arm. Velocities tell what was asked for last, and policies of
demonstrations then go on with it whatever else they see."""


def _pair_act(task: AnyPairCfg, name: str, sees: tuple[str, ...]) -> ImitateCfg:
    """Return ACT for two arms: half of the published chunk, an eighth of its width.

    `sees` are poses of objects; it also sees where they are from both tools.
    """
    return ImitateCfg(
        task=task,
        algo=ActCfg(chunk=50, dim=64, heads=4, feed=256, style_layers=2, layers=2, style=16),
        learn=LearnCfg(
            sees=(*ARM, "gripper_width", *sees),
            relative=tuple(("ee_pose", name) for name in sees),
            lengths=(0.05, 0.01),
            bases=tuple(arm.position for arm in ARMS),
            batch=64,
            lr=3e-4,
        ),
        executor=ExecutorSpec(kind="ensemble", decay=0.01),
        data=f"{DATA}/{name}",
        robot="ur5e",
    )


def _act(
    task: str, relative: tuple[tuple[str, str], ...], sees: tuple[str, ...], **changes: object
) -> ImitateCfg:
    cfg = ImitateCfg(
        task=EXPERIMENTS[f"{task}-ppo"][1].task,
        # A tenth of the published sizes: what two cores learn in minutes.
        algo=ActCfg(chunk=20, dim=128, heads=4, feed=256, style_layers=2, layers=2, style=8),
        learn=LearnCfg(
            sees=(*ARM, *sees), relative=relative, lengths=(0.05, 0.01), batch=64, lr=3e-4
        ),
        executor=ExecutorSpec(kind="ensemble", decay=0.01),
        data=f"{DATA}/{task}",
    )
    return replace(cfg, **changes)  # pyright: ignore[reportArgumentType]


def _diffusion(
    task: str, relative: tuple[tuple[str, str], ...], sees: tuple[str, ...], **changes: object
) -> ImitateCfg:
    cfg = ImitateCfg(
        task=EXPERIMENTS[f"{task}-ppo"][1].task,
        # A quarter of the published channels in one level less: what two cores learn in an hour.
        algo=DiffusionCfg(dims=(64, 128), step_dim=64),
        learn=LearnCfg(
            sees=(*ARM, *sees), relative=relative, lengths=(0.05, 0.01), batch=128, lr=3e-4,
            warm_up=500, cosine=True, weight_decay=1e-6, betas=(0.95, 0.999), average=True,
        ),
        executor=ExecutorSpec(kind="receding", execute=8),
        data=f"{DATA}/{task}",
    )  # fmt: skip
    return replace(cfg, **changes)  # pyright: ignore[reportArgumentType]


_ANY = ImitateCfg(task=None, data=f"{DATA}/demonstrations")


def _cube(algo: AnyNetworkCfg, execute: int, **learn: object) -> ImitateCfg:
    """Return another network for lifting a cube, what it sees as for ACT."""
    cfg = _act("lift-cube", (("ee_pose", "cube_pose"),), ("gripper_width", "cube_pose"))
    kind = "receding" if algo.chunk - algo.past > 1 else "step"
    return replace(
        cfg,
        algo=algo,
        learn=replace(cfg.learn, **learn),  # pyright: ignore[reportArgumentType]
        executor=ExecutorSpec(kind=kind, execute=execute),
    )


IMITATIONS: dict[str, tuple[str, ImitateCfg]] = {
    "act": (
        "Learn what demonstrations of an arm show with ACT; nothing is simulated.",
        replace(
            _ANY,
            algo=ActCfg(chunk=20, dim=256, feed=1024),
            learn=LearnCfg(batch=32, lr=1e-4),
            executor=ExecutorSpec(kind="ensemble", decay=0.01),
        ),
    ),
    "diffusion": (
        "Learn what demonstrations of an arm show with a diffusion policy; nothing is simulated.",
        replace(
            _ANY,
            algo=DiffusionCfg(dims=(128, 256, 512), step_dim=128),
            learn=LearnCfg(
                batch=128,
                lr=3e-4,
                warm_up=500,
                cosine=True,
                weight_decay=1e-6,
                betas=(0.95, 0.999),
                average=True,
            ),
            executor=ExecutorSpec(kind="receding", execute=8),
        ),
    ),
    "reach-act": (
        "Bring the tool to a goal pose with ACT, from demonstrations.",
        _act("reach", (("goal_pose", "ee_pose"),), ("goal_pose",)),
    ),
    "reach-diffusion": (
        "Bring the tool to a goal pose with a diffusion policy, from demonstrations.",
        _diffusion("reach", (("goal_pose", "ee_pose"),), ("goal_pose",)),
    ),
    "lift-cube-act": (
        "Grasp a cube and lift it with ACT, from demonstrations.",
        _act("lift-cube", (("ee_pose", "cube_pose"),), ("gripper_width", "cube_pose")),
    ),
    "lift-cube-act-jepa": (
        "Grasp a cube and lift it with ACT-JEPA, from demonstrations.",
        _cube(ActJepaCfg(chunk=20, dim=128, heads=4, feed=256, layers=2, predictor_layers=2), 5),
    ),
    "lift-cube-bc": (
        "Grasp a cube and lift it by behaviour cloning, from demonstrations.",
        _cube(BcCfg(), 1, lr=1e-3),
    ),
    "reach-beso": (
        "Bring the tool to a goal pose with BESO, guided by the goal, from demonstrations.",
        replace(
            _act("reach", (), ("goal_pose",)),
            algo=BesoCfg(chunk=8, goal=("goal_pose",), dim=120, heads=4, layers=4, feed=240),
            executor=ExecutorSpec(kind="receding", execute=4),
        ),
    ),
    "transfer-cube-act": (
        "Hand a cube from the right arm to the left with ACT, from demonstrations.",
        _pair_act(TransferCubeCfg(), "transfer-cube", ("cube_pose",)),
    ),
    "bimanual-insertion-act": (
        "Put a peg into a socket, each held by an arm, with ACT, from demonstrations.",
        _pair_act(BimanualInsertionCfg(), "bimanual-insertion", ("peg_pose", "socket_pose")),
    ),
    "push-t-diffusion": (
        "Push a T-shaped block into a goal pose with a diffusion policy, from demonstrations.",
        _diffusion(
            "push-t",
            (("ee_pose", "block_pose"), ("goal_pose", "block_pose")),
            ("block_pose", "goal_pose"),
        ),
    ),
    "lift-cube-diffusion": (
        "Grasp a cube and lift it with a diffusion policy, from demonstrations.",
        _diffusion("lift-cube", (("ee_pose", "cube_pose"),), ("gripper_width", "cube_pose")),
    ),
    "peg-insertion-act": (
        "Insert a peg with ACT, from demonstrations.",
        _act("peg-insertion", (("socket_pose", "ee_pose"),), ("socket_pose",)),
    ),
}
"""`sim2arm train EXPERIMENT` for those that learn from `sim2arm record`."""
