"""What a console shows, as its page and the processes tell each other. Pure."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ...schema import Decoder, MaxLength, Range

# Rows of one page: enough to fill a tall screen twice, few enough to be sent every second.
PAGE = 50

# The last row that can be paged to in one process; people search for what is further away.
MAX_ROW = 10_000

# The last row that can be paged to in the list of all processes: each of them sends all rows up to
# there, as nobody knows whose they will be. People look at one process for what is further away.
MAX_MERGED_ROW = 250

# A search, a name or an id: as long as the name of a channel may be.
Text = Annotated[str, MaxLength(255)]


@dataclass(frozen=True, slots=True)
class View:
    """What a console shows: one page of one list, and the session and the channel that are open."""

    process: Text = ""  # the id of the only one that is looked at; empty for all
    list: Literal["sessions", "channels"] = "sessions"
    search: Text = ""
    channel: Text = ""  # only the sessions in this one
    sort: Literal["newest", "oldest", "queue", "silent", "round_trip", "user"] = "newest"
    order: Literal["sessions", "name"] = "sessions"  # of the channels
    own: bool = False  # list each user's own channel too
    page: Annotated[int, Range(0, MAX_ROW // PAGE)] = 0
    open_session: Text = ""
    open_channel: Text = ""


VIEW = Decoder(View, "a message")
