"""The words of the domain as frozen values: runs, attempts, artifacts, reports, executions.

Belongs here: what the words mean and the rules that follow from the meaning alone.
Does not belong here: files, frames, SQL, the clock. Standard library only.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


class Outcome(StrEnum):
    """What one execution of a test case ended with."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SKIPPED = "skipped"


class RunStatus(StrEnum):
    """How far an attempt of a CI run has come; GitHub's other states all mean `in_progress` to us."""

    COMPLETED = "completed"
    IN_PROGRESS = "in_progress"


class HealthStatus(StrEnum):
    """What FlakeGuard says of one test variant; see docs/concepts.md for the exact rules."""

    HEALTHY = "healthy"
    FLAKY = "flaky"
    BROKEN = "broken"
    FIXED = "fixed"
    INSUFFICIENT_EVIDENCE = "insufficient_evidence"


class ReasonCode(StrEnum):
    """Why an artifact or a report was not loaded, or not loaded whole. `REASONS` has the text for a person."""

    NOT_WELL_FORMED = "not_well_formed"
    EMPTY_FILE = "empty_file"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    ENTITY_DECLARATION = "entity_declaration"
    TOO_DEEP = "too_deep"
    REPORT_TOO_LARGE = "report_too_large"
    NOT_A_ZIP = "not_a_zip"
    UNSAFE_PATH = "unsafe_path"
    ZIP_BOMB = "zip_bomb"
    ZIP_TOO_DEEP = "zip_too_deep"
    ENCRYPTED_ZIP = "encrypted_zip"
    NO_TEST_CASES = "no_test_cases"
    ORPHAN_REPORT = "orphan_report"
    RUN_NOT_COMPLETED = "run_not_completed"
    BAD_RUN_METADATA = "bad_run_metadata"
    BAD_JOB_METADATA = "bad_job_metadata"
    UNREADABLE = "unreadable"
    ARTIFACT_EXPIRED = "artifact_expired"


REASONS: dict[ReasonCode, str] = {
    ReasonCode.NOT_WELL_FORMED: "is not well-formed XML; the test cases before the fault were kept",
    ReasonCode.EMPTY_FILE: "is empty; the test command probably died before it wrote its report",
    ReasonCode.UNSUPPORTED_ENCODING: "declares a character encoding that cannot be read",
    ReasonCode.ENTITY_DECLARATION: "declares XML entities, which are never expanded or fetched",
    ReasonCode.TOO_DEEP: "nests its elements deeper than any test report does",
    ReasonCode.REPORT_TOO_LARGE: "is larger than the limit for one report",
    ReasonCode.NOT_A_ZIP: "is called .zip but is not a readable zip archive",
    ReasonCode.UNSAFE_PATH: "holds a path that climbs out of the archive",
    ReasonCode.ZIP_BOMB: "unpacks to far more than an artifact of tests does",
    ReasonCode.ZIP_TOO_DEEP: "is an archive in an archive in an archive in an archive; it was not opened",
    ReasonCode.ENCRYPTED_ZIP: "is encrypted",
    ReasonCode.NO_TEST_CASES: "is a test report without a test case",
    ReasonCode.ORPHAN_REPORT: "lies beside neither run.json nor job.json, so no run is known for it",
    ReasonCode.RUN_NOT_COMPLETED: "belongs to a run that has not finished; it is read when the run has",
    ReasonCode.BAD_RUN_METADATA: "is no workflow run: a field that identifies the run is missing or wrong",
    ReasonCode.BAD_JOB_METADATA: "is no job list: a field that identifies the run is missing or wrong",
    ReasonCode.UNREADABLE: "could not be read from disk",
    ReasonCode.ARTIFACT_EXPIRED: "had expired at its CI provider before it was first asked for",
}


class IssueCode(StrEnum):
    """What makes a report that was read less useful than it could be. `ISSUES` has the text for a person."""

    FUTURE_TIMESTAMP = "future_timestamp"
    LONG_NAME = "long_name"
    NO_DURATION = "no_duration"
    NO_LOCATION = "no_location"
    NO_NAME = "no_name"
    REPEATED_NAME = "repeated_name"
    STALE_TIMESTAMP = "stale_timestamp"
    UNSTABLE_NAME = "unstable_name"


ISSUES: dict[IssueCode, str] = {
    IssueCode.FUTURE_TIMESTAMP: "has test cases that started after their run had ended; set the runner's clock",
    IssueCode.LONG_NAME: "has names of more than 1,000 characters; give parameters short ids",
    IssueCode.NO_DURATION: "has test cases without a duration, so nobody can tell what their flakes cost",
    IssueCode.NO_LOCATION: "has test cases with neither class name nor file; their name and suite alone identify them",
    IssueCode.NO_NAME: "has test cases without a name, which cannot be told apart",
    IssueCode.REPEATED_NAME: "has several test cases of one name, whose results cannot be told apart; "
    "give parameters ids",
    IssueCode.STALE_TIMESTAMP: "has test cases that started a day or more before their run; "
    "it may be left over from an earlier one",
    IssueCode.UNSTABLE_NAME: "has names with parts that differ in each run, such as addresses; "
    "they were replaced to recognise the test",
}


@dataclass(frozen=True, slots=True, order=True)
class AttemptKey:
    """Identity of one attempt of one CI run, before its repository is resolved.

    `repository_ref` is the provider's repository id as text, or `name:<owner>/<name>` where no id is known.
    """

    provider: str
    repository_ref: str
    run_id: str
    run_attempt: int


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a run attempt."""

    job_id: str
    name: str
    conclusion: str
    started_at: datetime | None
    completed_at: datetime | None
    labels: tuple[str, ...] = ()
    runner_name: str = ""


@dataclass(frozen=True, slots=True)
class RunAttempt:
    """One attempt of one CI run, as its provider described it. Times are UTC; absent text is ''."""

    key: AttemptKey
    full_name: str
    default_branch: str
    workflow: str
    event: str
    status: RunStatus
    conclusion: str
    branch: str
    head_sha: str
    head_repository_ref: str
    created_at: datetime
    run_started_at: datetime
    updated_at: datetime
    run_url: str
    pr_number: int | None
    is_partial: bool
    jobs: tuple[Job, ...] = field(default=())

    @property
    def day(self) -> date:
        """The UTC day whose partition the attempt belongs to."""
        return self.run_started_at.date()


@dataclass(frozen=True, slots=True)
class ReportCase:
    """One execution of a test case as its report tells it: text decoded, nothing normalised.

    `retry_index` counts from 0 within the report; `is_final` marks the last of the retries. `ordinal` is the
    position among the report's executions and, with the report, identifies the execution.
    `failure_message`, `failure_text` and the outputs are '' for executions that passed or were skipped,
    except that a skip's reason is its `failure_message`. `environment` is where the report itself says that it ran (the
    project of Playwright's), '' for all other reports.
    """

    ordinal: int
    suite: str
    classname: str
    name: str
    file: str
    line: int | None
    outcome: Outcome
    retry_index: int
    is_final: bool
    duration_us: int | None
    started_at: datetime | None
    failure_type: str
    failure_message: str
    failure_text: str
    output: str
    environment: str = ""


@dataclass(frozen=True, slots=True)
class ReportIssue:
    """Something that was wrong with a report; `detail` says where (line, element)."""

    code: ReasonCode
    detail: str


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """What was read from one report. `is_report` is False for XML (or bytes) that is no test report at all."""

    is_report: bool
    dialect: str
    cases: tuple[ReportCase, ...]
    issues: tuple[ReportIssue, ...]


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What is known of a report from outside it: whose it is and where it came from."""

    org: str
    provider: str
    repository_id: str
    run_id: str
    run_attempt: int
    artifact: str
    report_id: str
    variant: str
    job_id: str
    run_started_at: datetime
    known_at: datetime | None = None
