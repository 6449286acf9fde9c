{{ config(materialized='view') }}
{{ mailvet.with_verdicts(ref('data_contacts'), 'email', policy='transactional', columns=['status', 'recommendation'], prefix='v_') }}
{{ '-- depends_on: ' ~ ref('contacts') }}
