-- What SQL decides is what the core decides; what it cannot decide it says.
with compared as (
    select
        vectors.*,
        offline.decided,
        offline.status as sql_status,
        offline.reason as sql_reason,
        coalesce(offline.suggestion, '') as sql_suggestion,
        concat(
            case when is_free then ',free' else '' end,
            case when is_role then ',role' else '' end,
            case when is_disposable then ',disposable' else '' end,
            case when is_relay_alias then ',relay_alias' else '' end
        ) as sql_flags
    from {{ ref('vectors') }} as vectors
    left join {{ ref('offline') }} as offline on offline.email_key = {{ mailvet.email_key('vectors.email') }}
)
select * from compared
-- A cell without an address is not among the checks.
where (decided is null and reason <> 'missing')
    or (decided is not null and reason = 'missing')
    or (not decided and (sql_status <> 'unknown' or sql_reason <> 'not_probed'))
    or (decided and (
        status <> sql_status or reason <> sql_reason or suggestion <> sql_suggestion
        or sql_flags <> case when flags = '' then '' else concat(',', flags) end
    ))
