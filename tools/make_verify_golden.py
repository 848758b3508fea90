"""Makes a golden for `mlx-encoder verify FOLDER --against GOLDEN.json` with sentence-transformers or transformers.

    python tools/make_verify_golden.py FOLDER GOLDEN.json            # docs/verify.md
"""

import argparse
import json
import pathlib

import torch
import transformers

TEXTS = [
    {"text": "The sky is blue."},
    {"text": "How do I reset my password?"},
    {"text": "Größe, naïve café — 5 €: ½ of it!"},
    {"text": "東京は日本の首都です。 Москва — столица России. 🚀"},
    {"text": "The library on the corner opened in 1932, two years late. " * 12},
]
NAMES = {"text": "The European Union has offices in Brussels and Luxembourg."}
PAIR = {"text": "A man plays the guitar on a stage.", "pair": "Somebody is making music."}


def rounded(values: torch.Tensor) -> list[float]:
    return [float(f"{v:.8g}") for v in values.tolist()]


def sentence(folder: str) -> dict:
    import sentence_transformers

    model = sentence_transformers.SentenceTransformer(folder, device="cpu")
    texts = TEXTS + [{"text": "The sky is blue.", "prompt_name": name} for name, prompt in sorted(model.prompts.items()) if prompt]
    for text in texts:
        vector = model.encode([text["text"]], prompt_name=text.get("prompt_name"), convert_to_tensor=True)[0]
        text["values"] = rounded(vector)
    return {"made_by": f"sentence-transformers {sentence_transformers.__version__}", "output": "sentence", "texts": texts}


def classifier(folder: str, tokens: bool) -> dict:
    kind = transformers.AutoModelForTokenClassification if tokens else transformers.AutoModelForSequenceClassification
    model, tokenizer = kind.from_pretrained(folder).eval(), transformers.AutoTokenizer.from_pretrained(folder)
    texts = TEXTS + [NAMES if tokens else PAIR]
    for text in texts:
        inputs = tokenizer(text["text"], text.get("pair"), truncation=True, max_length=model.config.max_position_embeddings,
                           return_tensors="pt", return_special_tokens_mask=True)
        special = inputs.pop("special_tokens_mask")[0].bool()
        with torch.no_grad():
            logits = model(**inputs).logits[0]
        text["values"] = rounded(logits.softmax(-1)[~special].double().mean(0) if tokens else logits)
    return {"made_by": f"transformers {transformers.__version__}", "output": "token_scores" if tokens else "logits", "texts": texts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("golden", type=pathlib.Path)
    parser.add_argument("--difference", type=float, help="the tolerance to write; without it, the limit follows from the bits of the folder that is checked")
    arguments = parser.parse_args()
    config = json.loads((pathlib.Path(arguments.folder) / "config.json").read_text())
    name = (config.get("architectures") or [""])[0]
    if name.endswith("ForTokenClassification"):
        golden = classifier(arguments.folder, tokens=True)
    elif name.endswith("ForSequenceClassification"):
        golden = classifier(arguments.folder, tokens=False)
    else:
        golden = sentence(arguments.folder)
    tolerance = {} if arguments.difference is None else {"tolerance": {"difference": arguments.difference}}
    golden = {"version": 1} | tolerance | golden
    arguments.golden.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
