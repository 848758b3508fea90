"""classify, zero_shot, tag, rerank, fill_mask, tokenize: what the program prints, to the bit."""

import mlx_encoder
import pytest


def test_classify(load, tiny, program):
    encoder = load("distilbert_nli")
    assert encoder.labels == ["entailment", "neutral", "contradiction"]
    (expected,) = program("classify", tiny("distilbert_nli"), "--engine", "cpu", "It rained.", "--pair", "The road is wet.")
    one = encoder.classify(("It rained.", "The road is wet."))
    assert (one.label, one.scores, one.logits) == (expected["label"], expected["scores"], expected["logits"])
    assert one.score == max(one.scores.values()) == one.scores[one.label]
    many = encoder.classify([("It rained.", "The road is wet."), "It rained."])
    assert many[0] == one and many[1] != one
    assert encoder.classify([]) == []
    with pytest.raises(mlx_encoder.UnsupportedError, match="classification head"):
        load("st_mean_norm").classify("x")


def test_zero_shot(load, tiny, program):
    (expected,) = program("zero-shot", tiny("distilbert_nli"), "--engine", "cpu", "The match ended.", "--labels", "sports,food")
    found = load("distilbert_nli").zero_shot("The match ended.", ["sports", "food"])
    assert found.scores == expected["scores"] and found.label == expected["label"]
    each = load("distilbert_nli").zero_shot(["The match ended."], ["sports", "food"], multi_label=True)
    assert len(each) == 1 and sum(each[0].scores.values()) != pytest.approx(1)
    with pytest.raises(mlx_encoder.UsageError):
        load("distilbert_nli").zero_shot("x", [])


def test_tag(load, tiny, program):
    text = "The café road is long."
    for strategy in ("none", "simple", "first"):
        (expected,) = program("tag", tiny("bert_ner"), "--engine", "cpu", "--aggregation", strategy, text)
        found = load("bert_ner").tag(text, aggregation_strategy=strategy)
        assert [(e.label, e.start, e.end, e.text) for e in found] == [
            (e["label"], e["begin"], e["end"], e["text"]) for e in expected["entities"]
        ]
        assert found and all(text[e.start : e.end] == e.text for e in found)
    assert load("bert_ner").tag([text, text])[1] == load("bert_ner").tag(text)
    with pytest.raises(mlx_encoder.UsageError):
        load("bert_ner").tag(text, aggregation_strategy="best")


def test_rerank(load, tiny, program):
    documents = ["the road", "a house", "the warm bread"]
    expected = program("rerank", tiny("qwen3_rerank"), "--engine", "cpu", "the road", *documents)
    found = load("qwen3_rerank").rerank("the road", documents)
    assert [d.index for d in found] == [d["index"] for d in expected]
    assert [d.score for d in found] == [d["score"] for d in expected]
    assert [d.text for d in found] == [documents[d.index] for d in found]
    assert load("qwen3_rerank").rerank("the road", iter(documents), top_k=1) == found[:1]


def test_fill_mask(load, tiny, program):
    encoder = load("bert_mlm")
    text = f"the {encoder.info.mask_token} road"
    (expected,) = program("fill-mask", tiny("bert_mlm"), "--engine", "cpu", "--top-k", 3, text)
    (mask,) = encoder.fill_mask(text, top_k=3)
    assert [f.token for f in mask.fills] == [f["token"] for f in expected["masks"][0]["fills"]]
    assert len(encoder.fill_mask([text, text + text])[1]) == 2
    with pytest.raises(mlx_encoder.FormatError):
        encoder.fill_mask("no mask")


def test_tokenize(load, tiny, program):
    (expected,) = program("tokenize", tiny("bert"), "The road")
    found = load("bert").tokenize("The road")
    assert found.ids == expected["ids"] and found.tokens[0] == "[CLS]" and found.sequence[0] == -1
    begin, end = found.offsets[1]
    assert "The road"[begin:end].lower() == found.tokens[1]
    pair, text = load("bert").tokenize([("a", "b"), "a"])
    assert set(pair.type_ids) == {0, 1} and set(text.type_ids) == {0}
