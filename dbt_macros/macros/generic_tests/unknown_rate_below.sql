{% test unknown_rate_below(model, column_name, max_unknown_rate=0.1, max_unverified_rate=none, among=none, policy=none) %}
{{ return(adapter.dispatch('test_unknown_rate_below', 'mailvet')(
    model, column_name, max_unknown_rate, max_unverified_rate, among, policy
)) }}
{% endtest %}

{%- macro default__test_unknown_rate_below(
    model, column_name, max_unknown_rate, max_unverified_rate, among, policy
) -%}
{{ mailvet.gate_query('unknown_rate_below', model, column_name, {
    'max_unknown_rate': max_unknown_rate, 'max_unverified_rate': max_unverified_rate,
}, among=among, policy=policy) }}
{%- endmacro -%}
