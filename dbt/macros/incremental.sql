{#
  How the roll-ups are kept: rows are replaced in units (all rows of a run attempt, of a code version, of a week), and
  what has changed since the last build is written down first. docs/adr/0016 says why.
#}

{# A relation of the schema `intermediate` that is read without being depended on. #}
{% macro intermediate_relation(name) -%}
    {{ return(api.Relation.create(database=target.database, schema='intermediate', identifier=name)) }}
{%- endmacro %}

{#
  What the last build left in a table that a later model of this build writes: nothing where there was no build, or
  where everything is built anew. `like` is a query for the same columns, of which no row is taken.
#}
{% macro left_by_last_build(name, like) -%}
    {%- set relation = intermediate_relation(name) -%}
    {%- if not execute -%}
        {{ relation }}
    {%- elif flags.FULL_REFRESH or load_relation(relation) is none -%}
        (select * from ({{ like }}) as alike where 1 = 0)
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}

{# A condition that names the days of a relation one by one, so that the engine need not look at others. #}
{% macro on_days_of(changed, day='run_day') -%}
    {%- if execute and var('names_days', true) -%}
        {%- set days = run_query('select distinct run_day from ' ~ changed ~ ' order by run_day').columns[0].values() -%}
        {%- if days | length == 0 -%}
            1 = 0
        {%- elif days | length > 400 -%}
            {{ day }} between cast('{{ days[0] }}' as date) and cast('{{ days[-1] }}' as date)
        {%- else -%}
            {{ day }} in ({% for each in days %}cast('{{ each }}' as date){{ ', ' if not loop.last }}{% endfor %})
        {%- endif -%}
    {%- else -%}
        1 = 1
    {%- endif -%}
{%- endmacro %}

{# A condition that holds on the days of the weeks of a relation, named one by one for the same reason. #}
{% macro on_weeks_of(day, changed) -%}
    {%- if execute and var('names_days', true) -%}
        {%- set weeks = run_query('select distinct week_start from ' ~ changed ~ ' order by week_start').columns[0].values() -%}
        {%- if weeks | length == 0 -%}
            1 = 0
        {%- elif weeks | length > 60 -%}
            {{ day }} between cast('{{ weeks[0] }}' as date) and {{ week_end("cast('" ~ weeks[-1] ~ "' as date)") }}
        {%- else -%}
            ({% for week in weeks %}{{ day }} between cast('{{ week }}' as date) and {{ week_end("cast('" ~ week ~ "' as date)") }}{{ ' or ' if not loop.last }}{% endfor %})
        {%- endif -%}
    {%- else -%}
        1 = 1
    {%- endif -%}
{%- endmacro %}

{# What the last build left in `int_first_sighting`, which reads itself. #}
{% macro last_sightings() -%}
    {%- set like -%}
        select test.*, attempt.workflow, attempt.known_at
        from {{ ref('int_reported_test') }} as test
        inner join {{ ref('stg_run_attempt') }} as attempt on test.org = attempt.org
    {%- endset -%}
    {{ left_by_last_build('int_first_sighting', like) }}
{%- endmacro %}

{#
  A condition that holds from the first day on which a test may be seen whose first sighting was in a run attempt that
  has changed; where there is no such test, it never holds.
#}
{% macro since_lost_sighting(day) -%}
    {%- if not execute or not var('names_days', true) -%}
        1 = 1
    {%- elif flags.FULL_REFRESH or load_relation(intermediate_relation('int_first_sighting')) is none -%}
        1 = 0
    {%- else -%}
        {%- set query -%}
            select min(run_day)
            from {{ ref('stg_run_attempt') }}
            where known_at >= (
                select min(sighting.known_at)
                from {{ intermediate_relation('int_first_sighting') }} as sighting
                inner join {{ intermediate_relation('int_changed_attempt') }} as changed
                    on
                        sighting.org = changed.org
                        and sighting.repository_id = changed.repository_id
                        and sighting.run_id = changed.run_id
                        and sighting.run_attempt = changed.run_attempt
            )
        {%- endset -%}
        {%- set first = run_query(query).columns[0].values()[0] -%}
        {%- if first -%} {{ day }} >= cast('{{ first }}' as date) {%- else -%} 1 = 0 {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#
  Incremental strategy `replace_units`. The model's `meta.replaces` lists what goes before its new rows come: the rows
  that agree in `columns` with a row of `changed`, a relation of the schema `intermediate` or `new_rows`; without
  columns, all rows. Deleting and inserting are one transaction where the engine has transactions, and may be repeated.
#}
{% macro get_incremental_replace_units_sql(arg_dict) -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {%- for unit in config.get('meta')['replaces'] %}
        {%- set new_rows = unit.get('changed') == 'new_rows' -%}
        {%- set changed = arg_dict['temp_relation'] if new_rows else intermediate_relation(unit.get('changed')) -%}
        delete from {{ arg_dict['target_relation'] }}
        {%- if unit['columns'] %}
        where
            {% if 'run_day' in unit['columns'] and not new_rows %}{{ on_days_of(changed) }} and {% endif -%}
            ({{ unit['columns'] | join(', ') }}) in (select {{ unit['columns'] | join(', ') }} from {{ changed }})
        {%- endif %};
    {% endfor -%}
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}

{#
  The last statement of a build: what is rolled up need not be remembered as changed any longer. A run attempt that was
  loaded again meanwhile is not rolled up as it is now, and stays.
#}
{% macro forget_finished() -%}
    {%- set attempt = 'org, repository_id, run_id, run_attempt' -%}
    delete from {{ intermediate_relation('int_changed_attempt') }}
    where ({{ attempt }}) not in (
        select
            run_attempt.org,
            run_attempt.repository_id,
            run_attempt.run_id,
            run_attempt.run_attempt
        from {{ ref('stg_run_attempt') }} as run_attempt
        left join {{ intermediate_relation('int_rolled_attempt') }} as rolled
            on
                run_attempt.org = rolled.org
                and run_attempt.repository_id = rolled.repository_id
                and run_attempt.run_id = rolled.run_id
                and run_attempt.run_attempt = rolled.run_attempt
                and run_attempt.load_digest = rolled.load_digest
        where rolled.run_id is null
    )
{%- endmacro %}
