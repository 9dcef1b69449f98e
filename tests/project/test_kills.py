"""A few kills of the programs that the long form, `python -m tests.hard_use kills`, kills often."""

import random

import pytest

from tests.hard_use.kills import lose_rank, survive
from tests.hard_use.programs import CASES, halves


@pytest.mark.slow
def test_a_killed_program_leaves_whole_pictures(tmp_path):
    """The other programs have tests of their own, which kill each of them once."""
    assert survive("figures", 1, tmp_path, random.Random(0)) == []


@pytest.mark.slow
def test_a_lost_process_ends_the_other_in_one_line(tmp_path):
    """The long form kills either process, and does so with FSDP too, which takes minutes."""
    assert lose_rank("ddp", 1, tmp_path, random.Random(0)) == []


@pytest.mark.parametrize("suffix", [".json", ".csv", ".png", ".pdf", ".npy", ".safetensors", ".pt"])
def test_a_cut_file_is_found(tmp_path, suffix):
    (tmp_path / f"cut{suffix}").write_bytes(b"a,b\n1")
    (tmp_path / f".cut{suffix}").write_bytes(b"temporary")
    assert len(halves(tmp_path)) == 1


def test_every_program_has_its_number_of_kills():
    from tests.hard_use.kills import KILLS

    assert KILLS.keys() == CASES.keys()
