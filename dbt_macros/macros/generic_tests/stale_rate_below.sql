{% test stale_rate_below(model, column_name, max_age='30d', max_stale_rate=0) %}
{{ mailvet.gate_query('stale_rate_below', model, column_name, {'max_stale_rate': max_stale_rate}, max_age) }}
{% endtest %}
