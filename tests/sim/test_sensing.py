"""Late, lost, biased and noisy readings: by hand, by their statistics, and in the environment."""

# pyright: standard

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sim2arm.core.contract import Provenance
from sim2arm.core.kinematics import forward_pose
from sim2arm.core.robots import FR3
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.sensing import Delay, Noise, Sensing, SensorTerm
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.worlds.table import WORLDS

N, PERIOD = 4, 0.01


def truth_at(step: int, n: int = N) -> dict[str, torch.Tensor]:
    """Joints that rise by 1 per step, ten apart in each world."""
    rows = torch.arange(n, dtype=torch.float64)[:, None]
    return {
        "joint_position": step + 10.0 * rows.expand(-1, 7).clone(),
        "goal_pose": torch.tensor([[0.1, 0.2, 0.3, 1.0, 0.0, 0.0, 0.0]]).double().repeat(n, 1),
    }


def make_sensing(*terms: SensorTerm, n: int = N) -> Sensing:
    generator = torch.Generator().manual_seed(0)
    sensing = Sensing(terms, truth_at(0, n), FR3, period=PERIOD, generator=generator)
    return sensing


def everyone(n: int = N) -> torch.Tensor:
    return torch.ones(n, dtype=torch.bool)


def test_a_reading_is_as_old_as_its_delay_by_hand() -> None:
    sensing = make_sensing(Delay(names=("joint_position",), low=0.0, high=0.03))
    # 0, 10, 15 and 30 ms of a period of 10 ms
    unit = torch.tensor([[0.0], [1 / 3], [0.5], [1.0]], dtype=torch.float64)
    assert sensing.count == 1
    sensing.start(everyone(), unit, truth_at(0))
    base = 10.0 * np.arange(4)
    for step, expected in (
        (1, [1, 0, 0, 0]),  # before the start nothing moved
        (2, [2, 1, 0.5, 0]),
        (3, [3, 2, 1.5, 0]),
        (4, [4, 3, 2.5, 1]),
        (5, [5, 4, 3.5, 2]),
    ):
        seen = sensing.read(truth_at(step))["joint_position"][:, 0]
        np.testing.assert_allclose(seen, base + expected, atol=1e-9)


def test_a_share_of_the_episodes_has_the_least_delay() -> None:
    sensing = make_sensing(Delay(names=("joint_position",), low=0.01, high=0.03, share=0.5))
    unit = torch.tensor([[0.0], [0.5], [0.75], [1.0]], dtype=torch.float64)
    sensing.start(everyone(), unit, truth_at(0))
    for step in range(1, 8):
        sensing.read(truth_at(step))
    seen = sensing.read(truth_at(8))["joint_position"][:, 0]
    # half of the numbers mean 10 ms, the other half 10 to 30 ms
    np.testing.assert_allclose(8 + 10.0 * np.arange(4) - seen.numpy(), [1, 1, 2, 3], atol=1e-9)
    with pytest.raises(ValueError, match="share: expected above 0 to 1, got 0"):
        Delay(names=("joint_position",), high=0.01, share=0.0)


def test_a_start_forgets_the_past_of_chosen_worlds() -> None:
    sensing = make_sensing(Delay(names=("joint_position",), low=0.02, high=0.02))
    unit = torch.zeros((N, 1), dtype=torch.float64)
    sensing.start(everyone(), unit, truth_at(0))
    for step in range(1, 6):
        sensing.read(truth_at(step))
    sensing.start(torch.tensor([False, True, False, False]), unit, truth_at(100))
    chosen = torch.tensor([False, True, False, False])
    seen = sensing.first(chosen, truth_at(5))["joint_position"][:, 0]
    np.testing.assert_allclose(seen, [3.0, 110.0, 23.0, 33.0])


def test_episodes_that_begin_elsewhere_draw_no_second_reading() -> None:
    n = 200
    delay = Delay(names=("joint_position",), high=0.02, jitter=0.01, lost=0.5)
    sensing = make_sensing(delay, n=n)
    unit = torch.linspace(0.0, 0.99, n)[:, None]
    sensing.start(everyone(n), unit, truth_at(0, n))
    for step in range(1, 4):
        sensing.read(truth_at(step, n))
    seen = sensing.read(truth_at(4, n))["joint_position"]
    again = sensing.first(torch.zeros(n, dtype=torch.bool), truth_at(4, n))["joint_position"]
    assert torch.equal(seen, again)


def test_lost_readings_are_seen_again() -> None:
    n = 2000
    sensing = make_sensing(Delay(names=("joint_position",), high=0.0, lost=0.25), n=n)
    sensing.start(everyone(n), torch.zeros((n, 1)), truth_at(0, n))
    before = sensing.read(truth_at(1, n))["joint_position"][:, 0]
    after = sensing.read(truth_at(2, n))["joint_position"][:, 0]
    base = 10.0 * torch.arange(n)
    stale = after - base
    assert set(stale.unique().tolist()) == {0.0, 1.0, 2.0}  # lost twice, once, not at all
    share = float((stale < 2.0).double().mean())
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / n) ** 0.5
    np.testing.assert_allclose(stale[stale < 2.0], (before - base)[stale < 2.0])


def test_jitter_is_drawn_for_every_reading() -> None:
    n = 4000
    sensing = make_sensing(Delay(names=("joint_position",), high=0.0, jitter=0.01), n=n)
    sensing.start(everyone(n), torch.zeros((n, 1)), truth_at(0, n))
    seen = torch.zeros(n)
    for step in range(1, 10):
        seen = sensing.read(truth_at(step, n))["joint_position"][:, 0]
    age = (9.0 - (seen - 10.0 * torch.arange(n))) * PERIOD
    assert age.min() >= 0.0 and age.max() <= 0.01 + 1e-12
    # Uniform on 0 to 10 ms: mean 5 ms, deviation 10 / sqrt(12) = 2.887 ms.
    assert float(age.mean()) == pytest.approx(0.005, abs=4 * 0.002887 / n**0.5)
    assert float(age.std()) == pytest.approx(0.002887, rel=0.05)


def test_measured_delays_are_drawn_for_every_reading_as_often_as_they_were_measured() -> None:
    n = 4000
    measured = (0.012, 0.004, 0.004, 0.008)
    sensing = make_sensing(Delay(names=("joint_position",), samples=measured), n=n)
    assert sensing.ages() == {"joint_position": (0.004, 0.012)}
    sensing.start(everyone(n), torch.zeros((n, 1)), truth_at(0, n))
    ages = []
    for step in range(1, 4):
        seen = sensing.read(truth_at(step, n))["joint_position"][:, 0]
        ages.append(((step - (seen - 10.0 * torch.arange(n))) * PERIOD).round(decimals=6))
    for value, share in ((0.004, 0.5), (0.008, 0.25), (0.012, 0.25)):
        found = float((ages[2] == value).double().mean())
        assert found == pytest.approx(share, abs=4 * (0.25 * 0.75 / n) ** 0.5)
    assert (ages[1] != ages[2]).any()
    sensing.level = 0.5  # half of what is above the least
    seen = sensing.read(truth_at(4, n))["joint_position"][:, 0]
    late = ((4 - (seen - 10.0 * torch.arange(n))) * PERIOD).round(decimals=6)
    assert set(late.unique().tolist()) == {0.004, 0.006, 0.008}
    assert sensing.ages() == {"joint_position": pytest.approx((0.004, 0.008))}


def test_no_reading_is_followed_by_an_older_one() -> None:
    n = 500
    term = Delay(names=("joint_position",), samples=(0.0, 0.03), lost=0.2)
    sensing = make_sensing(term, n=n)
    sensing.start(everyone(n), torch.zeros((n, 1)), truth_at(0, n))
    before = torch.zeros(n, dtype=torch.float64)
    again = 0
    for step in range(1, 12):
        seen = sensing.read(truth_at(step, n))["joint_position"][:, 0] - 10.0 * torch.arange(n)
        assert (seen >= before - 1e-9).all()
        again += int((seen <= before + 1e-9).sum())
        before = seen
    assert again > n  # what is 30 ms old has been overtaken


def test_bias_stays_and_white_noise_does_not() -> None:
    n = 3000
    sensing = make_sensing(Noise(name="joint_position", bias=0.5, deviation=0.1), n=n)
    assert sensing.count == 7
    unit = torch.full((n, 7), 0.5, dtype=torch.float64)
    unit[0] = 0.0
    sensing.start(everyone(n), unit, truth_at(0, n))
    readings = [sensing.read(truth_at(0, n))["joint_position"] for _ in range(2)]
    off = [reading - truth_at(0, n)["joint_position"] for reading in readings]
    assert float(off[0][1:].std()) == pytest.approx(0.1, rel=0.03)
    assert float((off[0][1:] - off[1][1:]).std()) == pytest.approx(0.1414, rel=0.03)
    assert float(off[0][0].mean()) == pytest.approx(-0.5, abs=4 * 0.1 / 7**0.5)


def test_noise_of_a_pose_is_in_its_position() -> None:
    sensing = make_sensing(Noise(name="goal_pose", bias=0.01, deviation=0.0))
    sensing.start(everyone(), torch.ones((N, 3), dtype=torch.float64), truth_at(0))
    seen = sensing.read(truth_at(0))["goal_pose"]
    np.testing.assert_allclose(seen, [[0.11, 0.21, 0.31, 1, 0, 0, 0]] * N)


def test_at_half_the_level_by_hand() -> None:
    terms = (
        Delay(names=("joint_position",), low=0.01, high=0.03),
        Noise(name="goal_pose", bias=0.01, deviation=0.0),
    )
    sensing = make_sensing(*terms)
    sensing.level = 0.5
    unit = torch.ones((N, 4), dtype=torch.float64)
    # From 10 ms half the way to 30: 10, 15, 20 and 12.5 ms of a period of 10 ms.
    unit[:, 0] = torch.tensor([0.0, 0.5, 1.0, 0.25])
    sensing.start(everyone(), unit, truth_at(0))
    seen = [sensing.read(truth_at(step)) for step in range(1, 6)][-1]
    ages = 5.0 - (seen["joint_position"][:, 0] - 10.0 * torch.arange(N))
    np.testing.assert_allclose(ages, [1.0, 1.5, 2.0, 1.25], atol=1e-9)
    np.testing.assert_allclose(seen["goal_pose"][:, :3], [[0.105, 0.205, 0.305]] * N)
    assert sensing.ages()["joint_position"] == pytest.approx((0.01, 0.02))
    assert sensing.noises == (Noise(name="goal_pose", bias=0.005),)


def test_at_level_zero_sensors_tell_the_truth_and_at_half_the_level_half_as_many_are_lost() -> None:
    n = 2000
    sensing = make_sensing(
        Delay(names=("joint_position",), high=0.02, jitter=0.01, lost=0.8),
        Noise(name="goal_pose", bias=0.01, deviation=0.01),
        n=n,
    )
    sensing.level = 0.0
    sensing.start(everyone(n), torch.rand((n, 4), dtype=torch.float64), truth_at(0, n))
    for step in (1, 2):
        seen = sensing.read(truth_at(step, n))
        for name, values in truth_at(step, n).items():
            torch.testing.assert_close(seen[name], values, rtol=0, atol=0)
    sensing.level = 0.5  # bias and delay of these episodes stay as they were drawn
    seen = sensing.read(truth_at(3, n))
    white = seen["goal_pose"][:, :3] - truth_at(3, n)["goal_pose"][:, :3]
    assert float(white.std()) == pytest.approx(0.005, rel=0.05)
    # At most 5 ms of jitter is half a period: below 2.5 are those that did not arrive.
    kept = seen["joint_position"][:, 0] - 10.0 * torch.arange(n) < 2.4
    assert float(kept.double().mean()) == pytest.approx(0.4, abs=4 * (0.4 * 0.6 / n) ** 0.5)


@pytest.mark.parametrize("engine", WORLDS)
def test_the_tool_is_where_the_joints_that_were_read_put_it(engine: str) -> None:
    sensors = (
        Noise(name="joint_position", bias=0.02, deviation=0.01),
        Delay(names=("joint_position", "joint_velocity"), low=0.01, high=0.03, jitter=0.005),
    )
    env = Env(make_task("reach", "fr3"), FR3, num_envs=3, sensors=sensors, world=engine)
    obs = env.reset([1, 2, 3])
    for _ in range(3):
        pose = forward_pose(FR3.chain, obs["joint_position"])
        torch.testing.assert_close(obs["ee_pose"], pose)
        true = env.world.site(FR3.chain.tool_frame).pose.to(torch.float32)
        assert (obs["ee_pose"][:, :3] - true[:, :3]).abs().max() > 1e-3
        obs = env.step(torch.ones((3, 6)))[0]


def test_a_seed_is_an_episode_with_its_bias_and_delay() -> None:
    sensors = (Noise(name="joint_position", bias=0.02), Delay(names=("goal_pose",), high=0.02))

    def first(seeds: list[int]) -> torch.Tensor:
        env = Env(make_task("reach", "fr3"), FR3, num_envs=len(seeds), sensors=sensors)
        return env.reset(seeds)["joint_position"]

    torch.testing.assert_close(first([5, 6])[1], first([6])[0], rtol=0, atol=0)


def test_an_episode_that_begins_sees_nothing_of_the_last() -> None:
    sensors = (Delay(names=("goal_pose", "joint_position"), low=0.04, high=0.04),)
    env = Env(make_task("reach", "fr3", "max_steps: 4"), FR3, num_envs=2, sensors=sensors)
    obs = env.reset()
    for step in range(1, 9):
        last = obs["goal_pose"].clone()
        obs, *_, info = env.step(torch.ones((2, 6)))
        if step % 4 == 0:
            torch.testing.assert_close(info["final_obs"]["goal_pose"], last)
            assert (obs["goal_pose"] != last).any(dim=-1).all()
            q = env.world.joints(FR3.joint_names).q.to(torch.float32)
            torch.testing.assert_close(obs["joint_position"], q)
        else:
            torch.testing.assert_close(obs["goal_pose"], last)


def test_the_contract_tells_ages_and_noise() -> None:
    sensors = (
        Delay(names=("joint_position",), low=0.005, high=0.02, jitter=0.01),
        Noise(name="goal_pose", bias=0.003, deviation=0.001),
    )
    env = Env(make_task("reach", "fr3"), FR3, num_envs=1, sensors=sensors)
    contract = make_contract(env, Provenance(experiment="test"))
    inputs = {spec.name: spec for spec in contract.inputs}
    assert inputs["joint_position"].trained_age_s == pytest.approx((0.005, 0.03))
    assert inputs["joint_velocity"].trained_age_s == (0.0, 0.0)
    ranges = {r.name: (r.unit, r.high) for r in contract.ranges}
    assert ranges["bias/goal_pose"] == ("m m m 1 1 1 1", 0.003)
    assert ranges["noise/goal_pose"] == ("m m m 1 1 1 1", 0.001)
    env.level = 0.5  # as far as a curriculum came
    contract = make_contract(env, Provenance(experiment="test"))
    inputs = {spec.name: spec for spec in contract.inputs}
    assert inputs["joint_position"].trained_age_s == pytest.approx((0.005, 0.0175))
    ranges = {r.name: (r.unit, r.high) for r in contract.ranges}
    assert ranges["bias/goal_pose"] == ("m m m 1 1 1 1", 0.0015)
    assert ranges["noise/goal_pose"] == ("m m m 1 1 1 1", 0.0005)


@pytest.mark.parametrize(
    ("terms", "error", "message"),
    [
        ((Noise(name="joint_torque"),), KeyError, "no observation 'joint_torque'. Known"),
        ((Noise(name="ee_pose"),), ValueError, "ee_pose follows from joint_position"),
        (
            (Delay(names=("goal_pose",)), Delay(names=("goal_pose",))),
            ValueError,
            "two delays of the same observation",
        ),
    ],
)
def test_terms_that_cannot_be(terms: Any, error: type[Exception], message: str) -> None:
    truth = truth_at(0) | {"ee_pose": truth_at(0)["goal_pose"]}
    with pytest.raises(error, match=message):
        Sensing(terms, truth, FR3, period=PERIOD, generator=torch.Generator())


@pytest.mark.parametrize(
    "build",
    [
        lambda: Delay(names=("a",), low=0.02, high=0.01),
        lambda: Delay(names=("a",), jitter=-1.0),
        lambda: Delay(names=("a",), lost=1.0),
        lambda: Delay(names=("a",), high=0.01, samples=(-0.001,)),
        lambda: Noise(name="a", bias=-1.0),
        lambda: Noise(name="a", deviation=float("nan")),
    ],
)
def test_what_is_no_delay_or_noise_is_refused(build: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        build()
