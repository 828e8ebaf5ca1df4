with first_sighting as (
    select * from {{ ref('int_first_sighting') }}
),

alias as (
    select * from {{ ref('stg_test_alias') }}
),

continued as (
    select
        first_sighting.*,
        coalesce(alias.new_test_key, first_sighting.test_key) as final_test_key
    from first_sighting
    left join alias
        on
            first_sighting.org = alias.org
            and first_sighting.repository_id = alias.repository_id
            and first_sighting.test_key = alias.old_test_key
),

held as (
    select
        org,
        repository_id,
        final_test_key,
        variant,
        workflow,
        min(known_at) as known_at
    from continued
    where workflow <> ''
    group by org, repository_id, final_test_key, variant, workflow
),

ranked as (
    select
        *,
        row_number() over (
            partition by org, repository_id, final_test_key, variant
            order by known_at, workflow
        ) as place
    from held
),

shared_variant as (
    select * from ranked
    where place = 2
),

reported as (
    select distinct
        org,
        repository_id,
        test_key,
        variant,
        final_test_key
    from continued
)

select
    reported.org,
    reported.repository_id,
    reported.test_key as reported_test_key,
    reported.variant as base_variant,
    reported.final_test_key as test_key,
    shared_variant.place is not null as is_shared,
    shared_variant.known_at as shared_known_at
from reported
left join shared_variant
    on
        reported.org = shared_variant.org
        and reported.repository_id = shared_variant.repository_id
        and reported.final_test_key = shared_variant.final_test_key
        and reported.variant = shared_variant.variant
where reported.final_test_key <> reported.test_key or shared_variant.place is not null
