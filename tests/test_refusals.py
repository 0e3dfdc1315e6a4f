"""Command lines that make no sense.

Each is refused in one clear line with the exit code 1 or 2, before anything is written.
"""

import os

import pytest

from tests import launch
from tests.launch import refusal

CASES = {
    # name: (flags, exit code, what the line must say)
    "unknown flag": ("--colour=red", 1, ["colour"]),
    "flag without dashes": ("gan", 2, ["'gan'", "--name=value"]),
    "value after a space": ("--deterministic true", 2, ["'true'", "--name=value"]),
    "unknown model": ("--model=wgan", 1, ["--model=wgan", "gan", "began"]),
    "picture of a model that is not trained yet": (
        "--sample=line",
        2,
        ["--sample=line", "--mode=sample", "strip, losses, history"],
    ),
    "strip of images": ("--sample=strip", 2, ["--sample=strip", "--dataset=ring"]),
    "interpolation while training": ("--interpolate=a.png", 2, ["--mode=sample"]),
    "unknown mode": ("--mode=fly", 1, ["--mode=fly", "train", "sample"]),
    "images compared with digits instead of those of a folder": (
        "--mode=evaluate --metrics=frechet_distance --images=a --data_dir=b",
        2,
        ["--dataset=digits does not read --data_dir", "--dataset=folder"],
    ),
    "a feature network without its kind": (
        "--mode=evaluate --metrics=frechet_distance --feature_file=x.pb",
        2,
        ["--features=classifier", "reads no --feature_file"],
    ),
    "a layer of the classifier": (
        "--metrics=frechet_distance --feature_layer=top",
        2,
        ["--feature_layer is of --features=onnx and keras"],
    ),
    "options of a picture while training": (
        "--num_samples=9",
        2,
        ["--num_samples goes with --mode=sample"],
    ),
    "absl's folder of logs": ("--log_dir=runs/mine", 2, ["--log_dir", "--logdir"]),
    "a list of runs in two parts": (
        "--mode=report --runs=a --runs=b",
        2,
        ["--runs is there twice", "with commas"],
    ),
    "an unknown score, before a data set is downloaded": (
        "--model=dcgan --dataset=cifar10 --metrics=fid",
        2,
        ["--metrics=fid is unknown", "frechet_distance"],
    ),
    "unknown fidelity": ("--fidelity=both", 1, ["--fidelity=both", "paper|code"]),
    "unknown loss": (
        "--loss=wasserstein",
        2,
        ["--loss=wasserstein", "--model=gan", "non_saturating", "minimax"],
    ),
    "unknown network": ("--network=unet", 2, ["networks", "mnist", "points"]),
    "unknown data set": ("--dataset=nope", 2, ["there is no data set 'nope'"]),
    "unknown ring": ("--dataset=ring --ring=round", 1, ["--ring=round", "clean|authors"]),
    "no GNT files": ("--dataset=hwdb", 2, ["--data_dir", "HWDB1.0trn_gnt.zip"]),
    "no font": ("--dataset=glyphs --font=no.ttf", 1, ["no.ttf is not a font"]),
    "more characters than there are": ("--characters=3756", 2, ["--characters", "3755"]),
    "not a number": ("--batch_size=many", 1, ["--batch_size", "many"]),
    "a seed that is too large": (
        "--seed=99999999999999999999",
        2,
        ["--seed=99999999999999999999", "from 0 to 2147483647"],
    ),
    "a number beyond 64 bits": (
        "--mode=sample --sample_seed=99999999999999999999",
        2,
        ["--sample_seed=99999999999999999999", "up to 9223372036854775807"],
    ),
    "no step": ("--steps=0", 2, ["--steps=0", "1 or more"]),
    "no port": ("--tensorboard_port=70000", 2, ["--tensorboard_port", "65535"]),
    "flags of another model": (
        "--model=lsgan --k=5 --stall_steps=10",
        2,
        ["--model=lsgan does not take --k, --stall_steps"],
    ),
    "flags of a model built on this one": (
        "--model=dcgan --optimizer=rmsprop",
        2,
        ["--model=dcgan does not take --optimizer"],
    ),
    "batch normalization of another network": (
        "--model=lsgan --network=mixture --dataset=ring --batch_norm=none",
        2,
        ["--batch_norm=none", "--network=stability"],
    ),
    "k of the authors' code": ("--k=2 --fidelity=code", 2, ["--k", "--fidelity=paper"]),
    "a batch that is the data": ("--batch_size=1618", 2, ["1617", "1618", "--batch_size"]),
    "a batch that does not divide": (
        "--strategy=mirrored --cpu_devices=2 --batch_size=101",
        2,
        ["--batch_size=101", "2 replicas"],
    ),
    "batch normalization of one image": (
        "--model=dcgan --batch_size=1",
        2,
        ["--batch_size=1", "would not depend on the latents", "at least 2"],
    ),
    "several steps a call on replicas": (
        "--strategy=mirrored --cpu_devices=2 --steps_per_execution=2 --report_steps=4",
        2,
        ["--steps_per_execution", "one device"],
    ),
    "several steps a call that do not fit": (
        "--steps_per_execution=3 --report_steps=4",
        2,
        ["--report_steps=4", "--steps_per_execution=3"],
    ),
    "XLA with batch normalization over replicas": (
        "--sync_batch_norm --jit_compile=true",
        2,
        ["--sync_batch_norm", "--jit_compile=true"],
    ),
    "XLA in a deterministic run": (
        "--deterministic --jit_compile=true",
        2,
        ["--deterministic", "--jit_compile=true"],
    ),
    "unknown score": (
        "--metrics=fid --validation_split=train[90%:]",
        2,
        ["--metrics=fid", "parzen_window"],
    ),
    "score without validation": (
        "--metrics=parzen_window",
        2,
        ["--metrics", "--validation_split", "train[90%:]"],
    ),
    "score without a test split": (
        "--metrics=parzen_window --validation_split=train[90%:] --test_split=test",
        2,
        ["digits", "'test'"],
    ),
    "an Inception Score without Inception": (
        "--metrics=inception_score",
        2,
        ["--metrics=inception_score", "--features=inception_2015 or"],
    ),
    "a network without its file": (
        "--metrics=inception_score --features=inception_2015 --test_split=train[90%:]",
        2,
        ["--features=inception_2015 needs --feature_file"],
    ),
    "images to train on": ("--images=x", 2, ["--images", "--mode=evaluate"]),
    "images that are not there": (
        "--mode=evaluate --metrics=diversity --images=x --test_split=train[90%:]",
        1,
        ["x cannot be read: No such file"],
    ),
    "record without a score": ("--record=x.json", 2, ["--record", "--metrics"]),
    "evaluation of nothing": (
        "--mode=evaluate",
        2,
        ["--mode=evaluate", "--metrics", "parzen_window"],
    ),
    "study of nothing": ("--mode=study", 2, ["--mode=study", "--grid=loss="]),
    "grid without values": ("--mode=study --grid=loss", 2, ["--grid=loss:", "one,other"]),
    "grid of an unknown flag": ("--mode=study --grid=colour=red,blue", 2, ["--colour"]),
    "grid with a value that is none": (
        "--mode=study --grid=fidelity=paper,code --grid=k=1,0",
        2,
        ["--grid=k=1,0", "--k=0", "from 1 to 254"],
    ),
    "grid of what a study gives itself": ("--mode=study --grid=seed=1,2", 2, ["--seed"]),
    "the seed of a study": (
        "--mode=study --grid=k=1,2 --seed=3",
        2,
        ["--seed: a study has the seeds 1 to --seeds"],
    ),
    "scores that are there twice": (
        "--metrics=diversity --metrics=coverage",
        2,
        ["--metrics is there twice", "with commas"],
    ),
    "no cluster": ("--strategy=multi_worker", 1, ["TF_CONFIG", '"worker"']),
    "images without the data set of images": (
        "--data_dir=photos --image_size=32",
        2,
        ["--dataset=digits does not read --data_dir", "add --dataset=folder"],
    ),
    "scores chosen on what they score": (
        "--metrics=parzen_window --validation_split=train[90%:]",
        2,
        ["overlap", "--train_split=train[:80%] --validation_split=train[80%:90%]"],
    ),
    "a score of a model that learns labels": (
        "--metrics=test_error",
        2,
        ["this score needs a classifier"],
    ),
    "a score of samples with labels": (
        "--metrics=diversity,nearest_class --jit_compile=false",
        2,
        ["this score needs a generator with classes"],
    ),
    "an ensemble without a score": ("--ensemble=a", 2, ["--ensemble needs --metrics"]),
    "a study without its mode": (
        "--grid=loss=minimax,non_saturating",
        2,
        ["--grid goes with --mode=study"],
    ),
    "an export without its mode": (
        "--formats=onnx",
        2,
        ["--formats goes with --mode=expo"],
    ),
    "a checkpoint in a study": (
        "--mode=study --grid=k=1,2 --metrics=diversity --checkpoint=best",
        2,
        ["--checkpoint=best", "the last checkpoint"],
    ),
    "a record that is a picture": (
        "--metrics=diversity --record=x.png",
        2,
        ["--record=x.png", ".json"],
    ),
    "a strip of points on a line": (
        "--dataset=gaussian --sample=strip",
        2,
        ["--sample=strip needs points in the plane"],
    ),
    "minibatches that do not divide": (
        "--strategy=mirrored --cpu_devices=2 --k=2 --batch_size=101",
        2,
        ["--batch_size=101", "2 replicas"],
    ),
    "more steps of D than there is noise for": ("--k=300", 2, ["from 1 to 254"]),
    "a target that is no number": ("--a=nan", 2, ["--a=nan: give a number"]),
    "a folder without a name": ("--logdir=", 2, ["--logdir is empty"]),
    "inpainting of no run": ("--mode=inpaint", 1, ["not a run folder"]),
    "samples of no run": ("--mode=sample", 1, ["not a run folder"]),
    "export of no run": ("--mode=export", 1, ["not a run folder"]),
    "evaluation of no run": (
        "--mode=evaluate --metrics=parzen_window --validation_split=train[90%:]",
        1,
        ["not a run folder"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_makes_no_sense_is_refused_in_one_line(case, tmp_path, monkeypatch):
    arguments, code, said = CASES[case]
    monkeypatch.delenv("TF_CONFIG", raising=False)
    other_devices = "--cpu_devices" in arguments  # than those of this process
    command = launch.fork if other_devices else launch.within
    ended = command(f"--logdir={tmp_path}/run", *arguments.split())
    line = refusal(ended)
    assert ended.code == code
    for words in said:
        assert words in line, line
    assert os.listdir(tmp_path) == []


def test_a_list_of_runs_replaces_that_of_a_flagfile(tmp_path):
    (tmp_path / "page.flags").write_text("--mode=report\n--runs=/former\n")
    ended = launch.within(f"--flagfile={tmp_path / 'page.flags'}", "--runs=/later")
    assert "/later" in refusal(ended)
