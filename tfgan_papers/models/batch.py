"""What a batch of `fit` or `evaluate` must be."""

import keras
import tensorflow as tf

UNEVEN = (
    "the replicas have shares of different sizes, or one has no examples: choose a batch "
    "size with which every batch, the last one too, divides evenly over the replicas"
)


def unpack(data, classes: int) -> tuple[tf.Tensor, tf.Tensor | None]:
    """The images and labels of a batch.

    Args:
        data: images, or (images, labels); the images may be several tensors.
        classes: int, the number of classes that the model learns, or 0.

    Returns:
        (images, labels (batch,) or None).

    Raises:
        ValueError: the images are integers, the labels have another shape or are missing,
            or there are weights of examples.
        InvalidArgumentError: there are no examples, or a label is not a class. A step that
            XLA compiles as a whole, on one GPU, does not raise it: XLA drops assertions.
    """
    images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError(
            "these losses weight all examples alike: leave out sample_weight and "
            "class_weight"
        )
    for part in tf.nest.flatten(images):
        if not part.dtype.is_floating:
            raise ValueError(
                f"images are {part.dtype.name}: cast them to float32 in the range of "
                "the generator's output, for example images / 127.5 - 1"
            )
    images = tf.nest.map_structure(_some, images)
    return images, _classes(labels, classes) if classes else labels


def _some(images):
    if images.shape[0]:
        return images
    return _asserted(images, tf.shape(images)[0] > 0, UNEVEN)


def even(images: tf.Tensor) -> tf.Tensor:
    """A replica's share of a batch, on several replicas.

    Raises:
        InvalidArgumentError: the shares of the replicas differ in size.
    """
    if images.shape[0]:
        return images
    own = tf.cast(tf.shape(images)[0], tf.float32)
    context = tf.distribute.get_replica_context()
    mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, own)
    return _asserted(images, tf.abs(mean - own) < 0.25 / own, UNEVEN)


def _classes(labels, classes):
    if labels is None:
        raise ValueError("this model learns from labels: fit takes (images, labels)")
    if labels.shape.rank not in (1, None) and labels.shape[1:] != (1,):
        raise ValueError(f"labels have the shape {labels.shape}: they are integers (n,)")
    return _of_classes(tf.reshape(labels, (-1,)), classes)


def checked_labels(labels, classes: int) -> tf.Tensor | None:
    """Labels for a network that draws images, as int32.

    Args:
        labels: classes (batch,), or None.
        classes: int, the number of classes, or 0.

    Raises:
        ValueError: there are no labels and the network has classes, or the reverse.
        InvalidArgumentError: a label is not a class.
    """
    if (labels is None) == bool(classes):
        there = f"the classes 0 to {classes - 1}" if classes else "no classes"
        raise ValueError(f"label is {labels}, and this generator has {there}")
    if labels is None:
        return None
    return tf.cast(_of_classes(tf.convert_to_tensor(labels), classes), tf.int32)


def _of_classes(labels, classes):
    numbers = tf.cast(labels, tf.int32)
    of_classes = (numbers >= 0) & (numbers < classes)
    if labels.dtype.is_floating:
        of_classes &= tf.cast(numbers, labels.dtype) == labels
    line = f"a label is not one of the classes 0 to {classes - 1}:"
    return _asserted(labels, tf.reduce_all(of_classes), line, labels)


def _asserted(tensor, condition, *lines):
    """The tensor, which nothing uses before the assertion has passed."""
    with tf.control_dependencies([tf.debugging.Assert(condition, lines)]):
        return tf.identity(tensor)
