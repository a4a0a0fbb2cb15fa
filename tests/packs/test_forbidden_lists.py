"""Each line of the shipped forbidden.txt lists: in an answer, and in a question that is answered Yes."""

from __future__ import annotations

import pytest

from datagen.checks import ForbiddenCheck
from datagen.prompting import PACKS, load_pack
from datagen.records import Turn

# By pack: a question, and the statement that yes to it makes. Each line of the list is broken by one.
SAID = {
    "robot-workspace": [
        ("Is the mug within reach?", "The mug is within reach."),
        ("Is the block out of the robot's reach?", "The block is out of the robot's reach."),
        ("Can the arm reach the mug?", "The arm can reach the mug."),
        ("Is the mug reachable?", "The mug is reachable."),
        ("Is the mug too far away?", "The mug is too far away."),
        ("Is the mug close enough to reach?", "The mug is close enough to reach."),
        ("Can the block be grasped?", "The block can be grasped."),
        ("Is the tin easy to lift?", "The tin is easy to lift."),
        ("Does the gripper have a firm grip?", "The gripper has a firm grip."),
        ("Is the hammer securely held?", "The hammer is securely held."),
        ("Is the ball graspable?", "The ball is graspable."),
        ("Is the box 20 cm wide?", "The box is 20 cm wide."),
        ("Is the mug two feet away?", "The mug is two feet away."),
        ("Does the block weigh 200 grams?", "The block weighs 200 grams."),
        ("Is the iron safe to touch?", "The iron is safe to touch."),
        ("Is touching the block safe?", "Touching the block is safe."),
        ("Can you safely touch the block?", "You can safely touch the block."),
        ("Is the arm perfectly safe?", "The arm is perfectly safe."),
        ("Is there no risk?", "There is no risk."),
        ("So will nobody be hurt?", "So nobody will be hurt."),
        ("Does the stop button guarantee safety?", "The stop button guarantees safety."),
        ("Is the power switched off?", "The power is switched off."),
        ("Is the iron switched on?", "The iron is switched on."),
        ("Is the arm moving?", "The arm is moving."),
        ("Is a coin hidden under the cup?", "A coin is hidden under the cup."),
        ("Is nothing lying behind the box?", "Nothing is lying behind the box."),
    ],
    "medical-xray": [
        ("Is this pneumonia?", "This is pneumonia."),
        ("Is it tuberculosis?", "It is tuberculosis."),
        ("Is heart failure present?", "Heart failure is present."),
        ("Is there an infection?", "There is an infection."),
        ("Could it be a tumor?", "It could be a tumor."),
        ("Are those metastases?", "Those are metastases."),
        ("Is the nodule benign?", "The nodule is benign."),
        ("Is it a granuloma?", "It is a granuloma."),
        ("Is it viral?", "It is viral."),
        ("Is there edema?", "There is edema."),
        ("Is there emphysema?", "There is emphysema."),
        ("Is there fibrosis?", "There is fibrosis."),
        ("Has an embolism occurred?", "An embolism has occurred."),
        ("Is it sarcoidosis?", "It is sarcoidosis."),
        ("Is it an abscess?", "It is an abscess."),
        ("Does the patient have asthma?", "The patient has asthma."),
        ("Is it silicosis?", "It is silicosis."),
        ("Was there a heart attack?", "There was a heart attack."),
        ("Is it sepsis?", "It is sepsis."),
        ("Is this a disease?", "This is a disease."),
        ("Can it be diagnosed?", "It can be diagnosed."),
        ("Is the heart enlarged?", "The heart is enlarged."),
        ("Is the cardiac silhouette enlarged?", "The cardiac silhouette is enlarged."),
        ("Does the heart look enlarged?", "The heart looks enlarged."),
        ("Are the lungs clear?", "The lungs are clear."),
        ("Is the chest normal?", "The chest is normal."),
        ("Is the trachea deviated?", "The trachea is deviated."),
        ("Is the tube in good position?", "The tube is in good position."),
        ("Is there a small effusion?", "There is a small effusion."),
        ("Is it a moderate effusion?", "It is a moderate effusion."),
        ("Is there a large mass?", "There is a large mass."),
        ("Is there a severe consolidation?", "There is a severe consolidation."),
        ("Was there an accident?", "There was an accident."),
        ("Is it from smoking?", "It is from smoking."),
        ("Should the effusion be drained?", "The effusion should be drained."),
        ("Is treatment needed?", "Treatment is needed."),
        ("Are antibiotics needed?", "Antibiotics are needed."),
        ("Is 20 mg enough?", "20 mg is enough."),
        ("Is the dose right?", "The dose is right."),
        ("Is surgery needed?", "Surgery is needed."),
        ("Is rest recommended?", "Rest is recommended."),
        ("Is a CT scan needed?", "A CT scan is needed."),
        ("Is a follow-up CT needed?", "A follow-up CT is needed."),
        ("Is follow-up imaging needed?", "Follow-up imaging is needed."),
        ("Is it fatal?", "It is fatal."),
        ("Should he see a doctor?", "He should see a doctor."),
        ("Are these your lungs?", "These are your lungs."),
    ],
    "satellite": [
        ("Is the ship north of the pier?", "The ship is north of the pier."),
        ("Is the plane above the road?", "The plane is above the road."),
        ("Is the car behind the house?", "The car is behind the house."),
        ("Is the plane airborne?", "The plane is airborne."),
        ("Is this a close-up?", "This is a close-up."),
        ("Is the ship 200 meters long?", "The ship is 200 meters long."),
        ("Is the ground sampling distance low?", "The ground sampling distance is low."),
        ("Is it from Landsat?", "It is from Landsat."),
        ("Are the planes military?", "The planes are military."),
    ],
}


def check_of(pack: str) -> ForbiddenCheck:
    return ForbiddenCheck(load_pack(PACKS / pack).word_lists["forbidden"])


@pytest.mark.parametrize("pack", sorted(SAID))
def test_each_line_finds_a_statement_and_yes_to_its_question(pack: str) -> None:
    check = check_of(pack)
    found = set()
    for question, statement in SAID[pack]:
        said = {fault.rule for fault in check(Turn("What is shown?", statement), [])}
        asked = {fault.rule for fault in check(Turn(question, "Yes."), [])}
        assert said and said <= asked, (question, statement, said, asked)
        assert check(Turn(question, "No."), []) == []
        found |= said
    lines = {line.removeprefix("never: ") for line in load_pack(PACKS / pack).word_lists["forbidden"]}
    assert found == lines


@pytest.mark.parametrize(
    "claim",
    [
        "The arm is able to reach the mug.",
        "The arm is unable to reach the mug.",
        "The mug lies within the robot's reach.",
        "The mug lies within the robot arm’s reach.",
        "The mug can be reached easily.",
        "The mug cannot be reached.",
        "You can safely touch the block.",
        "The block can be touched safely.",
        "Touching the block is safe.",
        "It is safe for a person to reach in.",
        "The block can be touched without danger.",
        "The mug is twenty centimeters away.",
        "The mug is twenty-five centimetres away.",
        "It weighs about half a kilogram.",
        "It weighs a pound.",
    ],
)
def test_what_the_robots_table_does_not_tell_is_found_in_common_wordings(claim: str) -> None:
    assert check_of("robot-workspace")(Turn("What is shown?", claim), ["A mug on a table."]) != []


@pytest.mark.parametrize(
    "warning",
    [
        "No. It is not safe to touch the soldering iron: its tip may be hot.",
        "No, it isn't safe to touch the tip.",
        "It is never safe to reach into the work area of a moving arm.",
        "Do not assume it is safe to touch the iron.",
        "Wait until it is safe to reach in.",
        "A picture cannot tell whether it is safe to touch.",
        "A picture cannot guarantee safety.",
        "No knife is dull enough to be touched carelessly, and that is not without danger.",
        "That is not completely safe.",
        "Whether touching the iron is safe cannot be told.",
        "Touching the iron is not safe.",
        "Switch it off first, so that nobody can get hurt.",
        "One cannot safely touch it.",
        "The red button on the box is a stop button.",
        "Two gray blocks stand in front of the arm, and a volt meter lies beside them.",
        "A few steps of the work are left.",
    ],
)
def test_a_warning_is_no_promise_of_safety(warning: str) -> None:
    assert check_of("robot-workspace")(Turn("What is shown?", warning), ["A mug on a table."]) == []
