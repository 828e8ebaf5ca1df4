{#
  The reported tests of run attempts under the names that hold now. What reads it twice says it twice: of a query that is
  named once and read twice, an engine makes all rows, whatever is asked of them.
#}
{% macro named_tests() -%}
(
    select
        reported_test.org,
        reported_test.repository_id,
        reported_test.run_id,
        reported_test.run_attempt,
        reported_test.run_day,
        reported_test.variant as base_variant,
        test_name.shared_known_at,
        reported_test.suite,
        reported_test.classname,
        reported_test.name,
        reported_test.file,
        run_attempt.provider,
        run_attempt.code_version,
        run_attempt.is_default_branch,
        run_attempt.run_started_at,
        run_attempt.known_at,
        reported_test.executions,
        reported_test.failures,
        reported_test.skips,
        reported_test.unknown_durations,
        reported_test.total_us,
        reported_test.retry_us,
        reported_test.test_key as reported_test_key,
        coalesce(test_name.test_key, reported_test.test_key) as continued_test_key,
        {{ labelled_variant('reported_test.variant', 'run_attempt.workflow', 'coalesce(test_name.is_shared, false)') }}
            as variant
    from {{ ref('int_reported_test') }} as reported_test
    inner join {{ ref('stg_run_attempt') }} as run_attempt
        on
            reported_test.org = run_attempt.org
            and reported_test.repository_id = run_attempt.repository_id
            and reported_test.run_id = run_attempt.run_id
            and reported_test.run_attempt = run_attempt.run_attempt
            and reported_test.run_day = run_attempt.run_day
    left join {{ ref('int_test_name') }} as test_name
        on
            reported_test.org = test_name.org
            and reported_test.repository_id = test_name.repository_id
            and reported_test.test_key = test_name.reported_test_key
            and reported_test.variant = test_name.base_variant
)
{%- endmacro %}
