"""What a student could hand in to cheat grading or to break it, and what must come of it.

`python -P -m tests.hostile` grades it all and prints the table.
"""
