from __future__ import annotations

import pytest

from tunesmith.errors import Invalid
from tunesmith.protocol.grades import GRADES, accepted_grades


@pytest.mark.parametrize(
    ("named", "taken"),
    [
        (("criteria",), ("criteria", "tested", "proven")),
        (["tested"], ("tested", "proven")),
        ("tested", ("tested", "proven")),
        ({"proven"}, ("proven",)),
        (("proven", "tested"), ("tested", "proven")),
        (GRADES, tuple(GRADES)),
    ],
)
def test_the_lowest_grade_that_is_named_and_all_above_it_are_taken(named: str, taken: tuple[str, ...]) -> None:
    assert accepted_grades(named) == taken


@pytest.mark.parametrize(
    ("named", "wrong"), [((), "name the lowest"), (("golden", "tested"), "no grade 'golden': name")]
)
def test_who_names_none_or_another_is_told_what_there_is_and_what_each_means(named: tuple[str], wrong: str) -> None:
    with pytest.raises(Invalid, match=wrong) as refused:
        accepted_grades(named)
    for grade, meaning in GRADES.items():
        assert f"{grade!r}: {meaning}." in refused.value.message
