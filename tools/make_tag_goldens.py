"""Makes tests/data/tag/cases.json: what transformers' token-classification pipeline makes of texts, by every kind of
tokenizer, and which tag the first token of each word has in texts that are split into words.

    python tools/make_tag_goldens.py        (environment: tools/requirements-goldens.txt)

Each model is a folder of tests/data/tiny with keys changed in its JSON files, and with a classifier whose weights are
multiplied by `scale` and whose bias is replaced: random weights alone would give most tokens the same tag. It has
    entities   {strategy: [entities of each text]}
    windows    [{stride, strategy, entities: [of each long text]}], by the pipeline's stride
    words      [tags of the words of each sentence], by is_split_into_words; a word without a token is O
An entity is [label, score, begin, end]. `largest` is the largest logit, with or without the bias.

Every model runs a second time in float64, and a third time with noise on its logits: neither may change anything but
scores.
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification, AutoTokenizer

import tiny_tokenizers

TESTS = Path(__file__).resolve().parent.parent / "tests" / "data"
OUT = TESTS / "tag"
STRATEGIES = ("none", "simple", "first", "average", "max")
NOISE = 3e-5  # relative to the largest logit; three times the tests' tolerance

TEXTS = [
    "The cat sat on the warm piano.",
    "  The ferry   left  the harbour ",
    "road,river;bridge(west)-the  town!",
    "She counted\nthe boxes\ttwice.\n\nThe end",
    "🚢🚢 ferry 👩‍👩‍👧 rain👍🏽",
    "Cafe\u0301 nai\u0308ve o\u0302\u0301 au lait",
    "渡し船left 船 Привет, the 3/4",
    "don't the neighbour's 12,5 %",
    "a\u00a0river\u3000the\u200b road",
    "the [SEP] cat </s><unk>[UNK] <mask> [MASK]road",
    "\n",
    "   ",
    "",
    "船",
]
LONG_TEXTS = [
    tiny_tokenizers.TEXTS[-1],
    " 🚢 渡し船 left  the harbour,\nand Cafe\u0301 au lait was all that 12,5 % of the children,wanted  before the rain "
    "🚢🚢 counted the boxes;船 the birds ",
    "The cat sat.",
    "",
]
WINDOWS = [(0, "simple"), (7, "simple"), (7, "first"), (7, "average"), (30, "max")]
SENTENCES = [
    ["The", "cat", "sat", "on", "the", "warm", "piano", "."],
    ["🚢", "渡し船", "harbourside", ",", "Café"],
    ["Привет", "3/4", "don't", "and", "...", "the"],
    ["road", "\u200b", "船", "the", "%", "!"],
    ["x"],
]

PREFIX = {"tokenizer_config.json": dict(add_prefix_space=True)}
# As published ModernBERT and DeBERTa have it: the offsets of a token include the space before it.
UNTRIMMED = dict(type="TemplateProcessing",
                 single=[dict(SpecialToken=dict(id="<s>", type_id=0)), dict(Sequence=dict(id="A", type_id=0)),
                         dict(SpecialToken=dict(id="</s>", type_id=0))],
                 pair=[dict(SpecialToken=dict(id="<s>", type_id=0)), dict(Sequence=dict(id="A", type_id=0)),
                       dict(SpecialToken=dict(id="</s>", type_id=0)), dict(Sequence=dict(id="B", type_id=0)),
                       dict(SpecialToken=dict(id="</s>", type_id=0))],
                 special_tokens={"<s>": dict(id="<s>", ids=[0], tokens=["<s>"]),
                                 "</s>": dict(id="</s>", ids=[2], tokens=["</s>"])})
MODELS = [
    dict(name="wordpiece", folder="bert_ner", changes={}),
    dict(name="wordpiece_left", folder="bert_ner", changes={"tokenizer_config.json": dict(truncation_side="left")},
         only="windows"),
    dict(name="byte_level", folder="roberta_ner", changes={}, words=False),  # transformers wants the space
    dict(name="byte_level_prefix", folder="roberta_ner", changes=PREFIX),
    dict(name="byte_level_untrimmed", folder="modernbert_ner", changes={"tokenizer.json": dict(post_processor=UNTRIMMED)},
         words=False),
    dict(name="byte_level_untrimmed_prefix", folder="modernbert_ner",
         changes=PREFIX | {"tokenizer.json": dict(post_processor=UNTRIMMED)}, only="words"),
    dict(name="unigram_xlm_roberta", folder="camembert_ner", changes={}),
    dict(name="unigram_deberta_v2", folder="deberta_v2_ner", changes={}),
    dict(name="unigram_albert", folder="albert_ner", changes={}),
]


def copy_changed(case, parent):
    folder = Path(parent) / case["name"]
    shutil.copytree(TESTS / "tiny" / case["folder"], folder)
    for file, keys in case["changes"].items():
        values = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(values | keys))
    return folder


def all_logits(folder, tokenizer):
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    rows = []
    for text in TEXTS + LONG_TEXTS:
        with torch.no_grad():
            rows.append(model(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0, 1:-1])
    return torch.cat(rows)


def balance(case, folder, tokenizer, attempt):
    """A classifier that gives neighbours different tags: the bias is such that two fifths are "O"."""
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"].zero_()
    logits = None
    for scale in (1, 2, 4, 8):
        weights["classifier.weight"] *= 2 if scale > 1 else 1
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        logits = all_logits(folder, tokenizer)
        if logits.std(0).mean() > 2:
            break
    largest = logits.abs().max().item()
    share = torch.tensor([0.4, 0.15, 0.15, 0.15, 0.15])
    bias = -logits.mean(0)
    for _ in range(300):
        tags = torch.bincount((logits + bias).argmax(1), minlength=5) / len(logits)
        bias += 0.05 * logits.std() * (share - tags)
    bias += 0.2 * attempt * (torch.rand(5) - 0.5)
    case["scale"], case["bias"] = scale, [round(b, 2) for b in bias.tolist()]
    weights["classifier.bias"] = torch.tensor(case["bias"])
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    logits = all_logits(folder, tokenizer)
    tags = logits.argmax(1).tolist()
    change = sum(a != b for a, b in zip(tags, tags[1:])) / len(tags)
    case["largest"] = round(max(largest, logits.abs().max().item()), 1)
    print(f"{case['name']:28} scale {scale}, largest logit {case['largest']}, tags "
          f"{[tags.count(t) for t in range(5)]}, {change:.0%} differ from their neighbour")
    assert change > 0.3 and min(tags.count(t) for t in range(5)) > 5


class Noisy(torch.nn.Module):
    def __init__(self, inner, size):
        super().__init__()
        self.inner, self.size = inner, size

    def forward(self, x):
        logits = self.inner(x)
        return logits + self.size * (2 * torch.rand_like(logits) - 1)


def found(case, folder, tokenizer, model):
    """{key: what the model gives}"""
    def entities(text, **options):
        ask = transformers.pipeline("token-classification", model=model, tokenizer=tokenizer, device="cpu", **options)
        return [[e.get("entity_group", e.get("entity")), round(float(e["score"]), 6), e["start"], e["end"]]
                for e in ask(text)]

    result, only = {}, case.get("only")
    if only in (None, "entities"):
        result["entities"] = {s: [entities(text, aggregation_strategy=s) for text in TEXTS] for s in STRATEGIES}
    if only in (None, "windows"):
        result["windows"] = [dict(stride=stride, strategy=s,
                                  entities=[entities(t, aggregation_strategy=s, stride=stride) for t in LONG_TEXTS])
                             for stride, s in WINDOWS]
    if case.get("words", only in (None, "words")):
        result["words"] = []
        for words in SENTENCES:
            encoded = tokenizer(words, is_split_into_words=True, truncation=True, return_tensors="pt")
            with torch.no_grad():
                best = model(**encoded).logits[0].argmax(-1).tolist()
            owner = encoded.word_ids()
            assert encoded["input_ids"].shape[1] < tokenizer.model_max_length, words
            result["words"].append([model.config.id2label[best[owner.index(w)]] if w in owner else "O"
                                    for w in range(len(words))])
    return result


def without_scores(value):
    if isinstance(value, dict):
        return {key: without_scores(v) for key, v in value.items()}
    if isinstance(value, list) and len(value) == 4 and isinstance(value[1], float):
        return [value[0], *value[2:]]
    return [without_scores(v) for v in value] if isinstance(value, list) else value


def attempt_at(case, attempt):
    """What the model gives, or None if noise changes it."""
    with tempfile.TemporaryDirectory() as parent:
        folder = copy_changed(case, parent)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        balance(case, folder, tokenizer, attempt)
        model = AutoModelForTokenClassification.from_pretrained(folder).eval()
        result = found(case, folder, tokenizer, model)
        exact = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float64).eval()
        model.classifier = Noisy(model.classifier, NOISE * case["largest"])
        same = all(without_scores(found(case, folder, tokenizer, other)) == without_scores(result)
                   for other in (exact, model))
        return result if same else None


def main():
    torch.set_num_threads(1)
    torch.manual_seed(3)
    transformers.logging.set_verbosity_error()
    for case in MODELS:
        result = next(filter(None, (attempt_at(case, n) for n in range(20))))
        case |= result
        case.pop("only", None)
        if not isinstance(case.get("words"), list):
            case.pop("words", None)
    OUT.mkdir(exist_ok=True)
    cases = dict(texts=TEXTS, long_texts=LONG_TEXTS, sentences=SENTENCES)
    lines = [f'"{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in cases.items()]
    models = ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in MODELS)
    (OUT / "cases.json").write_text("{\n" + ",\n".join(lines) + ',\n"models": [\n' + models + "\n]}\n")
    print((OUT / "cases.json").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
