"""Installs the package and the command `tfgan-papers`, the same as `main.py`."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="tfgan-papers",
    version="0.3.0",
    description="GAN, Improved GAN, LSGAN and BEGAN in TensorFlow and Keras, with exact "
    "resume, scores and SavedModel export",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["tfgan_papers", "tfgan_papers.*"]),
    package_data={
        "tfgan_papers": ["commands/*.html", "py.typed", "pretrained/README.md"],
        "tfgan_papers.pretrained": ["*/*.json", "*/*.npz"],
    },
    python_requires=">=3.11,<3.14",
    install_requires=[
        "tensorflow>=2.21",
        "keras>=3.15",
        "tensorflow-datasets>=4.9.10",
        "importlib_resources",  # tensorflow-datasets imports it and does not declare it
        "requests",  # the errors of tensorflow-datasets' downloads
        "tensorboard>=2.20",
        "absl-py>=2.1",
        "numpy>=1.26",
        "scipy>=1.11",  # TFD's .mat file; log-sum-exp of the Parzen window
        "scikit-learn>=1.3",  # the embedded digits; k-means
        "threadpoolctl>=3.1",  # the threads of NumPy's BLAS
        "pillow>=10",  # image folders, sample sheets
        "matplotlib>=3.8",  # pictures of points
        "fonttools>=4.40",  # which characters a font has
        "tqdm>=4.66",  # the progress bar
    ],
    extras_require={
        "test": [
            *("pytest>=8", "pytest-xdist>=3.5", "ruff>=0.6", "playwright>=1.50"),
            *("distributed>=2024.8", "psutil>=5.9"),
            *("nbclient>=0.10", "ipykernel>=6"),  # the notebook of examples/
        ],
        "cluster": ["distributed>=2024.8"],
        "gpu": ["tensorflow[and-cuda]>=2.21"],
        "onnx": ["tf2onnx>=1.17", "onnx>=1.17", "onnxruntime>=1.20"],
        "litert": ["ai-edge-litert>=2.0"],  # the interpreter; TensorFlow has the converter
        "serve": ["fastapi>=0.110", "uvicorn>=0.29"],
        "wandb": ["wandb>=0.20"],
        "mlflow": ["mlflow-skinny>=3"],
        "bench": ["torch>=2.2", "torch-fidelity>=0.4", "psutil>=5.9"],
    },
    entry_points={"console_scripts": ["tfgan-papers = tfgan_papers.__main__:run"]},
)
