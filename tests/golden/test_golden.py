"""The bytes of the release: what it said, stored and signed is what is said, read and signed today.

`python -m golden.record`, from tests/, records anew; a difference is a change of the contract and wants a reason.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from golden import recordings
from golden.comparing import compare
from golden.documents import compare_documents
from golden.fresh import Recordings, record_fresh

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """What a daemon on an empty data directory says today."""
    return record_fresh(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", ["conversation", "events", "refusals", "web", "commands"])
def test_what_was_said_is_said(fresh: Recordings, name: str) -> None:
    compared = compare(recordings.read(name), fresh[name])
    print("\n".join(["in addition:", *compared.additions]))
    assert compared.differences == []


def test_the_documents_mean_the_same(fresh: Recordings) -> None:
    compared = compare_documents(recordings.read("documents"), fresh["documents"])
    print("\n".join(["in addition:", *compared.additions]))
    assert compared.differences == []


def test_every_message_type_error_and_event_is_recorded() -> None:
    conversation, refusals = recordings.read("conversation"), recordings.read("refusals")
    types = set(conversation["server-info"]["reply"]["data"]["types"])
    said = {step["type"] for step in conversation.values()}
    assert types - said == {"schema.get"}, "that one stands in documents.json"
    events = {each["event"]["type"] for each in conversation["events-replay"]["reply"]["data"]["events"]}
    assert events == {"task.completed", "task.cancelled", "package.approved", "package.revoked"}
