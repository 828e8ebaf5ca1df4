"""Every error that FlakeGuard raises on purpose.

    FlakeGuardError
    ├── UsageError            the command or its configuration is wrong: exit status 2
    │   └── ConfigurationError
    └── OperationError        the work could not be done: exit status 1
        ├── WarehouseError
        │   ├── WarehouseLockedError
        │   ├── WarehouseInterruptedError
        │   └── WarehouseUnreachableError
        ├── LandingError
        ├── SourceError       a CI provider cannot be asked; what was landed before stays
        │   ├── SourceDeniedError
        │   ├── SourceNotFoundError
        │   └── SourceBusyError
        └── DataCheckFailedError

Each message says what is wrong, where, and what to do; the command line prints it as one line.
"""


class FlakeGuardError(Exception):
    """Base of all errors whose message is meant for the person at the keyboard."""

    exit_status = 1


class UsageError(FlakeGuardError):
    """The command line asks for something that cannot be meant."""

    exit_status = 2


class ConfigurationError(UsageError):
    """A configuration file or variable is damaged or contradicts itself."""


class OperationError(FlakeGuardError):
    """The request was sound, but the work could not be done."""


class WarehouseError(OperationError):
    """The warehouse cannot be opened, read or written."""


class WarehouseLockedError(WarehouseError):
    """Another process holds the embedded warehouse's file, or a lock of the shared warehouse."""


class WarehouseInterruptedError(WarehouseError):
    """A transaction was undone for a reason that passes, such as a lost connection; it may be tried again."""


class WarehouseUnreachableError(WarehouseError):
    """The shared warehouse's server cannot be reached, or does not let us in."""


class LandingError(OperationError):
    """The landing zone cannot be read or written."""


class SourceError(OperationError):
    """A CI provider cannot be reached, or answers with nonsense."""


class SourceDeniedError(SourceError):
    """The provider refuses our identity (`status` 401) or what it asks for (403).

    `is_elsewhere` says that it was not the provider itself but a store that it has sent us to.
    """

    def __init__(self, message: str, *, status: int = 403, is_elsewhere: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.is_elsewhere = is_elsewhere


class SourceNotFoundError(SourceError):
    """The provider has no such thing, or hides it from us."""


class SourceBusyError(SourceError):
    """The provider wants us to wait for longer than is worth it."""


class ArtifactGoneError(OSError):
    """An artifact's bytes are no longer where they were, for good. The message says where."""


class DataCheckFailedError(OperationError):
    """Loaded data break an expectation that decisions rest on."""
