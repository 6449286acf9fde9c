{#-
The verdict table: this package's model `mailvet_verdicts`; or the model of your own that the variable
`mailvet_verdict_model` names; or the table that `mailvet_verdict_table` names, where something else owns it.
-#}
{%- macro verdicts() -%}
    {%- set named = mailvet.setting('mailvet_verdict_table') -%}
    {%- set relation = mailvet.relation_named(named) if named
        else ref(mailvet.setting('mailvet_verdict_model', 'mailvet_verdicts')) -%}
    {#- A sample or a batch is one of contacts: what is known of them may be of any time. -#}
    {%- if relation.event_time_filter -%}{%- set relation = relation.replace(event_time_filter=none) -%}{%- endif -%}
    {%- if mailvet.touches_data() and not relation.is_cte and mailvet.stored_relation(relation) is none -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: there is no verdict table " ~ relation ~ " yet. Make it with `dbt run --select mailvet_verdicts`"
            ~ " and fill it with `mailvet dbt run`; or, if another tool keeps it in another place, name that place in"
            ~ " the variable mailvet_verdict_table."
        ) -%}
    {%- endif -%}
    {{- return(relation) -}}
{%- endmacro -%}

{#- Whether this command reads or writes tables, so that what is missing is an error now. -#}
{%- macro touches_data() -%}
    {{- return(execute and flags.WHICH in ('build', 'run', 'test', 'run-operation', 'snapshot', 'seed', 'show', 'retry')) -}}
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

{#- An error unless the relation has the column; what cannot be looked up (a subquery) is left to the database. -#}
{%- macro require_column(relation, column) -%}
    {%- set names = mailvet.column_names(relation) -%}
    {%- set bare = column | replace('"', '') | replace('`', '') | lower -%}
    {%- set is_name = modules.re.match('^[a-z_][a-z0-9_$]*$', bare) -%}
    {%- if names and is_name and bare not in names | map('lower') | list -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: there is no column " ~ column ~ " in " ~ relation ~ "; there are: " ~ names | join(', ')
            ~ ". Name the column of addresses with email_column."
        ) -%}
    {%- endif -%}
{%- endmacro -%}

{#- The policy asked for, else that of the variable `mailvet_policy`, else marketing. -#}
{%- macro policy_named(policy=none) -%}
    {%- set chosen = policy or mailvet.setting('mailvet_policy', 'marketing') -%}
    {%- if chosen not in mailvet.policies() -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: " ~ chosen ~ " is no policy; choose one of " ~ mailvet.policies() | join(', ') ~ "."
        ) -%}
    {%- endif -%}
    {{- return(chosen) -}}
{%- endmacro -%}

{#- The start of the names of the status columns. -#}
{%- macro prefix_named(prefix=none) -%}
    {{- return(mailvet.setting('mailvet_prefix', 'mailvet_') if prefix is none else prefix) -}}
{%- endmacro -%}

{#- The status columns asked for, each a column of the verdict table. -#}
{%- macro chosen_columns(columns=none) -%}
    {%- set chosen = columns or ['status', 'reason', 'recommendation', 'score', 'suggestion', 'checked_at'] -%}
    {%- for name in chosen if name not in mailvet.verdict_columns() or name in ('email', 'email_key') -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: there is no status column " ~ name ~ "; there are: "
            ~ mailvet.verdict_columns() | reject('in', ['email', 'email_key']) | join(', ') ~ "."
        ) -%}
    {%- endfor -%}
    {{- return(chosen) -}}
{%- endmacro -%}

{#- The value of a status column of the verdict table `alias`, its recommendation under the policy. -#}
{%- macro status_value(alias, column, policy=none) -%}
{%- if column == 'recommendation' -%}
{{ mailvet.recommendation_case(alias ~ '.reason', alias ~ '.score', alias ~ '.attempts', policy) }}
{%- elif column == 'suggestion' -%}
{{ mailvet.harmless(alias ~ '.suggestion') }}
{%- else -%}
{{ alias }}.{{ column }}
{%- endif -%}
{%- endmacro -%}
