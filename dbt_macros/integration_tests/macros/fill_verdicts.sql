{#- What mailvet does to the verdict table, for the planted contacts: rows that are not there yet. -#}
{%- macro fill_verdicts() -%}
insert into {{ ref('mailvet_verdicts') }} (
    email_key, email, status, reason, recommendation, score, suggestion, flags, depth, evidence, checked_at,
    next_check_at, attempts, rules_version
)
select
    {{ mailvet.email_key('email') }}, email, status, reason, recommendation, score, suggestion, '', depth, '[]',
    {{ mailvet.now_utc() }} - age_days * interval '1' day, {{ mailvet.now_utc() }} + interval '30' day
    - age_days * interval '1' day, 1, '{{ mailvet.rules_version() }}'
from {{ ref('data_verdicts') }}
where {{ mailvet.email_key('email') }} not in (select email_key from {{ ref('mailvet_verdicts') }})
{%- endmacro -%}
