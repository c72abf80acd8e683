"""The load client's stream of envelopes: learnt from the first who has it, and verified."""

import pytest

from .crowd import StreamError
from .frames import text_frame
from .learnt import LearntDue

_DATA = [b'{"seq":%d}' % number for number in range(3)]


def _frames(offsets: tuple[int, ...] = (1, 2, 3), epoch: bytes = b"Xk3") -> bytes:
    form = b'{"channel":"*","id":"%d.%b","time":1764000000.125,"data":%b}'
    return b"".join(text_frame(form % (offset, epoch, _DATA[offset - 1])) for offset in offsets)


def _due() -> LearntDue:
    return LearntDue(0, _DATA, connections=2)


@pytest.mark.parametrize("size", [1, 50, 1000])
def test_learns_from_whoever_is_ahead(size: int) -> None:
    """What is due to all is known once one connection has had every publication, in whatever chunks it came."""
    due, stream = _due(), _frames()
    for place in range(0, len(stream), size):
        assert due.total(3) == -1
        assert due.learn(memoryview(stream[place : place + size]), place)
    assert due.total(3) == 2 * len(stream)
    assert due.ends == [len(_frames((1,))), len(_frames((1, 2))), len(stream)]
    assert all(bytes(known) == stream for known in due.streams)


@pytest.mark.parametrize("chunk", [_frames((2, 3)), _frames((1, 3)), _frames((1, 1)), _frames() + _frames((3,))])
def test_refuses_what_is_not_due(chunk: bytes) -> None:
    """A publication that is missing, or comes twice, ends the run."""
    with pytest.raises(StreamError):
        _due().learn(memoryview(chunk), 0)


def test_refuses_other_data_and_a_new_epoch() -> None:
    """The data is compared whole, and the epoch stays that of the first envelope."""
    with pytest.raises(StreamError):
        _due().learn(memoryview(_frames().replace(b'"seq":1', b'"seq":7')), 0)
    due = _due()
    assert due.learn(memoryview(_frames((1,))), 0)
    with pytest.raises(StreamError):
        due.learn(memoryview(_frames((2,), epoch=b"Yk3")), len(_frames((1,))))


def test_all_others_get_the_same_bytes() -> None:
    """A connection that gets another byte than the first had has not got what is due."""
    due = _due()
    assert due.learn(memoryview(_frames((1, 2))), 0)
    assert not due.learn(memoryview(_frames().replace(b"000.125", b"000.126")), 0)
    assert due.learn(memoryview(_frames()), 0)
