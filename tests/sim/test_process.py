"""World `process`: what dies, hangs or is not ours to run; other engines; what a step costs."""

# MuJoCo's extension modules have no stubs.
# pyright: standard, reportAttributeAccessIssue=false

from __future__ import annotations

import ast
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from sim2arm.core.robots import FR3
from sim2arm.sim.env import Env
from sim2arm.sim.physics_terms import Mass
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.worlds import process_protocol
from sim2arm.sim.worlds.base import World
from sim2arm.sim.worlds.process import ProcessWorld
from sim2arm.sim.worlds.process_client import Worker, WorkerError
from sim2arm.sim.worlds.table import DeviceError, make_world

TOY = (sys.executable, str(Path(__file__).with_name("toy_worker.py")))
DT = 0.01  # [s]


def make_scene() -> mujoco.MjSpec:
    """Two carts on rails, each with a motor."""
    spec = mujoco.MjSpec()
    for name in ("left", "right"):
        cart = spec.worldbody.add_body(name=name)
        cart.add_geom(size=(0.1, 0.0, 0.0), mass=1.0, contype=0, conaffinity=0)
        cart.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(1, 0, 0))
        spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    return spec


def make_process(num_worlds: int = 3, **overrides: Any) -> ProcessWorld:
    """Carts in a process of their own."""
    given = {"timestep": DT, "control_substeps": 4} | overrides
    return ProcessWorld(make_scene(), num_worlds, **given)


ENDLESS = 10**9  # substeps


@pytest.fixture
def world() -> Iterator[ProcessWorld]:
    """A world whose worker ends with the test."""
    world = make_process(command=TOY)
    yield world
    world.worker.close()


def gone(pid: int, within: float) -> bool:
    """Whether a process, and a zombie of it, is gone within some time [s]."""
    end = time.monotonic() + within
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True


def segments() -> set[str]:
    """What has a name in shared memory."""
    return set(os.listdir("/dev/shm"))


def test_a_killed_worker_is_one_clear_error_and_leaves_nothing(world: ProcessWorld) -> None:
    before = segments()
    q = world.joints(["left", "right"]).q
    world.step()
    pid = world.worker.pid
    os.kill(pid, signal.SIGKILL)
    message = r"toy_worker.py ended \(killed by SIGKILL\) during step"
    with pytest.raises(WorkerError, match=message) as first:
        world.step()
    assert "\n" not in str(first.value)
    assert gone(pid, 0.0)  # waited for: no zombie
    with pytest.raises(WorkerError, match=message):  # the same again, at once
        world.forward()
    q[:] = 1.0  # memory stays while a view is held
    assert segments() <= before
    assert make_process(command=TOY).worker.pid != pid  # a new world gets a new worker


def test_a_worker_killed_in_the_middle_of_a_step_does_not_hang() -> None:
    world = make_process(command=TOY, control_substeps=ENDLESS)
    pid = world.worker.pid
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    begun = time.monotonic()
    with pytest.raises(WorkerError, match="SIGKILL"):
        world.step()
    assert time.monotonic() - begun < 20.0
    assert gone(pid, 0.0)


CLIENT = """
import sys, time
from tests.sim.test_process import ENDLESS, make_process
world = make_process(control_substeps=ENDLESS)
print(world.worker.pid, flush=True)
if sys.argv[1] == "busy":
    world.step()
time.sleep(600)
"""


@pytest.mark.parametrize("what", ["idle", "busy"])
def test_a_killed_client_takes_its_worker_with_it(what: str) -> None:
    before = segments()
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, what],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert client.stdout is not None
    pid = int(client.stdout.readline())
    time.sleep(0.3)
    client.kill()
    client.wait()
    client.stdout.close()
    assert gone(pid, process_protocol.GRACE_S + 5.0)
    assert segments() <= before


def test_a_worker_that_does_not_answer_is_killed() -> None:
    world = make_process(command=TOY, patience=1.0)
    pid = world.worker.pid
    with pytest.raises(WorkerError, match="did not answer within 1 s and was killed during commit"):
        world.commit_fields()
    assert gone(pid, 0.0)


def test_ctrl_c_is_the_clients() -> None:
    world = make_process(command=TOY, control_substeps=30_000)  # 0.3 s and more
    os.kill(world.worker.pid, signal.SIGINT)
    world.step()
    # The client gives up a question; the late answer is not taken for that of the next one.
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        world.step()
    world.reset()
    assert world.time.tolist() == [0.0] * 3


def test_worlds_share_a_worker_and_the_last_one_ends_it() -> None:
    one, two = (make_process(command=TOY) for _ in range(2))
    assert one.worker is two.worker
    pid = one.worker.pid
    two.joints(["left"]).q[:] = 0.5
    two.step()
    assert one.joints(["left"]).q.abs().max() == 0.0
    del one
    gc.collect()
    two.step()
    del two
    gc.collect()
    assert gone(pid, 0.0)


def test_another_engine_without_torch_serves_the_same_world() -> None:
    world: World = make_process(2, command=TOY)
    assert world.dtype == torch.float32
    assert world.actuators == ("left", "right")
    carts = world.joints(["left", "right"])
    right = world.joints(["right"])
    carts.target[1, 1] = 2.0
    world.step()
    # 4 substeps of 10 ms at 2 N and 1 kg, symplectic: dq = 2 (4 dt), q = 2 dt^2 (1 + 2 + 3 + 4).
    torch.testing.assert_close(right.dq[:, 0], torch.tensor([0.0, 0.08]))
    torch.testing.assert_close(right.q[:, 0], torch.tensor([0.0, 0.002]))
    carts.q[0, 0] = 0.7  # two views of one array see each other's writes
    assert world.joints(["left"]).q[0, 0] == pytest.approx(0.7)
    world.step(torch.zeros((2, 1, 2), dtype=torch.float64))
    np.testing.assert_allclose(world.body("left").pose[:, 0], [0.7, 0.0])
    world.reset(torch.tensor([0]))
    torch.testing.assert_close(carts.dq[:, 1], torch.tensor([0.0, 0.08]))
    carts.q[1, 0] = float("inf")
    world.step()
    assert world.diverged.tolist() == [False, True]
    with pytest.raises(KeyError, match="camera 'top' is not in the model"):
        world.render("top", [0], 8, 8)
    with pytest.raises(WorkerError, match=r"carts 1 failed: ZeroDivisionError[\s\S]*1 / 0"):
        world.pair_force("left", "right")
    world.step()  # an error leaves it running


def test_a_worker_that_holds_one_world_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY", "alone")
    one, two = (make_process(command=TOY) for _ in range(2))
    assert one.worker.pid != two.worker.pid


def test_a_world_that_nobody_holds_is_dropped_in_the_worker() -> None:
    one, two = (make_process(command=TOY) for _ in range(2))
    with pytest.raises(NotImplementedError, match="2 sets of carts"):
        two.check_capacity()
    one.body("left")
    del one
    gc.collect()
    two.step()
    with pytest.raises(NotImplementedError, match="1 sets of carts"):
        two.check_capacity()


@pytest.mark.parametrize(
    ("toy", "message"),
    [
        ("stop", r"toy_worker.py ended \(exit status 1\) during its start; .*: toy: no licence"),
        ("greet", "speaks protocol 99, expected 1"),
        ("usd", r"carts 1 takes scenes as \['usd'\], this process writes \['mjb "),
    ],
)
def test_workers_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, toy: str, message: str
) -> None:
    monkeypatch.setenv("TOY", toy)
    with pytest.raises(WorkerError, match=message):
        make_process(command=TOY)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(WorkerError, match=r"worker /no/python does not start: .*No such file"):
        make_process(command=("/no/python",))
    with pytest.raises(DeviceError, match="runs on the cpu, not on 'cuda:0'"):
        make_world("process", make_scene(), 1, timestep=DT, control_substeps=1, device="cuda:0")


def test_a_step_is_one_message_once_it_is_known_what_is_read(
    mujoco_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_process()
    assert world.worker is mujoco_worker
    seen: list[str] = []
    ask = Worker.ask

    def watched(worker: Worker, do: str, *rest: object, **request: object) -> object:
        seen.append(do)
        return ask(worker, do, *rest, **request)  # pyright: ignore

    left, right = world.body("left"), world.body("right")
    monkeypatch.setattr(Worker, "ask", watched)
    for _ in range(3):
        world.step(torch.ones((3, 4, 2), dtype=torch.float64))
        pose = left.pose
        assert pose is left.pose  # computed once
    assert seen == ["room", "step", "read", "step", "step"]
    seen.clear()
    world.step()
    world.step()
    assert right.pose[0, 0] > 0.0
    assert seen == ["step", "step", "read"]  # what was not read is not computed


def test_episodes_are_the_same_to_the_last_bit_in_another_process() -> None:
    task, terms = "peg-insertion", (Mass(body="peg", low=0.5, high=2.0),)
    envs = [
        Env(make_task(task, "fr3", "max_steps: 12"), FR3, num_envs=3, terms=terms, world=engine)
        for engine in ("mujoco", "process")
    ]
    random = torch.Generator().manual_seed(0)
    for obs, other in [[env.reset([4, 5, 6]) for env in envs]]:
        assert all(torch.equal(obs[name], other[name]) for name in obs)
    for _ in range(20):  # episodes end and begin in between
        action = 2.0 * torch.rand((3, envs[0].action_dim), generator=random) - 1.0
        (a, *rest_a, info_a), (b, *rest_b, info_b) = (env.step(action) for env in envs)
        assert all(torch.equal(a[name], b[name]) for name in a)
        assert all(torch.equal(x, y) for x, y in zip(rest_a, rest_b, strict=True))
        assert torch.equal(info_a["success"], info_b["success"])


def test_the_workers_part_is_python_3_8() -> None:
    folder = Path(process_protocol.__file__).parent
    for name in ("process_protocol.py", "process_server.py"):
        ast.parse((folder / name).read_text(), feature_version=(3, 8))
