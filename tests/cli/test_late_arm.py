"""Evaluation on an arm whose commands come late: the gate's trajectories, later or not at all."""

# pyright: standard

from __future__ import annotations

import numpy as np
import pytest

from sim2arm.cli.evaluation import OtherArm, run_episodes
from sim2arm.cli.randomizations import Randomization
from sim2arm.core.contract import Contract, Provenance
from sim2arm.core.robots import FR3
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.contract import make_contract
from sim2arm.sim.delay import CommandDelay
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.table import make_task

TASK, STEPS = "max_steps: 30", 30


@pytest.fixture(scope="module")
def contract() -> Contract:
    env = Env(make_task("reach", "fr3", TASK), FR3, num_envs=1)
    return make_contract(env, Provenance(experiment="test"))


def desired(
    contract: Contract, term: CommandDelay | None, seeds: list[int], *, num_arms: int = 2,
    action: float = 0.1,
) -> np.ndarray:  # fmt: skip
    """Return where the controllers of the arms want to be after each step (T, N, 7)."""
    places: list[np.ndarray] = []

    def keep(arm: SimulatedArm) -> None:
        places.append(arm.desired()[0])

    other = None if term is None else OtherArm(change=Randomization(commands=term), seed=3)
    run_episodes(
        make_task("reach", "fr3", TASK), contract, lambda obs: np.full((num_arms, 6), action),
        seeds, num_arms=num_arms, record=keep, other=other,
    )  # fmt: skip
    return np.stack(places)


def test_all_commands_come_later_by_their_delay(contract: Contract) -> None:
    prompt = desired(contract, None, [1, 2])
    late = desired(contract, CommandDelay(low=2 / 60, high=2 / 60), [1, 2])
    np.testing.assert_allclose(
        late[2:], prompt[:-2], rtol=0, atol=1e-5
    )  # the leash is not in reach
    np.testing.assert_array_equal(late[0], late[1])
    assert np.abs(prompt[1] - prompt[0]).max() > 1e-5
    np.testing.assert_array_equal(desired(contract, CommandDelay(), [1, 2]), prompt)


def test_an_arm_that_gets_no_command_stands(contract: Contract) -> None:
    still = desired(contract, CommandDelay(lost=1.0), [1, 2])
    np.testing.assert_array_equal(still, np.broadcast_to(still[0], still.shape))


def test_late_and_lost_commands_of_an_episode_do_not_depend_on_its_batch(
    contract: Contract,
) -> None:
    term = CommandDelay(low=0.0, high=0.004, jitter=0.01, lost=0.2)
    both = desired(contract, term, [1, 2])
    alone = desired(contract, term, [2], num_arms=1)
    np.testing.assert_array_equal(both[:, 1:], alone)
    # Where a command was lost the arm coasts for a period and is back on its way with the next.
    prompt = desired(contract, None, [1, 2])
    assert 1e-5 < np.abs(both - prompt).max() < 0.05
