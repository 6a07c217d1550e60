"""Batches of demonstrations, and that a policy of them does what they show."""

# pyright: standard

import numpy as np
import pytest
import torch

from sim2arm.policies.act import ActCfg
from sim2arm.policies.dataset.files import DatasetError
from sim2arm.policies.dataset.layout import DatasetSpec, Feature
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.dataset.writer import DatasetWriter
from sim2arm.policies.imitation import Demonstrations, Imitation, ImitationCfg

LENGTHS = (4, 7, 12)
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


def test_batches_end_with_their_episode(dataset: Dataset) -> None:
    all_of_it = Demonstrations(dataset)
    assert {name: tuple(v.shape[1:]) for name, v in all_of_it.arrays.items()} == {
        "joint_position": (2,), "gripper_width": (1,), "joint_velocity": (2,), "ee_pose": (7,),
        "goal_pose": (7,), "touch_left_rgb": (24, 20, 3), "touch_field": (1, 4, 4, 3),
    }  # fmt: skip
    seen, chunk, padded = all_of_it.batch(torch.tensor([0, 2, 4, 22]), 3)
    assert padded.tolist() == [[False] * 3, [False, False, True], [False] * 3, [False, True, True]]
    for row, at in zip(chunk, ((0, 1, 2), (2, 3, 3), (4, 5, 6), (22, 22, 22)), strict=True):
        torch.testing.assert_close(row, all_of_it.actions[list(at)])
    assert seen["joint_velocity"][:, 0].tolist() == [0.0, 2.0, 0.0, 11.0]
    assert seen["touch_left_rgb"][:, 0, 0, 0].tolist() == [0, 20, 0, 110]
    with pytest.raises(DatasetError, match="there is no array 'wrist_rgb'"):
        Demonstrations(dataset, ("joint_position", "wrist_rgb"))


def test_what_is_normalised_has_mean_0_and_deviation_1(dataset: Dataset) -> None:
    demonstrations = Demonstrations(dataset, ("joint_position", "joint_velocity", "touch_field"))
    policy = Imitation(small("joint_position"), demonstrations).policy
    for name, values in {**demonstrations.arrays, "action": demonstrations.actions}.items():
        if name != "touch_field":
            found = policy.normalised(name, values)
            torch.testing.assert_close(found.mean(dim=0), torch.zeros(2), atol=1e-5, rtol=0.0)
            torch.testing.assert_close(found.std(dim=0, unbiased=False), torch.ones(2))
    encoder = policy.network.fields["touch_field"]
    torch.testing.assert_close(
        encoder.norm.mean, demonstrations.arrays["touch_field"].flatten(0, -2).mean(dim=0)
    )


def small(*sees: str) -> ImitationCfg:
    act = ActCfg(
        chunk=3, dim=32, heads=4, feed=64, style_layers=1, layers=1, style=4, width=16, dropout=0.0
    )
    return ImitationCfg(sees=sees, act=act, batch=16, lr=3e-3)


def test_it_does_what_it_was_shown(dataset: Dataset) -> None:
    """The first action of a chunk follows from the state; runs of one seed are equal."""
    demonstrations = Demonstrations(dataset, ("joint_position",))
    runs = [Imitation(small("joint_position"), demonstrations, seed=3) for _ in range(2)]
    for _ in range(5):
        assert runs[0].step() == runs[1].step()
    learner = runs[0]
    for _ in range(300):
        learner.step()
    learner.policy.eval()
    with torch.no_grad():
        chunk, state = learner.policy(
            {"joint_position": demonstrations.arrays["joint_position"]}, {}, {}
        )
    assert chunk.shape == (23, 3, 2) and state == {}
    assert chunk.abs().max() <= 1.0
    error = (chunk[:, 0] - demonstrations.actions).abs().mean()
    spread = (demonstrations.actions - demonstrations.actions.mean(dim=0)).abs().mean()
    assert float(error) < 0.25 * float(spread)


@pytest.mark.parametrize(
    ("change", "said"), [({"batch": 0}, "batch: expected 1"), ({"lr": 0.0}, "lr: expected above 0")]
)
def test_settings_that_nothing_is_learnt_with(change: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ImitationCfg(**change)  # pyright: ignore[reportArgumentType]
