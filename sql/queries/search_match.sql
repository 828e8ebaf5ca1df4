-- The failure signatures whose message has all words that are searched for: every message is looked at.
-- Grain: one row per repository and failure signature. Parameters: words (distinct, with one blank between).
select
    org,
    repository_id,
    failure_signature,
    failure_message,
    words,
    run_id,
    run_attempt
from intermediate.int_failure_text
where
    list_has_all(string_split(words, ' '), string_split($words, ' '))
