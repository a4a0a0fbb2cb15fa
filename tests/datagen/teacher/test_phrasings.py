"""Wordings: how they are read from a pack's files, refused, drawn and filled in."""

from __future__ import annotations

from collections import Counter

import pytest

from datagen.records import InputError
from datagen.teacher.programmatic.voice import Voice, check_phrasings, compiled, read_phrasings, slots_of
from tests.datagen.coco import PACK


def files(**tables: str) -> dict[str, str]:
    """A pack's phrasings: `dogs` is phrasings/dogs.toml."""
    return {f"phrasings/{name}.toml": text for name, text in tables.items()}


def voice(origin: int = 0, **tables: str) -> Voice:
    return Voice(read_phrasings(files(**tables)), str(origin))


def all_said(
    key: str, draws: int = 200, /, slots: dict[str, str] | None = None, **tables: str
) -> Counter[str]:
    """What is said under a key with so many origins."""
    return Counter(voice(origin, **tables).say(key, **(slots or {})) for origin in range(draws))


def refused(tables: dict[str, str], reference: dict[str, str] | None = None) -> str:
    with pytest.raises(InputError) as error:
        if reference is None:
            read_phrasings(tables)
        else:
            check_phrasings(tables, reference)
    return str(error.value)


# How they are written


def test_plain_text_is_said_as_it_is() -> None:
    assert (
        voice(dogs='run = ["Dogs run, as (all) know: 50% do."]').say("dogs.run")
        == "Dogs run, as (all) know: 50% do."
    )
    assert voice(dogs='run = [""]').say("dogs.run") == ""


def test_slots_are_filled_wherever_they_stand() -> None:
    said = all_said(
        "dogs.where",
        100,
        {"dog": "a poodle", "place": "on top"},
        dogs='where = ["<dog> is[ <place>|, <dog>]."]',
    )
    assert set(said) == {"a poodle is on top.", "a poodle is, a poodle."}


def test_a_value_is_never_read_as_a_phrasing() -> None:
    for value in ("[a|b]", "<dog>", "{image}", "<image>", "\\1", "%s", ""):
        said = voice(parts='image = ["photo"]', dogs='run = ["<dog> in {image}"]').say("dogs.run", dog=value)
        assert said == f"{value} in photo"


def test_a_slot_without_a_value_is_a_mistake_of_the_program() -> None:
    with pytest.raises(KeyError, match="dog"):
        voice(dogs='run = ["<dog> runs"]').say("dogs.run", cat="a cat")


def test_choices_and_wordings_come_up_evenly() -> None:
    said = all_said("dogs.run", 4000, dogs='run = ["A[ big|n old|] dog.", "No dog."]')
    assert set(said) == {"A big dog.", "An old dog.", "A dog.", "No dog."}
    assert abs(said.pop("No dog.") - 2000) < 150
    assert all(abs(number - 2000 / 3) < 100 for number in said.values())


def test_parts_stand_for_one_of_their_wordings_and_may_use_those_above() -> None:
    parts = 'view = ["photo", "<kind> shot"]\nthe_view = ["the {view}", "this"]'
    tables = {"parts": parts, "dogs": 'run = ["A dog in [{the_view}|it]."]'}
    said = all_said("dogs.run", 300, {"kind": "wide"}, **tables)
    assert set(said) == {
        "A dog in the photo.",
        "A dog in the wide shot.",
        "A dog in this.",
        "A dog in it.",
    }


def test_the_slots_of_a_phrasing_are_those_that_may_have_to_be_filled() -> None:
    phrasings = read_phrasings(
        files(parts='view = ["photo <number>"]', dogs='run = ["<dog>[ <place>|] in {view}"]')
    )
    assert slots_of(phrasings["dogs.run"][0]) == {"dog", "place", "number"}
    assert slots_of(compiled("no slots[ at all|]")) == slots_of(compiled("")) == frozenset()


def test_keys_are_the_file_and_the_path_within_it() -> None:
    read = read_phrasings(
        files(
            parts='image = ["photo"]', dogs='run = ["a", "b"]\n[small.brown]\nrun = ["c"]', cats='run = ["d"]'
        )
        | {"knowledge.toml": "no phrasings at all", "detail/1.txt": "[nor these"}
    )
    assert {key: len(wordings) for key, wordings in read.items()} == {
        "cats.run": 1,
        "dogs.run": 2,
        "dogs.small.brown.run": 1,
        "parts.image": 1,
    }


def test_the_image_is_called_the_same_throughout_a_sample() -> None:
    tables = {"parts": 'image = ["image", "photo"]', "dogs": 'run = ["{image} {image}"]'}
    said: Counter[str] = Counter()
    for origin in range(200):
        one = voice(origin, **tables)
        said[f"{one.say('dogs.run')} {one.of('other').say('dogs.run')} {one.of('third').image}"] += 1
    assert set(said) == {" ".join(["image"] * 5), " ".join(["photo"] * 5)}
    assert abs(said.most_common()[0][1] - 100) < 30
    assert refused(files(parts='image = ["<kind> shot"]')) == (
        "phrasings/parts.toml: image: must be plain words, as it is drawn once for a sample"
    )


# How they are refused


NO_LIST = "must be a list of wordings, at least one"
STRAY = "a stray bracket; slots are <name>, parts {name}, choices [one|other]"


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"dogs": "run = nothing"}, "dogs.toml: not valid TOML: Invalid value (at line 1, column 7)"),
        ({"parts": "image = ["}, "parts.toml: not valid TOML: Invalid value (at end of document)"),
        ({"dogs": 'run = "a"'}, f"dogs.toml: run: {NO_LIST}"),
        ({"dogs": "run = []"}, f"dogs.toml: run: {NO_LIST}"),
        ({"dogs": 'run = ["a", 2]'}, f"dogs.toml: run: {NO_LIST}"),
        ({"dogs": "[small]\nrun = 2"}, f"dogs.toml: small.run: {NO_LIST}"),
        ({"parts": '[image]\na = ["b"]'}, f"parts.toml: image: {NO_LIST}"),
        ({"dogs": 'run = ["fine", "a [dog"]'}, f"dogs.toml: run: 'a [dog': {STRAY}"),
        (
            {"dogs": 'run = ["a {cat}"]'},
            "dogs.toml: run: 'a {cat}': there is no part {cat}; there are none above it",
        ),
        (
            {"parts": 'seen = ["seen"]\nimage = ["photo"]', "dogs": 'run = ["a [{cat}|dog]"]'},
            "dogs.toml: run: '{cat}': there is no part {cat}; there are image, seen",
        ),
        (
            {"parts": 'the = ["the {image}"]\nimage = ["photo"]'},
            "parts.toml: the: 'the {image}': there is no part {image}; there are none above it",
        ),
        (
            {"parts": 'image = ["a {image}"]'},
            "parts.toml: image: 'a {image}': there is no part {image}; there are none above it",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(tables: dict[str, str], message: str) -> None:
    assert refused(files(**tables)) == f"phrasings/{message}"


@pytest.mark.parametrize(
    "text", ["a ]", "a |", "<a", "a>", "{a", "}", "[a|[b|c]]", "<Dog>", "<a b>", "[a|<]", "{1}"]
)
def test_a_stray_bracket_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"a stray bracket; slots are <name>, parts \{name\}, choices \[one\|other\]$"
    ):
        compiled(text)


REFERENCE = files(
    dogs='run = ["<dog> runs <place>", "<dog> goes"]\n[small]\nsit = ["sits"]', cats='sit = ["sits"]'
)
RUN, SMALL = 'run = ["runs"]', '[small]\nsit = ["sits"]'
MISSING = "missing: copy it from the same file of the pack coco"


@pytest.mark.parametrize(
    ("dogs", "cats", "message"),
    [
        (f"{RUN}\n{SMALL}", "", f"cats.toml: sit: {MISSING}"),
        (RUN, 'sit = ["sits"]', f"dogs.toml: small.sit: {MISSING}"),
        ("", "", f"cats.toml: sit: {MISSING}"),
        ("run = 1", 'sit = ["sits"]', f"dogs.toml: run: {NO_LIST}"),
        (
            f'rum = ["x"]\n{RUN}\n{SMALL}',
            'sit = ["sits"]',
            "dogs.toml: rum: nothing uses it: check its spelling, or take it out",
        ),
        (
            f'run = ["runs", "<dog> or [<cat>|<dog>] runs"]\n{SMALL}',
            'sit = ["sits"]',
            "dogs.toml: run, wording 2: no slot <cat>; there are <dog>, <place>",
        ),
        (
            f'run = ["{{who}} runs"]\n{SMALL}',
            'sit = ["sits"]',
            "dogs.toml: run, wording 1: no slot <mouse>; there are <dog>, <place>",
        ),
        (
            f"{RUN}\n{SMALL}",
            'sit = ["<dog> sits"]',
            "cats.toml: sit, wording 1: no slot <dog>; there are no slots",
        ),
    ],
)
def test_a_pack_words_every_key_that_is_used_with_its_slots(dogs: str, cats: str, message: str) -> None:
    tables = files(parts='who = ["<mouse>"]', dogs=dogs, cats=cats)
    assert refused(tables, REFERENCE) == f"phrasings/{message}"


def test_the_image_is_called_what_the_question_calls_it() -> None:
    phrasings = read_phrasings(files(parts='image = ["image", "photo"]'))
    called = {
        asked: {Voice(phrasings, str(origin), asked=asked).of("other").image for origin in range(20)}
        for asked in ("Describe this photograph.", "Describe this.")
    }
    assert called == {"Describe this photograph.": {"photo"}, "Describe this.": {"image", "photo"}}


def test_a_pack_without_phrasings_is_told_the_first_that_is_missing() -> None:
    assert refused({}, REFERENCE) == f"phrasings/cats.toml: sit: {MISSING}"


def test_a_pack_may_word_everything_its_own_way() -> None:
    check_phrasings(
        files(
            parts='it = ["<dog>", "he"]',
            dogs='run = ["{it} runs"]\n[small]\nsit = ["a", "b", "c"]',
            cats='sit = ["a"]',
        ),
        REFERENCE,
    )
    check_phrasings(PACK.files, PACK.files)


# How they are drawn


def test_the_same_name_in_the_same_sample_draws_the_same() -> None:
    def draws(drawing: Voice) -> list[object]:
        return [
            drawing.index(1000),
            drawing.pick("abcdefgh"),
            drawing.chance(0.5),
            drawing.shuffled(range(20)),
            drawing.weighted(dict.fromkeys("abcdefgh", 1.0)),
            drawing.say("dogs.run"),
        ]

    def of(origin: int, program: str) -> list[object]:
        return draws(voice(origin, dogs='run = ["a[1|2|3|4]", "b", "c"]').of(program))

    assert of(0, "counting") == of(0, "counting")
    assert (
        len({str(of(origin, program)) for origin in range(5) for program in ("counting", "position")}) == 10
    )
    alone = voice(3, dogs='run = ["a"]')
    disturbed = voice(3, dogs='run = ["a"]')
    disturbed.shuffled(range(50))
    disturbed.of("position").weighted(dict.fromkeys("abc", 1.0))
    assert disturbed.of("counting").shuffled(range(50)) == alone.of("counting").shuffled(range(50))


def test_a_shuffle_is_a_permutation_and_each_comes_as_often() -> None:
    orders = Counter(tuple(voice(origin).shuffled("abc")) for origin in range(6000))
    assert {"".join(order) for order in orders} == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert all(abs(number - 1000) < 120 for number in orders.values())
    items = list(range(100))
    assert sorted(voice().shuffled(items)) == items == list(range(100))
    assert voice().shuffled([]) == [] and voice().shuffled("a") == ["a"]


def test_weights_decide_who_comes_first() -> None:
    orders = Counter("".join(voice(origin).weighted({"a": 3, "b": 1, "c": 0})) for origin in range(4000))
    assert set(orders) == {"ab", "ba"}
    assert abs(orders["ab"] - 3000) < 110
    # Of three: first by their weights, then by those of the two that are left.
    orders = Counter("".join(voice(origin).weighted({"a": 2, "b": 1, "c": 1})) for origin in range(8000))
    expected = {"abc": 1 / 4, "acb": 1 / 4, "bac": 1 / 6, "bca": 1 / 12, "cab": 1 / 6, "cba": 1 / 12}
    assert orders.keys() == expected.keys()
    assert all(abs(orders[order] - 8000 * share) < 160 for order, share in expected.items())
    assert voice().weighted({}) == voice().weighted({"a": 0}) == []


def test_chances_and_picks_are_even() -> None:
    drawing = voice()
    assert not any(drawing.chance(0) for _ in range(1000))
    assert all(drawing.chance(1) for _ in range(1000))
    assert abs(sum(drawing.chance(0.3) for _ in range(5000)) - 1500) < 130
    picked = Counter(drawing.pick("abcd") for _ in range(4000))
    assert set(picked) == set("abcd") and all(abs(number - 1000) < 110 for number in picked.values())
    assert {drawing.index(3) for _ in range(100)} == {0, 1, 2}


def test_a_wording_is_seldom_heard_twice_in_a_sample() -> None:
    twice = 0
    for origin in range(1000):
        first = voice(origin, dogs='run = ["a", "b"]')
        twice += first.of("counting").say("dogs.run") == first.of("position").say("dogs.run")
    # Drawn anew up to three times: one in sixteen.
    assert abs(twice - 1000 / 16) < 30


def test_what_was_said_is_named_by_its_place_in_the_file() -> None:
    told = voice(dogs='run = ["a", "b", "c"]\n[small]\nsit = ["d"]')
    of_program = told.of("counting")
    said = [told.say("dogs.run"), of_program.say("dogs.small.sit"), of_program.say("dogs.run")]
    numbers = {"a": 1, "b": 2, "c": 3}
    expected = (f"dogs.run/{numbers[said[0]]}", "dogs.small.sit/1", f"dogs.run/{numbers[said[2]]}")
    assert told.take_said() == expected
    assert told.take_said() == of_program.take_said() == ()


def test_what_margins_forbid_is_counted_for_the_sample() -> None:
    told = voice()
    told.of("counting").unsaid["near_tie"] += 2
    told.of("position").unsaid["near_tie"] += 1
    assert told.unsaid == {"near_tie": 3}
