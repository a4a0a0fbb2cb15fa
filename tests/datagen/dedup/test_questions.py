import pytest

from datagen.dedup import Asked, normalised
from datagen.dedup.questions import AskedBefore


def before(asked: Asked, image: int | str, *questions: str, own: int = 9) -> list[AskedBefore | None]:
    return asked.before(asked.prepare(image, [normalised(question) for question in questions]), own)


def keep(asked: Asked, image: int | str, *questions: str, own: int) -> None:
    asked.keep(asked.prepare(image, [normalised(question) for question in questions]), own)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("How many dogs are there?", "How many dogs are there in the image?"),
        ("How many dogs are there?", "What is the number of dogs in this picture?"),
        ("What colour is the bus?", "What color is the bus in the photo?"),
        ("Is there a dog on the left?", "Can you see any dog on the left?"),
        ("Can a sheep be seen in the picture?", "Is there a sheep?"),
        ("What is going on in the image?", "What is happening in the scene?"),
        ("Where is the cat?", "Where is the cat located?"),
        ("Where is the man?", "Could you please tell me where the man is?"),
    ],
)
def test_rephrased_questions_are_the_same(first: str, second: str) -> None:
    asked = Asked()
    keep(asked, 1, first, own=3)
    (found,) = before(asked, 1, second)
    assert found is not None
    assert (found.of, found.is_same) == (3, False)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("What is to the left of the dog?", "What is to the right of the dog?"),
        ("Is the dog to the left of the cat?", "Is the cat to the left of the dog?"),
        ("How many dogs are there?", "How many cats are there?"),
        ("How many dogs are there?", "Are there any dogs?"),
        ("Are there two dogs?", "Are there three dogs?"),
        ("What color is the bus?", "What color is the car?"),
        ("What is on the table?", "What is under the table?"),
        ("Is the dog in the image?", "Is the dog in the car?"),
        ("What is the man doing?", "Where is the man?"),
        ("Is the man not standing?", "Is the man standing?"),
    ],
)
def test_another_side_number_thing_or_place_is_another_question(first: str, second: str) -> None:
    asked = Asked()
    keep(asked, 1, first, own=3)
    assert before(asked, 1, second) == [None]


def test_only_questions_about_the_same_image_are_repeats() -> None:
    asked = Asked()
    keep(asked, 1, "What is on the table?", own=3)
    assert before(asked, 1, "what is on the TABLE") == [AskedBefore(3, True, 1.0)]
    assert before(asked, 2, "What is on the table?") == [None]
    assert before(asked, "1", "What is on the table?") == [None]


def test_likeness_is_the_share_of_words_in_common() -> None:
    asked = Asked()
    keep(asked, 1, "How many dogs are there?", own=3)
    assert before(asked, 1, "How many dogs are in the image?") == [AskedBefore(3, False, 4 / 8)]


def test_a_question_is_compared_with_those_before_it_in_its_own_sample() -> None:
    found = before(Asked(), 1, "Is there a dog?", "Where is the dog?", "Is there any dog?", own=4)
    assert found == [None, None, AskedBefore(4, False, 3 / 5)]


def test_a_question_that_points_back_is_the_same_only_after_the_same_one() -> None:
    asked = Asked()
    keep(asked, 1, "What is on the left?", "What color is it?", own=3)
    assert before(asked, 1, "What is on the right?", "What color is it?") == [None, None]
    both = [AskedBefore(3, True, 1.0), AskedBefore(3, True, 1.0)]
    assert before(asked, 1, "What is on the left?", "What color is it?") == both


def test_a_repeated_question_stays_where_a_question_that_stays_leans_on_it() -> None:
    asked = Asked()
    keep(asked, 1, "What is on the left?", "What is on the right?", own=3)
    found = before(asked, 1, "What is on the right?", "What is on the left?", "How large is it?")
    assert found == [AskedBefore(3, True, 1.0), None, None]


def test_a_question_of_frame_words_alone_is_compared_by_its_words() -> None:
    asked = Asked()
    keep(asked, 1, "Is there?", own=3)
    assert before(asked, 1, "Are there any?") == [None]
    assert before(asked, 1, "is there") == [AskedBefore(3, True, 1.0)]
