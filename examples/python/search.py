"""Search in a folder of text files, with NumPy alone:

    python search.py index FOLDER --model sentence-transformers/all-MiniLM-L6-v2 --index texts.npz
    python search.py query "Where do insects dwell?" --index texts.npz
"""

import argparse
import os
import pathlib
import sys

import numpy as np

from mlx_encoder import Encoder, Error


def paragraphs(folder):
    """File, line and text of each paragraph of the .txt and .md files of a folder and its subfolders."""
    for path in sorted(p for p in pathlib.Path(folder).rglob("*") if p.suffix in (".txt", ".md")):
        lines = [*path.read_text(encoding="utf-8", errors="replace").splitlines(), ""]
        begin = 0
        for end, line in enumerate(lines):
            if not line.strip():
                if text := " ".join(lines[begin:end]).strip():
                    yield str(path), begin + 1, text
                begin = end + 1


def make_index(arguments):
    found = list(paragraphs(arguments.folder))
    if not found:
        raise FileNotFoundError(f"{arguments.folder}: found no paragraph in .txt or .md files, expected at least one")
    files, lines, texts = zip(*found)
    vectors = Encoder(arguments.model).encode_document(texts, normalize_embeddings=True, show_progress_bar=True)
    unfinished = f"{arguments.index}.part"
    with open(unfinished, "wb") as file:
        np.savez(file, model=arguments.model, vectors=vectors.astype(np.float16), files=files, lines=lines, texts=texts)
    os.replace(unfinished, arguments.index)
    print(f"{len(texts)} paragraphs of {len(set(files))} files: {arguments.index}")


def query_index(arguments):
    with np.load(arguments.index) as index:
        query = Encoder(str(index["model"])).encode_query(arguments.text, normalize_embeddings=True)
        scores = index["vectors"].astype(np.float32) @ query
        for row in np.argsort(-scores)[: arguments.top_k]:
            print(f"{scores[row]:.3f} {index['files'][row]}:{index['lines'][row]}: {index['texts'][row][:100]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    index = commands.add_parser("index", help="read a folder")
    index.add_argument("folder")
    index.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2")
    index.set_defaults(run=make_index)
    query = commands.add_parser("query", help="find paragraphs")
    query.add_argument("text")
    query.add_argument("--top-k", type=int, default=5)
    query.set_defaults(run=query_index)
    for command in (index, query):
        command.add_argument("--index", default="texts.npz")
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except (OSError, Error) as error:
        sys.exit(f"search.py: {error}")


if __name__ == "__main__":
    main()
