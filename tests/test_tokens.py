"""Pairs of texts to token ids: as the tokenizer reads them, each text once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors

from jbench.models.tokens import Pairs, cut, pad, tokenize
from tests import tiny
from tests.tiny import CORPUS


class Counted:
    """A tokenizer that keeps what it was asked for."""

    def __init__(self, tokenizer):
        self.tokenizer, self.asked = tokenizer, []

    def __call__(self, *sides, **settings):
        self.asked += [text for side in sides for text in ([side] if isinstance(side, str) else side)]
        return self.tokenizer(*sides, **settings)

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)


TOKENIZERS = ["words", "template", "bert", "roberta"]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    words, template, bert, roberta = tiny.words(tmp_path_factory.mktemp("words")), *(tiny.unigram() for _ in "123")
    bert.backend_tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    roberta.backend_tokenizer.post_processor = processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
    return dict(zip(TOKENIZERS, (words, template, bert, roberta), strict=True))


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(*[st.sampled_from([*CORPUS, "短い", "", CORPUS[0] * 3])] * 2), min_size=1, max_size=8),
    length=st.none() | st.integers(5, 60),
)
def test_pairs_are_read_as_the_tokenizer_reads_them(tokenizers, kind, pairs, length):
    pairs.sort(key=lambda pair: -len(pair[0]) - len(pair[1]))
    assert Pairs(tokenizers[kind])(pairs, length) == tokenize(tokenizers[kind], pairs, length)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_text_is_tokenized_once_in_however_many_pairs_it_stands(tokenizers, kind):
    counted = Counted(tokenizers[kind])
    pairs = Pairs(counted)
    pairs([(one, other) for one in CORPUS[:3] for other in CORPUS[2:]], None)
    pairs([(one, other) for one in CORPUS for other in CORPUS], None)
    # The first pair and the last one are read again; the second text and the fourth are in neither.
    assert [counted.asked.count(text) for text in CORPUS[1:4:2]] == [1, 1]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_are_padded_as_the_tokenizer_pads_them(tokenizers, kind, side):
    tokenizer = tokenizers[kind]
    tokenizer.padding_side = side
    rows = tokenize(tokenizer, [(CORPUS[0], "短い"), (CORPUS[1], CORPUS[2]), ("", "")], None).items
    theirs = tokenizer.pad({key: [row[key] for row in rows] for key in rows[0]}, return_tensors="pt")
    ours = pad(tokenizer, rows, "cpu")
    assert ours.keys() == theirs.keys()
    assert all(ours[key].tolist() == theirs[key].tolist() for key in ours)


@pytest.mark.parametrize(
    ("left", "right", "room", "kept"),
    [
        (3, 9, 10, (3, 7)),
        (9, 3, 10, (7, 3)),
        (9, 9, 10, (5, 5)),
        (9, 9, 11, (5, 6)),
        (12, 9, 11, (6, 5)),
        (20, 30, 7, (3, 4)),
        (0, 9, 4, (0, 4)),
    ],
)
def test_the_longer_side_is_cut_first_then_both_to_a_half(left, right, room, kept):
    assert tuple(map(len, cut([0] * left, [1] * right, room))) == kept
