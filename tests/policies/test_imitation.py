"""Batches of demonstrations, and that a policy of them does what they show."""

# pyright: standard

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sim2arm.core.contract import PREFIX, PREFIX_KNOWN
from sim2arm.policies.act import ActCfg
from sim2arm.policies.act_jepa import ActJepaCfg
from sim2arm.policies.average import Average
from sim2arm.policies.bc import BcCfg
from sim2arm.policies.beso import BesoCfg
from sim2arm.policies.chunks import ChunkFeatures, ChunkPolicy, Scale, origin_of, prefixed
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.layout import DatasetSpec, Feature
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm.policies.demonstrations import Demonstrations
from sim2arm.policies.diffusion import DiffusionCfg
from sim2arm.policies.encoders import GOAL, VECTOR, FieldEncoder
from sim2arm.policies.imitation import (
    Imitation,
    LearnCfg,
    build_policy,
    deployed_weights,
    scaled_by,
    unscaled,
)
from sim2arm.policies.networks import PictureError, RelativePoseError

LENGTHS = (4, 7, 12)
BOUNDS = (-1.0, -1.0), (1.0, 1.0)
SPEC = DatasetSpec(
    fps=10,
    features={
        "observation.state": Feature(dtype="float32", shape=(3,), names=("a", "b", "width")),
        "observation.velocity": Feature(dtype="float32", shape=(2,)),
        "observation.goal_pose": Feature(dtype="float32", shape=(7,)),
        "observation.tactile.touch_left_rgb": Feature(dtype="image", shape=(24, 20, 3)),
        "observation.touch_field": Feature(dtype="float32", shape=(1, 4, 4, 3)),
        "measured.ee_pose": Feature(dtype="float64", shape=(7,)),
        "action": Feature(dtype="float32", shape=(2,)),
        "next.done": Feature(dtype="bool", shape=(1,)),
    },
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Actions follow from the state: twice what `a` and `b` lack, cut at 1."""
    root, random = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    with DatasetWriter(root, SPEC) as writer:
        for length in LENGTHS:
            episode = writer.begin()
            for k in range(length):
                state = random.uniform(-1.0, 1.0, 3).astype(np.float32)
                row = {
                    "observation.state": state,
                    "observation.velocity": np.full(2, k, np.float32),
                    "observation.goal_pose": random.normal(size=7).astype(np.float32),
                    "observation.tactile.touch_left_rgb": np.full((24, 20, 3), 10 * k, np.uint8),
                    "observation.touch_field": np.full((1, 4, 4, 3), k, np.float32),
                    "measured.ee_pose": random.normal(size=7),
                    "action": np.clip(-2.0 * state[:2], -1.0, 1.0),
                    "next.done": np.bool_(k == length - 1),
                }
                assert episode.add(row, "t")
            episode.commit()
    return Dataset(root)


def test_chunks_end_with_their_episode(dataset: Dataset) -> None:
    demos = Demonstrations(dataset)
    assert {name: tuple(v.shape[1:]) for name, v in demos.arrays.items()} == {
        "joint_position": (2,), "gripper_width": (1,), "joint_velocity": (2,), "ee_pose": (7,),
        "goal_pose": (7,), "touch_left_rgb": (24, 20, 3), "touch_field": (1, 4, 4, 3),
    }  # fmt: skip
    chunk, padded = demos.chunk(torch.tensor([0, 2, 4, 22]), 3)
    assert padded.tolist() == [[False] * 3, [False, False, True], [False] * 3, [False, True, True]]
    for row, at in zip(chunk, ((0, 1, 2), (2, 3, 3), (4, 5, 6), (22, 22, 22)), strict=True):
        torch.testing.assert_close(row, demos.actions[list(at)])
    with pytest.raises(DatasetError, match="there is no array 'wrist_rgb'"):
        Demonstrations(dataset, ("joint_position", "wrist_rgb"))


def test_chunks_may_begin_before_their_frame(dataset: Dataset) -> None:
    demos = Demonstrations(dataset, ("joint_position",))
    chunk, padded = demos.chunk(torch.tensor([0, 5, 10]), 3, past=2)
    # frame 5 is the second of its episode, of which 4 is the first; 10 is its last
    for row, at in zip(chunk, ((0, 0, 0), (4, 4, 5), (8, 9, 10)), strict=True):
        torch.testing.assert_close(row, demos.actions[list(at)])
    assert padded.tolist() == [[True, True, False], [True, False, False], [False] * 3]


def test_histories_begin_with_their_episode(dataset: Dataset) -> None:
    demos = Demonstrations(dataset)
    seen = demos.seen(torch.tensor([0, 4, 6, 22]), 3)
    assert seen["joint_velocity"][..., 0].tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 2], [9, 10, 11]]
    assert seen["touch_left_rgb"][:, :, 0, 0, 0].tolist()[2] == [0, 10, 20]
    assert seen["touch_left_rgb"].dtype == torch.uint8


def test_the_first_episodes_alone(dataset: Dataset) -> None:
    demos = Demonstrations(dataset, ("joint_position",), episodes=2)
    assert len(demos) == 11 and demos.starts.tolist() == [0, 4, 11]
    with pytest.raises(DatasetError, match="expected 4 episodes or more, got 3"):
        Demonstrations(dataset, episodes=4)


@pytest.mark.parametrize("scaling", ["deviation", "range"])
def test_scales_by_hand(scaling: Any) -> None:
    """Of 0 and 4: mean 2 and deviation 2; middle 2 and half of the range 2. What is still stays."""
    scale = Scale(torch.tensor([[0.0, 7.0], [4.0, 7.0]]), scaling)
    found = scale(torch.tensor([[0.0, 7.0], [4.0, 7.0], [6.0, 7.0]]))
    torch.testing.assert_close(found, torch.tensor([[-1.0, 0.0], [1.0, 0.0], [2.0, 0.0]]))
    torch.testing.assert_close(scale.back(found)[:, 0], torch.tensor([0.0, 4.0, 6.0]))


def test_what_networks_see(dataset: Dataset) -> None:
    demos = Demonstrations(dataset)
    features = ChunkFeatures(demos.arrays, "deviation", (("goal_pose", "ee_pose"),), (0.05,))
    seen = features(demos.seen(torch.arange(23), 2))
    assert set(seen) == {VECTOR, "touch_left_rgb", "touch_field"}
    # joints 2, velocities 2, width 1, two poses of 7, the relative one 9 and 3 squashed
    assert seen[VECTOR].shape == (23, 2, 31)
    now = seen[VECTOR][:, -1]
    varies = now.std(dim=0, unbiased=False) > 0.5
    torch.testing.assert_close(now.mean(dim=0), torch.zeros(31), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(
        now.std(dim=0, unbiased=False)[varies], torch.ones(int(varies.sum()))
    )


class Fixed(nn.Module):
    """A network that answers with the same normalised chunk."""

    def __init__(self, chunk: Tensor) -> None:
        super().__init__()
        self.chunk, self.field = (
            chunk,
            nn.ModuleDict({"touch_field": FieldEncoder("f", (1, 4, 4, 3))}),
        )

    def forward(self, obs: dict[str, Tensor], noise: dict[str, Tensor]) -> Tensor:
        return self.chunk.expand(len(obs[VECTOR]), -1, -1)


def test_offsets_are_from_the_newest_joint_positions(dataset: Dataset) -> None:
    """Half a deviation above the mean offset of each place, from the joints 0.1 and 0.2."""
    demos = Demonstrations(dataset, ("joint_position", "touch_field"))
    cfg = ActCfg(chunk=2, dim=32, heads=4)
    # Of the first place mean 0 and 2, deviation 1 and 2; of the second three times that.
    values = torch.tensor([[[-1.0, 0.0], [-3.0, 0.0]], [[1.0, 4.0], [3.0, 12.0]]])
    features = ChunkFeatures(demos.arrays, "deviation")
    low, high = (-1.5, -1.5), (1.65, 3.05)
    network = Fixed(torch.full((1, 2, 2), 0.5))
    policy = ChunkPolicy(network, cfg, features, demos.arrays, values, (low, high), origin=(0, 1))
    obs = {"joint_position": torch.tensor([[0.1, 0.2]]), "touch_field": torch.zeros(1, 1, 4, 4, 3)}
    chunk, state = policy(obs, {}, {})
    # 0.1 + 0.5 and 0.2 + 2 + 1, 0.1 + 1.5 and 0.2 + 6 + 3; what is more than there may be is less
    torch.testing.assert_close(chunk, torch.tensor([[[0.6, 3.05], [1.6, 3.05]]]))
    assert state == {}
    seen = {"joint_position": torch.tensor([[[9.0, 9.0], [0.1, 0.2]]])}
    asked = torch.tensor([[[0.6, 3.2], [1.6, 9.2]]])
    torch.testing.assert_close(policy.learnt(asked, seen), torch.full((1, 2, 2), 0.5))
    torch.testing.assert_close(policy.learnt(asked[:, 1:], seen, 1), torch.full((1, 1, 2), 0.5))
    # fields are normalised by what was demonstrated
    encoder = network.field["touch_field"]
    assert isinstance(encoder, FieldEncoder)
    torch.testing.assert_close(
        encoder.norm.mean, demos.arrays["touch_field"].flatten(0, -2).mean(dim=0)
    )
    q = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])  # two arms of two joints, with grippers
    origin = origin_of({"joint_position": q}, (0, 1, -1, 2, 3, -1))
    assert origin.tolist() == [[[1.0, 2.0, 0.0, 3.0, 4.0, 0.0]]]


def test_offsets_are_scaled_by_those_of_each_place(dataset: Dataset) -> None:
    demos = Demonstrations(dataset, ("joint_position",))
    values = scaled_by(ActCfg(chunk=3), LearnCfg(), demos, (0, 1))
    assert values.shape == (sum(LENGTHS), 3, 2)
    q, last = demos.arrays["joint_position"], LENGTHS[0] - 1
    torch.testing.assert_close(values[0], demos.actions[:3] - q[0])
    stands = demos.actions[last].expand(3, -1) - q[last]  # where an episode ends, its action stays
    torch.testing.assert_close(values[last], stands)
    assert scaled_by(ActCfg(chunk=3), LearnCfg(offsets=False), demos, (0, 1)) is demos.actions


SMALL = ActCfg(
    chunk=3, dim=32, heads=4, feed=64, style_layers=1, layers=1, style=4, width=16, dropout=0.0
)
LEARN = LearnCfg(sees=("joint_position",), offsets=False, batch=16, lr=3e-3)


def test_it_does_what_it_was_shown(dataset: Dataset) -> None:
    """The first action of a chunk follows from the state; runs of one seed are equal."""
    demos = Demonstrations(dataset, ("joint_position",))
    runs = [Imitation(SMALL, LEARN, demos, BOUNDS, (0, 1), total=300, seed=3) for _ in range(2)]
    for _ in range(5):
        assert runs[0].step() == runs[1].step()
    learner = runs[0]
    for _ in range(300):
        learner.step()
    learner.policy.eval()
    with torch.no_grad():
        chunk, state = learner.policy({"joint_position": demos.arrays["joint_position"]}, {}, {})
    assert chunk.shape == (23, 3, 2) and state == {}
    assert chunk.abs().max() <= 1.0
    error = (chunk[:, 0] - demos.actions).abs().mean()
    spread = (demos.actions - demos.actions.mean(dim=0)).abs().mean()
    assert float(error) < 0.25 * float(spread)


def test_it_goes_on_where_it_stood(dataset: Dataset) -> None:
    demos = Demonstrations(dataset, ("joint_position",))
    cfg = replace(LEARN, average=True, warm_up=4, cosine=True, offsets=True)

    def begin() -> Imitation:
        return Imitation(SMALL, cfg, demos, BOUNDS, (0, 1), total=20, seed=3)

    whole, first, second = begin(), begin(), begin()
    for _ in range(10):
        whole.step()
    for _ in range(6):
        first.step()
    state = {name: value.clone() for name, value in first.state_dict().items()}
    second.load_state_dict(state)
    for _ in range(4):
        second.step()
    after = second.state_dict()
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(after[name], value, rtol=0.0, atol=0.0)
    blank = {"joint_position": torch.zeros(2, 2)}
    policy = build_policy(SMALL, cfg, blank, unscaled(SMALL, cfg, 2), BOUNDS, (0, 1))
    policy.load_state_dict(deployed_weights(after))  # without demonstrations
    obs = {"joint_position": demos.arrays["joint_position"]}
    with torch.no_grad():
        expected = second.deployed(obs, {}, {})[0]
        torch.testing.assert_close(policy.eval()(obs, {}, {})[0], expected)
        assert (second.policy.eval()(obs, {}, {})[0] - expected).abs().max() > 1e-6


def test_the_learning_rate_rises_and_falls() -> None:
    """Up in 4 steps; half of it where half of the other 16 are done; 0 at the end."""
    demos: Any = Toy()
    cfg = replace(LEARN, warm_up=4, cosine=True, lr=1.0)
    learner = Imitation(SMALL, cfg, demos, BOUNDS, (0, 1), total=20)
    rates = {}
    for step in (0, 3, 4, 12, 20):
        learner.steps = step
        rates[step] = learner.lr
    assert rates == pytest.approx({0: 0.25, 3: 1.0, 4: 1.0, 12: 0.5, 20: 0.0})


class Toy:
    """Demonstrations of still joints."""

    arrays: ClassVar = {"joint_position": torch.zeros(2, 2)}
    actions = torch.zeros(2, 2)


def test_the_average_by_hand() -> None:
    """Steps 1 and 2 keep 1 - 1 = 0 and 1 - 2^-0.75 of the copy; at last 0.9999."""
    module = nn.Linear(1, 1, bias=False)
    average = Average(module)
    assert average.kept(1) == 0.0 and average.kept(10**9) == 0.9999
    for steps, value, expected in ((1, 3.0, 3.0), (2, 5.0, 3.0 + 2.0**-0.75 * 2.0)):
        nn.init.constant_(module.weight, value)
        average.follow(module, steps)
        found = float(average.module.state_dict()["weight"])
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch": 0}, "batch: expected 1"),
        ({"lr": 0.0}, "lr: expected a number above 0"),
        ({"warm_up": -1}, "warm_up: expected 0 or more"),
        ({"weight_decay": -1.0}, "weight_decay: expected 0 or more"),
        ({"betas": (0.9, 1.0)}, "betas: expected 0 to below 1"),
        ({"max_grad_norm": 0.0}, "max_grad_norm: expected a number above 0"),
        ({"lengths": (0.0,)}, r"lengths\[0\]: expected a number above 0"),
    ],
)
def test_settings_that_nothing_is_learnt_with(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LearnCfg(**change)


NETWORKS = {
    "act": SMALL,
    "act-jepa": ActJepaCfg(
        chunk=3, future=4, dim=32, heads=4, feed=64, layers=1, predictor_layers=1
    ),
    "bc": BcCfg(chunk=3, history=2, hidden=(32,)),
    "beso": BesoCfg(chunk=3, history=2, goal=("goal_pose",), dim=32, heads=4, layers=1, feed=64),
    "diffusion": DiffusionCfg(chunk=4, dims=(16, 32), step_dim=16, prefixed=True),
    "diffusion-transformer": DiffusionCfg(
        chunk=4, denoiser="transformer", dim=32, heads=4, layers=1
    ),
}


def test_goals_are_of_what_is_seen(dataset: Dataset) -> None:
    demos = Demonstrations(dataset, ("joint_position", "goal_pose"))
    arrays = demos.arrays
    known = ChunkFeatures(arrays, "range", goal=("goal_pose",))
    found = known(demos.seen(torch.tensor([0, 6]), 2))
    assert found[GOAL].shape == (2, 2, 7) and found[VECTOR].shape == (2, 2, 2)
    assert found[GOAL].abs().max() <= 1.0 + 1e-6
    for goal, said in ((("goal",), "got 'goal'"), (tuple(arrays), "a vector beside it")):
        with pytest.raises(PictureError, match=said):
            ChunkFeatures(arrays, "range", goal=goal)
    with pytest.raises(RelativePoseError):
        ChunkFeatures(arrays, "range", (("goal_pose", "ee_pose"),), goal=("goal_pose",))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_and_answers(dataset: Dataset, name: str) -> None:
    """One suite for all: the loss falls on a fixed batch, chunks are of the contract's shape."""
    network = NETWORKS[name]
    demos = Demonstrations(dataset, ("joint_position", "goal_pose", "touch_field"))
    learn = LearnCfg(batch=16, lr=2e-3, average=True)
    learner = Imitation(network, learn, demos, BOUNDS, (0, 1), total=150)
    losses = [float(learner.step()["loss"]) for _ in range(150)]
    assert np.mean(losses[-40:]) < 0.85 * np.mean(losses[:10])
    horizon, history = network.chunk - network.past, network.history
    obs = demos.seen(torch.tensor([0, 6]), history)
    if history == 1:
        obs = {key: value[:, 0] for key, value in obs.items()}
    noise = {key: torch.randn(2, *shape) for key, shape in network.noises(2).items()}
    if prefixed(network):
        known = torch.tensor([1.0, 1.0, 0.0])[:horizon].expand(2, -1)
        obs |= {PREFIX: torch.full((2, horizon, 2), 0.25), PREFIX_KNOWN: known}
    with torch.no_grad():
        chunk, state = learner.deployed(obs, {}, noise)
    assert chunk.shape == (2, horizon, 2) and state == {}
    assert chunk.isfinite().all() and chunk.abs().max() <= 1.0
    if prefixed(network):  # what is committed stays, what follows does not
        torch.testing.assert_close(chunk[:, :2], torch.full((2, 2, 2), 0.25))
        assert (chunk[:, 2] - 0.25).abs().max() > 1e-3
