"""The claims of Improved GAN (2016). The place of a number in the paper is above it."""

from reproduction.claim import Claim, claims_of, inception_score

IMPROVED_TECHNIQUES = claims_of(
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
IMPROVED_VOTES = claims_of(
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
DATA_NAMES = {"mnist": "MNIST", "cifar10": "CIFAR-10", "svhn_cropped": "SVHN"}


def _errors(place, dataset, singles, ensembles, part="", **shared):
    """Test errors of one network, and of ten networks together on each of ten subsets.

    Args:
        place: the table or figure.
        dataset: name of the data set.
        singles, ensembles: number of labels -> (error, spread).
        part: the part of the score: " percent", or "" for the errors of 10,000 images.
        **shared: fields of all claims.
    """
    name, rows = DATA_NAMES[dataset], []
    unit = "% wrong" if part else "of 10,000 wrong"
    short = dataset.removesuffix("_cropped")
    for numbers, kind, of_ten in ((singles, "", ""), (ensembles, "ensemble-", "_of_10")):
        for labels, (error, spread) in numbers.items():
            run = {
                "model": "improved_gan",
                "dataset": dataset,
                "labels": labels,
                "network": ("", ERROR_NETWORKS[dataset]),
                "feature_matching": (None, "squared", ERROR_MATCHING[dataset]),
            }
            says = (
                f"error on {name} of an ensemble of ten, {labels:,} labels"
                if kind
                else f"error on {name} with {labels:,} labels"
            )
            fields = {
                "metric": f"test_error{of_ten}{part}",
                "flags": run,
                "recipe": ERROR_RECIPES[dataset].format(labels=labels),
                **({"runs": 100} if kind else {}),
            }
            rows.append((f"improved-{kind}{short}-{labels}", says, error, spread, fields))
    return claims_of(place, *rows, unit=unit, better="lower", runs=10, **shared)


IMPROVED_MNIST = _errors(
    "Improved GAN, 2016, Table 1",
    "mnist",
    {20: (1677, 452), 50: (221, 136), 100: (93, 6.5), 200: (90, 4.2)},
    {20: (1134, 445), 50: (142, 96), 100: (86, 5.6), 200: (81, 4.3)},
    paper_steps=180_000,
    step="improved_gan_mnist",
    code="train_mnist_feature_matching.py",
)
IMPROVED_MNIST_OTHERS = claims_of(
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
IMPROVED_CIFAR10 = _errors(
    "Improved GAN, 2016, Table 2",
    "cifar10",
    {1000: (21.83, 2.01), 2000: (19.61, 2.09), 4000: (18.63, 2.32), 8000: (17.72, 1.82)},
    {1000: (19.22, 0.54), 2000: (17.25, 0.66), 4000: (15.59, 0.47), 8000: (14.87, 0.89)},
    " percent",
    paper_steps=600_000,
    step="improved_gan_cifar10",
    code="train_cifar_feature_matching.py",
)
IMPROVED_CIFAR10_OTHERS = claims_of(
    "Improved GAN, 2016, Table 2",
    ("ladder-cifar10-4000", "error of Ladder network, 4,000 labels", 20.40, 0.47),
    ("catgan-cifar10-4000", "error of CatGAN, 4,000 labels", 19.58, 0.46),
    unit="% wrong", better="lower", others=True,
)  # fmt: skip
IMPROVED_SVHN = _errors(
    "Improved GAN, 2016, Fig. 5",
    "svhn_cropped",
    {500: (18.44, 4.8), 1000: (8.11, 1.3), 2000: (6.16, 0.58)},
    {1000: (5.88, 1.0)},
    " percent",
    paper_steps=658_800,
    code="train_svhn_feature_matching.py",
)
IMPROVED_SVHN_OTHERS = claims_of(
    "Improved GAN, 2016, Fig. 5",
    ("dgn-svhn-1000", "error of DGN, 1,000 labels", 36.02, 0.10),
    ("vat-svhn-1000", "error of Virtual Adversarial, 1,000 labels", 24.63),
    ("adgm-svhn-1000", "error of Auxiliary Deep Generative Model, 1,000 labels", 22.86),
    ("sdgm-svhn-1000", "error of Skip Deep Generative Model, 1,000 labels", 16.61, 0.24),
    unit="% wrong",
    better="lower",
    others=True,
)


def _table_3(row, **otherwise):
    """The fields of a row of Table 3: "our methods" with a few other flags."""
    ours = {"labels": 4000, "label_smoothing": 0.1, "reference_batch": 100,
            "minibatch_kernels": 100, "historical_averaging": 0.0,
            "feature_matching": (None, "none")}  # fmt: skip
    run = {"model": "improved_gan", "network": "minibatch", **ours, **otherwise}
    return inception_score(f"improved_gan_table3_{row}", **run)


IMPROVED_SCORES = [
    *claims_of(
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
    *claims_of(
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

IMPROVED_GAN = [
    *(*IMPROVED_TECHNIQUES, *IMPROVED_VOTES, *IMPROVED_MNIST, *IMPROVED_MNIST_OTHERS),
    *(*IMPROVED_CIFAR10, *IMPROVED_CIFAR10_OTHERS, *IMPROVED_SVHN),
    *(*IMPROVED_SVHN_OTHERS, *IMPROVED_SCORES),
]
