"""nouns.toml: how the embedded teacher speaks of a pack's own categories."""

from __future__ import annotations

import pytest

from datagen.records import Box, ImageAnnotation, InputError
from datagen.teacher.programmatic.facts import Facts, facts_of
from datagen.teacher.programmatic.words import Noun, read_nouns

TEXT = """
[heart]
form = "unique"
[consolidation]
form = "bare"
[cardiomegaly]
form = "bare"
the = "the enlarged heart"
[fluid]
form = "mass"
[effusion]
words = "pleural fluid, liquid"
[pneumothorax]
plural = "pneumothoraces"
[mass]
"""
NOUNS = read_nouns({"nouns.toml": TEXT})


def facts(*captions: str, boxes: tuple[str, ...] = ("heart",)) -> Facts:
    drawn = tuple(Box(n, name, 10 + 20 * n, 20, 15, 40, False) for n, name in enumerate(boxes))
    annotation = ImageAnnotation(1, "1.jpg", 100, 100, captions, drawn)
    return facts_of(annotation, "radiograph", tuple(NOUNS), nouns=NOUNS)


def test_a_noun_is_spoken_as_its_form_says() -> None:
    assert {name: noun.one for name, noun in NOUNS.items()} == {
        "heart": "the heart",
        "consolidation": "consolidation",
        "cardiomegaly": "cardiomegaly",
        "fluid": "some fluid",
        "effusion": "an effusion",
        "pneumothorax": "a pneumothorax",
        "mass": "a mass",
    }
    assert NOUNS["effusion"] == Noun(
        "effusion", "effusion", "effusions", "count", None, "an", ("pleural fluid", "liquid")
    )
    assert (NOUNS["consolidation"].the, NOUNS["cardiomegaly"].the) == (
        "the consolidation",
        "the enlarged heart",
    )
    assert NOUNS["pneumothorax"].many == "pneumothoraces"
    assert read_nouns({}) == {}


def test_a_name_in_capitals_keeps_them_and_takes_a_small_s() -> None:
    (noun,) = read_nouns({"nouns.toml": '[IC]\nsay = "IC"'}).values()
    assert (noun.one, noun.many) == ("an IC", "ICs")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[heart", "nouns.toml: not valid TOML"),
        ("heart = 1", "nouns.toml: heart: must be a table of text"),
        (
            "[heart]\nplurals = 'hearts'",
            "nouns.toml: heart.plurals: no such key; there are say, plural, form, words, the",
        ),
        ("[heart]\nform = 'odd'", "nouns.toml: heart.form: must be one of count, mass, plural, unique, bare"),
    ],
)
def test_what_cannot_be_read_names_table_and_key(text: str, wrong: str) -> None:
    with pytest.raises(InputError) as raised:
        read_nouns({"nouns.toml": text})
    assert str(raised.value).startswith(wrong)


def test_only_what_captions_rule_out_whole_is_ruled_out() -> None:
    def ruled_out(*captions: str) -> list[str]:
        return [noun.category for noun in facts(*captions).ruled_out]

    assert ruled_out("No mass, effusion or pneumothorax.") == ["effusion", "mass", "pneumothorax"]
    assert ruled_out("There is no evidence of pneumothorax.") == ["pneumothorax"]
    assert ruled_out("No left effusion.", "No large mass is seen.") == []
    assert ruled_out("No effusion on the left.") == []
    assert ruled_out("No effusion.", "Perhaps an effusion on the left.") == []
    assert ruled_out("The heart is large.") == []
    assert ruled_out("No mass.", "No heart failure.") == ["mass"]


def test_a_denial_is_no_summary_while_there_is_another_caption() -> None:
    made = facts("No mass is seen.", "The heart is on the left.")
    assert [caption.text for caption in made.captions] == ["The heart is on the left."]


def test_what_names_no_finding_is_no_summary_where_another_caption_names_one() -> None:
    made = facts("The heart is on the left.", "There is a mass.", boxes=("heart", "mass"))
    assert [caption.text for caption in made.captions] == ["There is a mass."]


def test_a_denied_finding_that_is_boxed_is_not_spoken_of() -> None:
    made = facts("No mass is seen.", boxes=("heart", "mass"))
    assert [kind.category for kind in made.kinds] == ["heart"]
    assert made.ruled_out == ()
