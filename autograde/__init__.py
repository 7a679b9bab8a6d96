"""What an instructor runs: build, release, collect, grade, return."""

import sys

# With it, jsonschema could check addresses of a kind that no notebook's schema has; it takes two
# seconds to import, in every process that reads a notebook. jsonschema does without where it is
# not installed.
sys.modules.setdefault("rfc3987_syntax", None)
