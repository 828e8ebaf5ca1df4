"""The Dagster code location: thin assets over the library flakeguard_pipeline."""

import warnings

from dagster import BetaWarning

# Single-run backfills are a beta feature that this code location rests on; saying so in every process helps nobody.
warnings.filterwarnings("ignore", category=BetaWarning)
