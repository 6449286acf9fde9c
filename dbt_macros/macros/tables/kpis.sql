{%- macro kpis(
    relation, email_column='email', event_column='event', time_column='occurred_at', source_column=none,
    by=none
) -%}
{{- return(adapter.dispatch('kpis', 'mailvet')(relation, email_column, event_column, time_column, source_column, by or [])) -}}
{%- endmacro -%}

{%- macro default__kpis(relation, email_column, event_column, time_column, source_column, by) -%}
{%- set present = mailvet.column_names(relation) | map('lower') | list -%}
{#- mailvet_events holds keys and no addresses. -#}
{%- set is_keyed = email_column | lower not in present and 'email_key' in present -%}
{%- if not is_keyed -%}{%- do mailvet.require_column(relation, email_column) -%}{%- endif -%}
{%- for name in by -%}{%- do mailvet.require_choice('kpis', 'by', name, ['operator', 'kind']) -%}{%- endfor -%}
{%- do mailvet.require_column(relation, event_column) -%}
{%- do mailvet.require_column(relation, time_column) -%}
{%- set words = mailvet.event_words() -%}
{%- set also = (' ' ~ by | join(', ') ~ ',') if by else '' -%}
{%- set also_last = (', ' ~ by | join(', ')) if by else '' -%}
with events_given as (
    select
        {{ 'email_key' if is_keyed else mailvet.email_key(email_column) }} as email_key,
        {{ time_column }} as occurred_at,
        {{ mailvet.month_of(time_column) }} as event_month,
        {{ source_column if source_column else "'all'" }} as source,
        -- An open by a program is no person's.
        {{ mailvet.says_yes('machine') if 'machine' in present else '1 = 0' }} as is_machine,
        case
            {%- if 'echo' in present %}
            -- A refusal because of an older event is none of its own.
            when {{ mailvet.says_yes('echo') }} then null
            {%- endif %}
            {%- for kind, spellings in words.items() %}
            when lower({{ event_column }}) in ({{ mailvet.literals(spellings) }}) then '{{ kind }}'
            {%- endfor %}
        end as kind_of_event
    from {{ mailvet.rows_of(relation) }}
),
events_read as (
    select
        events_given.email_key,
        events_given.occurred_at,
        events_given.event_month,
        events_given.source
        {%- if 'operator' in by %},
        verdict.operator
        {%- endif %}
        {%- if 'kind' in by %},
        case
            when verdict.email_key is null then null
            when verdict.flags like '%disposable%' then 'disposable'
            when verdict.flags like '%role%' then 'role'
            when verdict.flags like '%free%' then 'free'
            else 'company'
        end as kind
        {%- endif %},
        case when kind_of_event in ('open', 'click') and is_machine then null else kind_of_event end as kind_of_event
    from events_given
    {%- if by %}
    left join {{ mailvet.rows_of(mailvet.verdicts(), 'verdict') }} on verdict.email_key = events_given.email_key
    {%- endif %}
),
outcomes as (
    -- What became of a message: delivered or bounced. Opens and clicks come after that.
    select
        email_key,
        event_month,
        source,{{ also }}
        kind_of_event,
        row_number() over (partition by email_key order by occurred_at, kind_of_event) as number_of
    from events_read
    where kind_of_event in ('delivered', 'hard_bounce', 'soft_bounce', 'block')
),
outcomes_by_month as (
    select
        event_month,
        source,{{ also }}
        count(*) as messages,
        sum(case when kind_of_event = 'delivered' then 1 else 0 end) as delivered,
        sum(case when kind_of_event = 'hard_bounce' then 1 else 0 end) as hard_bounces,
        sum(case when kind_of_event = 'soft_bounce' then 1 else 0 end) as soft_bounces,
        sum(case when kind_of_event = 'block' then 1 else 0 end) as blocks,
        sum(case when number_of = 1 then 1 else 0 end) as new_recipients,
        sum(case when number_of = 1 and kind_of_event = 'delivered' then 1 else 0 end) as new_recipients_delivered
    from outcomes
    group by event_month, source{{ also_last }}
),
months_of_recipients as (
    select
        email_key,
        event_month,
        source,{{ also }}
        max(case when kind_of_event in ('open', 'click') then 1 else 0 end) as opened,
        max(case when kind_of_event = 'delivered' then 1 else 0 end) as delivered,
        max(case when kind_of_event in ('unsubscribe', 'complaint') then 1 else 0 end) as left_us
    from events_read
    group by email_key, event_month, source{{ also_last }}
),
with_month_before as (
    select
        email_key,
        event_month,
        source,{{ also }}
        opened,
        delivered,
        left_us,
        lag(event_month) over (partition by email_key, source{{ also_last }} order by event_month) as month_before,
        lag(opened) over (partition by email_key, source{{ also_last }} order by event_month) as opened_before
    from months_of_recipients
),
recipients_by_month as (
    select
        event_month,
        source,{{ also }}
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
    group by event_month, source{{ also_last }}
)
select
    recipients_by_month.event_month,
    recipients_by_month.source,
    {%- for name in by %}
    recipients_by_month.{{ name }},
    {%- endfor %}
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
    {%- for name in by %}
    and {{ mailvet.is_same('outcomes_by_month.' ~ name, 'recipients_by_month.' ~ name) }}
    {%- endfor %}
{%- endmacro -%}
