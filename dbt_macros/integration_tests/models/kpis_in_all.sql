{{ mailvet.kpis(ref('data_events')) }}
