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

{#-
A relation by its name: a model, seed, snapshot or source ("source.table") of the project, else a table as the database
knows it ("schema.table" or "database.schema.table"). What is no text is taken for a relation and returned as it is.
-#}
{%- macro relation_named(name) -%}
    {%- if name is not string -%}{{- return(name) -}}{%- endif -%}
    {%- if not execute -%}{{- return(api.Relation.create(identifier=name)) -}}{%- endif -%}
    {%- for node in graph.nodes.values() -%}
        {%- if node.name == name and node.resource_type in ('model', 'seed', 'snapshot') -%}
            {%- set type = 'cte' if node.config.materialized == 'ephemeral' -%}
            {{- return(api.Relation.create(
                database=node.database, schema=node.schema, identifier=node.alias, type=type or none
            )) -}}
        {%- endif -%}
    {%- endfor -%}
    {%- for node in graph.sources.values() -%}
        {%- if node.source_name ~ '.' ~ node.name == name -%}
            {{- return(api.Relation.create(database=node.database, schema=node.schema, identifier=node.identifier)) -}}
        {%- endif -%}
    {%- endfor -%}
    {%- set parts = name.split('.') -%}
    {%- if parts | length > 3 -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: " ~ name ~ " is no name of a table; write a model's name, schema.table or database.schema.table."
        ) -%}
    {%- endif -%}
    {{- return(api.Relation.create(
        database=parts[-3] if parts | length > 2 else target.database,
        schema=parts[-2] if parts | length > 1 else target.schema,
        identifier=parts[-1],
    )) -}}
{%- endmacro -%}

{#- The names of a relation's columns; none while nothing is run, or where no database can tell them. -#}
{%- macro column_names(relation) -%}
    {#- `dbt compile --no-introspect` renders without a connection. -#}
    {%- if not execute or flags.INTROSPECT is false -%}{{- return([]) -}}{%- endif -%}
    {%- set found = mailvet.stored_relation(relation) -%}
    {%- if found is none -%}{{- return([]) -}}{%- endif -%}
    {{- return(adapter.get_columns_in_relation(found) | map(attribute='name') | list) -}}
{%- endmacro -%}

{#- Whether this command reads or writes tables, so that what is missing is an error now. -#}
{%- macro touches_data() -%}
    {{- return(execute and flags.WHICH in ('build', 'run', 'test', 'run-operation', 'snapshot', 'seed', 'show', 'retry')) -}}
{%- endmacro -%}

{#- A list that comes as a seed, for a `from` or `join`. -#}
{%- macro list_rows(seed, alias) -%}
    {%- set relation = ref(seed) -%}
    {%- if mailvet.touches_data() and not relation.is_cte and mailvet.stored_relation(relation) is none -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: offline_checks reads the lists of the package's seeds, and " ~ relation ~ " is not there yet. Load"
            ~ " them with `dbt seed --select package:mailvet`."
        ) -%}
    {%- endif -%}
    {{- mailvet.rows_of(relation, alias) -}}
{%- endmacro -%}
