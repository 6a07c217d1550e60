"""Exceptions of tf2 that node code may catch."""

from __future__ import annotations


class TransformException(Exception):  # noqa: N818 - tf2's name, as those below
    """Base of the tf2 exceptions."""


class ConnectivityException(TransformException):
    """Two frames are not part of one tree."""


class LookupException(TransformException):
    """A frame that nobody has spoken of, or a tree with a loop."""


class ExtrapolationException(TransformException):
    """A time before or after what is known."""


class InvalidArgumentException(TransformException):
    """A name that no frame can have."""


class TimeoutException(TransformException):
    """What was waited for did not come in time."""
