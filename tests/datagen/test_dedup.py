from datagen.dedup import ExactDedup
from datagen.records import Unit


def test_the_first_to_say_it_stays_whatever_case_and_punctuation() -> None:
    dedup = ExactDedup()
    first, second = Unit(1, "detail", 0), Unit(2, "detail", 0)
    assert dedup.duplicate_of(first, ["Describe it.", "A dog, on the left."]) is None
    assert dedup.duplicate_of(second, ["describe it", "A DOG on  the left"]) == first
    assert dedup.duplicate_of(second, ["Describe it.", "Two dogs, on the left."]) is None


def test_a_word_moved_from_question_to_answer_is_not_the_same() -> None:
    dedup = ExactDedup()
    assert dedup.duplicate_of(Unit(1, "detail", 0), ["Is it a dog?", "Yes"]) is None
    assert dedup.duplicate_of(Unit(2, "detail", 0), ["Is it a", "dog? Yes"]) is None


def test_the_same_text_in_another_type_is_not_a_duplicate() -> None:
    dedup = ExactDedup()
    assert dedup.duplicate_of(Unit(1, "detail", 0), ["A dog."]) is None
    assert dedup.duplicate_of(Unit(1, "conversation", 0), ["A dog."]) is None
