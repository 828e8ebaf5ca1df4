"""Reproducible randomness: named streams of one seed.

Only `Generator.random()` and `Generator.integers()` are used on them, which rest on the bit stream and on
exact arithmetic alone; NumPy may change its other distributions, and logarithms differ in the last bit
between machines.
"""

import hashlib

import numpy as np


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator `name` of `seed`: draws from one stream never shift those of another."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def hex_digits(*parts: str | int) -> str:
    """Return 64 hexadecimal digits that look random and depend on `parts` alone."""
    return hashlib.sha256("/".join(str(part) for part in parts).encode()).hexdigest()


def pick(rng: np.random.Generator, count: int, among: list[int]) -> list[int]:
    """Return `count` different members of `among`, in random order."""
    # an argsort of random keys, since the algorithms behind shuffle() and choice() may change
    order = np.argsort(rng.random(len(among)), kind="stable")
    return [among[int(i)] for i in order[:count]]
