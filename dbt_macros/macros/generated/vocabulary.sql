{# Written by dbt_macros/generate.py from the Python core; edits are lost. #}
{%- macro policies() -%}{{ return(['marketing', 'transactional', 'signup']) }}{%- endmacro -%}
{%- macro statuses() -%}{{ return(['deliverable', 'undeliverable', 'risky', 'unknown']) }}{%- endmacro -%}
{%- macro reasons() -%}{{ return(['suppressed', 'missing', 'syntax_invalid', 'domain_not_found', 'null_mx', 'no_mail_server', 'mx_unroutable', 'hard_bounced', 'mailbox_not_found', 'mailbox_disabled', 'mailbox_moved', 'restricted_recipient', 'smtputf8_unsupported', 'suspected_trap', 'disposable', 'typo_domain', 'no_reply', 'mailbox_full', 'recipient_throttled', 'sender_not_known', 'recently_engaged', 'recently_delivered', 'repeated_soft_bounce', 'accept_all', 'security_gateway', 'greylisted', 'server_temporary_error', 'sender_blocked', 'sender_throttled', 'relay_denied', 'connect_failed', 'smtp_timeout', 'protocol_error', 'tarpit', 'dns_timeout', 'dns_error', 'provider_unverifiable', 'inactive', 'role_account', 'mailbox_accepted', 'not_probed']) }}{%- endmacro -%}
{%- macro recommendations() -%}{{ return(['send', 'reverify', 'do_not_send']) }}{%- endmacro -%}
{%- macro depths() -%}{{ return(['offline', 'dns', 'smtp']) }}{%- endmacro -%}
{%- macro default_status_columns() -%}{{ return(['status', 'reason', 'recommendation', 'score', 'suggestion', 'checked_at']) }}{%- endmacro -%}
{%- macro judge_by_choices() -%}{{ return(['estimate', 'upper']) }}{%- endmacro -%}
{%- macro never_sent_reasons() -%}{{ return(['missing', 'suppressed', 'syntax_invalid']) }}{%- endmacro -%}
