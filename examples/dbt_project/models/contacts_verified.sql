{{ mailvet.with_verdicts(source('crm', 'contacts'), 'email') }}
