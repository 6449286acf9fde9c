{#-
The query of a test that holds a relation against limits: one row with every count, figure and limit if one of them is
not kept. What a limit means is written down in docs/gates.md.
-#}
{%- macro gate_query(
    test, model, column_name, limits, max_age=none, judge_by='estimate', confidence=0.95, among=none, policy=none
) -%}
{%- do mailvet.require_choice(test, 'judge_by', judge_by, mailvet.judge_by_choices()) -%}
{%- do mailvet.audience_words(test, among) -%}
{%- set known = mailvet.gate_limits() -%}
{%- set given = {} -%}
{%- for name, limit in limits.items() if limit is not none -%}
    {%- do given.update({name: mailvet.share_of(test, name, limit)}) -%}
{%- endfor -%}
{%- if max_age is not none and 'max_stale_rate' not in given -%}{%- do given.update({'max_stale_rate': 0}) -%}{%- endif -%}
{%- if 'max_stale_rate' in given and max_age is none -%}
    {%- do exceptions.raise_compiler_error(
        "mailvet." ~ test ~ ": max_stale_rate needs max_age: how old a verdict may be before it is stale."
    ) -%}
{%- endif -%}
{%- do mailvet.warn_of_idle_limits(test, given, among, policy) -%}
select
    judged.*
    {%- for name, limit in given.items() %},
    {{ limit }} as {{ name }}
    {%- endfor %}
from (
    {{ mailvet.gate_figures(model, column_name, among, policy, max_age, confidence) | indent(4) }}
) as judged
where 1 = 0
{%- for name, limit in given.items() %}
    {%- set figure, of_all = known[name] %}
    or {{ 'high' if name == 'max_bounce_rate' and judge_by == 'upper' else figure }} > {{ limit }} + {{ mailvet.gate_rounding() }}
    or ({{ 'addresses > 0 and verified = 0' if of_all else 'audience > 0 and audience_verified = 0' }})
{%- endfor %}
{%- endmacro -%}

{#- A warning for every limit that cannot fail. -#}
{%- macro warn_of_idle_limits(test, limits, among, policy) -%}
    {%- set words = mailvet.audience_words(test, among) -%}
    {%- set chosen = mailvet.policy_named(policy) -%}
    {%- for name, limit in limits.items() -%}
        {%- if limit >= 1 -%}
            {%- do exceptions.warn("mailvet." ~ test ~ ": " ~ name ~ " of 100% cannot fail.") -%}
        {%- elif words and not mailvet.limit_can_fail(name, words, chosen) -%}
            {%- do exceptions.warn(
                "mailvet." ~ test ~ ": " ~ name ~ " cannot fail among " ~ words | join(', ') ~ " under the policy "
                ~ chosen ~ "."
            ) -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro -%}
