{#- One row with every count and figure if a limit of a gate is not kept; without limits, none. -#}
{% test gate(
    model, column_name, max_undeliverable_rate=none, max_bounce_rate=none, max_unknown_rate=none,
    max_do_not_send_rate=none, max_unverified_rate=none, max_unprobed_rate=none, max_stale_rate=none,
    max_missing_rate=none, max_age=none, judge_by='estimate', confidence=0.95, among=none, policy=none
) %}
{{ return(adapter.dispatch('test_gate', 'mailvet')(
    model, column_name, max_undeliverable_rate, max_bounce_rate, max_unknown_rate, max_do_not_send_rate,
    max_unverified_rate, max_unprobed_rate, max_stale_rate, max_missing_rate, max_age, judge_by, confidence, among,
    policy
)) }}
{% endtest %}

{%- macro default__test_gate(
    model, column_name, max_undeliverable_rate, max_bounce_rate, max_unknown_rate, max_do_not_send_rate,
    max_unverified_rate, max_unprobed_rate, max_stale_rate, max_missing_rate, max_age, judge_by, confidence, among,
    policy
) -%}
{{ mailvet.gate_query('gate', model, column_name, {
    'max_undeliverable_rate': max_undeliverable_rate, 'max_bounce_rate': max_bounce_rate,
    'max_unknown_rate': max_unknown_rate, 'max_do_not_send_rate': max_do_not_send_rate,
    'max_unverified_rate': max_unverified_rate, 'max_unprobed_rate': max_unprobed_rate,
    'max_stale_rate': max_stale_rate, 'max_missing_rate': max_missing_rate,
}, max_age, judge_by, confidence, among, policy) }}
{%- endmacro -%}
