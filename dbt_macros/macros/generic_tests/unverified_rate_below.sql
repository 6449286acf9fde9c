{% test unverified_rate_below(model, column_name, max_unverified_rate=0) %}
{{ return(adapter.dispatch('test_unverified_rate_below', 'mailvet')(model, column_name, max_unverified_rate)) }}
{% endtest %}

{%- macro default__test_unverified_rate_below(model, column_name, max_unverified_rate) -%}
{{ mailvet.gate_query(
    'unverified_rate_below', model, column_name, {'max_unverified_rate': max_unverified_rate}
) }}
{%- endmacro -%}
