"""Tiny tokenizers of the three kinds encoders come with, learnt from CORPUS in plain Python.

Learning is a few lines each instead of the tokenizers library's trainers, so that the same vocabulary comes out
whatever that library's version or thread count.
"""

import math
from collections import Counter

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (AlbertTokenizerFast, BartTokenizerFast, BertTokenizerFast, DebertaTokenizerFast,
                          DebertaV2TokenizerFast, DistilBertTokenizerFast, GemmaTokenizerFast, MBartTokenizerFast,
                          MobileBertTokenizerFast, MPNetTokenizerFast, PreTrainedTokenizerFast, Qwen2TokenizerFast,
                          RobertaTokenizerFast, T5TokenizerFast, XLMRobertaTokenizerFast)
from transformers import __version__ as transformers_version

TRANSFORMERS_4 = transformers_version.startswith("4.")

CORPUS = """
The ferry left the harbour before the sun was up, and the town was still asleep behind it.
A small model on a small machine is often all that a small question needs.
She counted the boxes twice, wrote the number down and counted them again.
Rain is coming in from the west, so take the washing in and close the windows.
The bread was still warm when the children came home from the market.
Nobody had opened the old piano for years, but it was almost in tune.
Every bridge over the river was closed, and the road along the river was too.
He plays the violin in the morning and repairs clocks in the afternoon.
The answer to the first question is in the second letter, and the second letter is lost.
Some of the apples were green, some were red, and the rest had been eaten by the birds.
The train to the coast stops at every station except the one we wanted.
Our neighbour keeps bees, and in a good year she gives everyone a jar of honey.
The committee agreed that the report was late and that the reason for it was the committee.
Turn left at the mill, then right at the bridge, then ask again.
The cat sat on the warm engine of the car and looked at the rain.
"""

# Texts every golden uses: plain, repeated words, accents, symbols, other scripts, unknown characters, empty, and
# one longer than the tiny models take.
TEXTS = [
    "The cat sat on the warm piano.",
    "Take the second road along the river, then ask again!",
    "A question",
    "Café au lait, naïve and 12,5 % of 3/4?",
    "渡し船 left Привет 🚢 early",
    "",
    "The ferry, the train and the bridge were all late because the rain from the west had closed the harbour, the "
    "station and the road, and nobody in the town had counted the boxes before the children came home.",
]
PAIRS = [
    ["The bread was still warm.", "Somebody had been to the market."],
    ["He repairs clocks.", ""],
    ["The train to the coast stops at every station except the one we wanted, so we took the road along the river "
     "and came home before the rain.", "Nobody keeps bees in the harbour, and the old piano is almost in tune."],
]


def words(text):
    pieces = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)
    return Counter(piece for piece, _ in pieces)


def most_frequent(counts, number):
    return [item for item, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:number]]


def wordpiece(folder, max_length, json_file=True, tokenizer_class=BertTokenizerFast,
              special=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")):
    counts = words(CORPUS.lower())
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + [str(d) for d in range(10)]
    endings = Counter()
    for word, n in counts.items():
        for start in range(1, len(word) - 1):
            endings[word[start:]] += n
    vocabulary = [*special, *".,!?%/", "渡", "船", *letters]
    vocabulary += ["##" + letter for letter in letters]
    vocabulary += [w for w in most_frequent(counts, 90) if w not in vocabulary]
    vocabulary += ["##" + e for e in most_frequent(endings, 40)]
    path = folder / "vocab.txt"
    path.write_text("\n".join(vocabulary) + "\n")
    # transformers 5 takes the vocabulary itself.
    source = {"vocab_file": str(path)} if TRANSFORMERS_4 else {"vocab": {v: i for i, v in enumerate(vocabulary)}}
    tokenizer = tokenizer_class(**source, do_lower_case=True, model_max_length=max_length)
    save(tokenizer, folder, json_file)
    return tokenizer


def wordpiece_without_token_types(folder, max_length, json_file=True):
    return wordpiece(folder, max_length, json_file, DistilBertTokenizerFast)


def wordpiece_of_mobilebert(folder, max_length, json_file=True):
    return wordpiece(folder, max_length, json_file, MobileBertTokenizerFast)


def wordpiece_of_mpnet(folder, max_length, json_file=True):
    return wordpiece(folder, max_length, json_file, MPNetTokenizerFast, ("<s>", "<pad>", "</s>", "[UNK]", "<mask>"))


def learnt_merges(splitter):
    counts = Counter()
    for line in CORPUS.strip().splitlines():
        counts.update(tuple(piece) for piece, _ in splitter.pre_tokenize_str(line))
    merges = []
    for _ in range(50):
        pairs = Counter()
        for word, n in counts.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        best = most_frequent(pairs, 1)[0]
        merges.append(best)
        merged = Counter()
        for word, n in counts.items():
            symbols, i = [], 0
            while i < len(word):
                joined = word[i : i + 2] == best
                symbols.append("".join(best) if joined else word[i])
                i += 2 if joined else 1
            merged[tuple(symbols)] += n
        counts = merged
    return merges


def byte_level_bpe(folder, max_length, json_file=True, tokenizer_class=RobertaTokenizerFast, **special):
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    merges = learnt_merges(splitter)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pieces += ["".join(pair) for pair in merges] + ["<mask>"]
    bpe = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    bpe.pre_tokenizer = splitter
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer = tokenizer_class(tokenizer_object=bpe, model_max_length=max_length, **special)
    if tokenizer_class in (RobertaTokenizerFast, BartTokenizerFast):
        tokenizer._tokenizer.model.save(str(folder))
    save(tokenizer, folder, json_file)
    return tokenizer


def byte_level_bpe_of_bart(folder, max_length, json_file=True):
    return byte_level_bpe(folder, max_length, json_file, BartTokenizerFast)


def byte_level_bpe_without_class(folder, max_length, json_file=True):
    """As ModernBERT has it: tokenizer.json says all."""
    return byte_level_bpe(folder, max_length, json_file, PreTrainedTokenizerFast, pad_token="<pad>", cls_token="<s>",
                          sep_token="</s>", unk_token="<unk>", mask_token="<mask>",
                          model_input_names=["input_ids", "attention_mask"])


def byte_level_bpe_of_deberta(folder, max_length, json_file=True):
    """As DebertaConverter makes it of vocab.json and merges.txt."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    merges = learnt_merges(splitter)
    pieces = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pieces += ["".join(pair) for pair in merges] + ["[MASK]"]
    bpe = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    bpe.pre_tokenizer = splitter
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.TemplateProcessing(
        "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", [("[CLS]", 0), ("[SEP]", 2)])
    tokenizer = DebertaTokenizerFast(tokenizer_object=bpe, model_max_length=max_length)
    save(tokenizer, folder, json_file)
    return tokenizer


def byte_level_bpe_of_qwen(folder, max_length, json_file=True):
    """As Qwen3-Embedding has it: no token before the text, <|endoftext|> after it."""
    return bpe_of_qwen(folder, max_length, json_file)


def byte_level_bpe_of_reranker(folder, max_length, json_file=True):
    """As Qwen3-Reranker has it: no token around the text, and the answers in the vocabulary."""
    return bpe_of_qwen(folder, max_length, json_file, words=[("y", "e"), ("ye", "s"), ("n", "o")],
                       thinks=True, ends=False)


def bpe_of_qwen(folder, max_length, json_file, words=(), thinks=False, ends=True):
    pattern = Regex(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
                    r"\s+(?!\S)|\s+")
    splitter = pre_tokenizers.Sequence([pre_tokenizers.Split(pattern, "isolated"),
                                        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    merges = learnt_merges(splitter) + list(words)
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    end = len(pieces)
    bpe = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = splitter
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(t, special=True) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    if thinks:
        bpe.add_tokens([AddedToken(t, special=False) for t in ("<think>", "</think>")])
    bpe.post_processor = processors.ByteLevel(trim_offsets=False)
    if ends:
        bpe.post_processor = processors.Sequence([
            bpe.post_processor,
            processors.TemplateProcessing("$A <|endoftext|>", "$A $B <|endoftext|>", [("<|endoftext|>", end)])])
    tokenizer = Qwen2TokenizerFast(tokenizer_object=bpe, model_max_length=max_length, unk_token=None,
                                   eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left")
    save(tokenizer, folder, json_file)
    return tokenizer


def bpe_of_gemma(folder, max_length, json_file=True):
    """As EmbeddingGemma has it: spaces are ▁, a text is one word, unknown characters are bytes; <bos>, text, <eos>."""
    merges = learnt_merges(pre_tokenizers.Metaspace(prepend_scheme="never"))
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    letters = sorted({letter for line in CORPUS.strip().splitlines() for letter in line.replace(" ", "▁")})
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, *("".join(pair) for pair in merges)]
    bpe = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges, unk_token="<unk>", fuse_unk=True,
                               byte_fallback=True))
    bpe.normalizer = normalizers.Replace(" ", "▁")
    bpe.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    bpe.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    bpe.add_special_tokens([AddedToken(t, special=True) for t in special])
    tokenizer = GemmaTokenizerFast(tokenizer_object=bpe, model_max_length=max_length, add_eos_token=True,
                                   mask_token="<mask>")
    save(tokenizer, folder, json_file)
    return tokenizer


def unigram_model(special, text=CORPUS):
    """Pieces of the words of a text behind the special tokens, of which the unknown one is one."""
    counts = Counter()
    for word, n in Counter(text.split()).items():
        word = "▁" + word
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + 7) + 1):
                counts[word[start:end]] += n
    singles = {piece for piece in counts if len(piece) == 1}
    longer = Counter({p: n * len(p) for p, n in counts.items() if len(p) > 1})
    pieces = sorted(singles) + most_frequent(longer, 180)
    total = sum(counts[p] for p in pieces)
    vocabulary = [(token, 0.0) for token in special]
    # Rounded: a logarithm's last bit may differ between C libraries.
    return vocabulary + [(p, round(math.log(counts[p] / total), 6)) for p in pieces]


def unigram_of_fairseq():
    """What XLM-RoBERTa and mBART have alike."""
    special = ("<s>", "<pad>", "</s>", "<unk>")
    model = Tokenizer(models.Unigram(unigram_model(special) + [("<mask>", 0.0)], unk_id=3))
    model.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    model.decoder = decoders.Metaspace()
    return model


def unigram(folder, max_length):
    model = unigram_of_fairseq()
    model.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)])
    tokenizer = XLMRobertaTokenizerFast(tokenizer_object=model, model_max_length=max_length)
    save(tokenizer, folder, True)
    return tokenizer


def unigram_of_mbart(folder, max_length):
    """As mBART has it: no token before the text, </s> and a language after it. The class sets the template itself."""
    model = unigram_of_fairseq()
    tokenizer = MBartTokenizerFast(tokenizer_object=model, model_max_length=max_length, src_lang="de_DE")
    save(tokenizer, folder, True)
    return tokenizer


def unigram_of_t5(folder, max_length):
    """As T5 has it: no token before the text, </s> after it, and tokens that stand for gaps in a text."""
    model = Tokenizer(models.Unigram(unigram_model(("<pad>", "</s>", "<unk>")), unk_id=2))
    model.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    model.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    model.decoder = decoders.Metaspace()
    model.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    tokenizer = T5TokenizerFast(tokenizer_object=model, model_max_length=max_length, extra_ids=3)
    save(tokenizer, folder, True)
    return tokenizer


def unigram_of_deberta(folder, max_length):
    """As DebertaV2Converter makes it of a spm.model."""
    special = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
    model = Tokenizer(models.Unigram(unigram_model(special) + [("[MASK]", 0.0)], unk_id=3))
    model.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC(),
                                             normalizers.Replace(Regex(" {2,}"), " ")])
    model.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace()])
    model.decoder = decoders.Metaspace()
    model.post_processor = processors.TemplateProcessing(
        "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", [("[CLS]", 1), ("[SEP]", 2)])
    tokenizer = DebertaV2TokenizerFast(tokenizer_object=model, model_max_length=max_length)
    save(tokenizer, folder, True)
    return tokenizer


def unigram_of_albert(folder, max_length):
    """As ALBERT has it: lower case, no accents, token types."""
    special = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    model = Tokenizer(models.Unigram(unigram_model(special, CORPUS.lower()), unk_id=1))
    model.normalizer = normalizers.Sequence([
        normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(),
        normalizers.Lowercase(), normalizers.Replace(Regex(" {2,}"), " ")])
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    model.decoder = decoders.Metaspace()
    model.post_processor = processors.TemplateProcessing(
        "[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer = AlbertTokenizerFast(tokenizer_object=model, model_max_length=max_length)
    save(tokenizer, folder, True)
    return tokenizer


def save(tokenizer, folder, json_file):
    tokenizer.save_pretrained(folder)
    if not json_file:
        (folder / "tokenizer.json").unlink()
