"""The tables that FlakeGuard owns, in one place: the migrations create them, the data dictionary prints them.

Belongs here: columns, keys, grain and the one writer of every table in the schemas `core`, `flakiness` and
`quarantine`. Does not belong here: `marts` and what feeds them, which dbt owns.

Conventions: text is never null and '' where absent; times are UTC with microseconds; units stand in names.
`core.test_execution` has no primary key in the embedded warehouse, because its index doubles the time of a
load; the loader replaces whole run attempts and a data check proves uniqueness (docs/adr/0004).
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

metadata = sa.MetaData()

SCHEMAS = ("core", "flakiness", "quarantine")


TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Text that is compared and ordered bytewise on every engine, whatever collation a database was made with."""


def _text(name: str, comment: str) -> sa.Column[str]:
    return sa.Column(name, TEXT, nullable=False, comment=comment)


def _count(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, comment=comment)


def _int(name: str, comment: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=nullable, comment=comment)


def _flag(name: str, comment: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, comment=comment)


def _share(name: str, comment: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False, comment=comment)


def _time(name: str, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, comment=comment)


def _org() -> sa.Column[str]:
    return _text("org", "tenant that owns the row")


def _repository_id() -> sa.Column[str]:
    return _text("repository_id", "`<provider>:<id>`, or `<provider>:name:<owner>/<name>` where no id is known")


def _attempt() -> tuple[sa.Column[str], sa.Column[int]]:
    return (
        _text("run_id", "the provider's id of the CI run"),
        _int("run_attempt", "attempt of the run, from 1"),
    )


def _test() -> tuple[sa.Column[str], sa.Column[str]]:
    return (
        _text("test_key", "stable id of the test case in its repository"),
        _text("variant", "environment the test ran in, e.g. `os=linux`; '' where there is one only"),
    )


def _table(
    name: str,
    schema: str,
    *columns: sa.Column[Any],
    key: tuple[str, ...],
    grain: str,
    writer: str,
    enforce: bool = True,
    is_replaced: bool = False,
    hashed: tuple[str, ...] = (),
) -> sa.Table:
    """Return a table.

    Args:
        name: its name.
        schema: its schema.
        columns: its columns, in order.
        key: the columns that tell its rows apart.
        grain: what one row is.
        writer: who alone writes it.
        enforce: whether the database holds the key unique.
        is_replaced: whether its rows are replaced by run attempt, for which Postgres needs an index.
        hashed: columns of the key that may be longer than an entry of a Postgres index: there the key is a unique
            index over their hashes, and no primary key.
    """
    constraint = (sa.PrimaryKeyConstraint(*key),) if enforce else ()
    indexes: list[sa.Index] = []
    if hashed:
        expressions = (sa.text(f"hashtextextended({each}, 0)") if each in hashed else each for each in key)
        indexes.append(sa.Index(f"{name}_key", *expressions, unique=True).ddl_if(dialect="postgresql"))
    if is_replaced:
        indexes.append(sa.Index(f"{name}_run_attempt", *REPLACED_BY).ddl_if(dialect="postgresql"))
    return sa.Table(
        name,
        metadata,
        *columns,
        *constraint,
        *indexes,
        schema=schema,
        comment=grain,
        info={"key": key, "writer": writer, "enforced": enforce, "hashed": hashed},
    )


LOADER = "asset group `core` (warehouse/load.py)"
ATTEMPT_KEY = ("org", "repository_id", "run_id", "run_attempt")

REPLACED_BY = ("repository_id", "run_id", "run_attempt")
"""What the loader deletes by (warehouse/load.py); the org of a run attempt may have changed."""

repository = _table(
    "repository",
    "core",
    _org(),
    _repository_id(),
    _text("provider", "where its CI runs, e.g. `github`"),
    _text("full_name", "its latest full name; what people are shown"),
    _text("default_branch", "declared by the provider, else configured, else `main` or `master`, whichever occurs"),
    _time("first_run_at", "start of its first known run attempt"),
    _time("last_run_at", "start of its newest known run attempt"),
    key=("org", "repository_id"),
    grain="one row per repository",
    writer=LOADER,
)

run_attempt = _table(
    "run_attempt",
    "core",
    _org(),
    _repository_id(),
    *_attempt(),
    _text("provider", "where it ran"),
    _text("full_name", "full name of the repository at that time"),
    _text("workflow", "name of the workflow; '' where the provider did not say"),
    _text("event", "what started it, e.g. `push`, `pull_request`, `schedule`"),
    _text("status", "`completed` or `in_progress`"),
    _text("conclusion", "the provider's conclusion, e.g. `success`, `failure`"),
    _text("branch", "head branch"),
    _text("head_sha", "head commit"),
    _text("head_repository_id", "repository the head commit comes from; '' where not said"),
    _text("declared_default_branch", "the repository's default branch as this run named it; '' where not said"),
    _time("created_at", "when the run was created"),
    _time("run_started_at", "when this attempt started; its UTC day is its partition"),
    _time("updated_at", "when the attempt was last changed; from then on its results are known"),
    _text("run_url", "address of the run for people"),
    _int("pr_number", "pull request, where there is one", nullable=True),
    _flag("is_partial", "rebuilt from job.json alone"),
    _count("passed_over_files", "files of the attempt that are no test reports"),
    _text("load_digest", "digest of everything the loaded rows follow from; another digest means: load again"),
    key=ATTEMPT_KEY,
    grain="one row per attempt of a CI run, whether it left reports or not",
    writer=LOADER,
    is_replaced=True,
)

job = _table(
    "job",
    "core",
    _org(),
    _repository_id(),
    *_attempt(),
    _text("job_id", "the provider's id of the job"),
    _text("name", "name of the job"),
    _text("conclusion", "the provider's conclusion"),
    _time("started_at", "start", nullable=True),
    _time("completed_at", "end", nullable=True),
    _text("labels", "labels of the runner as a JSON array"),
    _text("runner_name", "name of the runner"),
    key=(*ATTEMPT_KEY, "job_id"),
    grain="one row per job of a run attempt",
    writer=LOADER,
    is_replaced=True,
)

raw_artifact = _table(
    "raw_artifact",
    "core",
    _org(),
    _repository_id(),
    *_attempt(),
    _text("artifact", "name of the artifact; '' for files that lay beside run.json"),
    _text("path", "path in the artifact, or the zip archive's own name"),
    _text("digest", "SHA-256 of the bytes: their address in the landing zone"),
    _count("size_bytes", "size of the bytes"),
    _text("kind", "`run`, `jobs`, `zip`, `nested_zip` or `file`"),
    _text("source", "source that brought it"),
    _text("source_folder", "folder of the source it came from"),
    key=(*ATTEMPT_KEY, "artifact", "path", "kind", "source", "source_folder"),
    grain="one row per file kept in the landing zone for a run attempt: the landing zone's manifest",
    writer=LOADER,
    is_replaced=True,
    hashed=("artifact", "path", "source_folder"),
)

report = _table(
    "report",
    "core",
    _org(),
    _repository_id(),
    *_attempt(),
    _text("report_id", "stable id of a report: run attempt, artifact and content"),
    _text("artifact", "name of the artifact it lay in"),
    _text("path", "its first path there"),
    _text("job_id", "job the artifact belongs to; '' where none is known"),
    _text("variant", "variant of its executions"),
    _text("digest", "SHA-256 of the report"),
    _count("size_bytes", "size of the report"),
    _text("dialect", "dialect it was read as"),
    _count("executions", "executions loaded from it"),
    _flag("is_whole", "false where only the part before a fault could be read"),
    key=(*ATTEMPT_KEY, "report_id"),
    grain="one row per distinct test report of a run attempt that yielded executions",
    writer=LOADER,
    is_replaced=True,
)

report_issue = _table(
    "report_issue",
    "core",
    _org(),
    _repository_id(),
    *_attempt(),
    _text("report_id", "report it was found in"),
    _text("issue_code", "what is odd: one of the issue codes"),
    _text("issue", "the same for a person, with what to do about it"),
    _count("occurrences", "executions concerned"),
    _text("example", "the first test concerned, or where the fault is"),
    key=(*ATTEMPT_KEY, "report_id", "issue_code"),
    grain="one row per report and kind of oddity that makes its results less useful than they could be",
    writer=LOADER,
    is_replaced=True,
)

rejected_artifact = _table(
    "rejected_artifact",
    "core",
    _org(),
    _repository_id(),
    *_attempt(),
    _text("artifact", "name of the artifact"),
    _text("path", "path of the file that was rejected"),
    _text("reason_code", "why: one of the reason codes"),
    _text("reason", "the same for a person"),
    _text("detail", "where the fault is"),
    _text("digest", "SHA-256 of the bytes; '' where they could not be read"),
    _count("size_bytes", "size of the bytes"),
    _count("kept_executions", "executions from before the fault that were kept"),
    _text("source", "source that brought it"),
    key=(*ATTEMPT_KEY, "artifact", "path", "reason_code", "digest"),
    grain="one row per file and reason that it was not loaded, or not whole; "
    "`repository_id` and `run_id` are '' and `run_attempt` 0 where no run is known for it",
    writer=LOADER,
    is_replaced=True,
    hashed=("artifact", "path"),
)

test_execution = _table(
    "test_execution",
    "core",
    _org(),
    _text("provider", "where it ran"),
    _repository_id(),
    *_attempt(),
    _text("artifact", "artifact the report lay in"),
    _text("report_id", "report that told it"),
    _int("ordinal", "position among the report's executions, from 0"),
    *_test(),
    _text("suite", "name of the test suite; shown, not part of identity"),
    _text("classname", "normalised class name of the test case"),
    _text("name", "normalised name of the test case"),
    _text("file", "normalised source file, where the report says it"),
    _text("raw_name", "name as the report has it, redacted"),
    _text("outcome", "`passed`, `failed`, `errored` or `skipped`"),
    _int("retry_index", "0 for the first execution, counted within the report"),
    _flag("is_final", "the last of its retries: what most tools count"),
    _time("started_at", "start of the execution; its attempt's start where the report has no time"),
    sa.Column("duration_us", sa.BigInteger, nullable=True, comment="duration in microseconds"),
    _text("job_id", "job it ran in; '' where none is known"),
    _text("failure_type", "type of the failure"),
    _text("failure_message", "message of the failure, redacted"),
    _text("failure_signature", "fingerprint of the failure, equal for the same cause; '' where it did not fail"),
    _text("failure_text", "head and tail of the stack, redacted"),
    _text("output", "head and tail of the output, redacted; failures only"),
    _text("raw_classname", "class name as the report has it, redacted"),
    key=(*ATTEMPT_KEY, "report_id", "ordinal"),
    grain="one row per execution of a test case",
    writer=LOADER,
    is_replaced=True,
    enforce=False,
)

inferred_pass = _table(
    "inferred_pass",
    "core",
    _org(),
    _repository_id(),
    *_attempt(),
    _text("job_id", "job that succeeded without uploading a report"),
    *_test(),
    key=(*ATTEMPT_KEY, "job_id", "test_key", "variant"),
    grain="one row per pass that a job's success implies though no report tells it; never a test execution",
    writer="asset `core/inferred_pass`",
)

alias_proposal = _table(
    "alias_proposal",
    "core",
    _text("alias_id", "short id of the pair, for the command line"),
    _org(),
    _repository_id(),
    _text("old_test_key", "test that disappeared"),
    _text("old_suite", "its suite when last seen"),
    _text("old_classname", "its class name"),
    _text("old_name", "its name"),
    _text("old_file", "its source file"),
    _text("new_test_key", "test that appeared"),
    _text("new_suite", "its suite when first seen"),
    _text("new_classname", "its class name"),
    _text("new_name", "its name"),
    _text("new_file", "its source file"),
    _text("head_sha", "commit at which the one gave way to the other"),
    _share("confidence", "how sure it is that both are one test, 0 to 1"),
    _text("evidence", "what the confidence rests on, as JSON"),
    _time("known_at", "from when on it is known"),
    key=("org", "repository_id", "old_test_key", "new_test_key"),
    grain="one row per pair of tests that look like one test under two names",
    writer="asset `core/alias_proposal`",
)

alias_decision = _table(
    "alias_decision",
    "core",
    _org(),
    _repository_id(),
    _text("old_test_key", "test whose history is carried over"),
    _int(
        "sequence",
        "position among the decisions on the test, from 0; the last acceptance holds until its own pair is rejected",
    ),
    _text("new_test_key", "test that the history is carried over to"),
    _text("decision", "`accepted` or `rejected`"),
    _text("actor", "who decided"),
    _text("reason", "why"),
    _time("decided_at", "when"),
    key=("org", "repository_id", "old_test_key", "sequence"),
    grain="one row per decision on an alias, never changed afterwards",
    writer="`flakeguard alias accept` and `reject`",
)

data_check_result = _table(
    "data_check_result",
    "core",
    _text("org", "`*`: the check reads all organisations of the warehouse"),
    _text("suite_name", "the suite of expectations"),
    _text("core_version", "state of `core` that was checked"),
    _flag("is_passed", "whether every expectation held"),
    _text("detail", "expectations that did not hold, as JSON"),
    key=("org", "suite_name"),
    grain="one row per suite: the newest result",
    writer="asset checks of group `core`",
)

checked_attempt = _table(
    "checked_attempt",
    "core",
    _org(),
    _repository_id(),
    *_attempt(),
    _text("suite_name", "the suite of expectations that its executions met"),
    _text("suite_digest", "digest of the suite as it was then; under another one it is checked again"),
    _text("load_digest", "the load digest that it was checked with; under another one it is checked again"),
    key=(*ATTEMPT_KEY, "suite_name"),
    grain="one row per run attempt and suite whose expectations its executions met",
    writer="asset checks of group `core`",
)

dbt_build = _table(
    "dbt_build",
    "flakiness",
    _text("org", "`*`: built for all organisations of the warehouse; the repository's where it is built for one"),
    _text("part", "`rollups`, `marts` or `inferred_passes`; also `inferred_passes:<repository_id>`"),
    _text("project_digest", "digest of what built it: the dbt project and its variables, or the rule and its switches"),
    _text("core_version", "state of `core` that it was built from; '' for marts, which are views"),
    key=("org", "part"),
    grain="one row per part of what is built from `core`: what it was last built from",
    writer="dbt assets (assets/core/dbt.py); asset `core/inferred_pass` for its own parts",
)

health_snapshot = _table(
    "health_snapshot",
    "flakiness",
    _org(),
    _repository_id(),
    _time("as_of", "the cut in knowledge it was computed for"),
    _text("test_key", "stable id of the test case in its repository"),
    _text("test_id", "stable id of the test variant"),
    _text("variant", "variant"),
    _text("suite", "as in its newest execution"),
    _text("classname", "class name"),
    _text("name", "normalised name"),
    _text("file", "source file"),
    _text("status", "`healthy`, `flaky`, `broken`, `fixed` or `insufficient_evidence`"),
    _share("p_flaky", "posterior probability that its flake rate now is above 0.2 %"),
    _share("p_broken", "posterior probability that the default branch is broken for it now"),
    _share("flake_rate", "probability that one execution on good code fails: posterior mean"),
    _share("flake_rate_low", "5 % quantile"),
    _share("flake_rate_high", "95 % quantile"),
    _count(
        "executions",
        "observed executions in the window that count: no skipped ones, no passes beside a failure of the same name in "
        "one report",
    ),
    _count("failures", "observed failures in the window"),
    _count("same_commit_flips", "code versions in the window on which it passed and failed"),
    _count("inferred_passes", "inferred passes in the window"),
    _count("infra_failures", "failures put down to run-wide outages, not counted against the test"),
    _count("clean_executions", "passes since its last failure in the window"),
    _time("first_seen_at", "start of the first run attempt it was seen in"),
    _time("last_seen_at", "start of the newest run attempt it was seen in"),
    _time("last_failed_at", "start of the newest run attempt it failed in", nullable=True),
    _text("prior_version", "parameters it was computed with"),
    key=("org", "repository_id", "as_of", "test_key", "variant"),
    grain="one row per test variant and scoring",
    writer="asset `flakiness/health_snapshot`",
)

flake_evidence = _table(
    "flake_evidence",
    "flakiness",
    _org(),
    _repository_id(),
    _time("as_of", "the scoring it belongs to"),
    *_test(),
    *_attempt(),
    _text("code_version", "code on which the test also passed"),
    _time("known_at", "from when on the flake is known"),
    key=("org", "repository_id", "as_of", "test_key", "variant", "run_id", "run_attempt"),
    grain="one row per test variant, scoring and run attempt in which it flaked",
    writer="asset `flakiness/health_snapshot`",
)

current_scoring = _table(
    "current_scoring",
    "flakiness",
    _org(),
    _repository_id(),
    _time("as_of", "the scoring that `marts.test_health` and `marts.quarantine` show"),
    key=("org", "repository_id"),
    grain="one row per repository: its last scoring",
    writer="asset `flakiness/health_snapshot`",
)

quarantine_event = _table(
    "quarantine_event",
    "quarantine",
    _text("decision_id", "digest of org, repository, test_id, as_of, states and policy version"),
    _org(),
    _repository_id(),
    *_test(),
    _text("test_id", "stable id of the test variant"),
    _text("suite", "name of the test suite at that time"),
    _text("classname", "class name"),
    _text("name", "normalised name"),
    _text("file", "source file"),
    _time("as_of", "the cut in knowledge it was decided at"),
    _int("sequence", "position among the decisions on the test variant, from 0"),
    _text("from_state", "state before; '' where it had none"),
    _text("to_state", "state after"),
    _text("reason", "`flaky` or `manual`"),
    _text("actor", "who decided: `policy`, or a person"),
    _text("rationale", "why, in a sentence"),
    _text("evidence", "what it rests on, as JSON: counts, posterior, run attempts"),
    _share("flake_rate", "posterior mean at that time"),
    _share("flake_rate_low", "5 % quantile at that time"),
    _share("flake_rate_high", "95 % quantile at that time"),
    _time("expires_at", "when it ends by itself", nullable=True),
    _text("policy_version", "digest of the policy that decided"),
    _text("code_version", "version of FlakeGuard that decided"),
    key=("org", "decision_id"),
    grain="one row per decision ever made: append-only",
    writer="asset `quarantine/quarantine_event`",
)
