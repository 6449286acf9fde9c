{# Written by dbt_macros/generate.py from the Python core; edits are lost. #}
{%- macro recommendation_case(reason, score, attempts, policy=none, probability=none, checked_at=none) -%}
{{- return(adapter.dispatch('recommendation_case', 'mailvet')(reason, score, attempts, policy, probability, checked_at)) -}}
{%- endmacro -%}

{%- macro default__recommendation_case(reason, score, attempts, policy, probability, checked_at) -%}
{%- set chosen = mailvet.policy_named(policy) -%}
{%- set own = mailvet.own_policies().get(chosen) -%}
{%- if own is not none -%}
{{ mailvet.own_policy_case(chosen, own, reason, score, attempts, probability, checked_at) }}
{%- elif chosen == 'marketing' -%}
case
  when {{ reason }} = 'mailbox_full' and {{ attempts }} >= 3 then 'do_not_send'
  when {{ reason }} in ('accept_all', 'security_gateway') and {{ score }} >= 90 then 'send'
  when {{ reason }} in ('accept_all', 'security_gateway') then 'reverify'
  when {{ reason }} in ('recently_engaged', 'recently_delivered', 'mailbox_accepted') then 'send'
  when {{ reason }} in ('smtputf8_unsupported', 'mailbox_full', 'recipient_throttled', 'sender_not_known', 'repeated_soft_bounce', 'greylisted', 'server_temporary_error', 'sender_blocked', 'sender_throttled', 'relay_denied', 'connect_failed', 'smtp_timeout', 'protocol_error', 'tarpit', 'dns_timeout', 'dns_error', 'provider_unverifiable', 'inactive', 'not_probed') then 'reverify'
  when {{ reason }} in ('suppressed', 'missing', 'syntax_invalid', 'domain_not_found', 'null_mx', 'no_mail_server', 'mx_unroutable', 'hard_bounced', 'mailbox_not_found', 'mailbox_disabled', 'mailbox_moved', 'restricted_recipient', 'suspected_trap', 'disposable', 'typo_domain', 'no_reply', 'role_account') then 'do_not_send'
end
{%- elif chosen == 'transactional' -%}
case
  when {{ reason }} = 'mailbox_full' and {{ attempts }} >= 3 then 'do_not_send'
  when {{ reason }} in ('no_reply', 'accept_all', 'security_gateway') and {{ score }} >= 60 then 'send'
  when {{ reason }} in ('no_reply', 'accept_all', 'security_gateway') then 'reverify'
  when {{ reason }} in ('recipient_throttled', 'sender_not_known', 'recently_engaged', 'recently_delivered', 'provider_unverifiable', 'inactive', 'role_account', 'mailbox_accepted') then 'send'
  when {{ reason }} in ('smtputf8_unsupported', 'mailbox_full', 'repeated_soft_bounce', 'greylisted', 'server_temporary_error', 'sender_blocked', 'sender_throttled', 'relay_denied', 'connect_failed', 'smtp_timeout', 'protocol_error', 'tarpit', 'dns_timeout', 'dns_error', 'not_probed') then 'reverify'
  when {{ reason }} in ('suppressed', 'missing', 'syntax_invalid', 'domain_not_found', 'null_mx', 'no_mail_server', 'mx_unroutable', 'hard_bounced', 'mailbox_not_found', 'mailbox_disabled', 'mailbox_moved', 'restricted_recipient', 'suspected_trap', 'disposable', 'typo_domain') then 'do_not_send'
end
{%- elif chosen == 'signup' -%}
case
  when {{ reason }} = 'mailbox_full' and {{ attempts }} >= 3 then 'do_not_send'
  when {{ reason }} in ('accept_all', 'security_gateway') and {{ score }} >= 40 then 'send'
  when {{ reason }} in ('accept_all', 'security_gateway') then 'reverify'
  when {{ reason }} in ('mailbox_full', 'recipient_throttled', 'sender_not_known', 'recently_engaged', 'recently_delivered', 'repeated_soft_bounce', 'greylisted', 'server_temporary_error', 'sender_blocked', 'sender_throttled', 'relay_denied', 'connect_failed', 'smtp_timeout', 'protocol_error', 'tarpit', 'dns_timeout', 'dns_error', 'provider_unverifiable', 'inactive', 'role_account', 'mailbox_accepted', 'not_probed') then 'send'
  when {{ reason }} in ('smtputf8_unsupported') then 'reverify'
  when {{ reason }} in ('suppressed', 'missing', 'syntax_invalid', 'domain_not_found', 'null_mx', 'no_mail_server', 'mx_unroutable', 'hard_bounced', 'mailbox_not_found', 'mailbox_disabled', 'mailbox_moved', 'restricted_recipient', 'suspected_trap', 'disposable', 'typo_domain', 'no_reply') then 'do_not_send'
end
{%- endif -%}
{%- endmacro -%}
