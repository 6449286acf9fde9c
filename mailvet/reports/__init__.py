"""How a run and a source stand, as HTML and as text."""
