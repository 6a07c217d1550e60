"""`sim2arm view`: what is refused, what the page holds, that it stops, pictures of a video.

How it looks in a browser is not tested here.
"""

# pyright: standard

from __future__ import annotations

import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import viser
from av.video.stream import VideoStream
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from sim2arm.cli import main as cli
from sim2arm.cli import view
from sim2arm.cli.eval import find_bundle
from sim2arm.cli.experiments import EXPERIMENTS, TrainCfg
from sim2arm.cli.film_scene import OVERVIEW
from sim2arm.cli.playback import Playback
from sim2arm.cli.shows import Moment, Show, show_bundle, show_experiment, show_run
from sim2arm.cli.train import train
from sim2arm.cli.video import FilmCfg
from sim2arm.cli.view_browser import Browser
from sim2arm.cli.view_colors import FAILED, METRES_PER_NEWTON, RUNNING, SUCCEEDED
from sim2arm.cli.view_film import Mosaic, film, lens_of
from sim2arm.cli.view_panel import Panel, curves
from sim2arm.cli.view_stage import MARK, Stage, grid_offsets
from sim2arm.core.robots import FR3
from sim2arm.sim.contact_forces import contact_forces
from sim2arm.sim.robots.actuators import find_actuators
from sim2arm.sim.tasks.reach import ReachCfg
from sim2arm_ros.page import Page
from sim2arm_ros.page_origin import is_local, is_own, own_page_only

REACH = replace(EXPERIMENTS["reach-ppo"][1], task=ReachCfg(max_steps=12))
LIFT = EXPERIMENTS["lift-cube-ppo"][1]
CFG = FilmCfg(caption=24, hold=0.5, stride=4, rays=1, slow_stride=4)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small run with its bundle."""
    out = tmp_path_factory.mktemp("view") / "run"
    small = replace(REACH, num_envs=4, iterations=1, trial_episodes=1)
    cfg: TrainCfg = replace(small, algo=replace(small.algo, rollout=4, hidden=(4,)), out=out)
    train("reach-ppo", cfg)
    assert cli.main(["export", str(out)]) == 0
    yield out


def refused(argv: Sequence[str | int | Path], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which `sim2arm view` refuses."""
    capsys.readouterr()
    assert cli.main(["view", *(str(word) for word in argv)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("sim2arm: error: ")
    return err.removeprefix("sim2arm: error: ").strip()


def moments(show: Show, seeds: Sequence[int], actions: Any = "random") -> list[Moment]:
    """Play a round and return all moments of it."""
    seen: list[Moment] = []
    show.play(seeds, lambda: actions, seen.append)
    return seen


def test_bad_input_is_one_line(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(["reach-pp"], capsys)
    assert "perhaps you meant reach-ppo or " in line and "; nor is there such a folder" in line
    assert "--num-worlds: expected 1 to 256, got 0" in refused(
        ["reach-ppo", "--num-worlds", 0], capsys
    )
    assert "--episodes: expected 1 or more" in refused(["reach-ppo", "--episodes", 0], capsys)
    assert "--seed: expected 0 to" in refused(["reach-ppo", "--seed", -1], capsys)
    assert "--port: expected 0 to 65535" in refused(["reach-ppo", "--port", 70000], capsys)
    assert "is a folder" in refused(["reach-ppo", "--video", tmp_path], capsys)
    for option, ending in (("--video", ".mp4"), ("--sheet", ".png")):
        line = refused(["reach-ppo", option, tmp_path / "a.txt"], capsys)
        assert f"{option}: expected a name that ends in {ending}, got " in line
    assert "an experiment has none" in refused(["reach-ppo", "--actions", "policy"], capsys)
    assert "neither a run (config.yaml) nor a bundle" in refused([tmp_path], capsys)
    line = refused(["reach-ppo", "--device", "cuda:0"], capsys)
    assert "world 'mujoco' runs on the cpu, not on 'cuda:0'" in line
    bundle = exported / "bundle"
    assert "a bundle runs behind the gate" in refused([bundle, "--world", "warp"], capsys)
    assert "unknown randomization 'am'; perhaps" in refused(
        ["reach-ppo", "--randomization", "am"], capsys
    )
    for option in ("--robot", "--randomization"):
        assert "are those of its training" in refused([exported, option, "panda"], capsys)
    (tmp_path / "config.yaml").write_text("settings: 1\n")
    assert "config.yaml" in refused([tmp_path], capsys)
    with pytest.raises(ValueError, match="world 'process' cannot be shown: take --world mujoco"):
        show_experiment("reach-ppo", replace(REACH, world="process"), 1)


def test_an_experiment_is_shown_with_another_arm_whose_physics_differs() -> None:
    cfg = view.ViewCfg(what="reach-ppo", robot="panda", num_worlds=2)
    (moment, *_) = moments(view.find_show(cfg)[0], [0, 1], "zero")
    assert "panda_joint1" in moment.world.actuators
    cfg = view.ViewCfg(what="reach-ppo", randomization="arm", num_worlds=2)
    (moment, *_) = moments(view.find_show(cfg)[0], [0, 1], "zero")
    damping = moment.world.field("dof_damping")
    assert not torch.equal(damping[0, :7], damping[1, :7])


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = refused(["reach-ppo", "--port", port], capsys)
        assert f"127.0.0.1 port {port} cannot be had" in line and "another --port" in line


def test_one_seed_is_one_episode(exported: Path) -> None:
    joints = FR3.chain.joint_names

    def flown(show: Show, seeds: Sequence[int], actions: Any) -> np.ndarray:
        """Return the joints in all steps (T, N, 7)."""
        path: list[np.ndarray] = []

        def watch(moment: Moment) -> None:
            path.append(moment.world.joints(joints).q.numpy().copy())

        show.play(seeds, lambda: actions, watch)
        return np.stack(path)

    show = show_experiment("reach-ppo", REACH, 2)
    first = flown(show, [5, 6], "random")
    np.testing.assert_array_equal(first, flown(show, [5, 6], "random"))
    assert np.abs(first - flown(show, [7, 8], "random"))[0].max() > 1e-3
    bundle, task = find_bundle(exported)
    shown = show_bundle(bundle, task, 2)
    for actions in ("policy", "random", "zero"):
        path = flown(shown, [5, 6], actions)
        np.testing.assert_array_equal(path, flown(shown, [5, 6], actions))
    # Worlds do not know of each other.
    np.testing.assert_array_equal(flown(shown, [6, 5], "zero")[:, ::-1], path)


def test_a_bundle_is_shown_with_the_actuators_of_its_training(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(exported, tmp_path / "run"))
    config = run / "config.yaml"
    text = config.read_text()
    assert "  actuators: ideal" in text
    config.write_text(text.replace("  actuators: ideal", "  actuators: motor-gear"))
    shown, cameras = view.find_show(view.ViewCfg(what=str(run / "bundle")))
    assert cameras == "none"
    taken: list[Any] = []
    monkeypatch.setattr(
        "sim2arm.cli.shows.run_episodes", lambda *_, actuators, **__: taken.append(actuators)
    )
    shown.play([3], lambda: "zero", lambda _: None)
    assert taken == [find_actuators("motor-gear", "fr3")]


def test_what_a_round_tells(exported: Path) -> None:
    run = show_run(exported, 3, world=None, device=None)
    bundle, task = find_bundle(exported)
    for show in (run, show_bundle(bundle, task, 3)):
        assert show.has_policy and show.period == pytest.approx(1 / 60)
        seen = moments(show, [4, 5], "policy")  # two episodes in three worlds
        assert [m.step for m in seen] == list(range(1, 13))  # max_steps
        assert not seen[0].running[2] and not seen[0].shown[2]
        assert seen[0].running[:2].all() and not seen[-1].running.any()
        assert set(seen[0].rewards) >= {"position", "rotation", "success"}
        assert all(value.shape == (3,) for value in seen[3].rewards.values())
        assert not seen[-1].success.any()  # nobody reaches a goal in 0.2 s
    # The environment begins another episode at once; the arm shows the end.
    assert not moments(run, [4])[-1].shown.any()
    assert moments(show, [4])[-1].shown.tolist() == [True, False, False]


def test_the_policy_of_a_run_acts(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[torch.Tensor] = []
    show = show_run(exported, 2, world=None, device=None)
    env = show._env
    step = env.step
    monkeypatch.setattr(env, "step", lambda action: (given.append(action), step(action))[1])
    obs = env.reset([8, 9])
    moments(show, [8, 9], "policy")
    actor = show._actor
    assert actor is not None
    with torch.no_grad():
        torch.testing.assert_close(given[0], actor(actor.see(obs), {})[0])
    given.clear()
    moments(show, [8, 9], "zero")
    assert all((action == 0.0).all() for action in given)
    given.clear()
    moments(show, [8, 9], "random")
    spread = torch.stack(given)
    assert spread.abs().max() <= 1.0 and spread.std() > 0.4  # uniform: 0.58


def test_worlds_stand_in_a_grid() -> None:
    offsets = grid_offsets(5, (2.0, 1.5))
    # Three columns along y; the second row behind the first.
    expected = [[0, 0, 0], [0, 1.5, 0], [0, 3, 0], [-2, 0, 0], [-2, 1.5, 0]]
    np.testing.assert_allclose(offsets, expected)
    assert grid_offsets(1, (2.0, 1.5)).tolist() == [[0, 0, 0]]


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page("test", port=0)
    yield made
    made.stop()


def test_the_page_shows_all_worlds_at_their_places(page: Page) -> None:
    stage, show = Stage(page), show_experiment("lift-cube-ppo", LIFT, 3)
    stage.forces = "all"
    show_moments: list[tuple[np.ndarray, np.ndarray]] = []

    def watch(moment: Moment) -> None:
        if moment.step == 20:
            raise StopIteration
        stage.draw(moment, first=moment.step == 1)
        cube = moment.world.body("cube").pose.numpy()
        mesh = page._meshes["box/moving"]
        positions = mesh.batched_positions.reshape(3, -1, 3) - stage.offsets[:, None]
        # The cube is the last box of the scene that moves.
        show_moments.append((positions[:, -1], cube[:, :3]))

    with pytest.raises(StopIteration):
        show.play([1, 2, 3], lambda: "zero", watch)
    for drawn, cube in show_moments:
        np.testing.assert_allclose(drawn, cube, atol=1e-5)
    assert np.abs(show_moments[0][0][0] - show_moments[0][0][1]).max() > 1e-3  # three seeds
    # Four corners of each cube on the table carry a quarter of its weight.
    assert page._arrows.visible
    arrows = page._arrows.points
    assert arrows.shape == (12, 2, 3)
    weight = np.linalg.norm(arrows[:, 1] - arrows[:, 0], axis=-1).sum() / METRES_PER_NEWTON
    assert weight == pytest.approx(3 * LIFT.task.cube_mass * 9.81, rel=0.02)  # type: ignore[union-attr]


def test_an_episode_that_is_over_keeps_its_last_picture(page: Page) -> None:
    stage, show = Stage(page), show_experiment("reach-ppo", REACH, 2)
    seen = moments(show, [1, 2])
    moment = seen[0]
    stage.draw(moment, first=True)
    before = page._meshes["cylinder/moving"].batched_positions.copy()
    show.play([3, 4], lambda: "random", lambda _: None)  # the worlds go on
    half = np.array([True, False])
    stage.draw(replace(moment, shown=half, running=half), first=False)
    after = page._meshes["cylinder/moving"].batched_positions
    moved = np.abs(after - before).reshape(2, -1).max(axis=1)
    assert moved[0] > 1e-3 and moved[1] == 0.0
    colors = page._meshes[MARK].batched_colors
    assert colors.tolist() == [list(RUNNING), list(FAILED)]
    won = replace(moment, running=~half & half, success=half)
    stage.draw(won, first=False)
    assert page._meshes[MARK].batched_colors.tolist() == [list(SUCCEEDED), list(FAILED)]


def test_forces_of_the_followed_world_only_or_none(page: Page) -> None:
    stage, show = Stage(page), show_experiment("lift-cube-ppo", LIFT, 2)

    def watch(moment: Moment) -> None:
        stage.forces = "followed"
        stage.follow(1)
        stage.draw(moment, first=moment.step == 1)
        found = contact_forces(moment.world, [1])
        if moment.step == 10:
            tails = page._arrows.points[:, 0] - stage.offsets[1]
            np.testing.assert_allclose(tails, found.points, atol=1e-5)
            stage.forces = "none"
            stage.draw(moment, first=False)
            assert not page._arrows.visible
            raise StopIteration

    with pytest.raises(StopIteration):
        show.play([1, 2], lambda: "zero", watch)


def test_the_panel_counts_and_tells(page: Page) -> None:
    show = show_experiment("reach-ppo", REACH, 2)
    playback, stage = Playback(actions="random"), Stage(page)
    panel = Panel(page, show, playback, stage)
    seen = moments(show, [4, 5])
    panel.begin_round()
    for moment in seen:
        panel.keep(moment)
    stage.followed = 1
    panel.draw(seen[-1])
    text = panel._figures.content
    assert "Seed 5, ended, **no success**" in text
    total = sum(float(m.rewards["position"][1]) for m in seen)
    assert f"| position | {seen[-1].rewards['position'][1]:.4f} | {total:z.3f} |" in text
    assert "0 of 2 succeeded" in panel._status.content
    panel.end_round(replace(seen[-1], success=np.array([True, False])))
    panel.draw(seen[0])
    assert "1 of 2 succeeded" in panel._status.content  # of the rounds before
    assert "2 of 2 episodes running" in panel._status.content
    time_s, first, _ = curves([m.rewards for m in seen], ["position", "success"], 0, 0.5)
    assert time_s.tolist() == [0.5 * k for k in range(1, 13)]
    assert first.tolist() == [m.rewards["position"][0] for m in seen]


def test_a_page_serves_and_leaves_no_thread(capsys: pytest.CaptureFixture[str]) -> None:
    before = set(threading.enumerate())
    show = show_experiment("reach-ppo", REACH, 2)
    page = Page("test", port=0)
    with urllib.request.urlopen(page.address, timeout=20) as answer:
        assert answer.status == 200 and b"<html" in answer.read(2000).lower()
    playback, stage = Playback(actions="random"), Stage(page)
    playback.set_speed(float("inf"))
    Browser(show, playback, stage, Panel(page, show, playback, stage)).play(3)
    assert playback.seed == 3  # a round of two, then one of one
    page.stop()
    deadline = time.monotonic() + 20.0
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, f"left: {set(threading.enumerate()) - before}"
        time.sleep(0.02)
    with pytest.raises(OSError):
        urllib.request.urlopen(page.address, timeout=5)
    assert "viser" not in capsys.readouterr().out


def status_for(page: Page, host: str, origin: str | None) -> int:
    """Return the status with which a websocket is answered that a page of `origin` opens."""
    port = int(page.address.rpartition(":")[2])
    way = socket.create_connection(("127.0.0.1", port), timeout=20)
    protocol = Subprotocol(f"viser-v{viser.__version__}")
    place = None if origin is None else Origin(origin.format(port=port))
    try:
        with connect(f"ws://{host}:{port}", sock=way, origin=place, subprotocols=[protocol]) as end:
            end.recv(timeout=20)
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


def test_pages_of_other_sites_are_refused(page: Page) -> None:
    own = "http://127.0.0.1:{port}"
    assert status_for(page, "127.0.0.1", own) == 101
    assert status_for(page, "localhost", "http://localhost:{port}") == 101
    assert status_for(page, "127.0.0.1", None) == 101  # no browser
    assert status_for(page, "127.0.0.1", "https://site.example") == 403
    assert status_for(page, "127.0.0.1", "null") == 403  # a file, or a frame without rights
    # A site whose name leads to this machine, so that both headers have it.
    assert status_for(page, "site.example", "http://site.example:{port}") == 403


@pytest.mark.parametrize(
    ("origin", "asked", "local", "expected"),
    [
        ("http://localhost:9000", "localhost:9000", True, True),  # through a tunnel
        ("http://[::1]:8080", "[::1]:8080", True, True),
        ("http://localhost:3000", "localhost:8080", True, False),  # another server
        ("http://lab.example:8080", "lab.example:8080", False, True),  # --host 0.0.0.0
        ("http://lab.example:8080", "lab.example:8080", True, False),
        ("https://site.example", "lab.example:8080", False, False),
    ],
)
def test_whose_page_it_is(origin: str, asked: str, local: bool, expected: bool) -> None:
    assert is_own(origin, asked, local=local) is expected


def test_a_server_that_cannot_be_guarded_is_no_page() -> None:
    with pytest.raises(RuntimeError, match="serves in another way"), own_page_only("127.0.0.1"):
        pass
    assert is_local("127.0.0.1") and is_local("localhost") and not is_local("0.0.0.0")


def test_a_restart_begins_the_episodes_of_the_seed(page: Page) -> None:
    show = show_experiment("reach-ppo", REACH, 1)
    playback, stage = Playback(seed=1, actions="random"), Stage(page)
    playback.set_speed(float("inf"))
    browser = Browser(show, playback, stage, Panel(page, show, playback, stage))
    begun: list[tuple[int, ...]] = []
    play = show.play

    def watched(seeds: Sequence[int], actions: Any, watch: Any) -> None:
        begun.append(tuple(seeds))
        if len(begun) == 1:
            playback.restart(40)
        play(seeds, actions, watch)

    show.play = watched  # type: ignore[method-assign]
    browser.play(2)
    assert begun == [(1,), (40,), (41,)]


def test_the_verb_ends_with_its_episodes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(view.EXPERIMENTS, "reach-ppo", ("Short.", REACH))
    assert cli.main(["view", "reach-ppo", "--port", "0", "--episodes", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("reach-ppo: open http://127.0.0.1:") and out.count("\n") == 1


def pictures_of(path: Path) -> tuple[list[np.ndarray], Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert isinstance(stream, VideoStream) and stream.average_rate is not None
        return [f.to_ndarray(format="rgb24") for f in container.decode(stream)], stream.average_rate


def test_a_video_has_a_picture_every_few_steps_and_one_of_the_end(
    exported: Path, tmp_path: Path
) -> None:
    bundle, task = find_bundle(exported)
    for name, show in (
        ("run", show_run(exported, 2, world=None, device=None)),
        ("bundle", show_bundle(bundle, task, 2)),
    ):
        path = tmp_path / f"{name}.mp4"
        made = film(show, path, seed=3, episodes=3, actions="policy", cfg=CFG, width=240)
        # Two rounds of 12 steps: pictures of steps 4, 8 and 12; the last stands for 0.5 s at
        # 15 pictures/s more, which are 8 (7.5, rounded to even).
        frames, rate = pictures_of(path)
        assert len(frames) == made.frames == 2 * (3 + 8) and rate == 15
        # Two tiles of 120 x 90 beside each other and a line of text.
        assert frames[0].shape == (90 + 24, 240, 3) == (made.height, made.width, 3)
        assert made.episodes == 3 and made.succeeded == 0
        assert frames[0][:90, :118].std() > 20 and frames[0][:90, 122:].std() > 20
        # A failed episode has a red frame.
        red = frames[9][45, 0].astype(int)
        np.testing.assert_allclose(red, FAILED, atol=25)


def test_one_world_is_filmed_by_both_cameras_on_warp_too(tmp_path: Path) -> None:
    show = show_experiment("reach-ppo", replace(REACH, world="warp"), 1)
    made = film(show, tmp_path / "a.mp4", seed=0, episodes=1, actions="zero", cfg=CFG, width=128)
    frames, _ = pictures_of(made.path)
    assert made.renderer == "warp" and len(frames) == 3 + 8
    assert frames[0].shape == (48 + 24, 128, 3)
    assert np.abs(frames[0][:48, :62].astype(int) - frames[0][:48, 66:]).max() > 60  # two views


def test_arrows_of_a_video_lie_on_the_things_they_act_on() -> None:
    show = show_experiment("lift-cube-ppo", LIFT, 1)
    seen: list[np.ndarray] = []

    def watch(moment: Moment) -> None:
        if moment.step < 15:
            return
        plain = Mosaic([(0, OVERVIEW)], 400)
        world = moment.world
        picture = world.render(OVERVIEW, [0], 400, 300)[0]
        plain.draw(moment, fresh=True)
        changed = np.abs(plain._tiles[0].astype(int) - picture).max(axis=-1) > 30
        rows, columns = np.nonzero(changed)
        cube = world.body("cube").pose[0, :3].double().numpy()
        place = lens_of(world, OVERVIEW, 0, 400, 300).project(cube)
        # Two steps of light: the cube itself is drawn where the lens says.
        near = picture[int(place[1]), int(place[0])].astype(int)
        assert near[0] > near[2] + 60  # orange
        seen.append(np.array([columns.mean() - place[0], rows.mean() - place[1]]))
        raise StopIteration

    with pytest.raises(StopIteration):
        show.play([1], lambda: "zero", watch)
    assert np.abs(seen[0]).max() < 8.0  # [pixels]


def test_many_worlds_share_the_picture() -> None:
    views = [(i, "any") for i in range(10)]
    mosaic = Mosaic(views, 960)
    assert (mosaic.width, mosaic.height) == (4 * 240, 3 * 180)
    assert Mosaic(views[:1], 100).width == 100
    # No tile becomes too small to see: the picture grows instead.
    assert Mosaic([(i, "any") for i in range(256)], 960).width == 16 * 64


def test_a_video_by_the_verb(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "film.mp4"
    assert cli.main(["view", str(exported / "bundle"), "--video", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"{path}: " in out and "0 of 1 episodes succeeded" in out and path.is_file()
