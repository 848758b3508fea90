"""Makes tests/data/chunks/: chunks of long texts, and their vectors, on folders of tests/data/tiny.

    python tools/make_chunk_goldens.py        (environment: tools/requirements-goldens.txt)

The rules for the cuts (src/encoder/chunks.h, late_chunks.h) are written here a second time, over transformers' fast
tokenizers, which get the whole rest of a text. A chunk's vector is sentence-transformers' of its text. With late
chunking it is the mean of transformers' last hidden states of its tokens, which then goes through the modules behind
the pooling.

cases.json: the texts, and of each case the folder, the options and the chunks [text, begin, end, tokens].
vectors.safetensors: a case's vectors, under its name.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer

TESTS = Path(__file__).resolve().parent.parent / "tests" / "data"
OUT = TESTS / "chunks"
SENTENCES = ("The cat sat on the warm piano.", "Take the second road along the river, then ask again!",
             "Nobody keeps bees in the harbour, and the old piano is almost in tune.",
             "The train to the coast stops at every station except the one we wanted.")
TEXTS = [
    " ".join(SENTENCES),
    "One chunk.",
    "",
    "  \n The road,\t the road ,  and\u00a0the river\u3000home \n\n the cat. " * 2 + "\n ",
    SENTENCES[1],
    "渡し船は川を渡った。" * 4,
    "Café au lait 🚢🚢🚢 naïve " * 2 + "e\u0301" * 12,
    "a,b;c-d/" * 5 + "x" * 130 + " the end",
    "\x00\x01 the cat \x02" * 7 + "\x03" * 40,
    "antidisestablishment" * 3,
]
# folder, prompt, most tokens, overlap, late
CASES = [
    ("st_dense", "", 12, 0, False),
    ("st_dense", "", 12, 5, False),
    ("st_dense", "", 3, 0, False),
    ("st_prompts", "search the road: ", 20, 1, False),
    ("st_t5", "", 16, 9, False),
    ("st_gemma3", "", 17, 4, False),
    ("st_lasttoken", "", 10, 0, False),
    ("st_dense", "", 12, 0, True),
    ("st_dense", "", 11, 4, True),
    ("st_prompts", "search the road: ", 20, 1, True),
    ("st_t5", "the river: ", 16, 2, True),
    ("st_gemma3", "", 9, 0, True),
]
CONTEXT_SHARE = 4


class Cutter:
    def __init__(self, tokenizer, prompt, tokens, overlap):
        self.tokenizer, self.prompt, self.tokens, self.overlap = tokenizer, prompt, tokens, overlap

    def encode(self, text):
        """The ids of a text behind the prompt; of each token of the text itself its index and its range."""
        encoded = self.tokenizer(self.prompt + text, truncation=False, return_offsets_mapping=True,
                                 return_special_tokens_mask=False)
        p = len(self.prompt)
        own = [(i, max(begin, p) - p, end - p) for i, ((begin, end), sequence) in
               enumerate(zip(encoded["offset_mapping"], encoded.encodings[0].sequence_ids))
               if sequence is not None and not (p > 0 and end <= p)]
        return encoded["input_ids"], own, encoded.encodings[0].word_ids

    def count(self, text):
        return len(self.encode(text)[0])

    def boundaries(self, text):
        """[(place, tokens before it, kind)]"""
        ids, own, words = self.encode(text)
        found = {}
        for k, (i, _, _) in enumerate(own):
            at = max(end for _, _, end in own[:k + 1])
            if at == 0 or any(begin < at for _, begin, _ in own[k + 1:]):
                continue
            if text[at:at + 1].isspace() or text[:at][-1:].isspace():
                kind = 2
            else:
                kind = int(k + 1 == len(own) or words[i] is None or words[i] != words[own[k + 1][0]])
            found[at] = (k + 1, kind)
        return [(at, *rest) for at, rest in sorted(found.items())], len(ids) - len(own)

    def chunks(self, text):
        if (whole := self.count(text)) <= self.tokens:
            return [(0, len(text), whole)]
        stop = len(text.rstrip())
        begin = len(text) - len(text.lstrip())
        chunks = []
        while not chunks or begin < stop:
            rest = text[begin:stop]
            ids, own, _ = self.encode(rest)
            if len(ids) <= self.tokens:
                if own or not chunks:
                    chunks.append((begin, stop, len(ids)))
                break
            places, added = self.boundaries(rest)
            room = self.tokens - added
            while True:
                good = [p for p in places if max(room // 2, self.overlap) < p[1] <= room]
                end = max(good, key=lambda p: (p[2], p[1])) if good else [p for p in places if p[1] <= room][-1]
                chunk = rest[:end[0]].rstrip()
                if (size := self.count(chunk)) <= self.tokens:
                    break
                room = end[1] - 1
            chunks.append((begin, begin + len(chunk), size))
            after = end[0]
            shared = [p for p in places
                      if max(1, end[1] - self.overlap) <= p[1] <= end[1] - (self.overlap + 1) // 2]
            if self.overlap and shared:
                after = min(shared, key=lambda p: (-p[2], p[1]))[0]
            begin += after + len(rest[after:]) - len(rest[after:].lstrip())
        return chunks

    def windows(self, text, chunks, limit):
        """[(begin, end, first chunk, one past the last)]"""
        if self.count(text) <= limit:
            return [(0, len(text), 0, len(chunks))]
        windows, context, following = [], 0, 0
        while following < len(chunks):
            while (past := self.widest(text, chunks, context, limit)) <= following:
                context += 1
            begin, end = chunks[context][0], chunks[past - 1][1]
            windows.append((begin, end, following, past))
            following = past
            own = self.encode(text[begin:])[1]
            context += 1
            while context < following and sum(
                    chunks[context][0] - begin <= b < end - begin for _, b, _ in own) > limit // CONTEXT_SHARE:
                context += 1
        return windows

    def widest(self, text, chunks, first, limit):
        begin = chunks[first][0]
        ids, own, _ = self.encode(text[begin:])
        past = first + 1
        while past < len(chunks) and len(ids) - len(own) + sum(
                b < chunks[past][1] - begin for _, b, _ in own) <= limit:
            past += 1
        while past > first + 1 and self.count(text[begin:chunks[past - 1][1]]) > limit:
            past -= 1
        return past


def late_vectors(model, cutter, text, chunks):
    """The vectors of the chunks, and how many tokens each is the mean of."""
    transformer, pooling, *behind = list(model)
    skipped = 0 if pooling.include_prompt else transformer._get_prompt_length(cutter.prompt)
    vectors, counts = [], []
    for begin, end, first, past in cutter.windows(text, chunks, model.max_seq_length):
        ids, own, _ = cutter.encode(text[begin:end])
        assert len(ids) <= model.max_seq_length
        with torch.no_grad():
            hidden = transformer.auto_model(input_ids=torch.tensor([ids])).last_hidden_state[0]
            for c in range(first, past):
                b, e = chunks[c][0] - begin, chunks[c][1] - begin
                inside = [i for i, x, y in own if x < e and (y > b or x >= b)]
                span = [min(inside, default=len(ids)), max(inside, default=-1) + 1]
                if c == 0:
                    span[0] = skipped
                if c + 1 == len(chunks):
                    span[1] = len(ids)
                features = {"sentence_embedding": hidden[span[0]:span[1]].mean(0, keepdim=True)}
                for module in behind:
                    features = module(features)
                vectors.append(features["sentence_embedding"][0].numpy())
                counts.append(span[1] - span[0])
    return vectors, counts


def main():
    torch.set_num_threads(1)
    tensors, cases = {}, []
    for folder, prompt, tokens, overlap, late in CASES:
        model = SentenceTransformer(str(TESTS / "tiny" / folder), device="cpu")
        model.eval()
        cutter = Cutter(model.tokenizer, prompt, tokens, overlap)
        name = f"{folder}.{tokens}.{overlap}" + (".late" if late else "")
        rows, chunks, windows = [], [], 0
        for t, text in enumerate(TEXTS):
            spans = cutter.chunks(text)
            if late:
                vectors, counts = late_vectors(model, cutter, text, spans)
                windows += len(cutter.windows(text, spans, model.max_seq_length)) > 1
            else:
                vectors = [model.encode(text[b:e], prompt=prompt, show_progress_bar=False) for b, e, _ in spans]
                counts = [n for _, _, n in spans]
            rows += vectors
            chunks += [[t, b, e, n] for (b, e, _), n in zip(spans, counts)]
        tensors[name] = np.stack(rows).astype(np.float32)
        cases.append(dict(name=name, folder=folder, prompt=prompt, tokens=tokens, overlap=overlap, late=late,
                          chunks=chunks))
        print(name, len(chunks), "chunks,", windows, "texts in windows, limit", model.max_seq_length)
    (OUT / "cases.json").write_text(json.dumps(dict(texts=TEXTS, cases=cases)) + "\n")
    save_file(tensors, OUT / "vectors.safetensors")


if __name__ == "__main__":
    main()
