"""On a terminal there is one progress bar, and whole log lines above it."""

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import time
import types
from unittest import mock

import pytest
from absl import logging

from tests import launch
from tfgan_papers import cli
from tfgan_papers.runs import callbacks, train

COLUMNS = 80


def shown(output):
    """The lines that a terminal shows after this output."""
    lines, column = [""], 0
    for part in re.split("([\r\n])", output):
        if part == "\n":
            lines.append("")
        elif part == "\r":
            column = 0
        else:
            line = lines[-1].ljust(column)
            lines[-1] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]


def narrow(ends):
    """The ends of a terminal, which is then COLUMNS wide."""
    fcntl.ioctl(ends[1], termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    return ends


def parts(far):
    """What is written to the near end of a terminal, until it is closed."""
    with contextlib.suppress(OSError):  # that the near end is closed
        while part := os.read(far, 1 << 12):
            yield part
    os.close(far)


@contextlib.contextmanager
def terminal():
    """A terminal to which this process writes: a list that has its lines in the end."""
    lines = []
    far, near = narrow(os.openpty())
    handler = logging.get_absl_handler().python_handler
    parsed = cli.FLAGS.is_parsed()
    cli.FLAGS.mark_as_parsed()  # else absl writes elsewhere
    with (
        os.fdopen(near, "w") as stream,
        mock.patch.object(sys, "stderr", stream),
        mock.patch.dict(os.environ, {"COLUMNS": str(COLUMNS)}),
        mock.patch.object(handler, "stream", stream),
        mock.patch.object(handler, "formatter", cli._Plain()),
        mock.patch.object(logging.get_absl_logger(), "handlers", [handler]),
        mock.patch.object(logging.get_absl_logger(), "propagate", False),
    ):
        yield lines
    if not parsed:
        cli.FLAGS.unparse_flags()
    lines += shown(b"".join(parts(far)).decode())


def test_log_lines_stand_whole_above_the_bar_and_once():
    words = " ".join(f"word-{i}" for i in range(20))
    with terminal() as lines:
        bar = callbacks.Progress(40_000, 3_000, 128)
        bar.set_model(types.SimpleNamespace(steps_per_execution=1, steps_done=3_001))
        with train._around(bar):
            bar.on_train_batch_begin(1)
            bar.show({"d_fake": 0.4, "d_loss": 1.3862, "d_real": 0.5, "g_loss": 12.6931})
            logging.warning(words)
            bar.on_epoch_end(0)
    *above, last, end = lines
    assert " ".join(above) == f"warning: {words}" and len(above) == 2
    assert re.fullmatch(r" *8% \|.* left, .*images/s, d_loss 1\.386  g_loss 12\.693", last)
    assert max(map(len, [*above, last])) <= COLUMNS and end == ""


def test_the_time_left_never_contains_a_compilation():
    far, near = narrow(os.openpty())
    with os.fdopen(near, "w") as stream, mock.patch.object(sys, "stderr", stream):
        bar = callbacks.Progress(1_001, 0, 128)
        bar.set_model(types.SimpleNamespace(steps_per_execution=1, steps_done=0))
        for steps in (1, 50):  # two calls of fit, each compiles
            bar.on_train_begin()
            for step in range(steps):
                bar.on_train_batch_begin(step)
                time.sleep(0.01 if step else 1)
            bar.model.steps_done += steps
            bar.on_epoch_end(0)
        bar.close()
    times = re.findall(r"([\d:?]+) left", b"".join(parts(far)).decode())
    assert times[0] == "?" and times[-1] != "?"
    assert all(each == "?" or each.startswith("00:") for each in times)


def test_the_log_goes_where_it_went_before_the_bar():
    handler = logging.get_absl_handler().python_handler
    with terminal() as lines:
        before = handler.stream
        with train._around(callbacks.Progress(10, 0, 1)):
            assert handler.stream is not before
        assert handler.stream is before
        with train._around(None):
            logging.warning("no bar")
    assert lines[-2] == "warning: no bar"


@pytest.mark.parametrize(
    "scalars, losses",
    [
        ({"bound": -1, "divergence": 2, "error": 3}, "error 3.000  bound -1.000"),
        ({"d_loss": 1, "g_loss": 2, "k": 0, "m_global": 1}, "d_loss 1.000  g_loss 2.000"),
    ],
)
def test_the_bar_shows_two_losses(scalars, losses):
    with terminal() as lines:
        bar = callbacks.Progress(10, 0, 1)
        bar.show(scalars)
        bar.close()
    assert lines[0].endswith(losses)


def test_help_on_a_terminal_breaks_lines_between_words():
    far, near = narrow(os.openpty())
    environment = {k: v for k, v in launch.ENVIRONMENT.items() if k != "COLUMNS"}
    command = [sys.executable, launch.ROOT / "main.py", "--helpshort"]
    with subprocess.Popen(command, stdout=near, env=environment) as process:
        os.close(near)
        output = b"".join(parts(far))
    assert process.returncode == 0
    wrapped, piped = output.decode(), launch.within("--helpshort").out
    assert wrapped.split() == piped.split()
    longest = [max(map(len, text.splitlines())) for text in (wrapped, piped)]
    assert longest[0] <= COLUMNS < longest[1]
