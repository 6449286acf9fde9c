{% test stale_rate_below(model, column_name, max_age='30d', max_stale_rate=0) %}
{{ return(adapter.dispatch('test_stale_rate_below', 'mailvet')(model, column_name, max_age, max_stale_rate)) }}
{% endtest %}

{%- macro default__test_stale_rate_below(model, column_name, max_age, max_stale_rate) -%}
{{ mailvet.gate_query('stale_rate_below', model, column_name, {'max_stale_rate': max_stale_rate}, max_age) }}
{%- endmacro -%}
