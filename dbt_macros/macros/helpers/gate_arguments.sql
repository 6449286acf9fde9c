{#- A share as a number between 0 and 1: 0.02 or "2%". -#}
{%- macro share_of(test, name, value) -%}
    {%- set text = value | string | trim -%}
    {%- set bare = text[:-1] | trim if text.endswith('%') else text -%}
    {%- set found = (bare | float(-1)) / 100 if text.endswith('%') else bare | float(-1) -%}
    {%- if value is boolean or found < 0 or found > 1 -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet." ~ test ~ ": " ~ name ~ " is " ~ value ~ "; give a share between 0 and 1, as 0.02 or '2%'."
        ) -%}
    {%- endif -%}
    {{- return(found) -}}
{%- endmacro -%}

{#- A share strictly between 0 and 1. -#}
{%- macro confidence_of(test, value) -%}
    {%- set found = mailvet.share_of(test, 'confidence', value) -%}
    {%- if found <= 0 or found >= 1 -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet." ~ test ~ ": confidence is " ~ value ~ "; give a number between 0 and 1, such as 0.95."
        ) -%}
    {%- endif -%}
    {{- return(found) -}}
{%- endmacro -%}

{#- A duration in seconds: "30d", "12h" or a number of seconds. -#}
{%- macro seconds_of(test, value) -%}
    {%- set units = mailvet.duration_units() -%}
    {%- set parts = modules.re.match('^\\s*([0-9]+([.][0-9]+)?)\\s*(' ~ units | join('|') ~ ')\\s*$', value | string) -%}
    {%- set seconds = (parts.group(1) | float) * units[parts.group(3)] if parts else value if value is number else -1 -%}
    {%- if value is boolean or seconds < 0 -%}
        {%- do exceptions.raise_compiler_error(
            "mailvet." ~ test ~ ": max_age is " ~ value ~ "; write for example '12h' or '30d'."
        ) -%}
    {%- endif -%}
    {{- return(seconds | round | int) -}}
{%- endmacro -%}

{#- The recommendations (or statuses) that make the audience: a list, or text with commas; none for all addresses. -#}
{%- macro audience_words(test, among) -%}
    {%- set words = [] -%}
    {%- for word in (among.split(',') if among is string else among or []) -%}
        {%- do mailvet.require_choice(test, 'among', word | trim, mailvet.recommendations() + mailvet.statuses()) -%}
        {%- do words.append(word | trim) -%}
    {%- endfor -%}
    {{- return(words) -}}
{%- endmacro -%}

{#- The first value that is not none. -#}
{%- macro first_given() -%}
    {%- for value in varargs if value is not none -%}{{- return(value) -}}{%- endfor -%}
    {{- return(none) -}}
{%- endmacro -%}

{#- The value of an argument that has another name now. -#}
{%- macro renamed(test, old, new, value) -%}
    {%- if value is not none -%}
        {%- do exceptions.warn("mailvet." ~ test ~ ": " ~ old ~ " is called " ~ new ~ " now.") -%}
    {%- endif -%}
    {{- return(value) -}}
{%- endmacro -%}

{#- What `unverified`, "ignore" or "fail", means as a limit. -#}
{%- macro unverified_rule(test, rule) -%}
    {%- if rule is none -%}{{- return(none) -}}{%- endif -%}
    {%- do mailvet.require_choice(test, 'unverified', rule, ['ignore', 'fail']) -%}
    {%- do mailvet.renamed(test, 'unverified', 'max_unverified_rate', rule) -%}
    {{- return(0 if rule == 'fail' else none) -}}
{%- endmacro -%}
