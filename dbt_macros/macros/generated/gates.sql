{# Written by dbt_macros/generate.py from the Python core; edits are lost. #}
{%- macro duration_units() -%}{{ return({'ms': 0.001, 's': 1.0, 'm': 60.0, 'h': 3600.0, 'd': 86400.0}) }}{%- endmacro -%}
{#- What floating point may add to a figure that equals its limit. -#}
{%- macro gate_rounding() -%}1e-09{%- endmacro -%}
{#- P(hard bounce) of an address without a verdict. -#}
{%- macro unverified_bounces() -%}0.12{%- endmacro -%}
{#- P(hard bounce) of the verdict `alias`, null without one; an older table has the score alone. -#}
{%- macro stored_bounces(alias) -%}
{%- if mailvet.has_probability() -%}
coalesce({{ alias }}.bounce_probability, ((100 - {{ alias }}.score) / 100.0))
{%- else -%}
((100 - {{ alias }}.score) / 100.0)
{%- endif -%}
{%- endmacro -%}
{#- The counts of a gate; of `known`, with the condition that makes the audience. -#}
{%- macro gate_counts(audience) -%}
coalesce(sum(case when 1 = 1 then repeats else 0 end), 0) as {{ adapter.quote('rows') }},
coalesce(sum(case when is_missing = 1 then repeats else 0 end), 0) as missing,
coalesce(sum(case when is_missing = 0 then repeats else 0 end), 0) as addresses,
coalesce(sum(case when is_missing = 0 and status is not null then repeats else 0 end), 0) as verified,
coalesce(sum(case when is_missing = 0 and status is null then repeats else 0 end), 0) as unverified,
coalesce(sum(case when is_missing = 0 and reason = 'not_probed' then repeats else 0 end), 0) as unprobed,
coalesce(sum(case when is_missing = 0 and is_stale = 1 then repeats else 0 end), 0) as stale,
coalesce(sum(case when ({{ audience }}) then repeats else 0 end), 0) as audience,
coalesce(sum(case when ({{ audience }}) and status is not null then repeats else 0 end), 0) as audience_verified,
coalesce(sum(case when ({{ audience }}) and status = 'undeliverable' then repeats else 0 end), 0) as undeliverable,
coalesce(sum(case when ({{ audience }}) and status = 'unknown' then repeats else 0 end), 0) as unknown,
coalesce(sum(case when ({{ audience }}) and recommendation = 'do_not_send' then repeats else 0 end), 0) as do_not_send,
coalesce(sum(case when {{ audience }} then cast(bounces as {{ mailvet.type_name('float') }}) * repeats else 0 end), 0) as expected_bounces,
sqrt(coalesce(sum(case when {{ audience }} then cast(bounces as {{ mailvet.type_name('float') }}) * (1 - bounces) * repeats * repeats else 0 end), 0)) as spread
{%- endmacro -%}
{#- The figures of a gate, of its counts; null for 0 of 0. -#}
{%- macro gate_figures_of_counts(has_age) -%}
{{ mailvet.share('undeliverable', 'audience_verified') }} as undeliverable_rate,
{{ mailvet.share('expected_bounces', 'audience') }} as expected_bounce_rate,
{{ mailvet.share('unknown', 'audience_verified') }} as unknown_rate,
{{ mailvet.share('do_not_send', 'audience_verified') }} as do_not_send_rate,
{{ mailvet.share('unverified', 'addresses') }} as unverified_rate,
{{ mailvet.share('unprobed', 'addresses') }} as unprobed_rate,
{% if has_age %}{{ mailvet.share('stale', 'addresses') }}{% else %}cast(null as {{ mailvet.type_name('float') }}){% endif %} as stale_rate,
{{ mailvet.share('missing', adapter.quote('rows')) }} as missing_rate,
cast(case when expected_bounces < reach then 0 else expected_bounces - reach end as {{ mailvet.type_name('float') }}) / nullif(audience, 0) as low,
cast(case when expected_bounces + reach > audience then audience else expected_bounces + reach end as {{ mailvet.type_name('float') }}) / nullif(audience, 0) as high
{%- endmacro -%}
{#- The limits of a gate by name: figure, and whether it is one of all addresses. -#}
{%- macro gate_limits() -%}
{{ return({
    'max_undeliverable_rate': ('undeliverable_rate', false),
    'max_bounce_rate': ('expected_bounce_rate', false),
    'max_unknown_rate': ('unknown_rate', false),
    'max_do_not_send_rate': ('do_not_send_rate', false),
    'max_unverified_rate': ('unverified_rate', true),
    'max_unprobed_rate': ('unprobed_rate', true),
    'max_stale_rate': ('stale_rate', true),
    'max_missing_rate': ('missing_rate', true),
}) }}
{%- endmacro -%}
{#- The words that let an address into the audience which a limit counts. -#}
{%- macro limit_can_fail(limit, words, policy) -%}
{%- set deciding = {
    'max_undeliverable_rate': {'marketing': ['do_not_send', 'reverify', 'undeliverable'], 'transactional': ['do_not_send', 'reverify', 'undeliverable'], 'signup': ['do_not_send', 'reverify', 'undeliverable']},
    'max_unknown_rate': {'marketing': ['do_not_send', 'reverify', 'unknown'], 'transactional': ['do_not_send', 'reverify', 'send', 'unknown'], 'signup': ['do_not_send', 'send', 'unknown']},
    'max_do_not_send_rate': {'marketing': ['do_not_send', 'risky', 'undeliverable', 'unknown'], 'transactional': ['do_not_send', 'risky', 'undeliverable', 'unknown'], 'signup': ['do_not_send', 'risky', 'undeliverable', 'unknown']},
}.get(limit) -%}
{#- What a policy of the project's own lets in is not known here. -#}
{%- set known = (deciding or {}).get(policy) -%}
{{- return(known is none or words | select('in', known) | list | length > 0) -}}
{%- endmacro -%}
{#- How many standard deviations lie between the middle and an end of the interval. -#}
{%- macro normal_reach(confidence) -%}
{%- set half = confidence / 2 -%}
{%- if half <= 0.425 -%}
{%- set r = 0.180625 - half * half -%}
{{ half * (((((((2509.0809287301227 * r + 33430.57558358813) * r + 67265.7709270087) * r + 45921.95393154987) * r + 13731.69376550946) * r + 1971.5909503065513) * r + 133.14166789178438) * r + 3.3871328727963665) / (((((((5226.495278852854 * r + 28729.085735721943) * r + 39307.89580009271) * r + 21213.794301586597) * r + 5394.196021424751) * r + 687.1870074920579) * r + 42.31333070160091) * r + 1.0) }}
{%- else -%}
{%- set r = '(sqrt(-ln(cast(' ~ (0.5 - half) ~ ' as ' ~ mailvet.type_name('float') ~ '))) - 1.6)' -%}
(((((((0.0007745450142783414 * {{ r }} + 0.022723844989269184) * {{ r }} + 0.2417807251774506) * {{ r }} + 1.2704582524523684) * {{ r }} + 3.6478483247632045) * {{ r }} + 5.769497221460691) * {{ r }} + 4.630337846156546) * {{ r }} + 1.4234371107496835) / (((((((1.0507500716444169e-09 * {{ r }} + 0.0005475938084995345) * {{ r }} + 0.015198666563616457) * {{ r }} + 0.14810397642748008) * {{ r }} + 0.6897673349851) * {{ r }} + 1.6763848301838038) * {{ r }} + 2.053191626637759) * {{ r }} + 1.0)
{%- endif -%}
{%- endmacro -%}
