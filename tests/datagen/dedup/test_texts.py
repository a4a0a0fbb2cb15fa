from hypothesis import given
from hypothesis import strategies as st

from datagen.dedup import normalised, opening


def test_case_punctuation_and_spacing_do_not_count() -> None:
    assert normalised("  A DOG,\non  the-left!") == "a dog on the left"
    assert normalised("It’s a “dog”…") == normalised("it's a 'dog'")


def test_letters_written_in_two_ways_are_the_same() -> None:
    assert normalised("caf\u00e9 \ufb01sh ２") == normalised("cafe\u0301 fish 2")
    assert normalised("co\u00adop\u200b") == "coop"


def test_vowel_signs_and_emoji_count() -> None:
    assert normalised("की") != normalised("का")
    assert normalised("a 🐶") != normalised("a 🐱")


def test_where_no_spaces_are_written_each_character_is_a_word() -> None:
    assert normalised("一只狗，在左边。") == "一 只 狗 在 左 边"


@given(st.text(st.characters(), max_size=60))
def test_whatever_the_text_its_words_can_be_stored_and_normalising_again_changes_nothing(text: str) -> None:
    words = normalised(text)
    assert words.encode().decode() == words
    assert words == " ".join(words.split())
    assert normalised(words) == words


@given(st.text(st.sampled_from("abcXYZ 019,.!?-_'\n\t"), max_size=60))
def test_ascii_is_treated_like_everything_else(text: str) -> None:
    assert normalised(text) == normalised(text + "é").removesuffix("é").strip()


def test_the_opening_is_the_first_sentence_or_line() -> None:
    assert opening(" A dog sits on grass. It is brown.") == "A dog sits on grass."
    assert opening("A sign reads 2.5 km. There are two.") == "A sign reads 2.5 km."
    assert opening('He says "stop!" Then he goes.') == 'He says "stop!"'
    assert opening("A heading\nA dog sits.") == "A heading"
    assert opening("一只狗。它在左边。") == "一只狗。"
    assert opening("no end") == "no end"
    assert opening("  ") == ""
