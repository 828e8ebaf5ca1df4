-- depends_on: {{ ref('int_failed_code') }}
-- depends_on: {{ ref('int_test_week') }}
select
    org,
    repository_id,
    reported_test_key,
    base_variant,
    test_key,
    is_shared
from {{ ref('int_test_name') }}
