"""Juman++ segmentation: as the SimCSE code prepares it, through rhoknp, against a stand-in that speaks its format."""

import sys
from pathlib import Path

import pytest

from jbench.models import segment
from jbench.types import Unavailable, UsageError

KU = "ku-nlp/deberta-v2-base-japanese"
FAKE = '''#!{python}
"""Words of two characters, in the format of Juman++; every line that comes in is noted in `log`."""
import sys
if sys.argv[1:] == ["--version"]:
    print("Juman++ Version: 2.0.0-rc4 / Dictionary: 20220605\\n")
    sys.exit()
for line in sys.stdin:
    text = line.rstrip("\\n")
    with open({log!r}, "a", encoding="utf-8") as log:
        log.write(text + "\\n")
    if text == "死":
        sys.exit(1)
    for i in range(0, len(text), 2):
        word = text[i : i + 2]
        print(word, word, word, "名詞 6 普通名詞 1 * 0 * 0", '"代表表記:x/x"' if i else "NIL")
        if i == 0:
            print("@", word, word, word, "名詞 6 サ変名詞 2 * 0 * 0", "NIL")
    print("EOS", flush=True)
'''


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A jumanpp on PATH; the lines that it was given."""
    program, log = tmp_path / "bin" / "jumanpp", tmp_path / "log"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable, log=str(log)), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return lambda: log.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("model", segment.MODELS)
def test_the_five_models_of_the_simcse_code_are_segmented_unless_asked_otherwise(model):
    assert segment.segmenter(model, None, None) == segment.segmenter(None, model, None) == "jumanpp"
    assert segment.segmenter(model, None, "none") == "none"


def test_others_are_segmented_when_asked_and_nothing_is_recorded_when_it_changes_nothing():
    assert len(segment.MODELS) == 5
    assert segment.segmenter("ku-nlp/deberta-v2-tiny-japanese", None, None) is None
    assert segment.segmenter(None, None, "none") is None
    assert segment.segmenter("org/name", None, "jumanpp") == "jumanpp"
    with pytest.raises(UsageError, match=r"unknown segmenter 'jumanp'; did you mean jumanpp\?"):
        segment.segmenter(KU, None, "jumanp")


@pytest.mark.parametrize(
    ("text", "wide"),
    [
        ("a B 0", "ａ　Ｂ　０"),
        ("!#$%&()*+,-./:;<=>?@[\\]^_{|}~", "！＃＄％＆（）＊＋，－．／：；＜＝＞？＠［＼］＾＿｛｜｝～"),
        ("\"'`¥", "”’‘￥"),
        ("ｶﾞｷﾞﾊﾟｳﾞｱｲｳ｡｢｣､･ｰ", "ガギパヴアイウ。「」、・ー"),
        ("ｱﾞﾅﾟﾞ", "ア゛ナ゜゛"),
        ("味噌ﾗｰﾒﾝは850円", "味噌ラーメンは８５０円"),
        ("全角ＡＢＣ　カナ", "全角ＡＢＣ　カナ"),
        ("", ""),
    ],
)
def test_characters_are_widened_as_the_simcse_code_widens_them(text, wide):
    assert segment.prepared(text) == wide


def test_a_text_above_the_limit_is_cut_at_a_character():
    assert segment.prepared("あ" * 1365) == "あ" * 1365
    assert segment.prepared("あ" * 1366) == "あ" * 1365
    # 4,096 bytes fit; of more than that the cut begins at 4,095, so that a two-byte character is lost whole.
    assert segment.prepared("é" * 2048) == "é" * 2048
    assert segment.prepared("é" * 2049) == "é" * 2047


def test_texts_become_words_joined_by_one_space(given):
    assert segment.jumanpp(["味噌ﾗｰﾒﾝ", "a b", ""]) == ["味噌 ラー メン", "ａ　 ｂ", ""]
    assert segment.jumanpp(["駅 前"]) == ["駅　 前"]
    assert given() == ["", "味噌ラーメン", "ａ　ｂ", "", "駅　前"]  # the first is rhoknp's own greeting


def test_many_texts_and_long_ones_go_through_one_process(given):
    texts = ["味噌" * n for n in (1, 600, 3)] * 5
    assert segment.jumanpp(texts) == [" ".join(["味噌"] * n) for n in (1, 600, 3)] * 5
    assert len(given()) == 1 + len(texts)


def test_a_line_break_in_a_text_does_not_shift_the_answers(given):
    assert segment.jumanpp(["味噌\n駅前", "傘"]) == ["味噌 駅前", "傘"]


def test_what_kills_the_program_is_one_line_and_the_next_text_is_served(given):
    with pytest.raises(Unavailable, match=r"^Juman\+\+ failed on '死': [^\n]+$"):
        segment.jumanpp(["死"])
    assert segment.jumanpp(["味噌汁"]) == ["味噌 汁"]


def test_the_version_is_one_line_for_the_settings(given):
    assert segment.version() == "2.0.0-rc4 / Dictionary: 20220605"


@pytest.mark.parametrize("call", [segment.version, lambda: segment.jumanpp(["味噌"])])
def test_without_the_program_one_line_says_what_to_do(call, tmp_path, monkeypatch, no_network):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        call()
    advice = "needs Juman++: install it, or run unsegmented and labelled with --model-set segmenter=none"
    assert advice in str(caught.value)
    assert "(no jumanpp on PATH)" in str(caught.value)


@pytest.mark.parametrize("module", ["rhoknp", "jaconv"])
def test_without_its_python_side_one_line_says_what_to_install(module, given, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unavailable, match=rf"no module {module}: pip install 'jbench\[jumanpp\]'"):
        segment.jumanpp(["味噌"])


def test_a_program_that_does_not_run_is_one_line(tmp_path, monkeypatch):
    broken = Path(tmp_path, "jumanpp")
    broken.write_text(f"#!{sys.executable}\nraise SystemExit(3)\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"\(jumanpp --version: CalledProcessError\)$"):
        segment.version()
    with pytest.raises(Unavailable, match=r"Juman\+\+ failed on '味噌'"):
        segment.jumanpp(["味噌"])
