"""What the server refuses beside bad input: each a what and a mend, and the HTTP status it has."""

from __future__ import annotations

from residuum.core import ResiduumError


class Refusal(ResiduumError):
    """Base: an error with an HTTP status of its own."""

    status = 400


class Unauthorised(Refusal):
    """No token, or a wrong one."""

    status = 401


class Forbidden(Refusal):
    """A foreign host or origin."""

    status = 403


class NotFound(Refusal):
    """No run, model, job, view, page or route of this name."""

    status = 404


class Conflict(Refusal):
    """It cannot be done in the state that things are in."""

    status = 409


class TooLarge(Refusal):
    """A body beyond the bound."""

    status = 413


class WrongType(Refusal):
    """A body that is not JSON by its content type."""

    status = 415


class Busy(Refusal):
    """A queue is full."""

    status = 429


class Broken(Refusal):
    """The server's own mistake; its log has the reason, under a number that the error names."""

    status = 500


class Closed(Refusal):
    """The server is stopping."""

    status = 409
