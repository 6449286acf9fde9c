{#- text, smallint, integer, timestamp (in UTC) or float, as the adapter calls it. -#}
{%- macro type_name(kind) -%}
{{- return(adapter.dispatch('type_name', 'mailvet')(kind)) -}}
{%- endmacro -%}

{%- macro default__type_name(kind) -%}
{{- return({'text': 'varchar', 'float': 'double precision'}.get(kind, kind)) -}}
{%- endmacro -%}

{%- macro duckdb__type_name(kind) -%}
{{- return({'text': 'varchar', 'float': 'double'}.get(kind, kind)) -}}
{%- endmacro -%}

{%- macro postgres__type_name(kind) -%}
{{- return({'timestamp': 'timestamp with time zone', 'float': 'double precision'}.get(kind, kind)) -}}
{%- endmacro -%}

{%- macro redshift__type_name(kind) -%}
{{- return({'text': 'varchar(65535)', 'float': 'double precision'}.get(kind, kind)) -}}
{%- endmacro -%}

{%- macro snowflake__type_name(kind) -%}
{{- return({'text': 'varchar', 'float': 'float', 'timestamp': 'timestamp_ntz'}.get(kind, kind)) -}}
{%- endmacro -%}

{%- macro bigquery__type_name(kind) -%}
{{- return({'text': 'string', 'smallint': 'int64', 'integer': 'int64', 'float': 'float64'}.get(kind, kind)) -}}
{%- endmacro -%}

{%- macro spark__type_name(kind) -%}
{{- return({'text': 'string', 'integer': 'int', 'float': 'double'}.get(kind, kind)) -}}
{%- endmacro -%}
