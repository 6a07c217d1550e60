"""BESO: scalings, sigmas and sampler against numbers by hand, goals, and what it learns."""

# pyright: standard

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sim2arm.policies.beso import (
    START,
    BesoCfg,
    BesoNetwork,
    exponential_sigmas,
    log_logistic,
    sample,
    scalings,
)
from sim2arm.policies.encoders import GOAL, VECTOR
from tests.policies.test_bc import in_onnx, observations

SMALL = BesoCfg(chunk=3, history=2, dim=32, heads=4, layers=2, feed=64, dropout=0.0)
WITH_GOAL = replace(SMALL, goal=("wanted",))


def seen(count: int, cfg: BesoCfg) -> dict[str, Tensor]:
    """What `observations` are, two numbers of the vector apart if the network has a goal."""
    obs = observations(count, cfg.history)
    if cfg.goal:
        obs[GOAL], obs[VECTOR] = obs[VECTOR][..., 1:3], obs[VECTOR][..., [0, 3, 4]]
    return obs


def make(cfg: BesoCfg, seed: int = 0, action_dim: int = 2) -> BesoNetwork:
    """With weights that are large enough for everything to matter."""
    torch.manual_seed(seed)
    network = BesoNetwork(cfg, seen(1, cfg), action_dim).eval()
    with torch.no_grad():
        for parameter in network.denoiser.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def noise_of(cfg: BesoCfg, count: int, action_dim: int = 2) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    return {
        n: torch.randn((count, *s), generator=random) for n, s in cfg.noises(action_dim).items()
    }


def knows_normal(mean: float, deviation: float) -> Callable[[Tensor, float], Tensor]:
    """D of normally distributed actions: means weighted by the inverse of variances."""

    def denoise(x: Tensor, sigma: float) -> Tensor:
        return (deviation**2 * x + sigma**2 * mean) / (deviation**2 + sigma**2)

    return denoise


def test_scalings_by_hand() -> None:
    """Deviation 0.5 and sigma 1.2: the whole is 1.3. Sigma 0.5: half the variance is noise."""
    skip, out, scale, code = scalings(torch.tensor([1.2, 0.5], dtype=torch.float64), 0.5)
    np.testing.assert_allclose(skip, [0.25 / 1.69, 0.5])
    np.testing.assert_allclose(out, [0.6 / 1.3, 0.5 / math.sqrt(2.0)])
    np.testing.assert_allclose(scale, [1.0 / 1.3, math.sqrt(2.0)])
    np.testing.assert_allclose(code, [math.log(1.2) / 4.0, math.log(0.5) / 4.0])


def test_scaled_inputs_and_targets_have_deviation_one() -> None:
    random = torch.Generator().manual_seed(0)
    actions, noise = 0.5 * torch.randn(100_000, generator=random), torch.randn(100_000)
    for sigma in (0.01, 0.3, 1.0, 20.0):
        skip, out, scale, _ = scalings(torch.tensor(sigma), 0.5)
        noisy = actions + sigma * noise
        assert float((scale * noisy).std()) == pytest.approx(1.0, abs=0.01)
        assert float(((actions - skip * noisy) / out).std()) == pytest.approx(1.0, abs=0.01)


def test_sigmas_by_hand() -> None:
    """From 1 to 0.005 in three: the middle is the root of 0.005."""
    np.testing.assert_allclose(exponential_sigmas(3, 0.005, 1.0), [1.0, 0.07071068, 0.005, 0.0])
    np.testing.assert_allclose(exponential_sigmas(4, 0.1, 100.0), [100.0, 10.0, 1.0, 0.1, 0.0])
    assert exponential_sigmas(1, 0.005, 1.0) == (1.0, 0.0)


def test_drawn_sigmas() -> None:
    """(sigma / 0.5)^2 are odds: 4 at 1, 1e-4 at 0.005, so 0.8 and 1 / 10001 of all are below."""
    shares = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    found = log_logistic(shares, 0.5, 0.5, 0.005, 1.0)
    place = 0.5 * (0.8 + 1.0 / 10001.0)
    middle = 0.5 * math.sqrt(place / (1.0 - place))
    np.testing.assert_allclose(found, [0.005, middle, 1.0], rtol=1e-9)
    drawn = log_logistic(torch.rand(100_000), 0.5, 0.5, 0.005, 1.0)
    assert drawn.dtype == torch.float32
    assert float(drawn.min()) >= 0.005 and float(drawn.max()) <= 1.0
    assert float(drawn.median()) == pytest.approx(middle, abs=0.005)
    # not cut off: the logarithm is logistic, with deviation pi / sqrt(3) of its scale
    wide = log_logistic(torch.rand(100_000, dtype=torch.float64), 0.5, 0.5, 1e-12, 1e12).log()
    assert float(wide.mean()) == pytest.approx(math.log(0.5), abs=0.01)
    assert float(wide.std()) == pytest.approx(0.5 * math.pi / math.sqrt(3.0), abs=0.01)


def test_steps_by_hand() -> None:
    """Actions 1 + x / 4, x = 2, sigmas 1, 0.5, 0.

    Euler: D = 1.5, slope 0.5, so 2 - 0.25 = 1.75, and then D = 1.4375.
    Heun: at 1.75 the slope is (1.75 - 1.4375) / 0.5 = 0.625, the mean 0.5625, so 2 - 0.28125.
    """

    def denoise(x: Tensor, sigma: float) -> Tensor:
        del sigma
        return 1.0 + 0.25 * x

    x = torch.full((1, 1, 1), 2.0)
    assert float(sample(denoise, x, (1.0, 0.5, 0.0), "ddim")) == pytest.approx(1.4375)
    heun = sample(denoise, x, (1.0, 0.5, 0.0), "heun")
    assert float(heun) == pytest.approx(1.0 + 0.25 * 1.71875)


def test_a_step_is_that_of_its_formula() -> None:
    """DPM-Solver-1 in its own variables, t = -log sigma: x e^-h - expm1(-h) D, in float64."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3, 2))
    denoise = knows_normal(0.3, 0.5)
    expected = x
    for now, then in ((1.0, 0.2), (0.2, 0.03)):
        actions = (0.25 * expected + now**2 * 0.3) / (0.25 + now**2)
        step = -math.log(then) + math.log(now)
        expected = math.exp(-step) * expected - math.expm1(-step) * actions
    expected = (0.25 * expected + 0.03**2 * 0.3) / (0.25 + 0.03**2)
    found = sample(denoise, torch.from_numpy(x), (1.0, 0.2, 0.03, 0.0), "ddim")
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("solver", ["ddim", "heun"])
def test_what_the_denoiser_knows_comes_out(solver: Any) -> None:
    """One chunk: exactly, at once. A normal one: on its curve, the better the more steps."""
    x, data = 7.0 * torch.randn(5, 3, 2), torch.randn(5, 3, 2)
    for steps in (1, 3):
        found = sample(lambda x, s: data, x, exponential_sigmas(steps, 0.005, 7.0), solver)
        torch.testing.assert_close(found, data)
    start = 1.0 + 7.0 * torch.randn((1000, 1, 1), dtype=torch.float64)
    # (x - mean) / sqrt(variance + sigma^2) stays the same along the equation
    expected = 1.0 + (start - 1.0) * 0.2 / math.hypot(0.2, 7.0)
    off = []
    for steps in (10, 20, 40):
        sigmas = exponential_sigmas(steps, 1e-4, 7.0)
        found = sample(knows_normal(1.0, 0.2), start, sigmas, solver)
        off.append(float((found - expected).abs().max()))
    assert off[0] > off[1] > off[2]
    order = math.log2(off[1] / off[2])
    assert order == pytest.approx(1.0 if solver == "ddim" else 2.0, abs=0.3)


def test_three_steps_separate_two_ways() -> None:
    """Of actions +0.6 and -0.6 the exact D is 0.6 tanh(0.6 x / sigma^2)."""
    x = torch.randn(1000, 1, 1, dtype=torch.float64)
    sigmas = exponential_sigmas(3, 0.005, 1.0)
    found = sample(lambda x, s: 0.6 * torch.tanh(0.6 * x / s**2), x, sigmas, "ddim")
    # below 0.01 noise stays for a while where the equation is steep
    clear = x.abs() > 0.05
    torch.testing.assert_close(found[clear], 0.6 * x.sign()[clear])


def test_guidance_is_a_line_through_without_and_with_goal() -> None:
    """In one step: at 0 the goal does not matter, at 1 it is not left out, at 1.5 half beyond."""
    networks = {g: make(replace(WITH_GOAL, guidance=g, sampler_steps=1)) for g in (0.0, 1.0, 1.5)}
    obs, noise = seen(4, WITH_GOAL), noise_of(WITH_GOAL, 4)
    found = {g: network(obs, noise) for g, network in networks.items()}
    torch.testing.assert_close(found[1.5], found[0.0] + 1.5 * (found[1.0] - found[0.0]))
    assert (found[1.0] - found[0.0]).abs().max() > 1e-3
    other, zero = {**obs, GOAL: obs[GOAL] + 1.0}, {**obs, GOAL: torch.zeros_like(obs[GOAL])}
    torch.testing.assert_close(networks[0.0](other, noise), found[0.0])
    torch.testing.assert_close(networks[1.0](zero, noise), found[0.0])
    assert (networks[1.0](other, noise) - found[1.0]).abs().max() > 1e-3


def test_goals_are_left_out_in_training() -> None:
    """Of 2000 frames a tenth, 60 to 140 of more than 4 deviations either way; none afterwards."""
    network = make(replace(WITH_GOAL, goal_drop=0.1))
    goals: list[Tensor] = []

    def note(module: Any, inputs: Any) -> None:
        goals.append(inputs[3])

    network.denoiser.register_forward_pre_hook(note)
    obs = {name: value.expand(500, *value.shape[1:]) for name, value in seen(1, WITH_GOAL).items()}
    chunk, padded = torch.zeros(500, 3, 2), torch.zeros(500, 3, dtype=torch.bool)
    random = torch.Generator().manual_seed(0)
    for _ in range(4):
        network.train().loss(obs, chunk, padded, random)
    dropped = (torch.cat(goals) == 0.0).all(dim=1)
    assert 140 < int(dropped.sum()) < 260
    assert torch.equal(torch.cat(goals)[~dropped][0], obs[GOAL][0, -1])
    network.eval().loss(obs, chunk, padded, random)
    assert bool((goals[-1] != 0.0).all())


def test_everything_that_is_seen_changes_the_chunk() -> None:
    network, noise = make(WITH_GOAL), noise_of(WITH_GOAL, 2)
    obs = seen(2, WITH_GOAL)
    before = network(obs, noise)
    assert before.shape == (2, 3, 2) and WITH_GOAL.noises(2) == {START: (3, 2)}
    for name, value in obs.items():
        for tick in range(name == GOAL, 2):  # of goals the newest counts
            changed = value.clone()
            changed[:, tick] = changed[:, tick].flip(0)
            other = network({**obs, name: changed}, noise)
            assert (other - before).abs().max() > 1e-4, (name, tick)
    for place in range(3):
        changed = obs[VECTOR].clone()
        changed[:, -1, place] += 1.0
        assert (network({**obs, VECTOR: changed}, noise) - before).abs().max() > 1e-4, place
    for start in (noise[START].flip(0), noise[START].flip(1)):
        assert (network(obs, {START: start}) - before).abs().max() > 1e-4


def test_padded_actions_change_nothing() -> None:
    """Neither the loss nor what is learnt from it."""
    network = make(SMALL)
    obs, padded = observations(2, 2), torch.zeros(2, 3, dtype=torch.bool)
    padded[:, 2:] = True
    chunk = torch.randn(2, 3, 2)
    other = chunk.clone()
    other[:, 2:] = 77.0
    losses, slopes = [], []
    for actions in (chunk, other):
        network.zero_grad()
        loss = network.loss(obs, actions, padded, torch.Generator().manual_seed(0))["loss"]
        loss.backward()
        losses.append(float(loss.detach()))
        slope = network.denoiser.action.weight.grad
        assert slope is not None
        slopes.append(slope.clone())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    torch.testing.assert_close(slopes[0], slopes[1])


def test_actions_see_each_other_and_the_rest_only_what_was_before() -> None:
    denoiser = make(SMALL).denoiser
    assert (~denoiser.later[0]).int().tolist() == [
        [1, 0, 0, 0, 0, 0],  # noise
        [1, 1, 0, 0, 0, 0],  # ticks
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 1],  # actions
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1],
    ]


def test_tokens_are_in_order_and_actions_begin_as_noise_of_the_greatest_sigma() -> None:
    cfg = replace(WITH_GOAL, sigma_max=3.0, guidance=1.0)
    network, obs, noise = make(cfg), seen(2, cfg), noise_of(cfg, 2)
    tokens: list[Tensor] = []
    network.denoiser.blocks[0].register_forward_pre_hook(lambda _, given: tokens.append(given[0]))
    network(obs, noise)
    assert len(tokens) == cfg.sampler_steps
    part, bare = network.denoiser, tokens[0] - network.denoiser.places
    assert part.goal is not None
    rest = {name: value for name, value in obs.items() if name != GOAL}
    expected = (
        part.size(torch.full((2, 1, 1), math.log(3.0) / 4.0)),
        part.goal(obs[GOAL][:, -1:]),
        part.seen(network.encoder(rest)),
        part.action(3.0 * noise[START] / math.sqrt(9.25)),
    )
    torch.testing.assert_close(bare, torch.cat(expected, dim=1))


def learn(network: BesoNetwork, obs: dict[str, Tensor], chunk: Tensor, steps: int) -> None:
    random = torch.Generator().manual_seed(0)
    padded = torch.zeros(chunk.shape[:2], dtype=torch.bool)
    optimizer = torch.optim.AdamW(network.train().parameters(), lr=2e-3, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        network.loss(obs, chunk, padded, random)["loss"].backward()
        optimizer.step()
    network.eval()


def test_samples_are_of_both_ways() -> None:
    """Chunks are all 0.6 or all -0.6 and nothing says which; the mean, 0, was never done."""
    torch.manual_seed(0)
    obs = {VECTOR: torch.randn(64, 2, 3)}
    way = torch.where(torch.arange(64) % 2 == 0, 0.6, -0.6)
    cfg = replace(SMALL, layers=1, sampler_steps=8, solver="heun")
    network = BesoNetwork(cfg, obs, 2)
    learn(network, obs, way[:, None, None].expand(-1, 3, 2), 300)
    with torch.no_grad():
        found = network({VECTOR: torch.randn(400, 2, 3)}, {START: torch.randn(400, 3, 2)})
    shares = [((found - w).abs().amax(dim=(1, 2)) < 0.2).float().mean() for w in (0.6, -0.6)]
    assert min(shares) > 0.1 and sum(shares) > 0.5


def test_it_learns_to_go_to_goals() -> None:
    """The action is the sine of the goal plus half of the state, to a fifth of its spread."""
    torch.manual_seed(0)
    state = 2.0 * torch.rand(128, 1, 3) - 1.0
    chunk = (torch.sin(2.0 * state[:, :, 2:]) + 0.5 * state[:, :, :1]) / 1.5
    cfg = replace(SMALL, chunk=1, history=1, goal=("wanted",), guidance=1.0, layers=1)
    obs = {VECTOR: state[..., :2], GOAL: state[..., 2:]}
    network = BesoNetwork(cfg, {name: value[:1] for name, value in obs.items()}, 1)
    learn(network, obs, chunk, 300)
    with torch.no_grad():
        found = network(obs, {START: torch.randn(128, 1, 1)})
    assert float((found - chunk).abs().mean()) < 0.2 * float(chunk.std())


@pytest.mark.parametrize(
    "cfg", [replace(WITH_GOAL, layers=1), replace(SMALL, layers=1, sampler_steps=2, solver="heun")]
)
def test_the_graph_does_the_same(cfg: BesoCfg) -> None:
    obs = seen(1, cfg)
    expected, found = in_onnx(make(cfg), obs, noise_of(cfg, 1))
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chunk": 0}, "chunk: expected 1 or more, got 0"),
        ({"history": 0}, "history: expected 1 or more, got 0"),
        ({"sampler_steps": 0}, "sampler_steps: expected 1 or more, got 0"),
        ({"dim": 32}, "dim: expected a multiple of 6 heads, got 32"),
        ({"dropout": 1.0}, "dropout: expected 0 to below 1"),
        ({"goal_drop": -0.1}, "goal_drop: expected 0 to below 1"),
        ({"guidance": -1.0}, "guidance: expected 0 or more"),
        ({"goal": ("a",), "goal_drop": 0.0}, "goal_drop: expected above 0 with guidance 1.5"),
        ({"sigma_data": 0.0}, "sigma_data: expected a number above 0"),
        ({"sigma_min": 0.0}, "sigma_min: expected a number above 0"),
        ({"sigma_scale": math.inf}, "sigma_scale: expected a number above 0"),
        ({"sigma_max": 0.005}, "sigma_max: expected more than sigma_min 0.005, got 0.005"),
        ({"solver": "euler"}, r"solver: expected one of \('ddim', 'heun'\), got 'euler'"),
    ],
)
def test_settings_that_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BesoCfg(**change)
