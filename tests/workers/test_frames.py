"""Frames: any message through any cuts, over a stream and over a socket."""

from __future__ import annotations

import pickle
import socket
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.workers import frames

VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def wire(messages: list[Any]) -> bytes:
    return b"".join(bytes(piece) for message in messages for piece in frames.pack(message))


@given(st.lists(VALUES, max_size=5), st.integers(1, 64))
def test_a_stream_gives_the_same_messages_however_it_is_cut(messages: list[Any], step: int) -> None:
    data, splitter = wire(messages), frames.Splitter()
    cuts = (data[at : at + step] for at in range(0, len(data), step))
    assert [frames.unpack(frame) for cut in cuts for frame in splitter.feed(cut)] == messages


def test_buffers_arrive_as_views_of_the_frame() -> None:
    array = np.arange(1000.0)
    message = {"a": array, "b": pickle.PickleBuffer(b"raw"), "empty": np.empty(0)}
    (frame,) = frames.Splitter().feed(wire([message]))
    got = frames.unpack(frame)
    np.testing.assert_array_equal(got["a"], array)
    assert got["a"].flags.writeable
    assert np.shares_memory(got["a"], np.frombuffer(frame, np.uint8))
    assert bytes(got["b"]) == b"raw"
    assert got["empty"].size == 0


def test_a_socket_gives_messages_until_its_other_end_is_closed() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(wire(["one", 2]) + wire(["cut off"])[:-1])
        channel = frames.Channel(ours)
        assert [channel.receive(), channel.receive()] == ["one", 2]
        with pytest.raises(frames.Gone):
            channel.receive()
