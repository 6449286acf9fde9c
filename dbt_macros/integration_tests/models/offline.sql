{{ mailvet.offline_checks(ref('vectors'), 'email') }}
