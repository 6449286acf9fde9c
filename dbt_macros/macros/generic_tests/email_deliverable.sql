{% test email_deliverable(
    model, column_name, statuses=none, recommendations=none, unverified='fail', policy=none, key_columns=[],
    show_addresses=false
) %}
{{ return(adapter.dispatch('test_email_deliverable', 'mailvet')(
    model, column_name, statuses, recommendations, unverified, policy, key_columns, show_addresses
)) }}
{% endtest %}

{%- macro default__test_email_deliverable(
    model, column_name, statuses, recommendations, unverified, policy, key_columns, show_addresses
) -%}
{%- do mailvet.require_choice('email_deliverable', 'unverified', unverified, ['pass', 'fail']) -%}
{%- set allowed = statuses if statuses or recommendations else ['deliverable'] -%}
{%- for status in allowed or [] -%}
    {%- do mailvet.require_choice('email_deliverable', 'statuses', status, mailvet.statuses()) -%}
{%- endfor -%}
{%- for recommendation in recommendations or [] -%}
    {%- do mailvet.require_choice(
        'email_deliverable', 'recommendations', recommendation, mailvet.recommendations()
    ) -%}
{%- endfor -%}
{%- do mailvet.require_column(model, column_name) -%}
with {{ mailvet.tested_rows(model, column_name, key_columns, show_addresses, policy) }}
select * from tested
where (status is not null and not (
    {%- if allowed %}status in ({{ mailvet.literals(allowed) }}){% endif %}
    {%- if allowed and recommendations %} and {% endif %}
    {%- if recommendations %}recommendation in ({{ mailvet.literals(recommendations) }}){% endif -%}
))
{%- if unverified == 'fail' %}
    or status is null
{%- endif %}
{%- endmacro -%}
