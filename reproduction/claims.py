"""The claims of the papers, one row per claim. RESULTS.md is generated from this table.

The place of a number in the paper is on its row or above it. "quoted" marks numbers that
were read in another paper or in a summary instead of the paper itself. "from memory" marks
numbers that were read in neither.
"""

from typing import NamedTuple

from tfgan_papers.papers import PAPERS, contract


class Claim(NamedTuple):
    """A claim.

    Attributes:
        claim: its id, with which records refer to it.
        paper: its place in the paper; the part before the first comma is the method.
        says: the text of the claim.
        paper_value, paper_spread: the paper's number and its deviation; None if it gives
            none.
        unit: the unit of both.
        better: whether a "higher" or a "lower" value is better; "same" if neither is.
        metric: name in `metrics.METRICS` of the score that measures it, if there is one.
            After a space it may name a part of the score, to use instead of its value.
        flags: the flags that a run must have for its score to count. A tuple lists several
            permitted values.
        recipe: flagfile of the run that the claim needs, followed by the flags that
            override it, as on a command line.
        paper_steps: updates of G in one run, by the paper or the authors' code.
        runs: the number of runs behind the paper's number.
        step: name of the benchmark of a training step of these runs: claims with the same
            name have the same step, and benchmarks/NAME.json has its time.
        code: the authors' code, if known.
        test: for an equation, the test that verifies it.
        others: whether the claim is about a method that the paper compares itself with and
            that is not implemented here, or repeats a number of another paper.
        cannot: the reason why it cannot be run here, if there is one.
    """

    claim: str
    paper: str
    says: str
    paper_value: float | None = None
    paper_spread: float | None = None
    unit: str = ""
    better: str = "higher"
    metric: str | None = None
    flags: dict[str, object] = {}
    recipe: str | None = None
    paper_steps: int | None = None
    runs: int = 1
    step: str | None = None
    code: str = ""
    test: str | None = None
    others: bool = False
    cannot: str | None = None


def _of(paper, *rows, **shared):
    """Claims with the same fields, except id, text, value, spread and what a row adds."""
    claims = []
    for claim, says, *numbers in rows:
        added = numbers.pop() if numbers and isinstance(numbers[-1], dict) else {}
        numbers = dict(zip(("paper_value", "paper_spread"), numbers, strict=False))
        claims.append(Claim(claim, paper, says, **{**shared, **numbers, **added}))
    return claims


NO_TFD = "the Toronto Face Database is given out on request only"
NO_FACES = "its 360,000 faces were never released"
NO_BOXES = "its 350,000 face boxes were never released"
OTHERS = {"others": True}

GAN_THEORY = _of(
    "GAN, 2014, Sec. 4",
    ("gan-optimal-d",
     "for a fixed G the optimal D is p_data / (p_data + p_g) (Proposition 1)",
     {"test": "tests/test_losses.py::test_optimal_scores_are_the_logits_of_proposition_1"}),
    ("gan-minus-log-4", "at p_g = p_data, D is 1/2 and the value is -log 4 (Theorem 1)",
     {"test": "tests/test_losses.py::test_value_is_minus_log_4_where_d_is_one_half"}),
    ("gan-jsd", "for the optimal D the value is -log 4 + 2 JSD(p_data, p_g) (Theorem 1)",
     {"test": "tests/test_losses.py::"
      "test_value_at_the_optimal_discriminator_is_that_of_theorem_1"}),
    ("gan-global-optimum", "G is optimal only at p_g = p_data (Theorem 1)",
     {"test": "tests/test_losses.py::"
      "test_the_generator_is_best_only_where_it_makes_the_data"}),
    ("gan-convergence", "with enough capacity p_g converges to p_data (Prop. 2, Fig. 1)",
     {"recipe": "gan_fig1"}),
)  # fmt: skip
GAN_PRACTICE = _of(
    "GAN, 2014, Sec. 3 and 6",
    ("gan-early-gradient",
     "early in training the gradient of log(1 - D(G(z))) vanishes, that of "
     "-log D(G(z)) does not",
     {"test": "tests/test_losses.py::"
      "test_only_minimax_starves_a_generator_that_d_sees_through"}),
    ("gan-forward-only", "sampling is one forward pass, without Markov chain or inference",
     {"test": "tests/test_export.py::"
      "test_generate_is_the_checkpoints_perceptron_in_numpy"}),
    ("gan-sharp", "p_g can be sharp, even degenerate, while methods based on Markov chains "
     "need it blurry (Sec. 6)"),
    ("gan-collapse", "D and G must be synchronized, or G maps too many z to the same x"),
)  # fmt: skip
GAN_MNIST = _of(
    "GAN, 2014, Table 1",
    ("gan-parzen-mnist", "log-likelihood on MNIST by a Parzen window", 225, 2,
     {"metric": "parzen_window", "flags": {"model": "gan", "dataset": "mnist"},
      "recipe": "gan_mnist", "code": "mnist.yaml, parzen_ll.py"}),
    ("dbn-parzen-mnist",
     "log-likelihood on MNIST of a deep belief network", 138, 2, OTHERS),
    ("scae-parzen-mnist",
     "log-likelihood on MNIST of a stacked contractive autoencoder", 121, 1.6,
     OTHERS),
    ("gsn-parzen-mnist",
     "log-likelihood on MNIST of a deep generative stochastic network", 214, 1.1,
     OTHERS),
    unit="nats",
)  # fmt: skip
GAN_TFD = _of(
    "GAN, 2014, Table 1",
    ("gan-parzen-tfd", "log-likelihood on faces (TFD) by a Parzen window", 2057, 26,
     {"metric": "parzen_window", "flags": {"model": "gan", "dataset": "tfd"},
      "recipe": "gan_tfd", "code": "tfd_pretrain/*.yaml, parzen_ll.py"}),
    ("dbn-parzen-tfd", "log-likelihood on TFD of a deep belief network", 1909, 66, OTHERS),
    ("scae-parzen-tfd",
     "log-likelihood on TFD of a stacked contractive autoencoder", 2110, 50, OTHERS),
    ("gsn-parzen-tfd",
     "log-likelihood on TFD of a deep generative stochastic network", 1890, 29,
     OTHERS),
    unit="nats", cannot=NO_TFD,
)  # fmt: skip
GAN_PICTURES = _of(
    "GAN, 2014, Fig. 2 and 3",
    ("gan-samples-mnist", "samples of MNIST are not copies of training images",
     {"recipe": "gan_mnist"}),
    ("gan-samples-tfd", "samples of TFD are not copies of training images",
     {"recipe": "gan_tfd", "cannot": NO_TFD}),
    ("gan-samples-cifar10",
     "samples of CIFAR-10 by dense and convolutional networks; no number",
     # The authors' runs have no end: 100 epochs.
     {"recipe": "gan_cifar10", "code": "cifar10_*.yaml", "paper_steps": 40_000,
      "step": "gan_cifar10"}),
    ("gan-lines", "digits change smoothly along straight lines in z",
     {"recipe": "gan_mnist"}),
)  # fmt: skip

DCGAN = [
    *_of(
        "DCGAN, 2015, Table 1",
        ("dcgan-features-cifar10",
         "accuracy on CIFAR-10 of a linear SVM on D's features", 82.8),
        ("kmeans-1-cifar10",
         "accuracy on CIFAR-10 with one layer of K-means features", 80.6, OTHERS),
        ("kmeans-3-cifar10",
         "accuracy on CIFAR-10 with three layers of K-means features", 82.0, OTHERS),
        unit="% right",
    ),
    *_of(
        "DCGAN, 2015, Table 2",
        # 22.48 in the text that was read; later citations and the code say 22.18.
        ("dcgan-features-svhn-1000",
         "error on SVHN with 1,000 labels of an SVM on D's features", 22.48,
         {"code": "22.18 (svhn/)"}),
        ("cnn-svhn-1000",
         "error of the same network, supervised, on validation images", 28.87),
        unit="% wrong", better="lower",
    ),
    *_of(
        "DCGAN, 2015, Table 3, from memory",
        ("dcgan-1nn-50k",
         "error on MNIST by the nearest of 50,000 class-conditional samples", 2.98,
         {"metric": "nearest_class", "recipe": "dcgan_mnist_conditional",
          "flags": {"model": "dcgan", "dataset": "mnist", "network": "conditional"},
          "paper_steps": 39_000}),
        ("dcgan-1nn-10m", "error on MNIST by the nearest of 10,000,000 such samples", 1.48,
         {"recipe": "dcgan_mnist_conditional", "paper_steps": 39_000}),
        ("gan-1nn-50k", "error on MNIST by the nearest of 50,000 samples of a GAN", 6.28),
        ("gan-1nn-10m",
         "error on MNIST by the nearest of 10,000,000 samples of a GAN", 5.65),
        ("real-1nn-50k",
         "error on MNIST by the nearest of the 50,000 training images", 3.1),
        unit="% wrong", better="lower", code="mnist/train_cond_dcgan.py",
    ),
    Claim("dcgan-faces", "DCGAN, 2015, Fig. 8 and 10",
          "faces at 64x64; arithmetic on latents changes their attributes",
          recipe="dcgan_faces",
          paper_steps=34_000, code="faces/train_uncond_dcgan.py", cannot=NO_BOXES),
]  # fmt: skip

IMPROVED_TECHNIQUES = _of(
    "Improved GAN, 2016, Sec. 3",
    ("improved-feature-matching", "feature matching improves classification from few "
     "labels, but makes samples worse", {"recipe": "improved_gan_mnist_100"}),
    ("improved-minibatch", "minibatch discrimination gives better samples than feature "
     "matching, but a worse classifier"),
    ("improved-historical-averaging", "historical averaging finds equilibria of games "
     "around which gradient descent orbits", {"test": "tests/test_techniques.py::"
     "test_historical_averaging_finds_the_equilibrium_that_gradient_descent_orbits"}),
    ("improved-smoothing", "smoothing only the labels of data keeps the samples out of the "
     "numerator of the optimal D", {"test": "tests/test_techniques.py::"
     "test_one_sided_smoothing_moves_the_best_discriminator_for_data_only"}),
    ("improved-vbn",
     "with virtual batch normalization an example does not depend on the rest "
     "of its minibatch", {"test": "tests/test_techniques.py::"
     "test_virtual_batch_norm_of_an_image_does_not_depend_on_its_batch_mates"}),
    ("improved-vbn-cost", "virtual batch normalization needs a forward pass of two "
     "minibatches, so only G has it"),
    ("improved-k-plus-1", "fixing the last of K + 1 logits does not change the softmax "
     "(Sec. 5)", {"test": "tests/papers/test_improved_gan.py::"
     "test_d_is_the_softmax_over_k_plus_1_logits_of_which_the_last_is_zero"}),
    ("improved-imagenet", "samples of 1,000 classes at 128x128 (Fig. 6)",
     {"recipe": "improved_gan_imagenet", "code": "imagenet/"}),
)  # fmt: skip
IMPROVED_VOTES = _of(
    "Improved GAN, 2016, Sec. 6",
    ("improved-votes-mnist", "people distinguish samples of MNIST from data", 52.4),
    ("improved-votes-cifar10", "people distinguish samples of CIFAR-10 from data", 78.7),
    ("improved-votes-top",
     "people distinguish the best 1% by Inception Score from data", 71.4),
    ("improved-votes-authors",
     "the authors distinguish samples of CIFAR-10 from data, at least", 95.0),
    unit="% of votes right", better="lower",
)  # fmt: skip


ERROR_RECIPES = {
    "mnist": "improved_gan_mnist_{labels}",
    "cifar10": "improved_gan_cifar10_4000 --labels={labels}",
    "svhn_cropped": "improved_gan_svhn_1000 --labels={labels}",
}
# The paper's network, which is also the data set's own, and the code's form of feature
# matching (IMPROVED-2).
ERROR_NETWORKS = {"mnist": "mnist", "cifar10": "cifar10", "svhn_cropped": "svhn"}
ERROR_MATCHING = {"mnist": "mean", "cifar10": "absolute", "svhn_cropped": "absolute"}


def _errors(dataset, labels, part=""):
    """The fields for the test error of one network."""
    run = {"model": "improved_gan", "dataset": dataset, "labels": labels,
           "network": ("", ERROR_NETWORKS[dataset]),
           "feature_matching": (None, "squared", ERROR_MATCHING[dataset])}  # fmt: skip
    recipe = ERROR_RECIPES[dataset].format(labels=labels)
    return {"metric": f"test_error{part}", "flags": run, "recipe": recipe}


def _ensemble(dataset, labels, part=""):
    """The fields for the test error of ten networks together, on each of ten subsets."""
    metric = f"test_error_of_10{part}"
    return {**_errors(dataset, labels), "metric": metric, "runs": 100}


IMPROVED_MNIST = _of(
    "Improved GAN, 2016, Table 1",
    ("improved-mnist-20", "error on MNIST with 20 labels", 1677, 452, _errors("mnist", 20)),
    ("improved-mnist-50", "error on MNIST with 50 labels", 221, 136, _errors("mnist", 50)),
    ("improved-mnist-100",
     "error on MNIST with 100 labels", 93, 6.5, _errors("mnist", 100)),
    ("improved-mnist-200",
     "error on MNIST with 200 labels", 90, 4.2, _errors("mnist", 200)),
    ("improved-ensemble-mnist-20",
     "error on MNIST of an ensemble of ten, 20 labels", 1134, 445,
     _ensemble("mnist", 20)),
    ("improved-ensemble-mnist-50",
     "error on MNIST of an ensemble of ten, 50 labels", 142, 96,
     _ensemble("mnist", 50)),
    ("improved-ensemble-mnist-100",
     "error on MNIST of an ensemble of ten, 100 labels", 86, 5.6,
     _ensemble("mnist", 100)),
    ("improved-ensemble-mnist-200",
     "error on MNIST of an ensemble of ten, 200 labels", 81, 4.3,
     _ensemble("mnist", 200)),
    unit="of 10,000 wrong", better="lower", paper_steps=180_000, runs=10,
    step="improved_gan_mnist", code="train_mnist_feature_matching.py",
)  # fmt: skip
IMPROVED_MNIST_OTHERS = _of(
    "Improved GAN, 2016, Table 1",
    ("dgn-mnist-100", "error of DGN, 100 labels", 333, 14),
    ("vat-mnist-100", "error of Virtual Adversarial, 100 labels", 212),
    ("catgan-mnist-100", "error of CatGAN, 100 labels", 191, 10),
    ("sdgm-mnist-100", "error of Skip Deep Generative Model, 100 labels", 132, 7),
    ("ladder-mnist-100", "error of Ladder network, 100 labels", 106, 37),
    ("adgm-mnist-100", "error of Auxiliary Deep Generative Model, 100 labels", 96, 2),
    unit="of 10,000 wrong",
    better="lower",
    others=True,
)
IMPROVED_CIFAR10 = _of(
    "Improved GAN, 2016, Table 2",
    ("improved-cifar10-1000", "error on CIFAR-10 with 1,000 labels", 21.83, 2.01,
     _errors("cifar10", 1000, " percent")),
    ("improved-cifar10-2000", "error on CIFAR-10 with 2,000 labels", 19.61, 2.09,
     _errors("cifar10", 2000, " percent")),
    ("improved-cifar10-4000", "error on CIFAR-10 with 4,000 labels", 18.63, 2.32,
     _errors("cifar10", 4000, " percent")),
    ("improved-cifar10-8000", "error on CIFAR-10 with 8,000 labels", 17.72, 1.82,
     _errors("cifar10", 8000, " percent")),
    ("improved-ensemble-cifar10-1000",
     "error on CIFAR-10 of an ensemble of ten, 1,000 labels", 19.22, 0.54,
     _ensemble("cifar10", 1000, " percent")),
    ("improved-ensemble-cifar10-2000",
     "error on CIFAR-10 of an ensemble of ten, 2,000 labels", 17.25, 0.66,
     _ensemble("cifar10", 2000, " percent")),
    ("improved-ensemble-cifar10-4000",
     "error on CIFAR-10 of an ensemble of ten, 4,000 labels", 15.59, 0.47,
     _ensemble("cifar10", 4000, " percent")),
    ("improved-ensemble-cifar10-8000",
     "error on CIFAR-10 of an ensemble of ten, 8,000 labels", 14.87, 0.89,
     _ensemble("cifar10", 8000, " percent")),
    unit="% wrong", better="lower", paper_steps=600_000, runs=10,
    step="improved_gan_cifar10", code="train_cifar_feature_matching.py",
)  # fmt: skip
IMPROVED_CIFAR10_OTHERS = _of(
    "Improved GAN, 2016, Table 2",
    ("ladder-cifar10-4000", "error of Ladder network, 4,000 labels", 20.40, 0.47),
    ("catgan-cifar10-4000", "error of CatGAN, 4,000 labels", 19.58, 0.46),
    unit="% wrong", better="lower", others=True,
)  # fmt: skip
IMPROVED_SVHN = _of(
    "Improved GAN, 2016, Fig. 5",
    ("improved-svhn-500", "error on SVHN with 500 labels", 18.44, 4.8,
     _errors("svhn_cropped", 500, " percent")),
    ("improved-svhn-1000", "error on SVHN with 1,000 labels", 8.11, 1.3,
     _errors("svhn_cropped", 1000, " percent")),
    ("improved-svhn-2000", "error on SVHN with 2,000 labels", 6.16, 0.58,
     _errors("svhn_cropped", 2000, " percent")),
    ("improved-ensemble-svhn-1000",
     "error on SVHN of an ensemble of ten, 1,000 labels", 5.88, 1.0,
     _ensemble("svhn_cropped", 1000, " percent")),
    unit="% wrong", better="lower", paper_steps=658_800, runs=10,
    code="train_svhn_feature_matching.py",
)  # fmt: skip
IMPROVED_SVHN_OTHERS = _of(
    "Improved GAN, 2016, Fig. 5",
    ("dgn-svhn-1000", "error of DGN, 1,000 labels", 36.02, 0.10),
    ("vat-svhn-1000", "error of Virtual Adversarial, 1,000 labels", 24.63),
    ("adgm-svhn-1000", "error of Auxiliary Deep Generative Model, 1,000 labels", 22.86),
    ("sdgm-svhn-1000", "error of Skip Deep Generative Model, 1,000 labels", 16.61, 0.24),
    unit="% wrong",
    better="lower",
    others=True,
)


def _inception(recipe, **run):
    return {"metric": "inception_score", "recipe": recipe,
            "flags": {"dataset": "cifar10", **run}}  # fmt: skip


def _table_3(row, **otherwise):
    """The fields of a row of Table 3: "our methods" with a few other flags."""
    ours = {"labels": 4000, "label_smoothing": 0.1, "reference_batch": 100,
            "minibatch_kernels": 100, "historical_averaging": 0.0,
            "feature_matching": (None, "none")}  # fmt: skip
    run = {"model": "improved_gan", "network": "minibatch", **ours, **otherwise}
    return _inception(f"improved_gan_table3_{row}", **run)


IMPROVED_SCORES = [
    *_of(
        "Improved GAN, 2016, Table 3",
        ("real-is-cifar10", "Inception Score of CIFAR-10 itself", 11.24, 0.12,
         {"better": "same"}),
        ("improved-is-cifar10", "Inception Score on CIFAR-10, all techniques, with labels",
         8.09, 0.07, _table_3("ours")),
        ("improved-is-no-labels-ha",
         "Inception Score without labels, with historical averaging", 6.86, 0.06,
         _table_3("unlabelled_history", labels=0, historical_averaging=1.0)),
        unit="IS", code="not released",
    ),
    *_of(
        "Improved GAN, 2016, Table 3, spread from memory",
        ("improved-is-bn",
         "Inception Score with batch instead of virtual batch normalization", 7.54, 0.07,
         _table_3("bn", reference_batch=0)),
        ("improved-is-no-smoothing", "Inception Score without label smoothing", 6.83, 0.06,
         _table_3("hard_labels", label_smoothing=0.0)),
        ("improved-is-no-labels", "Inception Score without labels", 4.36, 0.04,
         _table_3("unlabelled", labels=0)),
        ("improved-is-no-minibatch",
         "Inception Score without minibatch features", 3.87, 0.03,
         _table_3("no_minibatch", minibatch_kernels=0)),
        unit="IS", code="not released",
    ),
    Claim("improved-is-votes", "Improved GAN, 2016, Sec. 4",
          "Inception Score correlates with human judgement"),
]  # fmt: skip

LSGAN_THEORY = _of(
    "LSGAN, 2016, Sec. 3.2",
    ("lsgan-optimal-d",
     "for a fixed G the optimal D is (b p_data + a p_g) / (p_data + p_g)",
     {"test": "tests/papers/test_lsgan.py::test_the_best_discriminator_is_eq_5"}),
    ("lsgan-pearson", "with b - c = 1 and b - a = 2, G minimizes the Pearson chi-square "
     "divergence between p_data + p_g and 2 p_g", {"test": "tests/papers/test_lsgan.py::"
     "test_g_descends_the_pearson_divergence_of_eq_7"}),
    ("lsgan-flat-at-one-point", "cross entropy is flat on one side, least squares only "
     "at one point (Fig. 2)",
     {"test": "tests/test_losses.py::test_slope_is_its_closed_form"}),
)  # fmt: skip
LSGAN_IMAGES = _of(
    "LSGAN, 2016, Sec. 4.2",
    ("lsgan-bedrooms", "bedrooms that are sharper than those of DCGAN (Fig. 4)",
     {"recipe": "lsgan_lsun --dataset=lsun/bedroom"}),
    ("lsgan-scenes", "churches, dining rooms, kitchens, conference rooms at 112x112 "
     "(Fig. 5)"),
    recipe="lsgan_lsun", code="train_lsun.py", paper_steps=1_000_000,
)  # fmt: skip
ZERO_ONE = {"a": 0.0, "b": 1.0, "c": 1.0}  # Eq. 9, the scheme of the experiments
LSGAN_SCORES = _of(
    "LSGAN, 2016, Table 1, from memory",
    ("lsgan-is-cifar10", "Inception Score on CIFAR-10, mean of ten models", 6.47,
     {"runs": 10, **_inception("lsgan_cifar10", model="lsgan", network="stability",
                               loss="least_squares", **ZERO_ONE)}),
    ("dcgan-is-cifar10",
     "Inception Score on CIFAR-10 of DCGAN, in the authors' own run", 6.22,
     _inception("dcgan_cifar10", model="lsgan", network="stability",
                loss="non_saturating")),
    ("dcgan-is-cifar10-reported", "Inception Score on CIFAR-10 of DCGAN, as reported "
     "elsewhere (the +- is from WGAN-GP, Table 3)", 6.16, 0.07, OTHERS),
    unit="IS", code="not released",
)  # fmt: skip
LSGAN_VOTES = _of(
    "LSGAN, 2016, Sec. 4.3.2",
    ("lsgan-votes", "share of 4,000 votes for LSGAN's bedrooms", 56.4,
     {"recipe": "lsgan_lsun --dataset=lsun/bedroom"}),
    ("dcgan-votes", "share of 4,000 votes for DCGAN's bedrooms", 43.6),
    unit="% of votes", paper_steps=1_000_000,
)  # fmt: skip


def _lsun(loss, batch_norm, optimizer):
    run = {"model": "lsgan", "dataset": "lsun/bedroom", "loss": loss}
    return {"flags": {**run, "batch_norm": batch_norm, "optimizer": optimizer}}


LSGAN_STABILITY = _of(
    "LSGAN, 2016, Sec. 4.4",
    ("lsgan-bn-g-adam", "bedrooms, no batch normalization in G, Adam: good runs of ten", 5,
     {"unit": "runs", **_lsun("least_squares", "discriminator", "adam")}),
    ("gan-bn-g-adam",
     "the regular GAN, no batch normalization in G, Adam: good runs of ten", 0,
     {"unit": "runs", "better": "same",
      **_lsun("non_saturating", "discriminator", "adam")}),
    ("lsgan-bn-gd-rmsprop", "no batch normalization, RMSProp: LSGAN is better, the regular "
     "GAN collapses slightly", _lsun("least_squares", "none", "rmsprop")),
    ("lsgan-bn-g-rmsprop", "no batch normalization in G, RMSProp: both are good",
     _lsun("least_squares", "discriminator", "rmsprop")),
    ("lsgan-bn-gd-adam", "no batch normalization, Adam: both collapse slightly",
     _lsun("least_squares", "none", "adam")),
    ("rmsprop-over-adam", "RMSProp is more stable than Adam"),
    recipe="lsgan_stability --dataset=lsun/bedroom --image_size=64 --width=0 "
    "--steps=5000000", paper_steps=5_000_000, runs=10, step="lsgan_dcgan64",
    code="stability_comparison/",
)  # fmt: skip


def _ring(loss):
    run = {"model": "lsgan", "dataset": "ring", "ring": "clean", "loss": loss}
    run |= {"optimizer": "adam"} | (ZERO_ONE if loss == "least_squares" else {})
    return {"metric": "mode_coverage", "flags": run}


LSGAN_RING = _of(
    "LSGAN, 2016, Fig. 7",
    ("lsgan-ring", "LSGAN learns all modes of a ring of eight Gaussians", 8,
     _ring("least_squares")),
    ("gan-ring", "the regular GAN collapses to one mode from step 15,000 on", 1,
     {"better": "same", **_ring("non_saturating")}),
    unit="modes", recipe="lsgan_fig7", paper_steps=40_000, step="lsgan_ring",
    code="mixture_gaussian/, 35,000 steps",
)  # fmt: skip
LSGAN_CHARACTERS = _of(
    "LSGAN, 2016, Sec. 4.5",
    ("lsgan-characters", "readable handwritten characters of 3,740 classes (Fig. 8)"),
    ("lsgan-characters-labels", "their labels are correct, so they can augment data"),
    recipe="lsgan_hwdb", code="train_chn.py", paper_steps=1_000_000,
)  # fmt: skip
LSGAN_ADVICE = _of(
    "LSGAN, 2016, Sec. 4.4.1",
    ("lsgan-late-collapse", "on difficult data, good samples come early, collapse comes "
     "late and the quality varies: choose an intermediate checkpoint"),
)  # fmt: skip

BEGAN_SCORES = [
    *_of(
        "BEGAN, 2017, Table 1, quoted",  # in WGAN-GP (2017), Table 3
        ("began-is-cifar10", "Inception Score on CIFAR-10, without labels", 5.62,
         _inception("began_cifar10", model="began", width=128)),
        ("dfm-is-cifar10",
         "Inception Score on CIFAR-10 of denoising feature matching", 7.72, 0.13, OTHERS),
        ("ali-is-cifar10", "Inception Score on CIFAR-10 of ALI", 5.34, 0.05, OTHERS),
        unit="IS", code="not released",
    ),
    *_of(
        "BEGAN, 2017, Table 1, from memory",
        # Its row "no labels". The best of Improved GAN without labels is 6.86.
        ("improved-is-cifar10-in-began",
         "Inception Score on CIFAR-10 of Improved GAN", 4.36),
        ("mix-wgan-is-cifar10", "Inception Score on CIFAR-10 of MIX + WGAN", 4.04),
        ("wgan-is-cifar10", "Inception Score on CIFAR-10 of WGAN", 3.82),
        ("real-is-cifar10-in-began", "Inception Score of CIFAR-10 itself", 11.24),
        unit="IS", code="not released", others=True,
    ),
]  # fmt: skip
BEGAN_METHOD = _of(
    "BEGAN, 2017, Sec. 3 and 4.1",
    ("began-parameters", "weights of the largest model, 128x128; the paper has no table of "
     "layers, so our layers are inferred from this number", 17.3e6,
     {"better": "same", "test": "tests/papers/test_began.py::"
      "test_networks_have_the_papers_number_of_weights"}),
    ("began-equilibrium", "k keeps E L(G(z)) at gamma E L(x); L(x) > L(G(z)) throughout "
     "training"),
    ("began-no-alternation",
     "training is stable without alternating updates or pretraining"),
    ("began-carry", "vanishing residuals and skip connections give sharper images"),
    ("began-carry-identity", "a vanishing residual starts as the identity and ends as the "
     "plain layer", {"test": "tests/papers/test_began.py::"
     "test_a_residual_is_the_identity_at_carry_1_and_the_convolution_at_0"}),
    ("began-rate", "at high learning rates collapse is occasional; a lower rate avoids it"),
    ("began-days", "128x128 trains in 2.5 days on four P100", 2.5,
     {"unit": "days", "better": "lower", "cannot": NO_FACES}),
    ("began-hours", "32x32 trains in a few hours on one GPU"),
)  # fmt: skip
BEGAN_FACES = _of(
    "BEGAN, 2017, Sec. 4",
    ("began-faces", "coherent faces at 128x128 in many poses (Fig. 2)", {}),
    ("began-gamma", "a lower gamma gives less diversity, a higher one artefacts (Fig. 3)",
     {"recipe": "began_gamma"}),
    ("began-beside-ebgan", "EBGAN's faces, on other data, for comparison (Fig. 2a)",
     {"recipe": "ebgan_faces"}),
    ("began-continuity", "faces change smoothly between the z of two real images (Fig. 4)",
     {"recipe": "began_fig4"}),
    ("began-convergence", "M_global decreases as images improve (Fig. 5)",
     {"recipe": "began_fig5"}),
    ("began-fast", "it converges fast, as EBGAN does, which is due to pixel-wise losses",
     {"recipe": "began_fig5"}),
    ("began-unbalanced",
     "a small D reduces the quality, a small G has little effect (Fig. 6)",
     {"recipe": "began_fig6"}),
    recipe="began_faces", cannot=NO_FACES,
)  # fmt: skip

VAE = _of(
    "VAE, 2013, Fig. 2",
    ("vae-mnist", "the lower bound on MNIST for 20 latent dimensions; the paper has curves "
     "and no table", {"metric": "bound", "unit": "nats", "recipe": "vae_mnist",
     "flags": {"model": "vae", "dataset": "mnist", "latent_dim": 20}}),
    ("vae-frey", "the lower bound on Frey faces; the paper has curves and no table"),
)  # fmt: skip

CLAIMS = {
    claim.claim: claim
    for claim in [
        *(*GAN_THEORY, *GAN_PRACTICE, *GAN_MNIST, *GAN_TFD, *GAN_PICTURES),
        *DCGAN,
        *(*IMPROVED_TECHNIQUES, *IMPROVED_VOTES, *IMPROVED_MNIST, *IMPROVED_MNIST_OTHERS),
        *(*IMPROVED_CIFAR10, *IMPROVED_CIFAR10_OTHERS, *IMPROVED_SVHN),
        *(*IMPROVED_SVHN_OTHERS, *IMPROVED_SCORES),
        *(*LSGAN_THEORY, *LSGAN_IMAGES, *LSGAN_SCORES, *LSGAN_VOTES, *LSGAN_STABILITY),
        *(*LSGAN_RING, *LSGAN_CHARACTERS, *LSGAN_ADVICE),
        *(*BEGAN_SCORES, *BEGAN_METHOD, *BEGAN_FACES),
        *VAE,
    ]
}


# With other values of these flags, a run or its score belongs to another experiment, unless
# the claim gives its own: techniques of another paper are not part of this one.
PROTOCOL = {"image_size": 0, "width": 0, "checkpoint": "last", "test_split": "test",
            "score_samples": 0, "generator_average": 0.0,
            "feature_matching": (None, "none"), "minibatch_kernels": 0,
            "historical_averaging": 0.0, "label_smoothing": 0.0,
            "reference_batch": 0}  # fmt: skip
NETWORKS = {"inception_score": {"features": "inception_2015"}}
# Values of other flags for which neither a study nor its paper gives a value.
UNSAID = {"network": "", "ring": "clean", "optimizer": "adam", **ZERO_ONE}


def measured_by(metric: str, flags: dict[str, str]) -> list[Claim]:
    """The claims that are measured by the score `metric` of a run with these flags.

    Args:
        metric: name in `metrics.METRICS`.
        flags: name -> value, as on the command line; other flags have their defaults.
    """
    flags = _by_default(flags) | flags
    needed = PROTOCOL | NETWORKS.get(metric, {})
    return [
        claim
        for claim in CLAIMS.values()
        if claim.metric and claim.metric.split()[0] == metric
        if all(k in flags and fits(flags[k], v) for k, v in (needed | claim.flags).items())
    ]


def _by_default(flags):
    """The values of the flags that a run does not set."""
    common = {k: v[0] if isinstance(v, tuple) else v for k, v in PROTOCOL.items()} | UNSAID
    if flags.get("model") not in PAPERS or "dataset" not in flags:
        return common
    network = flags.get("network", UNSAID["network"])
    fidelity = flags.get("fidelity", "paper")
    paper = PAPERS[flags["model"]]
    return common | contract.defaults(paper, flags["dataset"], network, fidelity)


def fits(value: object, wanted: object) -> bool:
    """Whether a flag's value, or its text, equals `wanted`, or one value of a tuple."""
    choices = wanted if isinstance(wanted, tuple) else (wanted,)
    return _plain(value) in map(_plain, choices)


def _plain(value):
    """A value in comparable form: 0, 0.0 and their texts become equal."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
