"""bge-m3's sparse and multi-vector heads, from pickles that the converter alone reads, compared with its formulas."""

import shutil

import numpy as np
import pytest

from jbench import Texts, open_model
from jbench.models.convert import convert
from jbench.models.locate import locate
from jbench.models.options import Options
from jbench.types import Unavailable
from tests import tiny

QUERIES = ("味噌の寝かせ方", "駅まで傘を差して歩いた", "コーヒー コーヒー ☃")
DOCUMENTS = (*tiny.CORPUS, tiny.CORPUS[2] * 9)
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return tiny.bge_m3(tmp_path_factory.mktemp("m3") / "bge-m3")


@pytest.fixture
def converted(published):
    convert(locate(str(published), None))
    return published


def scores(string, **options):
    model = open_model(string, Options(**options))
    return model.score(PAIRS, ("query", "document")).reshape(len(QUERIES), len(DOCUMENTS))


@pytest.fixture(scope="module")
def tokens(published):
    """Of a text the ids and the last hidden states, float64, and the layer of a head."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, XLMRobertaModel

    tokenizer = AutoTokenizer.from_pretrained(published)
    model = XLMRobertaModel(AutoConfig.from_pretrained(published)).eval()
    model.load_state_dict(torch.load(published / "pytorch_model.bin", weights_only=True))

    def read(text):
        with torch.no_grad():
            row = tokenizer(text, return_tensors="pt")
            return row["input_ids"][0].tolist(), model(**row).last_hidden_state[0].double().numpy()

    def layer(head):
        held = torch.load(published / f"{head}.pt", weights_only=True)
        return held["weight"].double().numpy(), held["bias"].double().numpy()

    return read, layer


def test_the_sparse_head_weighs_each_token_by_its_best(converted, tokens):
    read, layer = tokens
    weight, bias = layer("sparse_linear")

    def weights(text):
        ids, hidden = read(text)
        found = {}
        for i, state in zip(ids, hidden, strict=True):
            value = max(0.0, float((state @ weight.T + bias)[0]))
            if i not in (0, 1, 2, 3):  # padding, unknown, begin, end
                found[i] = max(found.get(i, 0.0), value)
        return found

    queries, documents = [weights(q) for q in QUERIES], [weights(d) for d in DOCUMENTS]
    wanted = [[sum(w * d.get(i, 0) for i, w in q.items()) for d in documents] for q in queries]
    mine = scores(f"sparse:{converted}")
    assert np.abs(mine - wanted).max() < 1e-4
    assert np.ptp(mine) > 1e-3


def test_the_multi_vector_head_leaves_out_the_first_token_and_divides_by_the_querys(converted, tokens):
    read, layer = tokens
    weight, bias = layer("colbert_linear")

    def vectors(text):
        made = read(text)[1][1:] @ weight.T + bias
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    queries, documents = [vectors(q) for q in QUERIES], [vectors(d) for d in DOCUMENTS]
    wanted = [[(q @ d.T).max(1).sum() / len(q) for d in documents] for q in queries]
    model = open_model(f"colbert:{converted}")
    mine = model.score(PAIRS, ("query", "document")).reshape(len(QUERIES), len(DOCUMENTS))
    assert np.abs(mine - wanted).max() < 1e-4
    assert (model.card.settings["layout"], model.card.settings["similarity"]) == ("bge-m3", "meanmaxsim")
    assert model.card.variant == {"adapter": "colbert"}


def test_without_a_prefix_it_is_the_dense_model_that_its_modules_say(converted):
    model = open_model(str(converted))
    assert model.card.adapter == "dense"
    assert not model.card.variant
    assert np.isfinite(model.score(PAIRS, ("query", "document"))).all()


def test_a_length_cuts_queries_and_documents(converted):
    model = open_model(f"colbert:{converted}", Options(settings={"query_length": "6", "document_length": "9"}))
    model.search(Texts(["a"], [QUERIES[1]]), Texts(["1"], [DOCUMENTS[0]]), 1)
    assert model.report()["truncated"] == 2


@pytest.mark.parametrize("prefix", ["sparse:", "colbert:"])
def test_pickles_are_not_read(prefix, tmp_path):
    folder = tiny.bge_m3(tmp_path / "bge-m3", pickled=False)
    with pytest.raises(
        Unavailable, match=r"bge-m3/sparse_linear\.pt is pickled, and not read so; `jbench fetch --convert"
    ):
        open_model(f"{prefix}{folder}")
    convert(locate(str(folder), None))
    assert np.isfinite(open_model(f"{prefix}{folder}").score(PAIRS, ("query", "document"))).all()


@pytest.mark.parametrize("prefix", ["sparse:", "colbert:"])
@pytest.mark.parametrize("missing", ["sparse_linear", "colbert_linear"])
def test_one_head_alone_is_refused(prefix, missing, published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "bge-m3")
    (folder / f"{missing}.pt").unlink()
    convert(locate(str(folder), None))
    with pytest.raises(Unavailable, match=f"bge-m3 has no {missing}.pt: of the two heads"):
        open_model(f"{prefix}{folder}")


def test_a_head_of_another_model_is_refused(published, tmp_path):
    import torch

    folder = shutil.copytree(published, tmp_path / "bge-m3")
    torch.save(torch.nn.Linear(16, 1).state_dict(), folder / "sparse_linear.pt")
    convert(locate(str(folder), None))
    with pytest.raises(Unavailable, match=r"sparse_linear holds .*\(1, 16\).*, no layer over tokens of 32 numbers"):
        scores(f"sparse:{folder}")


def test_other_dense_models_have_no_such_heads(dense_bert):
    from jbench.types import UsageError

    with pytest.raises(UsageError, match="dense-bert is no sparse model: it has no head that weighs the vocabulary"):
        open_model(f"sparse:{dense_bert}")
