"""--mode=export: writes a trained run as files for serving and sharing."""

import dataclasses
import pathlib

from tfgan_papers import files
from tfgan_papers.commands.scoring import CheckpointOptions
from tfgan_papers.errors import UsageError
from tfgan_papers.options import option
from tfgan_papers.runs import export, summary
from tfgan_papers.runs.formats import FORMATS
from tfgan_papers.runs.run import Run


@dataclasses.dataclass(frozen=True)
class ExportOptions(CheckpointOptions):
    """The formats of an export, and its folder."""

    formats: tuple[str, ...] = option(
        ("saved_model",),
        "What to write: saved_model; onnx, a file for each endpoint; litert, model.tflite; "
        "weights, the generator alone as float16, as --pretrained has it.",
    )
    export_dir: str | None = option(
        None,
        "Folder to write to, for example models/gan/1 for TensorFlow Serving, instead of "
        "export/ in the run folder. An earlier export there is replaced.",
    )


def add_scores(run: Run):
    """Adds the scores of the finished run to the manifest of its export."""
    path = run.folder / "export" / "manifest.json"
    manifest = files.read_json(path)
    if not manifest or "generator" not in manifest:  # of an older version
        return
    scores = summary.scores_of(run, manifest["generator"], manifest["step"])
    if scores:
        files.write_json(path, manifest | {"scores": scores})


def export_run(run: Run, options: ExportOptions):
    """Exports the model of --checkpoint, in place of the earlier export.

    Raises:
        UsageError: a format is unknown, or --export_dir is not an export.
    """
    if unknown := sorted(set(options.formats) - set(FORMATS)):
        raise UsageError(f"--formats={unknown[0]}: there is {', '.join(FORMATS)}")
    if not options.formats:
        raise UsageError(f"--formats is empty: give some of {', '.join(FORMATS)}")
    folder = run.folder / "export"
    if options.export_dir:
        folder = pathlib.Path(options.export_dir).expanduser()
        if folder.exists() and not (folder / "manifest.json").is_file():
            raise UsageError(
                f"--export_dir={options.export_dir} is there and is not an export: name a "
                "new folder"
            )
    model, step = run.restored(options.checkpoint)
    facts = summary.manifest(run, model, step)
    value_range = run.values.data.value_range
    export.export(model, folder, value_range, facts, dict.fromkeys(options.formats))
    print(folder)
