"""Fixed subsets of data sorted by class, with the class proportions of the data."""

import numpy as np
import pytest
import tensorflow as tf

from tfgan_papers.data import HeldExamples
from tfgan_papers.data.disk import RecordExamples
from tfgan_papers.metrics import classification_error, subsets
from tfgan_papers.runs import sheets


def by_class(n=1000, classes=10):
    """Images that lie class by class; each shows its own number."""
    images = np.arange(n, dtype=np.float32).reshape(n, 1)
    labels = np.arange(n) * classes // n
    return HeldExamples("sorted", images, labels, tuple(map(str, range(classes))))


def test_spread_is_a_permutation_whose_beginnings_are_nested_and_the_same_every_time():
    whole = subsets.spread(1000)
    assert sorted(whole) == list(range(1000)) and list(whole) != sorted(whole)
    np.testing.assert_array_equal(subsets.spread(1000, 50), whole[:50])
    assert (subsets.spread(1000, 50, seed=1) != whole[:50]).any()
    assert list(subsets.spread(6)) == [3, 4, 5, 1, 2, 0]  # of NumPy's frozen generator


def test_some_of_sorted_data_have_all_classes_in_their_proportions():
    images, labels = subsets.some(by_class(), 200).labelled("raw")
    np.testing.assert_array_equal(images[:, 0], subsets.spread(1000, 200))
    np.testing.assert_array_equal(labels, images[:, 0] // 100)
    counts = np.bincount(labels, minlength=10)  # hypergeometric: mean 20, deviation 3.8
    assert counts.min() > 5 and counts.max() < 36


def test_more_than_there_are_is_all_of_them_in_random_order():
    images = subsets.some(by_class(30), 500).all("raw")[:, 0]
    assert sorted(images) == list(range(30)) and list(images) != sorted(images)
    assert subsets.some(by_class(30)).size == 30


def test_the_hash_of_a_subset_is_of_the_examples_in_their_order():
    images = by_class().stored.numpy()[subsets.spread(1000, 40)]
    expected = HeldExamples("same", images).digest()
    assert subsets.some(by_class(), 40).digest() == expected


def test_parts_share_no_example():
    parts = subsets.Subset(by_class(), 0, 900), subsets.Subset(by_class(), 900, 1000)
    numbers = [part.all("raw")[:, 0] for part in parts]
    assert sorted(np.concatenate(numbers)) == list(range(1000))


def test_a_subset_of_a_subset_has_examples_of_that_subset():
    inner = subsets.Subset(by_class(), 900, 1000)
    images, labels = subsets.some(inner, 30).labelled("raw")
    numbers = subsets.spread(1000)[900:][subsets.spread(100, 30)]
    np.testing.assert_array_equal(images[:, 0], numbers)
    np.testing.assert_array_equal(labels, numbers // 100)
    whole = np.bincount(inner.labelled("raw")[1], minlength=10) / 100
    np.testing.assert_array_equal(subsets.class_shares(inner), whole)


def test_records_keep_their_order_which_is_that_of_a_hash(monkeypatch):
    records = RecordExamples("records", [], (1,), None, ("a", "b"))
    records.size = 9
    keys = tf.data.Dataset.range(9)
    monkeypatch.setattr(records, "keys", lambda: keys)
    some = subsets.Subset(records, 2, 8)
    assert list(some.keys().as_numpy_iterator()) == [2, 3, 4, 5, 6, 7]
    assert list(subsets.Subset(some, 1, 4).keys().as_numpy_iterator()) == [3, 4, 5]


def test_labels_have_the_shares_of_the_data_in_every_beginning():
    labels = subsets.proportionate(1000, np.array([0.9, 0.0, 0.1]))
    assert list(np.bincount(labels)) == [900, 0, 100]
    for n in range(1, 200):
        counts = np.bincount(labels[:n], minlength=3)
        assert np.abs(counts - n * np.array([0.9, 0.0, 0.1])).max() <= 1
        np.testing.assert_array_equal(
            labels[:n], subsets.proportionate(n, np.array([0.9, 0.0, 0.1]))
        )


@pytest.mark.parametrize("classes", [1, 2, 10, 3740])
def test_equal_shares_are_all_classes_in_turn(classes):
    labels = subsets.proportionate(5000, np.full(classes, 1 / classes))
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, np.arange(5000) % classes)


def test_fewer_labels_than_classes_have_the_share_of_many_small_classes_too():
    shares = np.append(0.5, np.full(1000, 0.0005))
    labels = subsets.proportionate(100, shares)
    assert 49 <= (labels == 0).sum() <= 51 and len(set(labels)) >= 50


def test_the_sheet_of_examples_shows_classes_from_all_over_the_data():
    greys = np.repeat(np.uint8(25 * np.arange(10)), 100)
    images = np.tile(greys[:, None, None, None], (1, 4, 4, 1))
    picture = sheets.of_examples(HeldExamples("sorted", images))
    assert set(np.unique(greys)) <= set(np.unique(picture))


def test_class_shares_are_counted_over_all_examples():
    labels = np.repeat([0, 2], [30, 10])
    examples = HeldExamples("made", np.zeros((40, 2), np.float32), labels, ("a", "b", "c"))
    np.testing.assert_array_equal(subsets.class_shares(examples), [0.75, 0, 0.25])


def test_the_batches_of_a_classifier_are_of_several_classes_where_the_split_is_sorted():
    """Minibatch features of a batch of one class would be others than in training."""
    batches = []

    def classifier(images, training):
        batches.append({int(image) // 100 for image in images[:, 0]})
        return np.eye(10)[np.int32(images[:, 0]) // 100]

    found = classification_error.score(
        classifier, classification_error.reference("raw", by_class())
    )
    assert (found.value, found.test_examples) == (0, 1000)
    assert min(map(len, batches)) >= 8
