{#
  What every model begins with: on a server, dbt goes on for a while when the run that started it was killed, and the
  next run must not build beside it. The numbers are those of flakeguard_pipeline/warehouse/postgres_connection.py. A
  model that is under way ends its transaction before another's begins; one of a build whose session is gone fails.
#}
{% macro own_build() -%}
    {%- if var('build_session', '') -%}
        {{ return(adapter.dispatch('own_build', 'flakeguard')(var('build_session'))) }}
    {%- endif -%}
{%- endmacro %}

{% macro default__own_build(session) -%} {%- endmacro %}

{% macro postgres__own_build(session) -%}
    do $$
    begin
        perform pg_advisory_xact_lock(1179405127, 4);
        if not exists (
            select 1 from pg_locks
            where locktype = 'advisory' and classid = 1179405127 and objid = 3 and granted
                and pid = {{ session | int }}
                and database = (select oid from pg_database where datname = current_database())
        ) then
            raise exception 'the run that began this build has ended; the next run builds it'
                using errcode = 'object_not_in_prerequisite_state';
        end if;
    end $$
{%- endmacro %}
