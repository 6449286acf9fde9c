{#-
The value of a variable of this package, as dbt finds it for a node of the package itself: of the command line, else of
`vars: {mailvet: {...}}`, else of `vars`. In a model of yours dbt looks under your project's name instead of mailvet;
what is written there comes before what is written under mailvet.
-#}
{%- macro setting(name, default=none) -%}
    {%- set scoped = var('mailvet', none) or {} -%}
    {%- set of_node = var(model.package_name, none) or {} -%}
    {%- set of_command = invocation_args_dict.vars or {} -%}
    {%- set of_unit_test = (model.overrides or {}).vars or {} -%}
    {%- if name not in scoped or name in of_node or name in of_command or name in of_unit_test -%}
        {{- return(var(name, default)) -}}
    {%- endif -%}
    {%- set value = scoped[name] -%}
    {{- return(render(value) if value is string else value) -}}
{%- endmacro -%}

{#- A warning for each name under `vars: {mailvet: ...}` that nothing reads. -#}
{%- macro warn_of_unknown_settings() -%}
    {%- set names = [
        'mailvet_policy', 'mailvet_depth', 'mailvet_prefix', 'mailvet_verdict_model', 'mailvet_verdict_table',
        'mailvet_python_path', 'mailvet_functions_schema', 'mailvet_policies',
    ] -%}
    {%- for name in var('mailvet', none) or {} if execute and name not in names -%}
        {%- do exceptions.warn(
            "mailvet: vars: mailvet: " ~ name ~ " is no variable of this package; there are: " ~ names | join(', ') ~ "."
        ) -%}
    {%- endfor -%}
{%- endmacro -%}
