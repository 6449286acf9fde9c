{% test unverified_rate_below(model, column_name, max_unverified_rate=0) %}
{{ mailvet.gate_query(
    'unverified_rate_below', model, column_name, {'max_unverified_rate': max_unverified_rate}
) }}
{% endtest %}
