"""`sim2arm view EXPERIMENT|RUN|BUNDLE`: watch many worlds, in the browser or as a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from tyro.conf import Positional, arg

from sim2arm.policies.bundle import CONTRACT

from .errors import UserError
from .eval import find_bundle
from .experiments import EXPERIMENTS
from .outputs import check_file
from .parse import parse, unknown
from .playback import Actions, Playback
from .runs import CONFIG
from .shows import Show, show_bundle, show_experiment, show_run
from .view_film import film

MOST_WORLDS = 256


@dataclass(frozen=True, kw_only=True)
class ViewCfg:
    """Watch many worlds, in the browser or as a video."""

    what: Annotated[Positional[str], arg(metavar="EXPERIMENT|RUN|BUNDLE")]
    """Name of an experiment (no policy), or the folder of a run or of a bundle."""
    world: Literal["mujoco", "warp"] | None = None
    """Engine of the physics; that of the experiment by default."""
    device: str | None = None
    """Where the engine runs: cpu or cuda:0; as the experiment by default."""
    num_worlds: int = 1
    """Worlds side by side."""
    seed: int = 0
    """Seed of the first episode; the next worlds and the next rounds have the next seeds."""
    actions: Actions | None = None
    """What moves the arms; policy where there is one, else random."""
    episodes: int | None = None
    """End after so many; a video has one per world, the browser goes on until Ctrl-C."""
    video: Path | None = None
    """Write an MP4 there instead of serving a page."""
    camera: Literal["overview", "close"] = "overview"
    """View of a video of several worlds; that of one world has both."""
    port: int = 8080
    """Of the page; 0 takes any that is free."""
    host: str = "127.0.0.1"
    """Address of the page. It has no password: another address lets others watch and click."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(ViewCfg, argv, "sim2arm view")
    if not 1 <= cfg.num_worlds <= MOST_WORLDS:
        raise UserError(f"--num-worlds: expected 1 to {MOST_WORLDS}, got {cfg.num_worlds}")
    if cfg.episodes is not None and cfg.episodes < 1:
        raise UserError(f"--episodes: expected 1 or more, got {cfg.episodes}")
    if not 0 <= cfg.seed < 2**31:
        raise UserError(f"--seed: expected 0 to {2**31 - 1}, got {cfg.seed}")
    check_file("--video", cfg.video)
    torch.set_num_threads(1)  # of small tensors: more threads only get in each other's way
    show = find_show(cfg)
    actions = cfg.actions or ("policy" if show.has_policy else "random")
    if actions == "policy" and not show.has_policy:
        raise UserError("--actions policy: an experiment has none; name a run or a bundle")
    if cfg.video is None:
        from .view_browser import browse  # needs the extra `view`

        playback = Playback(seed=cfg.seed, actions=actions)
        browse(show, playback, host=cfg.host, port=cfg.port, episodes=cfg.episodes)
        return 0
    done = film(
        show, cfg.video, seed=cfg.seed, episodes=cfg.episodes or show.num_worlds, actions=actions,
        camera=cfg.camera,
    )  # fmt: skip
    print(
        f"{done.path}: {done.frames} pictures of {done.width} x {done.height}, drawn by "
        f"{done.renderer}; {done.succeeded} of {done.episodes} episodes succeeded"
    )
    return 0


def find_show(cfg: ViewCfg) -> Show:
    """Return what there is to watch.

    Raises:
        UserError: nothing has this name, or it cannot be shown as asked for.
    """
    if cfg.what in EXPERIMENTS:
        settings = EXPERIMENTS[cfg.what][1]
        settings = replace(
            settings, world=cfg.world or settings.world, device=cfg.device or settings.device
        )
        return show_experiment(cfg.what, settings, cfg.num_worlds)
    folder = Path(cfg.what)
    if (folder / CONTRACT).is_file():
        if cfg.world == "warp" or cfg.device not in (None, "cpu"):
            raise UserError(
                "a bundle runs behind the gate on the world 'mujoco' on the cpu: leave out --world "
                "and --device, or name its run"
            )
        bundle, task = find_bundle(folder)
        return show_bundle(bundle, task, cfg.num_worlds)
    if (folder / CONFIG).is_file():
        return show_run(folder, cfg.num_worlds, world=cfg.world, device=cfg.device)
    if folder.exists():
        raise UserError(f"{folder} is neither a run ({CONFIG}) nor a bundle ({CONTRACT})")
    raise UserError(f"{unknown('experiment', cfg.what, EXPERIMENTS)}; nor is there such a folder")
