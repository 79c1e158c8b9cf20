"""Each distinct text once, whatever batch it falls in, and what was cut is counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbench.encode import Encoder, Reader, Tokenized, batches
from jbench.models.dense import dense
from jbench.models.locate import locate
from jbench.models.options import Options
from jbench.store import Memory, Shards
from jbench.types import InvalidScores, Unavailable, silent
from tests.tiny import CORPUS


def letters(max_length=4, asked=None, forward=None, kept=None):
    """An encoder whose tokens are letters and whose vector is (length, first letter)."""
    seen = []

    def tokenize(texts, prompt):
        if asked is not None:
            asked.append(list(texts))
        said = [prompt + t for t in texts]
        cut = [t[:max_length] for t in said]
        lost = [max(0, len(t) - max_length) for t in said]
        return Tokenized(cut, [len(t) for t in cut], lost)

    def vectors(batch, prompt):
        seen.append(batch)
        return np.float32([[len(t), ord(t[0])] for t in batch])

    reader = Reader(tokenize, forward or vectors, 8)
    return Encoder(lambda: reader, silent, kept=Memory() if kept is None else kept), seen


def test_a_text_is_encoded_once_and_returned_in_its_place():
    encoder, seen = letters()
    vectors = encoder(["bb", "a", "bb"], "")
    encoder(["a", "ccc"], "")
    assert [v.tolist() for v in vectors] == [[2, 98], [1, 97], [2, 98]]
    assert sum(map(len, seen)) == 3


def test_a_prompt_makes_another_text():
    encoder, seen = letters()
    assert encoder(["a"], "q:")[0].tolist() == [3, ord("q")]
    encoder(["a"], "")
    assert sum(map(len, seen)) == 2


def test_what_is_cut_is_counted_also_when_it_was_encoded_before():
    encoder, _ = letters(max_length=2)
    encoder(["abcd", "ab", "abcd"], "")
    assert (encoder.tally.truncated, encoder.tally.tokens_lost) == (1, 2)
    encoder(["abcd"], "")
    assert (encoder.tally.truncated, encoder.tally.tokens_lost) == (1, 2)
    encoder.tally.take()
    encoder(["abcd"], "")
    assert (encoder.tally.truncated, encoder.tally.tokens_lost) == (1, 2)


def test_a_vector_that_is_not_finite_names_its_text():
    encoder, _ = letters(forward=lambda batch, prompt: np.full((len(batch), 2), np.nan, np.float32))
    with pytest.raises(InvalidScores, match="non-finite vector for the text '味噌'"):
        encoder(["味噌"], "")


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 200))
def test_batches_hold_each_text_once_within_the_budget(lengths, budget):
    found = batches(np.array(lengths, np.int64), budget)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
        assert [lengths[i] for i in batch] == sorted((lengths[i] for i in batch), reverse=True)


@pytest.mark.parametrize(
    ("lengths", "budget", "found"),
    [
        ([5, 5, 5, 5], 20, [4]),
        ([5, 5, 5, 5], 19, [3, 1]),
        ([5, 5, 5, 4], 40, [4]),  # padding within a twentieth
        ([5, 5, 5, 5, 3], 40, [4, 1]),  # more, and an eighth of the budget is there
        ([5, 3], 100, [2]),  # more, and there is no batch to speak of yet
        ([5, 5, 5, 5, 5, 4], 40, [5, 1]),  # more than half the budget without any padding
        ([], 10, []),
    ],
)
def test_a_batch_ends_before_much_padding(lengths, budget, found):
    assert [len(batch) for batch in batches(np.array(lengths, np.int64), budget)] == found


@pytest.mark.parametrize("layout", ["dense_bert", "dense_unigram"])
@pytest.mark.parametrize("prompt", ["", "検索: "])
def test_vectors_equal_sentence_transformers_own(layout, prompt, request):
    from sentence_transformers import SentenceTransformer

    folder = request.getfixturevalue(layout)
    texts = [*CORPUS, "短い。", CORPUS[0] * 60, ""]
    theirs = SentenceTransformer(str(folder), device="cpu").encode(texts, prompt=prompt, batch_size=3)
    model = dense(locate(str(folder), None), Options(prompts={"query": prompt}))
    assert np.abs(model._encode(texts, "query") - theirs).max() < 1e-5


def test_a_vector_does_not_depend_on_its_neighbours(dense_bert):
    alone = dense(locate(str(dense_bert), None), Options())
    together = dense(locate(str(dense_bert), None), Options())
    one = np.stack([alone._encode([text], "sts")[0] for text in CORPUS])
    assert np.abs(one - together._encode(CORPUS, "sts")).max() < 1e-5


def test_a_model_without_a_transformer_is_encoded_by_the_library(bare_unigram, tmp_path):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    torch.manual_seed(0)
    table = StaticEmbedding(Tokenizer.from_file(str(bare_unigram / "tokenizer.json")), embedding_dim=16)
    SentenceTransformer(modules=[table], device="cpu").save(str(tmp_path / "static"))
    model = dense(locate(str(tmp_path / "static"), None), Options())
    theirs = SentenceTransformer(str(tmp_path / "static"), device="cpu").encode(list(CORPUS))
    assert np.abs(model._encode(CORPUS, "sts") - theirs).max() < 1e-6
    assert (model.card.settings["pooling"], model.card.settings["max_length"]) == (None, None)


def test_what_is_remembered_is_bounded():
    encoder, seen = letters(kept=Memory(8))  # one vector of two float32
    encoder(["aaa", "b"])
    again = encoder(["b", "aaa"])
    assert [v.tolist() for v in again] == [[1, 98], [3, 97]]
    assert sum(map(len, seen)) == 3


def test_items_are_tokenized_a_part_at_a_time(monkeypatch):
    from jbench import encode

    monkeypatch.setattr(encode, "_FIRST", 2)
    monkeypatch.setattr(encode, "_AT_ONCE", 2)
    asked = []
    encoder, _ = letters(asked=asked)
    assert [v[0] for v in encoder(["a", "bbb", "cc", "dddd", "e"])] == [1, 3, 2, 4, 1]
    assert asked == [["dddd", "bbb"], ["cc", "a"], ["e"]]


def test_a_tally_taken_begins_anew():
    encoder, _ = letters()
    encoder(["a", "bb"])
    with encoder.tally.preparing():
        encoder.tally.hold(encoder(["ccc"]))
    taken = encoder.tally.take()
    assert (taken.items, taken.tokens, taken.documents, taken.stored) == (3, 6, 1, 2)
    assert taken.setup > 0
    assert encoder.tally == type(taken)()


def test_a_batch_that_does_not_fit_is_halved_and_so_are_those_that_follow():
    sizes = []

    def forward(batch, prompt):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return np.float32([[len(t), ord(t[0])] for t in batch])

    encoder, _ = letters(forward=forward)
    texts = ["a", "b", "c", "d", "e", "f", "g", "h"]
    assert [v.tolist() for v in encoder(texts)] == [[1, ord(t)] for t in texts]
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert encoder.tally.rates()["halved"] == 2
    encoder(["i", "j", "k"])
    assert sizes[6:] == [2, 1]


def test_one_text_that_does_not_fit_alone_says_what_to_set():
    def forward(batch, prompt):
        raise MemoryError

    encoder, _ = letters(forward=forward)
    with pytest.raises(Unavailable, match="one text alone needs more memory than there is: --model-set max_length=N"):
        encoder(["a"])


def test_another_error_of_the_model_is_not_taken_for_too_little_memory():
    def forward(batch, prompt):
        raise RuntimeError("shapes cannot be multiplied")

    encoder, _ = letters(forward=forward)
    with pytest.raises(RuntimeError, match="shapes"):
        encoder(["a", "b"])


def test_nothing_is_loaded_when_nothing_is_new():
    kept = Memory()
    letters(kept=kept)[0](["a", "bb"])
    encoder = Encoder(lambda: pytest.fail("weights were loaded"), silent, kept=kept)
    assert [v.tolist() for v in encoder(["bb", "a", "a"])] == [[2, 98], [1, 97], [1, 97]]
    assert encoder.tally.rates() == {"reused": 2}


def test_windows_leave_it_to_the_store_when_to_write(tmp_path):
    shelf = Shards(tmp_path, lambda: {"model": "m", "revision": "", "settings": {}}, "float32", 1 << 30, print)
    encode, _ = letters(kept=shelf)
    with encode.gathering():
        for text in "abc":
            encode([text])
        assert not list(tmp_path.glob("*.safetensors"))
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
