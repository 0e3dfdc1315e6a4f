"""--track sends what TensorBoard shows to the services, of which the real packages run here
without a server."""

import importlib.util
import json

import numpy as np
import pytest
from PIL import Image

from tests import factories, launch
from tfgan_papers.errors import UserError
from tfgan_papers.runs import tensorboard, tracking

RUN = ("--model=gan", "--report_steps=1", "--jit_compile=false", "--steps_per_execution=1")


def trained(service, folder, environment):
    """Trains to step 2, then to step 4; the scalars in TensorBoard."""
    pytest.importorskip(service, reason=f"the extra [{service}] is not installed")
    for steps in (2, 4):
        ended = launch.Launched(
            *(*RUN, f"--steps={steps}", f"--track={service}", f"--logdir={folder}"),
            fresh=False,
            environment=environment,
            export=False,
        ).ended()
        assert ended.code == 0, ended.err
    return tensorboard.read_scalars(folder / "tensorboard")


def test_wandb_gets_the_scalars_and_sheets(tmp_path):
    folder = tmp_path / "run"
    scalars = trained("wandb", folder, {"WANDB_MODE": "offline"})
    logs = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    assert len(logs) == 2
    written = logs[-1].read_bytes()
    assert b"watch/diversity" in written
    for name in ("d_loss", "g_loss"):
        assert f"losses/{name}".encode() in written
        assert json.dumps(scalars[name][4]).encode() in written
    (sheet,) = logs[-1].parent.glob("files/media/images/Sheets/samples_4_*.png")
    drawn = np.asarray(Image.open(folder / "samples" / "step-000000004.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(sheet)), drawn)


def test_a_service_that_fails_does_not_end_the_run(tmp_path, monkeypatch, caplog):
    sent = []

    def send(step, tag, value):
        sent.append(step)
        raise ConnectionError("no route\nto the server")

    monkeypatch.setattr(tracking, "_wandb", lambda run: send)
    run = factories.run(tmp_path, "gan", track="wandb")
    track = tracking.tracker(run)
    for step in range(10, 30):
        track(step, "losses/d_loss", 1.0)
    assert sent == [10, 11, 12, 13, 14]
    first, last = [r.getMessage() for r in caplog.records if "--track" in r.getMessage()]
    assert first.startswith("--track=wandb: from step 10 on a value is missing there (no")
    assert last.startswith("--track=wandb: from step 14 on all that follows is missing")

    def fail(run):
        raise ConnectionError("no key")

    monkeypatch.setattr(tracking, "_wandb", fail)
    with pytest.raises(UserError, match="--track=wandb cannot begin .*no key.*: check"):
        tracking.tracker(run)


def test_mlflow_gets_one_run_with_scalars_and_sheets(tmp_path, monkeypatch):
    store = f"file://{tmp_path}/store"  # a server needs all of MLflow
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    environment = {"MLFLOW_TRACKING_URI": store, "MLFLOW_ALLOW_FILE_STORE": "true"}
    scalars = trained("mlflow", tmp_path / "run", environment)
    import mlflow

    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs(
        [client.get_experiment_by_name("tfgan_papers").experiment_id]
    )
    assert run.data.params["model"] == "gan"
    history = client.get_metric_history(run.info.run_id, "losses/d_loss")
    assert {m.step: m.value for m in history} == pytest.approx(scalars["d_loss"], rel=1e-6)
    sheets = [file.path for file in client.list_artifacts(run.info.run_id, "Sheets")]
    assert (
        "Sheets/samples-000000004.png" in sheets and "Sheets/real-000000000.png" in sheets
    )


def test_a_service_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    ended = launch.within(*RUN, "--track=wandb", f"--logdir={tmp_path}/run")
    assert ended.code == 2 and "pip install -e '.[wandb]'" in ended.errors[0]
    assert not (tmp_path / "run").exists()
