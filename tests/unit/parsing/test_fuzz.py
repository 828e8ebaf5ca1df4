"""A short run of the fuzzer; `make fuzz SECONDS=600` makes longer ones."""

from random import Random

from tests.fuzz.fuzz_reports import fuzz, mutated, samples

SEED = 20_260_302
INPUTS = 1_500
LEAST_SOUND = INPUTS // 8
DRAWN = 20


def test_the_fuzzer_finds_nothing_in_a_short_run() -> None:
    found = fuzz(SEED, 0, INPUTS, None)
    assert found.broken == {}
    assert found.inputs == INPUTS
    assert found.sorts["sound"] > LEAST_SOUND


def test_the_fuzzer_makes_the_same_inputs_from_the_same_seed() -> None:
    seeds = samples()
    first, second = ([mutated(Random(f"1 {number}"), seeds) for number in range(DRAWN)] for _ in range(2))
    assert first == second
    assert len(set(first)) > DRAWN // 2
