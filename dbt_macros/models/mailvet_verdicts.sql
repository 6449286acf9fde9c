{%- do mailvet.warn_of_unknown_settings() -%}
{#- What a project says of all models wins over this package's configuration, and would empty the table each time. -#}
{%- if execute and (model.config.materialized != 'incremental' or model.config.full_refresh) -%}
    {%- do exceptions.raise_compiler_error(
        "mailvet: this project's configuration turns the verdict table into " ~ model.config.materialized
        ~ (" with full_refresh" if model.config.full_refresh else "") ~ ", which would lose every verdict. Write in"
        ~ " dbt_project.yml: models: {mailvet: {+materialized: incremental, +full_refresh: false}}"
    ) -%}
{%- endif -%}

{#- dbt makes the table, mailvet fills it: this adds no row, ever. -#}
select
    {%- for name, kind in mailvet.verdict_columns().items() %}
    cast(null as {{ mailvet.type_name(kind) }}) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
from (select 1 as nothing) as no_rows
where 1 = 0
