"""What happened when we last wrote to a mailbox."""
