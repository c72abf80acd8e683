"""``python -m asgi_push``, also installed as ``asgi-push``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
