"""Small problems that can be solved exactly, so that a claim can be checked to the last digit."""
