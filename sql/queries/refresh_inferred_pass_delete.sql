-- Forget what was inferred for one repository.
-- Grain: one row per inferred pass. Parameters: $org, $repository_id.
delete from core.inferred_pass
where org = $org and repository_id = $repository_id
