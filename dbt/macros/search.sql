{#
  Words of failure messages, and texts that hold them. docs/reference/search.md says what a word is, and why.
  `warehouse/words.py` says the same in Python, for what people search for; a test holds both equal.
#}

{# The words of a text in their order, with one blank between. Only A to Z are made small: no engine's rules differ. #}
{% macro words_of(text) -%}
    {%- set letters = '0-9a-z\u00c0-\u1fff\u2070-\u2fff\u3040-\U0010ffff' -%}
    {%- set lower -%}
        translate(
            substr({{ text }}, 1, 4000), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'
        )
    {%- endset -%}
    {%- set parted = flakeguard.regexp_replaced(lower, '[^' ~ letters ~ ']+', ' ') -%}
    trim({{ flakeguard.regexp_replaced(parted, '([' ~ letters ~ ']{100})[' ~ letters ~ ']+', '\\1') }})
{%- endmacro %}

{% macro regexp_replaced(text, pattern, replacement) -%}
    {{ return(adapter.dispatch('regexp_replaced', 'flakeguard')(text, pattern, replacement)) }}
{%- endmacro %}

{% macro default__regexp_replaced(text, pattern, replacement) -%}
    regexp_replace({{ text }}, '{{ pattern }}', '{{ replacement }}', 'g')
{%- endmacro %}

{# Spark replaces all matches, and has another sign for a group. #}
{% macro spark__regexp_replaced(text, pattern, replacement) -%}
    regexp_replace({{ text }}, '{{ pattern }}', '{{ replacement | replace('\\', '$') }}')
{%- endmacro %}

{#
  Holds where a column of words has all words of a text, in any order: `where {{ has_words('words', "'Errno 111'") }}`.
  A text without words is in nothing.
#}
{% macro has_words(words, text) -%}
    {{ return(adapter.dispatch('has_words', 'flakeguard')(words, text)) }}
{%- endmacro %}

{% macro default__has_words(words, text) -%}
    (
        {{ flakeguard.words_of(text) }} <> ''
        and list_has_all(string_split({{ words }}, ' '), string_split({{ flakeguard.words_of(text) }}, ' '))
    )
{%- endmacro %}

{% macro postgres__has_words(words, text) -%}
    {{ flakeguard.search_vector(words) }} @@ cast(replace({{ flakeguard.words_of(text) }}, ' ', ' & ') as tsquery)
{%- endmacro %}

{% macro spark__has_words(words, text) -%}
    (
        {{ flakeguard.words_of(text) }} <> ''
        and size(array_except(split({{ flakeguard.words_of(text) }}, ' '), split({{ words }}, ' '))) = 0
    )
{%- endmacro %}

{#
  What the index on Postgres is over. As the configuration `simple` would, it stems nothing and drops no word; the
  parser of a configuration would take `java.net` for a host, and follows the database's locale.
#}
{% macro search_vector(words) -%} array_to_tsvector(string_to_array({{ words }}, ' ')) {%- endmacro %}

{# What the last build left in `int_failure_text`, which reads itself. #}
{% macro last_failure_texts() -%}
    {%- set like -%}
        select failure.org, failure.repository_id, failure.failure_signature, failure.run_id, failure.run_attempt
        from {{ ref('int_reported_failure') }} as failure
    {%- endset -%}
    {{ left_by_last_build('int_failure_text', like) }}
{%- endmacro %}
