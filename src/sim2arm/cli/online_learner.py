"""The process that learns beside one that acts: `python -m sim2arm.cli.online_learner RUN`.

It ends when its input does, after writing the checkpoint.
"""

# pyright: standard

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import torch

from sim2arm.policies.beside import Follower
from sim2arm.policies.offpolicy import OffPolicy

from .errors import UserError
from .online import NETWORKS
from .runs import CHECKPOINT, build_learner, load_learner, read_config, save_learner
from .teachers import take_demonstrations

AT_ONCE = 8
"""Updates between looks at the replay."""
PUBLISH, SAVE = 1.0, 60.0
"""Time between files of networks, and checkpoints [s]."""


def main(folder: Path, over: threading.Event) -> None:
    """Learn until it is over.

    Raises:
        UserError: the run, its demonstrations or its checkpoint are not as they should be.
    """
    _, cfg, _ = read_config(folder)
    torch.set_num_threads(cfg.threads)
    learner = build_learner(cfg, 1, folder=folder, reads=True)
    assert isinstance(learner, OffPolicy)
    if (folder / CHECKPOINT).is_file():
        load_learner(learner, folder)
    if cfg.demos:
        take_demonstrations(learner, cfg)
    follower = Follower(learner)
    follower.publish(folder / NETWORKS)  # says that it is ready, too
    published = saved = time.monotonic()
    told = follower.updates
    while not over.is_set():
        if not follower.work(AT_ONCE):
            over.wait(0.002)
        now = time.monotonic()
        if now - published > PUBLISH and follower.updates != told:
            follower.publish(folder / NETWORKS)
            published, told = now, follower.updates
        if now - saved > SAVE:
            save_learner(learner, folder)
            saved = now
    follower.work(0)
    save_learner(learner, folder)


def _ends(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    ended = threading.Event()
    threading.Thread(target=_ends, args=(ended,), daemon=True).start()
    try:
        main(Path(sys.argv[1]), ended)
    except UserError as error:
        sys.exit(str(error))
