"""Response types written down in dialogues.toml: when a turn fits, what it says, and what it rests on."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from datagen.packs.check import check
from datagen.prompting import PACKS, load_pack
from datagen.records import Box, ImageAnnotation, InputError, TeacherRequest, Unit
from datagen.teacher.programmatic import ProgrammaticTeacher
from schemas import SampleEvidence
from schemas.evidence import PartEvidence
from schemas.pack import ProgramsToml
from tests.datagen.chat_server import ChatServer, completion
from tests.datagen.coco import PACK
from tests.datagen.teacher.recompute import Reader, read_images
from tests.datagen.test_run import datagen, inputs, key, manifest_of, openai, records_of, rejections_of

__all__ = ["key"]  # a fixture

ROOT = Path(__file__).resolve().parents[3]
VOCABULARY = ("person", "dog", "cat", "knife", "car", "broccoli")


def box(category: str, x: float = 40, *, crowd: bool = False, y: float = 40) -> Box:
    return Box(1, category, x, y, 15, 15, crowd)


def image(*boxes: Box, captions: tuple[str, ...] = ()) -> ImageAnnotation:
    return ImageAnnotation(7, "7.jpg", 100, 100, captions, boxes)


def teacher(text: str, settings: ProgramsToml = PACK.programs) -> ProgrammaticTeacher:
    return ProgrammaticTeacher(settings, dict(PACK.files) | {"riddle/dialogues.toml": text})


def request(annotation: ImageAnnotation, seed: int = 0, response_type: str = "riddle") -> TeacherRequest:
    return TeacherRequest(
        unit=Unit(annotation.image_id, response_type, 0),
        annotation=annotation,
        reply_form="json",
        question=None,
        frame="camera",
        vocabulary=VOCABULARY,
        pack_hash=PACK.hash,
        seed=seed,
        temperature=0.7,
        max_tokens=100,
        messages=(),
    )


Turns = list[tuple[str, str, PartEvidence]]


def written(
    text: str, annotation: ImageAnnotation, seed: int = 0, settings: ProgramsToml = PACK.programs
) -> Turns:
    """Question, answer and evidence of each turn; nothing where the teacher has nothing to say."""
    asked, said = request(annotation, seed), teacher(text, settings)
    if said.cannot_answer(asked) is not None:
        assert said.cannot_answer(asked) == "nothing_to_say"
        return []
    reply = said.answer(asked)
    assert reply.evidence is not None
    told = json.loads(reply.evidence)
    evidence = SampleEvidence(id="riddle-7", unsaid=told["unsaid"], turns=told["turns"])
    turns = json.loads(reply.body)["turns"]
    return [
        (turn["question"], turn["answer"], part)
        for turn, of_turn in zip(turns, evidence.turns, strict=True)
        for part in of_turn.parts
    ]


def topic(conditions: str, question: str = "What?", answer: str = "That.", name: str = "one") -> str:
    return (
        f"[topic.{name}]\n{conditions}\n[[topic.{name}.turn]]\n"
        f"question = [{json.dumps(question)}]\nanswer = [{json.dumps(answer)}]\n"
    )


def answers(text: str, annotation: ImageAnnotation, seed: int = 0) -> list[str]:
    return [answer for _, answer, _ in written(text, annotation, seed)]


# When a topic fits


@pytest.mark.parametrize("shows", ["dog", "animals", "pet"])
def test_a_category_its_group_or_its_trait_may_be_shown(shows: str) -> None:
    text = topic(f'shows = ["{shows}"]', answer="<a_thing>.")
    assert answers(text, image(box("dog"))) == ["A dog."]
    assert answers(text, image(box("car"))) == []


def test_what_captions_agree_on_is_shown_without_a_box() -> None:
    text = topic('shows = ["dog"]', answer="<the> <be> here.")
    one, other = "A dog sits in a field.", "A dog in a green field."
    ((_, answer, part),) = written(text, image(captions=(one, other)))
    assert (answer, part.facts, part.boxes) == ("The dog is here.", [["spoken", "dog"]], [])
    assert answers(text, image(captions=("A field.", "A green field."))) == []


@pytest.mark.parametrize(("word", "is_said"), [("dog", False), ("horse", True), ("car", True)])
def test_an_animal_that_was_looked_for_and_not_boxed_is_no_live_one(word: str, is_said: bool) -> None:
    text = topic(f'shows = ["{word}"]', answer="<a_thing>.")
    captions = (f"A man hits a {word} statue.", f"A man beside the statue of a {word}.")
    said = answers(text, image(box("person"), captions=captions))
    assert said == ([f"A {word}."] if is_said else [])


def test_a_word_of_a_caption_is_found_whole_and_as_it_is_written() -> None:
    text = topic('says = ["stop sign", "sign"]', answer="the <word> it is.")
    found = written(text, image(captions=("Two signs.", "A road SIGN by a tree.")))
    ((_, answer, part),) = found
    assert answer == "The sign it is."
    assert (part.facts, part.captions) == ([["word", 2, "sign"]], [2])
    assert answers(text, image(captions=("Two signs and a design.",))) == []


def test_a_caption_can_speak_against_a_topic() -> None:
    text = topic('shows = ["person"]\nsays_not = ["small child", "baby"]')
    people = image(box("person"), captions=("A person stands.", "A child in a small room."))
    assert answers(text, people) == ["That."]
    assert answers(text, image(box("person"), captions=("A small child stands.",))) == []


def test_all_conditions_have_to_hold() -> None:
    text = topic('shows = ["dog"]\nsays = ["leash"]', answer="<the> and the <word>.")
    assert answers(text, image(box("dog"), captions=("A dog on a leash.",))) == ["The dog and the leash."]
    assert answers(text, image(box("dog"), captions=("A dog.",))) == []
    assert answers(text, image(box("cat"), captions=("A cat on a leash.",))) == []


def test_without_conditions_a_topic_fits_any_image_and_comes_last() -> None:
    anything, dog = topic("", answer="Whatever."), topic('shows = ["dog"]', answer="A dog.", name="two")
    assert answers(f"turns = [1]\n{anything}{dog}", image(box("cat"))) == ["Whatever."]
    for seed in range(20):
        assert answers(f"turns = [1]\n{anything}{dog}", image(box("dog")), seed) == ["A dog."]
        assert answers(f"turns = [2]\n{anything}{dog}", image(box("dog")), seed) == ["A dog.", "Whatever."]


# What it says


@pytest.mark.parametrize(
    ("boxes", "says", "fact"),
    [
        ((box("dog"),), "dog, dogs, a dog: the dog is what it does.", ["count", "dog", 1]),
        ((box("dog", 5), box("dog", 70)), "dog, dogs, a dog: the dogs are what it do.", ["several", "dog"]),
        ((box("dog", crowd=True),), "dog, dogs, a dog: the dogs are what it do.", ["present", "dog"]),
        (
            (box("broccoli"),),
            "broccoli, broccoli, some broccoli: the broccoli is what it does.",
            ["present", "broccoli"],
        ),
    ],
)
def test_slots_agree_with_the_number_of_things(
    boxes: tuple[Box, ...], says: str, fact: list[str | int]
) -> None:
    text = topic(
        'shows = ["dog", "broccoli"]',
        question="x <thing>, <things>, <a_thing>: <the> <be> what it <do>.",
    )
    ((question, _, part),) = written(text, image(*boxes))
    assert question == f"X {says}"
    assert part.facts == [fact]
    assert part.boxes == list(range(1, len(boxes) + 1))


def test_of_what_is_boxed_twice_nothing_is_said() -> None:
    twice = (box("dog", 40), box("dog", 40.5))
    assert answers(topic('shows = ["dog"]', answer="<the>."), image(*twice)) == []


def test_the_only_person_is_called_what_captions_agree_on() -> None:
    text = topic('shows = ["person"]', question="Who <be> <the>?")
    captions = ("A woman walks.", "A woman is walking.")
    assert written(text, image(box("person"), captions=captions))[0][0] == "Who is the woman?"


def test_parts_of_the_file_may_use_each_other_and_those_of_the_pack() -> None:
    text = (
        '[parts]\nmay = ["may", "can"]\nyou_may = ["you {may} see"]\n'
        f"{topic('', answer='Here {you_may} {the_image}.')}"
    )
    said = {answers(text, image(box("dog")), seed)[0] for seed in range(60)}
    assert all(
        re.fullmatch(r"Here you (may|can) see (the|this) (image|picture|photo)\.", each) for each in said
    )
    assert len(said) > 6


KINDS = """
turns = [4]
[topic.dog]
shows = ["dog"]
[[topic.dog.turn]]
kind = "decline"
question = ["May I hit <the>?"]
answer = ["No."]
[[topic.dog.turn]]
kind = "help"
programs = ["position"]
[topic.cat]
shows = ["cat"]
[[topic.cat.turn]]
kind = "decline"
question = ["May I hit <the>?"]
answer = ["No."]
[[topic.cat.turn]]
kind = "help"
programs = ["counting"]
"""


def test_a_topic_gives_one_turn_of_each_kind_or_none() -> None:
    both = image(box("dog", 5), box("cat", 50), box("cat", 80))
    orders = set()
    for seed in range(30):
        parts = [part for _, _, part in written(KINDS, both, seed)]
        assert sorted(part.program for part in parts) == [
            "riddle.cat.decline",
            "riddle.cat.help",
            "riddle.dog.decline",
            "riddle.dog.help",
        ]
        assert {part.program.split(".")[1] for part in parts[:2]} in ({"dog"}, {"cat"})
        assert [part.answer for part in parts] == [part.program.split(".")[2] for part in parts]
        orders.add(tuple(part.answer for part in parts))
    assert len(orders) == 4
    # Two dogs have no position of "the dog".
    two_dogs = image(box("dog", 5), box("dog", 80), box("cat", 30), box("cat", 50))
    assert {part.program for _, _, part in written(KINDS, two_dogs)} == {
        "riddle.cat.decline",
        "riddle.cat.help",
    }


def test_a_program_speaks_of_the_thing_that_was_found_and_its_evidence_is_its_own() -> None:
    text = '[topic.one]\nshows = ["cat"]\n[[topic.one.turn]]\nprograms = ["position"]\n'
    for seed in range(20):
        ((question, answer, part),) = written(text, image(box("dog", 5), box("cat", 80)), seed)
        assert "cat" in question
        assert "right" in answer
        assert part.program == "riddle.one"
        assert ["place", 2, "right"] in part.facts
        assert 2 in part.boxes
        assert any(each.startswith("position.") for each in part.phrasings)


def test_what_a_program_adds_follows_the_answer_and_is_not_asked_again() -> None:
    text = """
turns = [2]
[topic.one]
shows = ["cat"]
[[topic.one.turn]]
kind = "a"
question = ["Is it yours?"]
answer = ["No."]
adds = ["position"]
[[topic.one.turn]]
kind = "b"
programs = ["position"]
"""
    seen = Counter[int]()
    for seed in range(20):
        turns = {
            part.answer: (answer, part) for _, answer, part in written(text, image(box("cat", 80)), seed)
        }
        if not turns:
            continue
        answer, part = turns["a"]
        assert answer == "No."  # where it is, the other turn asks
        assert part.facts == [["count", "cat", 1]]
        seen[len(turns)] += 1
    assert set(seen) == {2}
    alone = text.split('[[topic.one.turn]]\nkind = "b"')[0].replace('kind = "a"\n', "")
    ((_, answer, part),) = written(alone, image(box("cat", 80)))
    assert re.fullmatch(r"No\. [A-Z].* right .*\.", answer)
    assert part.facts == [["count", "cat", 1], ["place", 1, "right"]]
    assert part.boxes == [1]


def test_a_program_that_is_switched_off_is_not_used() -> None:
    off = ProgramsToml(weights={"counting": 0})
    cat = image(box("cat", 20), box("cat", 80))
    assert len(written(KINDS, cat)) == 2
    assert written(KINDS, cat, settings=off) == []


def test_the_same_request_gets_the_same_reply() -> None:
    asked = request(image(box("dog", 5), box("cat", 50), box("cat", 80)))
    first, second = teacher(KINDS).answer(asked), teacher(KINDS).answer(asked)
    assert first == second
    assert len({teacher(KINDS).answer(request(asked.annotation, seed)).body for seed in range(20)}) > 4


# The file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("turns = [", "riddle/dialogues.toml: not valid TOML"),
        ("turns = [0]\n" + topic(""), "line 1: turns 1: Input should be greater than or equal to 1"),
        ("turns = [2]", "line 1: topic: Field required"),
        ("turns = [2]\n\nfrom = 1\n" + topic(""), "line 3: from: no such key here"),
        (topic('show = ["dog"]'), "line 2: topic.one.show: no such key here"),
        (topic('shows = ["dgo"]'), "line 2: topic.one.shows 1: no category, group or trait 'dgo'"),
        (
            topic("") + topic("", "<thing>?", name="two"),
            "line 9: topic.two.turn 1.question 1: no slot <thing>",
        ),
        (topic('says = ["a"]', "<the>?"), "there are <word> for this topic"),
        (topic("", answer="{the_imag}"), "line 5: topic.one.turn 1.answer 1: '{the_imag}': there is no part"),
        (topic("", answer="[a|b"), "line 5: topic.one.turn 1.answer 1: '[a|b': a stray bracket"),
        ('[parts]\na = ["{b}"]\n' + topic(""), "line 2: parts.a: '{b}': there is no part {b}"),
        ('[topic.one]\n[[topic.one.turn]]\nquestion = ["?"]', "line 2: topic.one.turn 1: give question and"),
        (
            '[topic.one]\n[[topic.one.turn]]\nprograms = ["position", "postion"]',
            "line 3: topic.one.turn 1.programs 2: no program 'postion' of conversations",
        ),
        (
            '[topic.one]\n[[topic.one.turn]]\nprograms = ["closing"]',
            "no program 'closing' of conversations",
        ),
        (
            KINDS.replace(
                'kind = "help"\nprograms = ["position"]\n[topic.cat]',
                'kind = "decline"\nprograms = ["position"]\n[topic.cat]',
            ),
            "line 3: topic.dog: has no turn of the kind 'help', as others have",
        ),
    ],
)
def test_each_mistake_is_one_line_that_says_where(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        teacher(text)
    assert str(caught.value).startswith("riddle/dialogues.toml")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_in_a_list_over_several_lines_the_line_is_that_of_the_wording() -> None:
    text = '[topic.one]\n[[topic.one.turn]]\nquestion = [\n    "One?",\n    "<two>?",\n]\nanswer = ["!"]\n'
    with pytest.raises(InputError, match=r"line 5: topic\.one\.turn 1\.question 2: no slot <two>"):
        teacher(text)


def riddles(folder: Path, table: str = 'reply = "pairs"\n') -> Path:
    """A pack made as docs/packs.md says, with its very example."""
    pack = folder / "pack"
    shutil.copytree(PACKS / "coco", pack)
    example = re.search(
        r"```toml\n# riddle/dialogues\.toml\n(.*?)```", (ROOT / "docs/packs.md").read_text(), re.S
    )
    assert example is not None
    (pack / "riddle").mkdir()
    (pack / "riddle" / "dialogues.toml").write_text(example[1])
    (pack / "riddle" / "system_message.txt").write_text("Write riddles.\n")
    with (pack / "pack.toml").open("a") as file:
        file.write(f"\n[types.riddle]\n{table}")
    return pack


def test_a_new_type_is_a_folder_for_the_embedded_teacher(tmp_path: Path) -> None:
    out, pack = tmp_path / "out", riddles(tmp_path)
    files = inputs(tmp_path, images=8)
    assert datagen("run", *files, "--pack", pack, "--types", "riddle", "--out", out) == 0
    records = records_of(out, "riddle.json")
    manifest = manifest_of(out)
    # Two in eight of the images have a dog.
    assert [record.image for record in records] == ["000000000005.jpg", "000000000008.jpg"]
    assert (manifest.accounting["riddle"].emitted, manifest.accounting["riddle"].excluded) == (2, 6)
    assert {line.reason for line in rejections_of(out)} == {"nothing_to_say"}
    for record in records:
        question, answer = (message.value for message in record.conversations)
        assert re.fullmatch(r"<image>\nI bark, and I am somewhere in (the|this) \w+\. What am I\?", question)
        assert re.match(r"(You are|That must be) a dog\. [A-Z]", answer)
    assert list(manifest.programs) == ["riddle.dog"]


def test_a_new_type_is_a_folder_for_an_llm(tmp_path: Path) -> None:
    out, pack = tmp_path / "out", riddles(tmp_path)
    (pack / "riddle" / "dialogues.toml").unlink()
    (pack / "riddle" / "000_caps.txt").write_text("A cat.\n")
    (pack / "riddle" / "000_conv.txt").write_text("Question:\nI purr. What am I?\n===\nAnswer:\nA cat.\n")
    files = inputs(tmp_path, images=2)
    reply = "Question:\nI am on the left. What am I?\n===\nAnswer:\nAn animal."
    with ChatServer(lambda body, _: completion(f"{reply}")) as server:
        run = ["run", *files, "--pack", pack, "--types", "riddle", "--out", out]
        assert datagen(*run, *openai(server)) == 0
        messages = server.requests[0]["messages"]
    assert [message["content"] for message in messages[:3]] == [
        "Write riddles.",
        "A cat.",
        "Question:\nI purr. What am I?\n===\nAnswer:\nA cat.",
    ]
    assert [message.value for message in records_of(out, "riddle.json")[0].conversations] == [
        "<image>\nI am on the left. What am I?",
        "An animal.",
    ]
    # Without dialogues the embedded teacher leaves it out, as before.
    assert datagen("run", *files, "--pack", pack, "--types", "riddle", "--out", tmp_path / "none") == 2


def test_an_answer_alone_cannot_be_a_dialogue(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"types\.riddle\.reply: 'answer' takes its question from questions\.txt"
    ):
        load_pack(riddles(tmp_path, 'reply = "answer"\n'))


def test_an_optional_type_is_made_only_where_it_is_named(tmp_path: Path) -> None:
    pack = riddles(tmp_path, 'reply = "pairs"\noptional = true\n')
    files = [*inputs(tmp_path, images=8), "--pack", pack]
    assert datagen("run", *files, "--out", tmp_path / "all") == 0
    assert set(manifest_of(tmp_path / "all").accounting) == {"conversation", "detail", "complex_reasoning"}
    named = ["--types", "conversation,riddle"]
    assert datagen("run", *files, *named, "--out", tmp_path / "some") == 0
    assert set(manifest_of(tmp_path / "some").accounting) == {"conversation", "riddle"}


def test_a_table_without_a_folder_borrows_that_of_coco(tmp_path: Path) -> None:
    pack = riddles(tmp_path)
    shutil.rmtree(pack / "safety")
    lent = load_pack(pack)
    assert lent.types["safety"].seeds == PACK.types["safety"].seeds
    assert lent.files["safety/dialogues.toml"] == PACK.files["safety/dialogues.toml"]
    (pack / "safety").mkdir()
    (pack / "safety" / "system_message.txt").write_text("Be careful.")
    own = load_pack(pack).types["safety"]
    assert (own.system_message, own.seeds) == ("Be careful.", ())
    assert load_pack(pack).files["safety/dialogues.toml"] == PACK.files["safety/dialogues.toml"]


def test_pack_check_names_the_line_of_a_mistake(tmp_path: Path) -> None:
    pack = riddles(tmp_path)
    assert not [each for each in check(str(pack)).findings if each.file.endswith("dialogues.toml")]
    text = (pack / "riddle" / "dialogues.toml").read_text()
    (pack / "riddle" / "dialogues.toml").write_text(text.replace("<a_thing>", "<a_dog>"))
    (found,) = [each for each in check(str(pack)).findings if each.file.endswith("dialogues.toml")]
    assert (found.file, found.line, found.is_warning) == ("riddle/dialogues.toml", 6, False)
    assert found.what.startswith("topic.dog.turn 1.answer 1: no slot <a_dog>; there are ")
    (pack / "riddle" / "dialogues.toml").write_text("turns = [1]\ntopic\n")
    (found,) = [each for each in check(str(pack)).findings if each.file.endswith("dialogues.toml")]
    assert (found.line, found.what.partition(":")[0]) == (2, "not valid TOML")


def test_a_new_pack_lends_what_is_optional_and_writes_it_not_anew(tmp_path: Path) -> None:
    files = inputs(tmp_path)
    assert datagen("pack", "new", "fields", *files, "--out", tmp_path / "fields") == 0
    assert sorted(path.name for path in (tmp_path / "fields").iterdir() if path.is_dir()) == [
        "complex_reasoning",
        "conversation",
        "detail",
    ]
    made = load_pack(tmp_path / "fields")
    assert made.types["safety"].seeds == PACK.types["safety"].seeds
    # One of a base's own is copied with its words.
    own = tmp_path / "own"
    shutil.copytree(PACKS / "coco", own)
    (own / "safety" / "system_message.txt").write_text("Be careful.\n")
    files = ["--from", own, *files]
    assert datagen("pack", "new", "meadows", *files, "--out", tmp_path / "meadows") == 0
    assert (tmp_path / "meadows/safety/system_message.txt").read_text() == "Be careful.\n"


def test_what_dialogues_say_of_the_bundled_scenes_is_recomputed(tmp_path: Path) -> None:
    scenes = ROOT / "examples/scenes"
    assert datagen("run", "--types", "safety", "--out", tmp_path / "out") == 0
    reader = Reader(read_images([scenes / "captions.json"], [scenes / "instances.json"]))
    for line in (tmp_path / "out/evidence.jsonl").read_text().splitlines():
        sample = SampleEvidence.model_validate_json(line)
        for turn in sample.turns:
            for part in turn.parts:
                reader.evidence(sample.id, part, reader.images[int(sample.id.split("-")[1])])
    assert reader.report.problems == []
    assert reader.report.wrong_facts == []
    assert sum(reader.report.facts.values()) > 150
