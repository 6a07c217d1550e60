"""What a training takes from elsewhere: a teacher's critic or actor, or demonstrations."""

# pyright: standard

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from sim2arm.core.contract import Provenance
from sim2arm.core.plain import differences, to_plain
from sim2arm.policies.checkpoint import load_checkpoint
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.demo_replay import replay_of
from sim2arm.policies.distill import Distill
from sim2arm.policies.offpolicy import OffPolicy
from sim2arm.policies.ppo import Ppo, PpoCfg
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.table import describe_task

from .errors import user_input
from .experiments import TrainCfg
from .runs import CHECKPOINT, Learner, build_task, read_config
from .take import stand_of


def take_teacher(learner: Learner, cfg: TrainCfg) -> None:
    """Give a learner the teacher of its settings.

    Raises:
        UserError: there is no such run, or it does not fit.
    """
    folder = Path(cfg.teacher)
    with user_input("--teacher", folder):
        _, teacher, _ = read_config(folder)
        if not isinstance(teacher.algo, PpoCfg):
            raise ValueError("expected a training with PPO, got a student")
        if type(teacher.task) is not type(cfg.task):
            raise ValueError(f"expected a teacher of the same task, got {teacher.task}")
        state = load_checkpoint(folder / CHECKPOINT)
        if isinstance(learner, Distill):
            _check_actions(teacher, cfg)
            task = build_task(teacher)
            names = task.actor if teacher.algo.sees == "actor" else task.critic
            learner.take_teacher(teacher.algo, names, state)
        elif isinstance(learner, Ppo):
            _check_critic(learner, teacher)
            learner.take_critic(state)


def take_start(learner: Learner, cfg: TrainCfg) -> None:
    """Let a learner begin with the networks of another training.

    Raises:
        UserError: there is no such run, or its networks are others.
    """
    folder = Path(cfg.start)
    with user_input("--start", folder):
        _, before, _ = read_config(folder)
        if type(before.task) is not type(cfg.task) or not isinstance(before.algo, PpoCfg):
            raise ValueError(f"expected a training of the same task with PPO, got {before.task}")
        _check_actions(before, cfg)
        assert isinstance(learner, Ppo)  # `TrainCfg` refuses others
        _check_critic(learner, before)
        learner.take_networks(load_checkpoint(folder / CHECKPOINT))


def take_demonstrations(learner: Learner, cfg: TrainCfg) -> None:
    """Give a learner with a replay the demonstrations of its settings.

    Raises:
        UserError: there are none, or they are of something else.
    """
    assert isinstance(learner, OffPolicy)  # `TrainCfg` refuses others
    with user_input("--demos", Path(cfg.demos)), _one_line():
        dataset = Dataset(Path(cfg.demos))
        stand = stand_of(dataset)
        task, _ = describe_task(build_task(cfg))
        if (stand.task, stand.robot) != (task, cfg.robot):
            raise ValueError(
                f"expected demonstrations of {task} by {cfg.robot}, got {stand.task} by "
                f"{stand.robot}"
            )
        env = cast(Env, learner.env)
        ours = to_plain(make_contract(env, Provenance(experiment="")).action)
        theirs = dataset.index.spec.documents["request"]
        if lines := differences(theirs, ours):
            raise ValueError(f"its actions are others: {'; '.join(lines)}")
        learner.take_demonstrations(replay_of(learner.replay, dataset))


@contextmanager
def _one_line() -> Iterator[None]:
    """Let what is wrong with a dataset be a wrong setting."""
    try:
        yield
    except DatasetError as error:
        raise ValueError(str(error)) from error


def _check_actions(teacher: TrainCfg, cfg: TrainCfg) -> None:
    """See that an action of the teacher means the same to the student.

    Raises:
        ValueError: it does not.
    """
    for name in ("robot", "controller"):
        ours, theirs = getattr(cfg, name), getattr(teacher, name)
        if ours != theirs:
            raise ValueError(f"its actions are others: {name} {theirs}, here {ours}")


def _check_critic(learner: Ppo, teacher: TrainCfg) -> None:
    """See that a teacher's critic sees what the learner's sees, in the same order.

    Raises:
        ValueError: it sees something else.
    """
    algo, ours = teacher.algo, learner.model.critic.features
    assert isinstance(algo, PpoCfg)
    theirs = (
        tuple(build_task(teacher).critic),
        (*algo.relative, *algo.critic_relative),
        algo.lengths,
    )
    labels = ("observations", "relative poses", "lengths")
    for label, found, wanted in zip(
        labels, theirs, (ours.names, ours.relative, ours.lengths), strict=True
    ):
        if found != wanted:
            raise ValueError(f"its critic has other {label}: {found}, here {wanted}")
