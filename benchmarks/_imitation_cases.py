"""What `bench imitation` measures: published networks and optimisers, and random frames."""

# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from sim2arm.core.contract import (
    ActionSpec,
    Contract,
    ExecutorSpec,
    LowLevelSpec,
    NoiseSpec,
    Provenance,
)
from sim2arm.core.robots import PANDA
from sim2arm.core.spec import ArraySpec, History
from sim2arm.policies.act import ActCfg
from sim2arm.policies.dataset.layout import Feature
from sim2arm.policies.dataset.reader import Dataset
from sim2arm.policies.demonstrations import Demonstrations
from sim2arm.policies.diffusion import DiffusionCfg
from sim2arm.policies.imitation import LearnCfg

EPISODES = 4


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, how it learns, and of what."""

    network: ActCfg | DiffusionCfg
    """Its sizes."""
    learn: LearnCfg
    """Batch and optimiser."""
    joints: int
    """Numbers of the vector that is seen beside pictures, and of an action if there are no more."""
    more: int = 0
    """Further numbers of what is seen."""
    side: tuple[int, int] | None = None
    """Rows and columns of pictures."""
    cameras: int = 1
    """Where there are pictures."""
    frames: int
    """In memory; more pictures than caches hold."""

    @property
    def pictures(self) -> dict[str, tuple[int, int, int]]:
        """Shapes of pictures by name."""
        if self.side is None:
            return {}
        return {f"camera_{index}": (*self.side, 3) for index in range(self.cameras)}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of vectors by name."""
        return {"joint_position": (self.joints,)} | ({"block": (self.more,)} if self.more else {})

    @property
    def seen(self) -> str:
        """What is seen, in a few words."""
        if self.side is None:
            return "no pictures"
        name = "camera" if self.cameras == 1 else "cameras"
        return f"{self.cameras} {name} {self.side[1]}x{self.side[0]}"

    @property
    def text(self) -> str:
        """What is seen and how much of it at once."""
        return f"{self.seen}, batch {self.learn.batch}"


_ACT = LearnCfg(offsets=False, batch=8, lr=1e-5, weight_decay=1e-4)
_DIFFUSION = LearnCfg(
    offsets=False, batch=256, lr=1e-4, warm_up=500, cosine=True, weight_decay=1e-6,
    betas=(0.95, 0.999), average=True,
)  # fmt: skip
PUBLISHED = {
    "act": Case(network=ActCfg(), learn=_ACT, joints=14, side=(480, 640), frames=512),
    "diffusion": Case(network=DiffusionCfg(), learn=_DIFFUSION, joints=2, more=18, frames=25_000),
    "diffusion-pictures": Case(
        network=DiffusionCfg(dims=(512, 1024, 2048), step_dim=128, crop=84 / 96),
        learn=replace(_DIFFUSION, batch=64),
        joints=2,
        side=(96, 96),
        frames=16_000,
    ),
}
"""Sizes as published: arXiv 2304.13705 (ALOHA, bimanual), 2303.04137 (push-t)."""
SMALL = {
    "act": Case(
        network=ActCfg(
            chunk=8, dim=32, heads=4, feed=64, style_layers=1, layers=1, style=4, width=16
        ),
        learn=replace(_ACT, batch=2),
        joints=14,
        side=(64, 96),
        frames=16,
    ),
    "diffusion": Case(
        network=DiffusionCfg(chunk=8, dims=(16, 32), step_dim=8, sampler_steps=1),
        learn=replace(_DIFFUSION, batch=4),
        joints=2,
        more=18,
        frames=64,
    ),
    "diffusion-pictures": Case(
        network=DiffusionCfg(chunk=8, dims=(16, 32), step_dim=8, sampler_steps=1, width=16),
        learn=replace(_DIFFUSION, batch=2),
        joints=2,
        side=(48, 48),
        frames=32,
    ),
}
"""The same networks, as small as they get: for tests."""
SIZES: Mapping[str, Mapping[str, Case]] = {"published": PUBLISHED, "small": SMALL}


def demonstrations(case: Case) -> Demonstrations:
    """Return frames of random numbers in memory, as of a dataset."""
    random, each = np.random.default_rng(0), case.frames // EPISODES

    def rows(episode: int) -> dict[str, np.ndarray]:
        values = {name: random.uniform(-1.0, 1.0, (each, *s)) for name, s in case.shapes.items()}
        nothing = np.zeros((each, 1), dtype=np.float32)
        found = {f"observation.{name}": v.astype(np.float32) for name, v in values.items()}
        joints = found.pop("observation.joint_position")
        found["observation.state"] = np.concatenate([joints, nothing], axis=1)
        found["action"] = np.sin(2.0 * joints)
        return found | {"observation.velocity": nothing, "measured.ee_pose": nothing}

    def pictures(key: str, episode: int, frames: range) -> np.ndarray:
        shape = (len(frames), *case.pictures[key.rpartition(".")[2]])
        return random.integers(0, 256, shape, dtype=np.uint8)

    names = (*(f"joint{index}" for index in range(case.joints)), "width")
    features = {
        "action": Feature(dtype="float32", shape=(case.joints,)),
        "observation.state": Feature(dtype="float32", shape=(len(names),), names=names),
    }
    features |= {
        f"observation.{n}": Feature(dtype="float32", shape=s)
        for n, s in case.shapes.items()
        if n != "joint_position"
    }
    features |= {
        f"observation.images.{n}": Feature(dtype="image", shape=s) for n, s in case.pictures.items()
    }
    dataset = _Frames(
        root="random", features=features, index=SimpleNamespace(episodes=EPISODES),
        episode=rows, pictures=pictures, starts=each * np.arange(EPISODES + 1),
    )  # fmt: skip
    return Demonstrations(cast(Dataset, dataset), (*case.shapes, *case.pictures))


class _Frames(SimpleNamespace):
    """What `Demonstrations` asks a dataset for."""

    starts: np.ndarray

    def __len__(self) -> int:
        return int(self.starts[-1])


def contract(case: Case) -> Contract:
    """Return the contract of a policy of the case; the arm has nothing to do with it."""
    network, dim = case.network, case.joints
    history = History(of="ticks", n=network.history) if network.history > 1 else None
    given: dict[str, Any] = {"kind": "sensor", "history": history}
    inputs = [ArraySpec(name=n, shape=s, unit="1", **given) for n, s in case.shapes.items()]
    inputs += [ArraySpec(name=n, shape=s, dtype="uint8", **given) for n, s in case.pictures.items()]
    noises = network.noises(dim)
    inputs += [ArraySpec(name=n, kind="noise", shape=s, unit="1") for n, s in noises.items()]
    return Contract(
        robot="panda",
        joint_names=PANDA.joint_names,
        chain=PANDA.chain.to_dict(),
        control_hz=50.0,
        inputs=tuple(inputs),
        noise=NoiseSpec(sampler_steps=network.sampler_steps) if noises else None,
        action=ActionSpec(
            kind="joint_position", dim=dim, low=(-1.0,) * dim, high=(1.0,) * dim,
            scale=(1.0,) * dim, frame="joint", relative_to="absolute", dt_s=0.02,
            horizon=network.chunk - network.past,
        ),
        executor=ExecutorSpec(kind="receding"),
        low_level=LowLevelSpec(
            kind="joint_impedance", kp=PANDA.kp, kd=PANDA.kd,
            kp_range=tuple((k, k) for k in PANDA.kp), kd_range=tuple((k, k) for k in PANDA.kd),
        ),
        limits=PANDA.limits,
        provenance=Provenance(experiment="bench imitation"),
    )  # fmt: skip
