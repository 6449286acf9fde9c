{%- macro email_key(column) -%}
{{- return(adapter.dispatch('email_key', 'mailvet')(column)) -}}
{%- endmacro -%}

{%- macro default__email_key(column) -%}
sha2({{ mailvet.as_text(column) }}, 256)
{%- endmacro -%}

{%- macro duckdb__email_key(column) -%}
sha256({{ mailvet.as_text(column) }})
{%- endmacro -%}

{%- macro postgres__email_key(column) -%}
encode(sha256(convert_to({{ mailvet.as_text(column) }}, 'UTF8')), 'hex')
{%- endmacro -%}

{#- Redshift's adapter comes from PostgreSQL's, its functions do not. -#}
{%- macro redshift__email_key(column) -%}
sha2({{ mailvet.as_text(column) }}, 256)
{%- endmacro -%}

{%- macro bigquery__email_key(column) -%}
to_hex(sha256({{ mailvet.as_text(column) }}))
{%- endmacro -%}
