"""The order of examples: each once an epoch, as the seed says, from any step on."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data.sets import (
    BATCH,
    COUNT,
    NUMBERED,
    PER_EPOCH,
    Tiny,
    folder,
    load,
    prepare,
    save,
)
from tfgan_papers.data import disk
from tfgan_papers.data import examples as examples_module
from tfgan_papers.data.disk import FileExamples, RecordExamples
from tfgan_papers.data.examples import HeldExamples
from tfgan_papers.errors import UsageError


def ids(stream, batches):
    """Which of the numbered images are in the first batches: ints (batches, BATCH)."""
    return np.stack([np.int64(batch)[:, 0, 0, 0] for batch in stream.take(batches)])


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder with the numbered images: as files, and as the set tiny in three files."""
    path = tmp_path_factory.mktemp("numbered")
    for i, image in enumerate(NUMBERED):
        save(path / f"{i:03}.png", image[..., 0])
    prepare(Tiny(data_dir=path), 3, train=NUMBERED)
    return path


@pytest.fixture(params=["array", "files", "records"])
def examples(request, stored, monkeypatch):
    """The numbered images: in memory, from files, from tensorflow-datasets' files."""
    monkeypatch.setattr(
        examples_module, "IN_MEMORY_BYTES", (request.param == "array") << 30
    )
    dataset = "tiny" if request.param == "records" else "folder"
    found = load(dataset=dataset, data_dir=str(stored))
    kinds = (HeldExamples, FileExamples, RecordExamples)
    assert type(found) is kinds[["array", "files", "records"].index(request.param)]
    return found


def test_stream_has_static_shapes_of_float32(examples):
    spec = examples.stream(BATCH, 1, "unit").element_spec
    assert spec == tf.TensorSpec((BATCH, 6, 6, 1), tf.float32)


def test_nothing_tunes_a_stream_and_holds_up_its_end(examples):
    assert examples.stream(4, 0, "unit").options().autotune.enabled is False


def test_stream_is_in_the_range_that_is_asked_for(examples):
    raw, symmetric = (
        next(iter(examples.stream(BATCH, 1, name))).numpy() for name in ("raw", "symmetric")
    )
    assert np.allclose(symmetric, raw.astype(np.float64) / 127.5 - 1, rtol=0, atol=2e-7)


def test_epoch_shows_whole_batches_of_examples_none_twice(examples):
    shown = ids(examples.stream(BATCH, 1, "raw"), 3 * PER_EPOCH)
    for epoch in np.split(shown, 3):
        assert len(set(epoch.ravel())) == PER_EPOCH * BATCH
        assert set(epoch.ravel()) <= set(range(COUNT))


def test_epoch_shows_every_example_when_batches_divide_them(examples):
    shown = ids(examples.stream(10, 1, "raw"), 10)
    for epoch in np.split(shown, 2):
        assert sorted(epoch.ravel()) == list(range(COUNT))


def test_what_one_epoch_leaves_out_is_not_always_the_same(examples):
    shown = ids(examples.stream(BATCH, 1, "raw"), 6 * PER_EPOCH)
    left_out = {frozenset(set(range(COUNT)) - set(e.ravel())) for e in np.split(shown, 6)}
    assert len(left_out) > 3


def test_stream_from_a_step_on_goes_on_as_the_uninterrupted_one(examples):
    whole = ids(examples.stream(BATCH, 7, "raw"), 4 * PER_EPOCH)
    for step in (1, PER_EPOCH - 1, PER_EPOCH, 2 * PER_EPOCH + 3):
        resumed = examples.stream(BATCH, 7, "raw", first_step=step)
        assert np.array_equal(ids(resumed, PER_EPOCH + 2), whole[step:][: PER_EPOCH + 2])


def test_order_differs_by_seed_and_by_epoch_and_from_that_on_disk(examples):
    first, second = np.split(ids(examples.stream(BATCH, 1, "raw"), 2 * PER_EPOCH), 2)
    other = ids(examples.stream(BATCH, 2, "raw"), PER_EPOCH)
    stored = np.int64(examples.all("raw"))[: PER_EPOCH * BATCH, 0, 0, 0].reshape(
        first.shape
    )
    orders = [first, second, other, stored]
    same = [np.mean(a == b) for i, a in enumerate(orders) for b in orders[:i]]
    assert max(same) < 0.3  # by chance 1 in 50


def test_order_ignores_the_global_seed(examples):
    orders = []
    for seed in (1, 2):
        tf.random.set_seed(seed)
        orders.append(ids(examples.stream(BATCH, 1, "raw"), PER_EPOCH))
    assert np.array_equal(*orders)


def test_order_of_a_folder_is_the_same_from_memory_and_from_disk(stored, monkeypatch):
    held = folder(stored)
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", NUMBERED.size - 1)
    streamed = folder(stored)
    assert [type(e) for e in (held, streamed)] == [HeldExamples, FileExamples]
    orders = [ids(e.stream(BATCH, 1, "raw"), 2 * PER_EPOCH) for e in (held, streamed)]
    assert np.array_equal(*orders)


def test_streamed_set_is_shuffled_by_windows_of_whole_batches(stored, monkeypatch):
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(disk, "SHUFFLE_WINDOW", BATCH + 3)  # that is two batches
    found = load(dataset="tiny", data_dir=str(stored))
    order = np.int64(found.all("raw"))[:, 0, 0, 0]
    ranks = np.argsort(order)[ids(found.stream(BATCH, 1, "raw"), 2 * PER_EPOCH)]
    windows = ranks.reshape(2, PER_EPOCH // 2, 2 * BATCH)  # epoch, window, place on disk
    inside = windows - 2 * BATCH * np.arange(PER_EPOCH // 2)[:, None]
    assert (np.sort(inside, -1) == np.arange(2 * BATCH)).all()
    assert len(np.unique(inside.reshape(-1, 2 * BATCH), axis=0)) == PER_EPOCH


def test_windows_of_large_records_are_smaller(stored, monkeypatch):
    monkeypatch.setattr(examples_module, "IN_MEMORY_BYTES", 0)
    found = load(dataset="tiny", data_dir=str(stored))
    assert found.window == disk.SHUFFLE_WINDOW  # of small ones
    records = stored.rglob("*.tfrecord*")
    mean = sum(path.stat().st_size for path in records) / COUNT
    for share, window in ((2.5, 2), (0.5, 1)):
        monkeypatch.setattr(disk, "WINDOW_BYTES", share * mean)
        assert load(dataset="tiny", data_dir=str(stored)).window == window


def test_batch_larger_than_the_set_is_a_usage_error(examples):
    with pytest.raises(UsageError, match="50 examples, fewer than a batch of 51"):
        examples.stream(COUNT + 1, 1, "unit")
    assert len(next(iter(examples.stream(COUNT, 1, "unit")))) == COUNT


def test_all_and_mean_are_those_of_the_images(examples):
    stored = np.sort(examples.all("unit")[:, 2, 3, 0].astype(np.float64))
    assert np.allclose(stored, np.arange(COUNT) / 255, rtol=0, atol=1e-7)
    assert examples.all("unit").shape == (COUNT, 6, 6, 1)
    assert np.array_equal(examples.all("unit", 7), examples.all("unit")[:7])
    mean = examples.mean("unit")
    assert mean.shape == (6, 6, 1) and mean.dtype == np.float64
    assert np.allclose(mean, 24.5 / 255, rtol=0, atol=1e-7)


def test_mean_is_over_more_than_one_block(rng):
    images = np.uint8(rng.integers(0, 256, (2500, 3, 3, 1)))
    found = HeldExamples("made", images)
    assert np.allclose(found.mean("raw"), images.mean(0), rtol=0, atol=1e-6)
    assert found.stored.dtype == tf.uint8
