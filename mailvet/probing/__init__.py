"""Asking mail servers about recipients: queues, conversations, and what their replies prove."""
