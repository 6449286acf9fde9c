{%- macro create_functions() -%}
{{- return(adapter.dispatch('create_functions', 'mailvet')()) -}}
{%- endmacro -%}

{%- macro default__create_functions() -%}
    {%- do exceptions.raise_compiler_error(
        "mailvet: " ~ target.type ~ " cannot run mailvet inside the database. Run `mailvet dbt run` between `dbt run`"
        ~ " and `dbt test`; on DuckDB use a Python model (mailvet.dbt.verdicts) or the plug-in"
        ~ " mailvet.dbt.duckdb_plugin."
    ) -%}
{%- endmacro -%}

{%- macro redshift__create_functions() -%}
{{- mailvet.default__create_functions() -}}
{%- endmacro -%}

{%- macro postgres__create_functions() -%}
{%- if execute -%}
    {%- set schema = mailvet.setting('mailvet_functions_schema', 'mailvet') -%}
    {%- set found = run_query(
        "select exists (select from pg_available_extensions where name = 'plpython3u') as available,"
        ~ " exists (select from pg_language where lanname = 'plpython3u') as installed,"
        ~ " (select rolsuper from pg_roles where rolname = current_user) as superuser"
    ).rows[0] -%}
    {%- if not found['available'] -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: this server has no PL/Python (plpython3u), as is usual where PostgreSQL is rented. Run"
            ~ " `mailvet dbt run` between `dbt run` and `dbt test` instead: it does the same from outside. On a server"
            ~ " of your own install its package, on Debian postgresql-plpython3-<version>."
        ) -%}
    {%- endif -%}
    {%- if not found['superuser'] -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: only a superuser may create functions in plpython3u, and " ~ target.user ~ " is none. Let a"
            ~ " superuser run `dbt run-operation mailvet.create_functions` once, then grant usage on schema " ~ schema
            ~ "; or use `mailvet dbt run`, which needs no function."
        ) -%}
    {%- endif -%}
    {%- set paths = mailvet.setting('mailvet_python_path', []) -%}
    {%- set paths = [paths] if paths is string else paths -%}
    {%- set alone = flags.WHICH == 'run-operation' -%}
    {%- do mailvet.open_transaction() if alone -%}
    {%- for sql in mailvet.postgres_functions(schema, paths) -%}
        {%- call statement('mailvet_create_functions', auto_begin=alone) -%}{{ sql }}{%- endcall -%}
    {%- endfor -%}
    {#- Whether the server's Python finds the package is seen now, not at the first query. -#}
    {%- call statement('mailvet_try_functions', fetch_result=true, auto_begin=alone) -%}
        select reason from {{ schema }}.verify(array['ann@example.com'])
    {%- endcall -%}
    {%- if alone -%}
        {%- do adapter.commit() -%}
        {%- do log("mailvet: made " ~ schema ~ ".verify(emails text[], depth text, config text)", info=true) -%}
    {%- endif -%}
{%- endif -%}
{%- endmacro -%}

{#- The statements that make the functions. -#}
{%- macro postgres_functions(schema, paths) -%}
{%- set columns -%}
{%- for name, kind in mailvet.verdict_columns().items() -%}
{{ name }} {{ mailvet.postgres__type_name(kind) }}{{ ', ' if not loop.last }}
{%- endfor -%}
{%- endset -%}
{%- set body -%}
if "mailvet" not in GD:
    import sys
    for path in {{ paths | tojson }}:
        if path not in sys.path:
            sys.path.append(path)
    try:
        from mailvet.dbt.plpython import verdict_rows
    except ImportError as error:
        plpy.error(
            "mailvet cannot be imported by the server's Python " + sys.version.split()[0] + ": " + str(error),
            hint="Install mailvet for that Python on the server (same minor version), in a folder that the server's "
            "user can read, and name the folder in the dbt variable mailvet_python_path, as "
            "/opt/mailvet/lib/python3.11/site-packages. Then run create_functions again.",
        )
    GD["mailvet"] = verdict_rows
{%- endset -%}
{{ return([
    'create extension if not exists plpython3u',
    'create schema if not exists ' ~ schema,
    'drop function if exists ' ~ schema ~ '.verify(text[], text, text)',
    'create function ' ~ schema ~ '.verify(emails text[], depth text default \'offline\', config text default null) '
        ~ 'returns table (' ~ columns ~ ') language plpython3u volatile parallel unsafe rows 1000 as $mailvet$\n'
        ~ body ~ '\nif emails is None:\n    return []\n'
        ~ 'poll = lambda: plpy.execute("select 1")\n'
        ~ 'return GD["mailvet"](emails, depth, config, poll)\n$mailvet$',
]) }}
{%- endmacro -%}

{#-
The distinct addresses of a relation verified in the database, batch by batch, as rows of the verdict table: what is due,
for an `insert ... on conflict` or a model of your own.
-#}
{%- macro verified(relation, email_column='email', depth='offline', config=none, batch_rows=50000) -%}
{{- return(adapter.dispatch('verified', 'mailvet')(relation, email_column, depth, config, batch_rows)) -}}
{%- endmacro -%}

{%- macro default__verified(relation, email_column, depth, config, batch_rows) -%}
{{- mailvet.default__create_functions() -}}
{%- endmacro -%}

{%- macro redshift__verified(relation, email_column, depth, config, batch_rows) -%}
{{- mailvet.default__create_functions() -}}
{%- endmacro -%}

{%- macro postgres__verified(relation, email_column, depth, config, batch_rows) -%}
select verdict.*
from (
    select array_agg(email) as emails
    from (
        select email, (row_number() over () - 1) / {{ batch_rows }} as batch
        from (select distinct {{ mailvet.as_text(email_column) }} as email from {{ mailvet.rows_of(relation) }}
            where not {{ mailvet.is_missing(email_column) }}) as texts
    ) as numbered
    group by batch
) as batches,
lateral {{ mailvet.setting('mailvet_functions_schema', 'mailvet') }}.verify(
    batches.emails, {{ mailvet.literal(depth) }}, {{ mailvet.literal(config) if config else 'null' }}
) as verdict
{%- endmacro -%}
