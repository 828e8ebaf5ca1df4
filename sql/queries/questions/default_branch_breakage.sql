-- What broke the default branch, at which commit, and when was it mended?
-- Grain: one row per test variant and breakage: two or more code versions in a row on which every execution failed.
-- Columns:
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   last_good_sha: newest commit on which it passed before; '' where it did not in the 14 days before `since`.
--   broke_at_sha: first commit on which it failed throughout.
--   broke_at: start of the first run of that commit.
--   broken_commits: how many commits in a row it failed on.
--   mended_at_sha: first commit on which it passed again; '' where it still fails.
--   run_url: address of the first failing run.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $since (day, default none): only breakages that began on this UTC day or later; none: 30 days before the last
--     scoring.
--   $commits (integer, default 2): how many commits in a row a test must fail on; one may be a flake.
with period as (
    select
        coalesce(
            cast(cast($since as date) as timestamp) at time zone 'UTC', max(as_of) - interval '30 days'
        ) as since,
        max(as_of) as until
    from flakiness.current_scoring
),

-- only tests that failed on as many commits, and passed on none of these, can be in the answer
failed as (
    select
        failure.org,
        failure.repository_id,
        failure.test_id
    from intermediate.int_test_failure as failure
    inner join staging.stg_run_attempt as run_attempt
        on
            failure.org = run_attempt.org
            and failure.repository_id = run_attempt.repository_id
            and failure.run_id = run_attempt.run_id
            and failure.run_attempt = run_attempt.run_attempt
            and failure.run_day = run_attempt.run_day
    left join intermediate.int_flaky_code as flaky_code
        on
            failure.org = flaky_code.org
            and failure.repository_id = flaky_code.repository_id
            and failure.test_id = flaky_code.test_id
            and failure.code_version = flaky_code.code_version
    cross join period
    where
        failure.run_started_at >= period.since
        and failure.known_at <= period.until
        and run_attempt.is_default_branch
        and flaky_code.test_id is null
        and ($repository = '' or failure.repository = $repository)
    group by failure.org, failure.repository_id, failure.test_id
    having count(distinct failure.code_version) >= cast($commits as integer)
),

attempt as (
    select
        test_attempt.org,
        test_attempt.repository_id,
        test_attempt.test_id,
        test_attempt.code_version,
        run_attempt.repository,
        run_attempt.head_sha,
        run_attempt.run_started_at,
        run_attempt.run_url,
        test_attempt.executions,
        test_attempt.failures,
        test_attempt.classname,
        test_attempt.name,
        test_attempt.variant,
        row_number() over (
            partition by
                test_attempt.org, test_attempt.repository_id, test_attempt.test_id, test_attempt.code_version
            order by run_attempt.run_started_at, test_attempt.run_id, test_attempt.run_attempt
        ) as nth_run
    from intermediate.int_test_attempt as test_attempt
    inner join staging.stg_run_attempt as run_attempt
        on
            test_attempt.org = run_attempt.org
            and test_attempt.repository_id = run_attempt.repository_id
            and test_attempt.run_id = run_attempt.run_id
            and test_attempt.run_attempt = run_attempt.run_attempt
            and test_attempt.run_day = run_attempt.run_day
    inner join failed
        on
            test_attempt.org = failed.org
            and test_attempt.repository_id = failed.repository_id
            and test_attempt.test_id = failed.test_id
    cross join period
    where
        run_attempt.is_default_branch
        and test_attempt.executions > 0
        and test_attempt.known_at <= period.until
        -- what broke earlier is recognised by what was before
        and run_attempt.run_started_at >= period.since - interval '14 days'
),

code as (
    select
        org,
        repository_id,
        test_id,
        code_version,
        min(repository) as repository,
        min(classname) as classname,
        min(name) as name,
        min(variant) as variant,
        min(head_sha) as head_sha,
        min(run_started_at) as first_run_at,
        max(case when nth_run = 1 then run_url end) as run_url,
        sum(failures) = sum(executions) as is_broken
    from attempt
    group by org, repository_id, test_id, code_version
),

ordered as (
    select
        *,
        row_number() over (
            partition by org, repository_id, test_id
            order by first_run_at, code_version
        ) as position,
        row_number() over (
            partition by org, repository_id, test_id, is_broken
            order by first_run_at, code_version
        ) as position_of_kind,
        lag(head_sha) over (
            partition by org, repository_id, test_id
            order by first_run_at, code_version
        ) as previous_sha,
        lead(head_sha) over (
            partition by org, repository_id, test_id
            order by first_run_at, code_version
        ) as next_sha
    from code
),

-- In a row of one kind both positions grow together, so their difference names the row.
breakage as (
    select
        org,
        repository_id,
        test_id,
        min(repository) as repository,
        min(classname) as classname,
        min(name) as name,
        min(variant) as variant,
        min(position) as first_position,
        max(position) as last_position,
        min(first_run_at) as broke_at,
        count(*) as broken_commits
    from ordered
    where is_broken
    group by org, repository_id, test_id, position - position_of_kind
)

select
    breakage.repository,
    breakage.classname,
    breakage.name,
    breakage.variant,
    coalesce(first_code.previous_sha, '') as last_good_sha,
    first_code.head_sha as broke_at_sha,
    breakage.broke_at,
    breakage.broken_commits,
    coalesce(last_code.next_sha, '') as mended_at_sha,
    first_code.run_url
from breakage
inner join ordered as first_code
    on
        breakage.org = first_code.org
        and breakage.repository_id = first_code.repository_id
        and breakage.test_id = first_code.test_id
        and breakage.first_position = first_code.position
inner join ordered as last_code
    on
        breakage.org = last_code.org
        and breakage.repository_id = last_code.repository_id
        and breakage.test_id = last_code.test_id
        and breakage.last_position = last_code.position
cross join period
where
    breakage.broken_commits >= cast($commits as integer)
    and breakage.broke_at >= period.since
order by
    breakage.broke_at desc, breakage.repository, breakage.classname, breakage.name, breakage.variant, breakage.org,
    breakage.test_id
