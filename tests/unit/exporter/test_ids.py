"""PFIDs: made fast, and exactly as the reference implementation reads them."""

import os
import threading

import pfid
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefactor_exporter._core.ids import (
    PROVISIONAL,
    Mint,
    extract_partition,
    is_pfid,
    keystream,
    partition_text,
)

partitions = st.integers(0, 2**30 - 1)
milliseconds = st.integers(0, 2**48 - 1)


def zeros(size):
    return bytes(size)


@pytest.mark.parametrize(
    ("timestamp", "partition", "expected"),
    [
        (0, 0, "0" * 32),
        (0, 1073741823, "0000000000zzzzzz0000000000000000"),
        (281474976710655, 0, "7zzzzzzzzz0000000000000000000000"),
        (1234567890000, 123456789, "013xrzp12g3nqk8n0000000000000000"),
    ],
)
def test_published_rows_come_out_to_the_letter(timestamp, partition, expected):
    """The rows that the reference publishes are minted exactly so."""
    minted = Mint(random=zeros, partition=partition).mint(timestamp * 1_000_000)

    assert minted == expected


@given(timestamp=milliseconds, partition=partitions, chance=st.binary(min_size=17, max_size=17))
def test_the_reference_reads_what_we_mint(timestamp, partition, chance):
    """Whatever time, partition and randomness, the reference finds them in the id."""
    mint = Mint(random=lambda size: (chance * size)[:size], partition=partition)

    minted = mint.mint(timestamp * 1_000_000 + 999_999)

    assert pfid.is_pfid(minted)
    assert pfid.extract_partition(minted) == partition == extract_partition(minted)
    assert int.from_bytes(pfid.decode(minted)[:6]) == timestamp
    assert pfid.encode(pfid.decode(minted)) == minted


@given(timestamp=milliseconds, partition=partitions)
def test_we_read_what_the_reference_mints(timestamp, partition):
    """Ids of the reference are PFIDs to us, with the same partition and the same head."""
    theirs = pfid.generate_with_timestamp(partition, timestamp)

    assert is_pfid(theirs)
    assert extract_partition(theirs) == partition
    assert theirs[10:16] == partition_text(partition)
    assert Mint(random=zeros, partition=partition).mint(timestamp * 10**6)[:16] == theirs[:16]


@given(times=st.lists(milliseconds, min_size=2, max_size=20))
def test_ids_sort_by_time(times):
    """Ids of different milliseconds sort as their times do, in whatever order they are minted."""
    mint = Mint(random=os.urandom, partition=7)
    minted = {time: mint.mint(time * 10**6) for time in times}

    assert sorted(minted.values()) == [minted[time] for time in sorted(minted)]


def test_no_two_ids_are_alike_across_threads():
    """Many threads on one mint never get the same id, and every id is a PFID."""
    mint = Mint(random=os.urandom, partition=1)
    minted = [[] for _ in range(8)]
    threads = [
        threading.Thread(target=lambda out=out: out.extend(mint.mint(0) for _ in range(2000)))
        for out in minted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [one for out in minted for one in out]

    assert len(set(ids)) == len(ids) == 16000
    assert all(map(is_pfid, ids))


def test_an_id_minted_while_randomness_is_drawn_is_another_one():
    """A signal handler that mints in the middle of a refill disturbs nobody."""
    within = []

    def random(size):
        if not within:
            within.append("")  # only once
            within.append(mint.mint(0))
        return os.urandom(size)

    mint = Mint(random=random, partition=1)
    ids = [mint.mint(0) for _ in range(300)] + within[1:]

    assert len(set(ids)) == 301


def test_a_forked_child_shares_no_randomness_with_its_parent():
    """After a reset, not one of the tails at hand before is used, even one just being drawn."""
    draws = iter([b"\x01", b"\x02", b"\x03"])

    def random(size):
        draw = next(draws)
        if draw == b"\x02":
            mint.reset()  # the fork happens here
        return draw * size

    mint = Mint(random=random, partition=1)
    before = mint.mint(0)
    mint.reset()
    after = mint.mint(0)

    assert before.endswith("1" * 16)
    assert after.endswith("3" * 16)


def test_an_unknown_partition_has_a_placeholder_until_it_is_known():
    """Ids minted before carry it, later ones the partition."""
    mint = Mint(random=zeros, partition=None)
    early = mint.mint(10**18)
    mint.set_partition(123456789)
    late = mint.mint(10**18)

    assert early[10:16] == PROVISIONAL
    assert late[10:16] == partition_text(123456789) == "3nqk8n"
    assert extract_partition(late) == 123456789


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 31,
        "0" * 33,
        "0" * 32 + "\n",
        "8" + "0" * 31,
        "A" * 32,
        "0" * 31 + "i",
        "0" * 31 + "u",
        b"0" * 32,
        None,
        7,
    ],
)
def test_what_is_no_pfid_is_told(text):
    """Length, alphabet, case and type all count; the partition of anything else is an error."""
    assert not is_pfid(text)
    with pytest.raises(ValueError, match="not a PFID"):
        extract_partition(text)


@pytest.mark.parametrize("partition", [-1, 2**30])
def test_a_partition_out_of_range_is_refused(partition):
    """A partition has thirty bits."""
    with pytest.raises(ValueError, match="partition must be within"):
        Mint(random=zeros, partition=partition)
    with pytest.raises(ValueError, match="partition must be within"):
        partition_text(partition)


def test_a_keystream_never_repeats_and_depends_on_its_seed():
    draw, same, other = keystream(b"a" * 32), keystream(b"a" * 32), keystream(b"b" * 32)
    drawn = [draw(40) for _ in range(100)]

    assert len(set(drawn)) == 100
    assert all(len(part) == 40 for part in drawn)
    assert [same(40) for _ in range(100)] == drawn
    assert other(40) not in drawn
