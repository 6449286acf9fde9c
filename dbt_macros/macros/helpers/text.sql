{#- A cell as text: a missing value counts as the empty text, as in the core. -#}
{%- macro as_text(column) -%}
coalesce(cast({{ column }} as {{ mailvet.type_name('text') }}), '')
{%- endmacro -%}

{#- A text as a literal. Patterns and names hold no backslash, which dialects read differently. -#}
{%- macro literal(text) -%}
{{- return(adapter.dispatch('literal', 'mailvet')(text)) -}}
{%- endmacro -%}

{%- macro default__literal(text) -%}
'{{ text | replace("'", "''") }}'
{%- endmacro -%}

{%- macro bigquery__literal(text) -%}
'{{ text | replace("'", "\\'") }}'
{%- endmacro -%}

{%- macro spark__literal(text) -%}
'{{ text | replace("'", "\\'") }}'
{%- endmacro -%}

{#- Literals of several texts, separated by commas. -#}
{%- macro literals(texts) -%}
{%- for text in texts -%}{{ mailvet.literal(text) }}{{ ', ' if not loop.last }}{%- endfor -%}
{%- endmacro -%}

{#- Whether a text matches a pattern from its first to its last character. -#}
{%- macro matches(text, pattern) -%}
{{- return(adapter.dispatch('matches', 'mailvet')(text, mailvet.literal(pattern))) -}}
{%- endmacro -%}

{%- macro default__matches(text, pattern) -%}
regexp_like({{ text }}, {{ pattern }})
{%- endmacro -%}

{%- macro duckdb__matches(text, pattern) -%}
regexp_matches({{ text }}, {{ pattern }})
{%- endmacro -%}

{%- macro postgres__matches(text, pattern) -%}
{{ text }} ~ {{ pattern }}
{%- endmacro -%}

{%- macro bigquery__matches(text, pattern) -%}
regexp_contains({{ text }}, {{ pattern }})
{%- endmacro -%}

{%- macro spark__matches(text, pattern) -%}
{{ text }} rlike {{ pattern }}
{%- endmacro -%}

{#- Whether a text holds nothing but ASCII. -#}
{%- macro is_ascii(text) -%}
{{- return(adapter.dispatch('is_ascii', 'mailvet')(text)) -}}
{%- endmacro -%}

{%- macro default__is_ascii(text) -%}
octet_length({{ text }}) = char_length({{ text }})
{%- endmacro -%}

{%- macro duckdb__is_ascii(text) -%}
strlen({{ text }}) = length({{ text }})
{%- endmacro -%}

{%- macro snowflake__is_ascii(text) -%}
octet_length({{ text }}) = length({{ text }})
{%- endmacro -%}

{#- Lower case of ASCII text, whatever the database's language is (a Turkish one has its own small i). -#}
{%- macro lower_ascii(text) -%}
{{- return(adapter.dispatch('lower_ascii', 'mailvet')(text)) -}}
{%- endmacro -%}

{%- macro default__lower_ascii(text) -%}
lower({{ text }})
{%- endmacro -%}

{%- macro postgres__lower_ascii(text) -%}
lower({{ text }} collate "C")
{%- endmacro -%}

{%- macro redshift__lower_ascii(text) -%}
lower({{ text }})
{%- endmacro -%}

{#- A text without the characters of these codes at its ends; white space, that of Unicode included, if none are given. -#}
{%- macro trimmed(text, codes=none) -%}
{{- return(adapter.dispatch('trimmed', 'mailvet')(text, mailvet.characters(codes or mailvet.white_space_codes()))) -}}
{%- endmacro -%}

{%- macro default__trimmed(text, characters) -%}
trim({{ text }}, {{ characters }})
{%- endmacro -%}

{%- macro postgres__trimmed(text, characters) -%}
btrim({{ text }}, {{ characters }})
{%- endmacro -%}

{%- macro spark__trimmed(text, characters) -%}
trim(both {{ characters }} from {{ text }})
{%- endmacro -%}

{#- The characters of these codes as one text. -#}
{%- macro characters(codes) -%}
{{- return(adapter.dispatch('characters', 'mailvet')(codes)) -}}
{%- endmacro -%}

{%- macro default__characters(codes) -%}
'{% for code in codes %}{{ "\\u%04x" % code }}{% endfor %}'
{%- endmacro -%}

{%- macro duckdb__characters(codes) -%}
{%- for code in codes -%}chr({{ code }}){{ ' || ' if not loop.last }}{%- endfor -%}
{%- endmacro -%}

{%- macro postgres__characters(codes) -%}
{{- mailvet.duckdb__characters(codes) -}}
{%- endmacro -%}

{#- The part of a text before a character, and the second part; the character stands in it at most once or does not
    matter again. -#}
{%- macro part_of(text, separator, number) -%}
{{- return(adapter.dispatch('part_of', 'mailvet')(text, separator, number)) -}}
{%- endmacro -%}

{%- macro default__part_of(text, separator, number) -%}
split_part({{ text }}, '{{ separator }}', {{ number }})
{%- endmacro -%}

{%- macro bigquery__part_of(text, separator, number) -%}
split({{ text }}, '{{ separator }}')[safe_ordinal({{ number }})]
{%- endmacro -%}

{%- macro spark__part_of(text, separator, number) -%}
split({{ text }}, '[{{ separator }}]')[{{ number - 1 }}]
{%- endmacro -%}

{#- The last labels of a domain: of "a.b.example.com" the last two are "example.com". Null or empty if it has fewer. -#}
{%- macro last_labels(domain, count) -%}
{{- return(adapter.dispatch('last_labels', 'mailvet')(domain, '[^.]+([.][^.]+){' ~ (count - 1) ~ '}$')) -}}
{%- endmacro -%}

{%- macro default__last_labels(domain, pattern) -%}
regexp_substr({{ domain }}, '{{ pattern }}')
{%- endmacro -%}

{%- macro duckdb__last_labels(domain, pattern) -%}
regexp_extract({{ domain }}, '{{ pattern }}')
{%- endmacro -%}

{%- macro postgres__last_labels(domain, pattern) -%}
substring({{ domain }} from '({{ pattern[:-1] }})$')
{%- endmacro -%}

{%- macro redshift__last_labels(domain, pattern) -%}
regexp_substr({{ domain }}, '{{ pattern }}')
{%- endmacro -%}

{%- macro bigquery__last_labels(domain, pattern) -%}
regexp_extract({{ domain }}, '{{ pattern | replace("(", "(?:") }}')
{%- endmacro -%}

{%- macro spark__last_labels(domain, pattern) -%}
regexp_extract({{ domain }}, '{{ pattern }}', 0)
{%- endmacro -%}

{#- Where a text begins in another, from 1; 0 where it does not occur. -#}
{%- macro position_of(part, text) -%}
{{- return(adapter.dispatch('position_of', 'mailvet')(part, text)) -}}
{%- endmacro -%}

{%- macro default__position_of(part, text) -%}
position({{ part }} in {{ text }})
{%- endmacro -%}

{%- macro bigquery__position_of(part, text) -%}
strpos({{ text }}, {{ part }})
{%- endmacro -%}

{#- Whether two values differ, where a missing value differs from any other. -#}
{%- macro differs(one, other) -%}
{{- return(adapter.dispatch('differs', 'mailvet')(one, other)) -}}
{%- endmacro -%}

{%- macro default__differs(one, other) -%}
{{ one }} is distinct from {{ other }}
{%- endmacro -%}

{%- macro redshift__differs(one, other) -%}
({{ one }} <> {{ other }} or ({{ one }} is null and {{ other }} is not null) or ({{ one }} is not null and {{ other }} is null))
{%- endmacro -%}

{%- macro spark__differs(one, other) -%}
not ({{ one }} <=> {{ other }})
{%- endmacro -%}

{#- Whether two values are equal, null being a value like any other. -#}
{%- macro is_same(left, right) -%}
({{ left }} = {{ right }} or ({{ left }} is null and {{ right }} is null))
{%- endmacro -%}
