{%- macro kpis(
    relation, email_column='email', event_column='event', time_column='occurred_at', source_column=none
) -%}
{{- return(adapter.dispatch('kpis', 'mailvet')(relation, email_column, event_column, time_column, source_column)) -}}
{%- endmacro -%}

{%- macro default__kpis(relation, email_column, event_column, time_column, source_column) -%}
{%- do mailvet.require_column(relation, email_column) -%}
{%- do mailvet.require_column(relation, event_column) -%}
{%- do mailvet.require_column(relation, time_column) -%}
{%- set words = mailvet.event_words() -%}
with events_read as (
    select
        {{ mailvet.email_key(email_column) }} as email_key,
        {{ time_column }} as occurred_at,
        {{ mailvet.month_of(time_column) }} as event_month,
        {{ source_column if source_column else "'all'" }} as source,
        case
            {%- for kind, spellings in words.items() %}
            when lower({{ event_column }}) in ({{ mailvet.literals(spellings) }}) then '{{ kind }}'
            {%- endfor %}
        end as kind
    from {{ mailvet.rows_of(relation) }}
),
outcomes as (
    -- What became of a message: delivered or bounced. Opens and clicks come after that.
    select
        email_key,
        event_month,
        source,
        kind,
        row_number() over (partition by email_key order by occurred_at, kind) as number_of
    from events_read
    where kind in ('delivered', 'hard_bounce', 'soft_bounce', 'block')
),
outcomes_by_month as (
    select
        event_month,
        source,
        count(*) as messages,
        sum(case when kind = 'delivered' then 1 else 0 end) as delivered,
        sum(case when kind = 'hard_bounce' then 1 else 0 end) as hard_bounces,
        sum(case when kind = 'soft_bounce' then 1 else 0 end) as soft_bounces,
        sum(case when kind = 'block' then 1 else 0 end) as blocks,
        sum(case when number_of = 1 then 1 else 0 end) as new_recipients,
        sum(case when number_of = 1 and kind = 'delivered' then 1 else 0 end) as new_recipients_delivered
    from outcomes
    group by event_month, source
),
months_of_recipients as (
    select
        email_key,
        event_month,
        source,
        max(case when kind in ('opened', 'clicked') then 1 else 0 end) as opened,
        max(case when kind = 'delivered' then 1 else 0 end) as delivered,
        max(case when kind in ('unsubscribe', 'complaint') then 1 else 0 end) as left_us
    from events_read
    group by email_key, event_month, source
),
with_month_before as (
    select
        email_key,
        event_month,
        source,
        opened,
        delivered,
        left_us,
        lag(event_month) over (partition by email_key, source order by event_month) as month_before,
        lag(opened) over (partition by email_key, source order by event_month) as opened_before
    from months_of_recipients
),
recipients_by_month as (
    select
        event_month,
        source,
        sum(delivered) as recipients_reached,
        sum(case when opened = 1 and delivered = 1 then 1 else 0 end) as recipients_opened,
        sum(left_us) as recipients_lost,
        -- The month before in the calendar, not only the one with the event before.
        sum(case
            when opened = 1 and delivered = 1 and opened_before = 1
                and {{ mailvet.days_between('month_before', 'event_month') }} <= 31 then 1
            else 0
        end) as recipients_opened_twice
    from with_month_before
    group by event_month, source
)
select
    recipients_by_month.event_month,
    recipients_by_month.source,
    coalesce(outcomes_by_month.messages, 0) as messages,
    {{ mailvet.share('outcomes_by_month.delivered', 'outcomes_by_month.messages') }} as delivery_rate,
    outcomes_by_month.new_recipients,
    {{ mailvet.share('outcomes_by_month.new_recipients_delivered', 'outcomes_by_month.new_recipients') }}
        as first_delivery_rate,
    {{ mailvet.share('recipients_by_month.recipients_opened', 'recipients_by_month.recipients_reached') }} as open_rate,
    {{ mailvet.share('recipients_by_month.recipients_opened_twice', 'recipients_by_month.recipients_reached') }}
        as sustained_open_rate,
    coalesce(outcomes_by_month.hard_bounces, 0) as hard_bounces,
    coalesce(outcomes_by_month.soft_bounces, 0) as soft_bounces,
    coalesce(outcomes_by_month.blocks, 0) as blocks,
    {{ mailvet.share('outcomes_by_month.hard_bounces', 'outcomes_by_month.messages') }} as hard_bounce_rate,
    {{ mailvet.share('outcomes_by_month.soft_bounces', 'outcomes_by_month.messages') }} as soft_bounce_rate,
    recipients_by_month.recipients_lost
from recipients_by_month
left join outcomes_by_month
    on {{ mailvet.is_same('outcomes_by_month.event_month', 'recipients_by_month.event_month') }}
    and {{ mailvet.is_same('outcomes_by_month.source', 'recipients_by_month.source') }}
{%- endmacro -%}
