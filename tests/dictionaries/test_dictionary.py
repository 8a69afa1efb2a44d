"""The record: what it computes, what it refuses, its folder, and its place on a model."""

import json
from dataclasses import replace

import pytest
import torch
from coder_plans import KINDS, WAYS, batch_of, filled, plan_of
from dense_coder import dense_losses
from safetensors.torch import load_file, save_file

import residuum as rz
from residuum.core import (
    AddressError,
    OptionError,
    Provenance,
    ShapeError,
    StoreError,
    content_hash,
)
from residuum.dictionaries import (
    BatchTopK,
    CoderPlan,
    CrossLayerTranscoder,
    Dictionary,
    JumpReLU,
    Sparse,
    SparseCoder,
    TopK,
    read_dictionary,
)

ALL = [(kind, way) for kind in KINDS for way in WAYS]


def trained(kind, way):
    """A dictionary, the coder that it is of, and a batch."""
    coder = filled(plan_of(kind, way))
    x, target = batch_of(coder.plan)
    coder.initialise(x, target)
    coder.losses(x, target)
    coder.after_step()
    return coder.dictionary(), coder, x, target


def squeezed(x):
    return x[:, 0] if x.shape[1] == 1 else x


@pytest.mark.parametrize(("kind", "way"), ALL)
def test_it_computes_what_was_trained(kind, way):
    found, coder, x, target = trained(kind, way)
    assert coder.scale != 1
    own = {name: value.detach() for name, value in coder.parameters().items()}
    none = torch.zeros(48, dtype=torch.bool)
    _, parts = dense_losses(coder.plan, own, x * coder.scale, target * coder.scale, none, 1, 1)
    latents = parts["latents"]
    if way == "batch_topk":  # after training: above the threshold, whatever the batch
        assert coder.threshold == pytest.approx(float(latents[latents > 0].min()))
        latents = latents * (latents > coder.threshold)
    torch.testing.assert_close(found.encode(squeezed(x)), latents)
    error = found.reconstruct(squeezed(x)) - squeezed(target)
    if way != "batch_topk":
        wanted = parts["reconstruction"] / coder.scale**2
        torch.testing.assert_close(error.square().sum() / len(x), wanted)
    assert found.kind == coder.plan.kind
    assert found.n_latents == 48 and found.width == 10


@pytest.mark.parametrize(("kind", "way"), ALL)
def test_sparse_and_dense_agree(kind, way):
    found, _, x, _ = trained(kind, way)
    x = squeezed(x)
    sparse = found.encode_sparse(x)
    assert sparse.values.shape == sparse.indices.shape
    assert sparse.values.shape[-1] == int((found.encode(x) != 0).sum(-1).max())
    assert torch.equal(sparse.to_dense(), found.encode(x))
    torch.testing.assert_close(found.decode_sparse(sparse), found.decode(found.encode(x)))


def test_entries_of_any_order_are_the_dense_rows_own() -> None:
    dense = torch.tensor([[0.0, 3.0, 0.0, -3.0, 1.0], [0.0, 0.0, 2.0, 0.0, 0.0]])
    order = torch.tensor([[4, 3, 0, 1], [2, 4, 1, 0]])
    found = Sparse.of_entries(dense.gather(-1, order), order, 5)
    assert found.values.tolist() == [[3.0, -3.0, 1.0], [2.0, 0.0, 0.0]]
    assert found.indices.tolist() == [[1, 3, 4], [2, 0, 0]]
    assert torch.equal(found.to_dense(), dense)


def test_sparse_entries_of_broken_inputs_are_those_of_the_dense_way() -> None:
    found, _, x, _ = trained("sae", "topk")
    x = squeezed(x).clone()
    x[1, 0] = torch.nan
    sparse, dense = found.encode_sparse(x), Sparse.from_dense(found.encode(x))
    assert torch.equal(sparse.indices, dense.indices)
    assert (
        torch.equal(sparse.values.isnan(), dense.values.isnan()) and sparse.values[1].isnan().any()
    )
    with pytest.raises(ShapeError, match="a dictionary reads activations"):
        found.encode_sparse([1.0])


@pytest.mark.parametrize(("kind", "way"), ALL)
def test_a_folder_gives_back_what_was_saved(kind, way, tmp_path):
    found, _, x, _ = trained(kind, way)
    if isinstance(found, Dictionary):
        found = replace(
            found,
            weight_hash="ab",
            model_name="m",
            declared={"l0": 5.0},
            provenance=Provenance("m", seed=3),
        ).with_labels({3: "colours"})
    found.save(tmp_path / "deep" / "sae")
    names = {each.name for each in (tmp_path / "deep" / "sae").iterdir()}
    assert names == {"dictionary.safetensors", "dictionary.json"}  # no pickle among them
    back = read_dictionary(tmp_path / "deep" / "sae")
    assert type(back) is type(found)
    if isinstance(found, Dictionary) and isinstance(back, Dictionary):
        assert back.record() == found.record() and back.labels == {3: "colours"}
        assert back.provenance == found.provenance
    assert set(back.tensors()) == set(found.tensors())
    assert all(torch.equal(back.tensors()[k], v) for k, v in found.tensors().items())
    assert torch.equal(back.reconstruct(squeezed(x)), found.reconstruct(squeezed(x)))


def saved(tmp_path):
    found, *_ = trained("sae", "jump")
    found.save(tmp_path)
    return tmp_path / "dictionary.safetensors", tmp_path / "dictionary.json"


def refused(folder, words):
    with pytest.raises(StoreError) as caught:
        read_dictionary(folder)
    assert words in caught.value.what, caught.value.what
    assert caught.value.mend


def rewrite(record, tensors, change):
    """Change the tensors and make the hash fit again: an honest file of a wrong dictionary."""
    import hashlib

    own = load_file(tensors)
    change(own)
    save_file(own, tensors)
    data = json.loads(record.read_text())
    data["tensors_sha256"] = hashlib.sha256(tensors.read_bytes()).hexdigest()
    rehashed(record, data)


def rehashed(record, data):
    """Write a record whose own hash fits: what a writer with a mistake would leave."""
    data.pop("record_sha256")
    record.write_text(json.dumps({**data, "record_sha256": content_hash(data)}))


def test_tensors_that_were_changed_are_refused(tmp_path):
    tensors, _ = saved(tmp_path)
    raw = bytearray(tensors.read_bytes())
    raw[-1] ^= 1
    tensors.write_bytes(raw)
    refused(tmp_path, "not those that the record was written with")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda own: own.pop("W_dec"), "W_dec"),
        (lambda own: own.pop("threshold"), "JumpReLU needs threshold"),
        (lambda own: own.update(more=torch.zeros(2)), "more"),
        (lambda own: own.update(b_enc=torch.zeros(47)), "b_enc has shape [47]"),
        (lambda own: own.update(b_dec=own["b_dec"] * float("nan")), "b_dec holds NaN"),
        (lambda own: own.update(r_mag=own["b_enc"].clone()), "no use for r_mag"),
    ],
)
def test_tensors_that_make_no_dictionary_are_refused(tmp_path, change, words):
    tensors, record = saved(tmp_path)
    rewrite(record, tensors, change)
    refused(tmp_path, words)


def test_files_that_are_missing_or_broken_are_refused(tmp_path):
    refused(tmp_path / "nowhere", "dictionary.json cannot be read")
    tensors, record = saved(tmp_path)
    whole = record.read_text()
    for text, words in (
        ("{", "the record cannot be read"),
        ("[]", "no dictionary of the format"),
        ("[" * 100_000, "nested too deeply"),
        (whole.replace("residuum-dictionary-2", "x"), "no dictionary of the format"),
        (whole.replace('"record_sha256"', '"hash"'), "the record lacks record_sha256"),
    ):
        record.write_text(text)
        refused(tmp_path, words)
    for text, words in (
        (whole.replace('"scale"', '"scales"'), "the record lacks scale"),
        (whole.replace('"JumpReLU"', '"Jump"'), "no activation reads"),
        (whole.replace("L1.resid_post", "L1.resid_host"), "resid_host"),
    ):
        rehashed(record, json.loads(text))
        refused(tmp_path, words)
    record.write_text(whole)
    read_dictionary(tmp_path)
    tensors.unlink()
    refused(tmp_path, "dictionary.safetensors cannot be read")


EDITS = [
    ("reads", ["L2.resid_post"]),
    ("activation", {"kind": "JumpReLU", "bandwidth": 9.0, "start": 0.5}),
    ("scale", 2.0),
    ("declared", {"l0": 1.0}),
    ("labels", {"3": "other words"}),
    ("weight_hash", "ab"),
]


@pytest.mark.parametrize(("name", "value"), EDITS)
def test_a_record_that_was_edited_is_refused(tmp_path, name, value):
    _, record = saved(tmp_path)
    data = json.loads(record.read_text())
    assert data[name] != value
    record.write_text(json.dumps({**data, name: value}))
    refused(tmp_path, "the record was changed after it was written")
    rehashed(record, {**data, name: value})
    if name != "reads":  # its writer may have meant it
        read_dictionary(tmp_path)


def test_labels_are_edited_by_the_api(tmp_path):
    found, *_ = trained("sae", "jump")
    assert isinstance(found, Dictionary)
    found.save(tmp_path)
    for words in ("colours", "names"):
        back = read_dictionary(tmp_path)
        assert isinstance(back, Dictionary)
        back.with_labels({3: words}).save(tmp_path)
        again = read_dictionary(tmp_path)
        assert isinstance(again, Dictionary) and again.labels == {3: words}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("labels", [1], "'labels' in the record is not an object"),
        ("labels", {"x": "y"}, "'labels' in the record is not an object"),
        ("labels", {"99": "y"}, "a label for latent 99"),
        ("labels", {"3": 5}, "'labels' in the record is not an object"),
        ("declared", [1], "'declared' in the record is not an object"),
        ("reads", 5, "'reads' in the record is not a list"),
        ("reads", [], "reads names no site"),
        ("activation", "TopK", "'activation' in the record is not an object"),
        ("activation", {"kind": "TopK", "k": 9999}, "TopK has no use for threshold"),
        ("activation", {"kind": "BatchTopK", "k": 9999}, "k=9999 of 48 latents"),
        ("activation", {"kind": "BatchTopK", "k": [1]}, "k=[1] is no number of latents"),
        ("activation", {"kind": "BatchTopK"}, "k"),
        ("scale", "1", "'scale' in the record is not a finite number"),
        ("scale", True, "'scale' in the record is not a finite number"),
        pytest.param("scale", 10**400, "'scale' in the record is not", id="scale-huge"),
        ("weight_hash", 5, "'weight_hash' in the record is not text or null"),
        ("model_name", None, "'model_name' in the record is not text"),
        ("models", "ab", "'models' in the record is not a list"),
        ("provenance", [], "'provenance' in the record is not an object"),
        ("provenance", {"model_id": "m", "seed": "x"}, "'provenance' in the record"),
        ("provenance", {"model_id": "m", "more": "x"}, "provenance has an unknown field"),
    ],
)
def test_entries_of_the_wrong_type_are_refused_in_one_line(tmp_path, name, value, words, old):
    """Whoever wrote them, this package or one before the record had a hash."""
    _, record = saved(tmp_path)
    data = {**json.loads(record.read_text()), name: value}
    if old:
        del data["record_sha256"]
        record.write_text(json.dumps({**data, "format": "residuum-dictionary-1"}))
    else:
        rehashed(record, data)
    with pytest.raises(StoreError) as caught:
        read_dictionary(tmp_path)
    assert words in caught.value.what and "\n" not in caught.value.what
    assert caught.value.mend and caught.value.where == str(tmp_path)


def test_a_folder_from_before_the_record_had_a_hash_is_read(tmp_path):
    _, record = saved(tmp_path)
    data = json.loads(record.read_text())
    del data["record_sha256"]
    record.write_text(json.dumps({**data, "format": "residuum-dictionary-1"}))
    back = read_dictionary(tmp_path)
    back.save(tmp_path)
    assert json.loads(record.read_text())["format"] == "residuum-dictionary-2"


@pytest.mark.parametrize("layers", [[], [5], {}, [[]], None])
def test_layers_that_are_none_are_refused(tmp_path, layers):
    found, *_ = trained("cross_layer", "topk")
    found.save(tmp_path)
    record = tmp_path / "dictionary.json"
    rehashed(record, {**json.loads(record.read_text()), "layers": layers})
    with pytest.raises(StoreError):
        read_dictionary(tmp_path)


def test_what_is_no_plain_data_is_not_saved(tmp_path):
    found, *_ = trained("sae", "topk")
    with pytest.raises(StoreError, match="no plain data"):
        replace(found, declared={"l0": float("nan")}).save(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        found.save(tmp_path / "file")


# -- what it refuses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"W_dec": torch.zeros(10, 1, 48)}, "W_dec has shape [10, 1, 48]"),  # transposed
        ({"W_enc": torch.zeros(1, 48, 10)}, "W_dec has shape"),
        ({"W_enc": torch.zeros(10, 48)}, "W_enc of shape [10, 48]"),
        ({"b_enc": torch.zeros(10)}, "b_enc has shape [10], [48] was expected"),
        ({"b_dec": torch.zeros(10)}, "b_dec has shape [10]"),
        ({"b_in": torch.zeros(1, 9)}, "b_in has shape [1, 9]"),
        ({"b_enc": torch.zeros(48).double()}, "b_enc is torch.float64"),
        ({"b_enc": torch.full((48,), float("inf"))}, "b_enc holds NaN or infinity"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change, words):
    with pytest.raises(ShapeError) as caught:
        replace(plain(), **change)
    assert words in caught.value.what


def plain():
    generator = torch.Generator().manual_seed(0)
    return Dictionary(
        reads="L1.resid_post",  # pyright: ignore[reportArgumentType]
        writes="L1.resid_post",  # pyright: ignore[reportArgumentType]
        W_enc=torch.randn(1, 10, 48, generator=generator),
        W_dec=torch.randn(48, 1, 10, generator=generator),
        b_dec=torch.zeros(1, 10),
        b_enc=torch.zeros(48),
        activation=TopK(5),
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activation": JumpReLU()}, "JumpReLU needs threshold"),
        ({"activation": BatchTopK(3)}, "BatchTopK needs threshold"),
        ({"threshold": torch.zeros(48)}, "TopK has no use for threshold"),
        ({"scale": 0.0}, "scale=0.0"),
        ({"labels": {48: "x"}}, "a label for latent 48 of 48"),
        ({"labels": [1]}, "labels are a list"),
        ({"labels": {1: 2}}, "the label of latent 1 is no text"),
        ({"declared": [1]}, "declared is no mapping"),
        ({"weight_hash": 5}, "a name or hash of the model is no text"),
        ({"activation": TopK(49)}, "k=49 of 48 latents"),
        ({"W_skip": torch.zeros(10, 10)}, "a sae has no skip connection"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, words):
    with pytest.raises(OptionError) as caught:
        replace(plain(), **change)
    assert words in caught.value.what


def test_a_square_decoder_the_wrong_way_round_shows_in_its_reconstruction():
    """A defect of other tools: as many latents as dimensions, and no shape tells."""
    q = torch.linalg.qr(torch.randn(10, 10, generator=torch.Generator().manual_seed(1)))[0]
    right = replace(plain(), W_enc=q[None], W_dec=q.T[:, None], b_enc=torch.zeros(10))
    right = replace(right, activation=TopK(10))
    wrong = replace(right, W_dec=q[:, None])
    x = (q @ torch.rand(10, 200)).T  # positive latents
    errors = [float((each.reconstruct(x) - x).square().mean()) for each in (right, wrong)]
    assert errors[0] < 1e-10 < 1e-2 < errors[1]


def test_inputs_that_do_not_fit_are_refused():
    for x in (torch.zeros(3, 9), torch.zeros(10, 3), torch.tensor(1.0)):
        with pytest.raises(ShapeError, match="the dictionary reads"):
            plain().encode(x)
    with pytest.raises(ShapeError, match="the dictionary has 48"):
        plain().decode(torch.zeros(3, 10))
    with pytest.raises(ShapeError, match="do not fit 48 latents"):
        plain().decode_sparse(Sparse(torch.ones(1, 1), torch.tensor([[48]]), 48))
    with pytest.raises(ShapeError, match="for 3 sites"):
        trained("cross_layer", "topk")[0].encode(torch.zeros(2, 10))


def test_sites_must_be_whole():
    for at in ("L1.resid_post@-1", "L1.z[H2]", "resid_post"):
        with pytest.raises(AddressError, match="not one whole site"):
            replace(plain(), reads=at, writes=at)


def test_other_dtypes_and_leading_axes():
    half = plain().to(torch.float64)
    assert half.dtype == torch.float64 and half.encode(torch.randn(2, 3, 10)).shape == (2, 3, 48)
    assert half.encode(torch.randn(10)).dtype == torch.float32
    assert plain().reconstruct(torch.randn(4, 5, 6, 10)).shape == (4, 5, 6, 10)


# -- on a model ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hung():
    model = rz.load("microworld", check=False)
    ids = rz.task("ioi", model, n=16).clean
    values = model.run(ids, capture="L1.resid_post", logits=False)["L1.resid_post"]
    plan = CoderPlan(reads="L1.resid_post", width=values.shape[-1], n_latents=64)
    coder = SparseCoder(replace(plan, activation=TopK(8)))
    coder.initialise(values.reshape(-1, 1, values.shape[-1]))
    model.dictionaries["sae"] = coder.dictionary()
    return model, ids, values


def test_a_splice_that_keeps_the_error_changes_nothing(hung):
    model, ids, _ = hung
    plain_run = model.run(ids)
    kept = model.run(ids, edits=rz.Splice("L1.resid_post", "sae", keep_error=True))
    bare = model.run(ids, edits=rz.Splice("L1.resid_post", "sae"))
    size = float(plain_run.logits.abs().max())
    assert float((kept.logits - plain_run.logits).abs().max()) < 1e-5 * size
    assert float((bare.logits - plain_run.logits).abs().max()) > 1e-2 * size


def test_latents_are_captured_and_edited_by_name(hung):
    model, ids, values = hung
    dictionary = model.dictionaries["sae"]
    latents = dictionary.encode(values)
    busy = int(latents.sum((0, 1)).argmax())
    run = model.run(ids, capture=[f"L1.resid_post/sae[F{busy}]", "L1.resid_post/sae"])
    torch.testing.assert_close(run[f"L1.resid_post/sae[F{busy}]"], latents[..., busy])
    torch.testing.assert_close(run["L1.resid_post/sae"], latents)
    off = model.run(ids, edits=rz.Zero(f"L1.resid_post/sae[F{busy}]"), capture="L1.resid_post")
    row = dictionary.W_dec[busy, 0] / dictionary.scale
    torch.testing.assert_close(
        off["L1.resid_post"], values - latents[..., busy, None] * row, rtol=1e-4, atol=1e-4
    )


def test_a_cross_layer_transcoder_is_one_training():
    found = trained("cross_layer", "topk")[0]
    assert isinstance(found, CrossLayerTranscoder)
    with pytest.raises(OptionError, match="write"):
        CrossLayerTranscoder(found.layers[:2])
    other = replace(found.layers[1], scale=9.0)
    with pytest.raises(OptionError, match="another scale"):
        CrossLayerTranscoder((found.layers[0], other, found.layers[2]))


def test_a_dictionary_is_refused_at_a_site_that_is_not_its_own() -> None:
    model = rz.load("microworld", check=False)
    model.dictionaries["sae"] = rz.load_dictionary("microworld-sae")
    text = "Mary went to the store ."
    for wrong in (
        rz.Set("L2.resid_post/sae[F9]", 5.0),
        rz.Splice("L0.attn_out", "sae", keep_error=True),
    ):
        with pytest.raises(rz.ResiduumError, match=r"'sae' belongs to L1\.resid_post, not to L"):
            model.run(text, edits=[wrong])
    with pytest.raises(rz.ResiduumError, match=r"belongs to L1\.resid_post, not to L2\.resid_post"):
        model.run(text, capture=["L2.resid_post/sae[F9]"])
    here, same = "L1.resid_post/sae[F9]", "L2.resid_pre/sae[F9]"
    run = model.run(text, capture=[here, same])
    assert torch.equal(run[here], run[same])


def test_broken_inputs_are_not_read_as_silence() -> None:
    sae = rz.load_dictionary("microworld-sae")
    x = torch.randn(3, sae.width, generator=torch.Generator().manual_seed(0))
    x[1, 5] = torch.nan
    latents = sae.encode(x)
    assert latents[1].isnan().all() and latents[[0, 2]].isfinite().all()
    assert sae.reconstruct(x)[1].isnan().all()
    for wrong in (torch.ones(3, sae.width, dtype=torch.int64), [1.0]):
        with pytest.raises(ShapeError, match="reads activations"):
            sae.encode(wrong)  # type: ignore[arg-type]


def test_two_formats_do_not_share_a_folder(tmp_path) -> None:
    sae = rz.load_dictionary("microworld-sae")
    sae.save(tmp_path / "own")
    with pytest.raises(StoreError, match="holds a dictionary of residuum already"):
        rz.convert_dictionary(sae, tmp_path / "own", format="saelens", fold=True)
    made = rz.convert_dictionary(sae, tmp_path / "other", format="saelens", fold=True)
    rz.convert_dictionary(sae, made, format="saelens", fold=True)  # its own files are replaced
    with pytest.raises(StoreError, match="of saelens already"):
        rz.convert_dictionary(sae, made, format="gemma_scope", fold=True)
