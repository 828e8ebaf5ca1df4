-- Forget repositories that are about to be described anew.
-- Grain: one row per repository. Parameters: none; relation _replaced names the run attempts of this batch.
delete from core.repository
where
    repository_id in (select r.repository_id from _replaced as r)
    or repository_id not in (select a.repository_id from core.run_attempt as a)
