-- All proposed aliases, the surest first within each repository.
-- Grain: one row per pair of tests. Parameters: none.
select
    alias_proposal.alias_id,
    alias_proposal.org,
    alias_proposal.repository_id,
    repository.full_name as repository,
    alias_proposal.old_test_key,
    alias_proposal.old_suite,
    alias_proposal.old_classname,
    alias_proposal.old_name,
    alias_proposal.old_file,
    alias_proposal.new_test_key,
    alias_proposal.new_suite,
    alias_proposal.new_classname,
    alias_proposal.new_name,
    alias_proposal.new_file,
    alias_proposal.head_sha,
    alias_proposal.confidence,
    alias_proposal.evidence,
    alias_proposal.known_at
from core.alias_proposal
inner join core.repository
    on
        alias_proposal.org = repository.org
        and alias_proposal.repository_id = repository.repository_id
order by
    alias_proposal.org, repository.full_name, alias_proposal.repository_id, alias_proposal.confidence desc,
    alias_proposal.old_classname, alias_proposal.old_name, alias_proposal.old_test_key, alias_proposal.new_test_key
