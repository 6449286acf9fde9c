"""The connection type `mailvet`."""
