{#- Every statement the package can make, for whichever adapter renders it; nothing of it is run. -#}
{%- set contacts = ref('data_contacts') -%}
{%- set columns = ['status', 'recommendation', 'suggestion', 'checked_at'] -%}
{{ mailvet.write_back_sql(contacts, mailvet.verdicts(), 'email', columns, 'mailvet_', 'signup', 'id > 3') }}
;
{{ mailvet.write_back_sql(contacts, mailvet.verdicts(), 'email', ['reason'], 'm_') }}
;
{{ mailvet.clear_missing_sql(contacts, 'email', columns, 'mailvet_', 'id > 3') }}
;
{% for column, kind in mailvet.verdict_columns().items() -%}
{{ mailvet.add_column_sql(contacts, 'mailvet_' ~ column, kind) }}
;
{% endfor -%}
{{ mailvet.with_verdicts(contacts, 'email', policy='transactional') }}
;
{{ mailvet.candidates(contacts, 'email', depth='dns', where='id > 3') }}
;
{{ mailvet.suppression_list(contacts, 'email', with_address=false) }}
;
{{ mailvet.send_list(contacts, 'email', min_score=95) }}
;
{{ mailvet.offline_checks(contacts, 'email', allow_special_use=true) }}
;
{{ mailvet.kpis(ref('data_events'), source_column='source', by=['kind', 'operator']) }}
;
{{ mailvet.stage_events(ref('data_events'), 'ses', columns={
    'eventType': 'event', 'bounce.timestamp': 'occurred_at', 'mail.destination[]': 'email', 'bounce.bounceType': 'source'
}) }}
;
select {{ mailvet.time_of_number('id') }} as by_number, {{ mailvet.time_of_text('email') }} as by_text from {{ contacts }}
