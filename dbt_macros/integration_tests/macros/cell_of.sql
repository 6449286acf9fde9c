{#- The text behind hexadecimal UTF-8. -#}
{%- macro cell_of(column) -%}{{- return(adapter.dispatch('cell_of', 'mailvet_integration_tests')(column)) -}}{%- endmacro -%}

{%- macro default__cell_of(column) -%}
decode(unhex(coalesce({{ column }}, '')), 'UTF-8')
{%- endmacro -%}

{%- macro duckdb__cell_of(column) -%}
decode(unhex(coalesce({{ column }}, '')))
{%- endmacro -%}

{%- macro postgres__cell_of(column) -%}
convert_from(decode(coalesce({{ column }}, ''), 'hex'), 'UTF8')
{%- endmacro -%}

{%- macro redshift__cell_of(column) -%}
from_varbyte(from_hex(coalesce({{ column }}, '')), 'utf8')
{%- endmacro -%}

{%- macro snowflake__cell_of(column) -%}
hex_decode_string(coalesce({{ column }}, ''))
{%- endmacro -%}

{%- macro bigquery__cell_of(column) -%}
safe_convert_bytes_to_string(from_hex(coalesce({{ column }}, '')))
{%- endmacro -%}
