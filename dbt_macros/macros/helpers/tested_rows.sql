{#-
The rows under test with their verdicts, named `tested`: a key, the key columns asked for, and what is known. No address
unless it is asked for: what a test returns is printed, stored and sent on.
-#}
{%- macro tested_rows(model, column_name, key_columns=[], show_addresses=false, policy=none) -%}
rows_under_test as (
    select * from {{ model }}
),
tested as (
    select
        {%- for column in key_columns %}
        rows_under_test.{{ column }},
        {%- endfor %}
        {%- if show_addresses %}
        rows_under_test.{{ column_name }} as email,
        {%- endif %}
        {{ mailvet.email_key('rows_under_test.' ~ column_name) }} as email_key,
        verdict.status,
        verdict.reason,
        {{ mailvet.status_value('verdict', 'recommendation', policy) }} as recommendation,
        verdict.score,
        verdict.depth,
        verdict.checked_at
    from rows_under_test
    left join {{ mailvet.rows_of(mailvet.verdicts(), 'verdict') }}
        on verdict.email_key = {{ mailvet.email_key('rows_under_test.' ~ column_name) }}
    where not {{ mailvet.is_missing('rows_under_test.' ~ column_name) }}
)
{%- endmacro -%}
