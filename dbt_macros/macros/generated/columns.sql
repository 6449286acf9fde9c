{# Written by dbt_macros/generate.py from the Python core; edits are lost. #}
{%- macro verdict_columns() -%}
{{ return({
    'email_key': 'text',
    'email': 'text',
    'status': 'text',
    'reason': 'text',
    'recommendation': 'text',
    'score': 'smallint',
    'suggestion': 'text',
    'flags': 'text',
    'domain': 'text',
    'operator': 'text',
    'mx_host': 'text',
    'smtp_code': 'smallint',
    'smtp_reply': 'text',
    'depth': 'text',
    'evidence': 'text',
    'checked_at': 'timestamp',
    'next_check_at': 'timestamp',
    'attempts': 'integer',
    'run_id': 'text',
    'rules_version': 'text',
    'mailbox_key': 'text',
    'bounce_probability': 'float',
}) }}
{%- endmacro -%}
