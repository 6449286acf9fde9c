{{ mailvet.with_verdicts(ref('contacts'), 'email') }}
