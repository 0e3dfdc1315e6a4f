"""The grid of a study, and its runs: every setting with several seeds."""

import itertools
import urllib.parse
from typing import NamedTuple

from tfgan_papers import options
from tfgan_papers.commands.scoring import ScoreOptions
from tfgan_papers.errors import UsageError
from tfgan_papers.runs import collapse, settings, tensorboard
from tfgan_papers.runs.folder import RunFolder

# options of the study itself, or of each of its runs
OWN = {"grid", "seeds", "jobs", "cluster", "mode", "logdir", "seed", "record", "flagfile",
       "checkpoint", "runs_from"}  # fmt: skip


class StudyRun(NamedTuple):
    """One setting with one seed, and the folder of its run."""

    setting: dict[str, str]
    seed: int
    folder: RunFolder

    @property
    def name(self):
        return run_name(self.setting, self.seed)

    @property
    def path(self):
        return str(self.folder.path.absolute())

    @property
    def arguments(self):
        varied = [f"--{name}={value}" for name, value in self.setting.items()]
        return [*varied, f"--seed={self.seed}"]

    def finished(self, steps: int, metrics: tuple[str, ...], kind=None) -> bool:
        """Whether the run is trained, scored and drawn, or has failed for good.

        Args:
            steps: int.
            metrics: names of the scores.
            kind: the kind of picture with which it ends, or None.
        """
        trained = self.folder.steps() >= max(1, steps)
        scored = set(metrics) <= set(self.folder.scores())
        drawn = kind is None or self.picture(kind).is_file()
        done = trained and scored and drawn
        return done or self.folder.read("failure.json") is not None

    def picture(self, kind):
        return self.folder / "samples" / f"{kind}.png"

    def failure(self) -> str | None:
        """The reason why a finished run counts as failed, or None."""
        if failed := self.folder.read("failure.json"):
            return failed["reason"]
        watch = self.folder.read("summary.json").get("collapse", {})
        if lack := collapse.lack_of_variety(watch):
            varies = collapse.measured(watch, digits=3)
            return f"{lack}: {varies} at step {watch['step']:,}"
        for entry in self.folder.scores().values():
            if "modes" in entry and entry["value"] < entry["modes"]:
                return f"{entry['value']:.0f} of {entry['modes']} modes"
        return None

    def fingerprint(self) -> str | None:
        """That of the training data, or None before the run has begun."""
        return (self.folder.read("run.json") or {}).get("fingerprint")

    def curves(self, metric: str) -> dict[str, dict[int, float]]:
        """By step, the score that selects the best checkpoint, which is empty without
        --metrics, and the training scalar with the name of the metric, if there is one."""
        scalars = tensorboard.read_scalars(self.folder / "tensorboard")
        named = {"selection": "selection", "training": metric}
        return {name: scalars.get(tag, {}) for name, tag in named.items()}

    def quantities(self) -> dict[str, float]:
        """The measured quantities of the run, by name.

        These are the scalars of the last report, which are means over its period or over
        the steps since the run was resumed in it, the diversity and coverage of the
        collapse watch, and the scores.
        """
        summary = self.folder.read("summary.json") or {}
        scalars = summary.get("scalars", {})
        last = {f"training {k}": v for k, v in scalars.items()}  # "bound" is a score too
        watched = summary.get("collapse", {})
        measured = ("diversity", "coverage")
        last |= {name: watched[name] for name in measured if name in watched}
        return last | {
            metric if name == "value" else f"{metric} {name}": value
            for metric, entry in self.folder.scores().items()
            for name, value in entry.items()
            if isinstance(value, float)
            and not name.endswith("_error")
            and not name.endswith("_accuracy")  # of the features, not of the samples
        }


def named(setting: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def run_name(setting: dict[str, str], seed: int) -> str:
    return f"{named(setting)} seed {seed}"


def parse_grid(given: tuple[str, ...]) -> dict[str, list[str]]:
    """["loss=a,b", "k=1,2"] -> {"loss": ["a", "b"], "k": ["1", "2"]}.

    Raises:
        UsageError: a flag does not exist, cannot vary, or does not accept a value.
    """
    if not given:
        raise UsageError("--mode=study needs --grid, as --grid=loss=minimax,non_saturating")
    grid = {}
    fields = settings.all_fields() | options.fields(ScoreOptions)
    for text in given:
        name, _, values = text.partition("=")
        if not values:
            raise UsageError(f"--grid={text}: write it as --grid={name}=one,other")
        if name in OWN or name in grid:
            raise UsageError(f"--grid={text}: --{name} cannot vary, or is there twice")
        if name not in fields and name != "model":
            raise UsageError(f"--grid={text}: there is no flag --{name}")
        grid[name] = values.split(",")
        if len(set(grid[name])) < len(grid[name]):
            raise UsageError(f"--grid={text}: a value is there twice")
        for value in grid[name]:
            try:
                if name == "model":
                    settings.paper_of(value)
                else:
                    options.from_text(fields[name], value)
            except UsageError as error:
                raise UsageError(f"--grid={text}: {error}") from error
    return grid


def settings_of(grid: dict[str, list[str]]) -> list[dict[str, str]]:
    """All combinations of one value per flag. The last flag varies fastest."""
    return [
        dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]


def folder_of(folder, setting, seed):
    pairs = (f"{k}={urllib.parse.quote(v, safe='')}" for k, v in setting.items())
    return RunFolder(folder / ",".join(pairs) / f"seed-{seed}")
