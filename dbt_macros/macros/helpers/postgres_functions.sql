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
