{{ mailvet.send_list(ref('contacts'), 'email') }}
