{% test missing_rate_below(model, column_name, max_missing_rate=0) %}
{{ mailvet.gate_query('missing_rate_below', model, column_name, {'max_missing_rate': max_missing_rate}) }}
{% endtest %}
