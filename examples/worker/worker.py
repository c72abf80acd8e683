# python -m examples.worker.worker
"""A worker that takes jobs, here the lines of its standard input.

Each has a user's id, and the order that is to be shipped.
"""

import sys

from asgi_push import Push

with Push() as push:
    for line in sys.stdin:
        user, order = line.split()
        push.blocking.send_to_user(user, {"order": int(order), "status": "shipped"})
