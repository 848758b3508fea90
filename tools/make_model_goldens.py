"""Makes tests/data/tiny/: tiny random checkpoints in real Hugging Face layout, and what transformers and
sentence-transformers compute with them. jina_bert.py has the family that transformers lacks.

    python tools/make_model_goldens.py [NAME...]        (environment: tools/requirements-goldens.txt)

Without names it makes the folders of the transformers it finds: FOLDERS with 4, FOLDERS_OF_5 with 5 (environment:
tools/requirements-goldens-5.txt).

Each folder gets golden.safetensors. A group of texts is stored ragged: `ids` [T], `token_types` [T], `offsets` [B + 1];
groups are random token ids ("" prefix), `texts.` and `pairs.` (tokenized from texts.json), `query.` (the texts behind
the prompt "query", with `pool_from` [B] if poolings leave it out). Results, float32:
    layers.N       [T, D]   after the embeddings (0) and after each layer, of the "" group; of BART the encoder's, then
                            those of the decoder's layers
    pooler         [B, D]   logits, probabilities [B, labels]   sentence [B, D']   token_logits [T, labels]
    span_logits    [T, 2]   choice_logits  [B, 1]
    chosen_logits  [C, vocabulary]   of the tokens `chosen` [C]: the masks of "", the first and last tokens of "texts."
    term_weights   [B, vocabulary]   of a SparseEncoder
Every result is computed on the folder as saved, each text alone, in float32, and then checked: a padded batch gives
the same within BATCH_TOLERANCE, float64 arithmetic within FLOAT64_TOLERANCE (relative to the largest value).
"""

import hashlib
import json
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from sentence_transformers.sparse_encoder.modules import SpladePooling
from transformers import (AutoConfig, AutoModel, AutoModelForSequenceClassification,
                          AutoModelForMaskedLM, AutoModelForMultipleChoice, AutoModelForQuestionAnswering,
                          AutoModelForTokenClassification, AutoTokenizer)

import jina_bert
import jina_v3
import tiny_tokenizers

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "tiny"
MAX_FOLDER_BYTES = 200_000
MAX_FOLDER_BYTES_OF_BART = 300_000  # an encoder and a decoder
MAX_TOKENS = 40
BATCH_TOLERANCE = 2e-6
FLOAT64_TOLERANCE = 2e-6

# Lengths around the sizes kernels unroll by, and the shortest and longest texts there are.
LONG = [1, 2, 31, 32, 33, MAX_TOKENS]
SHORT = [1, 2, 7, 33]


# ---- weights

def fill(model, seed):
    """Random weights that behave like trained ones: attention that prefers some tokens, a few outlier columns."""
    state = model.state_dict()
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            continue
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        value = random.standard_normal(tuple(tensor.shape))
        if "embed" in name and tensor.ndim == 2:
            # MobileBERT: no norm tells tokens apart. DeBERTa: positions may be projected without a norm.
            value *= 0.5 if model.config.model_type == "mobilebert" or "rel_embeddings" in name else 0.05
            value[:, random.integers(tensor.shape[1])] *= 8
        elif tensor.ndim == 2:
            gain = 1.0
            if any(part in name for part in ("query", "key", "q_lin", "k_lin", "attn.q", "attn.k")):
                # a softmax over several tokens, not over one; BART's decoder prefers some of the encoder's more clearly
                gain = 1.5 if "encoder_attn" in name else 0.6
            elif name.endswith(("SelfAttention.q.weight", "SelfAttention.k.weight")):
                gain = 0.3  # the scores are not scaled
            elif name in ("classifier.weight", "score.weight", "classifier.out_proj.weight", "classification_head.out_proj.weight",
                          "qa_outputs.weight"):
                gain = 3.0  # probabilities that are far from equal
            value *= gain / np.sqrt(tensor.shape[1])
            if not any(part in name for part in ("pooler", "classifi", "qa_outputs")):  # there it would saturate the tanh
                value[:, random.integers(tensor.shape[1])] *= 4
        elif tensor.ndim == 3:  # of a convolution
            value /= np.sqrt(tensor.shape[1] * tensor.shape[2])
        elif name.endswith("weight"):  # of a layer norm
            value = 1 + 0.2 * value
            if "MobileBert" in type(model).__name__:  # nothing there keeps values small
                value *= 0.5
            else:
                value[random.integers(value.size)] = 3.5
            if getattr(model, "config", None) and model.config.model_type == "gemma3_text":  # which adds 1
                value -= 1
        else:
            value *= 0.2
            if "norm" in name.lower():
                value[random.integers(value.size)] = -2.5
        if "MobileBert" in type(model).__name__ and name.endswith(
                ("word_embeddings.weight", "predictions.decoder.weight")):  # one parameter
            value[model.config.pad_token_id] = 0  # else a text's last token would depend on its padding
        tensor.copy_(torch.from_numpy(value))
    return model.eval()


# ---- the golden file

class Golden:
    def __init__(self, folder):
        self.folder = folder
        self.tensors = {}
        self.checked = {"padded": 0.0, "float64": 0.0}

    def group(self, prefix, texts, pool_from=None, chosen=None):
        """texts: [(ids, token types)]"""
        ints = lambda values: torch.tensor(values, dtype=torch.int32)  # noqa: E731
        self.tensors[prefix + "ids"] = ints([i for ids, _ in texts for i in ids])
        self.tensors[prefix + "token_types"] = ints([t for _, types in texts for t in types])
        self.tensors[prefix + "offsets"] = ints(np.cumsum([0] + [len(ids) for ids, _ in texts]).tolist())
        if pool_from is not None:
            self.tensors[prefix + "pool_from"] = ints(pool_from)
        if chosen is not None:
            starts = np.cumsum([0] + [len(ids) for ids, _ in texts])
            self.tensors[prefix + "chosen"] = ints([s + t for s, (ids, _) in zip(starts, texts) for t in chosen(ids)])

    def results(self, prefix, alone, padded, exact):
        """Dictionaries of matrices; `alone` is stored, the others must agree with it."""
        for name, value in alone.items():
            for other, what, tolerance in ((padded, "padded", BATCH_TOLERANCE), (exact, "float64", FLOAT64_TOLERANCE)):
                error = ((value.double() - other[name].double()).abs().max() / value.abs().max()).item()
                self.checked[what] = max(self.checked[what], error)
                assert error <= tolerance, f"{self.folder.name}: {prefix}{name} differs by {error:.1e} ({what})"
            assert value.abs().max() > 1e-3
            self.tensors[prefix + name] = value.contiguous()

    def write(self, max_bytes=MAX_FOLDER_BYTES):
        save_file(self.tensors, self.folder / "golden.safetensors")
        make_readable(self.folder)
        size = sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file())
        tokens = self.tensors["ids"].numel()
        print(f"{self.folder.name:18} {size:7} bytes, {tokens} tokens, largest activation "
              f"{self.tensors['layers.1'].abs().max():.1f}; padded {self.checked['padded']:.1e}, "
              f"float64 {self.checked['float64']:.1e}")
        assert size < max_bytes, self.folder


def make_readable(folder):
    for file in folder.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)


def random_texts(seed, config, lengths, literal_pad):
    random = np.random.default_rng(seed)
    texts = []
    for n in lengths:
        texts.append((random.integers(5, config.vocab_size, n).tolist(), [0] * n))
    if literal_pad:  # somebody wrote "<pad>" into a text: RoBERTa's positions skip it
        ids = random.integers(5, config.vocab_size, 9).tolist()
        ids[3] = ids[4] = config.pad_token_id
        texts.append((ids, [0] * 9))
    if getattr(config, "type_vocab_size", 0) > 1:
        for first, second in ((5, 4), (1, 16)):
            ids = random.integers(5, config.vocab_size, first + second).tolist()
            texts.append((ids, [0] * first + [1] * second))
    if config.model_type in ("bart", "mbart"):  # one token ends each text; mBART's language may follow it
        for ids, _ in texts:
            ids[-2 if config.model_type == "mbart" and len(ids) > 1 else -1] = config.eos_token_id
    return texts


def tokenized(tokenizer, first, second=None):
    # As a list: a call with two strings drops an empty second one.
    encoded = tokenizer([first], None if second is None else [second], truncation=True)
    ids = encoded["input_ids"][0]
    return ids, encoded["token_type_ids"][0] if "token_type_ids" in encoded else [0] * len(ids)


def probabilities(config, logits):
    if config.problem_type == "regression":
        return logits
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return logits.sigmoid()
    return logits.softmax(-1)


def inputs_of(config, texts, batch):
    """The padded inputs of the texts numbered in `batch`."""
    width = max(len(texts[i][0]) for i in batch)
    rows = lambda part, fill: torch.tensor(  # noqa: E731
        [part(texts[i]) + [fill] * (width - len(texts[i][0])) for i in batch])
    inputs = {"input_ids": rows(lambda t: t[0], config.pad_token_id),
              "attention_mask": rows(lambda t: [1] * len(t[0]), 0)}
    if getattr(config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = rows(lambda t: t[1], 0)
    return inputs


def run(model, texts, batches):
    """{result: matrix}; `batches` lists which texts run together."""
    collected = {}
    for batch in batches:
        inputs = inputs_of(model.config, texts, batch)
        chooses = type(model).__name__.endswith("ForMultipleChoice")
        if chooses:  # one choice to each prompt
            inputs = {name: value.unsqueeze(1) for name, value in inputs.items()}
        with torch.no_grad():
            out = model(**inputs, output_hidden_states=True)
            if "decoder_hidden_states" in out:  # the first are embeddings
                layers = [*out.encoder_hidden_states, *out.decoder_hidden_states[1:]]
            else:
                layers = list(out.hidden_states)
            final_norm = getattr(getattr(model, "model", model), "final_norm", None)
            if final_norm is not None:  # transformers 5 counts it to the last layer, 4 to none
                layers[-1] = final_norm(layers[-1])
        for n, layer in enumerate(layers):
            kept = [layer[row, : len(texts[i][0])] for row, i in enumerate(batch)]
            collected.setdefault(f"layers.{n}", []).append(torch.cat(kept))
        if "pooler_output" in out:
            collected.setdefault("pooler", []).append(out.pooler_output)
        if type(model).__name__.endswith("ForMaskedLM"):
            kept = [out.logits[row, model.chosen(texts[i][0])] for row, i in enumerate(batch)]
            collected.setdefault("chosen_logits", []).append(torch.cat(kept))
        elif "start_logits" in out:
            spans = torch.stack([out.start_logits, out.end_logits], -1)
            collected.setdefault("span_logits", []).append(
                torch.cat([spans[row, : len(texts[i][0])] for row, i in enumerate(batch)]))
        elif chooses:
            collected.setdefault("choice_logits", []).append(out.logits)
        elif "logits" in out and out.logits.ndim == 3:
            kept = [out.logits[row, : len(texts[i][0])] for row, i in enumerate(batch)]
            collected.setdefault("token_logits", []).append(torch.cat(kept))
        elif "logits" in out:
            collected.setdefault("logits", []).append(out.logits)
            collected.setdefault("probabilities", []).append(probabilities(model.config, out.logits))
    return {name: torch.cat(parts) for name, parts in collected.items()}


def run_sentence(st, texts, batches, pool_from=None):
    """What SentenceTransformer.forward gives for token ids."""
    parts = []
    for batch in batches:
        features = inputs_of(st[0].auto_model.config, texts, batch)
        if pool_from is not None:
            features["prompt_length"] = pool_from[batch[0]]
        with torch.no_grad():
            parts.append(st(features)["sentence_embedding"])
    return {"sentence": torch.cat(parts)}


def alone_and_together(texts):
    return [[i] for i in range(len(texts))], [list(range(len(texts)))]


def load(folder, make, dtype):
    """Of a language model, the encoder: AutoModel leaves a Gemma3TextModel of such a folder with random weights."""
    config = AutoConfig.from_pretrained(folder)
    if config.model_type == "t5":
        return transformers.T5EncoderModel.from_pretrained(folder, dtype=dtype).eval()
    if config.architectures[0].endswith("ForCausalLM"):
        return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).model.eval()
    return make.from_pretrained(folder, dtype=dtype).eval()


def golden_of(folder, lengths, seed, make=AutoModel):
    golden = Golden(folder)
    single, exact = (load(folder, make, dtype) for dtype in (torch.float32, torch.float64))
    config, tokenizer = single.config, AutoTokenizer.from_pretrained(folder)
    is_sentence, is_classifier = (folder / "modules.json").exists(), make is not AutoModel
    mask = tokenizer.mask_token_id if make is AutoModelForMaskedLM else None
    st = SentenceTransformer(str(folder), device="cpu") if not is_classifier else None
    st64 = SentenceTransformer(str(folder), device="cpu").double() if st else None
    if st:
        st.float()
        st[0].auto_model.load_state_dict(single.state_dict())  # a Gemma3TextModel does not find its own
        st64[0].auto_model.load_state_dict(exact.state_dict())

    def add(prefix, texts, wanted, sentence, pool_from=None, chosen=None):
        golden.group(prefix, texts, pool_from, chosen)
        single.chosen = exact.chosen = chosen
        alone, together = alone_and_together(texts)
        parts = [run(single, texts, alone), run(single, texts, together), run(exact, texts, alone)]
        parts = [{name: value for name, value in part.items() if wanted(name)} for part in parts]
        if sentence:
            for part, (model, batches) in zip(parts, ((st, alone), (st, together), (st64, alone))):
                part |= run_sentence(model, texts, batches, pool_from)
        golden.results(prefix, *parts)

    literal_pad = config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet", "bart", "mbart")
    texts = random_texts(seed, config, lengths, literal_pad)
    if mask is not None:
        for ids, _ in texts:
            ids[len(ids) // 2] = mask
            if len(ids) > 8:
                ids[-1] = mask
    masks = None if mask is None else lambda ids: [t for t, token in enumerate(ids) if token == mask]
    add("", texts, lambda name: True, is_sentence, chosen=masks)

    limit = st.max_seq_length if st else tokenizer.model_max_length
    tokenizer.model_max_length = limit
    texts = [tokenized(tokenizer, t) for t in tiny_tokenizers.TEXTS]
    assert max(len(ids) for ids, _ in texts) == limit
    ends = None if mask is None else lambda ids: sorted({0, len(ids) - 1})
    add("texts.", texts, lambda name: name == "probabilities" or name.endswith("logits"), not is_classifier, chosen=ends)
    if mask is not None:
        write_fills(folder, tokenizer)
    if st:  # the path a user takes gives the same
        encoded = st.encode(tiny_tokenizers.TEXTS, prompt="", convert_to_tensor=True, show_progress_bar=False)
        assert (encoded - golden.tensors["texts.sentence"]).abs().max() <= 2e-6 * encoded.abs().max(), folder
    if st and "query" in st.prompts and st.prompts["query"]:
        prompt = st.prompts["query"]
        texts = [tokenized(tokenizer, prompt + t) for t in tiny_tokenizers.TEXTS]
        skip = len(tokenizer(prompt)["input_ids"]) - 1  # without the closing special token
        add("query.", texts, lambda name: False, True, None if st[1].include_prompt else [skip] * len(texts))
        encoded = st.encode(tiny_tokenizers.TEXTS, prompt_name="query", convert_to_tensor=True,
                            show_progress_bar=False)
        assert (encoded - golden.tensors["query.sentence"]).abs().max() <= 2e-6 * encoded.abs().max(), folder
    if make in (AutoModelForQuestionAnswering, AutoModelForMultipleChoice):
        pairs = [tokenized(tokenizer, a, b) for a, b in tiny_tokenizers.PAIRS]
        add("pairs.", pairs, lambda name: name.endswith("logits"), False)
    if make is AutoModelForQuestionAnswering:
        write_answers(folder)
    if make is AutoModelForMultipleChoice:
        write_choices(folder, single, tokenizer)
    if make is AutoModelForSequenceClassification:
        pairs = [tokenized(tokenizer, a, b) for a, b in tiny_tokenizers.PAIRS]
        add("pairs.", pairs, lambda name: name in ("logits", "probabilities"), False)
        classify = transformers.pipeline("text-classification", model=single, tokenizer=tokenizer, device="cpu")
        for row, result in enumerate(classify(tiny_tokenizers.TEXTS, top_k=None, truncation=True)):
            scores = {entry["label"]: entry["score"] for entry in result}
            ours = golden.tensors["texts.probabilities"][row]
            for index, label in config.id2label.items():
                assert abs(scores[label] - ours[index].item()) <= 2e-6 * max(1, abs(scores[label])), folder
    golden.write(MAX_FOLDER_BYTES_OF_BART if config.model_type in ("bart", "mbart") else MAX_FOLDER_BYTES)


# {}: the mask token
MASKED_TEXTS = [
    "The {} sat on the warm piano.",
    "Take the second {} along the {}, then ask again!",
    "{}",
    "Café {} lait, naïve and 12,5 % of{}?",
    "渡し船{}left early and   the river was {} too.",
]
TARGETS = ["the", "river", "harbourside", "the"]


def write_fills(folder, tokenizer):
    """What the fill-mask pipeline makes of the texts, and of the first one with targets."""
    ask = transformers.pipeline("fill-mask", model=str(folder), device="cpu")

    def fills(text, **options):
        found = ask(text, **options)
        found = found if isinstance(found[0], list) else [found]
        for mask in found:
            scores = [fill["score"] for fill in mask]
            assert all(a > b * (1 + 1e-4) for a, b in zip(scores, scores[1:])), f"{folder.name}: ranks are a toss-up"
        return [[dict(score=round(f["score"], 9), id=f["token"], token=f["token_str"], sequence=f["sequence"])
                 for f in mask[: len(mask) - ("top_k" in options)]] for mask in found]

    texts = [text.replace("{}", tokenizer.mask_token) for text in MASKED_TEXTS]
    cases = [dict(text=text, masks=fills(text, top_k=6)) for text in texts]  # the sixth only shows its distance
    cases.append(dict(text=texts[0], targets=TARGETS, masks=fills(texts[0], targets=TARGETS)))
    (folder / "fill_mask.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")


HARBOUR = ("The harbour café opens at 12,5 degrees — naïve tourists ask twice. Take the second road along the river, then "
           "ask the River pilot! The warm piano sat on the ferry. 渡し船 left early, and the river was late. Some bread, "
           "the harbour, the harbourside; bread again? ")
SHORT_CONTEXT = "Café au lait — the second road, naïve and warm, along the river."
QUESTIONS = [  # contexts and options of the pipeline; a model of 40 positions has windows of 40 tokens that share 20
    ("Where is the road?", SHORT_CONTEXT, {}),
    ("Where is the road?", SHORT_CONTEXT, dict(top_k=5)),
    ("Where is the road?", SHORT_CONTEXT, dict(top_k=6, align_to_words=False)),
    ("What left early?", HARBOUR, dict(top_k=4)),
    ("What left early?", HARBOUR, dict(top_k=4, handle_impossible_answer=True)),
    ("Where is the road?", SHORT_CONTEXT, dict(top_k=14, handle_impossible_answer=True, max_answer_len=2)),
    ("What left early?", HARBOUR, dict(top_k=14, handle_impossible_answer=True, max_answer_len=1, max_seq_len=24,
                                      doc_stride=5)),
    ("What left early?", HARBOUR + HARBOUR.upper(), dict(top_k=3, max_seq_len=24, doc_stride=5, max_answer_len=3)),
    ("What left early?", HARBOUR, dict(doc_stride=0, top_k=2, align_to_words=False)),
    # the question has more tokens than max_question_len, which a fast tokenizer does not read
    ("The river, the bread?", SHORT_CONTEXT, dict(max_question_len=2, top_k=2)),
]


def write_answers(folder):
    """What the question-answering pipeline answers. No rank in it may be a toss-up."""
    import transformers.pipelines.question_answering as module

    def is_clear(scores):
        return all(a > b * (1 + 1e-4) for a, b in zip(scores, scores[1:]) if a > 0)

    def decode(start, end, top_k, *rest, original=module.decode_spans):
        best = sorted(original(start, end, top_k + 1, *rest)[2], reverse=True)
        assert len(best) <= top_k or is_clear(best[-2:]), f"{folder.name}: which spans are candidates is a toss-up"
        return original(start, end, top_k, *rest)

    def ranked(answers, **order):
        answers = sorted(answers, **order)
        assert is_clear([a["score"] for a in answers[:options.get("top_k", 1) + 1]]), f"{folder.name}: ranks are a toss-up"
        return answers

    ask, original = transformers.pipeline("question-answering", model=str(folder), device="cpu"), module.decode_spans
    module.decode_spans, module.sorted = decode, ranked
    cases = []
    for question, context, options in QUESTIONS:
        found = ask(question=question, context=context, **options)
        found = found if isinstance(found, list) else [found]
        assert all(a["score"] > 0 for a in found)
        cases.append(dict(question=question, context=context, options=options, answers=[
            dict(score=round(a["score"], 9), begin=a["start"], end=a["end"], text=a["answer"]) for a in found]))
    module.decode_spans = original
    del module.sorted
    (folder / "answers.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")


CHOICES = [
    ("The ferry left early because", ["the river was late.", "of bread.", "a naïve café sat on the piano, twice"]),
    ("Take the second road.", ["Along the river?", "渡し船"]),
    (HARBOUR, ["bread", "the harbourside", "bread again and again, the river"]),  # truncated
]


def write_choices(folder, model, tokenizer):
    cases = []
    for prompt, choices in CHOICES:
        inputs = tokenizer([prompt] * len(choices), choices, truncation=True, padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**{name: value.unsqueeze(0) for name, value in inputs.items()}).logits[0]
        cases.append(dict(prompt=prompt, choices=choices, logits=[round(v, 7) for v in logits.tolist()],
                          scores=[round(v, 9) for v in logits.softmax(-1).tolist()]))
    (folder / "choices.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")


# ---- the folders

BERT = dict(hidden_size=32, num_attention_heads=4, num_hidden_layers=2, intermediate_size=64,
            max_position_embeddings=MAX_TOKENS)
TOKENIZERS = {"bert": tiny_tokenizers.wordpiece, "distilbert": tiny_tokenizers.wordpiece_without_token_types,
              "roberta": tiny_tokenizers.byte_level_bpe, "xlm-roberta": tiny_tokenizers.unigram,
              "camembert": tiny_tokenizers.unigram, "electra": tiny_tokenizers.wordpiece,
              "mobilebert": tiny_tokenizers.wordpiece_of_mobilebert,
              "albert": tiny_tokenizers.unigram_of_albert,
              "mpnet": tiny_tokenizers.wordpiece_of_mpnet, "modernbert": tiny_tokenizers.byte_level_bpe_without_class,
              "qwen3": tiny_tokenizers.byte_level_bpe_of_qwen, "gemma3_text": tiny_tokenizers.bpe_of_gemma,
              "t5": tiny_tokenizers.unigram_of_t5,
              "bart": tiny_tokenizers.byte_level_bpe_of_bart, "mbart": tiny_tokenizers.unigram_of_mbart,
              "eurobert": tiny_tokenizers.byte_level_bpe_without_class, "nomic_bert": tiny_tokenizers.wordpiece,
              "gte": tiny_tokenizers.wordpiece,
              "jina_bert": tiny_tokenizers.wordpiece, "jina_embeddings_v3": tiny_tokenizers.byte_level_bpe_without_class,
              "deberta-v2": tiny_tokenizers.unigram_of_deberta,
              "deberta": tiny_tokenizers.byte_level_bpe_of_deberta}
# have no other files
WITHOUT_JSON = (tiny_tokenizers.unigram, tiny_tokenizers.unigram_of_albert, tiny_tokenizers.unigram_of_t5,
                tiny_tokenizers.unigram_of_deberta, tiny_tokenizers.unigram_of_mbart)


def labels(*names):
    return dict(num_labels=len(names), id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})


def new_folder(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def make_model(folder, kind, seed, auto, dtype=torch.float32, tokenizer_json=True, tokenizer=None, **options):
    """Writes the tokenizer and returns a model of its vocabulary with random weights."""
    tokenizer = tokenizer or TOKENIZERS[kind]
    arguments = {} if tokenizer in WITHOUT_JSON else {"json_file": tokenizer_json}
    vocabulary = len(tokenizer(folder, MAX_TOKENS, **arguments))
    if kind == "distilbert":
        config = dict(dim=32, n_heads=4, n_layers=2, hidden_dim=64, max_position_embeddings=MAX_TOKENS) | options
    elif kind == "modernbert":  # layers 0 and 2 see all tokens, layer 1 four to either side
        config = BERT | dict(num_hidden_layers=3, intermediate_size=48, global_attn_every_n_layers=2,
                             local_attention=8, reference_compile=False, pad_token_id=1, bos_token_id=0,
                             cls_token_id=0, eos_token_id=2, sep_token_id=2) | options
    elif kind == "qwen3":  # the first token after the alphabet and 50 merges ends a text
        config = BERT | dict(num_key_value_heads=2, head_dim=16, rope_theta=1e6, pad_token_id=306,
                             eos_token_id=308) | options
    elif kind == "gemma3_text":  # layer 0 sees three tokens to either side, layer 1 all
        config = BERT | dict(num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=20, sliding_window=12,
                             layer_types=["sliding_attention", "full_attention"],
                             use_bidirectional_attention=True) | options
    elif kind == "mobilebert":
        config = BERT | dict(hidden_size=64, embedding_size=32, intra_bottleneck_size=32,
                             intermediate_size=32, num_feedforward_networks=2, num_hidden_layers=1) | options
    elif kind in ("bart", "mbart"):  # each size of the two halves has a value of its own
        config = dict(d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                      decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=32,
                      max_position_embeddings=MAX_TOKENS) | options
    elif kind == "t5":  # distances from 12 on share a bucket
        config = dict(d_model=32, d_kv=16, d_ff=64, num_heads=4, num_layers=2, relative_attention_num_buckets=12,
                      relative_attention_max_distance=12) | options
    elif kind == "eurobert":
        config = BERT | dict(num_key_value_heads=2, pad_token_id=1, bos_token_id=0, eos_token_id=2,
                             mask_token_id=vocabulary - 1) | options
    elif kind == "deberta":  # distances from 20 on share a row
        config = BERT | dict(type_vocab_size=0, relative_attention=True, max_relative_positions=20,
                             pos_att_type="c2p|p2c", position_biased_input=False, layer_norm_eps=1e-7,
                             pad_token_id=1) | options
    elif kind == "deberta-v2":  # as deberta-v3; distances from 9 on share buckets
        config = BERT | dict(type_vocab_size=0, relative_attention=True, position_buckets=16, max_relative_positions=-1,
                             norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p",
                             position_biased_input=False, layer_norm_eps=1e-7, pad_token_id=0) | options
    else:
        config = BERT | options
    if kind.endswith("roberta") or kind in ("camembert", "mpnet"):  # positions start at pad_token_id + 1
        config |= dict(max_position_embeddings=MAX_TOKENS + 2, type_vocab_size=1, layer_norm_eps=1e-5,
                       pad_token_id=1, bos_token_id=0, eos_token_id=2)
    config = AutoConfig.for_model(kind, vocab_size=vocabulary, **config)
    # AutoModel of a T5 is the encoder and the decoder.
    model = transformers.T5EncoderModel(config) if (kind, auto) == ("t5", AutoModel) else auto.from_config(config)
    return fill(model.to(dtype), seed)


def plain(kind, lengths=LONG, auto=AutoModel, shard=None, publish=None, **options):
    def make(name, seed):
        folder = new_folder(name)
        model = make_model(folder, kind, seed, auto, **options)
        model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
        golden_of(folder, lengths, seed, auto)
        if publish:
            publish(folder)
            make_readable(folder)
    return make


def classifier(kind, lengths=SHORT, **options):
    return plain(kind, lengths, AutoModelForSequenceClassification, **options)


def nli(name, seed):
    classifier("distilbert", **labels("entailment", "neutral", "contradiction"))(name, seed + 1)  # a seed not near 0 or 1
    zero_shot(OUT / name)


def bart_nli(name, seed):
    """The classes of bart-large-mnli; a decoder of one layer, as distilbart-mnli-12-1 has it."""
    classifier("bart", decoder_layers=1, tokenizer_json=False,
               **labels("contradiction", "neutral", "entailment"))(name, seed)
    zero_shot(OUT / name)
    as_published_mnli(OUT / name)


def as_published_mnli(folder):
    """With the keys of bart-large-mnli and distilbart that transformers does not write."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config |= dict(_num_labels=3, add_bias_logits=False, add_final_layer_norm=False, classif_dropout=0.0,
                   extra_pos_embeddings=2, force_bos_token_to_be_generated=False, gradient_checkpointing=False,
                   normalize_before=False, normalize_embedding=True, output_past=False, save_step=9,
                   static_position_embeddings=False)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def zero_shot(folder):
    ask = transformers.pipeline("zero-shot-classification", model=str(folder), device="cpu")
    cases = []
    for multi_label in (False, True):
        for template in ("This example is {}.", "It is about {}, nothing else."):
            candidates = ["the river", "bread", "a question of numbers"]
            text = tiny_tokenizers.TEXTS[1]
            answer = ask(text, candidates, hypothesis_template=template, multi_label=multi_label)
            score = dict(zip(answer["labels"], answer["scores"]))
            cases.append(dict(text=text, labels=candidates, template=template, multi_label=multi_label,
                              scores=[round(score[c], 7) for c in candidates]))
    (folder / "zero_shot.json").write_text(json.dumps(cases, indent=1) + "\n")


TAGS = labels("O", "B-person", "I-person", "B-river-boat", "I-river-boat")


def ner(kind):
    """And what the token-classification pipeline makes of the texts, for each way to aggregate."""
    def make(name, seed):
        folder = OUT / name
        plain(kind, SHORT, AutoModelForTokenClassification, **TAGS)(name, seed)
        found = {}
        for strategy in ("none", "simple", "first", "average", "max"):
            ask = transformers.pipeline("token-classification", model=str(folder), device="cpu",
                                        aggregation_strategy=strategy)
            found[strategy] = [[dict(label=e.get("entity_group", e.get("entity")), score=round(float(e["score"]), 7),
                                     begin=e["start"], end=e["end"]) for e in ask(text)]
                               for text in tiny_tokenizers.TEXTS]
        (folder / "entities.json").write_text(json.dumps(found) + "\n")
    return make


def masked(kind, lengths=SHORT, **options):
    return plain(kind, lengths, AutoModelForMaskedLM, **options)


def answerer(kind, **options):
    return plain(kind, SHORT, AutoModelForQuestionAnswering, num_hidden_layers=1, **options)


def chooser(kind, **options):
    return plain(kind, SHORT, AutoModelForMultipleChoice, num_hidden_layers=1, **options)


def with_tied_copies(folder):
    """As files that torch's own format was converted to: the output matrix and bias a second time."""
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    tensors["lm_head.decoder.weight"] = tensors["roberta.embeddings.word_embeddings.weight"].clone()
    tensors["lm_head.decoder.bias"] = tensors["lm_head.bias"].clone()
    save_file(tensors, weights, {"format": "pt"})


def old_names(name, seed):
    """As bert-base-uncased is published: `bert.` prefix, gamma and beta, a buffer, and heads nobody asks for."""
    folder = new_folder(name)
    model = make_model(folder, "bert", seed, transformers.AutoModelForPreTraining, tokenizer_json=False)
    model.config.architectures = ["BertForMaskedLM"]
    model.config.save_pretrained(folder)
    state = {n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
             for n, t in model.state_dict().items() if not n.startswith("cls.predictions.decoder")}
    state["bert.embeddings.position_ids"] = torch.arange(MAX_TOKENS).unsqueeze(0)
    save_file({n: t.clone() for n, t in state.items()}, folder / "model.safetensors", {"format": "pt"})
    golden_of(folder, SHORT, seed)


def language_model(kind, auto=transformers.AutoModelForCausalLM, **options):
    """The encoder inside a language model: a prefix, and an output matrix that nobody asks for."""
    def make(name, seed):
        folder = new_folder(name)
        make_model(folder, kind, seed, auto, **options).save_pretrained(folder)
        golden_of(folder, SHORT, seed)
    return make


# The prompt of Qwen3-Reranker's model card in three parts, and as a template that CrossEncoder gives messages to. Jinja
# drops the last line feed of a template.
DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
BEFORE = ("<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
          'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n')
AFTER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
ROLE = "messages | selectattr('role', 'eq', '{}') | map(attribute='content') | first"
TEMPLATE = (BEFORE + "<Instruct>: {{ " + ROLE.format("system") + f" | default('{DEFAULT_INSTRUCTION}') }}}}\n"
            "<Query>: {{ " + ROLE.format("query") + " }}\n<Document>: {{ " + ROLE.format("document") + " }}" + AFTER + "\n")
INSTRUCTION = "Find what the town says of its harbour"
QUERY = "When did the ferry leave the harbour?"
DOCUMENTS = ["The ferry left before the sun was up.", "", "Our neighbour keeps bees.", "渡し船 left Привет 🚢 early\n",
             "Our neighbour keeps bees.", " ".join(tiny_tokenizers.TEXTS) * 2]
RERANKER_TOKENS = 480  # of which the prompt takes most: its words are no tokens of a tiny vocabulary


def reranker(name, seed):
    """A language model that a CrossEncoder saved, and scores of it, of the code on the model card, and of variants."""
    folder = new_folder(name)
    model = make_model(folder, "qwen3", seed, transformers.AutoModelForCausalLM, num_hidden_layers=1,
                       tokenizer=tiny_tokenizers.byte_level_bpe_of_reranker, tie_word_embeddings=False,
                       max_position_embeddings=RERANKER_TOKENS, pad_token_id=309, eos_token_id=311)
    model.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    cross = CrossEncoder(str(folder), device="cpu", max_length=RERANKER_TOKENS)
    cross.save(str(folder))
    (folder / "README.md").unlink()
    cross = CrossEncoder(str(folder), device="cpu")
    single, exact = (transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
                     for dtype in (torch.float32, torch.float64))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])

    def results(model, texts, batches):
        found = run(model.model, texts, batches)
        logits = []
        for batch in batches:
            width = max(len(texts[i][0]) for i in batch)
            pad = lambda row, fill: [fill] * (width - len(row)) + row  # noqa: E731
            ids = torch.tensor([pad(texts[i][0], tokenizer.pad_token_id) for i in batch])
            mask = torch.tensor([pad([1] * len(texts[i][0]), 0) for i in batch])
            with torch.no_grad():
                last = model(input_ids=ids, attention_mask=mask).logits[:, -1]
            logits.append((last[:, yes] - last[:, no])[:, None])
        return found | {"logits": torch.cat(logits)}

    golden = Golden(folder)
    texts = random_texts(seed, single.config, SHORT, False)
    golden.group("", texts)
    alone, together = alone_and_together(texts)
    golden.results("", results(single, texts, alone), results(single, texts, together), results(exact, texts, alone))
    golden.group("texts.", [tokenized(tokenizer, t) for t in tiny_tokenizers.TEXTS])
    golden.write()

    def rank(model, **options):
        found = model.rank(QUERY, DOCUMENTS, batch_size=1, show_progress_bar=False, **options)
        return [[row["corpus_id"], float(row["score"])] for row in found]

    def by_card(instruction):
        """Prompt and texts apart; only the texts are truncated."""
        before, after = (tokenizer.encode(part, add_special_tokens=False) for part in (BEFORE, AFTER))
        scores = []
        for document in DOCUMENTS:
            text = f"<Instruct>: {instruction}\n<Query>: {QUERY}\n<Document>: {document}"
            ids = tokenizer(text, truncation="longest_first",
                            max_length=RERANKER_TOKENS - len(before) - len(after))["input_ids"]
            with torch.no_grad():
                last = single(torch.tensor([before + ids + after])).logits[0, -1]
            scores.append(torch.stack([last[no], last[yes]]).log_softmax(0)[1].exp().item())
        return scores

    cases = dict(query=QUERY, documents=DOCUMENTS, instruction=INSTRUCTION, rank=rank(cross),
                 instructed=rank(cross, prompt=INSTRUCTION), raw=rank(cross, activation_fn=torch.nn.Identity()),
                 card=by_card(DEFAULT_INSTRUCTION), card_instructed=by_card(INSTRUCTION))
    # The table of words is the output matrix.
    single.lm_head.weight.data.copy_(single.model.embed_tokens.weight)
    cases["card_tied"] = by_card(DEFAULT_INSTRUCTION)
    # One token: its logit alone.
    cross[1].false_token_id = None
    cases["yes_alone"] = rank(cross, activation_fn=torch.nn.Identity())
    (folder / "rerank.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n")


def sentence(modes, kind="bert", dense=(), normalize=False, prompts=None, include_prompt=True, newest=False,
             tanh=False, publish=None, **options):
    """A sentence-transformers folder, in the layout almost all published ones have unless `newest`. `dense`: the widths
    of Dense modules, with a bias and a `tanh` or neither."""
    def make(name, seed):
        folder = new_folder(name)
        model = make_model(folder, kind, seed, AutoModel, **options)
        model.save_pretrained(folder)
        width = model.config.hidden_size
        modules = [Transformer(str(folder), max_seq_length=24), Pooling(width, modes, include_prompt)]
        for n, (inner, outer) in enumerate(zip((width, *dense), dense)):
            activation = torch.nn.Tanh() if tanh else torch.nn.Identity()
            modules.append(fill(Dense(inner, outer, bias=tanh, activation_function=activation), seed + n))
        if normalize:
            modules.append(Normalize())
        st = SentenceTransformer(modules=modules, device="cpu", prompts=prompts)
        shutil.rmtree(folder)
        st.save_pretrained(str(folder), create_model_card=False)
        if not newest:
            rewrite_classic(folder, width, modes, include_prompt)
        golden_of(folder, SHORT, seed)
        if publish:
            publish(folder)
            make_readable(folder)
    return make


def splade(kind, pooling, activation, newest=True, **options):
    """A SparseEncoder of a masked language model, in the layout of sentence-transformers 5.4 or of 5.0."""
    def make(name, seed):
        folder = new_folder(name)
        model = make_model(folder, kind, seed, AutoModelForMaskedLM, **options)
        model.save_pretrained(folder)
        modules = [Transformer(str(folder), transformer_task="fill-mask", max_seq_length=24),
                   SpladePooling(pooling, activation, model.config.vocab_size)]
        sparse = SparseEncoder(modules=modules, device="cpu", prompts=PROMPTS)
        shutil.rmtree(folder)
        sparse.save_pretrained(str(folder), create_model_card=False)
        if not newest:
            rewrite_splade(folder)
        golden_of_splade(folder, seed)
    return make


def rewrite_splade(folder):
    """As naver/splade-v3 is published."""
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    for module, kind in zip(modules, ("MLMTransformer", "SpladePooling"), strict=True):
        module["type"] = "sentence_transformers.sparse_encoder.models." + kind
    path.write_text(json.dumps(modules, indent=2))
    path = folder / "1_SpladePooling" / "config.json"
    pooling = json.loads(path.read_text())
    pooling["word_embedding_dimension"] = pooling.pop("embedding_dimension")
    path.write_text(json.dumps(pooling, indent=2))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 24, "do_lower_case": False}, indent=4))


def golden_of_splade(folder, seed):
    golden = Golden(folder)
    sparse, exact = (SparseEncoder(str(folder), device="cpu") for _ in range(2))
    exact.double()
    tokenizer = sparse.tokenizer

    def results(encoder, texts, batches, layers):
        parts = []
        for batch in batches:
            with torch.no_grad():
                parts.append(encoder(inputs_of(encoder[0].auto_model.config, texts, batch))["sentence_embedding"])
        found = {"term_weights": torch.cat(parts)}
        if layers:
            model = encoder[0].auto_model
            model.chosen = lambda ids: []
            found |= {n: v for n, v in run(model, texts, batches).items() if n.startswith("layers.")}
        return found

    def add(prefix, texts, layers=False):
        golden.group(prefix, texts)
        alone, together = alone_and_together(texts)
        golden.results(prefix, results(sparse, texts, alone, layers), results(sparse, texts, together, layers),
                       results(exact, texts, alone, layers))

    add("", random_texts(seed, sparse[0].auto_model.config, SHORT, False), layers=True)
    tokenizer.model_max_length = sparse.max_seq_length
    for prefix, prompt in (("texts.", ""), ("query.", sparse.prompts["query"])):
        add(prefix, [tokenized(tokenizer, prompt + t) for t in tiny_tokenizers.TEXTS])
        encoded = sparse.encode(tiny_tokenizers.TEXTS, prompt=prompt, show_progress_bar=False,
                                convert_to_sparse_tensor=False)
        ours = golden.tensors[prefix + "term_weights"]
        assert (encoded - ours).abs().max() <= 2e-6 * encoded.abs().max(), folder
    # what a user reads: the largest weights of each text, by falling weight
    encoded = sparse.encode(tiny_tokenizers.TEXTS, prompt="", max_active_dims=8, show_progress_bar=False)
    (folder / "terms.json").write_text(json.dumps(
        [[[token, round(weight, 7)] for token, weight in row] for row in sparse.decode(encoded)],
        ensure_ascii=False) + "\n")
    golden.write()


def rewrite_classic(folder, width, modes, include_prompt):
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].split(".")[-1]
    path.write_text(json.dumps(modules, indent=2))
    spelling = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens",
                "mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "weightedmean": "weightedmean_tokens",
                "lasttoken": "lasttoken"}
    pooling = {"word_embedding_dimension": width}
    pooling |= {"pooling_mode_" + key: mode in modes for mode, key in spelling.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling | {"include_prompt": include_prompt}, indent=2))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 24, "do_lower_case": False}, indent=2))
    path = folder / "tokenizer_config.json"  # then only sentence_bert_config.json says 24
    tokenizer = json.loads(path.read_text())
    tokenizer["model_max_length"] = MAX_TOKENS
    path.write_text(json.dumps(tokenizer, indent=2))
    for normalize in folder.glob("*_Normalize"):
        shutil.rmtree(normalize)


def as_nomic(folder):
    """config.json as nomic-ai publishes it. transformers 5 writes its own keys, but the published tensor names."""
    path = folder / "config.json"
    own = json.loads(path.read_text())
    code = "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert."
    published = dict(
        activation_function="swiglu", architectures=own["architectures"], attn_pdrop=0.0,
        auto_map={"AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig",
                  "AutoModel": code + "NomicBertModel", "AutoModelForMaskedLM": code + "NomicBertForPreTraining"},
        bos_token_id=None, causal=False, dense_seq_output=True, embd_pdrop=0.0, eos_token_id=None, fused_bias_fc=True,
        fused_dropout_add_ln=True, initializer_range=0.02, layer_norm_epsilon=own["layer_norm_eps"],
        max_trained_positions=own["max_position_embeddings"] // 2, mlp_fc1_bias=False, mlp_fc2_bias=False,
        model_type="nomic_bert", n_embd=own["hidden_size"], n_head=own["num_attention_heads"],
        n_inner=own["intermediate_size"], n_layer=own["num_hidden_layers"],
        n_positions=own["max_position_embeddings"], pad_vocab_size_multiple=4, parallel_block=False,
        parallel_block_tied_norm=False, prenorm=False, qkv_proj_bias=False, reorder_and_upcast_attn=False,
        resid_pdrop=0.0, rotary_emb_base=own["rope_parameters"]["rope_theta"], rotary_emb_fraction=1.0,
        rotary_emb_interleaved=False, rotary_emb_scale_base=None, rotary_scaling_factor=None,
        scale_attn_by_inverse_layer_idx=False, scale_attn_weights=True, summary_activation=None,
        summary_first_dropout=0.0, summary_proj_to_labels=True, summary_type="cls_index", summary_use_proj=True,
        torch_dtype="float32", transformers_version="4.37.2", type_vocab_size=own["type_vocab_size"], use_cache=True,
        use_flash_attn=True, use_rms_norm=False, use_xentropy=True, vocab_size=own["vocab_size"])
    path.write_text(json.dumps(published, indent=2) + "\n")


# "ntk" of the published GTE code turns column pair i of n by (base * factor)^(-2i/n) * factor^(-2/n) per position.
# transformers 5 does not know the name, but computes the same with a linear scaling and the larger base.
NTK_FACTOR, NTK_BASE = 2.0, 5000.0
NTK = dict(rope_type="linear", rope_theta=NTK_BASE * NTK_FACTOR,
           factor=NTK_FACTOR ** (2 * BERT["num_attention_heads"] / BERT["hidden_size"]))


def as_new(folder):
    """config.json and names as Alibaba-NLP publishes them: model_type "new"."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    ntk = rope["rope_type"] == "linear"
    config["architectures"] = [name.replace("Gte", "New") for name in config["architectures"]]
    config |= dict(
        model_type="new", auto_map={"AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig",
                                    "AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"},
        layer_norm_type="layer_norm", logn_attention_clip1=False, logn_attention_scale=False, pack_qkv=True,
        position_embedding_type="rope", rope_theta=NTK_BASE if ntk else rope["rope_theta"],
        rope_scaling=dict(factor=NTK_FACTOR, type="ntk") if ntk else None, unpad_inputs=False,
        use_memory_efficient_attention=False, torch_dtype=config.pop("dtype"), transformers_version="4.41.2")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    weights = folder / "model.safetensors"
    tensors = {("new." + n[4:] if n.startswith("gte.") else n): t for n, t in load_file(weights).items()}
    save_file(tensors, weights, {"format": "pt"})


def encoded(folder, prompt):
    st = SentenceTransformer(str(folder), device="cpu")
    return st.encode(tiny_tokenizers.TEXTS, prompt=prompt, convert_to_tensor=True, show_progress_bar=False, batch_size=1)


PROMPTS = {"query": "take the road: ", "document": ""}
FOLDERS = {
    "bert": plain("bert"),
    "bert_odd": plain("bert", SHORT, hidden_size=40, num_attention_heads=5, intermediate_size=56),
    "bert_prefix": classifier("bert", num_hidden_layers=3, **labels("calm", "windy", "stormy")),
    "bert_multilabel": classifier("bert", problem_type="multi_label_classification", **labels("sea", "land", "sky")),
    "bert_regression": classifier("bert", problem_type="regression", **labels("score")),
    "bert_old_names": old_names,
    "bert_gelu_new": plain("bert", SHORT, hidden_act="gelu_new"),
    "bert_relu": plain("bert", SHORT, hidden_act="relu"),
    "bert_sharded": plain("bert", SHORT, shard="40KB"),
    "bert_f16": plain("bert", [1, 2, 17], dtype=torch.float16, hidden_size=64),
    "bert_bf16": plain("bert", SHORT, dtype=torch.bfloat16),
    "bert_f64": plain("bert", SHORT, dtype=torch.float64, hidden_size=24, intermediate_size=48),
    "distilbert": plain("distilbert"),
    "distilbert_cls": classifier("distilbert", problem_type="single_label_classification", **labels("no", "yes")),
    "distilbert_nli": nli,
    "bert_mlm": masked("bert", hidden_act="gelu_new"),
    # an output matrix of its own
    "bert_mlm_untied": masked("bert", num_hidden_layers=1, tie_word_embeddings=False),
    "distilbert_mlm": masked("distilbert", n_layers=1, activation="relu"),
    # the output is exact GELU whatever hidden_act is
    "roberta_mlm": masked("roberta", num_hidden_layers=1, hidden_act="relu", publish=with_tied_copies),
    "albert_mlm": masked("albert", embedding_size=64, num_hidden_layers=2),
    "electra_mlm": masked("electra", [1, 2, 17], embedding_size=32, hidden_size=64, num_hidden_layers=1,
                          intermediate_size=32, hidden_act="silu"),
    "mobilebert_mlm": masked("mobilebert", [1, 2], hidden_size=48),
    "mpnet_mlm": masked("mpnet", num_hidden_layers=1),
    "modernbert_mlm": masked("modernbert", num_hidden_layers=2),
    "modernbert_mlm_bias": masked("modernbert", num_hidden_layers=1, decoder_bias=False, norm_bias=True,
                                  classifier_bias=True, classifier_activation="silu"),
    "deberta_mlm": masked("deberta", num_hidden_layers=1),
    "deberta_v2_mlm": masked("deberta-v2", num_hidden_layers=1, embedding_size=16),
    "bert_qa": answerer("bert"),
    "roberta_qa": answerer("roberta"),
    "albert_qa": answerer("albert", embedding_size=32),
    "modernbert_qa": answerer("modernbert"),
    "bert_choice": chooser("bert"),
    "roberta_choice": chooser("roberta"),
    "electra_choice": chooser("electra", embedding_size=32),
    "bert_ner": ner("bert"),
    "distilbert_ner": ner("distilbert"),
    "roberta_ner": plain("roberta", SHORT, AutoModelForTokenClassification, **TAGS),
    "roberta": plain("roberta"),
    "roberta_cls": classifier("roberta", tokenizer_json=False, **labels("calm", "windy", "stormy")),
    "xlm_roberta": plain("xlm-roberta"),
    # one label and no problem_type, as rerankers have it: a sigmoid
    "xlm_roberta_cls": classifier("xlm-roberta", **labels("relevance")),
    "camembert_ner": plain("camembert", SHORT, AutoModelForTokenClassification, **TAGS),
    "electra": plain("electra", SHORT, embedding_size=32, hidden_size=64, num_hidden_layers=1),
    "electra_cls": classifier("electra", embedding_size=32, **labels("calm", "windy", "stormy")),
    # layers 0 and 1 share weights, layer 2 has its own
    "albert": plain("albert", [1, 2, 17], embedding_size=64, num_hidden_layers=3, num_hidden_groups=2),
    # each layer runs both inner layers
    "albert_cls": classifier("albert", embedding_size=32, inner_group_num=2, hidden_act="gelu",
                             **labels("calm", "windy", "stormy")),
    "albert_ner": plain("albert", SHORT, AutoModelForTokenClassification, embedding_size=32, num_hidden_layers=4,
                        **TAGS),
    "mobilebert": plain("mobilebert", [1, 2, 9]),
    "mobilebert_cls": classifier("mobilebert", [1, 2, 9], **labels("calm", "windy", "stormy")),
    "mpnet": plain("mpnet", relative_attention_num_buckets=40),
    "mpnet_cls": classifier("mpnet", **labels("calm", "windy", "stormy")),
    "modernbert": plain("modernbert", SHORT),
    "modernbert_cls": classifier("modernbert", classifier_pooling="mean", norm_bias=True, attention_bias=True,
                                 mlp_bias=True, classifier_bias=True, **labels("calm", "windy", "stormy")),
    "modernbert_ner": plain("modernbert", SHORT, AutoModelForTokenClassification, num_hidden_layers=2, **TAGS),
    # layer 0 sees all tokens before, layer 1 seven
    "qwen3": plain("qwen3", SHORT, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "qwen3_lm": language_model("qwen3", num_hidden_layers=1, attention_bias=True, tie_word_embeddings=False),
    # each text ends with the padding token; the token before it is read
    "qwen3_cls": classifier("qwen3", num_hidden_layers=1, **labels("calm", "windy", "stormy")),
    "qwen3_rerank": reranker,
    "gemma3": plain("gemma3_text", SHORT),
    # a decoder: layer 0 sees seven tokens before, layer 1 all, whose positions lie closer together
    "gemma3_lm": language_model("gemma3_text", attention_bias=True, sliding_window=8, intermediate_size=32, head_dim=8,
                                rope_scaling={"rope_type": "linear", "factor": 4.0},
                                use_bidirectional_attention=False, tie_word_embeddings=False),
    "t5": plain("t5", SHORT),
    "t5_gated": plain("t5", SHORT, feed_forward_proj="gated-gelu", num_layers=1, relative_attention_num_buckets=32,
                      relative_attention_max_distance=20),
    "t5_lm": language_model("t5", transformers.AutoModelForSeq2SeqLM, num_layers=1, num_decoder_layers=1, d_ff=32,
                            d_kv=8, tie_word_embeddings=False),
    "bart": plain("bart", SHORT, scale_embedding=True, activation_function="relu", encoder_layers=1),
    "bart_cls": classifier("bart", **labels("calm", "windy", "stormy")),
    "bart_nli": bart_nli,
    "bart_lm": language_model("bart", transformers.AutoModelForSeq2SeqLM, encoder_layers=1, decoder_layers=1),
    "mbart": plain("mbart", SHORT, encoder_layers=1, decoder_layers=1),
    "mbart_cls": classifier("mbart", scale_embedding=True, **labels("calm", "windy", "stormy")),
    "deberta": plain("deberta", SHORT),
    "deberta_cls": classifier("deberta", num_hidden_layers=1, position_biased_input=True, type_vocab_size=2,
                              pooler_hidden_act="tanh", **labels("calm", "windy", "stormy")),
    "deberta_v2": plain("deberta-v2"),
    # what deberta-v3 does not have: projections of positions of their own, a row for each distance, the farthest ones
    # shared, no norm, tables of positions and token types, an embedding of another width
    "deberta_v2_cls": classifier("deberta-v2", share_att_key=False, position_buckets=-1, max_relative_positions=12,
                                 norm_rel_ebd="none", position_biased_input=True, type_vocab_size=2, embedding_size=16,
                                 **labels("calm", "windy", "stormy")),
    # deberta-v2-xlarge, with groups
    "deberta_v2_conv": plain("deberta-v2", SHORT, conv_kernel_size=3, conv_groups=2, conv_act="gelu"),
    "deberta_v2_ner": plain("deberta-v2", SHORT, AutoModelForTokenClassification, num_hidden_layers=1,
                            pos_att_type=["p2c"], **TAGS),
    # as jina-embeddings-v2-small-en and -base-code
    "jina_bert": plain("jina_bert", publish=jina_bert.publish),
    "jina_bert_code": plain("jina_bert", SHORT, query_norms=True, pad_token_id=1, publish=jina_bert.publish,
                            tokenizer=tiny_tokenizers.byte_level_bpe),
    # six heads: the last two have slopes between those of the others
    "jina_bert_heads": plain("jina_bert", SHORT, hidden_size=48, num_attention_heads=6, num_hidden_layers=1,
                             intermediate_size=40, feed_forward_type="reglu", publish=jina_bert.publish),
    # as jina-reranker-v1
    "jina_bert_cls": classifier("jina_bert", num_attention_heads=2, publish=jina_bert.publish, **labels("relevance")),
    # without a gate, under a name of its own
    "jina_bert_ner": plain("jina_bert", SHORT, AutoModelForTokenClassification, feed_forward_type="original",
                           type_vocab_size=1, publish=jina_bert.name_plainly, **TAGS),
    "st_mean_norm": sentence(("mean",), normalize=True),
    "st_cls": sentence(("cls",)),
    "st_max": sentence(("max",)),
    "st_weightedmean": sentence(("weightedmean",)),
    "st_lasttoken": sentence(("lasttoken",), kind="roberta"),
    "st_mean_sqrt_len": sentence(("mean_sqrt_len_tokens",), kind="distilbert"),
    "st_concat": sentence(("cls", "max", "mean")),
    "st_concat_newest": sentence(("mean", "cls", "max"), newest=True),  # in the order of the list
    "st_dense": sentence(("mean",), dense=(24,), tanh=True, normalize=True, newest=True),
    "st_qwen3": sentence(("lasttoken",), kind="qwen3", normalize=True, prompts=PROMPTS),
    # the window is halved whenever the configuration is read: when the model is made, saved again, and loaded
    "st_gemma3": sentence(("mean",), kind="gemma3_text", dense=(48, 24), normalize=True, prompts=PROMPTS, newest=True,
                          sliding_window=30),
    "st_t5": sentence(("mean",), kind="t5", dense=(24,), normalize=True),
    "st_jina": sentence(("mean",), kind="jina_bert", publish=jina_bert.publish),
    "splade": splade("bert", "max", "relu"),
    "splade_distil": splade("distilbert", "sum", "log1p_relu", newest=False, n_layers=1),
    "st_prompts": sentence(("mean",), prompts=PROMPTS, include_prompt=False),
}
# Families that transformers has since version 5.
FOLDERS_OF_5 = {
    "eurobert": plain("eurobert", SHORT, rope_parameters=dict(rope_type="default", rope_theta=250000.0)),
    "eurobert_cls": classifier("eurobert", attention_bias=True, mlp_bias=True, head_dim=16,
                               **labels("calm", "windy", "stormy")),
    "eurobert_bos": classifier("eurobert", classifier_pooling="bos", num_hidden_layers=1, num_key_value_heads=None,
                               attention_bias=True, **labels("no", "yes")),
    "eurobert_ner": plain("eurobert", SHORT, AutoModelForTokenClassification, intermediate_size=96, **TAGS),
    "eurobert_mlm": masked("eurobert", num_hidden_layers=1, mlp_bias=True),
    "nomic_bert_mlm": masked("nomic_bert", num_hidden_layers=1),
    "new_mlm": masked("gte", num_hidden_layers=1, type_vocab_size=0, pad_token_id=0, publish=as_new),
    "st_eurobert": sentence(("mean",), kind="eurobert", normalize=True, prompts=PROMPTS),
    "nomic_bert": plain("nomic_bert", SHORT, publish=as_nomic),
    # as transformers 5 saves it
    "nomic_bert_cls": classifier("nomic_bert", rope_parameters=dict(rope_type="default", rope_theta=500.0),
                                 **labels("calm", "windy", "stormy")),
    "nomic_bert_ner": plain("nomic_bert", SHORT, AutoModelForTokenClassification, num_hidden_layers=1, **TAGS),
    "st_nomic": sentence(("mean",), kind="nomic_bert", normalize=True, publish=as_nomic,
                         prompts={"query": "search_query: ", "document": "search_document: "}),
    # as gte-base-en-v1.5
    "new": plain("gte", SHORT, type_vocab_size=0, pad_token_id=0, rope_parameters=NTK, publish=as_new),
    "new_cls": classifier("gte", type_vocab_size=2, pad_token_id=0, publish=as_new,
                          **labels("calm", "windy", "stormy")),
    # as transformers 5 saves it
    "gte_ner": plain("gte", SHORT, AutoModelForTokenClassification, type_vocab_size=1, pad_token_id=0,
                     tokenizer=tiny_tokenizers.wordpiece_without_token_types, **TAGS),
    "st_new": sentence(("cls",), kind="gte", normalize=True, type_vocab_size=0, pad_token_id=0, publish=as_new),
    "jina_v3": plain("jina_embeddings_v3", SHORT, rope_parameters=dict(rope_type="default", rope_theta=300.0)),
    "jina_v3_cls": classifier("jina_embeddings_v3", **labels("calm", "windy", "stormy")),
    "jina_v3_mlm": masked("jina_embeddings_v3", num_hidden_layers=1),
    # as jina-reranker-v2
    "jina_reranker": classifier("xlm-roberta", num_hidden_layers=1, publish=jina_v3.publish_reranker, **labels("relevance")),
    # as jina-embeddings-v3
    "st_jina_v3": sentence(("mean",), kind="jina_embeddings_v3", normalize=True,
                           publish=lambda folder: jina_v3.publish_tasks(folder, encoded)),
}


def main():
    torch.set_num_threads(1)  # one order of summation
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    OUT.mkdir(parents=True, exist_ok=True)
    texts = {"texts": tiny_tokenizers.TEXTS, "pairs": tiny_tokenizers.PAIRS}
    (OUT / "texts.json").write_text(json.dumps(texts, indent=1, ensure_ascii=False) + "\n")
    folders = FOLDERS if tiny_tokenizers.TRANSFORMERS_4 else FOLDERS_OF_5
    for name in sys.argv[1:] or folders:
        folders[name](name, zlib.crc32(name.encode()))


if __name__ == "__main__":
    main()
