{{ mailvet.source_quality(ref('contacts'), 'source') }}
