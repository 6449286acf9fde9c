{#- Whether a cell is null or holds nothing that can be seen: no address, and no verdict of it. Never null itself. -#}
{%- macro is_missing(column) -%}
{{- return(adapter.dispatch('is_missing', 'mailvet')(column)) -}}
{%- endmacro -%}

{%- macro default__is_missing(column) -%}
({{ mailvet.trimmed(mailvet.as_text(column), mailvet.blank_codes()) }} = '')
{%- endmacro -%}
