{%- macro with_verdicts(relation, email_column='email', policy=none, columns=none, prefix=none) -%}
{{- return(adapter.dispatch('with_verdicts', 'mailvet')(relation, email_column, policy, columns, prefix)) -}}
{%- endmacro -%}

{%- macro default__with_verdicts(relation, email_column, policy, columns, prefix) -%}
{%- do mailvet.require_column(relation, email_column) -%}
{%- set start = mailvet.prefix_named(prefix) -%}
{%- set chosen = mailvet.chosen_columns(columns) -%}
{%- set ours = [] -%}
{%- for column in chosen -%}{%- do ours.append((start ~ column) | lower) -%}{%- endfor -%}
{%- set present = mailvet.column_names(relation) -%}
{%- set written_back = present | map('lower') | select('in', ours) | list -%}
select
    {% if written_back -%}
    {% for name in present if name | lower not in ours -%}
    contacts_to_join.{{ adapter.quote(name) }},
    {% endfor -%}
    {%- else -%}
    contacts_to_join.*,
    {% endif -%}
    {%- for column in chosen %}
    {{ mailvet.status_value('verdict', column, policy) }} as {{ start }}{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ mailvet.rows_of(relation, 'contacts_to_join') }}
left join ({{ mailvet.verdicts_of(relation, email_column) }}) as verdict
    on verdict.email_key = {{ mailvet.email_key('contacts_to_join.' ~ email_column) }}
{%- endmacro -%}
