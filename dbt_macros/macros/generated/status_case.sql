{# Written by dbt_macros/generate.py from the Python core; edits are lost. #}
{%- macro status_case(reason) -%}
{{- return(adapter.dispatch('status_case', 'mailvet')(reason)) -}}
{%- endmacro -%}

{%- macro default__status_case(reason) -%}
case
    when {{ reason }} in ('suppressed', 'syntax_invalid', 'domain_not_found', 'null_mx', 'no_mail_server', 'mx_unroutable', 'hard_bounced', 'mailbox_not_found', 'mailbox_disabled', 'mailbox_moved', 'restricted_recipient', 'smtputf8_unsupported') then 'undeliverable'
    when {{ reason }} in ('missing', 'greylisted', 'server_temporary_error', 'sender_blocked', 'sender_throttled', 'relay_denied', 'connect_failed', 'smtp_timeout', 'protocol_error', 'tarpit', 'dns_timeout', 'dns_error', 'provider_unverifiable', 'not_probed') then 'unknown'
    when {{ reason }} in ('suspected_trap', 'disposable', 'typo_domain', 'no_reply', 'mailbox_full', 'recipient_throttled', 'sender_not_known', 'repeated_soft_bounce', 'accept_all', 'security_gateway', 'inactive', 'role_account') then 'risky'
    when {{ reason }} in ('recently_engaged', 'recently_delivered', 'mailbox_accepted') then 'deliverable'
end
{%- endmacro -%}
