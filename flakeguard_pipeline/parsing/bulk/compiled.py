"""How functions of the kernel are compiled: by Numba, on first use, and kept.

They are plain loops over arrays of bytes: nothing allocates, nothing raises, the lock of the interpreter is not held.
Positions are signed, so that -1 can say "not here"; in the loops that are to be vectorised they are unsigned.
"""

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


def entered(function: Any) -> Any:
    """Decorate what is called from Python and may make arrays of addresses; what is compiled is kept, if it can be."""
    options = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        # neither this folder nor the user's can be written: every process compiles for itself
        return njit(**options)(function)


@intrinsic  # type: ignore[untyped-decorator]
def pointer(_context: Any, address: Any) -> Any:
    """Return the address of some bytes as a pointer to them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint8)(address), generate
