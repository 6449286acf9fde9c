{{ mailvet.candidates(ref('contacts'), 'email') }}
