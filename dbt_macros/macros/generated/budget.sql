{# Written by dbt_macros/generate.py from the Python core; edits are lost. #}
{#- P(hard bounce) of the verdict `alias` at the upper end of the table of scores. -#}
{%- macro upper_bounces(alias) -%}
(floor((case when {{ alias }}.reason in ('suppressed', 'missing', 'syntax_invalid', 'domain_not_found', 'null_mx', 'no_mail_server', 'mx_unroutable', 'hard_bounced', 'mailbox_not_found', 'mailbox_disabled', 'mailbox_moved', 'restricted_recipient', 'smtputf8_unsupported', 'suspected_trap', 'disposable', 'typo_domain', 'no_reply', 'mailbox_full', 'recipient_throttled', 'sender_not_known', 'repeated_soft_bounce', 'security_gateway', 'greylisted', 'server_temporary_error', 'sender_blocked', 'sender_throttled', 'relay_denied', 'connect_failed', 'smtp_timeout', 'protocol_error', 'tarpit', 'dns_timeout', 'dns_error', 'provider_unverifiable', 'inactive', 'role_account', 'not_probed') then 2.0 when {{ alias }}.reason in ('recently_engaged', 'recently_delivered', 'mailbox_accepted') then 1.5 when {{ alias }}.reason in ('accept_all') then 2.6666666666666665 else 1.0 end) * {{ mailvet.stored_bounces(alias) }} / (1.0 - {{ mailvet.stored_bounces(alias) }} + (case when {{ alias }}.reason in ('suppressed', 'missing', 'syntax_invalid', 'domain_not_found', 'null_mx', 'no_mail_server', 'mx_unroutable', 'hard_bounced', 'mailbox_not_found', 'mailbox_disabled', 'mailbox_moved', 'restricted_recipient', 'smtputf8_unsupported', 'suspected_trap', 'disposable', 'typo_domain', 'no_reply', 'mailbox_full', 'recipient_throttled', 'sender_not_known', 'repeated_soft_bounce', 'security_gateway', 'greylisted', 'server_temporary_error', 'sender_blocked', 'sender_throttled', 'relay_denied', 'connect_failed', 'smtp_timeout', 'protocol_error', 'tarpit', 'dns_timeout', 'dns_error', 'provider_unverifiable', 'inactive', 'role_account', 'not_probed') then 2.0 when {{ alias }}.reason in ('recently_engaged', 'recently_delivered', 'mailbox_accepted') then 1.5 when {{ alias }}.reason in ('accept_all') then 2.6666666666666665 else 1.0 end) * {{ mailvet.stored_bounces(alias) }}) * 1e9 + 0.5) / 1e9)
{%- endmacro -%}
{#- Addresses with the same value bounce together. -#}
{%- macro bounce_cluster(alias) -%}
case when ({{ alias }}.flags = 'free' or {{ alias }}.flags like 'free,%') then {{ alias }}.email_key else coalesce({{ alias }}.domain, {{ alias }}.email_key) end
{%- endmacro -%}
{#- The keys of the largest audience among candidates that keeps to a limit. -#}
{%- macro audience_keys(candidates, limit, reach) -%}
with
    candidates_weighed as (select key_of, chance, cluster_of, operator_of, weight, weight * sqrt(chance * (1.0 - chance)) as spread from ({{ candidates }}) as candidates_found),
    candidates_paired as (select key_of, chance, weight, spread, 2.0 * spread * (0.1 * (sum(spread) over (partition by cluster_of order by chance, key_of rows unbounded preceding) - spread) + 0.0005 * (sum(spread) over (partition by operator_of order by chance, key_of rows unbounded preceding) - spread)) as pairs from candidates_weighed),
    candidates_added as (select key_of, chance, sum(weight) over (order by chance, key_of rows unbounded preceding) as rows_taken, sum(chance * weight) over (order by chance, key_of rows unbounded preceding) as expected, sum(spread * spread + pairs) over (order by chance, key_of rows unbounded preceding) as variance, row_number() over (order by chance, key_of) as place, count(*) over () as addresses from candidates_paired),
    candidates_bounded as (select key_of, chance, rows_taken, expected, place, addresses, expected + {{ reach }} * sqrt(case when variance < 0 then 0 else variance end) as upper_bound from candidates_added)
select key_of from candidates_bounded where place <= (
    select max(place) from candidates_bounded where upper_bound <= {{ limit }} * rows_taken + 1e-09
)
{%- endmacro -%}
{%- macro default_budget_confidence() -%}0.9{%- endmacro -%}
