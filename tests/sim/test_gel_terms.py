"""Gels that differ between episodes: how hard they press and hold, what the contract says."""

# pyright: standard

from pathlib import Path

import pytest
import torch

from sim2arm.cli import main as cli
from sim2arm.core.contract import Provenance
from sim2arm.core.robots import FR3
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.gel_terms import GelFriction, GelStiffness
from sim2arm.sim.randomize import Term
from sim2arm.sim.tactile.field import GelLaw
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.touch import Touch
from sim2arm.sim.worlds.compiled import UnknownNameError


def make_env(*terms: Term, num_envs: int = 3, world: str = "mujoco") -> Env:
    return Env(make_task("peg-placement", "fr3"), FR3, num_envs=num_envs, touch=Touch(sees=()),
               terms=terms, world=world, threads=1)  # fmt: skip


def numbers_of(env: Env) -> torch.Tensor:
    assert env.skin is not None
    return env.skin.forces.numbers


@pytest.mark.parametrize("world", ["mujoco", "warp"])
def test_each_world_has_its_gels(world: str) -> None:
    env = make_env(GelStiffness(low=0.5, high=2.0), GelFriction(low=0.8, high=1.25), world=world)
    env.reset([1, 2, 3])
    share = numbers_of(env) / torch.tensor(GelLaw().numbers)  # (N, G, 5)
    torch.testing.assert_close(share[:, 0], share[:, 1])  # both gels
    for k in range(1, 4):  # shear and both dampings go with the stiffness
        torch.testing.assert_close(share[..., k], share[..., 0])
    for k, low, high in ((0, 0.5, 2.0), (4, 0.8, 1.25)):
        drawn = share[:, 0, k]
        assert ((drawn > low) & (drawn < high)).all()
        assert len(set(drawn.tolist())) == 3
    before = share[0].clone()
    env.reset([1, 5, 6])
    torch.testing.assert_close(numbers_of(env)[0] / torch.tensor(GelLaw().numbers), before)
    env.level = 0.0
    env.reset([1, 2, 3])
    assert torch.equal(numbers_of(env), torch.tensor(GelLaw().numbers).expand(3, 2, 5))


def test_stiffer_gels_press_harder_as_much_as_they_are_stiffer() -> None:
    """At the same depth: in the first substep of an episode the peg lies in the gels as it did."""
    plain, varied = make_env(), make_env(GelStiffness(low=0.5, high=2.0))
    pressed = []
    for env in (plain, varied):
        env.reset([1, 2, 3])
        env.world.step(env.plan(torch.zeros(3, env.action_dim, dtype=env.world.dtype))[:, :1])
        assert env.skin is not None
        pressed.append(-env.skin.forces.forces[..., 2].sum(dim=(2, 3)))  # (N, G)
    factor = numbers_of(varied)[..., 0] / GelLaw().stiffness
    assert (factor[:, 0] - 1.0).abs().min() > 0.01
    torch.testing.assert_close(pressed[1] / pressed[0], factor, rtol=2e-3, atol=0.0)


def test_the_contract_says_how_gels_differ() -> None:
    env = make_env(GelStiffness(low=0.5, high=2.0), GelFriction(low=0.8, high=1.25))
    where = Provenance(experiment="x", commit="x", versions={}, steps=0, seed=0)
    found = {r.name: (r.low, r.high) for r in make_contract(env, where).ranges}
    assert found["physics/gel stiffness"] == (0.5, 2.0)
    assert found["physics/gel friction"] == (0.8, 1.25)
    assert GelStiffness(low=0.25, high=4.0).ranges(0.5)[0].high == 2.0  # half of its logarithm


def test_pads_that_are_no_gels_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for term in (GelStiffness(), GelFriction()):
        with pytest.raises(UnknownNameError, match="the pads of this arm are none"):
            Env(make_task("reach", "fr3"), FR3, num_envs=1, terms=(term,))
        with pytest.raises(ValueError, match="low <= 1"):
            type(term)(low=1.5, high=2.0)
    words = ["peg-placement-ppo", "--randomization", "gel", "--out", str(tmp_path / "run")]
    assert cli.main(["train", *words]) == 2
    line = capsys.readouterr().err.strip()
    assert "\n" not in line and "add --touch gel" in line
