from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.plan import Plan, plan_from_document
from pipeline.slabs import ACCOUNT_SLAB, groups_of, keeps_joint, plan_slabs
from tests.pipeline.documents import small_document


def plan_of(groups: list[str | None]) -> Plan:
    """A plan with one account for each entry, in the group it names."""
    document: dict[str, Any] = small_document()
    account = document["accounts"][1]
    document["accounts"] = [{**account, "name": f"a{i}", "group": group} for i, group in enumerate(groups)]
    return plan_from_document(document)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.none() | st.sampled_from("abc"), min_size=1, max_size=600))
def test_plan_slabs__every_account_once_and_groups_whole(groups: list[str | None]) -> None:
    plan = plan_of(groups)
    slabs = plan_slabs(plan)
    assert sorted(i for slab in slabs for i in slab) == list(range(len(groups)))
    for slab in slabs:
        assert list(slab) == sorted(slab)
        assert len(slab) <= ACCOUNT_SLAB or len({groups[i] for i in slab}) == 1
    for name in groups_of(plan):
        assert sum(name in groups_of(plan, slab) for slab in slabs) == 1


def test_plan_slabs__without_groups_the_books_order() -> None:
    assert plan_slabs(plan_of([None] * 300)) == (tuple(range(256)), tuple(range(256, 300)))


def test_plan_slabs__a_group_larger_than_a_slab_has_one_of_its_own() -> None:
    slabs = plan_slabs(plan_of([None, *["a"] * 300, None]))
    assert [len(slab) for slab in slabs] == [1, 300, 1]


def test_groups_of__in_order_of_their_first_account() -> None:
    plan = plan_of(["b", None, "a", "b"])
    assert groups_of(plan) == ("b", "a")
    assert groups_of(plan, (1, 2)) == ("a",)


def test_keeps_joint__while_all_accounts_lie_in_one_slab() -> None:
    assert keeps_joint(plan_of([None] * 256))
    assert not keeps_joint(plan_of([None] * 257))
    assert not keeps_joint(plan_of(["a"] * 257))
