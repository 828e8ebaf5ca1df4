{#
  What engines say differently, and nothing else: each macro has one form for all engines that agree with the standard,
  and one more for each that does not.
#}

{# The UTC day of a moment, whatever the session's time zone. #}
{% macro utc_date(moment) -%}
    {{ return(adapter.dispatch('utc_date', 'flakeguard')(moment)) }}
{%- endmacro %}

{% macro default__utc_date(moment) -%}
    cast({{ moment }} at time zone 'UTC' as date)
{%- endmacro %}

{% macro spark__utc_date(moment) -%}
    cast(to_utc_timestamp({{ moment }}, current_timezone()) as date)
{%- endmacro %}

{# The Monday on or before a day. A date has no time zone: as a plain timestamp it is not given one, either. #}
{% macro week_start(day) -%}
    cast(date_trunc('week', cast({{ day }} as {{ adapter.dispatch('plain_timestamp', 'flakeguard')() }})) as date)
{%- endmacro %}

{% macro default__plain_timestamp() -%} timestamp {%- endmacro %}

{% macro spark__plain_timestamp() -%} timestamp_ntz {%- endmacro %}

{# The Sunday of the week that begins on a day. #}
{% macro week_end(week_start) -%}
    {{ return(adapter.dispatch('week_end', 'flakeguard')(week_start)) }}
{%- endmacro %}

{% macro default__week_end(week_start) -%} {{ week_start }} + 6 {%- endmacro %}

{% macro spark__week_end(week_start) -%} date_add({{ week_start }}, 6) {%- endmacro %}

{# Texts of a group in one, in an order that is total. #}
{% macro joined_text(text, separator, ordering) -%}
    {{ return(adapter.dispatch('joined_text', 'flakeguard')(text, separator, ordering)) }}
{%- endmacro %}

{% macro default__joined_text(text, separator, ordering) -%}
    string_agg({{ text }}, {{ separator }} order by {{ ordering }})
{%- endmacro %}

{% macro spark__joined_text(text, separator, ordering) -%}
    listagg({{ text }}, {{ separator }}) within group (order by {{ ordering }})
{%- endmacro %}

{# A statement that counts a table's rows anew for the planner, where the engine plans by such counts. #}
{% macro analyzed(relation) -%}
    {{ return(adapter.dispatch('analyzed', 'flakeguard')(relation)) }}
{%- endmacro %}

{% macro default__analyzed(relation) -%} {%- endmacro %}

{% macro postgres__analyzed(relation) -%} analyze {{ relation }} {%- endmacro %}

{# DuckDB skips what it need not read by the least and greatest values it keeps; an index would only slow loads. #}
{% macro duckdb__get_create_index_sql(relation, index_dict) -%}
    {{ return(none) }}
{%- endmacro %}

{#
  On Postgres a view that is dropped takes along the views that read it, so the marts would be gone while a build runs,
  and for longer where it is killed. A view of the same columns is replaced in its place; only a full refresh, which
  is what a changed project gets, drops it.
#}
{% materialization view, adapter='postgres' -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- if should_full_refresh() or (existing is not none and not existing.is_view) -%}
        {{ return(materialization_view_default()) }}
    {%- endif -%}
    {%- set view = this.incorporate(type='view') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') -%}
        {{ get_create_view_as_sql(view, sql) }}
    {%- endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [view]}) }}
{%- endmaterialization %}

{% macro postgres__create_view_as(relation, sql) -%}
    create or replace view {{ relation }} as (
        {{ sql }}
    )
{%- endmacro %}
