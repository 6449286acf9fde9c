{%- macro write_back(relation, email_column='email', columns=none, prefix=none, policy=none, where=none) -%}
{{- return(adapter.dispatch('write_back', 'mailvet')(relation, email_column, columns, prefix, policy, where)) -}}
{%- endmacro -%}

{%- macro default__write_back(relation, email_column, columns, prefix, policy, where) -%}
{%- if execute -%}
    {%- set named = mailvet.relation_named(relation) -%}
    {%- set found = mailvet.stored_relation(named) -%}
    {%- if named.is_cte -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: " ~ relation ~ " is an ephemeral model, which is no table: write back to the table behind it, or"
            ~ " join the status columns with mailvet.with_verdicts()."
        ) -%}
    {%- elif found is none -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: there is no table " ~ named ~ " to write back to. Give a model's name, 'source.table', or"
            ~ " schema.table as the database knows it."
        ) -%}
    {%- elif found.type in ('view', 'materialized_view') -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: " ~ found ~ " is a view: status columns cannot be written to it. Write back to the table behind"
            ~ " it, or join them with mailvet.with_verdicts()."
        ) -%}
    {%- endif -%}
    {%- do mailvet.require_column(found, email_column) -%}
    {%- set start = mailvet.prefix_named(prefix) -%}
    {%- set chosen = mailvet.chosen_columns(columns) -%}
    {%- set present = mailvet.column_names(found) | map('lower') | list -%}
    {%- set verdicts = mailvet.verdicts() -%}
    {#- A model's hook is inside its transaction already; an operation opens one of its own. -#}
    {%- set alone = flags.WHICH == 'run-operation' -%}
    {%- set statements = [] -%}
    {%- for column in chosen if (start ~ column) | lower not in present -%}
        {%- do statements.append(mailvet.add_column_sql(found, start ~ column, mailvet.verdict_columns()[column])) -%}
    {%- endfor -%}
    {%- do statements.append(mailvet.clear_missing_sql(found, email_column, chosen, start, where)) -%}
    {%- do statements.append(mailvet.write_back_sql(found, verdicts, email_column, chosen, start, policy, where)) -%}
    {%- do mailvet.open_transaction() if alone -%}
    {%- for sql in statements -%}
        {%- call statement('mailvet_write_back', auto_begin=alone) -%}{{ sql }}{%- endcall -%}
    {%- endfor -%}
    {%- if alone -%}
        {%- do adapter.commit() -%}
        {%- set response = load_result('mailvet_write_back')['response'] -%}
        {%- do log("mailvet: status columns of " ~ found ~ " written back: " ~ response, info=true) -%}
    {%- endif -%}
{%- endif -%}
{%- endmacro -%}
