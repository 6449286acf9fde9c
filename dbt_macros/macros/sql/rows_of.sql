{#-
A relation for a `from` or `join`, with an alias if one is given. dbt makes a subquery with an alias of its own of a
relation under `--empty`, `--sample` and in a microbatch, and of a test's `where`; a second alias must not follow it.
-#}
{%- macro rows_of(relation, alias=none) -%}
{%- set text = relation | string | trim -%}
{%- if not text.startswith('(') -%}
{{ text }}{{ ' as ' ~ alias if alias }}
{%- else -%}
(select * from {{ text }}{{ ' as rows_given' if text.endswith(')') }}) as {{ alias or 'rows_read' }}
{%- endif -%}
{%- endmacro -%}

{#-
A relation as the database has it; none where it has no such table: an ephemeral model and an input of a unit test are
common table expressions of the query, and a text is a part of it.
-#}
{%- macro stored_relation(relation) -%}
    {%- if relation is string or relation.is_cte or not relation.identifier -%}{{- return(none) -}}{%- endif -%}
    {{- return(adapter.get_relation(
        database=relation.database or target.database, schema=relation.schema or target.schema,
        identifier=relation.identifier,
    )) -}}
{%- endmacro -%}
