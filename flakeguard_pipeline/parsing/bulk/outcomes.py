"""Outcomes as numbers, while columns are computed."""

from flakeguard_pipeline.domain.model import Outcome

OUTCOMES = (Outcome.PASSED, Outcome.SKIPPED, Outcome.FAILED, Outcome.ERRORED)
"""Outcomes by their code: from FAILED on they are failures."""

PASSED, SKIPPED, FAILED = range(3)
