with test_health as (
    select * from {{ ref('test_health') }}
)

select
    org,
    repository,
    count(*) as test_variants,
    count(distinct test_key) as tests,
    count(case when status = 'flaky' then 1 end) as flaky,
    count(case when status = 'broken' then 1 end) as broken,
    count(case when status = 'fixed' then 1 end) as fixed,
    count(case when status = 'healthy' then 1 end) as healthy,
    count(case when status = 'insufficient_evidence' then 1 end) as insufficient_evidence,
    cast(sum(executions) as bigint) as executions,
    cast(sum(failures) as bigint) as failures,
    cast(sum(same_commit_flips) as bigint) as same_commit_flips,
    cast(sum(infra_failures) as bigint) as infra_failures,
    min(as_of) as as_of,
    repository_id
from test_health
group by org, repository, repository_id
