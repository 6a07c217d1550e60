"""The experiments: name -> (help line, configuration). Each is a task with an algorithm."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from sim2arm.core.controllers import EeDeltaCfg
from sim2arm.policies.actor import ActorCfg
from sim2arm.policies.actor_critic import SightCfg
from sim2arm.policies.bins import Zoom
from sim2arm.policies.cqn import CqnCfg
from sim2arm.policies.distill import DistillCfg
from sim2arm.policies.drqv2 import DrqV2Cfg
from sim2arm.policies.offpolicy import ReplayCfg
from sim2arm.policies.ppo import PpoCfg
from sim2arm.policies.sac import SacCfg
from sim2arm.policies.td3 import Td3Cfg
from sim2arm.sim.curriculum import CurriculumCfg
from sim2arm.sim.tasks.bolt_on_nut import BoltOnNutCfg
from sim2arm.sim.tasks.lift_cube import LiftCubeCfg
from sim2arm.sim.tasks.peg_insertion import PegInsertionCfg
from sim2arm.sim.tasks.peg_placement import PegPlacementCfg
from sim2arm.sim.tasks.push_t import PushTCfg
from sim2arm.sim.tasks.reach import ReachCfg

from .one_arm import OnlineCfg

AnyTaskCfg: TypeAlias = (
    BoltOnNutCfg | LiftCubeCfg | PegInsertionCfg | PegPlacementCfg | PushTCfg | ReachCfg
)
"""Settings of tasks."""
AnyAlgoCfg: TypeAlias = PpoCfg | DistillCfg | Td3Cfg | SacCfg | DrqV2Cfg | CqnCfg
"""Settings of algorithms."""


@dataclass(frozen=True, kw_only=True)
class TrainCfg:
    """Train a policy."""

    task: AnyTaskCfg
    """The task."""
    algo: AnyAlgoCfg = field(default_factory=PpoCfg)
    """The algorithm."""
    teacher: str = ""
    """Run folder of a privileged PPO training: PPO takes its critic, distillation imitates it."""
    start: str = ""
    """Run folder of a PPO training of the same task whose networks this one begins with, for other
    ranges or another arm for example; none if empty: random ones."""
    demos: str = ""
    """Folder of demonstrations of the task (`sim2arm record`) that agents with a replay learn from
    besides; none if empty."""
    controller: EeDeltaCfg = field(default_factory=EeDeltaCfg)
    """How actions become joint motion."""
    lead_share: float = 0.5
    """Share of episodes in which motions start a period after their action, as in real time."""
    latency: str = ""
    """File of measured latencies from action to controller (`sim2arm bench ros --latency`), of
    which each command draws one; none if empty. The run keeps a copy."""
    dynamics: str = ""
    """Record of `calibrate dynamics`: friction, inertia, gains, payload and delay of the arm, drawn
    about what was measured instead of what was guessed; none if empty. The run keeps a copy."""
    gel: str = ""
    """Record of `calibrate gel`: stiffness, damping and friction of the gels of `touch`, drawn
    about what was measured; none if empty. The run keeps a copy."""
    randomization: str = "none"
    """What differs between episodes beside their start, a name of `cli/randomizations.py`."""
    curriculum: CurriculumCfg = field(default_factory=CurriculumCfg)
    """How much of that: all from the start on, or more as episodes succeed."""
    cameras: str = "none"
    """What is seen beside the task's observations, a name of `cli/cameras.py`."""
    calibrations: tuple[str, ...] = ()
    """Records of `calibrate intrinsics`, `hand-eye` and `latency` of these cameras: lens, place and
    age, and how far all may be off, instead of guesses. The run keeps copies."""
    touch: str = "none"
    """What the pads are and what of them is felt, a name of `cli/touches.py`; none: hard pads."""
    actuators: str = "ideal"
    """What is between low-level law and joints, a name of `sim/robots/actuators.py`."""
    world: str = "mujoco"
    """Engine of the physics: mujoco (C, on the CPU), warp (GPU), process (a worker)."""
    device: str = "cpu"
    """Where engine and networks run: cpu or cuda:0."""
    contacts: int | None = None
    """Room for contacts per world of a Warp world; None: 64."""
    rows: int | None = None
    """Room for constraint rows in each world of a Warp world; None: 256."""
    robot: str = "fr3"
    """Name of the arm."""
    num_envs: int = 256
    """Parallel worlds."""
    iterations: int = 500
    """Most iterations; each is `algo.rollout` steps of all worlds."""
    target_success: float = 0.95
    """Stop when this share of the trial episodes succeeds: seeded, without random actions."""
    trial_episodes: int = 400
    """Episodes of a trial."""
    trial_every: int = 20
    """Iterations between trials; there is one at the last iteration too."""
    trial_from: float = 0.6
    """No trials until this share of the last 1000 training episodes succeeded, nor before a
    curriculum has come to the whole ranges, which trials draw from."""
    seed: int = 0
    """Seed of everything drawn in training."""
    threads: int = 1
    """Threads of torch; physics always uses all cores."""
    online: OnlineCfg = field(default_factory=OnlineCfg)
    """Whether one arm acts as a robot would, while a process beside it learns."""
    out: Path | None = None
    """Run folder; runs/<experiment> by default."""
    resume: bool = False
    """Go on from the checkpoint in the run folder."""

    def __post_init__(self) -> None:
        """Refuse settings that nothing can be trained with."""
        least = dict.fromkeys(
            ("num_envs", "iterations", "trial_episodes", "trial_every", "threads"), 1
        )
        for name, low in (least | {"seed": 0}).items():
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value < 2**63:
                raise ValueError(f"{name}: expected a whole number, {low} or more, got {value!r}")
        for name in ("contacts", "rows"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and 1 <= value < 2**31):
                raise ValueError(f"{name}: expected a whole number, 1 or more, got {value!r}")
        for name in ("lead_share", "target_success", "trial_from"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
                raise ValueError(f"{name}: expected 0 to 1, got {value!r}")
        if self.curriculum.moves and self.randomization == "none":
            raise ValueError(
                f"curriculum.start {self.curriculum.start}: without --randomization there are no "
                "ranges to widen"
            )
        if self.controller.limit_share > 1.0:
            raise ValueError(
                "controller.limit_share: expected 1 or less, because the gate refuses what is "
                f"beyond the limits, got {self.controller.limit_share}"
            )
        self._check_algo()
        if self.online.on:
            self._check_online()

    def _check_online(self) -> None:
        if isinstance(self.algo, PpoCfg | DistillCfg):
            raise ValueError("online.on: only agents with a replay learn beside an arm that acts")
        if self.num_envs != 1 or self.device != "cpu":
            raise ValueError(
                f"online.on: expected num_envs 1 on the cpu, got {self.num_envs} on {self.device}"
            )
        if self.randomization != "none" or self.latency or self.dynamics or self.gel:
            raise ValueError(
                "online.on: an arm is as it is: expected no randomization, latency, dynamics or gel"
            )
        if self.algo.sight.asymmetric:
            raise ValueError("online.on: with algo.sight.asymmetric the critic knows the truth")
        if not (self.algo.learn.sparse or self.algo.learn.interventions):
            raise ValueError(
                "online.on: expected algo.learn.sparse (success is the reward) or "
                "algo.learn.interventions (take-overs are)"
            )

    def _check_algo(self) -> None:
        algo = self.algo
        if self.start and (not isinstance(algo, PpoCfg) or self.teacher):
            raise ValueError("start: only PPO begins with networks, and with no teacher")
        if isinstance(algo, DistillCfg):
            if not self.teacher:
                raise ValueError("teacher: expected the run folder of a privileged PPO training")
            if self.demos:
                raise ValueError("demos: a student learns from its teacher")
            return
        if not isinstance(algo, PpoCfg):
            if self.teacher:
                raise ValueError("teacher: only PPO and distillation have one")
            if self.demos and not algo.learn.sparse:
                raise ValueError(
                    "algo.learn.sparse: demonstrations say when they succeeded, not what each step "
                    "was worth: learn from that reward"
                )
            return
        if self.demos:
            raise ValueError("demos: only agents with a replay learn from demonstrations")
        if algo.freeze_critic and not self.teacher:
            raise ValueError("algo.freeze_critic: a critic that nobody taught would stay random")
        parts, steps = max(2, algo.minibatches), self.num_envs * algo.rollout
        if steps < parts:
            raise ValueError(f"num_envs x algo.rollout: expected {parts} or more, got {steps}")
        if algo.actor.remembers and self.num_envs < algo.minibatches:
            raise ValueError(
                "num_envs: a minibatch of an actor that remembers is of whole worlds: expected "
                f"algo.minibatches {algo.minibatches} or more, got {self.num_envs}"
            )


ALGO = PpoCfg(initial_std=0.4, entropy=0.001, desired_kl=0.016, lr_low=1e-4)
# Random steps of 2 mm and updates larger than rsl_rl's: precise motion, learnt in minutes.

PEG = TrainCfg(
    task=PegInsertionCfg(),
    algo=replace(ALGO, relative=(("socket_pose", "ee_pose"),)),
    # Half of TacSL's steps and a short leash: exploration must not tear the peg from the hand.
    controller=EeDeltaCfg(position_scale=0.005, rotation_scale=0.02, position_leash=0.015),
    iterations=450,
)
REACH = TrainCfg(
    task=ReachCfg(),
    # Actions are twice as large as the peg's, random steps as small.
    algo=replace(ALGO, relative=(("goal_pose", "ee_pose"),), initial_std=0.2, entropy=0.0005),
    iterations=400,
    trial_from=0.3,
)
LIFT = TrainCfg(
    task=LiftCubeCfg(),
    algo=replace(ALGO, relative=(("ee_pose", "cube_pose"),), entropy=0.002),
    controller=EeDeltaCfg(position_scale=0.01, rotation_scale=0.03),
    iterations=1000,
)
PLACE = replace(
    PEG,
    task=PegPlacementCfg(),
    algo=replace(ALGO, relative=(("pad_pose", "ee_pose"), ("pad_pose", "peg_pose"))),
    iterations=800,
)
PUSH = TrainCfg(
    task=PushTCfg(),
    algo=replace(ALGO, relative=(("ee_pose", "block_pose"), ("goal_pose", "block_pose"))),
    # The fingers stay upright: turning them is no use here.
    controller=EeDeltaCfg(position_scale=0.01, rotation_scale=0.002),
    iterations=1500,
)
# An actor that remembers needs longer roll-outs and smaller steps: after 0.64 M steps of placement
# on a critic (seed 0) 1.5 % of episodes succeeded, with 24 steps and a least rate of 1e-4 0.4 %.
REMEMBERS = replace(ALGO, actor=ActorCfg(lstm=128), rollout=64, lr_low=1e-5)
# Touch, once it is seen, says how the peg lies in the hand; until then these guess. The critic is
# that of peg-placement-ppo.
PLACE_STUDENT = replace(
    PLACE,
    task=PegPlacementCfg(peg_seen=False),
    algo=replace(
        REMEMBERS,
        relative=(("pad_pose", "ee_pose"),),
        critic_relative=(("pad_pose", "peg_pose"),),
    ),
    iterations=PLACE.iterations * ALGO.rollout // REMEMBERS.rollout,
)
PLACE_TEACHER = "runs/peg-placement-ppo"
INSERT_TEACHER = "runs/peg-insertion-ppo-privileged"
# TacSL's: an error of +-5 mm that only touch or sight can find.
INSERT = replace(PEG, task=PegInsertionCfg(clearance=0.0005, socket_noise=0.005))
INSERT_PRIVILEGED = replace(
    INSERT,
    algo=replace(
        ALGO,
        sees="critic",
        relative=(("socket_pose", "ee_pose"), ("true_socket_pose", "ee_pose")),
    ),
)
INSERT_STUDENT = replace(
    INSERT,
    algo=replace(
        REMEMBERS,
        relative=(("socket_pose", "ee_pose"),),
        critic_relative=(("true_socket_pose", "ee_pose"),),
    ),
    iterations=170,  # as many steps as 450 of the teacher, in whole roll-outs of imitation too
)


def imitation(student: TrainCfg, kind: Literal["bc", "dagger"], teacher: str) -> TrainCfg:
    """Return a training of the same actor by imitation, in as many steps."""
    own = student.algo
    assert isinstance(own, PpoCfg)
    algo = DistillCfg(kind=kind, relative=own.relative, actor=own.actor)
    iterations = student.iterations * own.rollout // algo.rollout
    return replace(student, algo=algo, teacher=teacher, iterations=iterations)


BOLT = replace(
    PEG,
    task=BoltOnNutCfg(),
    algo=replace(ALGO, relative=(("nut_pose", "ee_pose"),)),
    iterations=1000,
)
OFF = SightCfg(relative=(("goal_pose", "ee_pose"),), asymmetric=True)
"""What agents that learn from replay see of a reach."""
REACH_SAC = replace(
    REACH,
    algo=SacCfg(learn=ReplayCfg(updates=16, batch=512, discount=0.98), sight=OFF, first_weight=0.1),
    num_envs=32,
    iterations=400,
)
REACH_TD3 = replace(
    REACH_SAC,
    algo=Td3Cfg(
        learn=ReplayCfg(updates=16, batch=512, discount=0.98), sight=OFF, lr=1e-3,
        noise_low=0.05, noise_high=0.4,
    ),
)  # fmt: skip
FEW = ReplayCfg(
    rollout=25, updates=25, batch=256, rows=100_000, random=0, tau=0.02, sparse=True, discount=0.99
)
"""Of one arm with demonstrations: an update per step, half of a batch demonstrations."""


def few(base: TrainCfg, algo: CqnCfg | DrqV2Cfg, data: str) -> TrainCfg:
    """Return a training of one arm with demonstrations and sparse reward, of 30 000 steps."""
    own = base.algo
    assert isinstance(own, PpoCfg)
    algo = replace(algo, sight=replace(algo.sight, relative=own.relative, stack=1, shift=0))
    return replace(
        base, algo=algo, demos=data, num_envs=1, iterations=1_200,
        trial_every=120, trial_episodes=100, trial_from=0.0,
    )  # fmt: skip


# Layers of 128 in place of the published 512, for a CPU; the critics' noise and bins are published.
FEW_CQN = CqnCfg(learn=FEW, zoom=Zoom(levels=3, bins=5), hidden=(128, 128), lr=2e-4)
FEW_DRQV2 = DrqV2Cfg(
    learn=replace(FEW, steps=3, tau=0.01),
    hidden=(256, 256),
    noise_first=0.2,
    noise_last=0.1,
    noise_steps=30_000,
)

EXPERIMENTS: dict[str, tuple[str, TrainCfg]] = {
    "push-t-ppo": ("Push a T-shaped block into a goal pose with PPO.", PUSH),
    "bolt-on-nut-ppo": ("Set an M16 bolt on a nut and turn it by 1 rad with PPO.", BOLT),
    "reach-ppo": ("Bring the tool to a goal pose with PPO.", REACH),
    "reach-sac": ("Bring the tool to a goal pose with SAC.", REACH_SAC),
    "reach-td3": ("Bring the tool to a goal pose with TD3.", REACH_TD3),
    "lift-cube-ppo": ("Grasp a cube and lift it to 20 cm with PPO.", LIFT),
    "peg-insertion-ppo": ("Insert a peg, 2.5 mm clearance, +-2 mm noise, with PPO.", PEG),
    "peg-insertion-cqn": (
        "The same with CQN, one arm, 50 demonstrations in data/peg-insertion and sparse reward.",
        few(PEG, FEW_CQN, "data/peg-insertion"),
    ),
    "lift-cube-cqn": (
        "Lift a cube with CQN, one arm, 50 demonstrations in data/lift-cube and sparse reward.",
        few(LIFT, FEW_CQN, "data/lift-cube"),
    ),
    "lift-cube-cqn-as": (
        "The same with CQN-AS, four actions in a row.",
        few(LIFT, replace(FEW_CQN, row=4), "data/lift-cube"),
    ),
    "lift-cube-drqv2": (
        "The same with DrQ-v2 and demonstrations, without pictures.",
        few(LIFT, FEW_DRQV2, "data/lift-cube"),
    ),
    "peg-placement-ppo": ("Stand a peg, held askew, upright on a pad; its pose is seen.", PLACE),
    "peg-placement-ppo-blind": (
        "The same without the peg's pose, which touch would tell: a baseline to beat.",
        replace(
            PLACE,
            task=PegPlacementCfg(peg_seen=False),
            algo=replace(ALGO, relative=(("pad_pose", "ee_pose"),)),
        ),
    ),
    "peg-placement-student": (
        "The same with memory: PPO from scratch, or on a teacher's critic with --teacher RUN.",
        PLACE_STUDENT,
    ),
    "peg-placement-aacd": (
        "The same on the critic of runs/peg-placement-ppo (TacSL's stage 2).",
        replace(PLACE_STUDENT, teacher=PLACE_TEACHER),
    ),
    "peg-placement-dagger": (
        "The same student imitates runs/peg-placement-ppo in states of its own (DAgger).",
        imitation(PLACE_STUDENT, "dagger", PLACE_TEACHER),
    ),
    "peg-placement-bc": (
        "The same student imitates runs/peg-placement-ppo in states of the teacher.",
        imitation(PLACE_STUDENT, "bc", PLACE_TEACHER),
    ),
    "peg-insertion-ppo-privileged": (
        "Insertion at 0.5 mm clearance, +-5 mm noise, by a teacher that knows the truth.",
        INSERT_PRIVILEGED,
    ),
    "peg-insertion-student": (
        "A student of that with memory: PPO from scratch, or on a critic with --teacher RUN.",
        INSERT_STUDENT,
    ),
    "peg-insertion-aacd": (
        "The same on the critic of runs/peg-insertion-ppo-privileged.",
        replace(INSERT_STUDENT, teacher=INSERT_TEACHER),
    ),
    "peg-insertion-dagger": (
        "The same student imitates runs/peg-insertion-ppo-privileged (DAgger).",
        imitation(INSERT_STUDENT, "dagger", INSERT_TEACHER),
    ),
    "peg-insertion-bc": (
        "The same student imitates it in states of the teacher.",
        imitation(INSERT_STUDENT, "bc", INSERT_TEACHER),
    ),
    "peg-insertion-ppo-tight": (
        "The same at 0.5 mm clearance and +-5 mm noise, without touch: a hard baseline.",
        INSERT,
    ),
}
