{% test unprobed_rate_below(model, column_name, max_unprobed_rate=0) %}
{{ mailvet.gate_query('unprobed_rate_below', model, column_name, {'max_unprobed_rate': max_unprobed_rate}) }}
{% endtest %}
