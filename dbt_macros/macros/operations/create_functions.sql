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
