{{ mailvet.kpis(ref('data_events'), source_column='source') }}
