{#- The value of a status column of the verdict table `alias`, its recommendation under the policy. -#}
{%- macro status_value(alias, column, policy=none) -%}
{%- if column == 'recommendation' -%}
{{ mailvet.recommendation_case(
    alias ~ '.reason', alias ~ '.score', alias ~ '.attempts', policy,
    mailvet.stored_bounces(alias) | trim, alias ~ '.checked_at'
) }}
{%- elif column == 'suggestion' -%}
{{ mailvet.harmless(alias ~ '.suggestion') }}
{%- elif column == 'bounce_probability' -%}
{{ mailvet.stored_bounces(alias) }}
{%- else -%}
{{ alias }}.{{ column }}
{%- endif -%}
{%- endmacro -%}

{#- Whether the verdict table has the probabilities; one of an older version lacks them until it is written to. -#}
{%- macro has_probability() -%}
    {%- set names = mailvet.column_names(mailvet.verdicts()) | map('lower') | list -%}
    {{- return(not names or 'bounce_probability' in names) -}}
{%- endmacro -%}

{#- A suggestion, unless it would start a formula when the table is opened in a spreadsheet. -#}
{%- macro harmless(text) -%}
case when substring({{ text }}, 1, 1) in ({{ mailvet.literals(mailvet.formula_starts()) }}) then null else {{ text }} end
{%- endmacro -%}
