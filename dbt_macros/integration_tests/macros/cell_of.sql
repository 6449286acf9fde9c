{#- The text behind hexadecimal UTF-8. -#}
{%- macro cell_of(column) -%}{{- return(adapter.dispatch('cell_of', 'mailvet_integration_tests')(column)) -}}{%- endmacro -%}

{%- macro default__cell_of(column) -%}
decode(unhex(coalesce({{ column }}, '')))
{%- endmacro -%}

{%- macro postgres__cell_of(column) -%}
convert_from(decode(coalesce({{ column }}, ''), 'hex'), 'UTF8')
{%- endmacro -%}
