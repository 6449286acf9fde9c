{#-
'valid', 'invalid' or 'undecided' for an expression that holds a trimmed text. The order of the conditions matters: each
pattern is only right for texts that the ones before it let through.
-#}
{%- macro syntax_case(text, allow_special_use=false) -%}
{%- set patterns = mailvet.syntax_patterns() -%}
case
    when {{ text }} = '' then 'invalid'
    when {{ mailvet.character_count(text) }} > {{ mailvet.longest_cell() }} then 'invalid'
    when {{ text }} not like '%@%' then 'invalid'
    -- Internationalised names and local parts need tables of Unicode that no database has.
    when not ({{ mailvet.is_ascii(text) }}) then 'undecided'
    when not ({{ mailvet.matches(text, patterns['shape']) }}) then 'invalid'
    when {{ mailvet.character_count(text) }} > {{ mailvet.longest_address() }} then 'invalid'
    when {{ mailvet.matches(text, patterns['long_local']) }} then 'invalid'
    when {{ mailvet.matches(text, patterns['punycode']) }} then 'undecided'
    when not ({{ mailvet.matches(text, patterns['host']) }}) then 'invalid'
    when {{ mailvet.matches(text, patterns['long_label']) }} then 'invalid'
    when {{ mailvet.matches(text, patterns['hyphens']) }} then 'invalid'
    {%- if not allow_special_use %}
    when {{ mailvet.matches(mailvet.lower_ascii(text), patterns['special_use']) }} then 'invalid'
    {%- endif %}
    else 'valid'
end
{%- endmacro -%}

{%- macro character_count(text) -%}
{{- return(adapter.dispatch('character_count', 'mailvet')(text)) -}}
{%- endmacro -%}

{%- macro default__character_count(text) -%}
char_length({{ text }})
{%- endmacro -%}

{%- macro duckdb__character_count(text) -%}
length({{ text }})
{%- endmacro -%}

{%- macro snowflake__character_count(text) -%}
length({{ text }})
{%- endmacro -%}
