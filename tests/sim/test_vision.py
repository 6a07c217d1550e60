"""Pictures as observations: rate, resets, memory, final ones, contract, the same in the arm."""

# pyright: standard

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sim2arm.core.contract import Contract, Provenance
from sim2arm.core.driver_stage import DriverStage, parse_stage
from sim2arm.core.robots import FR3
from sim2arm.core.trajectory import Trajectory
from sim2arm.policies.networks import PictureError
from sim2arm.policies.ppo import Ppo, PpoCfg
from sim2arm.sim.arm import SimulatedArm
from sim2arm.sim.camera_noise import ColourNoise, DepthNoise
from sim2arm.sim.camera_rig import CameraRig
from sim2arm.sim.camera_terms import CameraPose, CameraView, Light, Materials
from sim2arm.sim.cameras import CameraCfg, scene_camera, wrist_camera
from sim2arm.sim.contract import make_contract
from sim2arm.sim.env import Env
from sim2arm.sim.finishes import FINISHES
from sim2arm.sim.gym import GymVectorEnv
from sim2arm.sim.physics_terms import Gravity
from sim2arm.sim.tasks.table import make_task
from sim2arm.sim.vision import Sight, Vision
from sim2arm.sim.worlds.pictures import Shot, allocate

STAGE = DriverStage(width=640, height=480, crop=(80, 0, 480, 480), out_width=40, out_height=30)
EYE = scene_camera(stage=STAGE, rate_hz=60.0)
REAL = Sight(
    camera=replace(EYE, outputs=("rgb", "depth"), rate_hz=30.0),
    colour=ColourNoise(),
    depth=DepthNoise(),
    latency=(0.01, 0.04),
    free_phase=True,
)


def make_env(
    *sights: Sight, num_envs: int = 2, vision: Any = None, task: str = "reach", **overrides: Any
) -> Env:
    """A task with cameras."""
    seen = Vision(sights=sights or (Sight(camera=EYE),), **(vision or {}))
    made = make_task(task, "fr3")
    return Env(made, FR3, num_envs=num_envs, vision=seen, threads=1, **overrides)


def still(env: Env) -> Tensor:
    return torch.zeros(env.num_envs, env.action_dim)


def moving(env: Env, step: int) -> Tensor:
    return torch.full((env.num_envs, env.action_dim), 0.9 if step % 20 < 10 else -0.9)


def drawn_now(env: Env, cfg: CameraCfg = EYE) -> Tensor:
    """What the camera of each world sees, drawn by another rig."""
    return CameraRig(env.world, [cfg]).draw()[f"{cfg.name}_rgb"].clone()


def end(env: Env, world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the episode of one world end at the next step."""
    ends = torch.arange(env.num_envs) == world
    monkeypatch.setattr(env.task, "done", lambda _: (ends, torch.zeros_like(ends)))


@pytest.mark.parametrize("engine", ["mujoco", "warp"])
def test_pictures_are_of_the_state_and_fresh_after_a_reset(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(world=engine)
    obs = env.reset([1, 2])
    rig = CameraRig(env.world, [EYE])

    def now() -> Tensor:
        return rig.draw()["scene_rgb"]

    assert obs["scene_rgb"].shape == (2, 30, 40, 3) and obs["scene_rgb"].dtype == torch.uint8
    assert torch.equal(obs["scene_rgb"], now())
    assert not torch.equal(obs["scene_rgb"][0], obs["scene_rgb"][1])
    for k in range(6):
        before = obs["scene_rgb"].clone()
        obs = env.step(moving(env, k))[0]
        assert torch.equal(obs["scene_rgb"], now())
        assert not torch.equal(obs["scene_rgb"], before)
    end(env, 1, monkeypatch)
    obs, _, terminated, _, info = env.step(moving(env, 6))
    assert terminated.tolist() == [False, True]
    assert torch.equal(obs["scene_rgb"], now())
    assert "scene_rgb" not in info["final_obs"]  # not asked for


def test_final_pictures_are_those_before_the_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env(vision={"group": "critic", "final": True})
    env.reset([1, 2])
    kept: list[Tensor] = []
    start = env._start

    def draw_and_start(chosen: Tensor, starts: Any) -> Any:
        kept.append(drawn_now(env))
        return start(chosen, starts)

    monkeypatch.setattr(env, "_start", draw_and_start)
    end(env, 0, monkeypatch)
    obs, _, _, _, info = env.step(moving(env, 0))
    assert torch.equal(info["final_obs"]["scene_rgb"], kept[0])
    assert torch.equal(obs["scene_rgb"][1], kept[0][1])
    assert not torch.equal(obs["scene_rgb"][0], kept[0][0])
    assert torch.equal(obs["scene_rgb"], drawn_now(env))
    assert set(env.groups["critic"]) <= set(info["final_obs"])


def test_never_drawn_more_often_than_the_rate() -> None:
    slow = Sight(camera=replace(EYE, rate_hz=30.0))
    slower = Sight(camera=wrist_camera("fr3_hand", rate_hz=15.0, stage=replace(
        STAGE, width=848, crop=(184, 0, 480, 480))))  # fmt: skip
    env = make_env(slow, slower)
    assert env.eyes is not None
    env.reset()
    changed = 0
    for k in range(24):
        before = env.eyes.drawn.copy()
        env.step(moving(env, k))
        changed += env.eyes.drawn["scene"] > before["scene"]
    # A start and 0.4 s: 12 pictures at 30 Hz, 6 at 15 Hz, in each of two worlds.
    assert env.eyes.drawn == {"scene": 2 * 13, "wrist": 2 * 7} and changed == 12
    free = make_env(REAL, num_envs=4)
    assert free.eyes is not None
    free.reset()
    for k in range(24):
        free.step(moving(free, k))
    assert abs(free.eyes.drawn["scene"] - 4 * 13) <= 4
    age = free.eyes.ages["scene_rgb"]
    low, high = free.eyes.specs["scene_rgb"].trained_age_s or (0.0, 0.0)
    assert (age >= low).all() and (age <= high).all() and len(set(age.tolist())) > 1


def test_memory_of_two_observations() -> None:
    env = make_env()
    obs, places = env.reset(), set[int]()
    for k in range(4):
        kept = obs["scene_rgb"].clone()
        following = env.step(moving(env, k))[0]
        assert torch.equal(obs["scene_rgb"], kept)  # a transition holds both
        places |= {obs["scene_rgb"].data_ptr(), following["scene_rgb"].data_ptr()}
        obs = following
    assert len(places) == 2


def test_history_oldest_first() -> None:
    env = make_env(Sight(camera=EYE, history=3))
    obs = env.reset()
    seen = [obs["scene_rgb"][:, 2].clone()] * 3
    assert obs["scene_rgb"].shape == (2, 3, 30, 40, 3)
    for k in range(4):
        obs = env.step(moving(env, k))[0]
        seen.append(drawn_now(env))
        assert torch.equal(obs["scene_rgb"], torch.stack(seen[-3:], dim=1))
    spec = make_contract(env, Provenance(experiment="x")).input("scene_rgb")
    spec.check(obs["scene_rgb"].numpy())


@pytest.fixture(scope="module")
def varied() -> Env:
    terms = (
        CameraPose(camera="scene", position=0.05, rotation=0.05),
        CameraView(camera="scene", focal=1.1, axis=0.5),
        Light(light="sun", brightness=2.0),
        Materials(geoms=("table",), materials=FINISHES),
    )
    return make_env(REAL, num_envs=3, task="peg-insertion", terms=terms, vision={"finishes": True})


def test_every_episode_draws_its_own_cameras(varied: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("cam_pos", "cam_quat", "cam_intrinsic", "light_diffuse", "geom_matid")
    varied.reset()
    before = {name: varied.world.field(name).clone() for name in names}
    end(varied, 1, monkeypatch)
    varied.step(still(varied))
    for name in names[:-1]:
        now = varied.world.field(name)
        same = (now == before[name]).flatten(1).all(dim=1)
        assert same.tolist() == [True, False, True], name
    taken = {int(one) for _ in range(6) for one in _table_materials(varied)}
    assert len(taken) > 2


def _table_materials(env: Env) -> Tensor:
    env.reset()
    return env.world.field("geom_matid")[:, env.world.model.geom("table").id]  # type: ignore[attr-defined]


def test_the_contract_lists_what_is_seen(varied: Env) -> None:
    contract = make_contract(varied, Provenance(experiment="peg"))
    assert not contract.differences(Contract.from_yaml(contract.to_yaml()))
    obs = varied.reset()
    rgb, depth = contract.input("scene_rgb"), contract.input("scene_depth")
    for spec in (rgb, depth):
        spec.check(obs[spec.name].numpy())
    assert (rgb.frame, rgb.rate_hz, rgb.dtype) == ("scene_optical", 30.0, "uint8")
    assert parse_stage(str(rgb.driver_stage)) == STAGE
    assert parse_stage(str(depth.driver_stage)).resample == "nearest"
    # 40 ms to arrive, and until the next picture has: a period of the camera and one of control.
    assert rgb.trained_age_s == (0.01, pytest.approx(0.04 + 1 / 30 + 1 / 60))
    ranges = {one.name: (one.low, one.high) for one in contract.ranges}
    assert ranges["calibration/camera_scene/position"] == (-0.05, 0.05)
    fx = REAL.camera.final.fx
    assert ranges["calibration/camera_scene/fx"] == pytest.approx((fx / 1.1, fx * 1.1))
    assert ranges["calibration/camera_scene/cx"] == pytest.approx((19.0, 20.0))
    assert ranges["latency/camera_scene"] == (0.01, 0.04)
    assert ranges["appearance/scene/exposure"] == pytest.approx((2**-0.5, 2**0.5))
    assert "appearance/light_sun/brightness" in ranges


def test_a_group_of_its_own_leaves_the_actor_alone() -> None:
    env = make_env(vision={"group": "student"})
    env.reset()
    assert env.groups["actor"] == list(env.task.actor)
    assert env.groups["student"] == [*env.task.actor, "scene_rgb"]
    origin = Provenance(experiment="x")
    seen = [spec.name for spec in make_contract(env, origin, group="student").inputs]
    assert seen == env.groups["student"]
    plain = make_contract(env, origin)
    assert not [one.name for one in plain.ranges if "camera" in one.name]
    Ppo(PpoCfg(rollout=2, hidden=(4,), minibatches=1), env).update()


def test_ppo_learns_from_pictures_but_its_critic_does_not() -> None:
    env = make_env()
    learner = Ppo(PpoCfg(rollout=2, hidden=(4,), minibatches=1), env)
    weights = list(learner.model.actor.pictures["scene_rgb"].parameters())
    before = [weight.detach().clone() for weight in weights]
    list(learner.train(1))
    assert all(not torch.equal(a, b) for a, b in zip(weights, before, strict=True))
    env.groups["critic"] = env.groups["actor"]
    with pytest.raises(PictureError, match=r"'scene_rgb' has the shape \(30, 40, 3\)"):
        Ppo(PpoCfg(), env)


def test_the_arm_sees_what_training_shows() -> None:
    """Noise, phase and latency included; the physics that training draws does not disturb them."""
    vision = Vision(sights=(REAL,))
    terms = (Gravity(tilt=0.02),)
    env = Env(make_task("reach", "fr3"), FR3, num_envs=2, vision=vision, terms=terms, threads=1)
    arm = SimulatedArm("reach", "fr3", num_arms=3, vision=vision)
    obs = env.reset([7, 8])
    arm.reset([6, 7, 8])
    measured = arm.measured()
    assert measured["scene_rgb"].dtype == np.uint8
    for name in ("scene_rgb", "scene_depth"):
        np.testing.assert_array_equal(obs[name].numpy(), measured[name][1:])
    first = measured["scene_rgb"].copy()
    for _ in range(6):  # the arm stands; what is new is the noise
        arm.step()
    later = arm.measured()["scene_rgb"]
    change = np.abs(later.astype(int) - first).mean()
    assert 0.1 < change < 10.0


def test_gymnasium(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="set `final` of Vision"):
        GymVectorEnv(make_env())
    env = make_env(vision={"final": True})
    gym = GymVectorEnv(env)
    obs, _ = gym.reset(seed=3)
    assert obs["scene_rgb"].dtype == np.uint8
    assert gym.observation_space.contains(obs)
    end(env, 1, monkeypatch)
    following, _, _, _, infos = gym.step(np.zeros((2, 6), dtype=np.float32))
    assert infos["final_obs"][1]["scene_rgb"].shape == (30, 40, 3)
    kept = following["scene_rgb"].copy()
    for _ in range(3):
        gym.step(np.ones((2, 6), dtype=np.float32))
    np.testing.assert_array_equal(following["scene_rgb"], kept)


def test_without_pictures_no_camera_code_is_imported() -> None:
    code = (
        "import sys\n"
        "import sim2arm.cli.train\n"
        "from sim2arm.cli.runs import find_cameras\n"
        "assert find_cameras('none') is None\n"
        "names = ('sim2arm.sim.camera', 'sim2arm.sim.vision', 'sim2arm.sim.jpeg')\n"
        "print([name for name in sys.modules if name.startswith(names)])\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert child.stdout.strip() == "[]", child.stderr


class Elsewhere:
    """Worlds on a device that has no numbers: whoever looks at one, or mixes devices, fails."""

    num_worlds, device, dtype = 3, torch.device("meta"), torch.float32

    def cameras(self, shots: Sequence[Shot]) -> Any:
        pictures = {shot.camera: allocate(shot, self.num_worlds, self.device) for shot in shots}
        return SimpleNamespace(pictures=pictures, draw=lambda chosen: pictures)


def test_no_gpu_is_waited_for() -> None:
    lens = replace(EYE.intrinsics, distortion=(-0.1, 0.02, 0.0, 0.0, 0.0))
    camera = replace(REAL.camera, intrinsics=lens, samples=2)
    sight = replace(REAL, camera=camera, history=2, colour=ColourNoise(quality=80))
    world: Any = Elsewhere()
    eyes = Vision(sights=(sight,), final=True).bind(world, 1.0 / 60.0)
    chosen = torch.zeros(3, dtype=torch.bool, device="meta")
    for last in (False, True, False):
        eyes.begin(chosen, torch.zeros((3, eyes.count), device="meta"))
        eyes.advance()
        seen = eyes.see(last=last)
    assert seen["scene_rgb"].shape == (3, 2, 30, 40, 3) and seen["scene_rgb"].is_meta
    assert seen["scene_depth"].dtype == torch.float32


ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "old": (
        lambda: make_env(replace(REAL, latency=(0.0, 0.2))),
        r"become 0.250 s old, .* max_age_s is 0.1: raise it",
    ),
    "rate": (
        lambda: make_env(Sight(camera=replace(EYE, rate_hz=90.0))), "at most the control rate"
    ),
    "segmentation": (
        lambda: Sight(camera=replace(EYE, outputs=("segmentation",))), "no sensor gives it"
    ),
    "noise": (lambda: Sight(camera=EYE, depth=DepthNoise()), "without output 'depth'"),
    "none": (lambda: Vision(sights=()), "at least one"),
    "twice": (lambda: Vision(sights=(Sight(camera=EYE),) * 2), "different names"),
    "critic": (
        lambda: Vision(sights=(Sight(camera=EYE),), group="critic"), "so set final"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "text"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_is_wrong(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()


def test_drawn_beside_the_ticks_pictures_are_the_same() -> None:
    """Noise, latency and phase are drawn by episode; a camera without latency is waited for."""
    late = replace(REAL, latency=(0.02, 0.05))
    prompt = Sight(camera=wrist_camera("fr3_hand", rate_hz=20.0, stage=replace(
        STAGE, width=848, crop=(184, 0, 480, 480))))  # fmt: skip
    # Of one clock with it, drawn in one go, but seen later.
    after = replace(prompt, camera=replace(prompt.camera, name="after"), latency=(0.03, 0.03))
    seen: dict[bool, list[dict[str, Any]]] = {}
    for beside in (False, True):
        vision = Vision(sights=(late, after, prompt))
        arm = SimulatedArm("reach", "fr3", control_hz=100.0, vision=vision, beside=beside)
        assert arm.eyes is not None
        drawers = {type(shutter).__name__ for shutter in arm.eyes._shutters}
        assert drawers == {"BesideShutter" if beside else "Shutter"}
        rows = seen.setdefault(beside, [])
        for seed in (3, 4):
            arm.reset(seed)
            q = arm.joint_state()[0]
            way = np.stack([q, q + 0.3], axis=1)
            arm.command(Trajectory(times=np.array([[0.0, 0.5]]), q=way, dq=np.zeros_like(way)))
            for _ in range(25):
                arm.step()
                rows.append({n: (p.copy(), age) for n, (p, age) in arm.organs.newest().items()})
    changes = 0
    for k, (mine, its) in enumerate(zip(seen[True], seen[False], strict=True)):
        for name, (picture, age) in its.items():
            assert age == mine[name][1]
            np.testing.assert_array_equal(picture, mine[name][0])
            changes += k > 0 and not np.array_equal(picture, seen[False][k - 1][name][0])
    assert changes > 30


def test_only_one_world_is_drawn_beside() -> None:
    with pytest.raises(ValueError, match="beside: expected one world, got 2"):
        SimulatedArm("reach", "fr3", num_arms=2, vision=Vision(sights=(REAL,)), beside=True)
