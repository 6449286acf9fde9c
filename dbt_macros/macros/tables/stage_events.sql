{%- macro stage_events(relation, sender, columns=none) -%}
{{- return(adapter.dispatch('stage_events', 'mailvet')(relation, sender, columns or {})) -}}
{%- endmacro -%}

{%- macro default__stage_events(relation, sender, columns) -%}
{%- set senders = mailvet.event_senders() -%}
{%- do mailvet.require_choice('stage_events', 'sender', sender, senders | list) -%}
{%- set mapping = senders[sender] -%}
{%- set found = mailvet.record_columns(relation, mapping['paths'], columns) -%}
{%- for part in ('event', 'address', 'time') -%}
    {%- if mailvet.touches_data() and not mapping[part] | select('in', found) | list -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet.stage_events: " ~ relation ~ " has no column for " ~ mapping[part] | join(' or ') ~ " of " ~ sender
            ~ "; name it with columns={'" ~ mapping[part][0] ~ "': 'your_column'}."
        ) -%}
    {%- endif -%}
{%- endfor -%}
{%- set engaged = "meaning in ('open', 'click')" -%}
with records as (
    select
        {{ mailvet.first_of(mapping['event'], found) }} as event_word,
        {{ mailvet.first_of(mapping['address'], found) }} as email,
        {{ mailvet.first_time_of(relation, mapping['time'], found) }} as occurred_at,
        {{ mailvet.first_of(mapping['id'], found) }} as event_id,
        {{ mailvet.first_of(mapping['message'], found) }} as message_id,
        {{ mailvet.first_of(mapping['bounce_class'], found) }} as bounce_class,
        {{ mailvet.first_of(mapping['topic'], found) }} as topic,
        {{ mailvet.first_of(mapping['machine'], found) }} as machine
        {%- for path in mapping['ruled'] if path in found %},
        {{ found[path] }} as ruled_{{ loop.index }}
        {%- endfor %}
    from {{ mailvet.rows_of(relation) }}
),
{%- set ruled = {} -%}
{%- for path in mapping['ruled'] if path in found -%}{%- do ruled.update({path: 'ruled_' ~ loop.index}) -%}{%- endfor %}
meanings as (
    select
        records.*,
        case
            {%- for rule in mapping['rules'] %}
            when {{ mailvet.rule_holds(rule, ruled) }} then '{{ rule["event"] }}'
            {%- endfor %}
            {%- for event, words in mapping['words'].items() %}
            when lower(event_word) in ({{ mailvet.literals(words) }}) then '{{ event }}'
            {%- endfor %}
            {%- if mapping['ignored'] %}
            when lower(event_word) in ({{ mailvet.literals(mapping['ignored']) }}) then 'ignored'
            {%- endif %}
            when {{ mailvet.as_text('event_word') }} = '' then 'no_word'
            else 'unknown_word'
        end as meaning,
        case
            {%- for rule in mapping['rules'] %}
            when {{ mailvet.rule_holds(rule, ruled) }} then {{ 1 if rule['echo'] else 0 }}
            {%- endfor %}
            else 0
        end as echo,
        case
            {%- for rule in mapping['rules'] %}
            when {{ mailvet.rule_holds(rule, ruled) }} then {{ 1 if rule['repeated'] else 0 }}
            {%- endfor %}
            else 0
        end as stands_for_several
    from records
)
select
    email,
    case when meaning in ({{ mailvet.literals(mailvet.event_words() | list) }}) then meaning end as event,
    occurred_at,
    event_id,
    message_id,
    case when stands_for_several = 1 then 'repeated' else bounce_class end as bounce_class,
    {%- if mapping['topic_words'] %}
    case when lower(event_word) in ({{ mailvet.literals(mapping['topic_words']) }}) then topic end as topic,
    {%- else %}
    topic,
    {%- endif %}
    case
        when not ({{ engaged }}) then null
        {%- if mapping['machine_events'] %}
        when lower(event_word) in ({{ mailvet.literals(mapping['machine_events']) }}) then 1
        {%- endif %}
        when {{ mailvet.says_yes('machine') }} then 1
        when machine is not null then 0
        else {{ 0 if mapping['machine_known'] else 'null' }}
    end as machine,
    echo,
    '{{ sender }}' as vendor,
    event_word,
    case
        when meaning in ({{ mailvet.literals(['ignored', 'class_missing', 'no_word', 'unknown_word']) }}) then meaning
        when occurred_at is null then 'no_time'
        when {{ mailvet.as_text('email') }} = '' then 'no_address'
    end as problem
from meanings
{%- endmacro -%}
