"""When a receiver stops: nobody tells it that the sender is done, because the link is one way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """When to stop: after so many whole bundles (None: never for that), so long a silence, or so long altogether."""

    bundles: int | None = 1
    idle_s: float = 30.0
    deadline_s: float | None = None

    def over(self, *, whole: int, idle_s: float, elapsed_s: float) -> bool:
        """Whether it is time to stop."""
        done = self.bundles is not None and whole >= self.bundles
        late = self.deadline_s is not None and elapsed_s >= self.deadline_s
        return done or late or idle_s >= self.idle_s
