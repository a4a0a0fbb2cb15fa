"""A pack's words: what each section says, how words may be spelled, and what is wrong with a bad line."""

from __future__ import annotations

import pytest

from datagen.checks import Vocabulary, make_vocabulary
from datagen.checks.vocabulary import AttributeWord
from datagen.prompting import PACKS, load_pack
from datagen.records import InputError
from datagen.teacher.programmatic.words import CATEGORIES

WORDS = """
# A comment, and an empty line.

[names]
dog: Hound, canine | husky, golden retriever
cat: | kitten
table: |
rug: | carpet
ground: earth |
floor: | parquet
hot dog: hotdog | frankfurter
hot dog stand: |

[groups]
pet: dog, cat
animal: pet, bird
furniture, fitting: table

[parts]
dog, cat: tail, paw
[implied]
litter box: cat
barking, on a lead: dog
[scenery]
ground, floor
[roles]
owner, viewer
[not objects]
hot dog eating
* show
"""


def vocabulary(words: str = WORDS, *categories: str, **files: str) -> Vocabulary:
    others = {f"{name}.txt": text for name, text in files.items()}
    return Vocabulary({"vocabulary.txt": words} | others, categories)


def found(text: str, known: Vocabulary, at: int = 0) -> tuple[int, str | None, bool] | None:
    """What a text's words are from a place on: how many, of which noun, whether plural."""
    match = known.find(text.split(), at)
    return match and (match[0], match[1].words if match[1] else None, match[2])


def test_other_names_name_a_thing_in_full_and_kinds_some_of_it() -> None:
    known = vocabulary()
    nouns = {words: known.noun(words) for words in ("dog", "hound", "husky", "wolf")}
    assert {words: noun and (noun.names, noun.kind_of, noun.things) for words, noun in nouns.items()} == {
        "dog": ({"dog"}, set(), {"dog"}),
        "hound": ({"dog"}, set(), {"dog"}),
        "husky": (set(), {"dog"}, {"dog"}),
        "wolf": None,
    }


def test_a_group_means_its_members_and_those_of_the_groups_in_it() -> None:
    known = vocabulary()
    members = {words: noun.members for words in ("pet", "animal", "fitting") if (noun := known.noun(words))}
    assert members == {"pet": {"dog", "cat"}, "animal": {"dog", "cat", "bird"}, "fitting": {"table"}}


def test_groups_of_each_other_end() -> None:
    noun = vocabulary("[groups]\npet: animal, dog\nanimal: pet, cat").noun("animal")
    assert noun and noun.members >= {"cat", "dog"}


def test_a_part_belongs_to_each_of_its_wholes() -> None:
    noun = vocabulary().noun("tail")
    assert noun and (noun.wholes, noun.things) == ({"dog", "cat"}, set())


def test_words_of_a_caption_imply_things() -> None:
    known = vocabulary()
    assert known.implied == {
        "litter box": frozenset({"cat"}),
        "barking": frozenset({"dog"}),
        "on a lead": frozenset({"dog"}),
    }


def test_names_of_scenery_are_scenery_and_roles_are_roles() -> None:
    known = vocabulary()
    words = ("ground", "earth", "parquet", "table", "owner", "dog")
    nouns = [known.noun(each) for each in words]
    assert [noun and (noun.is_scenery, noun.is_role) for noun in nouns] == [
        (True, False),
        (True, False),
        (True, False),
        (False, False),
        (False, True),
        (False, False),
    ]


def test_the_longest_phrase_is_found() -> None:
    known = vocabulary()
    assert found("a hot dog stand", known, 1) == (3, "hot dog stand", False)
    assert found("a hot dog please", known, 1) == (2, "hot dog", False)
    assert found("a hot dog", known, 2) == (1, "dog", False)
    assert found("a hot", known, 1) is None


def test_a_phrase_that_only_looks_like_an_object_is_found_with_no_noun() -> None:
    known = vocabulary()
    assert found("hot dog eating contest", known) == (3, None, False)
    assert known.modified_heads == {"show"}


@pytest.mark.parametrize("spelling", ["golden retriever", "golden-retriever", "golden retrievers"])
def test_a_phrase_may_be_spelled_with_hyphens(spelling: str) -> None:
    match = found(spelling, vocabulary())
    assert match == (len(spelling.split()), "golden retriever", spelling.endswith("s"))


@pytest.mark.parametrize("spelling", ["hot dog stand", "hot-dog stand", "hot dog-stand", "hot-dog stands"])
def test_a_hyphen_may_stand_for_each_space(spelling: str) -> None:
    assert found(spelling, vocabulary()) == (
        len(spelling.split()),
        "hot dog stand",
        spelling.endswith("s"),
    )


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("knife", "knives"),
        ("person", "people"),
        ("bus", "buses"),
        ("child", "children"),
        ("mouse", "mice"),
        ("wine glass", "wine glasses"),
        ("toothbrush", "toothbrushes"),
        ("teddy bear", "teddy bears"),
        ("baby", "babies"),
        ("lens", "lenses"),
    ],
)
def test_plurals_are_worked_out(singular: str, plural: str) -> None:
    known = vocabulary("", singular)
    assert found(singular, known) == (len(singular.split()), singular, False)
    assert found(plural, known) == (len(plural.split()), singular, True)


@pytest.mark.parametrize("words", ["skis", "scissors", "people", "cattle", "pants"])
def test_a_word_listed_in_the_plural_is_one(words: str) -> None:
    assert found(words, vocabulary("", words)) == (1, words, True)


def test_a_listed_word_is_no_plural_of_another() -> None:
    known = vocabulary("[names]\nglass: |\nglasses: spectacles |")
    assert found("glasses", known) == (1, "glasses", True)
    assert found("glass", known) == (1, "glass", False)


def test_every_category_of_the_annotations_is_a_name() -> None:
    known = vocabulary(WORDS, "Pallet Jack", "dog")
    noun = known.noun("pallet jack")
    assert known.categories == {"pallet jack", "dog"}
    assert noun and noun.names == {"pallet jack"}
    assert found("two pallet jacks", known, 1) == (2, "pallet jack", True)


def test_categories_that_a_text_names_come_in_its_order() -> None:
    known = vocabulary(WORDS, "dog", "cat")
    assert known.names_in("A Husky's kitten, the hot dog, a pet and two dogs.") == ["dog", "cat", "dog"]


def test_the_coco_pack_has_every_category_under_its_name() -> None:
    known = make_vocabulary(load_pack(PACKS / "coco").files, CATEGORIES)
    assert [name for name in CATEGORIES if name not in known.names_in(name)] == []


def test_one_vocabulary_is_made_of_the_same_text() -> None:
    files = {"vocabulary.txt": WORDS}
    assert make_vocabulary(files, ["dog", "cat"]) is make_vocabulary(dict(files), ["cat", "dog"])
    assert make_vocabulary(files, ["dog"]) is not make_vocabulary(files, ["cat"])


def test_words_between_slashes_mean_the_first() -> None:
    known = vocabulary(
        "", attributes="colour (needs a caption): red/scarlet, gray/grey/silver\nwet: wet, dry"
    )
    assert known.attributes == {
        "red": [AttributeWord("colour", frozenset({"red"}), True)],
        "scarlet": [AttributeWord("colour", frozenset({"red"}), True)],
        "gray": [AttributeWord("colour", frozenset({"gray"}), True)],
        "grey": [AttributeWord("colour", frozenset({"gray"}), True)],
        "silver": [AttributeWord("colour", frozenset({"gray"}), True)],
        "wet": [AttributeWord("wet", frozenset({"wet"}), False)],
        "dry": [AttributeWord("wet", frozenset({"dry"}), False)],
    }


def test_a_word_with_two_meanings_has_both_and_may_be_of_two_groups() -> None:
    known = vocabulary("", attributes="colour: blue/teal, green/teal\nripeness: ripe, unripe/green")
    assert known.attributes["teal"] == [AttributeWord("colour", frozenset({"blue", "green"}), False)]
    assert known.attributes["green"] == [
        AttributeWord("colour", frozenset({"green"}), False),
        AttributeWord("ripeness", frozenset({"unripe"}), False),
    ]


BAD = "must be words, a colon and words between commas"
SECTIONS = "[names], [groups], [parts], [implied], [scenery], [natural], [roles], [zones], [not objects]"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("vocabulary.txt", "# note\n\ndog: hound", "line 3: 'dog: hound': stands before the first [section]"),
        ("vocabulary.txt", "[nmes]\ndog:", f"line 1: [nmes]: no such section: there are {SECTIONS}"),
        ("vocabulary.txt", "[names]\ndog", f"line 2: 'dog': {BAD}"),
        ("vocabulary.txt", "[names]\n: hound", f"line 2: ': hound': {BAD}"),
        ("vocabulary.txt", "[groups]\npet:", f"line 2: 'pet:': {BAD}"),
        ("vocabulary.txt", "[parts]\ndog", f"line 2: 'dog': {BAD}"),
        ("vocabulary.txt", "[implied]\nbarking |", f"line 2: 'barking |': {BAD}"),
        ("attributes.txt", "\ncolour red", f"line 2: 'colour red': {BAD}"),
        ("attributes.txt", "colour:", f"line 1: 'colour:': {BAD}"),
        (
            "blind_spots.txt",
            "weather: rain",
            "line 1: 'weather': must be a topic and `asks` or `says`, such as `weather asks: …`",
        ),
        (
            "blind_spots.txt",
            "asks: rain",
            "line 1: 'asks': must be a topic and `asks` or `says`, such as `weather asks: …`",
        ),
        ("blind_spots.txt", "weather asks:", f"line 1: 'weather asks:': {BAD}"),
        (
            "blind_spots.txt",
            "weather asks: rain, re:[",
            "line 1: '[' is not a regular expression: unterminated character set at position 0",
        ),
        (
            "blind_spots.txt",
            "age asks: old\nweather says: rain",
            "line 2: weather has no line `weather asks: …`",
        ),
    ],
)
def test_a_bad_line_is_told_with_its_file_and_place(file: str, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Vocabulary({file: text})
    assert str(caught.value) == f"{file}, {message}"
