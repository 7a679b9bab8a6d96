"""A term: its folder, what it knows, and what is handed out."""
