"""From an observation to the command that answers it, measured where both pass: at the arm."""

from __future__ import annotations

_KEPT = 1024


class LatencyMeter:
    """Pairs observations with commands.

    A command does not say which observation it answers: the gate spaces the stamps of commands
    evenly. The request of the same tick does: its stamp is that of the newest joint state which
    the policy had seen. Requests and commands carry the same tag, and come in either order.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._sent: dict[int, int] = {}  # stamp of an observation -> steady time
        self._asked: dict[str, int] = {}  # tag -> stamp
        self._arrived: dict[str, int] = {}  # tag -> steady time

    def sent(self, stamp_ns: int, steady_ns: int) -> None:
        """An observation is about to be sent; only the first time counts."""
        self._sent.setdefault(stamp_ns, steady_ns)
        _forget(self._sent)

    def asked(self, tag: str, stamp_ns: int) -> float | None:
        """A request was seen; return the latency [s] if its command has come already."""
        self._asked[tag] = stamp_ns
        _forget(self._asked)
        return self._pair(tag)

    def arrived(self, tag: str, steady_ns: int) -> float | None:
        """A command has come; return its latency [s] if its request was seen already."""
        self._arrived.setdefault(tag, steady_ns)
        _forget(self._arrived)
        return self._pair(tag)

    def _pair(self, tag: str) -> float | None:
        sent = self._sent.get(self._asked.get(tag, -1))
        if sent is None or tag not in self._arrived:
            return None
        del self._asked[tag]
        return (self._arrived.pop(tag) - sent) / 1e9


def _forget(kept: dict[str, int] | dict[int, int]) -> None:
    """Keep the newest entries only."""
    if len(kept) > _KEPT:
        kept.pop(next(iter(kept)))  # pyright: ignore[reportArgumentType]
