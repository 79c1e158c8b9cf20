"""The reports' losses on literal numbers, worked out by hand with exp and log."""

import pytest

torch = pytest.importorskip("torch")

from jbench.train import losses  # noqa: E402

SCORES = torch.tensor([[1.0, 2.0, 0.5, -1.0], [3.0, 0.0, 2.0, 1.0]])
"""Two queries, two documents each: the first query's are columns 0 and 1, the second's 2 and 3."""

QUERIES = [[1.0, 0.0], [0.6, 0.8]]
POSITIVES = [[0.8, 0.6], [0.0, 1.0]]
NEGATIVES = [[0.6, -0.8], [1.0, 0.0]]


class Given(torch.nn.Module):
    """A model whose embeddings are its input."""

    def forward(self, features, **settings):
        return features


def columns(*texts):
    return [{"sentence_embedding": torch.tensor(text)} for text in texts]


def test_jacolberts_loss_is_the_sum_of_a_pairwise_and_an_in_batch_part():
    own = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    assert losses.pairwise(own).item() == pytest.approx(0.81326169)
    assert losses.in_batch(SCORES, ways=2).item() == pytest.approx(0.95198457)
    both = losses.colbert_objective(SCORES, 2, None, ib=True, normalise=False)
    assert both.item() == pytest.approx(0.81326169 + 0.95198457)


def test_one_softmax_over_all_documents_would_be_another_loss():
    assert torch.nn.functional.cross_entropy(SCORES, torch.tensor([0, 2])).item() == pytest.approx(1.46768580)


def test_v1_without_in_batch_negatives_is_the_pairwise_part_alone():
    alone = losses.colbert_objective(SCORES, 2, None, ib=False, normalise=False)
    assert alone.item() == pytest.approx(0.81326169)


@pytest.mark.parametrize(
    ("normalise", "temperature", "value"), [(False, 1.0, 0.43083542), (True, 1.0, 0.16447293), (True, 0.5, 0.58841825)]
)
def test_distillation_is_the_divergence_from_the_teacher_mean_over_queries(normalise, temperature, value):
    student = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.4, 0.3]])
    teacher = torch.tensor([[10.0, 2.0, 0.0], [1.0, 0.0, 0.5]])
    assert losses.distilled(student, teacher, normalise=normalise, temperature=temperature).item() == pytest.approx(
        value
    )
    # Moving and stretching a query's scores, either side's, changes nothing once they are normalised.
    moved = losses.distilled(student * 7 + 3, teacher / 2 - 1, normalise=normalise, temperature=temperature).item()
    assert (moved == pytest.approx(value)) is normalise


def test_min_max_runs_from_0_to_1_in_each_row_and_a_row_of_one_value_is_zeros():
    assert losses.min_max(torch.tensor([[0.0, 5.0, 10.0], [2.0, 2.0, 2.0]])).tolist() == [[0, 0.5, 1], [0, 0, 0]]


def test_v2_distils_raw_scores_and_adds_the_in_batch_part():
    teacher = torch.tensor([[3.0, 1.0], [0.0, 2.0]])
    own = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    found = losses.colbert_objective(SCORES, 2, teacher, ib=True, normalise=False)
    assert found.item() == pytest.approx(losses.distilled(own, teacher, normalise=False).item() + 0.95198457)


@pytest.mark.parametrize(
    ("texts", "value"), [((QUERIES, POSITIVES), 0.52489684), ((QUERIES, POSITIVES, NEGATIVES), 1.18229608)]
)
def test_simcse_takes_every_other_rows_positive_and_every_rows_negative(texts, value):
    loss = losses.simcse_loss(Given(), temperature=0.5, mini_batch=0, gather=False)
    assert loss(columns(*texts), None).item() == pytest.approx(value)


def test_ruris_contrastive_loss_has_four_sums_in_one_softmax():
    loss = losses.contrastive_loss(Given(), temperature=0.5, mini_batch=0, gather=False)
    assert loss(columns(QUERIES, POSITIVES, NEGATIVES), None).item() == pytest.approx(1.91906610)


class Logits(torch.nn.Module):
    """A cross-encoder that reads each pair's logit from the document."""

    num_labels, device = 1, torch.device("cpu")

    def preprocess(self, pairs, **settings):
        return {"logits": torch.tensor([float(document) for _, document in pairs])}

    def forward(self, tokens):
        return {"scores": tokens["logits"]}


@pytest.mark.parametrize(("positive", "value"), [(losses.POSITIVE, 0.44018970), (1.0, 1.48945593)])
def test_the_rerankers_loss_is_softmax_cross_entropy_by_its_labels_and_not_with_a_label_of_1(positive, value):
    inputs = [["問い"], [["2", "1", "0", "-1"]]]
    labels = [torch.tensor([positive, 0.0, 0.0, 0.0])]
    assert losses.reranker_loss(Logits())(inputs, labels).item() == pytest.approx(value)


def gradients(model, loss, texts, labels):
    """The loss and every gradient, dropout off."""
    model.eval()
    model.zero_grad()
    features = [model.preprocess(list(side), task="document" if i else "query") for i, side in enumerate(texts)]
    value = loss(features, labels)
    value.backward()
    return value.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


TEXTS = (
    ("雨が降った。", "図書館はどこ。", "味噌を造る。"),
    ("傘を差して駅まで歩いた。", "図書館の返却ポスト。", "大豆と麹と塩。"),
    ("自転車のチェーン。", "コーヒーを2杯飲んだ。", "音がしなくなりました。"),
)
TEACHER = torch.tensor([[8.0, 1.0], [3.0, 2.5], [6.0, -1.0]])


def close(one, other):
    assert one[0] == pytest.approx(other[0], abs=1e-6)
    assert one[1].keys() == other[1].keys()
    largest = max(gradient.abs().max() for gradient in other[1].values())
    assert max((one[1][name] - other[1][name]).abs().max() for name in one[1]) < 1e-6 * largest


def test_cached_dense_distillation_has_the_gradients_of_the_whole_batch(dense_bert):
    from sentence_transformers import SentenceTransformer

    # Min-max of scores near each other multiplies float32's rounding.
    model = SentenceTransformer(str(dense_bert), device="cpu").double()

    def whole(features, labels):
        query, *documents = (torch.nn.functional.normalize(model(f)["sentence_embedding"], dim=1) for f in features)
        own = torch.stack([(query * document).sum(1) for document in documents], dim=1)
        return losses.distilled(own, labels, normalise=True, temperature=0.1)

    cached = losses.dense_distillation(model, mini_batch=2, temperature=0.1)
    # Min-max makes 0 and 1 of any two scores, which leaves no gradient: three documents a question.
    texts = (*TEXTS, ("犬が庭を走った。", "新しい靴を買った。", "砂糖を少し入れる。"))
    teacher = torch.cat([TEACHER, torch.tensor([[4.0], [1.0], [2.0]])], dim=1).double()
    close(gradients(model, cached, texts, teacher), gradients(model, whole, texts, teacher))


@pytest.mark.parametrize("labels", [None, TEACHER])
@pytest.mark.parametrize("normalise", [False, True])
def test_cached_late_interaction_has_the_gradients_of_the_whole_batch(colbert_native, labels, normalise):
    from sentence_transformers import MultiVectorEncoder

    model = MultiVectorEncoder(str(colbert_native), device="cpu")
    settings = {"in_batch_negatives": True, "normalise": normalise}
    cached, whole = (losses.colbert_loss(model, size, **settings) for size in (2, 0))
    close(gradients(model, cached, TEXTS, labels), gradients(model, whole, TEXTS, labels))


def test_the_head_is_there_in_training_and_neither_in_evaluation_nor_in_what_is_saved(dense_bert, tmp_path):
    from sentence_transformers import SentenceTransformer

    bare = SentenceTransformer(str(dense_bert), device="cpu")
    head = losses.train_head(32)
    model = SentenceTransformer(modules=[*bare, head], device="cpu")
    features = {"sentence_embedding": torch.full((1, 32), 0.5)}
    assert head.eval()(dict(features))["sentence_embedding"].equal(features["sentence_embedding"])
    weight, bias = head.linear.weight, head.linear.bias
    expected = torch.tanh(features["sentence_embedding"] @ weight.T + bias)
    assert torch.allclose(head.train()(dict(features))["sentence_embedding"], expected)
    assert [type(module).__name__ for module in losses.without_head(model)] == ["Transformer", "Pooling"]
    assert (model.encode("雨") == bare.encode("雨")).all()
