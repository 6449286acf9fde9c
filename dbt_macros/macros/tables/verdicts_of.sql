{#-
A select of what is known of each text of a relation, with the columns of the verdict table, a row for each text of which
anything is. What your lists and events say of one spelling of a mailbox (suppressed, hard_bounced) holds for the others;
a hard bounce only where nothing newer is known of the text itself. Cells without an address have no row.
-#}
{%- macro verdicts_of(relation, email_column) -%}
{{- return(adapter.dispatch('verdicts_of', 'mailvet')(relation, email_column)) -}}
{%- endmacro -%}

{%- macro default__verdicts_of(relation, email_column) -%}
{%- set given = ['email_key', 'status', 'reason', 'mailbox_key'] -%}
{%- set stopped -%}
(stopped_mailboxes.reason = 'suppressed' or (stopped_mailboxes.reason = 'hard_bounced'
    and (stored_verdict.checked_at is null or stored_verdict.checked_at <= stopped_mailboxes.checked_at)))
{%- endset -%}
select
    known_texts.email_key,
    known_texts.mailbox_key,
    case when {{ stopped }} then 'undeliverable' else stored_verdict.status end as status,
    case when {{ stopped }} then stopped_mailboxes.reason else stored_verdict.reason end as reason,
    {%- for column in mailvet.verdict_columns() if column not in given %}
    {%- if column in ('score', 'attempts', 'checked_at', 'depth', 'rules_version') %}
    coalesce(stored_verdict.{{ column }}, stopped_mailboxes.{{ column }}) as {{ column }}{{ ',' if not loop.last }}
    {%- elif column == 'bounce_probability' %}
    coalesce({{ mailvet.stored_bounces('stored_verdict') }}, stopped_mailboxes.bounces) as bounce_probability{{ ',' if not loop.last }}
    {%- else %}
    stored_verdict.{{ column }}{{ ',' if not loop.last }}
    {%- endif %}
    {%- endfor %}
from (
    select
        texts_found.email_key,
        coalesce(max(verdict_of_text.mailbox_key), max(texts_found.mailbox_key)) as mailbox_key
    from ({{ mailvet.mailbox_keys(relation, email_column) }}) as texts_found
    left join {{ mailvet.rows_of(mailvet.verdicts(), 'verdict_of_text') }} on verdict_of_text.email_key = texts_found.email_key
    group by texts_found.email_key
) as known_texts
left join {{ mailvet.rows_of(mailvet.verdicts(), 'stored_verdict') }} on stored_verdict.email_key = known_texts.email_key
left join (
    select
        mailbox_key,
        -- By the alphabet suppressed is the last, and the stronger.
        max(reason) as reason,
        max(checked_at) as checked_at,
        min(score) as score,
        max({{ mailvet.stored_bounces('stopped_verdict') }}) as bounces,
        min(attempts) as attempts,
        max(depth) as depth,
        max(rules_version) as rules_version
    from {{ mailvet.rows_of(mailvet.verdicts(), 'stopped_verdict') }}
    where mailbox_key is not null and reason in ('suppressed', 'hard_bounced')
    group by mailbox_key
) as stopped_mailboxes on stopped_mailboxes.mailbox_key = known_texts.mailbox_key
where stored_verdict.email_key is not null or stopped_mailboxes.mailbox_key is not null
{%- endmacro -%}
