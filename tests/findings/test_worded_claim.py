"""A claim may be worded by hand; the one that was built stays beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from residuum.core import OptionError
from residuum.findings import Finding


def test_both_sentences_are_kept(finding: Finding, tmp_path: Path) -> None:
    worded = finding.with_claim("  Four early heads tell who received it. ")
    assert worded.claim == "Four early heads tell who received it."
    assert worded.claim_built == finding.claim and worded.hash != finding.hash
    assert (worded.status, worded.rules) == (finding.status, finding.rules)
    again = worded.with_claim("Shorter.")
    assert again.claim_built == finding.claim
    assert again.with_claim(finding.claim) == finding
    assert Finding.load(worded.save(tmp_path)) == worded


def test_an_optional_field_is_left_out_of_the_file(finding: Finding) -> None:
    """So a version that adds one reads files without it, and their hash is the same."""
    assert "claim_built" not in finding.to_json()["finding"]
    assert "claim_built" in finding.with_claim("Short.").to_json()["finding"]
    assert replace(finding, claim_built=None).hash == finding.hash


@pytest.mark.parametrize("text", ["", "  ", "one\ntwo", None])
def test_what_is_no_claim(finding: Finding, text: str) -> None:
    with pytest.raises(OptionError, match="one paragraph of text"):
        finding.with_claim(text)
