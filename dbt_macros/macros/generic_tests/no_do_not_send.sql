{% test no_do_not_send(model, column_name, policy=none, key_columns=[], show_addresses=false) %}
{{ return(adapter.dispatch('test_no_do_not_send', 'mailvet')(
    model, column_name, policy, key_columns, show_addresses
)) }}
{% endtest %}

{%- macro default__test_no_do_not_send(model, column_name, policy, key_columns, show_addresses) -%}
{%- do mailvet.require_column(model, column_name) -%}
with {{ mailvet.tested_rows(model, column_name, key_columns, show_addresses, policy) }}
select * from tested
where recommendation = 'do_not_send'
{%- endmacro -%}
