{{ config(post_hook=["{{ fill_verdicts() }}", "{{ mailvet.write_back(this) }}"]) }}

select id, email, source, acquired_at from {{ ref('data_contacts') }}
-- depends_on: {{ ref('mailvet_verdicts') }} {{ ref('data_verdicts') }}
