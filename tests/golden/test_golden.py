"""The bytes of the release: what it said, stored and signed is what is said, read and signed today.

`python -m golden.record`, from tests/, records anew; a difference is a change of the contract and wants a reason.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from golden import inside, recordings
from golden.comparing import compare
from golden.documents import compare_documents
from golden.fixed import record_fixed
from golden.fresh import Recordings, record_fresh
from golden.going_on import record_going_on
from golden.second_edition import by_name, is_allowed
from tunesmith.protocol.messages.packages import Package


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """What a daemon on an empty data directory says today."""
    return record_fresh(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", ["conversation", "events", "refusals", "web", "commands"])
def test_what_was_said_is_said(fresh: Recordings, name: str) -> None:
    compared = compare(by_name(recordings.read(name), recorded=True), by_name(fresh[name], recorded=False))
    print("\n".join(["in addition:", *compared.additions]))
    assert [each for each in compared.differences if not is_allowed(each)] == []


def test_the_documents_mean_the_same(fresh: Recordings) -> None:
    compared = compare_documents(recordings.read("documents"), fresh["documents"])
    print("\n".join(["in addition:", *compared.additions]))
    assert [each for each in compared.differences if not is_allowed(each)] == []


def test_every_message_type_event_and_error_is_recorded() -> None:
    conversation, events, going_on = (recordings.read(name) for name in ("conversation", "events", "going_on"))
    types = set(conversation["server-info"]["reply"]["data"]["types"])
    assert types - {step["type"] for step in conversation.values()} == {"schema.get"}, "it stands in documents.json"
    of_the_release = {going_on["steps"][name]["type"] for name in ("expired", "failed-event")}
    found = events["first_of_each_type"].keys() | events["shapes"].keys() | of_the_release
    channels = recordings.read("documents")["asyncapi"]["channels"]
    named = {name for channel in channels.values() for name in channel["messages"] if not name.endswith(".reply")}
    assert found == named - types
    said = "".join(json.dumps(recordings.read(name)) for name in ("refusals", "web", "going_on", "conversation"))
    codes = set(re.findall(r"urn:tunesmith:error:([a-z_]+)", said))
    assert codes == inside.errors().keys()


OF_A_NEWER_PROGRAM = {
    "/steps/undone-verdict/reply/data/evidence/engine: was": "a verdict made now names its program",
    "/commands/5/out: had 0 entries, has 1: [{'file': '<folder>/backups/tunesmith-000001-": "the upgrade made a backup",
}
"""Differences that a newer program over the release's data is to have, by how their line begins, and why."""

REGRADED = {
    r"^/steps/package-latest/reply/data/(seq|package/(package_id|valid_(from|until)|supersedes|created_at)): ": (
        "the package of now is called tested"
    ),
    r"^/steps/late-packages: had 1 entries, has 0: ": "its event is of now, not of the release",
    r"^/steps/package-list/reply/data/packages: had 2 entries, has 1: ": "it is one of the two newest",
    r"^/commands/3/out/packages/1/state: was 'in_force', is 'superseded'$": "it took the place of the release's",
    r"/package_id: was '<package 1>', is '<package 2>'$": "it is the first one that is new",
    r"/(seq: was 23, is 24|total: was 5, is 6)$": "it is one more, with an event",
}
"""Differences that there are as the package in force, which the release called proven, is called tested, and why."""


def test_the_releases_data_directory_opens_and_goes_on(tmp_path: Path) -> None:
    found = by_name(record_going_on(tmp_path), recorded=False)
    compared = compare(by_name(recordings.read("going_on"), recorded=True), found)
    print("\n".join(["in addition:", *compared.additions]))
    others = [each for each in compared.differences if not each.startswith(tuple(OF_A_NEWER_PROGRAM))]
    others = [each for each in others if not any(re.search(pattern, each) for pattern in REGRADED)]
    was, now = (
        each["steps"]["package-latest"]["reply"]["data"]["package"] for each in (recordings.read("going_on"), found)
    )
    assert (was["grade"], now["grade"], now["supersedes"]) == ("proven", "tested", was["package_id"])
    assert now["grade_reason"].startswith("an older version called this grade 'proven'")
    assert [each for each in others if not is_allowed(each)] == []


def test_fixed_values_have_the_same_canonical_text_hash_and_signature(tmp_path: Path) -> None:
    recorded, found = recordings.read("fixed"), record_fixed(tmp_path)
    assert {name: found[name] for name in recorded} == recorded


def test_the_ids_of_the_releases_packages_follow_from_their_content() -> None:
    steps = recordings.read("going_on")["steps"]
    packages = [frame for _, frame, _ in steps["late-packages"]]
    found = [json.loads(frame)["data"] for frame in packages] + [steps["package-expired"]["package"]]
    assert len(found) >= 2
    for package in found:
        assert package["package_id"] == inside.package_id(package)


def test_the_releases_packages_are_written_as_they_were_and_later_ones_may_have_a_spread() -> None:
    steps = recordings.read("going_on")["steps"]
    [_, frame, _], *_ = steps["late-packages"]
    recorded = json.loads(frame)["data"]
    for package in (recorded, {**recorded, "spread": 0.0021}):
        assert msgspec.to_builtins(msgspec.convert(package, Package)) == package
