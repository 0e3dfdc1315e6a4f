"""Examples that are read from disk batch by batch."""

import numpy as np
import tensorflow as tf

from tfgan_papers.data.examples import Examples

SHUFFLE_WINDOW = 8192  # largest shuffle buffer of a streamed set, in examples
WINDOW_BYTES = 1 << 30  # and in encoded bytes
REMEDY = "it is damaged; delete that folder and prepare it again"


class FileExamples(Examples):
    """Image files, each decoded when a batch needs it.

    Args:
        decode: Python function, index of an example -> uint8 array of `shape`.
        name, size, shape, labels, class_names: see `Examples`.
    """

    def __init__(self, name, size, shape, decode, labels=None, class_names=None):
        super().__init__(name, size, shape, labels, class_names)
        self.decode = in_python(decode)

    def read(self, keys):
        return _each(self.decode, keys, self.shape)


class RecordExamples(Examples):
    """Record files of tensorflow-datasets; a key is a serialized example.

    Args:
        files: list of `FileInstruction`, the range of examples to read from each file.
        decode: graph function, encoded image (string scalar) -> uint8 tensor of `shape`.
        name, shape, class_names: see `Examples`.
        record_bytes: mean size of a serialized example.
    """

    remedy = REMEDY

    def __init__(self, name, files, shape, decode, class_names=None, record_bytes=1):
        size = sum(file.take for file in files)
        super().__init__(name, size, shape, class_names=class_names)
        self.files, self.decode = files, decode
        fitting = int(WINDOW_BYTES / max(1, record_bytes))
        self.window = min(SHUFFLE_WINDOW, max(1, fitting))

    def keys(self):
        return self._records(self.size)

    def spread(self, count):
        """Returns the first of each file, because tensorflow-datasets has shuffled them."""
        return self._records(-(-count // len(self.files)))

    def _records(self, per_file):
        """Reads the serialized examples, at most `per_file` from each file."""
        names = [str(file.filename) for file in self.files]
        rows = np.int64([(file.skip, min(file.take, per_file)) for file in self.files])
        return (
            tf.data.Dataset.from_tensor_slices((names, rows))
            .flat_map(lambda f, row: tf.data.TFRecordDataset(f).skip(row[0]).take(row[1]))
            .apply(tf.data.experimental.assert_cardinality(rows[:, 1].sum()))
        )

    def contents(self, keys):
        return [keys]

    def read(self, keys):
        stored = {"image": tf.io.FixedLenFeature((), tf.string)}
        return _each(self.decode, tf.io.parse_example(keys, stored)["image"], self.shape)

    def read_labels(self, keys):
        stored = {"label": tf.io.FixedLenFeature((), tf.int64)}
        return tf.cast(tf.io.parse_example(keys, stored)["label"], tf.int32)


def _each(read, keys, shape):
    """Applies read(key) -> uint8 of `shape` to each key."""
    return tf.map_fn(read, keys, fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def in_python(read):
    """Wraps a Python function key -> uint8 array for use in a graph."""
    return lambda key: tf.numpy_function(read, [key], tf.uint8)
