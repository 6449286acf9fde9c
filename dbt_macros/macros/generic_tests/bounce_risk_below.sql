{% test bounce_risk_below(
    model, column_name, max_bounce_rate=none, max_unverified_rate=none, judge_by='estimate', confidence=0.95,
    among=none, policy=none, max_rate=none, unverified=none
) %}
{{ return(adapter.dispatch('test_bounce_risk_below', 'mailvet')(
    model, column_name, max_bounce_rate, max_unverified_rate, judge_by, confidence, among, policy, max_rate,
    unverified
)) }}
{% endtest %}

{%- macro default__test_bounce_risk_below(
    model, column_name, max_bounce_rate, max_unverified_rate, judge_by, confidence, among, policy, max_rate,
    unverified
) -%}
{{ mailvet.gate_query('bounce_risk_below', model, column_name, {
    'max_bounce_rate': mailvet.first_given(
        max_bounce_rate, mailvet.renamed('bounce_risk_below', 'max_rate', 'max_bounce_rate', max_rate), 0.02
    ),
    'max_unverified_rate': mailvet.first_given(
        max_unverified_rate, mailvet.unverified_rule('bounce_risk_below', unverified)
    ),
}, judge_by=judge_by, confidence=confidence, among=among, policy=policy) }}
{%- endmacro -%}
