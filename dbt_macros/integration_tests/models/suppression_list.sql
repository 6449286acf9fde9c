{{ mailvet.suppression_list(ref('contacts'), 'email') }}
