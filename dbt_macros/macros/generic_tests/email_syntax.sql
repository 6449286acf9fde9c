{% test email_syntax(
    model, column_name, undecided='pass', blank='pass', key_columns=[], show_addresses=false, allow_special_use=false
) %}
{{ return(adapter.dispatch('test_email_syntax', 'mailvet')(
    model, column_name, undecided, blank, key_columns, show_addresses, allow_special_use
)) }}
{% endtest %}

{%- macro default__test_email_syntax(
    model, column_name, undecided, blank, key_columns, show_addresses, allow_special_use
) -%}
{%- do mailvet.require_choice('email_syntax', 'undecided', undecided, ['pass', 'fail']) -%}
{%- do mailvet.require_choice('email_syntax', 'blank', blank, ['pass', 'fail']) -%}
{%- do mailvet.require_column(model, column_name) -%}
with rows_under_test as (
    select * from {{ model }}
),
texts as (
    select
        {%- for column in key_columns %}
        {{ column }},
        {%- endfor %}
        {%- if show_addresses %}
        {{ column_name }} as email,
        {%- endif %}
        {{ mailvet.email_key(column_name) }} as email_key,
        case when {{ mailvet.is_missing(column_name) }} then 1 else 0 end as is_blank,
        {{ mailvet.trimmed(mailvet.as_text(column_name)) }} as text_found
    from rows_under_test
),
judged as (
    select
        {%- for column in key_columns %}
        {{ column }},
        {%- endfor %}
        {%- if show_addresses %}
        email,
        {%- endif %}
        email_key,
        case
            when is_blank = 1 then 'blank'
            else {{ mailvet.syntax_case('text_found', allow_special_use) }}
        end as syntax
    from texts
)
select * from judged
where syntax in ('invalid'{{ ", 'undecided'" if undecided == 'fail' }}{{ ", 'blank'" if blank == 'fail' }})
{%- endmacro -%}
