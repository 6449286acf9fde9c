{% test undeliverable_rate_below(model, column_name, max_rate=0.02, unverified='ignore') %}
{%- do mailvet.require_choice('undeliverable_rate_below', 'unverified', unverified, ['ignore', 'fail']) -%}
{%- do mailvet.require_rate('undeliverable_rate_below', max_rate) -%}
{%- do mailvet.require_column(model, column_name) -%}
with {{ mailvet.tested_rows(model, column_name) }},
counted as (
    select
        count(*) as contacts,
        sum(case when status is null then 1 else 0 end) as unverified,
        sum(case when status = 'undeliverable' then 1 else 0 end) as undeliverable
    from tested
),
rated as (
    select counted.*, {{ mailvet.share('undeliverable', '(contacts - unverified)') }} as undeliverable_rate from counted
)
select rated.*, {{ max_rate }} as max_rate
from rated
where undeliverable_rate > {{ max_rate }}
{%- if unverified == 'fail' %}
    or unverified > 0
{%- endif %}
{% endtest %}

{#- An error unless a rate is a share between 0 and 1. -#}
{%- macro require_rate(test, rate) -%}
    {%- if rate is not number or rate < 0 or rate > 1 -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet." ~ test ~ ": max_rate is " ~ rate ~ "; give a share between 0 and 1, as 0.02 for 2 %."
        ) -%}
    {%- endif -%}
{%- endmacro -%}
