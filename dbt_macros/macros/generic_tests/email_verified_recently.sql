{% test email_verified_recently(
    model, column_name, max_age_days=30, depth=none, key_columns=[], show_addresses=false
) %}
{{ return(adapter.dispatch('test_email_verified_recently', 'mailvet')(
    model, column_name, max_age_days, depth, key_columns, show_addresses
)) }}
{% endtest %}

{%- macro default__test_email_verified_recently(
    model, column_name, max_age_days, depth, key_columns, show_addresses
) -%}
{%- if depth is not none -%}
    {%- do mailvet.require_choice('email_verified_recently', 'depth', depth, mailvet.depths()) -%}
{%- endif -%}
{%- do mailvet.require_column(model, column_name) -%}
with {{ mailvet.tested_rows(model, column_name, key_columns, show_addresses) }}
select * from tested
where checked_at is null
    or checked_at < {{ mailvet.days_ago(max_age_days) }}
{%- if depth in ('dns', 'smtp') %}
    -- What is settled before the DNS is asked needs no deeper look.
    or (depth = 'offline' and reason not in ('syntax_invalid', 'suppressed'))
{%- endif %}
{%- if depth == 'smtp' %}
    or (depth = 'dns' and status <> 'undeliverable')
{%- endif %}
{%- endmacro -%}
