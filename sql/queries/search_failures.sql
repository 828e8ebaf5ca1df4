-- The failure signatures whose message has all words that are searched for, and what is known of them.
-- `search_match` is the query of that name. First come messages that have the words as a phrase, then those with fewer
-- other words, then what failed more often.
-- Grain: one row per repository and failure signature. Parameters: $phrase, $repository, $since.
with failure as (
    select
        test_failure.*,
        flaky_code.test_id is not null as is_flake,
        row_number() over (
            partition by test_failure.org, test_failure.repository_id, test_failure.failure_signature
            order by
                test_failure.run_started_at desc, test_failure.run_id desc, test_failure.run_attempt desc,
                test_failure.report_id desc, test_failure.ordinal desc
        ) as recency
    from search_match
    inner join intermediate.int_test_failure as test_failure
        on
            search_match.org = test_failure.org
            and search_match.repository_id = test_failure.repository_id
            and search_match.failure_signature = test_failure.failure_signature
    left join intermediate.int_flaky_code as flaky_code
        on
            test_failure.org = flaky_code.org
            and test_failure.repository_id = flaky_code.repository_id
            and test_failure.test_id = flaky_code.test_id
            and test_failure.code_version = flaky_code.code_version
    where $repository = '' or test_failure.repository = $repository
),

found as (
    select
        org,
        repository_id,
        failure_signature,
        min(repository) as repository,
        count(distinct test_id) as test_variants,
        cast(sum(failures) as bigint) as failures,
        cast(sum(case when is_flake then failures else 0 end) as bigint) as flaky_failures,
        min(run_started_at) as first_seen_at,
        max(run_started_at) as last_seen_at,
        max(case when recency = 1 then case when classname = '' then name else classname || ' ' || name end end)
            as example_test,
        max(case when recency = 1 then run_id end) as example_run_id,
        max(case when recency = 1 then run_url end) as example_run_url
    from failure
    group by org, repository_id, failure_signature
    having
        cast($since as date) is null
        or max(run_started_at) >= cast(cast($since as date) as timestamp) at time zone 'UTC'
)

select
    found.repository,
    search_match.failure_message,
    found.failures,
    found.flaky_failures,
    found.test_variants,
    found.first_seen_at,
    found.last_seen_at,
    found.example_test,
    found.example_run_id,
    found.example_run_url,
    found.failure_signature
from found
inner join search_match
    on
        found.org = search_match.org
        and found.repository_id = search_match.repository_id
        and found.failure_signature = search_match.failure_signature
order by
    case
        when strpos(' ' || search_match.words || ' ', ' ' || cast($phrase as text) || ' ') > 0 then 0
        else 1
    end,
    length(search_match.words) - length(replace(search_match.words, ' ', '')),
    found.failures desc, found.last_seen_at desc, found.repository, found.failure_signature, found.org,
    found.repository_id
