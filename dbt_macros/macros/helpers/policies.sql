{#-
The policies of the project's own, by name, from the variable `mailvet_policies`:

    vars:
      mailvet:
        mailvet_policies:
          b2b: {based_on: marketing, role_account: send, not_probed: {send_below_bounce: 0.03}}
-#}
{%- macro own_policies() -%}
    {{- return(mailvet.setting('mailvet_policies', {}) or {}) -}}
{%- endmacro -%}

{#- The recommendations of a policy of the project's own: its lines, and for every other reason what it is based on. -#}
{%- macro own_policy_case(name, own, reason, score, attempts, probability=none, checked_at=none) -%}
{%- set place = 'mailvet_policies: ' ~ name -%}
{%- set base = own.get('based_on', 'marketing') -%}
{%- do mailvet.require_policy_word(place, 'based_on', base, mailvet.policies()) -%}
{%- set lines = [] -%}
{%- for word, rule in own.items() if word != 'based_on' -%}
    {%- do mailvet.require_policy_word(place, 'reason', word, mailvet.reasons()) -%}
    {%- set is_reason = reason ~ " = '" ~ word ~ "'" -%}
    {%- if rule is mapping -%}
        {%- set conditions = [is_reason] -%}
        {%- for condition, value in rule.items() if condition != 'otherwise' -%}
            {%- if condition == 'send_below_bounce' -%}
                {%- set chance = probability or '((100 - ' ~ score ~ ') / 100.0)' -%}
                {%- do conditions.append(chance ~ ' < ' ~ mailvet.share_of(place, word, value)) -%}
            {%- elif condition == 'send_from_score' and value is integer -%}
                {%- do conditions.append(score ~ ' >= ' ~ value) -%}
            {%- elif condition == 'send_within' -%}
                {%- set seconds = mailvet.seconds_of(place ~ ': ' ~ word, value) -%}
                {%- if checked_at -%}
                    {%- do conditions.append(checked_at ~ ' >= ' ~ mailvet.seconds_ago(seconds)) -%}
                {%- endif -%}
            {%- else -%}
                {%- do mailvet.policy_error(place, word ~ ' has no condition ' ~ condition ~ ' of that kind; there are: '
                    ~ 'send_below_bounce (a share), send_from_score (0 to 100), send_within (a duration), otherwise') -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set otherwise = rule.get('otherwise', 'reverify') -%}
        {%- do mailvet.require_policy_word(place, word ~ ': otherwise', otherwise, ['reverify', 'do_not_send']) -%}
        {%- do lines.append('when ' ~ conditions | join(' and ') ~ " then 'send'") -%}
        {%- do lines.append('when ' ~ is_reason ~ " then '" ~ otherwise ~ "'") -%}
    {%- else -%}
        {%- do mailvet.require_policy_word(place, word, rule, mailvet.recommendations()) -%}
        {%- do lines.append('when ' ~ is_reason ~ " then '" ~ rule ~ "'") -%}
    {%- endif -%}
    {%- if word in mailvet.never_sent_reasons() and rule != 'do_not_send' -%}
        {%- do mailvet.policy_error(place, word ~ ' is do_not_send under every policy; leave the line out') -%}
    {%- endif -%}
{%- endfor -%}
case
{%- for line in lines %}
  {{ line }}
{%- endfor %}
  else ({{ mailvet.recommendation_case(reason, score, attempts, base) }})
end
{%- endmacro -%}

{#- An error unless a word of a policy is among those there are. -#}
{%- macro require_policy_word(place, what, word, words) -%}
    {%- if word not in words -%}
        {%- do mailvet.policy_error(place, what ~ ' is ' ~ word ~ '; choose one of ' ~ words | join(', ')) -%}
    {%- endif -%}
{%- endmacro -%}

{%- macro policy_error(place, text) -%}
    {%- do exceptions.raise_compiler_error('mailvet: ' ~ place ~ ': ' ~ text ~ '.') -%}
{%- endmacro -%}
