"""How functions of the kernel are compiled: by Numba, on first use, and kept.

They are plain loops over arrays of bytes: nothing allocates, nothing raises, the lock of the interpreter is not held.
Positions are signed, so that -1 can say "not here"; in the loops that are to be vectorised they are unsigned.
"""

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

SOURCES = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()
"""Digest of the kernel's sources. What is kept of a compiled function is found by its own text and by what it closes
over, and by nothing of the functions that it calls: the entry points close over this."""

compiled = njit(nogil=True, boundscheck=False, error_model="numpy", _nrt=False)
"""Decorates what compiled functions call. No references to arrays are counted there, which would take most of the
time."""


class _Forgiving:
    """What is kept of a compiled function, for which nothing that is wrong with the file is worth an error."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def load_overload(self, *arguments: Any) -> Any:
        """Return what is kept; nothing where it cannot be read, and then it is forgotten."""
        try:
            return self._cache.load_overload(*arguments)
        except Exception:  # noqa: BLE001 - whatever a damaged file makes of it: a power cut leaves half of one
            with contextlib.suppress(Exception):
                self._cache.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        """Keep a function, where that is possible: a disk may be full."""
        with contextlib.suppress(Exception):
            self._cache.save_overload(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


def entered(function: Any) -> Any:
    """Decorate what is called from Python and may make arrays of addresses; what is compiled is kept, if it can be."""
    options = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
    try:
        dispatcher = njit(cache=True, **options)(function)
    except RuntimeError:
        # neither this folder nor the user's can be written: every process compiles for itself
        return njit(**options)(function)
    dispatcher._cache = _Forgiving(dispatcher._cache)
    return dispatcher


@intrinsic  # type: ignore[untyped-decorator]
def pointer(_context: Any, address: Any) -> Any:
    """Return the address of some bytes as a pointer to them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint8)(address), generate
