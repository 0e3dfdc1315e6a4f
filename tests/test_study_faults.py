"""A study that is refused, interrupted, or continued with something else."""

import concurrent.futures
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from absl import logging
from PIL import Image

from tests import launch
from tests.test_findings import covered, made
from tfgan_papers.commands import findings, study
from tfgan_papers.commands.grid import StudyRun
from tfgan_papers.errors import UserError
from tfgan_papers.runs import execution
from tfgan_papers.runs.folder import RunFolder

SHORT = ("--mode=study", "--steps=1", "--report_steps=1", "--jit_compile=false")
SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_refused_study_keeps_its_runs_for_the_corrected_grid_alone(tmp_path):
    """The runs of a study that was refused once counted for other flags."""
    short = (*SHORT, "--seeds=1", f"--logdir={tmp_path}/study")
    ended = launch.fork(*short, "--grid=batch_size=20,2000")
    assert ended.code == 2 and "batch_size=2000 seed 1: " in ended.errors[0]
    ended = launch.fork(*short, "--grid=batch_size=3000")
    assert ended.code == 2 and "batch_size=3000 seed 1: " in ended.errors[0]
    ended = launch.fork(*short, "--grid=batch_size=20,30", "--learning_rate=0.2")
    assert ended.code == 2 and "another --logdir" in ended.errors[0]
    ended = launch.fork(*short, "--grid=batch_size=20,30")
    assert ended.code == 0, ended.err
    (line,) = [line for line in ended.out.splitlines() if line.startswith("[")]
    assert line.startswith("[2/2] batch_size=30 seed 1: ")


def test_a_study_does_not_mix_runs_of_different_data(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(20):
            image = Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8))
            image.save(tmp_path / name / f"{i}.png")
    of = ("--model=gan", "--dataset=folder", "--batch_size=10", "--grid=k=1")
    of += (*SHORT, f"--logdir={tmp_path}/study")
    ended = launch.fork(*of, f"--data_dir={tmp_path}/a", "--seeds=1")
    assert ended.code == 0, ended.err
    record = (tmp_path / "study" / "study.json").read_bytes()
    ended = launch.fork(*of, f"--data_dir={tmp_path}/b", "--seeds=2")
    assert ended.code == 1 and "Traceback" not in ended.err
    (line,) = ended.errors
    assert "k=1 seed 2 and k=1 seed 1 were trained on different data" in line
    assert f"delete {tmp_path}/study/k=1/seed-2 " in line
    assert (tmp_path / "study" / "study.json").read_bytes() == record


def test_runs_of_a_record_have_the_same_data_too(tmp_path):
    run = made(tmp_path, 2, "paper")
    run.folder.write("run.json", {"fingerprint": "b"})
    entry = {"setting": {"fidelity": "paper"}, "seed": 1}
    names = ("fidelity=paper", "fidelity=code", "fidelity=other")
    of = dict.fromkeys(names, types.SimpleNamespace(data="folder"))
    study.Data(of, [entry]).check(run)  # an older record does not say
    study.Data(of, [{**entry, "fingerprint": "b"}]).check(run)
    for setting in ("paper", "code"):  # options of the data are the same
        other = {"setting": {"fidelity": setting}, "seed": 1, "fingerprint": "a"}
        with pytest.raises(UserError, match="different data"):
            study.Data(of, [other]).check(run)
    of["fidelity=code"] = types.SimpleNamespace(data="digits")
    study.Data(of, [other]).check(run)
    assert findings.found(run, {})["fingerprint"] == "b"


def test_a_run_that_was_continued_and_diverged_has_no_scores(tmp_path):
    run = made(tmp_path, 1, "paper", mode_coverage=covered(8))
    run.folder.write("failure.json", {"reason": "d_loss is nan"})
    entry = findings.found(run, {})
    assert (entry["steps"], entry["scores"], entry["failure"]) == (0, {}, "d_loss is nan")


def test_all_commits_of_a_run_are_in_the_record(tmp_path):
    run = StudyRun({}, 1, RunFolder(tmp_path))
    for facts in ({"commit": "a"}, {"commit": "a", "commits": ["a", "b"]}):
        run.folder.write("run.json", facts)
        assert findings._commits(run) == facts.get("commits", ["a"])


def test_the_error_of_a_run_is_that_of_its_last_attempt(tmp_path):
    run = StudyRun({}, 1, RunFolder(tmp_path))
    attempts = ["error: the disk is full\n", "ValueError: nothing fits\n"]
    (tmp_path / "log.txt").write_text("".join(execution.ATTEMPT + a for a in attempts))
    assert study._error(run, 1) == "exit code 1: ValueError: nothing fits"


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (500, "--steps=500 is less than --report_steps=1000"),
        (1999, "is that of step 1000"),
        (2000, ""),
    ],
)
def test_a_study_says_at_which_step_its_samples_are_judged(steps, said, caplog):
    caplog.set_level(logging.WARNING)
    given = {"model": "gan", "steps": steps, "report_steps": 1000}
    of = study._values(given, {})
    study._warn_of_late_steps({"a": of, "b": of})
    assert caplog.text.count("--steps=") == bool(said)
    assert said in caplog.text and bool(said) == bool(caplog.text)


def test_an_interrupted_study_does_not_wait_for_the_process_of_another(tmp_path):
    """Nor does it start the run when that process ends."""
    with RunFolder(tmp_path).open_log() as log:
        left = subprocess.Popen(SLEEPS, stdout=log)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with execution.permit(tmp_path / "permit") as permit:
            working = pool.submit(execution.execute, str(tmp_path), ["--bad"], permit)
            time.sleep(1)
            assert not working.done()
        assert working.result(timeout=10) is None
    left.kill()
    assert not (tmp_path / "log.txt").read_text()


def test_a_process_that_starts_after_an_interrupt_can_be_terminated():
    """Processes inherit signals that are ignored."""
    with pytest.raises(SystemExit), execution.interruptible():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            child = subprocess.Popen(SLEEPS)
            child.terminate()
            try:
                assert child.wait(timeout=10) == -signal.SIGTERM
            finally:
                child.kill()
