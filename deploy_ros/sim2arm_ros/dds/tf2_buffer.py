# pyright: standard
"""Buffer of tf2_ros: the tree of frames, and waiting for what is not known yet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .clock import Clock, JumpThreshold, TimeJump
from .messages import service_class
from .ros_logging import get_logger
from .ros_time import Duration
from .task import Future
from .tf2_core import CACHE_TIME, BufferCore

if TYPE_CHECKING:
    from .node import Node

_NO_TIME = Duration()


class Buffer(BufferCore):
    """Transforms of the last `cache_time`; with a node it answers the service `tf2_frames`."""

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        super().__init__(CACHE_TIME if cache_time is None else cache_time)
        self._news = threading.Condition()
        self._waiting: list[Callable[[], bool]] = []
        self.clock = Clock() if node is None else node.get_clock()
        if node is not None:
            kind = service_class("tf2_msgs/srv/FrameGraph")
            self.srv = node.create_service(kind, "tf2_frames", self._answer_frames)
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(seconds=-1))
        self.jump_handle = self.clock.create_jump_callback(
            threshold, post_callback=self.time_jump_callback
        )

    def _answer_frames(self, _: Any, response: Any) -> Any:
        response.frame_yaml = self.all_frames_as_yaml()
        return response

    def time_jump_callback(self, time_jump: TimeJump) -> None:
        """Forget all transforms: the clock went back."""
        get_logger("tf2_buffer").warning("the clock jumped: all transforms are forgotten")
        self.clear()

    def _set(self, transform: Any, authority: str, static: bool) -> None:
        super()._set(transform, authority, static)
        with self._news:
            waiting, self._waiting = self._waiting, []
            self._news.notify_all()
        left = [done for done in waiting if not done()]
        with self._news:
            self._waiting.extend(left)

    # --- at one time ---

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration = _NO_TIME
    ) -> Any:
        """Return the TransformStamped of the source frame in the target frame.

        Args:
            target_frame: Frame in which the answer is.
            source_frame: Frame whose pose is asked for.
            time: Time or stamp; 0 is the latest at which both are known.
            timeout: How long to wait for it, while another thread spins the listener's node.

        Raises:
            LookupException, ConnectivityException, ExtrapolationException,
            InvalidArgumentException: see `lookup_transform_core`.
        """
        if timeout.nanoseconds > 0:
            self.can_transform(target_frame, source_frame, time, timeout)
        return self.lookup_transform_core(target_frame, source_frame, time)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Any,
        timeout: Duration = _NO_TIME,
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        """Return whether `lookup_transform` answers (as a tuple also why not)."""
        answer = self._wait(
            lambda: self.can_transform_core(target_frame, source_frame, time), timeout
        )
        return answer if return_debug_tuple else answer[0]

    def wait_for_transform_async(self, target_frame: str, source_frame: str, time: Any) -> Future:
        """Return the future of the transform."""
        return self._later(
            lambda: self.can_transform_core(target_frame, source_frame, time)[0],
            lambda: self.lookup_transform_core(target_frame, source_frame, time),
        )

    async def lookup_transform_async(self, target_frame: str, source_frame: str, time: Any) -> Any:
        """Return the transform when it is known."""
        await self.wait_for_transform_async(target_frame, source_frame, time)
        return self.lookup_transform_core(target_frame, source_frame, time)

    # --- at two times ---

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration = _NO_TIME,
    ) -> Any:
        """Return the source frame at one time in the target frame at another.

        The fixed frame is what does not move between the times. See `lookup_transform`.
        """
        what = (target_frame, target_time, source_frame, source_time, fixed_frame)
        if timeout.nanoseconds > 0:
            self.can_transform_full(*what, timeout)
        return self.lookup_transform_full_core(*what)

    def can_transform_full(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration = _NO_TIME,
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        """Return whether `lookup_transform_full` answers (as a tuple also why not)."""
        what = (target_frame, target_time, source_frame, source_time, fixed_frame)
        answer = self._wait(lambda: self.can_transform_full_core(*what), timeout)
        return answer if return_debug_tuple else answer[0]

    def wait_for_transform_full_async(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
    ) -> Future:
        """Return the future of the transform."""
        what = (target_frame, target_time, source_frame, source_time, fixed_frame)
        return self._later(
            lambda: self.can_transform_full_core(*what)[0],
            lambda: self.lookup_transform_full_core(*what),
        )

    async def lookup_transform_full_async(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
    ) -> Any:
        """Return the transform when it is known."""
        what = (target_frame, target_time, source_frame, source_time, fixed_frame)
        await self.wait_for_transform_full_async(*what)
        return self.lookup_transform_full_core(*what)

    # --- waiting ---

    def _wait(self, ask: Callable[[], tuple[bool, str]], timeout: Duration) -> tuple[bool, str]:
        """Ask until the answer is yes or the time is up, in system time."""
        if timeout.nanoseconds > 0:
            with self._news:
                self._news.wait_for(lambda: ask()[0], timeout.nanoseconds * 1e-9)
        return ask()

    def _later(self, possible: Callable[[], bool], look_up: Callable[[], Any]) -> Future:
        future = Future()

        def done() -> bool:
            if future.done() or future.cancelled():
                return True
            try:
                if not possible():
                    return False
                future.set_result(look_up())
            except Exception as error:  # for whoever waits
                future.set_exception(error)
            return True

        with self._news:
            if not done():
                self._waiting.append(done)
        return future
