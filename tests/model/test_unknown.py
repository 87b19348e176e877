"""The detector is a ratio of densities, refuses as many known images as wanted, and says what it cannot be made of."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import MultivariateNormal

from pets.model.closed_form import shrink
from pets.model.unknown import SHRINKAGE, UnknownDetector, digest_of


def clouds(n: int, n_classes: int = 3, n_features: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw n features, and their classes, around centres that are the same for every seed."""
    generator = torch.Generator().manual_seed(seed)
    centres = 4 * torch.eye(n_classes, n_features)
    targets = torch.arange(n) % n_classes
    return centres[targets] + 0.5 * torch.randn(n, n_features, generator=generator) + 1, targets


def test_familiarity_is_the_log_ratio_of_two_normal_densities() -> None:
    (features, targets), (known, _) = clouds(60), clouds(30, seed=1)
    familiarity = UnknownDetector.fit(features, targets, known, 3, 0.1)(known)
    x, y = F.normalize(features.double(), dim=1), F.normalize(known.double(), dim=1)
    means = torch.stack([x[targets == c].mean(0) for c in range(3)])
    within = torch.cov((x - means[targets]).T, correction=0)
    classes = MultivariateNormal(means, shrink(within, SHRINKAGE))
    whole = MultivariateNormal(x.mean(0), shrink(torch.cov(x.T, correction=0), SHRINKAGE))
    expected = classes.log_prob(y[:, None]).amax(1) - whole.log_prob(y)
    assert (familiarity < 0).sum() == 2  # at the third smallest of 30, the share of (30 + 1) that is wanted
    torch.testing.assert_close(familiarity.double(), expected - expected.sort().values[2], atol=1e-3, rtol=1e-4)


def test_no_more_known_images_are_refused_than_wanted_and_others_nearly_always() -> None:
    shares, others = [], torch.randn(200, 8, generator=torch.Generator().manual_seed(9))
    for seed in range(60):
        features, targets = clouds(30, seed=3 * seed)
        detector = UnknownDetector.fit(features, targets, clouds(19, seed=3 * seed + 1)[0], 3, 0.1)
        shares.append((detector(clouds(200, seed=3 * seed + 2)[0]) < 0).float().mean().item())
        assert (detector(others) < 0).float().mean() > 0.8
    assert 0.08 < sum(shares) / 60 < 0.12


def test_length_does_not_matter() -> None:
    features, targets = clouds(30)
    detector = UnknownDetector.fit(features, targets, features, 3, 0.1)
    torch.testing.assert_close(detector(8 * features), detector(features))


def test_two_classes_suffice() -> None:
    features, targets = clouds(40, n_classes=2)
    detector = UnknownDetector.fit(features, targets, clouds(40, 2, seed=1)[0], 2, 0.1)
    assert (detector(clouds(40, 2, seed=2)[0]) >= 0).float().mean() > 0.7
    assert (detector(torch.eye(8)[4:] - 1) < 0).all()


@pytest.mark.parametrize(
    ("targets", "n_known", "message"),
    [
        ([0, 0, 2, 2], 30, "class 1 has no image to learn from"),
        ([0, 1, 2], 30, "do not differ within the classes"),
        ([0, 0, 1, 1, 2, 2], 18, "18 images are too few to choose a threshold, 19 or more are needed"),
    ],
)
def test_what_gives_no_detector_is_an_error(targets: list[int], n_known: int, message: str) -> None:
    features = torch.rand(len(targets), 5, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=message):
        UnknownDetector.fit(features, torch.tensor(targets), torch.rand(n_known, 5), 3, 0.05)


def test_weights_are_known_again_whatever_their_layout_and_no_others() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {"b": torch.rand(4, 3, 2, 2, generator=generator), "a": torch.tensor(3)}
    same = {"a": torch.tensor(3), "b": weights["b"].clone(memory_format=torch.channels_last)}
    assert torch.equal(digest_of(weights), digest_of(same))
    assert not torch.equal(digest_of(weights), digest_of(weights | {"a": torch.tensor(4)}))
