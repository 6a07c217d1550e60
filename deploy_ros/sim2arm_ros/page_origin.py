"""Which pages may talk to the server of `page.py`: its own, not those of other sites.

A browser lets any page that is open connect to a server on this machine, and sends along where the
page is from. viser does not look at that, and has no option for it; the library below it lets a
request be looked at before it is answered.
"""

# pyright: standard

from __future__ import annotations

import contextlib
import http
import ipaddress
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio import server
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response


def is_own(origin: str | None, asked: str | None, *, local: bool) -> bool:
    """Return whether a request comes from the page that is served here.

    Args:
        origin: the header `Origin` of the request, as in `http://localhost:8080`; browsers always
            send it with a websocket, and what is no browser may claim any.
        asked: its header `Host`, the server as the browser knows it.
        local: whether the server listens on this machine only. Then it must be known by a name of
            this machine: another site can let its own name lead here.
    """
    if origin is None:
        return True
    place = urlsplit(origin)
    return place.netloc == asked and (not local or is_local(place.hostname or ""))


def is_local(host: str) -> bool:
    """Return whether a host is a name or an address by which a machine reaches itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def own_page_only(host: str) -> Iterator[None]:
    """Let the server that starts meanwhile refuse the pages of other sites, with status 403.

    Args:
        host: address that it listens at.

    Raises:
        RuntimeError: none has started in a way that is known here, so nothing would be refused.
    """
    plain, local, guarded = server.serve, is_local(host), False

    def serve(*args: Any, process_request: Any, **options: Any) -> Any:
        nonlocal guarded
        guarded = True

        def answer(connection: ServerConnection, request: Request) -> Any:
            if is_own(request.headers.get("Origin"), request.headers.get("Host"), local=local):
                return process_request(connection, request)
            return _refusal(connection)

        return plain(*args, process_request=answer, **options)

    server.serve = serve  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        server.serve = plain
    if not guarded:
        raise RuntimeError("this version of viser serves in another way: pages are not kept out")


def _refusal(connection: ServerConnection) -> Response:
    return connection.respond(http.HTTPStatus.FORBIDDEN, "this server answers its own page only\n")
