"""The films: what each shows, on which side of the patient, and what its invented report says."""

from __future__ import annotations

from typing import NamedTuple

CATEGORIES = (
    ("heart", "anatomy"), ("left lung", "anatomy"), ("right lung", "anatomy"), ("clavicle", "anatomy"),
    ("trachea", "anatomy"),
    ("cardiomegaly", "finding"), ("pleural effusion", "finding"), ("pneumothorax", "finding"),
    ("consolidation", "finding"), ("lung opacity", "finding"), ("infiltration", "finding"),
    ("atelectasis", "finding"), ("nodule", "finding"), ("mass", "finding"), ("rib fracture", "finding"),
    ("endotracheal tube", "device"), ("central line", "device"), ("pacemaker", "device"),
    ("chest drain", "device"), ("ECG lead", "device"),
)  # fmt: skip


class Mark(NamedTuple):
    """A finding or a device on a film."""

    category: str
    side: str = "left"
    """The patient's."""
    zone: str = "middle"
    how: str = ""
    number: int = 1
    rib: int = 3
    is_boxed: bool = True
    is_crowd: bool = False


class Film(NamedTuple):
    """One image."""

    name: str
    report: tuple[str, ...]
    """Its captions, a sentence each."""
    marks: tuple[Mark, ...] = ()
    anatomy: tuple[str, ...] = ()
    """Which parts of the body are boxed."""
    letter: str = "L"
    """The marker on the film: L at the patient's left, R at the right."""


LUNGS = ("left lung", "right lung")
CHEST = ("heart", *LUNGS)
ALL = (*CHEST, "clavicle", "trachea")


def left(category: str, zone: str = "middle", how: str = "", number: int = 1, rib: int = 3) -> Mark:
    return Mark(category, "left", zone, how, number, rib)


def right(category: str, zone: str = "middle", how: str = "", number: int = 1, rib: int = 3) -> Mark:
    return Mark(category, "right", zone, how, number, rib)


TUBE = Mark("endotracheal tube")
LARGE = Mark("cardiomegaly")
LOWER = (right("consolidation", "lower"), left("consolidation", "lower"))


def leads(number: int) -> Mark:
    return Mark("ECG lead", number=number)


FILMS: tuple[Film, ...] = (
    # Nothing found
    Film(
        "clear-lungs",
        (
            "Both lungs are clear.",
            "The heart is normal in size and both lungs are clear.",
            "No pleural effusion or pneumothorax is seen.",
        ),
        anatomy=ALL,
    ),
    Film(
        "normal-chest",
        (
            "A frontal view of the chest with clear lungs.",
            "The lungs are clear and the heart is not enlarged.",
            "There is no pleural effusion.",
        ),
        anatomy=CHEST,
        letter="R",
    ),
    Film(
        "unremarkable",
        (
            "The lungs are clear.",
            "Unremarkable frontal view of the chest.",
            "No focal consolidation, pleural effusion or pneumothorax.",
        ),
    ),
    Film(
        "no-change",
        (
            "The lungs and the trachea look unremarkable.",
            "The trachea is in the midline and the lungs are clear.",
            "No rib fracture is identified.",
        ),
        anatomy=(*LUNGS, "trachea"),
    ),
    # Fluid
    Film(
        "effusion-left-moderate",
        (
            "There is a moderate left pleural effusion.",
            "A moderate pleural effusion is present on the left.",
            "The right lung is clear.",
            "No pneumothorax.",
        ),
        (left("pleural effusion", how="moderate"),),
        LUNGS,
    ),
    Film(
        "effusion-right-small",
        (
            "There is a small right pleural effusion.",
            "A small pleural effusion blunts the right costophrenic angle.",
            "The left lung is clear.",
        ),
        (right("pleural effusion", how="small"),),
        CHEST,
        letter="R",
    ),
    Film(
        "effusion-right-large",
        (
            "There is a large right pleural effusion.",
            "A large pleural effusion covers the lower half of the right lung.",
            "No pneumothorax is seen.",
        ),
        (right("pleural effusion", how="large"),),
        ("heart", "left lung"),
    ),
    Film(
        "effusions-both",
        (
            "There are bilateral pleural effusions, larger on the right.",
            "Pleural effusions are present on both sides.",
            "The heart is not enlarged.",
        ),
        (right("pleural effusion", how="moderate"), left("pleural effusion", how="small")),
        ("heart",),
    ),
    Film(
        "effusion-and-drain",
        (
            "A chest drain lies in the left pleural space.",
            "A left chest drain is in place, with a small left pleural effusion.",
            "No pneumothorax is seen.",
        ),
        (left("pleural effusion", how="small"), left("chest drain")),
        ("heart",),
    ),
    Film(
        "effusion-large-heart",
        (
            "The heart is enlarged and there is a small left pleural effusion.",
            "Cardiomegaly with a small left pleural effusion.",
            "There is no consolidation.",
        ),
        (LARGE, left("pleural effusion", how="small")),
        ("right lung",),
    ),
    # Air
    Film(
        "pneumothorax-left-small",
        (
            "There is a small left apical pneumothorax.",
            "A small pneumothorax is present at the left apex.",
            "The trachea is in the midline.",
        ),
        (left("pneumothorax", how="small"),),
        ("trachea", "right lung"),
    ),
    Film(
        "pneumothorax-right-large",
        (
            "There is a large right pneumothorax.",
            "A large pneumothorax is seen on the right.",
            "The left lung is clear and there is no pleural effusion.",
        ),
        (right("pneumothorax", how="large"),),
        ("heart", "left lung"),
        letter="R",
    ),
    Film(
        "pneumothorax-right-drain",
        (
            "A chest drain has been placed on the right.",
            "A moderate right pneumothorax remains beside the chest drain.",
            "No pleural effusion is seen.",
        ),
        (right("pneumothorax", how="moderate"), right("chest drain")),
        ("heart",),
    ),
    Film(
        "pneumothorax-and-fractures",
        (
            "There are two left rib fractures and a small left pneumothorax.",
            "Two rib fractures are seen on the left, with a small pneumothorax.",
            "The right lung is clear.",
        ),
        (left("pneumothorax", how="small"), left("rib fracture", number=2, rib=3)),
        ("clavicle", "right lung"),
    ),
    # Consolidation and its like
    Film(
        "consolidation-right-lower",
        (
            "There is consolidation in the right lower zone.",
            "Dense consolidation is seen in the lower zone of the right lung.",
            "No pleural effusion.",
        ),
        (right("consolidation", "lower"),),
        LUNGS,
    ),
    Film(
        "consolidation-left-upper",
        (
            "There is consolidation in the left upper zone.",
            "A patch of consolidation is seen in the upper zone of the left lung.",
            "The right lung is clear.",
        ),
        (left("consolidation", "upper"),),
        CHEST,
        letter="R",
    ),
    Film(
        "consolidation-left-middle",
        (
            "There is consolidation in the left mid zone.",
            "Consolidation in the mid zone of the left lung could represent pneumonia.",
            "No pneumothorax.",
        ),
        (left("consolidation", "middle"),),
        ("heart", "trachea"),
    ),
    Film(
        "consolidation-both-lower",
        (
            "There is consolidation in both lower zones.",
            "Consolidation is seen at both bases.",
            "There is no pneumothorax.",
        ),
        (right("consolidation", "lower"), left("consolidation", "lower")),
        ("heart",),
    ),
    Film(
        "consolidation-and-tube",
        (
            "An endotracheal tube lies in the trachea.",
            "An endotracheal tube is in place and there is consolidation in the right upper zone.",
            "No pneumothorax is seen.",
        ),
        (right("consolidation", "upper"), TUBE),
        ("left lung",),
    ),
    Film(
        "opacity-right-middle",
        (
            "There is a hazy opacity in the right mid zone.",
            "A lung opacity in the right mid zone may represent consolidation.",
            "The left lung is clear.",
        ),
        (right("lung opacity", "middle"),),
        LUNGS,
    ),
    Film(
        "opacity-left-lower",
        (
            "There is a faint opacity in the left lower zone.",
            "An opacity is seen in the lower zone of the left lung.",
            "A small left pleural effusion cannot be excluded.",
        ),
        (left("lung opacity", "lower"),),
        ("heart", "right lung"),
    ),
    Film(
        "opacities-two",
        (
            "There are two lung opacities, one on each side.",
            "A lung opacity is seen in the right upper zone and another in the left mid zone.",
            "No pleural effusion or pneumothorax.",
        ),
        (right("lung opacity", "upper"), left("lung opacity", "middle")),
        ("heart",),
        letter="R",
    ),
    Film(
        "infiltration-right-lower",
        (
            "There is infiltration in the right lower zone.",
            "Infiltration is seen at the right base.",
            "The heart is normal in size.",
        ),
        (right("infiltration", "lower"),),
        ("heart", "left lung"),
    ),
    Film(
        "infiltration-both",
        (
            "There is infiltration in both mid zones.",
            "Infiltration is seen on both sides, possibly due to an infection.",
            "No pleural effusion.",
        ),
        (right("infiltration", "middle"), left("infiltration", "middle")),
        ("heart", "clavicle"),
    ),
    Film(
        "atelectasis-left-base",
        (
            "There is a band of atelectasis at the left base.",
            "Linear atelectasis is seen in the left lower zone.",
            "No pneumothorax.",
        ),
        (left("atelectasis"),),
        LUNGS,
    ),
    Film(
        "atelectasis-right-base",
        (
            "There is linear atelectasis at the right base.",
            "A thin band of atelectasis is seen in the right lower zone.",
            "Possible small right pleural effusion.",
        ),
        (right("atelectasis"),),
        ("heart", "left lung", "trachea"),
        letter="R",
    ),
    Film(
        "atelectasis-after-tube",
        (
            "An endotracheal tube ends above the carina.",
            "An endotracheal tube is in place, with atelectasis at the left base.",
            "There is no pleural effusion.",
        ),
        (left("atelectasis"), TUBE, leads(3)),
        ("right lung",),
    ),
    # Nodules and masses
    Film(
        "nodule-right-upper",
        (
            "There is a single nodule in the right upper zone.",
            "A small nodule is seen in the upper zone of the right lung.",
            "The left lung is clear.",
        ),
        (right("nodule", "upper"),),
        ("left lung", "heart"),
    ),
    Film(
        "nodule-left-middle",
        (
            "There is a nodule in the left mid zone.",
            "A small nodule in the left mid zone may represent a granuloma.",
            "No pleural effusion.",
        ),
        (left("nodule", "middle"),),
        LUNGS,
    ),
    Film(
        "nodules-left-three",
        (
            "There are three nodules in the left mid zone.",
            "Three nodules are seen in the left lung.",
            "The right lung is clear.",
        ),
        (left("nodule", "middle", number=3),),
        ("right lung", "trachea"),
        letter="R",
    ),
    Film(
        "nodules-on-both-sides",
        (
            "There are several nodules in both lungs.",
            "Nodules are seen on both sides.",
            "There is no pleural effusion.",
        ),
        (right("nodule", "upper", number=3), right("nodule", "lower", number=2), left("nodule", number=4)),
        ("heart",),
    ),
    Film(
        "nodules-innumerable",
        (
            "There are innumerable small nodules throughout the right lung.",
            "Countless small nodules are seen in the right lung.",
            "The left lung is clear.",
        ),
        (Mark("nodule", "right", is_crowd=True),),
        ("left lung", "heart"),
    ),
    Film(
        "mass-right-upper",
        (
            "There is a mass in the right upper zone.",
            "A round mass is seen in the upper zone of the right lung.",
            "No pleural effusion is seen.",
        ),
        (right("mass", "upper"),),
        CHEST,
    ),
    Film(
        "mass-left-hilum",
        (
            "There is a mass at the left hilum.",
            "A mass lies beside the heart, at the left hilum.",
            "The right lung is clear.",
        ),
        (left("mass", "hilum"),),
        ("heart", "right lung"),
    ),
    Film(
        "mass-and-nodules",
        (
            "There is a mass in the left upper zone and two nodules in the right lower zone.",
            "A mass is seen on the left and two nodules are seen on the right.",
            "There is no pneumothorax.",
        ),
        (left("mass", "upper"), right("nodule", "lower", number=2)),
        ("heart",),
        letter="R",
    ),
    Film(
        "mass-and-effusion",
        (
            "There is a mass in the right mid zone with a small right pleural effusion.",
            "A round mass and a small pleural effusion are seen on the right.",
            "The left lung is clear.",
        ),
        (right("mass", "middle"), right("pleural effusion", how="small")),
        ("left lung", "trachea"),
    ),
    # The heart
    Film(
        "large-heart",
        (
            "The heart is enlarged.",
            "There is cardiomegaly, and the lungs are clear.",
            "No pleural effusion.",
        ),
        (LARGE,),
        LUNGS,
    ),
    Film(
        "large-heart-pacemaker",
        (
            "The heart is enlarged and a pacemaker lies over the left upper chest.",
            "Cardiomegaly with a left pacemaker.",
            "There is no pneumothorax.",
        ),
        (LARGE, left("pacemaker")),
        ("right lung", "clavicle"),
    ),
    Film(
        "large-heart-effusions",
        (
            "There is cardiomegaly with bilateral pleural effusions.",
            "The heart is enlarged and there are small pleural effusions on both sides.",
            "The findings may reflect heart failure.",
        ),
        (LARGE, right("pleural effusion", how="small"), left("pleural effusion", how="small")),
        letter="R",
    ),
    # Devices
    Film(
        "pacemaker-left",
        (
            "A pacemaker lies over the left upper chest.",
            "There is a left pacemaker, and its lead ends over the heart.",
            "The lungs are clear.",
        ),
        (left("pacemaker"),),
        LUNGS,
    ),
    Film(
        "pacemaker-right",
        (
            "A pacemaker lies over the right upper chest.",
            "There is a right pacemaker with its lead over the heart.",
            "No pneumothorax or pleural effusion.",
        ),
        (right("pacemaker"),),
        ("left lung", "trachea"),
    ),
    Film(
        "tube-and-line",
        (
            "An endotracheal tube and a right central line are in place.",
            "There is an endotracheal tube in the trachea and a central line on the right.",
            "No pneumothorax is seen.",
        ),
        (TUBE, right("central line")),
        LUNGS,
    ),
    Film(
        "line-left",
        (
            "A left central line ends over the superior vena cava.",
            "A central line enters from the left side of the neck.",
            "There is no pneumothorax after its placement.",
        ),
        (left("central line"),),
        CHEST,
        letter="R",
    ),
    Film(
        "intensive-care",
        (
            "An endotracheal tube, a right central line and four ECG leads are seen.",
            "There is an endotracheal tube in place, with consolidation in both lower zones.",
            "No pneumothorax.",
        ),
        (TUBE, right("central line"), leads(4), *LOWER),
    ),
    Film(
        "ecg-leads-five",
        (
            "Five ECG leads overlie the chest.",
            "ECG leads are seen over the chest, and the lungs are clear.",
            "The heart is not enlarged.",
        ),
        (leads(5),),
        ("heart",),
    ),
    Film(
        "leads-and-opacity",
        (
            "There is an opacity in the left upper zone.",
            "Four ECG leads overlie the chest, and a lung opacity is seen in the left upper zone.",
            "Tuberculosis cannot be excluded.",
        ),
        (leads(4), left("lung opacity", "upper")),
        ("right lung",),
    ),
    # Bones
    Film(
        "fracture-right",
        (
            "There is a right rib fracture.",
            "A rib fracture is seen on the right.",
            "No pneumothorax is seen.",
        ),
        (right("rib fracture", rib=4),),
        ("clavicle", "right lung"),
    ),
    Film(
        "fractures-left-three",
        (
            "There are three left rib fractures.",
            "Three rib fractures are seen on the left.",
            "There is no pleural effusion or pneumothorax.",
        ),
        (left("rib fracture", number=3, rib=2),),
        ("heart", "clavicle"),
        letter="R",
    ),
    Film(
        "fractures-both-sides",
        (
            "There is a rib fracture on each side.",
            "Two rib fractures are seen, one on the right and one on the left.",
            "The lungs are clear.",
        ),
        (right("rib fracture", rib=3), left("rib fracture", rib=5)),
        ("trachea",),
    ),
    # Without a report: there is nothing to ask about
    Film("report-pending", (), (left("nodule", "upper"), leads(3)), LUNGS),
)  # fmt: skip
