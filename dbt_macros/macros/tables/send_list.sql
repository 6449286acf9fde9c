{%- macro send_list(
    relation, email_column='email', policy=none, min_score=none, max_bounce_rate=none, confidence=none
) -%}
{{- return(adapter.dispatch('send_list', 'mailvet')(
    relation, email_column, policy, min_score, max_bounce_rate, confidence
)) -}}
{%- endmacro -%}

{%- macro default__send_list(relation, email_column, policy, min_score, max_bounce_rate, confidence) -%}
{%- do mailvet.require_column(relation, email_column) -%}
select contacts_to_send.*
from {{ mailvet.rows_of(relation, 'contacts_to_send') }}
inner join ({{ mailvet.verdicts_of(relation, email_column) }}) as verdict
    on verdict.email_key = {{ mailvet.email_key('contacts_to_send.' ~ email_column) }}
{%- if max_bounce_rate is none %}
where {{ mailvet.status_value('verdict', 'recommendation', policy) }} = 'send'
{%- else %}
where verdict.email_key in (
    {{ mailvet.audience(relation, email_column, policy, max_bounce_rate, confidence) | indent(4) }}
)
{%- endif %}
{%- if min_score is not none %}
    and verdict.score >= {{ min_score }}
{%- endif %}
{%- endmacro -%}

{#-
The keys of the largest audience of a relation whose hard bounces stay below a limit: the rule of the risk budget, over
every address with a verdict that is not recommended not to be sent to.
-#}
{%- macro audience(relation, email_column, policy, max_bounce_rate, confidence=none) -%}
{%- set limit = mailvet.share_of('send_list', 'max_bounce_rate', max_bounce_rate) -%}
{%- set sure = mailvet.confidence_of('send_list', confidence or mailvet.default_budget_confidence() | float) -%}
{%- if sure < 0.5 -%}
    {%- do exceptions.raise_compiler_error(
        "mailvet.send_list: confidence is " ~ confidence ~ "; give a number from 0.5 to below 1, such as 0.9."
    ) -%}
{%- endif -%}
{%- set candidates -%}
select
    verdict.email_key as key_of,
    {{ mailvet.upper_bounces('verdict') }} as chance,
    {{ mailvet.bounce_cluster('verdict') }} as cluster_of,
    coalesce(verdict.operator, verdict.email_key) as operator_of,
    candidates_counted.weight
from ({{ mailvet.verdicts_of(relation, email_column) }}) as verdict
inner join (
    select {{ mailvet.email_key('contacts_to_count.' ~ email_column) }} as email_key, count(*) as weight
    from {{ mailvet.rows_of(relation, 'contacts_to_count') }}
    group by {{ mailvet.email_key('contacts_to_count.' ~ email_column) }}
) as candidates_counted
    on candidates_counted.email_key = verdict.email_key
where {{ mailvet.status_value('verdict', 'recommendation', policy) }} <> 'do_not_send'
{%- endset -%}
{{ mailvet.audience_keys(candidates, limit, mailvet.normal_reach(2 * sure - 1)) }}
{%- endmacro -%}
