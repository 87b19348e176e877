import pytest
import torch
import torch.nn.functional as F

from pets.model.losses import CrossEntropy, Loss, OneVsRest, loss_from_spec

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.3, -2.0], [1.0, 1.0, 1.0], [-3.0, 2.0, 4.0]])
TARGETS = torch.tensor([0, 2, 1, 2])
WEIGHTS = [1.0, 2.0, 0.5]


def test_cross_entropy_is_torchs() -> None:
    torch.testing.assert_close(CrossEntropy()(LOGITS, TARGETS), F.cross_entropy(LOGITS, TARGETS))
    smoothed = F.cross_entropy(LOGITS, TARGETS, label_smoothing=0.1)
    torch.testing.assert_close(CrossEntropy(label_smoothing=0.1)(LOGITS, TARGETS), smoothed)
    items = F.cross_entropy(LOGITS, TARGETS, reduction="none")
    torch.testing.assert_close(CrossEntropy()(LOGITS, TARGETS, reduction="none"), items)


def test_label_smoothing_is_fastais_formula() -> None:
    log_p = LOGITS.log_softmax(dim=1)
    expected = -0.1 / 3 * log_p.sum(dim=1) - 0.9 * log_p.gather(1, TARGETS[:, None]).squeeze(1)
    torch.testing.assert_close(CrossEntropy(label_smoothing=0.1)(LOGITS, TARGETS, reduction="none"), expected)


def test_weighted_mean_does_not_depend_on_the_batches() -> None:
    loss = CrossEntropy(class_weights=WEIGHTS)
    halves = torch.stack([loss(LOGITS[:2], TARGETS[:2]), loss(LOGITS[2:], TARGETS[2:])])
    torch.testing.assert_close(halves.mean(), loss(LOGITS, TARGETS))
    items = torch.tensor(WEIGHTS)[TARGETS] * F.cross_entropy(LOGITS, TARGETS, reduction="none")
    torch.testing.assert_close(loss(LOGITS, TARGETS, reduction="none"), items)


def test_one_vs_rest_is_the_mean_over_classes() -> None:
    expected = F.binary_cross_entropy_with_logits(LOGITS, F.one_hot(TARGETS, 3).float())
    torch.testing.assert_close(OneVsRest()(LOGITS, TARGETS), expected)
    assert OneVsRest()(LOGITS, TARGETS, reduction="none").shape == (4,)


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.1, WEIGHTS), OneVsRest()])
def test_index_and_one_hot_targets_agree_and_soft_ones_are_linear(loss: Loss) -> None:
    first, second = F.one_hot(TARGETS, 3).float(), F.one_hot(TARGETS.flip(0), 3).float()
    by_index, by_other = (loss(LOGITS, targets, reduction="none") for targets in (TARGETS, TARGETS.flip(0)))
    torch.testing.assert_close(loss(LOGITS, first, reduction="none"), by_index)
    mixed = loss(LOGITS, 0.3 * first + 0.7 * second, reduction="none")
    torch.testing.assert_close(mixed, 0.3 * by_index + 0.7 * by_other)


def test_probabilities_belong_to_the_loss() -> None:
    torch.testing.assert_close(CrossEntropy().probabilities(LOGITS).sum(dim=1), torch.ones(4))
    torch.testing.assert_close(OneVsRest().probabilities(LOGITS), 1 / (1 + (-LOGITS).exp()))


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.1, WEIGHTS), OneVsRest()])
def test_a_loss_is_rebuilt_from_its_spec(loss: Loss) -> None:
    rebuilt = loss_from_spec(loss.spec())
    assert type(rebuilt) is type(loss)
    assert torch.equal(rebuilt(LOGITS, TARGETS), loss(LOGITS, TARGETS))
    assert not loss.state_dict()


def test_a_value_outside_what_is_allowed_is_named() -> None:
    with pytest.raises(ValueError, match=r"loss\.label_smoothing=1\.5"):
        CrossEntropy(label_smoothing=1.5)
    with pytest.raises(ValueError, match=r"loss\.class_weights=\[1\.0, -1\.0\]"):
        CrossEntropy(class_weights=[1.0, -1.0])
    with pytest.raises(ValueError, match="3 weights for 37 classes"):
        CrossEntropy(class_weights=WEIGHTS).check(37)
    with pytest.raises(ValueError, match=r"^loss\.kind='os\.system' is not allowed: cross_entropy, one_vs_rest$"):
        loss_from_spec({"kind": "os.system"})
    with pytest.raises(ValueError, match="gamma"):
        loss_from_spec({"kind": "cross_entropy", "gamma": 2})


def test_balanced_weights_are_inverse_to_the_counts_and_1_on_average_over_the_images() -> None:
    loss = CrossEntropy(class_weights="balanced")
    assert loss.spec()["class_weights"] == "balanced"
    with pytest.raises(ValueError, match="class_weights=balanced: the weights are known once a fit has counted"):
        loss(LOGITS, TARGETS)
    loss.balance([60, 30, 10])
    assert loss.spec()["class_weights"] == pytest.approx([100 / 180, 100 / 90, 100 / 30])
    assert sum(n * w for n, w in zip([60, 30, 10], loss.spec()["class_weights"], strict=True)) == pytest.approx(100)
    rebuilt = loss_from_spec(loss.spec())
    assert torch.equal(rebuilt(LOGITS, TARGETS), loss(LOGITS, TARGETS))


def test_other_weights_do_not_follow_the_counts() -> None:
    loss = CrossEntropy(class_weights=WEIGHTS)
    loss.balance([60, 30, 10])
    assert loss.spec()["class_weights"] == WEIGHTS
