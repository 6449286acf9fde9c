"""The DNS: asking name servers, what their responses prove, and where mail for a domain goes."""
