"""The same episodes on both engines: single against double precision.

What differs is rounding, 1e-7 of each number and step, which contact multiplies: a peg that is
held between two pads turns and slides by what the friction cones of both engines round off. A wrong
unit, frame, sign, gain or order is off by orders of magnitude more, and in all worlds: so the world
in the middle is held to what rounding does, and the worst, where something was struck, to more.
"""

# pyright: standard

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sim2arm.core.robots import FR3
from sim2arm.sim.env import Env
from sim2arm.sim.tasks.table import TASKS, make_task

ENGINES = ("mujoco", "warp")
N, STEPS = 4, 60
TOLERANCES = {
    "angle": (2e-4, 5e-3),  # [rad], after 1 s at up to 2 rad/s; measured 3e-5, 3e-3
    "rate": (2e-3, 0.1),  # [rad/s]; measured 3e-4, 0.08 where fingers strike the table
    "place": (1e-4, 2.4e-3),  # [m]; measured 2e-5, 1.2e-3. Less than the clearance of a socket
    "turn": (1e-3, 0.06),  # of a quaternion; measured 2e-4, 0.04 of a bolt that struck the nut
    "width": (1e-6, 1e-5),  # [m], of the gripper; measured 6e-8
    "force": (0.5, None),  # [N], of 26 N in each finger; measured 0.17. A blow is as it falls
    "twist": (1e-5, None),  # [m/s], [rad/s] of what lies on the table; measured 6e-7. The same
    "given": (1e-6, 1e-6),  # what nothing moves: sockets, pads, nuts, goals, threads; measured 6e-8
}
"""Largest difference within a second: of the world in the middle, of the worst."""
KINDS = {
    "joint_position": "angle",
    "joint_velocity": "rate",
    "gripper_width": "width",
    "thread": "given",  # nothing catches in a second at random
}
"""Of observations that are neither a pose, a force nor a twist."""
MOVED = ("ee", "cube", "true_cube", "block", "peg", "peg_in_socket", "peg_in_tool", "bolt_in_nut")
"""Whose poses change in an episode."""
CALM = {"push-t": 0.3}
"""Size of the random actions, 1 elsewhere: fingers that are pressed on the table for a second slide
on its friction, and then stand up to 1 cm apart on both engines. `test_push_t.py` pushes the T."""


def quantities(name: str, value: Tensor) -> dict[str, Tensor]:
    """Return an observation by kind: a pose is a place and a turn."""
    if name in KINDS:
        return {KINDS[name]: value}
    if name.endswith("_force"):
        return {"force": value}
    if name.endswith("_twist"):
        return {"twist": value}
    assert value.shape[-1] == 7, f"what is {name}?"
    if name.removesuffix("_pose") in MOVED:
        return {"place": value[:, :3], "turn": value[:, 3:]}
    return {"given": value}


@pytest.mark.parametrize("name", TASKS)
def test_episodes_run_alike_on_both_engines(name: str) -> None:
    envs = [Env(make_task(name, "fr3"), FR3, num_envs=N, world=engine) for engine in ENGINES]
    random = torch.Generator().manual_seed(0)
    start, _ = (env.reset(range(N))["joint_position"].clone() for env in envs)
    a = b = {"joint_position": start}
    for _ in range(STEPS):
        action = 2.0 * torch.rand((N, envs[0].action_dim), generator=random) - 1.0
        action *= CALM.get(name, 1.0)
        (a, reward_a, *ends_a, _), (b, reward_b, *ends_b, _) = (env.step(action) for env in envs)
        torch.testing.assert_close(reward_a, reward_b, rtol=0, atol=1e-3)
        for one, other in zip(ends_a, ends_b, strict=True):
            assert torch.equal(one, other)
        assert a.keys() == b.keys()
        for key in a:
            for kind, difference in quantities(key, a[key] - b[key]).items():
                off = difference.abs().amax(dim=-1)
                middle, worst = TOLERANCES[kind]
                assert off.median() <= middle, f"{key}, {kind}: {off}"
                assert worst is None or off.max() <= worst, f"{key}, {kind}: {off}"
    assert (a["joint_position"] - start).abs().max() > 0.1
    envs[1].world.check_capacity()


ABOVE = """
clearance: 0.001
socket_noise: 0.0
socket_low: [0.5, 0.0, 0.0]
socket_high: [0.5, 0.0, 0.0]
start_low: [0.4995, -0.0005, 0.076, 3.14159, 0.0, -0.3]
start_high: [0.5005, 0.0005, 0.076, 3.14159, 0.0, 0.3]
"""
"""The tip of the peg 6.5 mm above the hole (0.076 - 0.0175 - 0.025 - 0.027 m), nearly above it."""


def test_a_peg_is_held_and_inserted_alike_on_both_engines() -> None:
    task = "peg-insertion"
    held: list[Tensor] = []
    path: list[Tensor] = []
    solved: list[Tensor] = []
    for engine in ENGINES:
        env = Env(make_task(task, "fr3", ABOVE), FR3, num_envs=N, world=engine)
        env.reset(range(N))
        still, down = torch.zeros((N, 6)), torch.tensor([0.0, 0.0, -0.1, 0.0, 0.0, 0.0])
        forces = [env.step(still)[0]["peg_force"].reshape(N, 3, 3) for _ in range(30)]
        held.append(torch.stack(forces[10:]).mean(dim=0))  # the pads have closed
        # Both pads carry 0.05 kg x 9.81 m/s^2 upwards, the socket nothing.
        weight = torch.tensor([0.0, 0.0, 0.4905]).expand(N, 3)
        torch.testing.assert_close(held[-1][:, :2].sum(dim=1), weight, rtol=0, atol=0.005)
        assert (held[-1][:, 2] == 0.0).all()
        steps, places = torch.zeros(N), list[Tensor]()
        for step in range(1, 41):  # 1 mm each
            _, _, terminated, truncated, info = env.step(down.expand(N, 6))
            first = info["success"] & (steps == 0)
            assert not ((terminated | truncated) & ~info["success"]).any()
            steps = torch.where(first, float(step), steps)
            places.append(info["final_obs"]["peg_in_socket"][:, :3].clone())
        solved.append(steps)
        path.append(torch.stack(places))
    # 26 N in each finger.
    assert (held[0][:, :2].norm(dim=-1) > 20.0).all()
    torch.testing.assert_close(held[0], held[1], rtol=0, atol=0.2)  # measured 0.05
    for steps in solved:
        assert ((steps > 20) & (steps < 40)).all()
    torch.testing.assert_close(solved[0], solved[1], rtol=0, atol=1.0)
    # Down to the seat along the wall, with a millimetre of room. Measured: 0.3 mm, of 20 pegs.
    together = int(torch.cat(solved).min())
    torch.testing.assert_close(path[0][:together], path[1][:together], rtol=0, atol=5e-4)
    assert (path[0][together - 1, :, 2] < 0.029).all() and (path[0][0, :, 2] > 0.055).all()


@pytest.mark.parametrize("spread", [False, True])
def test_the_way_of_a_gpu_starts_every_episode_anew(spread: bool) -> None:
    length, episodes = 16, 8
    task = make_task("reach", "fr3", f"max_steps: {length}")
    env = Env(task, FR3, num_envs=6, world="warp")
    env.looks = False
    goal = env.reset()["goal_pose"].clone()
    if spread:
        env.desynchronise()
    drawn = [[row] for row in goal]
    for step in range(1, length * episodes + 1):
        obs, _, terminated, truncated, _ = env.step(torch.zeros((6, 6)))
        assert not terminated.any()
        assert spread or truncated.tolist() == [step % length == 0] * 6
        goal = torch.where(truncated[:, None], obs["goal_pose"], goal)
        assert torch.equal(obs["goal_pose"], goal)  # of other worlds it stays
        for world in truncated.nonzero().flatten().tolist():
            drawn[world].append(obs["goal_pose"][world].clone())
    for starts in drawn:
        assert len(starts) == 1 + episodes
        assert len(torch.unique(torch.stack(starts), dim=0)) == len(starts)
    everything = torch.stack([start for starts in drawn for start in starts])
    assert len(torch.unique(everything, dim=0)) == len(everything)  # nor as in another world
