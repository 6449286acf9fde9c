{#-
An operation's transaction. dbt's own is none on PostgreSQL: its driver takes the COMMIT that dbt sends before for a
statement like any other, believes to be inside a transaction still, and opens no other.
-#}
{%- macro open_transaction() -%}
{{- return(adapter.dispatch('open_transaction', 'mailvet')()) -}}
{%- endmacro -%}

{%- macro default__open_transaction() -%}{%- endmacro -%}

{%- macro postgres__open_transaction() -%}
{%- do run_query('begin') -%}
{%- endmacro -%}

{#- The statement that adds a status column. -#}
{%- macro add_column_sql(relation, column, kind) -%}
{{- return(adapter.dispatch('add_column_sql', 'mailvet')(relation, column, mailvet.type_name(kind))) -}}
{%- endmacro -%}

{%- macro default__add_column_sql(relation, column, type) -%}
alter table {{ relation }} add column {{ column }} {{ type }}
{%- endmacro -%}

{%- macro spark__add_column_sql(relation, column, type) -%}
alter table {{ relation }} add columns ({{ column }} {{ type }})
{%- endmacro -%}

{#- The one statement that brings the status columns of a table up to date; only rows whose answer changed. -#}
{%- macro write_back_sql(relation, verdicts, email_column, columns, prefix, policy=none, where=none) -%}
{{- return(adapter.dispatch('write_back_sql', 'mailvet')(relation, verdicts, email_column, columns, prefix, policy, where)) -}}
{%- endmacro -%}

{%- macro default__write_back_sql(relation, verdicts, email_column, columns, prefix, policy, where) -%}
merge into {{ relation }} as contacts_to_mark
using ({{ mailvet.status_columns(verdicts, columns, policy) }}) as verdict
    on verdict.email_key = {{ mailvet.email_key('contacts_to_mark.' ~ email_column) }}
    and not {{ mailvet.is_missing('contacts_to_mark.' ~ email_column) }}
    {%- if where %}
    and ({{ where }})
    {%- endif %}
when matched and ({{ mailvet.any_differs('contacts_to_mark.' ~ prefix, columns) }}) then update set
    {%- for column in columns %}
    {{ prefix }}{{ column }} = verdict.new_{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro -%}

{%- macro duckdb__write_back_sql(relation, verdicts, email_column, columns, prefix, policy, where) -%}
update {{ relation }} as contacts_to_mark set
    {%- for column in columns %}
    {{ prefix }}{{ column }} = verdict.new_{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from ({{ mailvet.status_columns(verdicts, columns, policy) }}) as verdict
where verdict.email_key = {{ mailvet.email_key('contacts_to_mark.' ~ email_column) }}
    and not {{ mailvet.is_missing('contacts_to_mark.' ~ email_column) }}
    and ({{ mailvet.any_differs('contacts_to_mark.' ~ prefix, columns) }})
    {%- if where %}
    and ({{ where }})
    {%- endif %}
{%- endmacro -%}

{%- macro postgres__write_back_sql(relation, verdicts, email_column, columns, prefix, policy, where) -%}
{{- mailvet.duckdb__write_back_sql(relation, verdicts, email_column, columns, prefix, policy, where) -}}
{%- endmacro -%}

{#- The statement that empties the status columns of rows without an address, such as those that were erased. -#}
{%- macro clear_missing_sql(relation, email_column, columns, prefix, where=none) -%}
update {{ relation }} as contacts_to_mark set
    {%- for column in columns %}
    {{ prefix }}{{ column }} = null{{ ',' if not loop.last }}
    {%- endfor %}
where {{ mailvet.is_missing('contacts_to_mark.' ~ email_column) }}
    and ({% for column in columns %}contacts_to_mark.{{ prefix }}{{ column }} is not null{{ ' or ' if not loop.last }}{% endfor %})
    {%- if where %}
    and ({{ where }})
    {%- endif %}
{%- endmacro -%}

{#- The verdicts under names that neither the table nor a condition on it can mean. -#}
{%- macro status_columns(verdicts, columns, policy=none) -%}
select
    stored.email_key,
    {%- for column in columns %}
    {{ mailvet.status_value('stored', column, policy) }} as new_{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ mailvet.rows_of(verdicts, 'stored') }}
{%- endmacro -%}

{%- macro any_differs(start, columns) -%}
{%- for column in columns -%}
{{ mailvet.differs(start ~ column, 'verdict.new_' ~ column) }}{{ ' or ' if not loop.last }}
{%- endfor -%}
{%- endmacro -%}
