{% test bounce_risk_below(model, column_name, max_rate=0.02, among=none, unverified='ignore', policy=none) %}
{%- do mailvet.require_choice('bounce_risk_below', 'unverified', unverified, ['ignore', 'fail']) -%}
{%- do mailvet.require_rate('bounce_risk_below', max_rate) -%}
{%- for recommendation in among or [] -%}
    {%- do mailvet.require_choice(
        'bounce_risk_below', 'among', recommendation, ['send', 'reverify', 'do_not_send']
    ) -%}
{%- endfor -%}
{%- do mailvet.require_column(model, column_name) -%}
with {{ mailvet.tested_rows(model, column_name, policy=policy) }},
counted as (
    select
        count(*) as contacts,
        sum(case when status is null then 1 else 0 end) as unverified,
        avg(100.0 - score) / 100.0 as expected_bounce_rate
    from tested
    {%- if among %}
    where recommendation in ({{ mailvet.literals(among) }}){{ ' or status is null' if unverified == 'fail' }}
    {%- endif %}
)
select counted.*, {{ max_rate }} as max_rate
from counted
where expected_bounce_rate > {{ max_rate }}
{%- if unverified == 'fail' %}
    or unverified > 0
{%- endif %}
{% endtest %}
