"""Trains the small tokenizers of the tests and writes what transformers' fast tokenizers make of the nasty texts.

    python tools/make_tokenizer_goldens.py [--minilm FOLDER]

Environment: tools/requirements-goldens.txt; FOLDER is the real all-MiniLM-L6-v2. Writes into tests/data/tokenizers: a
folder a tokenizer, with golden.jsonl beside it; sentencepiece: folders without tokenizer.json; variants.jsonl: the same tokenizers under other settings files;
lower_case.jsonl: the same as sentence-transformers changes them for do_lower_case. A tokenizer that is there already is kept, because training breaks ties at random; delete its
folder to train it anew.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer
from tokenizers import models, normalizers, pre_tokenizers, trainers, Tokenizer
from transformers import (AutoTokenizer, BertTokenizerFast, RobertaTokenizerFast, XLMRobertaTokenizerFast)

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
OUT = DATA / "tokenizers"
CORPUS = (ROOT / "tools" / "tokenizer_corpus.txt").read_text().splitlines()
TEXTS = [json.loads(line) for line in (DATA / "nasty_texts.jsonl").read_text().splitlines()]
LENGTHS = (8, 16, 32)
STRATEGIES = ("longest_first", "only_first", "only_second")
NO_LIMIT = 10**9


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def write_config(folder: Path, model_type: str, **settings) -> None:
    write_json(folder / "config.json", {"model_type": model_type})
    write_json(folder / "tokenizer_config.json", settings)


# ---- the small tokenizers

def bert(name: str, lowercase: bool) -> None:
    """WordPiece, as BERT uncased (lower-cased, accents stripped) and cased."""
    folder = OUT / name
    folder.mkdir()
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(
        vocab_size=1600, min_frequency=1, special_tokens=special, show_progress=False))
    vocab = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    (folder / "vocab.txt").write_text("".join(token + "\n" for token in vocab))
    fast = BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), do_lower_case=lowercase, model_max_length=512)
    fast.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_config(folder, "bert", tokenizer_class="BertTokenizer", do_lower_case=lowercase, model_max_length=512)


def roberta() -> None:
    """Byte-level BPE, as RoBERTa."""
    folder = OUT / "roberta"
    folder.mkdir()
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(CORPUS, vocab_size=2000, min_frequency=1, show_progress=False,
                                  special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.save_model(str(folder))
    fast = RobertaTokenizerFast(vocab_file=str(folder / "vocab.json"), merges_file=str(folder / "merges.txt"))
    fast.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_config(folder, "roberta", tokenizer_class="RobertaTokenizer", model_max_length=514)


def xlm_roberta() -> None:
    """Unigram with SentencePiece's real nmt_nfkc normalization, as XLM-RoBERTa."""
    import sentencepiece  # for training only

    folder = OUT / "xlm_roberta"
    folder.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus.txt"
        corpus.write_text("\n".join(CORPUS) + "\n")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=f"{scratch}/sentencepiece.bpe", vocab_size=1000, model_type="unigram",
            character_coverage=1.0, normalization_rule_name="nmt_nfkc", num_threads=1, minloglevel=2)
        fast = XLMRobertaTokenizerFast(vocab_file=f"{scratch}/sentencepiece.bpe.model")
    fast.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_config(folder, "xlm-roberta", tokenizer_class="XLMRobertaTokenizerFast", model_max_length=512)


# ---- what transformers makes of texts

def encode(tokenizer, text: str, pair: str | None, **options):
    batch = tokenizer([text], None if pair is None else [pair], return_offsets_mapping=True, **options)
    encoding = batch.encodings[0]
    types = batch["token_type_ids"][0] if "token_type_ids" in batch else [0] * len(encoding.ids)
    assert encoding.ids == batch["input_ids"][0]
    sequences = [None if special else sequence for special, sequence
                 in zip(encoding.special_tokens_mask, encoding.sequence_ids)]
    return {
        "ids": encoding.ids,
        "types": "".join(map(str, types)),
        "sequences": "".join("-" if s is None else str(s) for s in sequences),
        "offsets": [position for span in batch["offset_mapping"][0] for position in span],
        "words": [-1 if word is None else word for word in encoding.word_ids],
    }


def cases_of(tokenizer, item: dict):
    text, pair = item["text"], item.get("pair")
    whole = encode(tokenizer, text, pair)
    yield {"max_length": 0, "strategy": "longest_first", "special": True, **whole,
           "decoded": tokenizer.decode(whole["ids"], skip_special_tokens=True)}
    yield {"max_length": 0, "strategy": "longest_first", "special": False,
           "ids": encode(tokenizer, text, pair, add_special_tokens=False)["ids"]}
    for length in LENGTHS:
        if length >= len(whole["ids"]):
            break
        for strategy in STRATEGIES if pair is not None else STRATEGIES[:1]:
            case = {"max_length": length, "strategy": strategy, "special": True}
            try:
                case |= encode(tokenizer, text, pair, truncation=strategy, max_length=length)
            except Exception:  # the text to cut is too short
                case["refused"] = True
            yield case


def facts(tokenizer) -> dict:
    limit = tokenizer.model_max_length
    return {"class": type(tokenizer).__name__.removesuffix("Fast"), "vocab_size": len(tokenizer),
            "model_max_length": 0 if limit > NO_LIMIT else limit,
            "type_ids": "token_type_ids" in tokenizer.model_input_names,
            "special": {role: getattr(tokenizer, f"{role}_token_id")
                        for role in ("pad", "cls", "sep", "mask", "unk", "bos", "eos")
                        if getattr(tokenizer, f"{role}_token") is not None}}


def write_golden(path: Path, tokenizer) -> None:
    lines = [facts(tokenizer)]
    for item in TEXTS:
        lines += [{"text": item["name"], **case} for case in cases_of(tokenizer, item)]
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    print(f"{path.relative_to(ROOT)}: {len(lines) - 1} cases, {path.stat().st_size} bytes")


# ---- folders with a SentencePiece model alone

# name: (class, model_type, file, options of the trainer, settings)
SENTENCEPIECE = {
    # the real nmt_nfkc normalization
    "xlm_roberta": ("XLMRobertaTokenizer", "xlm-roberta", "sentencepiece.bpe.model",
                    dict(normalization_rule_name="nmt_nfkc"), {}),
    "camembert": ("CamembertTokenizer", "camembert", "sentencepiece.bpe.model", {}, {}),
    "deberta_v2": ("DebertaV2Tokenizer", "deberta-v2", "spm.model",
                   dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]",
                        eos_piece="[SEP]", unk_piece="[UNK]", user_defined_symbols="NewToken"), {}),
    "deberta_v2_punct": ("DebertaV2Tokenizer", "deberta-v2", "spm.model",
                         dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]",
                              eos_piece="[SEP]", unk_piece="[UNK]"), dict(do_lower_case=True, split_by_punct=True)),
    "albert": ("AlbertTokenizer", "albert", "spiece.model",
               dict(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, pad_piece="<pad>", control_symbols="[CLS],[SEP],[MASK]"),
               {}),
    "albert_accents": ("AlbertTokenizer", "albert", "spiece.model",
                       dict(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, pad_piece="<pad>",
                            control_symbols="[CLS],[SEP],[MASK]"), dict(keep_accents=True, do_lower_case=False)),
    "t5": ("T5Tokenizer", "t5", "spiece.model", dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1), dict(extra_ids=3)),
    "t5_first": ("T5Tokenizer", "t5", "spiece.model", dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
                 dict(legacy=False)),
}


def sentencepiece_folder(name: str) -> Path:
    import sentencepiece  # for training only

    of_class, model_type, file, options, settings = SENTENCEPIECE[name]
    folder = OUT / "sentencepiece" / name
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) / "corpus.txt"
        corpus.write_text("\n".join(CORPUS) + "\n")
        sentencepiece.SentencePieceTrainer.train(
            **{"input": str(corpus), "model_prefix": f"{scratch}/model", "vocab_size": 700, "model_type": "unigram",
               "character_coverage": 1.0, "normalization_rule_name": "identity", "num_threads": 1, "minloglevel": 2}
            | options)
        shutil.copy(f"{scratch}/model.model", folder / file)
    write_config(folder, model_type, tokenizer_class=of_class, model_max_length=512, **settings)
    return folder


def write_sentencepiece() -> None:
    """What transformers makes of a folder that has no tokenizer.json, and the tokenizer.json that it writes."""
    lines = []
    for name in SENTENCEPIECE:
        folder = sentencepiece_folder(name)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        cases = [{"text": item["name"], "max_length": 0, **encode(tokenizer, item["text"], item.get("pair"))}
                 for item in TEXTS if len(item["text"]) <= 120]
        lines.append({"name": name, "facts": facts(tokenizer), "cases": cases})
    path = OUT / "sentencepiece.jsonl"
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    print(f"{path.relative_to(ROOT)}: {len(lines)} tokenizers, {path.stat().st_size} bytes")


# ---- the same tokenizers under other settings

VARIANT_TEXTS = ("accents_composed", "chinese", "contractions", "spaces", "newlines_tabs", "empty", "special_tokens_bert",
                 "special_tokens_roberta", "special_tokens_attached", "added_word_lookalikes", "pair_specials",
                 "pair_plain")


def token(content: str, **flags) -> dict:
    described = dict(lstrip=False, rstrip=False, single_word=False, normalized=False, special=True)
    return {"content": content, **described, **flags}


def variants():
    """(name, base, files to remove, files to write: a dict is JSON, None an absent setting)."""
    bert_class, roberta_class = {"tokenizer_class": "BertTokenizer"}, {"tokenizer_class": "RobertaTokenizer"}
    config = "tokenizer_config.json"
    only_vocab = ["tokenizer.json"]
    yield "bert_vocab_only", "bert_uncased", only_vocab, {}
    yield "bert_cased_vocab_only", "bert_cased", only_vocab, {}
    yield "bert_vocab_no_settings", "bert_uncased", only_vocab + [config], {}
    yield "distilbert_vocab_only", "bert_uncased", only_vocab, {config: {"tokenizer_class": "DistilBertTokenizer"}}
    yield "distilbert_by_model_type", "bert_cased", [config], {"config.json": {"model_type": "distilbert"}}
    yield "bert_strip_accents", "bert_cased", only_vocab, {config: {**bert_class, "do_lower_case": False, "strip_accents": True}}
    yield "bert_keep_accents", "bert_uncased", [], {config: {**bert_class, "strip_accents": False}}
    yield "bert_chinese_whole", "bert_uncased", [], {config: {**bert_class, "tokenize_chinese_chars": False}}
    yield "bert_lower_case_by_default", "bert_cased", [], {config: bert_class}
    yield "bert_generic_class", "bert_cased", [], {config: {"tokenizer_class": "PreTrainedTokenizerFast"}}
    yield "bert_generic_with_roles", "bert_cased", [], {config: {
        "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
        "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 10**30}}
    yield "bert_left_truncation", "bert_uncased", [], {config: {**bert_class, "truncation_side": "left"}}
    yield "bert_split_special", "bert_uncased", [], {config: {**bert_class, "split_special_tokens": True}}
    yield "bert_vocab_other_specials", "bert_uncased", only_vocab, {
        config: {**bert_class, "cls_token": "<s>", "sep_token": "</s>", "bos_token": "<s>"}}
    yield "bert_vocab_added_tokens", "bert_uncased", only_vocab, {
        "added_tokens.json": {"NewToken": 1600, "<ent>": 1601},
        "special_tokens_map.json": {"additional_special_tokens": ["<ent>"], "mask_token": token("[MASK]", lstrip=True)}}
    yield "bert_added_tokens", "bert_uncased", [], {
        "added_tokens.json": {"NewToken": 1600, "<ent>": 1601}, "special_tokens_map.json": {"unk_token": "[UNK]"}}
    yield "bert_added_decoder", "bert_uncased", [], {config: {**bert_class, "mask_token": "[MASK]", "added_tokens_decoder": {
        "4": token("[MASK]", lstrip=True), "1601": token("<ent>"),
        "1600": token("NewToken", special=False, normalized=True, single_word=True)},
        "additional_special_tokens": ["<ent>"]}}
    yield "bert_vocab_added_decoder", "bert_cased", only_vocab, {config: {**bert_class, "do_lower_case": False, "added_tokens_decoder": {
        "1600": token("NewToken", special=False, normalized=True), "1601": token("<ent>", rstrip=True)}}}
    yield "bert_extra_special", "bert_uncased", [], {config: {**bert_class, "extra_special_tokens": {"entity_token": "<ent>"}}}
    yield "bert_clean_up", "bert_uncased", [], {config: {**bert_class, "clean_up_tokenization_spaces": True}}
    yield "roberta_vocab_only", "roberta", only_vocab, {}
    yield "roberta_vocab_prefix_space", "roberta", only_vocab, {config: {**roberta_class, "add_prefix_space": True}}
    yield "roberta_vocab_keep_offsets", "roberta", only_vocab, {config: {**roberta_class, "trim_offsets": False}}
    yield "roberta_prefix_space", "roberta", [], {config: {**roberta_class, "add_prefix_space": True, "trim_offsets": False}}
    yield "roberta_by_model_type", "roberta", only_vocab + [config], {}
    yield "roberta_generic_class", "roberta", [], {config: {"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": True}}
    yield "roberta_special_map", "roberta", [], {"special_tokens_map.json": {
        "bos_token": "<s>", "mask_token": token("<mask>", rstrip=True), "cls_token": token("<s>", normalized=True)}}
    yield "roberta_vocab_special_map", "roberta", only_vocab, {"special_tokens_map.json": {
        "bos_token": token("<s>"), "mask_token": token("<mask>", lstrip=True), "additional_special_tokens": ["<ent>", token("NewToken")]}}
    yield "roberta_vocab_added_decoder", "roberta", only_vocab, {config: {**roberta_class, "mask_token": "<mask>", "added_tokens_decoder": {
        "0": token("<s>"), "2": token("</s>"), "4": token("<mask>", lstrip=True)}}}
    yield "xlm_roberta_described_mask", "xlm_roberta", [], {config: {
        "tokenizer_class": "XLMRobertaTokenizer", "mask_token": {"__type": "AddedToken", **token("<mask>", rstrip=True)}}}
    yield "xlm_roberta_added_decoder", "xlm_roberta", [], {config: {
        "tokenizer_class": "XLMRobertaTokenizer", "mask_token": "<mask>", "added_tokens_decoder": {
            "1000": token("<mask>", rstrip=True), "1001": token("NewToken", special=False, normalized=True)}}}
    yield "xlm_roberta_generic", "xlm_roberta", [], {config: {"tokenizer_class": "PreTrainedTokenizerFast"}}


def write_variants() -> None:
    texts = [item for item in TEXTS if item["name"] in VARIANT_TEXTS]
    lines = []
    for name, base, removed, files in variants():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "tokenizer"
            shutil.copytree(OUT / base, folder)
            for file in removed:
                (folder / file).unlink()
            for file, value in files.items():
                write_json(folder / file, value)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            base_tokenizer = AutoTokenizer.from_pretrained(OUT / base)
            cases, differs = [], False
            for item in texts:
                text, pair = item["text"], item.get("pair")
                whole = encode(tokenizer, text, pair)
                cases.append({"text": item["name"], "max_length": 0, **whole,
                              "decoded": tokenizer.decode(whole["ids"], skip_special_tokens=True)})
                differs = differs or whole != encode(base_tokenizer, text, pair) or (
                    tokenizer.decode(whole["ids"]) != base_tokenizer.decode(whole["ids"]))
                if len(whole["ids"]) > 8:
                    differs = differs or tokenizer.truncation_side != base_tokenizer.truncation_side
                    cases.append({"text": item["name"], "max_length": 8,
                                  **encode(tokenizer, text, pair, truncation=True, max_length=8)})
        lines.append({"name": name, "base": base, "remove": removed, "write": files, "facts": facts(tokenizer),
                      "differs_from_base": differs, "cases": cases})
    path = OUT / "variants.jsonl"
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    print(f"{path.relative_to(ROOT)}: {len(lines)} variants, {path.stat().st_size} bytes")


# ---- sentence-transformers' do_lower_case

def write_lower_case() -> None:
    """The tokenizers as sentence-transformers changes them where sentence_bert_config.json says do_lower_case."""
    from sentence_transformers.base.modules import Transformer
    from transformers import AutoConfig, AutoModel

    sequence = lambda *types: {"normalizer": {"type": "Sequence", "normalizers": [{"type": t} for t in types]}}  # noqa: E731
    lines = []
    for name, base, change in (
            ("bert_uncased", "bert_uncased", {}), ("bert_cased", "bert_cased", {}), ("roberta", "roberta", {}),
            ("xlm_roberta", "xlm_roberta", {}),
            ("sequence", "roberta", sequence("NFD", "StripAccents")),  # gets one member more
            ("lowercases_already", "roberta", sequence("StripAccents", "Lowercase"))):  # stays as it is
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            shutil.copytree(OUT / base, folder)
            described = json.loads((folder / "tokenizer.json").read_text())
            (folder / "tokenizer.json").write_text(json.dumps(described | change))
            vocabulary = len(AutoTokenizer.from_pretrained(folder))
            kind = json.loads((folder / "config.json").read_text())["model_type"]
            model = AutoModel.from_config(AutoConfig.for_model(
                kind, vocab_size=vocabulary, hidden_size=8, num_attention_heads=1, num_hidden_layers=1,
                intermediate_size=8, max_position_embeddings=514))
            model.save_pretrained(folder)
            tokenizer = Transformer(str(folder), do_lower_case=True).tokenizer
            cases = [{"text": item["name"], "max_length": 0, **encode(tokenizer, item["text"], item.get("pair"))}
                     for item in TEXTS if len(item["text"]) <= 200]
        lines.append({"name": name, "base": base, "change": change, "cases": cases})
    path = OUT / "lower_case.jsonl"
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    print(f"{path.relative_to(ROOT)}: {len(lines)} tokenizers, {path.stat().st_size} bytes")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minilm", type=Path)
    options = arguments.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    makers = {"bert_uncased": lambda: bert("bert_uncased", lowercase=True),
              "bert_cased": lambda: bert("bert_cased", lowercase=False),
              "roberta": roberta, "xlm_roberta": xlm_roberta}
    for name, make in makers.items():
        if not (OUT / name).exists():
            make()
        write_golden(OUT / name / "golden.jsonl", AutoTokenizer.from_pretrained(OUT / name))
    if options.minilm:
        (OUT / "minilm").mkdir(exist_ok=True)
        write_golden(OUT / "minilm" / "golden.jsonl", AutoTokenizer.from_pretrained(options.minilm))
    write_sentencepiece()
    write_variants()
    write_lower_case()


if __name__ == "__main__":
    main()
