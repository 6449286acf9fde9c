{#-
A select of the distinct texts of a column with their keys: `email_key`, and `mailbox_key`, which is equal for all
spellings of one mailbox, as its provider folds them; null where there is no @. Cells without an address are left out.
A domain that is not ASCII stays as it is written here; the verdict table has its key in A-labels.
-#}
{%- macro mailbox_keys(relation, email_column='email') -%}
{{- return(adapter.dispatch('mailbox_keys', 'mailvet')(relation, email_column)) -}}
{%- endmacro -%}

{%- macro default__mailbox_keys(relation, email_column) -%}
select
    email_key,
    case when domain_found <> '' then {{ mailvet.email_key(mailvet.mailbox_case('local_found', 'domain_found')) }} end
        as mailbox_key
from (
    select
        email_key,
        {{ mailvet.part_of('text_folded', '@', 1) }} as local_found,
        {{ mailvet.part_of('text_folded', '@', 2) }} as domain_found
    from (
        select distinct
            {{ mailvet.email_key('texts_read.' ~ email_column) }} as email_key,
            lower({{ mailvet.trimmed(mailvet.as_text('texts_read.' ~ email_column)) }}) as text_folded
        from {{ mailvet.rows_of(relation, 'texts_read') }}
        where not {{ mailvet.is_missing('texts_read.' ~ email_column) }}
    ) as texts_folded
) as texts_parted
{%- endmacro -%}
