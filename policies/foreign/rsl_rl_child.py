"""Run as a program of its own: a checkpoint of torch in, its tensors out, as safetensors.

`torch.load(weights_only=True)` builds tensors and plain containers and calls nothing else that the
file names. Whatever a file may still do to it, it does to this process, which has nothing to lose:
few rights, little time, and no other use. It imports nothing of ours.
"""

# pyright: standard

from __future__ import annotations

import resource
import sys

import torch
from safetensors.torch import save_file

PARTS = ("model_state_dict", "actor_state_dict", "obs_norm_state_dict")
"""State dictionaries that an actor may be in."""
MOST_BYTES = 2**30
"""Of the answer."""
MOST_SECONDS = 60
"""Of computing time."""


def main() -> int:
    """Convert; say in one line what is wrong."""
    source, target = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    try:
        data = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file of others makes of it
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if not isinstance(data, dict):
        print(f"expected a dictionary, found {type(data).__name__}", file=sys.stderr)
        return 1
    tensors: dict[str, torch.Tensor] = {}
    for part in PARTS:
        state = data.get(part)
        for name, value in state.items() if isinstance(state, dict) else ():
            if isinstance(name, str) and isinstance(value, torch.Tensor):
                tensors[f"{part}/{name}"] = value.detach().clone().contiguous()
    if not tensors:
        keys = ", ".join(sorted(map(str, data))[:20])
        print(f"none of {', '.join(PARTS)} is there; keys: {keys}", file=sys.stderr)
        return 1
    save_file(tensors, target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
