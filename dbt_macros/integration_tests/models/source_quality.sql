{{ mailvet.source_quality(ref('contacts'), 'source', acquired_column='acquired_at') }}
