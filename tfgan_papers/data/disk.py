"""Examples that are read from disk when their turn comes."""

import numpy as np
import tensorflow as tf

from tfgan_papers.data.examples import Examples

SHUFFLE_WINDOW = 8192  # examples of a streamed set that change places among themselves
REMEDY = "it is damaged; delete that folder and prepare it again"


class FileExamples(Examples):
    """Images in files, decoded when their turn comes.

    Args:
        decode: in Python, the number of an example -> uint8 of `shape`.
    """

    def __init__(self, name, size, shape, decode, labels=None, class_names=None):
        super().__init__(name, size, shape, labels, class_names)
        self.decode = in_python(decode)

    def read(self, keys):
        return _each(self.decode, keys, self.shape)


class RecordExamples(Examples):
    """Files of tensorflow-datasets; a key is a serialized example.

    Args:
        files: `FileInstruction`s: which examples of which file.
        decode: in a graph, the string of an encoded image -> uint8 of `shape`.
    """

    remedy = REMEDY

    def __init__(self, name, files, shape, decode, class_names=None):
        size = sum(file.take for file in files)
        super().__init__(name, size, shape, class_names=class_names)
        self.files, self.decode, self.window = files, decode, SHUFFLE_WINDOW

    def keys(self):
        return self._records(self.size)

    def spread(self, count):
        """The first of each file: tensorflow-datasets has shuffled them."""
        return self._records(-(-count // len(self.files)))

    def _records(self, per_file):
        """The serialized examples, and of each file at most so many."""
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
    """Image by image: read(key) -> uint8 of `shape`."""
    return tf.map_fn(read, keys, fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def in_python(read):
    """read(key) -> uint8 array, for use in a graph."""
    return lambda key: tf.numpy_function(read, [key], tf.uint8)
