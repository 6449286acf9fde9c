{#- Which words of the event column count as what, in lower case. -#}
{%- macro event_words() -%}
{{ return({
    'delivered': ['delivered', 'delivery'],
    'opened': ['opened', 'open'],
    'clicked': ['clicked', 'click'],
    'hard_bounce': ['hard_bounce', 'hard_bounced', 'bounce_hard'],
    'soft_bounce': ['soft_bounce', 'soft_bounced', 'bounce_soft', 'deferred'],
    'block': ['block', 'blocked'],
    'unsubscribe': ['unsubscribe', 'unsubscribed'],
    'complaint': ['complaint', 'spam_complaint'],
}) }}
{%- endmacro -%}
