{%- macro source_quality(relation, source_column, email_column='email', acquired_column=none, policy=none) -%}
{{- return(adapter.dispatch('source_quality', 'mailvet')(
    relation, source_column, email_column, acquired_column, policy
)) -}}
{%- endmacro -%}

{%- macro default__source_quality(relation, source_column, email_column, acquired_column, policy) -%}
{%- do mailvet.require_column(relation, email_column) -%}
{%- do mailvet.require_column(relation, source_column) -%}
{#- The order of the columns. -#}
{%- set statuses = ('deliverable', 'risky', 'unknown', 'undeliverable') -%}
with rows_judged as (
    select
        contacts_to_count.{{ source_column }} as source,
        case when {{ mailvet.is_missing('contacts_to_count.' ~ email_column) }} then 1 else 0 end as is_blank,
        verdict.status,
        coalesce({{ mailvet.stored_bounces('verdict') }}, {{ mailvet.unverified_bounces() }}) as bounces,
        {{ mailvet.status_value('verdict', 'recommendation', policy) }} as recommendation
        {%- if acquired_column %},
        case
            when verdict.checked_at is null then 0
            when {{ mailvet.days_between('contacts_to_count.' ~ acquired_column, 'verdict.checked_at') }} < 0 then 0
            else {{ mailvet.days_between('contacts_to_count.' ~ acquired_column, 'verdict.checked_at') }}
        end as days_kept
        {%- endif %}
    from {{ mailvet.rows_of(relation, 'contacts_to_count') }}
    left join {{ mailvet.rows_of(mailvet.verdicts(), 'verdict') }}
        on verdict.email_key = {{ mailvet.email_key('contacts_to_count.' ~ email_column) }}
),
counted as (
    select
        source,
        count(*) as contacts,
        sum(is_blank) as blank,
        sum(case when is_blank = 0 and status is null then 1 else 0 end) as unverified,
        sum(case when is_blank = 0 and status is not null then 1 else 0 end) as verified
        {%- for status in statuses %},
        sum(case when is_blank = 0 and status = '{{ status }}' then 1 else 0 end) as {{ status }}
        {%- endfor %},
        sum(case when is_blank = 0 and recommendation = 'send' then 1 else 0 end) as sendable,
        -- As every gate does: an address without a verdict counts with the base rate of not_probed.
        avg(case when is_blank = 1 then null else bounces end) as expected_bounce_rate
        {%- if acquired_column %},
        sum(case when is_blank = 0 then days_kept else 0 end) as days_kept
        {%- endif %}
    from rows_judged
    group by source
)
select
    source,
    contacts,
    blank,
    unverified,
    verified
    {%- for status in statuses %},
    {{ mailvet.share(status, 'verified') }} as {{ status }}_share
    {%- endfor %},
    {{ mailvet.share('sendable', 'verified') }} as send_share,
    expected_bounce_rate,
    {%- if acquired_column %}
    -- Of a hundred addresses, how many a month of age has cost.
    100 * {{ mailvet.share('undeliverable', 'days_kept') }} * 30.4375 as lost_per_month,
    {%- endif %}
    rank() over (order by
        {%- if acquired_column %}
        coalesce({{ mailvet.share('undeliverable', 'days_kept') }}, 0) desc
        {%- else %}
        coalesce({{ mailvet.share('undeliverable', 'verified') }}, 0) desc
        {%- endif %}
    ) as rots_fastest
from counted
{%- endmacro -%}
