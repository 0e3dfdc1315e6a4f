"""Serves a generator over HTTP.

    pip install -e '.[serve]'
    GENERATOR=runs/gan-digits/export uvicorn --app-dir=examples serve_fastapi:app
    curl -o sheet.png "localhost:8000/sample?n=16&seed=7"
    curl "localhost:8000/sample?n=2&seed=7&form=json"

GENERATOR is the name of a pretrained generator, a run folder, or an export. A generator
with classes also needs `label=3`.
"""

import io
import os
from typing import Literal

import numpy as np
import tensorflow as tf
from fastapi import FastAPI, HTTPException, Query, Response
from PIL import Image

import tfgan_papers
from tfgan_papers import figures

generator = tfgan_papers.load(os.environ.get("GENERATOR", "gan_digits"))
app = FastAPI()


@app.get("/sample")
def sample(
    n: int = Query(16, ge=1, le=256),
    seed: int = Query(0, ge=0, lt=2**63),
    label: int | None = None,
    form: Literal["png", "json"] = "png",
):
    try:
        images = generator.sample(n, seed, label).numpy()
    except (ValueError, tf.errors.InvalidArgumentError) as error:  # no label, or no class
        raise HTTPException(422, str(error).splitlines()[0]) from error
    if form == "json":
        return {"images": images.tolist()}
    png = io.BytesIO()
    sheet = figures.sheet(images, columns=int(np.ceil(np.sqrt(n))))
    Image.fromarray(sheet).save(png, "PNG")
    return Response(png.getvalue(), media_type="image/png")
