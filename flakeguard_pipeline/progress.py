"""How long work tells the person who waits for it how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Takes note of how far a stage of the work is."""

    def stage(self, name: str, total: int | None) -> None:
        """A stage begins; `total` is how many steps it has, None where that is not known."""
        ...

    def advance(self, steps: int = 1) -> None:
        """Some steps of the present stage are done."""
        ...

    def say(self, line: str) -> None:
        """Tell a person something worth a line."""
        ...


class Silent:
    """Tells nobody."""

    def stage(self, name: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, steps: int = 1) -> None:
        """Do nothing."""

    def say(self, line: str) -> None:
        """Do nothing."""
