{%- macro candidates(relation, email_column='email', depth=none, where=none) -%}
{{- return(adapter.dispatch('candidates', 'mailvet')(relation, email_column, depth, where)) -}}
{%- endmacro -%}

{%- macro default__candidates(relation, email_column, depth, where) -%}
{%- do mailvet.require_column(relation, email_column) -%}
{%- set wanted = depth or mailvet.setting('mailvet_depth', 'smtp') -%}
{%- do mailvet.require_choice('candidates', 'depth', wanted, mailvet.depths()) -%}
{%- set shallower = mailvet.depths()[: mailvet.depths().index(wanted)] -%}
select
    addresses_found.email,
    addresses_found.email_key,
    verdict.reason as previous_reason,
    verdict.checked_at as previously_checked_at,
    case
        when verdict.email_key is null then 'never verified'
        when verdict.next_check_at <= {{ mailvet.now_utc() }} then 'due again'
        else 'not deep enough'
    end as due_because
from (
    select distinct
        {{ mailvet.as_text(email_column) }} as email,
        {{ mailvet.email_key(email_column) }} as email_key
    from {{ mailvet.rows_of(relation) }}
    {%- if where %}
    where {{ where }}
    {%- endif %}
) as addresses_found
left join {{ mailvet.rows_of(mailvet.verdicts(), 'verdict') }}
    on verdict.email_key = addresses_found.email_key
where not {{ mailvet.is_missing('addresses_found.email') }}
    and (
        verdict.email_key is null
        or verdict.next_check_at <= {{ mailvet.now_utc() }}
        {%- if shallower %}
        or verdict.depth in ({{ mailvet.literals(shallower) }})
        {%- endif %}
    )
{%- endmacro -%}
