{% test unprobed_rate_below(model, column_name, max_unprobed_rate=0) %}
{{ return(adapter.dispatch('test_unprobed_rate_below', 'mailvet')(model, column_name, max_unprobed_rate)) }}
{% endtest %}

{%- macro default__test_unprobed_rate_below(model, column_name, max_unprobed_rate) -%}
{{ mailvet.gate_query('unprobed_rate_below', model, column_name, {'max_unprobed_rate': max_unprobed_rate}) }}
{%- endmacro -%}
