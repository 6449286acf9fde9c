{#-
The columns of a relation of a sender's records as texts: path of the record -> expression, for the paths of which it has
a column. A path a.b[].c may be a column `a.b.c`, `a_b_c` or `a__b__c`, or what `columns` says.
-#}
{%- macro record_columns(relation, paths, columns) -%}
    {%- set present = {} -%}
    {%- for name in mailvet.column_names(relation) -%}{%- do present.update({name | lower: name}) -%}{%- endfor -%}
    {%- set found = {} -%}
    {%- for path in paths -%}
        {%- set plain = path | replace('[]', '') | lower -%}
        {%- if path in columns -%}
            {%- do found.update({path: columns[path]}) -%}
        {%- else -%}
            {%- for name in [plain, plain | replace('.', '_'), plain | replace('.', '__')] -%}
                {%- if name in present and path not in found -%}
                    {%- do found.update({path: adapter.quote(present[name])}) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(found) -}}
{%- endmacro -%}

{#- The first value of a record at some paths, as text. -#}
{%- macro first_of(paths, found) -%}
    {%- set parts = [] -%}
    {%- for path in paths if path in found -%}
        {%- do parts.append('cast(' ~ found[path] ~ ' as ' ~ mailvet.type_name('text') ~ ')') -%}
    {%- endfor -%}
    {%- if parts | length > 1 -%}coalesce({{ parts | join(', ') }})
    {%- elif parts -%}{{ parts[0] }}
    {%- else -%}cast(null as {{ mailvet.type_name('text') }})
    {%- endif -%}
{%- endmacro -%}

{#- Whether a value matches one of some patterns in lower case; a star stands for any text, an empty one for no value. -#}
{%- macro matches_one_of(path, patterns, found) -%}
    {%- if path not in found -%}
        {{- '1 = 1' if '' in patterns or '*' in patterns else '1 = 0' -}}
    {%- else -%}
        {%- set value = "lower(" ~ mailvet.as_text(found[path]) ~ ")" -%}
        {%- set tests = [] -%}
        {%- set exact = [] -%}
        {%- for pattern in patterns -%}
            {%- if '*' in pattern -%}
                {%- do tests.append(value ~ ' like ' ~ mailvet.literal(pattern | replace('*', '%'))) -%}
            {%- else -%}
                {%- do exact.append(pattern) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if exact -%}{%- do tests.append(value ~ ' in (' ~ mailvet.literals(exact) ~ ')') -%}{%- endif -%}
        {{- '(' ~ tests | join(' or ') ~ ')' -}}
    {%- endif -%}
{%- endmacro -%}

{#- Whether a rule of a sender holds. -#}
{%- macro rule_holds(rule, found) -%}
lower(event_word) in ({{ mailvet.literals(rule['words']) }})
{%- for path, patterns in rule['when'].items() %} and {{ mailvet.matches_one_of(path, patterns, found) }}{% endfor -%}
{%- endmacro -%}

{#- A text or a truth value that says yes. -#}
{%- macro says_yes(column) -%}
lower({{ mailvet.as_text(column) }}) in ('true', '1', 'yes', 't', '1.0')
{%- endmacro -%}

{#- The times of a record: the first at some paths, of whichever type its column is. -#}
{%- macro first_time_of(relation, paths, found) -%}
    {%- set types = {} -%}
    {%- if execute and flags.INTROSPECT is not false -%}
        {%- set stored = mailvet.stored_relation(relation) -%}
        {%- if stored is not none -%}
            {%- for column in adapter.get_columns_in_relation(stored) -%}
                {%- do types.update({adapter.quote(column.name): column.dtype | lower}) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {%- set parts = [] -%}
    {%- for path in paths if path in found -%}
        {%- set type = types.get(found[path], 'timestamp') -%}
        {%- if modules.re.match('(big|small|tiny|huge|medium)?int|double|float|numeric|decimal|real|number', type) -%}
            {%- do parts.append(mailvet.time_of_number(found[path])) -%}
        {%- elif modules.re.match('varchar|char|text|string|nvarchar', type) -%}
            {%- do parts.append(mailvet.time_of_text(found[path])) -%}
        {%- else -%}
            {%- do parts.append('cast(' ~ found[path] ~ ' as ' ~ mailvet.type_name('timestamp') ~ ')') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if parts | length > 1 -%}coalesce({{ parts | join(', ') }})
    {%- elif parts -%}{{ parts[0] }}
    {%- else -%}cast(null as {{ mailvet.type_name('timestamp') }})
    {%- endif -%}
{%- endmacro -%}

{#- Seconds since 1970, or milliseconds where there are that many, as a time in UTC. -#}
{%- macro time_of_number(column) -%}
{{- return(adapter.dispatch('time_of_number', 'mailvet')(
    'case when ' ~ column ~ ' >= 100000000000 then ' ~ column ~ ' / 1000.0 else ' ~ column ~ ' end'
)) -}}
{%- endmacro -%}

{%- macro default__time_of_number(seconds) -%}
timestamp 'epoch' + ({{ seconds }}) * interval '1 second'
{%- endmacro -%}

{%- macro duckdb__time_of_number(seconds) -%}
make_timestamp(cast(round(({{ seconds }}) * 1000000) as bigint))
{%- endmacro -%}

{%- macro postgres__time_of_number(seconds) -%}
to_timestamp({{ seconds }})
{%- endmacro -%}

{%- macro snowflake__time_of_number(seconds) -%}
to_timestamp_ntz(cast(round(({{ seconds }}) * 1000) as number(38, 0)), 3)
{%- endmacro -%}

{%- macro bigquery__time_of_number(seconds) -%}
timestamp_micros(cast(round(({{ seconds }}) * 1000000) as int64))
{%- endmacro -%}

{%- macro spark__time_of_number(seconds) -%}
timestamp_micros(cast(round(({{ seconds }}) * 1000000) as bigint))
{%- endmacro -%}

{#- A time in ISO 8601, in UTC. -#}
{%- macro time_of_text(column) -%}
{{- return(adapter.dispatch('time_of_text', 'mailvet')(column)) -}}
{%- endmacro -%}

{%- macro default__time_of_text(column) -%}
cast({{ column }} as {{ mailvet.type_name('timestamp') }})
{%- endmacro -%}

{%- macro snowflake__time_of_text(column) -%}
cast(convert_timezone('UTC', to_timestamp_tz({{ column }})) as timestamp_ntz)
{%- endmacro -%}

{%- macro duckdb__time_of_text(column) -%}
make_timestamp(epoch_us(cast({{ mailvet.text_with_zone(column) }} as timestamptz)))
{%- endmacro -%}

{%- macro postgres__time_of_text(column) -%}
cast({{ mailvet.text_with_zone(column) }} as timestamp with time zone)
{%- endmacro -%}

{#- A time that names no zone is in UTC, whatever the zone of the session. -#}
{%- macro text_with_zone(column) -%}
case
    when {{ mailvet.matches(column, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$') }} then {{ column }} || 'T00:00:00Z'
    when {{ mailvet.matches(column, '^.*[T ][0-9:.]+$') }} then {{ column }} || 'Z'
    else {{ column }}
end
{%- endmacro -%}
