# pyright: standard
"""Services and clients: request and reply topics with a header that joins them."""

from __future__ import annotations

import itertools
import struct
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .codec import CodecError, decoder, encoder
from .cyclone import Sample, WriteTimeoutError
from .endpoints import Endpoints, new_service_id, new_token
from .exceptions import RCLError
from .names import dds_service
from .qos import QoSProfile
from .ros_logging import get_logger
from .task import Future

if TYPE_CHECKING:
    from .executors import Executor

_HEADER = struct.Struct("<Qq")  # client identity, sequence number
_CLIENT_WAIT = 0.1  # how long rmw_cyclonedds waits for the client's reader [s]


class Service:
    """Answers requests with `callback(request, response) -> response`."""

    def __init__(
        self,
        endpoints: Endpoints,
        srv_type: Any,
        srv_name: str,
        callback: Callable[..., Any],
        callback_group: Any,
        qos_profile: QoSProfile,
    ) -> None:
        self._endpoints = endpoints
        self.srv_type = srv_type
        self.srv_name = srv_name
        self.callback = callback
        self.callback_group = callback_group
        self.qos_profile = qos_profile
        self.dropped = 0
        """Requests that were malformed."""
        request, response = f"{srv_type._NAME}_Request", f"{srv_type._NAME}_Response"
        self._decode, self._encode = decoder(request), encoder(response)
        identity = new_service_id(endpoints.context.participant.gid)
        extra = f"serviceid={identity};"
        requests, replies = dds_service(srv_name)
        self.writer = endpoints.writer(replies, response, qos_profile, extra)
        self.reader = endpoints.reader(requests, request, qos_profile, extra)
        self.condition = self.reader.condition
        self.token = new_token()

    @property
    def service_name(self) -> str:
        """The full name of the service."""
        return self.srv_name

    def take(self) -> Callable[[], Any] | None:
        """Take the next request; return the call that answers it."""
        taken = self._next()
        if taken is None:
            return None
        request, header = taken

        def call() -> Any:
            return self.callback(request, self.srv_type.Response())

        def answer(response: Any) -> None:
            self.send_response(response, header)

        call.answer = answer  # type: ignore[attr-defined]
        return call

    def _next(self) -> tuple[Any, tuple[bytes, int]] | None:
        """Take the next request, and what a response to it needs: header and client."""
        samples = self.reader.take(1)
        decoded = _decode_sample(self, samples[0]) if samples else None
        if decoded is None:
            return None
        header, request = decoded
        return request, (header, samples[0].publication_handle)

    def send_response(self, response: Any, header: tuple[bytes, int]) -> None:
        """Send a response to the request with this header."""
        self._send(response, header[0], header[1])

    def _send(self, response: Any, header: bytes, handle: int) -> None:
        if not isinstance(response, self.srv_type.Response):
            raise TypeError(
                f"service {self.srv_name}: the callback must return {self.srv_type.Response}, "
                f"got {type(response)}"
            )
        if self._endpoints.closed or not self._endpoints.context.ok():
            return
        data = self._encode(response, header)
        if not self._client_listens(handle):
            get_logger("rclpy.service").warning(
                f"{self.srv_name}: no response sent, the client's reader was not found",
                throttle_duration_sec=1.0,
            )
            return
        try:
            self.writer.write(data)
        except WriteTimeoutError as error:
            get_logger("rclpy.service").warning(f"{self.srv_name}: {error}")

    def _client_listens(self, handle: int) -> bool:
        """Wait a moment until the reader of the client with this request writer is matched."""
        graph = self._endpoints.context.graph

        def matched() -> bool:
            for client in graph.user_data([handle]):
                identity = client.get("clientid")
                readers = graph.user_data(self.writer.matched_handles())
                return identity is None or any(r.get("clientid") == identity for r in readers)
            return False  # not discovered yet, or gone

        return graph.wait_until(matched, _CLIENT_WAIT)

    def destroy(self) -> None:
        """End the service."""
        self._endpoints.close()

    @property
    def closed(self) -> bool:
        """Whether the service was destroyed."""
        return self._endpoints.closed

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()


class DeferredService(Service):
    """Calls back with request and header; who answers does so by `send_response`, at any time."""

    def take(self) -> Callable[[], Any] | None:
        """Take the next request; return the call that hands it over."""
        taken = self._next()
        return None if taken is None else lambda: self.callback(*taken)


class Client:
    """Sends requests and hands out futures of the responses."""

    def __init__(
        self,
        endpoints: Endpoints,
        srv_type: Any,
        srv_name: str,
        qos_profile: QoSProfile,
        callback_group: Any,
        executor: Callable[[], Executor | None],
    ) -> None:
        self._endpoints = endpoints
        self.srv_type = srv_type
        self.srv_name = srv_name
        self.qos_profile = qos_profile
        self.callback_group = callback_group
        self.dropped = 0
        """Responses that were malformed."""
        self._executor = executor
        self._pending: dict[int, Future] = {}
        self._lock = threading.Lock()
        self._sequence = itertools.count(1)
        request, response = f"{srv_type._NAME}_Request", f"{srv_type._NAME}_Response"
        self._encode, self._decode = encoder(request), decoder(response)
        extra = f"clientid={new_service_id(endpoints.context.participant.gid)};"
        requests, replies = dds_service(srv_name)
        self.reader = endpoints.reader(replies, response, qos_profile, extra)
        self.writer = endpoints.writer(requests, request, qos_profile, extra)
        self.condition = self.reader.condition
        self.token = new_token()

    @property
    def service_name(self) -> str:
        """The full name of the service."""
        return self.srv_name

    def call_async(self, request: Any) -> Future:
        """Send a request.

        Returns:
            The future of the response; an executor must spin the node.

        Raises:
            RCLError: the only service there is of another DDS vendor; such services do not
                understand the request (and may be harmed by it).
        """
        if not isinstance(request, self.srv_type.Request):
            raise TypeError(f"Expected {self.srv_type.Request}, got {type(request)}")
        self._endpoints.check(f"client of {self.srv_name}")
        self._refuse_foreign()
        future = Future(executor=self._executor())
        with self._lock:
            sequence = next(self._sequence)
            self._pending[sequence] = future
        future.add_done_callback(self.remove_pending_request)
        data = self._encode(request, _HEADER.pack(self.writer.handle, sequence))
        try:
            self.writer.write(data)
        except WriteTimeoutError as error:
            self.remove_pending_request(future)
            raise RCLError(f"client of {self.srv_name}: {error}") from error
        return future

    def call(self, request: Any, timeout_sec: float | None = None) -> Any:
        """Send a request and wait; None on time-out. Another thread must spin the node."""
        event = threading.Event()
        future = self.call_async(request)
        future._add_waiter(event.set)
        if not event.wait(timeout_sec):
            self.remove_pending_request(future)
        return future.result()

    def remove_pending_request(self, future: Future) -> None:
        """Forget a request; its response will be ignored."""
        with self._lock:
            for sequence, pending in list(self._pending.items()):
                if pending is future:
                    del self._pending[sequence]

    def take(self) -> Callable[[], Any] | None:
        """Take the next response; return the call that completes its future."""
        samples = self.reader.take(1)
        if not samples:
            return None
        decoded = _decode_sample(self, samples[0])
        if decoded is None:
            return None
        header, response = decoded
        identity, sequence = _HEADER.unpack(header)
        if identity != self.writer.handle:
            return None  # the response to another client
        with self._lock:
            future = self._pending.pop(sequence, None)
        if future is None:
            return None
        return lambda: future.set_result(response)

    def service_is_ready(self) -> bool:
        """Return whether a service listens and answers; one of another vendor does not count."""
        self._endpoints.check(f"client of {self.srv_name}")
        graph = self._endpoints.context.graph
        readers = graph.user_data(self.writer.matched_handles())
        servers = {r.get("serviceid") for r in readers} - {None}
        writers = graph.user_data(self.reader.matched_handles())
        return any(w.get("serviceid") in servers for w in writers)

    def _refuse_foreign(self) -> None:
        matched = self._endpoints.context.graph.user_data(self.writer.matched_handles())
        if matched and not any("serviceid" in server for server in matched):
            raise RCLError(
                f"service {self.srv_name} is not served by Cyclone DDS: requests between DDS "
                "vendors do not work. Start it with RMW_IMPLEMENTATION=rmw_cyclonedds_cpp"
            )

    def wait_for_service(self, timeout_sec: float | None = None) -> bool:
        """Wait until the service is there; return whether it is."""
        return self._endpoints.context.graph.wait_until(self.service_is_ready, timeout_sec)

    def destroy(self) -> None:
        """End the client; pending futures are cancelled."""
        self._endpoints.close()
        with self._lock:
            pending = list(self._pending.values())
            self._pending.clear()
        for future in pending:
            future.cancel()

    @property
    def closed(self) -> bool:
        """Whether the client was destroyed."""
        return self._endpoints.closed

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()


def _decode_sample(owner: Service | Client, sample: Sample) -> tuple[bytes, Any] | None:
    """Return header and message; a malformed sample is counted and reported."""
    try:
        if len(sample.data) < 4 + _HEADER.size:
            raise CodecError(f"{len(sample.data)} bytes are too few")
        message = owner._decode(sample.data, _HEADER.size)
    except CodecError as error:
        owner.dropped += 1
        get_logger("rclpy.service").warning(
            f"{owner.srv_name}: dropped a malformed sample ({owner.dropped} so far): {error}",
            throttle_duration_sec=1.0,
        )
        return None
    return bytes(sample.data[4 : 4 + _HEADER.size]), message
