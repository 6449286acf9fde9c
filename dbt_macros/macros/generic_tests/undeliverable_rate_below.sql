{% test undeliverable_rate_below(
    model, column_name, max_undeliverable_rate=none, max_unverified_rate=none, among=none, policy=none, max_rate=none,
    unverified=none
) %}
{{ return(adapter.dispatch('test_undeliverable_rate_below', 'mailvet')(
    model, column_name, max_undeliverable_rate, max_unverified_rate, among, policy, max_rate, unverified
)) }}
{% endtest %}

{%- macro default__test_undeliverable_rate_below(
    model, column_name, max_undeliverable_rate, max_unverified_rate, among, policy, max_rate, unverified
) -%}
{{ mailvet.gate_query('undeliverable_rate_below', model, column_name, {
    'max_undeliverable_rate': mailvet.first_given(
        max_undeliverable_rate,
        mailvet.renamed('undeliverable_rate_below', 'max_rate', 'max_undeliverable_rate', max_rate), 0.02
    ),
    'max_unverified_rate': mailvet.first_given(
        max_unverified_rate, mailvet.unverified_rule('undeliverable_rate_below', unverified)
    ),
}, among=among, policy=policy) }}
{%- endmacro -%}
