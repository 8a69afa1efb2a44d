"""Labels by an endpoint in a process of its own, to be killed: ``label_child.py URL FILE``."""

from __future__ import annotations

import json
import sys

from label_samples import on, sample

from residuum.dictionaries.labels import Endpoint, Labels, label_features


def main(url: str, keep: str) -> Labels:
    examples = sample({i: on(i) for i in range(1, 9)})
    endpoint = Endpoint(url, "rule", key_env=None, concurrency=2)
    return label_features(examples, by=endpoint, confirm=True, keep=keep)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:]).to_json()))
