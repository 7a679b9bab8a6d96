"""`python -m autograde` is `autograde`."""

from .cli import main

raise SystemExit(main())
