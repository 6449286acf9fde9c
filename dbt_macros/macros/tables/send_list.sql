{%- macro send_list(relation, email_column='email', policy=none, min_score=none) -%}
{{- return(adapter.dispatch('send_list', 'mailvet')(relation, email_column, policy, min_score)) -}}
{%- endmacro -%}

{%- macro default__send_list(relation, email_column, policy, min_score) -%}
{%- do mailvet.require_column(relation, email_column) -%}
select contacts_to_send.*
from {{ mailvet.rows_of(relation, 'contacts_to_send') }}
inner join ({{ mailvet.verdicts_of(relation, email_column) }}) as verdict
    on verdict.email_key = {{ mailvet.email_key('contacts_to_send.' ~ email_column) }}
where {{ mailvet.status_value('verdict', 'recommendation', policy) }} = 'send'
{%- if min_score is not none %}
    and verdict.score >= {{ min_score }}
{%- endif %}
{%- endmacro -%}
