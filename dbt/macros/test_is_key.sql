{#
  The columns tell the rows of a model apart, and none of them is null. A build tests what it may have changed: with
  `in_build: changed` the rows of run attempts that have changed, with `in_build: none` nothing (where the model groups
  by its key over the whole of history). `dbt test` looks at everything.
#}
{% test is_key(model, columns, in_build='all') %}
    {%- set in_build = in_build if var('tested_rows', 'all') == 'changed' else 'all' -%}
    {%- set attempt = 'org, repository_id, run_id, run_attempt' -%}
    {%- set changed = intermediate_relation('int_changed_attempt') -%}
    select
        {{ columns | join(', ') }},
        count(*) as occurrences
    from {{ model }}
    {%- if in_build == 'none' %}
    where 1 = 0
    {%- elif in_build == 'changed' %}
    where {{ on_days_of(changed) }} and ({{ attempt }}) in (select {{ attempt }} from {{ changed }})
    {%- endif %}
    group by {{ columns | join(', ') }}
    having count(*) > 1 {% for column in columns %}or {{ column }} is null {% endfor %}
{% endtest %}
