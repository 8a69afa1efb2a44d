"""Tasks from words, files and ids; every misfit refused by row; laws of subsets and swaps."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from residuum.core import ContrastPair, OptionError, TaskError, TokenError
from residuum.models.tokens import Tokens
from residuum.runs.behaviour import logits_at_answer
from residuum.runs.named_tasks import make_task, task_names
from residuum.runs.task import Task
from residuum.worlds import microworld_vocabulary, tokenizer_json

WORDS = [
    *("<s>", "Mary", "John", "Anna", "gave", "it", "to", "the", "key", "keys", "near", "."),
    *("is", "are", "17", "52", "53", "says"),
]
PIECE = re.compile(r" ?\d\d| ?\d| ?[A-Za-z']+| ?[^\sA-Za-z\d]|\s")


class FakeModel:
    """Reads words of a fixed vocabulary after BOS; a rule on the ids makes the logits."""

    def __init__(self, rule=None, n_ctx: int | None = 12) -> None:
        self.tokenizer = None
        self.n_ctx = n_ctx
        self.d_vocab = len(WORDS)
        self.rule = rule or (lambda ids: torch.zeros(*ids.shape, len(WORDS)))
        self.masks: list[Tensor | None] = []

    def to_tokens(self, text: str, /) -> Tensor:
        words = text.split()
        unknown = [word for word in words if word not in WORDS]
        if unknown:
            raise TokenError(f"not in the vocabulary: {', '.join(unknown)}", mend="other words")
        return torch.tensor([[0, *map(WORDS.index, words)]])

    def run(self, tokens: Tensor, /, *, attention_mask: Tensor | None = None) -> Any:
        self.masks.append(attention_mask)
        return SimpleNamespace(logits=self.rule(tokens))


class PieceModel(FakeModel):
    """Tokens as GPT-2 cuts them, roughly: a leading space belongs to the word."""

    def __init__(self) -> None:
        super().__init__(n_ctx=64)
        self.d_vocab = 20_000
        self.ids: dict[str, int] = {}

    def to_tokens(self, text: str, /) -> Tensor:
        return torch.tensor([[self.ids.setdefault(p, len(self.ids)) for p in PIECE.findall(text)]])

    def text(self, ids: Tensor) -> str:
        names = list(self.ids)
        return "".join(names[each] for each in ids.tolist())


class HfModel(FakeModel):
    """A real tokenizer and no weights."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, n_ctx: int | None = 512) -> None:
        super().__init__(n_ctx=n_ctx)
        self.tokenizer = tokenizer
        self.tokens = Tokens(tokenizer, len(tokenizer), n_ctx)
        self.d_vocab = len(tokenizer)

    def to_tokens(self, text: str, /) -> Tensor:
        return self.tokens.batch(text).ids


PAIRS = [
    ContrastPair("Mary gave it to", "John gave it to", ("Anna",), ("Mary", "John"), {"S": 0}, "a"),
    ContrastPair("the keys near the key", "the key near the key", ("are",), ("is",), {"S": 1}, "b"),
    ContrastPair("John says to", "Anna says to", ("Mary", "Anna"), ("John",), {"S": 0}, "a"),
]


def some_task() -> Task:
    return Task.from_pairs(PAIRS, FakeModel(), name="some")


def id_task(**changes: Any) -> Task:
    parts: dict[str, Any] = dict(
        clean=torch.tensor([[0, 1, 2], [0, 3, 4]]),
        corrupt=torch.tensor([[0, 2, 2], [0, 4, 4]]),
        answers=torch.tensor([5, 6]),
        wrong=torch.tensor([6, 5]),
    )
    return Task.from_pairs(**{**parts, **changes})


def test_words_become_ids_positions_and_lengths() -> None:
    task = some_task()
    assert len(task) == 3 and task.metric == "logit_diff"
    assert task.lengths.tolist() == [5, 6, 4]
    assert task.clean[0].tolist() == [0, 1, 4, 5, 6, 0]
    assert task.answers.tolist() == [[3, -1], [WORDS.index("are"), -1], [1, 3]]
    assert task.positions["S"].tolist() == [1, 2, 1]
    assert task.last.tolist() == [4, 5, 3]
    assert task.attention_mask is not None
    assert task.attention_mask.sum(1).tolist() == [5, 6, 4]
    assert task.templates == ("a", "b", "a")
    assert task.describe() == ("some: 3 pairs of 4 to 6 tokens, metric logit_diff, positions S")


def test_ids_become_a_task() -> None:
    task = id_task(positions={"S": 1}, templates=["x", "y"])
    assert task.answers.tolist() == [[5], [6]]
    assert task.attention_mask is None
    assert task.positions["S"].tolist() == [1, 1]
    assert id_task(wrong=None).metric == "prob"
    assert id_task(lengths=[2, 3]).lengths.tolist() == [2, 3]
    assert id_task(answers=[[5, 7, -1], [6, 6, -1]]).answers.tolist() == [[5, 7], [6, -1]]


def bad_pair(**changes: Any) -> list[ContrastPair]:
    return [PAIRS[0], replace(PAIRS[1], **changes), PAIRS[2]]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (dict(corrupt="the key near key"), "row 2: clean has 6 tokens, corrupt 5"),
        (dict(corrupt=PAIRS[1].clean), "row 2: clean and corrupt are the same"),
        (dict(clean="the cat near the key"), "row 2: not in the vocabulary: cat"),
        (dict(answers=("is the",)), "row 2: answer 'is the' is not one token after"),
        (dict(answers=("was",)), "row 2: answer 'was': not in the vocabulary: was"),
        (dict(answers=("is", "are")), f"row 2: token {WORDS.index('is')} is both"),
        (dict(answers=()), "row 2: no answer"),
        (dict(positions={"S": 9}), "row 2: position 9 in a prompt of 5 words"),
        (
            dict(clean="the " * 12 + "keys", corrupt="the " * 12 + "key"),
            "row 2: 14 tokens in a context of 12",
        ),
    ],
)
def test_misfits_are_refused_by_row_or_dropped_and_counted(changes: dict, text: str) -> None:
    with pytest.raises(TaskError, match=re.escape(text)) as caught:
        Task.from_pairs(bad_pair(**changes), FakeModel())
    assert "1 of 3 pairs do not fit" in caught.value.what
    assert "skip_misfits=True" in caught.value.mend
    task = Task.from_pairs(bad_pair(**changes), FakeModel(), skip_misfits=True)
    assert len(task) == 2 and list(task.dropped) == [2]
    assert "1 pairs dropped" in task.describe()


def test_all_pairs_misfits_is_an_error_even_when_skipping() -> None:
    with pytest.raises(TaskError, match="1 of 1 pairs do not fit"):
        Task.from_pairs([replace(PAIRS[0], answers=())], FakeModel(), skip_misfits=True)
    with pytest.raises(TaskError, match="no pairs"):
        Task.from_pairs([], FakeModel())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (dict(corrupt=torch.tensor([[0, 2], [0, 4]])), r"clean has shape \[2, 3\], corrupt"),
        (dict(clean=torch.rand(2, 3)), "clean holds torch.float32"),
        (dict(clean=[[1, 2], [1]]), "clean is no table of ids"),
        (dict(answers=None), "answers missing"),
        (dict(answers=torch.tensor([5, 6, 7])), r"answers has shape \[3, 1\] for 2 pairs"),
        (dict(wrong=torch.tensor([6, 6])), "row 2: token 6 is both answer and wrong"),
        (dict(answers=torch.tensor([-1, 6])), "row 1: no answer"),
        (dict(answers=torch.tensor([-7, 6])), "row 1: token id -7 is negative"),
        (dict(corrupt=torch.tensor([[0, 1, 2], [0, 4, 4]])), "row 1: clean and corrupt are the"),
        (dict(lengths=[3, 4]), "lengths outside the prompts"),
        (dict(positions={"S": [1, 3]}), "row 2: a named position lies outside"),
        (dict(templates=["a"]), "1 templates for 2 pairs"),
        (dict(model=FakeModel(n_ctx=2)), "row 1: 3 tokens in a context of 2"),
        (dict(model=FakeModel(), answers=[99, 6]), "row 1: token id 99 is outside the vocabulary"),
        (dict(columns={"clean": "x"}), r"columns= goes with a file"),
        (dict(pairs=PAIRS), "either pairs in words or token ids"),
    ],
)
def test_ids_that_do_not_fit_are_refused(changes: dict, text: str) -> None:
    with pytest.raises(TaskError, match=text):
        id_task(**changes)


def test_words_without_a_model_and_unknown_metrics_are_refused() -> None:
    with pytest.raises(TaskError, match="need a model's tokenizer"):
        Task.from_pairs(PAIRS)
    with pytest.raises(TaskError, match="ids beside pairs in words"):
        Task.from_pairs(PAIRS, FakeModel(), answers=[1])
    with pytest.raises(OptionError, match="no metric 'logits'"):
        id_task(metric="logits")
    with pytest.raises(TaskError, match="'logit_diff' compares with wrong answers"):
        id_task(wrong=None, metric="logit_diff")


def test_swap_twice_is_the_same_and_once_is_not() -> None:
    task = some_task()
    assert task.swap().swap() == task
    assert task.swap(answers=False).swap(answers=False) == task
    assert task.swap() != task
    assert torch.equal(task.swap().answers, task.wrong)
    assert torch.equal(task.swap(answers=False).answers, task.answers)
    with pytest.raises(TaskError, match="no wrong answers"):
        id_task(wrong=None).swap()


@given(st.lists(st.integers(-3, 2), min_size=1, max_size=6), st.data())
def test_a_subset_of_a_subset_is_a_subset(rows: list[int], data: st.DataObject) -> None:
    task = some_task()
    inner = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=4))
    assert task.subset(rows).subset(inner) == task.subset([rows[at] for at in inner])
    assert task.subset(rows).swap() == task.swap().subset(rows)
    assert Task.from_json(task.subset(rows).to_json()) == task.subset(rows)


def test_subsets_shrink_and_refuse_what_is_not_there() -> None:
    task = some_task()
    assert task[2].clean.shape == (1, 4) and task[2].attention_mask is None
    assert task[0].answers.shape == (1, 1)
    assert task.head(2) == task[:2] == task.subset(torch.tensor([0, 1]))
    assert task.head(99) == task
    for rows in ([3], [], [-4]):
        with pytest.raises(TaskError, match="of a task of 3 pairs"):
            task.subset(rows)


def test_hash_follows_the_content_alone() -> None:
    task = some_task()
    assert task.task_hash == replace(task, name="other").task_hash
    assert task.task_hash != task.swap().task_hash
    assert task.task_hash != task.head(2).task_hash
    assert len({task, some_task()}) == 1


def test_save_and_load(tmp_path: Path) -> None:
    task = some_task()
    assert Task.load(task.save(tmp_path / "task.json")) == task
    data = task.to_json()
    with pytest.raises(TaskError, match="not a task of format 1: extra"):
        Task.from_json({**data, "extra": 1})
    with pytest.raises(TaskError, match="differ in length"):
        Task.from_json({**data, "wrong": data["wrong"][:2]})
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(TaskError, match="cannot be read as a task"):
        Task.load(tmp_path / "bad.json")


def knows_the_first_row(ids: Tensor) -> Tensor:
    """Puts 4.0 on Anna and 1.0 on Mary where Mary gave it, everywhere in the row; else on 'is'."""
    logits = torch.zeros(*ids.shape, len(WORDS))
    mary = (ids == WORDS.index("Mary")).any(1)
    logits[mary, :, WORDS.index("Anna")] = 4.0
    logits[mary, :, WORDS.index("Mary")] = 1.0
    logits[~mary, :, WORDS.index("is")] = 2.0
    return logits


def test_behaviour_check_counts_by_hand() -> None:
    model = FakeModel(knows_the_first_row)
    check = some_task().evaluate(model, batch_size=2)
    assert check.accuracy == pytest.approx(1 / 3)
    assert check.clean.right_values == (1.0, 0.0, 0.0)
    assert check.clean.wrong_share == pytest.approx(1 / 3)
    assert check.clean.logit_diff_values == pytest.approx((3.5, -2.0, 0.0))
    assert check.logit_diff == pytest.approx(0.5)
    assert check.corrupt.accuracy == 0.0
    assert check.clean.accuracy_interval == pytest.approx((0.0615, 0.7923), abs=1e-4)
    assert check.clean.logit_diff_interval[0] < 0.5 < check.clean.logit_diff_interval[1]
    assert [mask is None for mask in model.masks] == [False] * 4
    assert "clean   accuracy 0.333" in check.describe()
    assert json.loads(json.dumps(check.to_json()))["n"] == 3


def test_logits_are_read_at_the_last_real_token() -> None:
    model = FakeModel(lambda ids: torch.arange(ids.shape[1]).expand(ids.shape)[..., None].float())
    task = some_task()
    assert logits_at_answer(task, model, task.clean, 2).flatten().tolist() == [4, 5, 3]


def test_behaviour_without_wrong_answers_has_no_logit_difference() -> None:
    check = id_task(wrong=None).evaluate(FakeModel())
    assert math.isnan(check.logit_diff) and check.n == 2
    data = json.loads(json.dumps(check.to_json(), allow_nan=False))
    assert data["clean"]["logit_diff"] is None
    assert data["clean"]["logit_diff_interval"] == [None, None]


def test_a_task_is_refused_by_a_model_that_it_does_not_fit() -> None:
    with pytest.raises(TaskError, match="5 tokens in a context of 4"):
        some_task().evaluate(FakeModel(n_ctx=4))
    task = replace(make_task("ioi", microworld(), n=2), tokenizer_hash="0" * 64)
    with pytest.raises(TaskError, match="belong to another tokenizer"):
        task.check_fits(microworld())


def microworld() -> HfModel:
    from tokenizers import Tokenizer

    raw = Tokenizer.from_str(json.dumps(tokenizer_json(microworld_vocabulary())))
    names = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    return HfModel(PreTrainedTokenizerFast(tokenizer_object=raw, **names), n_ctx=64)


def test_every_microworld_task_fits_its_tokenizer() -> None:
    model = microworld()
    assert len(task_names(model)) == 10
    for name in task_names(model):
        task = make_task(name, model, n=6, seed=1)
        assert len(task) == 6 and not task.dropped and task.tokenizer_hash
        assert task.metric == ("prob_diff" if name == "greater_than" else "logit_diff")
        assert (task.clean[:, 0] == model.tokenizer.bos_token_id).all()
        if "end" in task.positions:
            assert torch.equal(task.positions["end"], task.last)
        assert task == make_task(name, model, n=6, seed=1)
    assert task.source.startswith("microworld:sycophancy n=6 seed=1 split=test")
    with pytest.raises(TaskError, match="no task 'colours' for this model"):
        make_task("colours", model)


def test_named_tasks_need_a_tokenizer_that_holds_their_words(test_data: Path) -> None:
    assert task_names(FakeModel()) == ()
    with pytest.raises(TaskError, match="needs a tokenizer"):
        make_task("ioi", FakeModel())
    small = HfModel(PreTrainedTokenizerFast.from_pretrained(test_data / "stories260K"))
    assert "ioi" in task_names(small) and "sentiment" not in task_names(small)
    with pytest.raises(TaskError, match="is not one token after"):
        make_task("ioi", small, n=4)


def test_agreement_files(test_data: Path) -> None:
    model = PieceModel()
    task = Task.from_pairs(test_data / "tasks" / "sva_nounpp_test.jsonl", model)
    assert len(task) == 480 and task.name == "sva_nounpp_test" and task.metric == "logit_diff"
    assert model.text(task.clean[0]) == "The uncles behind the dogs"
    assert model.text(task.answers[0]) == " do" and model.text(task.wrong[0]) == " does"
    assert set(task.templates) >= {"plural_plural", "plural_singular"}


def test_greater_than_file(test_data: Path) -> None:
    model = PieceModel()
    task = Task.from_pairs(test_data / "tasks" / "greater_than_data.csv", model)
    assert len(task) == 1000 and task.metric == "prob_diff"
    after = [model.text(each[None]) for each in task.answers[0] if each >= 0]
    upto = [model.text(each[None]) for each in task.wrong[0] if each >= 0]
    assert after == [f"{y:02d}" for y in range(53, 100)]
    assert upto == [f"{y:02d}" for y in range(53)]


def test_indirect_object_file_reads_names_not_foreign_ids(test_data: Path) -> None:
    model = PieceModel()
    task = Task.from_pairs(test_data / "tasks" / "ioi_llama.csv", model, skip_misfits=True)
    assert len(task) + len(task.dropped) >= 498 and len(task) > 450
    assert model.text(task.answers[0]) == " Amber" and model.text(task.wrong[0]) == " Aaron"


def test_answers_follow_the_prompt_in_a_sentence_piece_tokenizer(test_data: Path) -> None:
    model = HfModel(PreTrainedTokenizerFast.from_pretrained(test_data / "stories260K"))
    pairs = [
        ContrastPair("Once the friend", "Once they friend", (" was", "said"), (" had",), {"f": 2}),
        ContrastPair("One day Lily", "One day Timmy", (" saw",), ("wanted",)),
    ]
    with pytest.raises(TaskError, match="words that are no single tokens: 'wanted'"):
        Task.from_pairs(pairs, model)
    task = Task.from_pairs(pairs, model, skip_misfits=True)
    assert model.tokenizer.convert_ids_to_tokens(task.answers[0].tolist()) == ["▁was", "▁said"]
    assert model.tokenizer.decode(task.clean[0, : task.positions["f"][0] + 1]).endswith("friend")
    assert list(task.dropped) == [2]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_csv_with_other_columns_and_several_words(tmp_path: Path) -> None:
    text = "before,after,right,bad\nMary gave it to,John gave it to,Anna|the,John\n"
    file = write(tmp_path / "mine.csv", text)
    with pytest.raises(TaskError, match="no column for clean, corrupt, answers") as caught:
        Task.from_pairs(file, FakeModel())
    assert "columns=" in caught.value.mend
    columns = dict(clean="before", corrupt="after", answers="right", wrong="bad")
    task = Task.from_pairs(file, FakeModel(), columns=columns)
    assert task.answers.tolist() == [[WORDS.index("Anna"), WORDS.index("the")]]
    with pytest.raises(TaskError, match="columns= names nowhere, which the file does not have"):
        Task.from_pairs(file, FakeModel(), columns={"clean": "nowhere"})
    with pytest.raises(TaskError, match="columns= names cleen, which is no part of a pair"):
        Task.from_pairs(file, FakeModel(), columns={"cleen": "before"})


def test_an_answer_without_a_space_is_the_next_word(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "clean,corrupt,answer,wrong\nA gave to,B gave to,Mary,John\n")
    model = PieceModel()
    task = Task.from_pairs(file, model)
    assert model.text(task.answers[0]) == " Mary"


def test_rows_that_say_too_little_are_listed(tmp_path: Path) -> None:
    rows = [
        dict(clean="Mary gave it to", corrupt="John gave it to", answer="Anna", wrong=["John"]),
        dict(clean="Mary gave it to", corrupt="", answer="Anna", wrong="John"),
        dict(clean="Mary gave it to", corrupt="John gave it to", answer=7, wrong="John"),
        dict(clean="Mary gave it to", answer="Anna", wrong="John"),
        dict(clean=5, corrupt="John gave it to", answer="Anna", wrong="John"),
    ]
    file = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    with pytest.raises(TaskError, match="4 of 5 pairs do not fit") as caught:
        Task.from_pairs(file, FakeModel())
    for text in ("row 2: an empty prompt", "row 3: answers are words, got 7", "row 4: lacks"):
        assert text in caught.value.what
    assert "row 5: a prompt is text, got 5" in caught.value.what
    task = Task.from_pairs(file, FakeModel(), skip_misfits=True)
    assert len(task) == 1 and list(task.dropped) == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.csv", "clean,corrupt,answer\n", "the file has no rows"),
        ("a.txt", "x", "pairs are not read from .txt"),
        ("a.jsonl", "{", "not readable"),
        ("a.json", '{"clean": 1}', "not a list of objects"),
    ],
)
def test_files_that_are_no_pairs_are_refused(
    tmp_path: Path, name: str, text: str, what: str
) -> None:
    with pytest.raises(TaskError, match=what):
        Task.from_pairs(write(tmp_path / name, text), FakeModel())
    with pytest.raises(TaskError, match="no such file"):
        Task.from_pairs(tmp_path / "absent.csv", FakeModel())


def test_files_without_contrast_are_refused(test_data: Path) -> None:
    for name in ("anaphor_number_agreement.jsonl", "known_1000.json"):
        with pytest.raises(TaskError, match="no column for clean, corrupt, answers"):
            Task.from_pairs(test_data / "tasks" / name, PieceModel())
