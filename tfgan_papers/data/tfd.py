"""The Toronto Face Database."""

import pathlib

import numpy as np

from tfgan_papers.data import splits
from tfgan_papers.data.examples import one_line
from tfgan_papers.errors import UserError


def load(split, options):
    """Loads the Toronto Face Database, 48x48 grey pixels, from the user's own file."""
    import scipy.io  # imported here because it is slow

    path = pathlib.Path(options.data_dir or ".", "TFD_48x48.mat").expanduser()
    if not path.is_file():
        raise UserError(
            f"there is no {path}. The Toronto Face Database is available on request "
            "(aclab.ca/users/josh/TFD.html): put TFD_48x48.mat into a folder and set "
            "--data_dir to it"
        )
    bad = (OSError, LookupError, NotImplementedError, TypeError, ValueError)
    try:
        stored = scipy.io.loadmat(path)
        images, folds = stored["images"], stored["folds"][:, options.tfd_fold]
        images = images.astype(np.uint8, casting="safe").reshape(len(folds), 48, 48, 1)
    except (*bad, scipy.io.matlab.MatReadError) as error:
        raise UserError(
            f"{path} cannot be read as the TFD file: {one_line(error)}"
        ) from error
    codes = {"unlabeled": 0, "train": 1, "valid": 2, "test": 3}  # pylearn2's TFD.mapper
    return splits.held(
        "tfd", split, options, {key: images[folds == codes[key]] for key in codes}
    )
