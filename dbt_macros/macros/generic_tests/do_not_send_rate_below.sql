{% test do_not_send_rate_below(model, column_name, max_do_not_send_rate=0, max_unverified_rate=none, among=none, policy=none) %}
{{ mailvet.gate_query('do_not_send_rate_below', model, column_name, {
    'max_do_not_send_rate': max_do_not_send_rate, 'max_unverified_rate': max_unverified_rate,
}, among=among, policy=policy) }}
{% endtest %}
