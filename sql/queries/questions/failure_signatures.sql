-- Which failures happen most, and to which tests?
-- Grain: one row per repository and failure signature.
-- Columns:
--   repository: full name of the repository.
--   failure_signature: fingerprint of the failure.
--   failures: executions that failed with it.
--   flaky_failures: of these, those on code on which the test also passed.
--   test_variants: test variants that failed with it.
--   first_seen_at: start of the first run attempt with it.
--   last_seen_at: start of the newest.
--   example_test: class name and name of the test that failed with it most.
--   failure_message: message of that test's newest such failure.
-- Parameters:
--   $repository (text, default ''): only this repository, by its full name; '' for all.
--   $since (day, default none): only signatures that were seen on this UTC day or later; none: all.
with ranked as (
    select
        *,
        case when classname = '' then name else classname || ' ' || name end as test,
        row_number() over (
            partition by org, repository_id, failure_signature
            order by failures desc, test_id
        ) as place
    from marts.failure_signature
)

select
    min(repository) as repository,
    failure_signature,
    cast(sum(failures) as bigint) as failures,
    cast(sum(flaky_failures) as bigint) as flaky_failures,
    count(*) as test_variants,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    max(case when place = 1 then test end) as example_test,
    max(case when place = 1 then failure_message end) as failure_message
from ranked
where $repository = '' or repository = $repository
group by org, repository_id, failure_signature
having
    cast($since as date) is null
    or max(last_seen_at) >= cast(cast($since as date) as timestamp) at time zone 'UTC'
order by failures desc, repository, failure_signature, org, repository_id
