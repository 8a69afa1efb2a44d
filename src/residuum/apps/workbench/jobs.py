"""Long work: its progress, its cancelling, its stream of events."""

from __future__ import annotations


class Jobs:
    """The jobs of this server."""

    def close(self) -> None:
        """Cancel what runs."""
