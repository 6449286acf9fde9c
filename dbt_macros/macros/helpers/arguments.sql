{#- An error unless the relation has the column; what cannot be looked up (a subquery) is left to the database. -#}
{%- macro require_column(relation, column) -%}
    {%- set names = mailvet.column_names(relation) -%}
    {%- set bare = column | replace('"', '') | replace('`', '') | lower -%}
    {%- set is_name = modules.re.match('^[a-z_][a-z0-9_$]*$', bare) -%}
    {%- if names and is_name and bare not in names | map('lower') | list -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: there is no column " ~ column ~ " in " ~ relation ~ "; there are: " ~ names | join(', ')
            ~ ". Name the column of addresses with email_column."
        ) -%}
    {%- endif -%}
{%- endmacro -%}

{#- An error unless a test's choice is among the words it knows. -#}
{%- macro require_choice(test, argument, value, words) -%}
    {%- if value not in words -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet." ~ test ~ ": " ~ argument ~ " is " ~ value ~ "; choose one of " ~ words | join(', ') ~ "."
        ) -%}
    {%- endif -%}
{%- endmacro -%}

{#- The policy asked for, else that of the variable `mailvet_policy`, else marketing. -#}
{%- macro policy_named(policy=none) -%}
    {%- set chosen = policy or mailvet.setting('mailvet_policy', 'marketing') -%}
    {%- set known = mailvet.policies() + (mailvet.own_policies() | list) -%}
    {%- if chosen not in known -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: " ~ chosen ~ " is no policy; choose one of " ~ known | join(', ') ~ "."
        ) -%}
    {%- endif -%}
    {{- return(chosen) -}}
{%- endmacro -%}

{#- The start of the names of the status columns. -#}
{%- macro prefix_named(prefix=none) -%}
    {{- return(mailvet.setting('mailvet_prefix', 'mailvet_') if prefix is none else prefix) -}}
{%- endmacro -%}

{#- The status columns asked for, each a column of the verdict table. -#}
{%- macro chosen_columns(columns=none) -%}
    {%- set chosen = columns or mailvet.default_status_columns() -%}
    {%- for name in chosen if name not in mailvet.verdict_columns() or name in ('email', 'email_key') -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet: there is no status column " ~ name ~ "; there are: "
            ~ mailvet.verdict_columns() | reject('in', ['email', 'email_key']) | join(', ') ~ "."
        ) -%}
    {%- endfor -%}
    {{- return(chosen) -}}
{%- endmacro -%}
