"""Tables: what lessons print of runs and of texts, so that their cells are left to the subject."""
