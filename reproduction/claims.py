"""The claims of the papers, one row per claim. RESULTS.md is generated from this table.

The place of a number in the paper is on its row or above it. "quoted" marks numbers that
were read in another paper or in a summary instead of the paper itself. "from memory" marks
numbers that were read in neither.
"""

from reproduction.claim import Claim, claims_of, inception_score
from reproduction.claims_improved_gan import IMPROVED_GAN

NO_TFD = "the Toronto Face Database is given out on request only"
NO_FACES = "its 360,000 faces were never released"
NO_BOXES = "its 350,000 face boxes were never released"
OTHERS = {"others": True}
NEAREST = "error on MNIST of a nearest-neighbour classifier that learns from"

GAN_THEORY = claims_of(
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
     {"recipe": "gan_convergence"}),
)  # fmt: skip
GAN_PRACTICE = claims_of(
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

GAN_RIVALS = {
    "dbn": "a deep belief network",
    "scae": "a stacked contractive autoencoder",
    "gsn": "a deep generative stochastic network",
}


def _rivals(data, values, **shared):
    """The other methods of Table 1; `values` is name -> (log-likelihood, its error)."""
    rows = [
        (f"{name}-parzen-{data.lower()}",
         f"log-likelihood on {data} of {GAN_RIVALS[name]}", *numbers)
        for name, numbers in values.items()
    ]  # fmt: skip
    return claims_of("GAN, 2014, Table 1", *rows, unit="nats", others=True, **shared)


GAN_TABLE_1 = [
    Claim("gan-parzen-mnist", "GAN, 2014, Table 1",
          "log-likelihood on MNIST by a Parzen window", 225, 2, "nats",
          # The best checkpoint is that of validation images, as the authors watched.
          metric="parzen_window",
          flags={"model": "gan", "dataset": "mnist", "network": ("", "mnist"),
                 "checkpoint": ("last", "best")},
          recipe="gan_mnist", code="mnist.yaml, parzen_ll.py"),
    *_rivals("MNIST", {"dbn": (138, 2), "scae": (121, 1.6), "gsn": (214, 1.1)}),
    Claim("gan-parzen-tfd", "GAN, 2014, Table 1",
          "log-likelihood on faces (TFD) by a Parzen window", 2057, 26, "nats",
          metric="parzen_window", flags={"model": "gan", "dataset": "tfd"},
          recipe="gan_tfd", code="tfd_pretrain/*.yaml, parzen_ll.py", cannot=NO_TFD),
    *_rivals("TFD", {"dbn": (1909, 66), "scae": (2110, 50), "gsn": (1890, 29)},
             cannot=NO_TFD),
]  # fmt: skip
GAN_PICTURES = claims_of(
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
    *claims_of(
        "DCGAN, 2015, Table 1",
        ("dcgan-features-cifar10",
         "accuracy on CIFAR-10 of a linear SVM on D's features", 82.8),
        ("kmeans-1-cifar10",
         "accuracy on CIFAR-10 with one layer of K-means features", 80.6, OTHERS),
        ("kmeans-3-cifar10",
         "accuracy on CIFAR-10 with three layers of K-means features", 82.0, OTHERS),
        unit="% right",
    ),
    *claims_of(
        "DCGAN, 2015, Table 2",
        # 22.48 in the text that was read; later citations and the code say 22.18.
        ("dcgan-features-svhn-1000",
         "error on SVHN with 1,000 labels of an SVM on D's features", 22.48,
         {"code": "22.18 (svhn/)"}),
        ("cnn-svhn-1000",
         "error of the same network, supervised, on validation images", 28.87),
        unit="% wrong", better="lower",
    ),
    *claims_of(
        "DCGAN, 2015, Table 3, from memory",
        ("dcgan-1nn-50k",
         f"{NEAREST} 50,000 samples", 2.98,
         {"metric": "nearest_class", "recipe": "dcgan_mnist_conditional",
          "flags": {"model": "dcgan", "dataset": "mnist", "network": "conditional"},
          "paper_steps": 39_000}),
        ("dcgan-1nn-10m", f"{NEAREST} 10,000,000 samples", 1.48,
         {"metric": "nearest_class",
          "recipe": "dcgan_mnist_conditional --score_samples=10000000",
          "flags": {"model": "dcgan", "dataset": "mnist", "network": "conditional",
                    "score_samples": 10_000_000},
          "paper_steps": 39_000}),
        ("gan-1nn-50k", f"{NEAREST} 50,000 samples of a GAN", 6.28,
         {"metric": "nearest_class", "recipe": "gan_mnist_conditional",
          "flags": {"model": "gan", "dataset": "mnist", "network": "conditional"}}),
        ("gan-1nn-10m",
         f"{NEAREST} 10,000,000 samples of a GAN", 5.65,
         {"metric": "nearest_class",
          "recipe": "gan_mnist_conditional --score_samples=10000000",
          "flags": {"model": "gan", "dataset": "mnist", "network": "conditional",
                    "score_samples": 10_000_000}}),
        ("real-1nn-50k",
         f"{NEAREST} 50,000 training images", 3.1),
        unit="% wrong", better="lower", code="mnist/train_cond_dcgan.py",
    ),
    Claim("dcgan-faces", "DCGAN, 2015, Fig. 8 and 10",
          "faces at 64x64; arithmetic on latents changes their attributes",
          recipe="dcgan_faces",
          paper_steps=34_000, code="faces/train_uncond_dcgan.py", cannot=NO_BOXES),
]  # fmt: skip

LSGAN_THEORY = claims_of(
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
LSGAN_IMAGES = claims_of(
    "LSGAN, 2016, Sec. 4.2",
    ("lsgan-bedrooms", "bedrooms that are sharper than those of DCGAN (Fig. 4)",
     {"recipe": "lsgan_lsun --dataset=lsun/bedroom"}),
    ("lsgan-scenes", "churches, dining rooms, kitchens, conference rooms at 112x112 "
     "(Fig. 5)"),
    recipe="lsgan_lsun", code="train_lsun.py", paper_steps=1_000_000,
)  # fmt: skip
ZERO_ONE = {"a": 0.0, "b": 1.0, "c": 1.0}  # Eq. 9, the scheme of the experiments
LSGAN_SCORES = claims_of(
    "LSGAN, 2016, Table 1, from memory",
    ("lsgan-is-cifar10", "Inception Score on CIFAR-10, mean of ten models", 6.47,
     {"runs": 10, **inception_score("lsgan_cifar10", model="lsgan", network="stability",
                               loss="least_squares", **ZERO_ONE)}),
    ("dcgan-is-cifar10",
     "Inception Score on CIFAR-10 of DCGAN, in the authors' own run", 6.22,
     inception_score("dcgan_cifar10", model="lsgan", network="stability",
                loss="non_saturating")),
    ("dcgan-is-cifar10-reported", "Inception Score on CIFAR-10 of DCGAN, as reported "
     "elsewhere (the +- is from WGAN-GP, Table 3)", 6.16, 0.07, OTHERS),
    unit="IS", code="not released",
)  # fmt: skip
LSGAN_VOTES = claims_of(
    "LSGAN, 2016, Sec. 4.3.2",
    ("lsgan-votes", "share of 4,000 votes for LSGAN's bedrooms", 56.4,
     {"recipe": "lsgan_lsun --dataset=lsun/bedroom"}),
    ("dcgan-votes", "share of 4,000 votes for DCGAN's bedrooms", 43.6),
    unit="% of votes", paper_steps=1_000_000,
)  # fmt: skip


def _lsun(loss, batch_norm, optimizer):
    run = {"model": "lsgan", "dataset": "lsun/bedroom", "loss": loss}
    return {"flags": {**run, "batch_norm": batch_norm, "optimizer": optimizer}}


LSGAN_STABILITY = claims_of(
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


LSGAN_RING = claims_of(
    "LSGAN, 2016, Fig. 7",
    ("lsgan-ring", "LSGAN learns all modes of a ring of eight Gaussians", 8),
    ("gan-ring", "the regular GAN collapses to one mode from step 15,000 on", 1),
    unit="modes", recipe="lsgan_fig7_code", paper_steps=35_000, step="lsgan_ring",
    code="mixture_gaussian/, 35,000 steps",
)  # fmt: skip
LSGAN_CHARACTERS = claims_of(
    "LSGAN, 2016, Sec. 4.5",
    ("lsgan-characters", "readable handwritten characters of 3,740 classes (Fig. 8)"),
    ("lsgan-characters-labels", "their labels are correct, so they can augment data"),
    recipe="lsgan_hwdb", code="train_chn.py", paper_steps=1_000_000,
)  # fmt: skip
LSGAN_ADVICE = claims_of(
    "LSGAN, 2016, Sec. 4.4.1",
    ("lsgan-late-collapse", "on difficult data, good samples come early, collapse comes "
     "late and the quality varies: choose an intermediate checkpoint",
     {"recipe": "lsgan_late_collapse"}),
)  # fmt: skip

BEGAN_SCORES = [
    *claims_of(
        "BEGAN, 2017, Table 1, quoted",  # in WGAN-GP (2017), Table 3
        ("began-is-cifar10", "Inception Score on CIFAR-10, without labels", 5.62,
         inception_score("began_cifar10", model="began", width=128)),
        ("dfm-is-cifar10",
         "Inception Score on CIFAR-10 of denoising feature matching", 7.72, 0.13, OTHERS),
        ("ali-is-cifar10", "Inception Score on CIFAR-10 of ALI", 5.34, 0.05, OTHERS),
        unit="IS", code="not released",
    ),
    *claims_of(
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
BEGAN_METHOD = claims_of(
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
BEGAN_FACES = claims_of(
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

VAE = claims_of(
    "VAE, 2013, Fig. 2",
    ("vae-mnist", "the lower bound on MNIST for 20 latent dimensions; the paper has curves "
     "and no table", {"metric": "bound", "unit": "nats", "recipe": "vae_mnist",
     "flags": {"model": "vae", "dataset": "mnist", "latent_dim": 20}}),
    ("vae-overfitting", "more latent variables do not overfit more, which the bound's "
     "regularization explains", {"recipe": "vae_fig2"}),
    ("vae-frey", "the lower bound on Frey faces; the paper has curves and no table"),
)  # fmt: skip

CLAIMS = {
    claim.claim: claim
    for claim in [
        *(*GAN_THEORY, *GAN_PRACTICE, *GAN_TABLE_1, *GAN_PICTURES),
        *DCGAN,
        *IMPROVED_GAN,
        *(*LSGAN_THEORY, *LSGAN_IMAGES, *LSGAN_SCORES, *LSGAN_VOTES, *LSGAN_STABILITY),
        *(*LSGAN_RING, *LSGAN_CHARACTERS, *LSGAN_ADVICE),
        *(*BEGAN_SCORES, *BEGAN_METHOD, *BEGAN_FACES),
        *VAE,
    ]
}
