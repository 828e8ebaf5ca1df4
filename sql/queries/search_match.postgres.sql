-- The failure signatures whose message has all words that are searched for, by the index where there is one.
-- Grain: one row per repository and failure signature. Parameters: $words.
-- `$words` are distinct words with one blank between.
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
    array_to_tsvector(string_to_array(words, ' ')) @@ cast(replace($words, ' ', ' & ') as tsquery)
