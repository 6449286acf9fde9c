{% test do_not_send_rate_below(model, column_name, max_do_not_send_rate=0, max_unverified_rate=none, among=none, policy=none) %}
{{ return(adapter.dispatch('test_do_not_send_rate_below', 'mailvet')(
    model, column_name, max_do_not_send_rate, max_unverified_rate, among, policy
)) }}
{% endtest %}

{%- macro default__test_do_not_send_rate_below(
    model, column_name, max_do_not_send_rate, max_unverified_rate, among, policy
) -%}
{{ mailvet.gate_query('do_not_send_rate_below', model, column_name, {
    'max_do_not_send_rate': max_do_not_send_rate, 'max_unverified_rate': max_unverified_rate,
}, among=among, policy=policy) }}
{%- endmacro -%}
