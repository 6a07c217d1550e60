"""How a world runs in another process: messages, shared memory, what happens when a side dies.

A simulator may need an own Python (Isaac Gym: 3.8), an own torch or none. So a world may live in a
*worker*, a process of any Python from 3.8 on with NumPy; the *client* is `process.ProcessWorld`.
This file and `process_server.py`, which does the worker's part, import nothing else. Linux only.

**Start.** The client runs the worker's command with two more arguments, `--channel FD`: one end of
a Unix socket pair. The worker's own output goes to a file without a name, whose last lines the
client shows when the worker dies. The first message is the worker's greeting:

    {"protocol": 1, "engine": "mujoco 4.0.0", "scenes": ["mjb 4.0.0"], "several": true}

`protocol` must be equal on both sides: it rises with any change that an old side would get wrong.
`scenes` are the formats that the worker reads, the best first; the client takes the first one that
it can write. `several` says that one worker may hold several worlds; worlds of one command then
share one, as those for training and for trials do.

**Messages** are JSON, one a line, never pickle. The client asks, the worker answers in order:

    {"id": 7, "do": "step", "world": 0, "substeps": 8, "then": [2, 5], "drop": []}
    {"id": 7, "world": 0, "ok": {...}}
    {"id": 7, "world": 0, "error": {"kinds": [...], "text": "...", "trace": "..."}}

An error leaves the worker running; `kinds` are the names of its class and of those above, and the
client raises the first that it knows. Of answers to questions that were given up (Ctrl-C) the
client takes the memory and nothing else. `drop` names worlds that nobody holds any more.

**Memory.** Arrays cross through memory that both sides map, never in messages. It is handed over
as file descriptors beside the message (SCM_RIGHTS) and has no name (memfd), so that nothing is left
behind whoever is killed. A message that brings memory says so; a view is an array in it:

    "regions": [[3, 4960]]                                    one descriptor each: number, bytes
    "views": {"q": {"region": 3, "dtype": "float64", "offset": 0, "shape": [4, 7],
                    "strides": [1240, 8]}}                    bytes, as NumPy has them

Commands, what goes with them -> what the answer holds:

    build           scene (format; region 0 of the message holds it), num_worlds, timestep [s],
                    control_substeps, threads -> dtype, timestep, actuators;
                    views chosen (N,) bool, diverged (N,) bool, time (N,)
    room            substeps -> view targets, room for (N, substeps, controls), C order
    step            substeps, or null: the controls stay, for the world's own number; then
    reset           masked: the worlds of `chosen`, else all
    forward         masked, then
    commit_fields   masked
    live            kind, names -> views: of `joints` and `free_body` q and dq, of `target`,
                    `mocap`, `equality` and `field` value
    output          kind, names -> output, its number; view value
    read            then
    check_capacity
    cameras         shots, each with camera, width, height, outputs -> cameras, their number,
                    and renderer; views <camera>/<output>, the latest pictures
    draw            cameras, masked
    shown           cameras, name -> view value, a field that these pictures show

Kinds of `output`: `body_pose`, `body_twist`, `site_pose`, `site_twist` with one name, `pair_force`
with two, `jacobian` with a site and joints. Meaning, shapes, units and frames are those of `World`
in `base.py`, of pictures those in `pictures.py`.

**What is current when.** Before a command that computes anything the worker takes all live arrays
over into its engine; after it, state, `time` and `diverged` are written back, model fields after
`commit_fields`, pictures after `draw`. Outputs are computed when they are named in
`then`: the client names those that were read since the step before, so that a control step is one
message and one answer, and asks for others with `read`.

**End.** The client closes the channel, the worker ends. A worker notices a dead client by the same
sign, even in the middle of a step, and has `GRACE_S` to come to an end; Ctrl-C in a terminal it
ignores, that is for the client to handle. A client that finds the channel closed, or no answer
within its time limit, kills what is left of the worker, waits for it, so that no zombie stays, and
raises one `WorkerError` with command, exit status and last output; so does every later call.

**Other engines.** A worker serves an `Engine` (`process_server.py`). One without MuJoCo takes the
scene as `mjcf`, XML; with Isaac Gym it would write that to a file for `load_asset`, wrap the state
tensors in NumPy arrays in host memory as its live arrays, and copy them from and to the GPU once
per control step. Memory of a GPU is not shared in this version.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
from typing import Any, Dict, List, Mapping, Sequence, Tuple  # noqa: UP035 (Python 3.8)

import numpy as np

PROTOCOL = 1
GRACE_S = 3.0
"""How long a worker may take to end once its client is gone [s]."""
_CHUNK = 1 << 16
_MOST_FDS = 253  # of one message, as Linux has it

Message = Dict[str, Any]  # noqa: UP006 (Python 3.8)
Array = Any
"""`np.ndarray` of any type."""


class ChannelClosedError(EOFError):
    """The other side is gone."""


class Channel:
    """One end of the socket pair: lines of JSON, with memory beside them."""

    def __init__(self, end: socket.socket) -> None:
        """Take a connected Unix stream socket; its time limit is that of `send` and `receive`."""
        self._socket = end
        self._text = b""
        self._fds: List[int] = []  # noqa: UP006

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self._socket.fileno()

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a message; its `regions` are the descriptors, in order.

        Raises:
            ChannelClosedError: the other side is gone.
            TimeoutError: it does not read.
        """
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, np.array(fds, np.int32).tobytes())]
        try:
            sent = self._socket.sendmsg([line], rights if fds else [])
            self._socket.sendall(line[sent:])
        except socket.timeout as error:  # noqa: UP041 (Python 3.8: not a TimeoutError)
            raise TimeoutError(str(error)) from error
        except ConnectionError as error:
            raise ChannelClosedError(str(error)) from error

    def receive(self) -> Tuple[Message, List[int]]:  # noqa: UP006
        """Return the next message and the descriptors of its regions.

        Raises:
            ChannelClosedError: the other side is gone.
            TimeoutError: nothing came.
        """
        while b"\n" not in self._text:
            try:
                data, rights, _, _ = self._socket.recvmsg(
                    _CHUNK, socket.CMSG_SPACE(4 * _MOST_FDS), socket.MSG_CMSG_CLOEXEC
                )
            except socket.timeout as error:  # noqa: UP041
                raise TimeoutError(str(error)) from error
            except ConnectionError as error:
                raise ChannelClosedError(str(error)) from error
            for _, kind, numbers in rights:
                if kind == socket.SCM_RIGHTS:
                    whole = len(numbers) - len(numbers) % 4
                    self._fds += np.frombuffer(numbers[:whole], np.int32).tolist()
            if not data:
                raise ChannelClosedError("end of stream")
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        message: Message = json.loads(line)
        count = len(message.get("regions", message.get("ok", {}).get("regions", ())))
        taken, self._fds = self._fds[:count], self._fds[count:]
        return message, taken

    def close(self) -> None:
        """Close this end: for the other side, the sign to end."""
        self._socket.close()
        for fd in self._fds:
            os.close(fd)
        self._fds = []


def new_memory(size: int) -> Tuple[int, mmap.mmap]:  # noqa: UP006
    """Return a descriptor and a mapping of new shared memory of a size [bytes]."""
    fd = os.memfd_create("sim2arm", os.MFD_CLOEXEC)
    os.ftruncate(fd, max(size, 1))
    return fd, mmap.mmap(fd, max(size, 1))


def take_memory(fd: int, size: int) -> mmap.mmap:
    """Return the mapping of memory that came with a message; the descriptor is closed."""
    try:
        return mmap.mmap(fd, max(size, 1))
    finally:
        os.close(fd)


def view_in(memory: mmap.mmap, view: Mapping[str, Any]) -> Array:
    """Return the array that a view describes."""
    return np.ndarray(
        tuple(view["shape"]), view["dtype"], memory, view["offset"], tuple(view["strides"])
    )


def view_of(region: int, array: Array, offset: int = 0) -> Message:
    """Return the description of an array that begins at an offset [bytes] of a region."""
    return {
        "region": region,
        "dtype": array.dtype.name,
        "offset": offset,
        "shape": list(array.shape),
        "strides": list(array.strides),
    }
