"""Pulls one source in a process of its own, which a test may kill: `python -m tests.support.pull_process JSON`."""

import json
import sys
from datetime import datetime

from pydantic import TypeAdapter

from flakeguard_pipeline.ingest import landing
from flakeguard_pipeline.ingest.pulling import pull_section
from flakeguard_pipeline.landing.zone import LandingZone
from flakeguard_pipeline.providers import circleci
from flakeguard_pipeline.source_sections import AnySource


def main() -> None:
    options = json.loads(sys.argv[1])
    # batches as long histories have them
    landing.FOLDERS_A_BATCH = 10
    # where the servers on loopback hand out artifacts
    circleci.ARTIFACT_ORIGINS = {**circleci.ARTIFACT_ORIGINS, **options["origins"]}
    adapter: TypeAdapter[AnySource] = TypeAdapter(AnySource)
    section = adapter.validate_python(options["section"])
    zone = LandingZone(options["landing"])
    zone.sweep()
    outcome = pull_section(section, zone, None, now=datetime.fromisoformat(options["now"]))
    sys.stdout.write(json.dumps({"faults": outcome.faults, "folders": outcome.counts.folders}))


if __name__ == "__main__":
    main()
