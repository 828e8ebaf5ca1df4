{#
  The variant with the workflow's name as a label, where the configuration wants it: `auto` where two workflows of a
  repository hold the same test and variant, `always`, or `never`.
#}
{% macro labelled_variant(variant, workflow, is_shared) -%}
    {%- set rule = var('workflow_label', 'auto') -%}
    {%- if rule == 'never' -%}
        {{ variant }}
    {%- else -%}
        case
            when {{ workflow }} = '' then {{ variant }}
            {% if rule == 'auto' -%} when not ({{ is_shared }}) then {{ variant }} {%- endif %}
            when {{ variant }} = '' then 'workflow=' || {{ workflow }}
            else {{ variant }} || ',workflow=' || {{ workflow }}
        end
    {%- endif -%}
{%- endmacro %}
