{#-
The distinct addresses of a relation verified in the database, batch by batch, as rows of the verdict table: what is due,
for an `insert ... on conflict` or a model of your own.
-#}
{%- macro verified(relation, email_column='email', depth='offline', config=none, batch_rows=50000) -%}
{{- return(adapter.dispatch('verified', 'mailvet')(relation, email_column, depth, config, batch_rows)) -}}
{%- endmacro -%}

{%- macro default__verified(relation, email_column, depth, config, batch_rows) -%}
{{- mailvet.default__create_functions() -}}
{%- endmacro -%}

{%- macro redshift__verified(relation, email_column, depth, config, batch_rows) -%}
{{- mailvet.default__create_functions() -}}
{%- endmacro -%}

{%- macro postgres__verified(relation, email_column, depth, config, batch_rows) -%}
select verdict.*
from (
    select array_agg(email) as emails
    from (
        select email, (row_number() over () - 1) / {{ batch_rows }} as batch
        from (select distinct {{ mailvet.as_text(email_column) }} as email from {{ mailvet.rows_of(relation) }}
            where not {{ mailvet.is_missing(email_column) }}) as texts
    ) as numbered
    group by batch
) as batches,
lateral {{ mailvet.setting('mailvet_functions_schema', 'mailvet') }}.verify(
    batches.emails, {{ mailvet.literal(depth) }}, {{ mailvet.literal(config) if config else 'null' }}
) as verdict
{%- endmacro -%}
