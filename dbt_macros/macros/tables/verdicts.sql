{#-
The verdict table: this package's model `mailvet_verdicts`; or the model of your own that the variable
`mailvet_verdict_model` names; or the table that `mailvet_verdict_table` names, where something else owns it.
-#}
{%- macro verdicts() -%}
{{- return(adapter.dispatch('verdicts', 'mailvet')()) -}}
{%- endmacro -%}

{%- macro default__verdicts() -%}
    {%- set named = mailvet.setting('mailvet_verdict_table') -%}
    {%- set relation = mailvet.relation_named(named) if named
        else ref(mailvet.setting('mailvet_verdict_model', 'mailvet_verdicts')) -%}
    {#- A sample or a batch is one of contacts: what is known of them may be of any time. -#}
    {%- if relation.event_time_filter -%}{%- set relation = relation.replace(event_time_filter=none) -%}{%- endif -%}
    {%- if mailvet.touches_data() and not relation.is_cte and mailvet.stored_relation(relation) is none -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: there is no verdict table " ~ relation ~ " yet. Make it with `dbt run --select mailvet_verdicts`"
            ~ " and fill it with `mailvet dbt run`; or, if another tool keeps it in another place, name that place in"
            ~ " the variable mailvet_verdict_table."
        ) -%}
    {%- endif -%}
    {{- return(relation) -}}
{%- endmacro -%}
