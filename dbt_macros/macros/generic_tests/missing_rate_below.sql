{% test missing_rate_below(model, column_name, max_missing_rate=0) %}
{{ return(adapter.dispatch('test_missing_rate_below', 'mailvet')(model, column_name, max_missing_rate)) }}
{% endtest %}

{%- macro default__test_missing_rate_below(model, column_name, max_missing_rate) -%}
{{ mailvet.gate_query('missing_rate_below', model, column_name, {'max_missing_rate': max_missing_rate}) }}
{%- endmacro -%}
