"""Hides TensorFlow's own messages from the user. Import it before TensorFlow."""

import contextlib
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def native_stderr():
    """Hides stderr within the block, and prints it if the block fails.

    This includes the output of TensorFlow's C++ code before its log level applies.
    """
    with tempfile.TemporaryFile() as hidden:
        sys.stderr.flush()
        visible = os.dup(2)
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except Exception:
            os.dup2(visible, 2)
            hidden.seek(0)
            os.write(2, hidden.read())
            raise
        finally:
            os.dup2(visible, 2)
            os.close(visible)
