"""Whether splits have examples in common."""

import pytest

from tfgan_papers.data import splits


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        *(
            ("train", "train", True),
            ("train", "test", False),
            ("train[90%:]", "train", True),
        ),
        *(("train[:90%]", "train[90%:]", False), ("train[:90%]", "train[80%:]", True)),
        *(("train[:50000]", "train[50000:]", False), ("train[:100]", "train[99:]", True)),
        *(("train+test", "test[:5%]", True), ("train[-10%:]", "train[:90%]", False)),
        *(("train[:90%]", "train[54000:]", False), ("", "test", False)),  # not known
        *(("unlabeled", "valid", False), ("all", "test", True)),
        ("train[:-10000]", "train[50000:]", False),  # not known
        ("train[:-10000]", "train[-5000:]", False),
        ("train[:-10000]", "train[-20000:]", True),
    ],
)
def test_splits_overlap_if_a_row_is_in_both(first, second, common):
    assert splits.overlap(first, second) == splits.overlap(second, first) == common
