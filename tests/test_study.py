"""A study executes each of its runs once, even if it is interrupted, and its table agrees
with their folders."""

import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types

import distributed
import numpy as np
import psutil
import pytest
from PIL import Image

from tests import launch, pretended
from tests.test_findings import wilson
from tfgan_papers.commands import study
from tfgan_papers.commands.grid import StudyRun, folder_of, parse_grid, settings_of
from tfgan_papers.commands.scoring import ScoreOptions
from tfgan_papers.errors import UsageError, UserError
from tfgan_papers.runs import execution
from tfgan_papers.runs.folder import RunFolder

# Of its four settings two diverge at once.
ARGUMENTS = (
    *("--mode=study", "--grid=fidelity=paper,code", "--grid=learning_rate=2.0,1e30"),
    *("--seeds=1", "--jobs=2", "--steps=12", "--report_steps=6", "--batch_size=20"),
    "--deterministic",
)
RUNS = 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "needs --grid"),
        (["k"], "--grid=k=one,other"),
        (["colour=red"], "no flag --colour"),
        (["seed=1,2"], "--seed cannot vary"),
        (["k=1", "k=2"], "--k cannot vary, or is there twice"),
        (["k=1,1"], "a value is there twice"),
        (["k=1,many"], "--k=many"),
        (["k=0"], "--k=0"),
        (["fidelity=paper,both"], r"--fidelity=both: choose one of paper, code"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        parse_grid(given)


def test_settings_are_all_combinations():
    grid = parse_grid(["k=1,2", "fidelity=paper,code"])
    assert settings_of(grid) == [
        {"k": "1", "fidelity": "paper"},
        {"k": "1", "fidelity": "code"},
        {"k": "2", "fidelity": "paper"},
        {"k": "2", "fidelity": "code"},
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study interrupted, killed, and taken to its end; and once more; and two of its runs
    on their own."""
    folder = tmp_path_factory.mktemp("study") / "whole"
    arguments = (*ARGUMENTS, f"--logdir={folder}")

    def alone(fidelity):
        varied = (f"--fidelity={fidelity}", "--learning_rate=2.0", "--seed=1")
        path = folder.with_name(fidelity)
        ended = launch.fork(*ARGUMENTS[5:], *varied, f"--logdir={path}")
        assert ended.code == 0, ended.err
        return launch.tensors(path)

    future = launch.POOL.submit(lambda: {f: alone(f) for f in ("paper", "code")})
    stops = []
    for signum in (signal.SIGINT, signal.SIGKILL):
        process = launch.Launched(*arguments, fresh=not stops)
        process.wait(lambda p=process: f"/{RUNS}] " in p.out.read_text())
        process.signal(signum)
        stops.append(process.ended())
    last = launch.fork(*arguments, f"--record={folder.with_name('record.json')}")
    again = launch.fork(*arguments)
    return types.SimpleNamespace(
        folder=folder, stops=stops, last=last, again=again, alone=future.result()
    )


def test_an_interrupted_study_says_so_and_leaves_no_process_behind(whole):
    interrupted, killed = whole.stops
    assert (interrupted.code, killed.code) == (128 + signal.SIGINT, -signal.SIGKILL)
    line = "interrupted: the same command continues from there"
    assert interrupted.out.splitlines()[-1] == line
    assert "Traceback" not in interrupted.err


def test_a_run_of_an_interrupted_study_keeps_a_checkpoint(tmp_path):
    run = tmp_path / "fidelity=code" / "seed-1"
    flags = ("--mode=study", "--grid=fidelity=code", "--seeds=1", "--steps=1000000")
    flags += ("--report_steps=5", "--batch_size=20", "--jit_compile=false")
    process = launch.Launched(*flags, f"--logdir={tmp_path}", fresh=False)

    def log():
        return (run / "log.txt").read_text() if (run / "log.txt").is_file() else ""

    process.wait(lambda: re.search("^step +5/", log(), re.MULTILINE))
    process.signal(signal.SIGINT)
    assert process.ended().code == 128 + signal.SIGINT
    interrupted = re.search(
        r"^interrupted at step (\d+): run the same", log(), re.MULTILINE
    )
    assert launch.kept_steps(run)[-1] == int(interrupted[1])


def test_every_run_is_finished_once(whole):
    assert whole.last.code == 0, whole.last.err
    lines = [*whole.stops[0].out.splitlines(), *whole.stops[1].out.splitlines()]
    lines += whole.last.out.splitlines()
    finished = [line for line in lines if line.startswith("[")]
    names = [line.split("] ")[1].split(":")[0] for line in finished]
    assert len(set(names)) == len(names) <= RUNS  # a killed study leaves one unsaid
    if "] fidelity=" in whole.last.out:  # else the killed study's processes ended them all
        assert finished[-1].startswith(f"[{RUNS}/{RUNS}] ")
        assert finished[-1].endswith("elapsed, about 0:00:00 to go")


def test_its_runs_are_those_that_the_command_alone_makes(whole):
    for fidelity, expected in whole.alone.items():
        found = launch.tensors(
            whole.folder / f"fidelity={fidelity},learning_rate=2.0/seed-1"
        )
        assert set(found) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, name)


def test_its_record_counts_the_runs_that_diverged(whole):
    record = json.loads((whole.folder / "study.json").read_text())
    # At step 12 the samples of the others do not vary yet.
    assert [setting["failures"] for setting in record["settings"]] == [1, 1, 1, 1]
    assert record["settings"][1]["interval"] == pytest.approx(wilson(1, 1), abs=1e-12)
    assert len(record["runs"]) == RUNS and record["seeds"] == [1]
    for run in record["runs"]:
        diverges = run["setting"]["learning_rate"] == "1e30"
        assert run["steps"] == (0 if diverges else 12)
        reason = "is nan between steps|is not finite at step" if diverges else "at step 12"
        assert re.search(reason, run["failure"])
        assert run["failure"].startswith("low_diversity") != diverges
        assert ("training d_loss" in run["scores"]) != diverges
    assert record["failure_is"] and record["budget"]["steps"] == 2 * 12
    assert record["command"].startswith("python main.py --mode=study")
    copy = json.loads((whole.folder.parent / "record.json").read_text())
    assert copy["settings"] == record["settings"] and copy["runs"] == record["runs"]


def test_its_table_and_figure_are_in_the_folder(whole):
    table = (whole.folder / "study.md").read_text()
    assert table in whole.last.out
    assert "| code | 1e30 | 1 of 1 | 100% (21% to 100%) |" in table
    figure = np.asarray(Image.open(whole.folder / "study.png").convert("L"))
    assert 0.005 < (figure < 128).mean() < 0.5


def test_a_finished_study_started_again_runs_nothing(whole):
    assert whole.again.code == 0
    assert not [line for line in whole.again.out.splitlines() if line.startswith("[")]
    assert (whole.folder / "study.md").read_text() in whole.again.out


def test_a_study_takes_the_runs_of_its_record_and_executes_the_others(whole, tmp_path):
    """Of a run that failed for good, the failure is taken. A run is executed if it has
    fewer steps, or if the study would execute it again."""
    record = json.loads(whole.folder.with_name("record.json").read_text())
    assert [run["again"] for run in record["runs"]] == [False] * RUNS
    record["runs"][0]["steps"] -= 1  # of a shorter study
    record["runs"][2]["again"], path = True, tmp_path / "record.json"
    path.write_text(json.dumps(record))
    record = path
    arguments = (*ARGUMENTS, f"--runs_from={record}", f"--logdir={tmp_path}/there")
    ended = launch.fork(*arguments)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert f"2 runs are those of {record}" in lines
    executed = {line.split("] ")[1].split(":")[0] for line in lines if line[:1] == "["}
    assert executed == {
        f"fidelity={f}, learning_rate=2.0 seed 1" for f in ("paper", "code")
    }
    found, earlier = (
        json.loads(path.read_text()) for path in (tmp_path / "there" / "study.json", record)
    )
    earlier["runs"][2]["again"] = False
    earlier["runs"][0]["steps"] += 1
    for part in (part for r in (found, earlier) for part in (*r["runs"], *r["settings"])):
        # Of an interrupted run, they are means over the steps since.
        part["scores"] = {k: v for k, v in part["scores"].items() if "training" not in k}
    for name in ("runs", "settings", "seeds", "grid", "flags", "machines_of_runs"):
        assert found[name] == earlier[name], name
    assert found["budget"]["steps"] == 24
    assert found["earlier_commands"] == [earlier["command"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file"),
        ("[]", "this is not a record of a study with these flags"),
        ('{"grid"', "is damaged"),
        ("batch_size", "this is not a record of a study with these flags"),
    ],
)
def test_a_record_of_something_else_is_refused(whole, tmp_path, content, said):
    path, other = tmp_path / "other.json", []
    if content == "batch_size":
        path, other = whole.folder.with_name("record.json"), ["--batch_size=30"]
    elif content:
        path.write_text(content)
    there = tmp_path / "there"
    ended = launch.within(*ARGUMENTS, *other, f"--runs_from={path}", f"--logdir={there}")
    assert ended.code in (1, 2) and not there.exists()
    (line,) = ended.errors
    assert str(path) in line and said in line


@pytest.mark.parametrize(
    "other",
    [
        "--grid=k=1,2",
        "--batch_size=30",
        "--logdir={}/fidelity=code,learning_rate=2.0/seed-1",
    ],
)
def test_a_folder_of_another_study_or_of_a_run_is_refused_and_kept(whole, other):
    before = launch.contents(whole.folder)
    arguments = (*ARGUMENTS, f"--logdir={whole.folder}", other.format(whole.folder))
    ended = launch.fork(*arguments)
    assert ended.code == 2
    (line,) = ended.errors
    assert str(whole.folder) in line and "another --logdir" in line
    assert launch.contents(whole.folder) == before


def test_a_setting_that_makes_no_sense_is_refused_before_anything_is_written(tmp_path):
    short = ("--mode=study", "--steps=1", "--batch_size=20", "--jit_compile=false")
    short += (f"--logdir={tmp_path}/study", "--seeds=2")
    ended = launch.fork(*short, "--grid=loss=non_saturating,wasserstein")
    assert ended.code == 2 and "Traceback" not in ended.err
    (line,) = ended.errors
    assert "loss=wasserstein: --loss=wasserstein: --model=gan takes" in line
    assert not (tmp_path / "study").exists()


def test_flags_that_only_a_run_can_refuse_end_the_study_in_one_line(tmp_path):
    """The corrected command may begin the study again."""
    short = ("--mode=study", "--steps=1", "--jit_compile=false", "--seeds=1")
    short += (f"--logdir={tmp_path}/study",)
    ended = launch.fork(*short, "--grid=k=1", "--batch_size=2000")
    assert ended.code == 2 and "Traceback" not in ended.err
    (line,) = ended.errors
    assert "k=1 seed 1: " in line and "--batch_size" in line
    ended = launch.fork(*short, "--grid=k=1", "--batch_size=20")
    assert ended.code == 0 and "[1/1]" in ended.out, ended.err


def test_a_study_has_the_steps_that_its_data_have_by_default():
    """Runs of a shorter study are not finished."""
    given = {"model": "lsgan", "dataset": "ring", "fidelity": "code"}
    settings = [{"loss": "least_squares"}, {"fidelity": "paper"}, {"steps": "9"}]
    assert [study._values(given, of).training.steps for of in settings] == [
        *(35_000, 40_000, 9)
    ]


def test_of_two_runs_that_make_no_sense_the_first_to_end_is_named(tmp_path, monkeypatch):
    def execute(folder, arguments, permit):
        RunFolder(folder).write_text("log.txt", f"error: {arguments[-1]} makes none\n")
        return 2

    monkeypatch.setattr(execution, "execute", execute)
    runs = [StudyRun({}, seed, RunFolder(tmp_path / str(seed))) for seed in (1, 2)]
    of = study.StudyOptions(jobs=2)
    with pytest.raises(UsageError, match=r"seed ([12]): --seed=\1 makes none"):
        study.run_all(RunFolder(tmp_path), runs, [], {"": 1}, ScoreOptions(), of)


def test_a_process_ends_with_its_permit_and_without_one_none_begins(tmp_path):
    """A process that is stopped while it imports has no checkpoint to keep, and ends."""
    run, arguments = str(tmp_path / "run"), ["--model=gan", "--steps=100000"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with execution.permit(tmp_path / "running") as permit:
            working = pool.submit(execution.execute, run, arguments, permit)
            while not (tmp_path / "run" / "log.txt").is_file():
                time.sleep(0.01)
        assert working.result(timeout=launch.PATIENCE) != 0
    other = tmp_path / "other"
    assert execution.execute(str(other), arguments, permit) is None and not other.exists()


def test_a_worker_that_does_not_see_the_folder_is_one_clear_line(tmp_path):
    run = StudyRun({}, 1, RunFolder(tmp_path / "study" / "k=1" / "seed-1"))
    with pytest.raises(UserError, match=f"does not see {tmp_path}/study: give a --logdir"):
        study._error(run, None)


def test_a_cluster_without_a_scheduler_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(execution, "CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(UsageError, match="--cluster=tcp://127.0.0.1:1: no Dask scheduler"),
        execution.executor(1, "tcp://127.0.0.1:1"),
    ):
        pass


def test_a_cluster_that_loses_a_worker_gives_the_runs_of_this_machine(whole, tmp_path):
    """The worker is killed, with the process that it waits for, between two checkpoints."""
    varied = ("--grid=fidelity=paper,code", "--learning_rate=2.0", "--checkpoint_steps=6")
    workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**workers) as cluster:
        process = launch.Launched(
            *("--mode=study", *varied, *ARGUMENTS[3:], f"--logdir={tmp_path}"),
            *(f"--cluster={cluster.scheduler_address}",),
            fresh=False,
        )
        process.wrote(tmp_path, "*/*/checkpoints/last/step-000000006.index")
        (lost, *_) = tmp_path.glob("*/*/checkpoints/last/step-000000006.index")
        lost = lost.parents[2]
        for worker in (psutil.Process(each.pid) for each in cluster.workers.values()):
            trains = [p for p in worker.children() if f"--logdir={lost}" in p.cmdline()]
            for each in (worker, *trains) if trains else ():
                each.kill()
        assert not (lost / "summary.json").exists()
        ended = process.ended()
    assert ended.code == 0, ended.err
    assert "--jobs=2 is not used with --cluster" in " ".join(ended.err.split())
    assert re.search("^resuming from step (6|12)", (lost / "log.txt").read_text(), re.M)
    for fidelity, expected in whole.alone.items():
        found = launch.tensors(tmp_path / f"fidelity={fidelity}" / "seed-1")
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, name)
    here, there = (
        json.loads((folder / "study.json").read_text())["settings"]
        for folder in (whole.folder, tmp_path)
    )
    for name in ("diversity", "coverage"):  # means of training are of the part since then
        found, expected = ([r["scores"][name] for r in of] for of in (there, here[::2]))
        assert found == expected


def test_a_finished_run_does_not_run_again_when_its_worker_dies(tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "execute", pretended.execute)
    runs = [
        StudyRun({"k": "1"}, seed, folder_of(tmp_path, {"k": "1"}, seed))
        for seed in (1, 2, 3)
    ]
    notes = [run.folder / "processes" for run in runs]

    def lose_the_other_worker(cluster):
        ended = [run.folder / "failure.json" for run in runs[:2]]
        while not all(path.exists() for path in (*ended, notes[2])):
            time.sleep(0.1)
        time.sleep(1)  # until both results have arrived
        busy = int(notes[2].read_text())
        for pid in {worker.pid for worker in cluster.workers.values()} - {busy}:
            os.kill(pid, signal.SIGKILL)
        time.sleep(3)  # Dask notices, and starts another worker
        (tmp_path / "go").touch()

    workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**workers) as cluster:
        loser = threading.Thread(target=lose_the_other_worker, args=(cluster,))
        loser.start()
        of = types.SimpleNamespace(jobs=1, cluster=cluster.scheduler_address)
        study.run_all(RunFolder(tmp_path), runs, [], {"k=1": 1}, ScoreOptions(), of)
        loser.join()
    assert [len(note.read_text().split()) for note in notes] == [1, 1, 1]


def test_a_run_that_a_killed_study_left_at_work_is_waited_for(tmp_path):
    """From the start of its process, long before it locks its folder."""
    folder = RunFolder(tmp_path)
    with folder.open_log() as log:
        left = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(2)"], stdout=log
        )
    with folder.open_log():
        assert left.wait(timeout=0.5) == 0
