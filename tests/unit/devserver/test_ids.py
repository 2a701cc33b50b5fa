"""Promises of the ids the development server mints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pfid import extract_partition, is_pfid

from prefactor_http.devserver import ids

partitions = st.integers(0, ids.MAX_PARTITION)
moments = st.integers(0, (1 << 48) - 1)


@given(partition=partitions)
def test_a_minted_id_is_a_pfid_of_its_partition(partition):
    """The reference implementation agrees, for every partition."""
    minted = ids.Mint(partition)()

    assert is_pfid(minted) and ids.is_pfid(minted)
    assert extract_partition(minted) == partition


@pytest.mark.parametrize(
    ("milliseconds", "partition", "expected"),
    [
        (0, 0, "0" * 32),
        (0, ids.MAX_PARTITION, "0000000000zzzzzz" + "0" * 16),
        ((1 << 48) - 1, 0, "7zzzzzzzzz" + "0" * 22),
        (1234567890000, 123456789, "013xrzp12g3nqk8n" + "0" * 16),
    ],
)
def test_the_published_examples_are_reproduced(milliseconds, partition, expected):
    """Time, partition and chance stand where the layout says."""
    mint = ids.Mint(partition, clock=lambda: milliseconds / 1000, entropy=bytes)

    assert mint() == expected


@given(early=moments, late=moments)
def test_ids_sort_by_time(early, late):
    """A later millisecond makes a greater text."""
    now = iter([early / 1000, late / 1000])
    mint = ids.Mint(7, clock=lambda: next(now), entropy=bytes)
    first, second = mint(), mint()

    assert (first < second) == (int(early / 1000 * 1000) < int(late / 1000 * 1000))


@pytest.mark.parametrize(
    "text", ["", "0" * 31, "0" * 33, "8" + "0" * 31, "I" * 32, "0" * 31 + "\n"]
)
def test_what_is_not_a_pfid_is_not_taken_for_one(text):
    """Length, alphabet and the first character all count; so does a trailing line break."""
    assert not ids.is_pfid(text)
    assert not ids.Mint(0).owns(text)


def test_a_mint_knows_its_own():
    """Another partition's id is refused."""
    mint, other = ids.Mint(1), ids.Mint(2)

    assert mint.owns(mint())
    assert not mint.owns(other())


@pytest.mark.parametrize("partition", [-1, ids.MAX_PARTITION + 1])
def test_a_partition_out_of_range_is_refused(partition):
    """The message says what is allowed."""
    with pytest.raises(ValueError, match="between 0 and"):
        ids.Mint(partition)


def test_random_partitions_are_in_range():
    """Nobody gets partition zero by chance."""
    assert 1 <= ids.random_partition() <= ids.MAX_PARTITION
