{%- macro suppression_list(relation, email_column='email', policy=none, with_address=true) -%}
{{- return(adapter.dispatch('suppression_list', 'mailvet')(relation, email_column, policy, with_address)) -}}
{%- endmacro -%}

{%- macro default__suppression_list(relation, email_column, policy, with_address) -%}
{%- do mailvet.require_column(relation, email_column) -%}
select
    verdict.email_key,
    {%- if with_address %}
    min(contacts_to_drop.{{ email_column }}) as email,
    {%- endif %}
    min(verdict.status) as status,
    min(verdict.reason) as reason,
    min(verdict.checked_at) as checked_at,
    count(*) as contacts
from {{ mailvet.rows_of(relation, 'contacts_to_drop') }}
inner join ({{ mailvet.verdicts_of(relation, email_column) }}) as verdict
    on verdict.email_key = {{ mailvet.email_key('contacts_to_drop.' ~ email_column) }}
where {{ mailvet.status_value('verdict', 'recommendation', policy) }} = 'do_not_send'
group by verdict.email_key
{%- endmacro -%}
