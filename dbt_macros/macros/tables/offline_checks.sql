{%- macro offline_checks(relation, email_column='email', policy=none, allow_special_use=false) -%}
{{- return(adapter.dispatch('offline_checks', 'mailvet')(relation, email_column, policy, allow_special_use)) -}}
{%- endmacro -%}

{%- macro default__offline_checks(relation, email_column, policy, allow_special_use) -%}
{%- do mailvet.require_column(relation, email_column) -%}
{%- set known = mailvet.labels_of_lists() -%}
with cells_to_check as (
    select distinct {{ mailvet.as_text(email_column) }} as email from {{ mailvet.rows_of(relation) }}
    where not {{ mailvet.is_missing(email_column) }}
),
texts as (
    select email, {{ mailvet.trimmed('email') }} as text_found from cells_to_check
),
judged as (
    select email, text_found, {{ mailvet.syntax_case('text_found', allow_special_use) }} as syntax from texts
),
parts as (
    select
        email,
        syntax,
        case when syntax = 'valid' then {{ mailvet.part_of('text_found', '@', 1) }} end as local_found,
        case when syntax = 'valid' then {{ mailvet.lower_ascii(mailvet.part_of('text_found', '@', 2)) }} end as domain
    from judged
),
addresses_found as (
    select
        email,
        syntax,
        domain,
        case
            when {{ mailvet.lower_ascii('local_found') }} in ({{ mailvet.literals(mailvet.caseless_names()) }})
                then {{ mailvet.lower_ascii('local_found') }}
            else local_found
        end as local_part,
        -- Without its +tag; a plus at the very start is no tag.
        case
            when substring(local_found, 1, 1) = '+' then {{ mailvet.lower_ascii('local_found') }}
            else {{ mailvet.lower_ascii(mailvet.part_of('local_found', '+', 1)) }}
        end as name_found
    from parts
),
domains_found as (
    select
        domain
        {%- for count in (known['disposable'] + known['relay']) | unique | sort %},
        {{ mailvet.last_labels('domain', count) }} as last_{{ count }}
        {%- endfor %}
    from (select distinct domain from addresses_found where domain is not null) as domains_once
),
domains_known as (
    select
        domains_found.domain,
        typo.meant as typo_of,
        case when free.kind = 'free' then 1 else 0 end as is_free,
        case when free.domain is not null then 1 else 0 end as is_provider,
        case when coalesce(
            {%- for count in known['relay'] %} relay_{{ count }}.domain{{ ',' if not loop.last }}{% endfor %}
        ) is not null then 1 else 0 end as is_relay_alias,
        case when own.domain is null and coalesce(
            {%- for count in known['disposable'] %} disposable_{{ count }}.domain{{ ',' if not loop.last }}{% endfor %}
        ) is not null then 1 else 0 end as is_under_disposable
    from domains_found
    left join {{ mailvet.list_rows('mailvet_typo_domains', 'typo') }} on typo.domain = domains_found.domain
    left join {{ mailvet.list_rows('mailvet_free_domains', 'free') }} on free.domain = domains_found.domain
    left join {{ mailvet.list_rows('mailvet_disposable_domains', 'own') }}
        on own.domain = domains_found.domain and own.kind = 'own'
    {%- for count in known['disposable'] %}
    left join {{ mailvet.list_rows('mailvet_disposable_domains', 'disposable_' ~ count) }}
        on disposable_{{ count }}.domain = domains_found.last_{{ count }}
        and disposable_{{ count }}.kind = 'disposable'
    {%- endfor %}
    {%- for count in known['relay'] %}
    left join {{ mailvet.list_rows('mailvet_relay_domains', 'relay_' ~ count) }}
        on relay_{{ count }}.domain = domains_found.last_{{ count }}
    {%- endfor %}
),
facts as (
    select
        addresses_found.email,
        -- Whether it stands for a missing address is for the core to say.
        case
            when {{ mailvet.lower_ascii('addresses_found.local_part') }} in ({{ mailvet.literals(mailvet.placeholder_names()) }})
                then 'undecided'
            else addresses_found.syntax
        end as syntax,
        addresses_found.local_part,
        addresses_found.domain,
        domains_known.typo_of,
        coalesce(domains_known.is_free, 0) = 1 as is_free,
        coalesce(domains_known.is_relay_alias, 0) = 1 as is_relay_alias,
        coalesce(domains_known.is_under_disposable, 0) = 1
            and coalesce(domains_known.is_relay_alias, 0) = 0 as is_disposable,
        roles.name is not null and (
            roles.place = '{{ mailvet.role_everywhere() }}'
            or (
                coalesce(domains_known.is_provider, 0) = 0
                and (
                    roles.place = '{{ mailvet.role_at_companies() }}'
                    or roles.place like concat('%|', {{ mailvet.last_labels('addresses_found.domain', 1) }}, '|%')
                )
            )
        ) as is_role,
        case
            when addresses_found.name_found is null then false
            else {{ mailvet.matches('addresses_found.name_found', mailvet.syntax_patterns()['no_reply']) }}
        end as is_no_reply
    from addresses_found
    left join domains_known on domains_known.domain = addresses_found.domain
    left join {{ mailvet.list_rows('mailvet_role_names', 'roles') }} on roles.name = addresses_found.name_found
),
reasons_found as (
    select
        facts.*,
        case
            when syntax = 'invalid' then 'syntax_invalid'
            when syntax = 'undecided' then 'not_probed'
            when is_disposable then 'disposable'
            when typo_of is not null then 'typo_domain'
            when is_no_reply then 'no_reply'
            when is_role then 'role_account'
            else 'not_probed'
        end as reason
    from facts
)
select
    {{ mailvet.email_key('email') }} as email_key,
    email,
    syntax <> 'undecided' as decided,
    {{ mailvet.status_case('reason') }} as status,
    reason,
    {{ mailvet.recommendation_case('reason', '0', '1', policy) }} as recommendation,
    case
        when substring(local_part, 1, 1) in ({{ mailvet.literals(mailvet.formula_starts() + mailvet.markup_starts()) }})
            then null
        when typo_of is not null then concat(local_part, '@', typo_of)
    end as suggestion,
    domain,
    is_free,
    is_role,
    is_no_reply,
    is_disposable,
    is_relay_alias,
    typo_of
from reasons_found
{%- endmacro -%}
