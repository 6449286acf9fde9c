{%- macro gate_figures(relation, email_column='email', among=none, policy=none, max_age=none, confidence=0.95) -%}
{{- return(adapter.dispatch('gate_figures', 'mailvet')(
    relation, email_column, among, policy, max_age, confidence
)) -}}
{%- endmacro -%}

{%- macro default__gate_figures(relation, email_column, among, policy, max_age, confidence) -%}
{%- do mailvet.require_column(relation, email_column) -%}
{%- set words = mailvet.audience_words('gate_figures', among) -%}
{%- set chosen = mailvet.literals(words) -%}
{%- set audience = 'is_missing = 0' -%}
{%- if words -%}
    {%- set audience = audience ~ ' and (recommendation in (' ~ chosen ~ ') or status in (' ~ chosen ~ '))' -%}
{%- endif -%}
with rows_found as (
    select * from {{ mailvet.rows_of(relation) }}
),
texts_found as (
    -- Rows with the same text are one mailbox, which bounces as often as it is written to, or never.
    select text_found, count(*) as repeats
    from (
        select {{ mailvet.as_text('rows_found.' ~ email_column) }} as text_found from rows_found
    ) as cells_found
    group by text_found
),
known as (
    select
        texts_found.repeats,
        case when {{ mailvet.is_missing('texts_found.text_found') }} then 1 else 0 end as is_missing,
        verdict.status,
        verdict.reason,
        {{ mailvet.status_value('verdict', 'recommendation', policy) }} as recommendation,
        coalesce({{ mailvet.stored_bounces('verdict') }}, {{ mailvet.unverified_bounces() }}) as bounces,
        {% if max_age is none -%}
        0 as is_stale
        {%- else -%}
        case
            when verdict.checked_at < {{ mailvet.seconds_ago(mailvet.seconds_of('gate_figures', max_age)) }} then 1
            else 0
        end as is_stale
        {%- endif %}
    from texts_found
    left join {{ mailvet.rows_of(mailvet.verdicts(), 'verdict') }}
        on verdict.email_key = {{ mailvet.email_key('texts_found.text_found') }}
),
counted as (
    select
        {{ mailvet.gate_counts(audience) | indent(8) }}
    from known
),
weighed as (
    select
        counted.*,
        case
            when spread > 0 then 0.5 + spread * {{ mailvet.normal_reach(mailvet.confidence_of('gate_figures', confidence)) }}
            else 0
        end as reach
    from counted
),
figures as (
    select
        weighed.*,
        {{ mailvet.gate_figures_of_counts(max_age is not none) | indent(8) }}
    from weighed
)
select * from figures
{%- endmacro -%}
