{#- Now, in UTC and of the type of the verdict table's times. -#}
{%- macro now_utc() -%}
{{- return(adapter.dispatch('now_utc', 'mailvet')()) -}}
{%- endmacro -%}

{%- macro default__now_utc() -%}
current_timestamp
{%- endmacro -%}

{#- Without the extension for time zones, which an installation may lack. -#}
{%- macro duckdb__now_utc() -%}
make_timestamp(epoch_us(current_timestamp))
{%- endmacro -%}

{%- macro snowflake__now_utc() -%}
cast(convert_timezone('UTC', current_timestamp()) as timestamp_ntz)
{%- endmacro -%}

{%- macro bigquery__now_utc() -%}
current_timestamp()
{%- endmacro -%}

{%- macro spark__now_utc() -%}
current_timestamp()
{%- endmacro -%}

{%- macro redshift__now_utc() -%}
getdate()
{%- endmacro -%}

{#- The time so many days ago, in UTC. -#}
{%- macro days_ago(days) -%}
{{- return(adapter.dispatch('days_ago', 'mailvet')(days)) -}}
{%- endmacro -%}

{%- macro default__days_ago(days) -%}
{{ mailvet.now_utc() }} - interval '{{ days }}' day
{%- endmacro -%}

{%- macro snowflake__days_ago(days) -%}
dateadd(day, -{{ days }}, {{ mailvet.now_utc() }})
{%- endmacro -%}

{%- macro redshift__days_ago(days) -%}
dateadd(day, -{{ days }}, {{ mailvet.now_utc() }})
{%- endmacro -%}

{%- macro bigquery__days_ago(days) -%}
timestamp_sub({{ mailvet.now_utc() }}, interval {{ days }} day)
{%- endmacro -%}

{#- The time so many seconds ago, in UTC. -#}
{%- macro seconds_ago(seconds) -%}
{{- return(adapter.dispatch('seconds_ago', 'mailvet')(seconds)) -}}
{%- endmacro -%}

{%- macro default__seconds_ago(seconds) -%}
{{ mailvet.now_utc() }} - interval '{{ seconds }}' second
{%- endmacro -%}

{%- macro snowflake__seconds_ago(seconds) -%}
dateadd(second, -{{ seconds }}, {{ mailvet.now_utc() }})
{%- endmacro -%}

{%- macro redshift__seconds_ago(seconds) -%}
dateadd(second, -{{ seconds }}, {{ mailvet.now_utc() }})
{%- endmacro -%}

{%- macro bigquery__seconds_ago(seconds) -%}
timestamp_sub({{ mailvet.now_utc() }}, interval {{ seconds }} second)
{%- endmacro -%}

{#- The first day of the month of a time. -#}
{%- macro month_of(time) -%}
{{- return(adapter.dispatch('month_of', 'mailvet')(time)) -}}
{%- endmacro -%}

{%- macro default__month_of(time) -%}
cast(date_trunc('month', {{ time }}) as date)
{%- endmacro -%}

{%- macro bigquery__month_of(time) -%}
date_trunc(date({{ time }}), month)
{%- endmacro -%}

{#- Whole days from one time to another. -#}
{%- macro days_between(start, finish) -%}
{{- return(adapter.dispatch('days_between', 'mailvet')(start, finish)) -}}
{%- endmacro -%}

{%- macro default__days_between(start, finish) -%}
datediff(day, cast({{ start }} as date), cast({{ finish }} as date))
{%- endmacro -%}

{%- macro duckdb__days_between(start, finish) -%}
date_diff('day', cast({{ start }} as date), cast({{ finish }} as date))
{%- endmacro -%}

{%- macro postgres__days_between(start, finish) -%}
(cast({{ finish }} as date) - cast({{ start }} as date))
{%- endmacro -%}

{%- macro redshift__days_between(start, finish) -%}
datediff(day, cast({{ start }} as date), cast({{ finish }} as date))
{%- endmacro -%}

{%- macro bigquery__days_between(start, finish) -%}
date_diff(date({{ finish }}), date({{ start }}), day)
{%- endmacro -%}

{%- macro spark__days_between(start, finish) -%}
datediff(cast({{ finish }} as date), cast({{ start }} as date))
{%- endmacro -%}

{#- A share as a number between 0 and 1; null where there is nothing to share. -#}
{%- macro share(part, whole) -%}
cast({{ part }} as {{ mailvet.type_name('float') }}) / nullif({{ whole }}, 0)
{%- endmacro -%}
