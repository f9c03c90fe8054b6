"""When a receiver stops: nobody tells it that the sender is done, because the link is one way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """When to stop: after so many whole bundles (None: never for that), or so long a silence, or so long altogether.

    `first_s` is how long to wait for the first packet that is of use, `idle_s` how long for each after it.
    """

    bundles: int | None = 1
    first_s: float = 3600.0
    idle_s: float = 30.0
    deadline_s: float | None = None

    def over(self, *, whole: int, idle_s: float, elapsed_s: float) -> bool:
        """Whether it is time to stop; while nothing was heard, the silence is as long as the whole time."""
        done = self.bundles is not None and whole >= self.bundles
        late = self.deadline_s is not None and elapsed_s >= self.deadline_s
        heard = idle_s < elapsed_s
        return done or late or idle_s >= (self.idle_s if heard else self.first_s)
