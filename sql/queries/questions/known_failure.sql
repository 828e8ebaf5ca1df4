-- Is this failure known: who else failed with it, since when, and was it flaky?
-- Grain: one row per failure signature and test variant.
-- Columns:
--   failure_signature: fingerprint of the failure.
--   repository: full name of the repository.
--   classname: class name of the test.
--   name: name of the test.
--   variant: environment the test ran in; '' where there is one only.
--   failures: executions that failed with it.
--   flaky_failures: of these, those on code on which the test also passed.
--   first_seen_at: start of the first run attempt with it.
--   last_seen_at: start of the newest.
--   status: status of the test variant at the last scoring; '' where it was not scored.
--   is_quarantined: whether the test variant is quarantined.
--   failure_message: message of the newest such failure.
--   last_run_url: address of the newest for people.
-- Parameters:
--   $text (text, default ''): text that stands in the message, in any case; '' for any.
--   $signature (text, default ''): the failure's signature; '' for any.
--   $repository (text, default ''): only this repository, by its full name; '' for all.
select
    failure_signature.failure_signature,
    failure_signature.repository,
    failure_signature.classname,
    failure_signature.name,
    failure_signature.variant,
    failure_signature.failures,
    failure_signature.flaky_failures,
    failure_signature.first_seen_at,
    failure_signature.last_seen_at,
    coalesce(health.status, '') as status,
    quarantine.test_id is not null as is_quarantined,
    failure_signature.failure_message,
    failure_signature.last_run_url
from marts.failure_signature as failure_signature
left join marts.test_health as health
    on
        failure_signature.org = health.org
        and failure_signature.repository_id = health.repository_id
        and failure_signature.test_id = health.test_id
left join marts.quarantine as quarantine
    on
        failure_signature.org = quarantine.org
        and failure_signature.repository_id = quarantine.repository_id
        and failure_signature.test_id = quarantine.test_id
where
    ($text = '' or strpos(lower(failure_signature.failure_message), lower($text)) > 0)
    and ($signature = '' or failure_signature.failure_signature = $signature)
    and ($repository = '' or failure_signature.repository = $repository)
order by
    failure_signature.last_seen_at desc, failure_signature.failures desc, failure_signature.repository,
    failure_signature.failure_signature, failure_signature.classname, failure_signature.name,
    failure_signature.variant, failure_signature.org, failure_signature.test_id
