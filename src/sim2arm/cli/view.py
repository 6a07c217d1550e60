"""`sim2arm view EXPERIMENT|RUN|BUNDLE`: watch many worlds, in the browser or as a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from tyro.conf import Positional, arg

from sim2arm.policies.bundle import CONTRACT
from sim2arm.policies.verify import load_contract

from .errors import UserError, user_input
from .eval import find_bundle, trained
from .experiments import EXPERIMENTS
from .imitation_runs import is_imitation
from .outputs import check_file
from .parse import parse, unknown
from .playback import Actions, Playback
from .run_record import CONFIG
from .runs import read_config
from .shows import Show, show_bundle, show_experiment, show_run
from .view_film import film
from .view_pictures import contact_sheet, film_pictures

MOST_WORLDS = 256


@dataclass(frozen=True, kw_only=True)
class ViewCfg:
    """Watch many worlds, in the browser or as a video."""

    what: Annotated[Positional[str], arg(metavar="EXPERIMENT|RUN|BUNDLE")]
    """Name of an experiment (no policy), or the folder of a run or of a bundle."""
    robot: str | None = None
    """Another arm than that of the experiment, such as one of `robot import`."""
    randomization: str | None = None
    """What differs between episodes, a name of `sim2arm list`, in place of the experiment's."""
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
    cameras: str | None = None
    """What a policy sees, a name of `sim2arm list`, is shown in the video or sheet instead; that of
    the experiment by default."""
    sheet: Path | None = None
    """Write what the policies see in all worlds there, as one PNG, instead of serving a page."""
    port: int = 8080
    """Of the page; 0 takes any that is free."""
    host: str = "127.0.0.1"
    """Address of the page. It has no password: another address lets others watch and click. Pages
    of other sites that are open in the browser cannot."""


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run."""
    cfg = parse(ViewCfg, argv, "sim2arm view")
    if not 1 <= cfg.num_worlds <= MOST_WORLDS:
        raise UserError(f"--num-worlds: expected 1 to {MOST_WORLDS}, got {cfg.num_worlds}")
    if cfg.episodes is not None and cfg.episodes < 1:
        raise UserError(f"--episodes: expected 1 or more, got {cfg.episodes}")
    if not 0 <= cfg.seed < 2**31:
        raise UserError(f"--seed: expected 0 to {2**31 - 1}, got {cfg.seed}")
    for option, path, ending in (("--video", cfg.video, ".mp4"), ("--sheet", cfg.sheet, ".png")):
        check_file(option, path)
        if path is not None and path.suffix.lower() != ending:
            raise UserError(f"{option}: expected a name that ends in {ending}, got {path}")
    if cfg.video is not None and cfg.sheet is not None:
        raise UserError("--video or --sheet, one at a time")
    torch.set_num_threads(1)  # of small tensors: more threads only get in each other's way
    show, cameras = find_show(cfg)
    if cameras == "none" and cfg.sheet is not None:
        raise UserError("--sheet: nothing is seen there; name --cameras")
    if cfg.cameras not in (None, "none") and cfg.sheet is None and cfg.video is None:
        raise UserError(f"--cameras {cameras}: pictures go to --sheet or --video, not to the page")
    actions = cfg.actions or ("policy" if show.has_policy else "random")
    if actions == "policy" and not show.has_policy:
        raise UserError("--actions policy: an experiment has none; name a run or a bundle")
    if cfg.sheet is not None:
        print(contact_sheet(show, cfg.sheet, seed=cfg.seed, actions=actions))
        return 0
    if cfg.video is None:
        from .view_browser import browse  # needs the extra `view`

        playback = Playback(seed=cfg.seed, actions=actions)
        browse(show, playback, host=cfg.host, port=cfg.port, episodes=cfg.episodes)
        return 0
    episodes = cfg.episodes or show.num_worlds
    if cameras != "none":
        print(film_pictures(show, cfg.video, seed=cfg.seed, episodes=episodes, actions=actions))
        return 0
    done = film(
        show, cfg.video, seed=cfg.seed, episodes=episodes, actions=actions,
        camera=cfg.camera,
    )  # fmt: skip
    print(
        f"{done.path}: {done.frames} pictures of {done.width} x {done.height}, drawn by "
        f"{done.renderer}; {done.succeeded} of {done.episodes} episodes succeeded"
    )
    return 0


def find_show(cfg: ViewCfg) -> tuple[Show, str]:
    """Return what there is to watch, and the name of its cameras.

    Raises:
        UserError: nothing has this name, or it cannot be shown as asked for.
    """
    if cfg.what in EXPERIMENTS:
        settings = EXPERIMENTS[cfg.what][1]
        settings = replace(
            settings,
            robot=cfg.robot or settings.robot,
            randomization=cfg.randomization or settings.randomization,
            world=cfg.world or settings.world,
            device=cfg.device or settings.device,
            cameras=cfg.cameras or settings.cameras,
        )
        return show_experiment(cfg.what, settings, cfg.num_worlds), settings.cameras
    folder = Path(cfg.what)
    if folder.exists() and not (cfg.robot is cfg.randomization is None):
        raise UserError("--robot and --randomization are those of its training: leave them out")
    if (folder / CONFIG).is_file() and is_imitation(folder):
        folder = folder / "bundle"
        if not (folder / CONTRACT).is_file():
            raise UserError(f"{cfg.what}: run sim2arm export first: only its bundle can run")
    if (folder / CONTRACT).is_file():
        if cfg.world == "warp" or cfg.device not in (None, "cpu"):
            raise UserError(
                "a bundle runs behind the gate on the world 'mujoco' on the cpu: leave out --world "
                "and --device, or name its run"
            )
        bundle, task = find_bundle(folder)
        with user_input("bundle"):
            settings = trained(bundle, load_contract(bundle))
        cameras = cfg.cameras or settings.cameras
        show = show_bundle(
            bundle, task, cfg.num_worlds, cameras=cameras, actuators=settings.actuators
        )
        return show, cameras
    if (folder / CONFIG).is_file():
        cameras = cfg.cameras or read_config(folder)[1].cameras
        run = show_run(folder, cfg.num_worlds, world=cfg.world, device=cfg.device, cameras=cameras)
        return run, cameras
    if folder.exists():
        raise UserError(f"{folder} is neither a run ({CONFIG}) nor a bundle ({CONTRACT})")
    raise UserError(f"{unknown('experiment', cfg.what, EXPERIMENTS)}; nor is there such a folder")
