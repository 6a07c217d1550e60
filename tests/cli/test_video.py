# pyright: standard

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from sim2arm.cli import video
from sim2arm.cli.evaluation import blind, run_episodes
from sim2arm.cli.experiments import EXPERIMENTS
from sim2arm.cli.film_scene import furnish
from sim2arm.cli.runs import build_env, build_task
from sim2arm.cli.video import FilmCfg, draw_caption, film_episodes, shrink
from sim2arm.core.contract import Contract, Provenance
from sim2arm.sim.contract import make_contract

TRAINING = EXPERIMENTS["peg-insertion-ppo"][1]
CFG = FilmCfg(width=64, height=48, caption=24, hold=0.5, stride=4, rays=1, slow_stride=4)
SEEDS = [1_000_000, 1_000_001]


@pytest.fixture(scope="module")
def contract() -> Contract:
    origin = Provenance(experiment="peg-insertion-ppo", commit="", versions={}, steps=0)
    return make_contract(build_env(TRAINING, 1), origin)


def test_a_film_is_h264_and_shows_the_episodes_of_the_plain_scene(
    tmp_path: Path, contract: Contract
) -> None:
    film = film_episodes(
        build_task(TRAINING), contract, blind(contract), SEEDS, tmp_path / "film.mp4", cfg=CFG
    )
    plain = run_episodes(build_task(TRAINING), contract, blind(contract), SEEDS, num_arms=1)
    for a, b in zip(film.episodes.actions, plain.actions, strict=True):
        assert np.array_equal(a, b)  # bit for bit: what was added to the scene touches nothing
    assert film.episodes.success.tolist() == plain.success.tolist()
    # A picture every 4 steps and one of the end, which stands for 0.5 s at 15 pictures/s: 8 more
    # (7.5, rounded to even).
    expected = sum(-(-int(steps) // 4) + 8 for steps in plain.steps)
    with av.open(str(film.path)) as container:
        stream = container.streams.video[0]
        assert isinstance(stream, VideoStream)
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
        assert (stream.width, stream.height) == (64 + 48, 48 + 24) == (film.width, film.height)
        assert stream.average_rate == 15
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(pictures) == film.frames == expected
    assert pictures[0][:48].std() > 20  # a scene, not one colour
    assert np.abs(pictures[0][:48].astype(int) - pictures[20][:48]).max() > 60  # it moves
    data = film.path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # the index is at the front
    assert film.still.shape == (48, 64 + 48, 3)


def test_the_furniture_cannot_be_touched() -> None:
    spec = build_task(TRAINING).scene()
    furnish(spec)
    seen = [geom for geom in spec.geoms if geom.material in ("bench", "bench_legs", "floor")]
    assert len(seen) == 1 + 4 + 1  # a top, four legs, the floor
    assert all(geom.contype == 0 and geom.conaffinity == 0 for geom in seen)


def test_shrinking_takes_the_mean_of_squares() -> None:
    picture = np.zeros((5, 4, 3), dtype=np.uint8)
    picture[:2, :2, 0] = [[10, 20], [30, 41]]  # 101 / 4 = 25.25
    picture[2:4, 2:, 1] = [[255, 255], [255, 254]]  # 1019 / 4 = 254.75
    small = shrink(picture, 2)  # the odd last row is left out
    assert small.shape == (2, 2, 3)
    assert small[0, 0].tolist() == [25, 0, 0] and small[1, 1].tolist() == [0, 255, 0]
    assert shrink(picture, 1) is picture


def test_the_caption_tells_good_from_bad() -> None:
    good, bad, none = (
        draw_caption(("seed 1", "0.1 s", words), 400, 36) for words in ("success", "no success", "")
    )
    assert good.shape == (36, 400, 3)
    corner = (slice(None), slice(280, None))
    red, green = (picture[corner].astype(int) for picture in (bad, good))
    assert (red[..., 0] - red[..., 1]).max() > 60 and (red[..., 1] - red[..., 0]).max() < 40
    assert (green[..., 1] - green[..., 0]).max() > 60 and (green[..., 0] - green[..., 1]).max() < 40
    assert np.ptp(none[corner]) < 30  # nothing is written there


def test_where_the_ray_caster_draws_the_film_is_coarser(
    tmp_path: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "renderer_name", lambda: video.RAY_CASTER)
    cfg = FilmCfg(width=64, height=48, caption=24, stride=2, rays=2, slow_stride=30, slowdown=2)
    film = film_episodes(
        build_task(TRAINING), contract, blind(contract), SEEDS[:1], tmp_path / "film.mp4", cfg=cfg
    )
    with av.open(str(film.path)) as container:
        assert container.streams.video[0].average_rate == 1  # 60 / 30, at half speed
    assert film.renderer == video.RAY_CASTER
