"""GAN (2014), and the papers after it, in TensorFlow and Keras."""

__version__ = "0.1.0"
