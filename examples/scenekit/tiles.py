"""The tiles of the overhead example: what lies where, and the captions, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scenekit.canvas import dark, light, ring, rounded
from scenekit.overhead import APRON, ASPHALT, FIELD, GRASS, SAND, SEA, SIZE, WATER, Tile

Draw = Callable[[Tile], None]


@dataclass(frozen=True)
class Scene:
    name: str
    captions: tuple[str, ...]
    draw: Draw
    width: int = SIZE
    height: int = SIZE


SCENES: list[Scene] = []


def scene(*captions: str, width: int = SIZE, height: int = SIZE) -> Callable[[Draw], Draw]:
    """Registers a function that draws a tile, under its name and with its captions."""

    def register(draw: Draw) -> Draw:
        SCENES.append(Scene(draw.__name__.replace("_", "-"), captions, draw, width, height))
        return draw

    return register


def whole(tile: Tile) -> list[tuple[float, float]]:
    return rounded(0, 0, tile.width, tile.height, 0)


# Harbors and ships


@scene(
    "A marina with long rows of small ships along four parallel piers.",
    "Small ships are moored side by side at four piers.",
    "The piers of a marina reach out from a quay at the bottom of the tile.",
    "Four straight piers with moored ships on calm dark water.",
)
def marina(t: Tile) -> None:
    t.water(whole(t))
    t.shape(rounded(0, 350, 400, 400, 0), "#b9b4a8")
    for at in range(4):
        x = 55 + at * 92
        t.pier(x, 60, x + 9, 352)
        for row in range(7):
            for side in (-1, 1):
                if (at, row, side) in ((0, 3, 1), (1, 0, -1), (2, 5, 1), (2, 1, -1), (3, 6, -1)):
                    continue
                t.ship(x + 4.5 + side * 22, 82 + row * 36, t.rng.uniform(25, 31), 90 * side)
    t.grove(10, 372, 390, 392, 9, 7)


@scene(
    "Two long container ships are docked at a port.",
    "A container port with two ships along the quay and large vehicles on the pavement.",
    "Two cargo ships lie beside a concrete quay where large vehicles are lined up.",
    "Stacks of containers stand on the quay next to two docked ships.",
)
def container_port(t: Tile) -> None:
    t.water(whole(t), SEA)
    t.shape(rounded(190, 0, 400, 400, 0), "#b3b1ab")
    t.pier(186, 0, 216, 400, "#9d9b96")
    t.ship(152, 108, 170, 0, "#39485c")
    t.ship(152, 300, 170, 180, "#7b2f2c")
    for row in range(5):
        for column in range(3):
            colour = t.rng.choice(("#a8432f", "#2f5a86", "#5d7d4a", "#c28f3c"))
            t.shape(
                rounded(318 + column * 25, 20 + row * 76, 338 + column * 25, 72 + row * 76, 1),
                colour,
                dark(colour),
            )
    for at, y in enumerate((40, 110, 180, 250, 320)):
        t.truck(250, y, 0 if at % 2 else 180)
    for y in (75, 215, 285):
        t.truck(285, y, 180)


@scene(
    "A ferry is docked at a terminal with a parking lot full of small vehicles.",
    "A large ship lies at a pier next to a lot with parked vehicles.",
    "Rows of small vehicles wait beside a ferry pier.",
)
def ferry_terminal(t: Tile) -> None:
    t.water(whole(t), SEA)
    t.shape(rounded(0, 210, 400, 400, 0), "#8b8c8a")
    t.pier(180, 90, 206, 214)
    t.ship(150, 140, 130, 0, "#f1f1ec", cargo=False)
    t.hall(60, 250, 90, 46)
    for row, cars in enumerate((12, 11, 13, 9)):
        t.bays(150, 235 + row * 40, 20, cars)
    t.grove(10, 330, 120, 390, 12)


@scene(
    "Five ships sail in a loose line across open water.",
    "Five cargo ships head to the right across the open sea.",
    "White wakes trail five ships on the dark blue sea.",
)
def convoy(t: Tile) -> None:
    t.water(whole(t), SEA)
    for x, y in ((60, 95), (135, 140), (215, 190), (285, 235), (350, 295)):
        t.wake(x, y, 52, 90)
        t.ship(x, y, 52, 90, "#4a5560")


@scene(
    "A single ship leaves a long white wake on open water.",
    "One small ship crosses an empty stretch of dark water.",
    "A lone ship moves toward the top of the tile.",
)
def lone_ship(t: Tile) -> None:
    t.water(whole(t), SEA)
    t.wake(220, 150, 60, 15)
    t.ship(220, 150, 44, 15)


@scene(
    "A fishing harbor with many small ships inside two curved breakwaters.",
    "Small fishing ships crowd a sheltered basin.",
    "Fishing ships are moored close together along two piers of a harbor.",
    "North is at the top of this view of a fishing harbor.",
)
def fishing_harbor(t: Tile) -> None:
    t.water(whole(t))
    t.shape(rounded(0, 0, 400, 70, 0), "#a9a593")
    for x, y, w, d in ((50, 30, 50, 26), (130, 34, 60, 30), (230, 28, 44, 30), (320, 34, 70, 28)):
        t.house(x, y, w, d)
    t.line(ring(200, 90, 180, 260, 40, 85), "#8d8577", 16)
    t.line(ring(200, 90, 180, 260, 100, 140), "#8d8577", 16)
    t.pier(120, 68, 132, 250)
    t.pier(262, 68, 274, 250)
    for x in (120, 262):
        for row in range(7):
            for side in (-1, 1):
                if (x, row, side) in ((120, 6, -1), (262, 2, 1), (262, 5, 1), (120, 1, 1), (262, 6, -1)):
                    continue
                t.ship(
                    x + 6 + side * 21,
                    88 + row * 24,
                    t.rng.uniform(22, 27),
                    90 * side,
                    t.rng.choice(("#e9e6df", "#3e6f8f", "#b5463a")),
                )


@scene(
    "Four gray ships are docked on either side of a long pier.",
    "A naval base with four ships at one pier and a helipad on the quay.",
    "Gray ships lie along a straight pier that reaches into the water.",
    "Four large ships share a pier, two on each side.",
)
def naval_base(t: Tile) -> None:
    t.water(whole(t), SEA)
    t.shape(rounded(0, 330, 400, 400, 0), "#aeaca5")
    t.pier(188, 40, 212, 332, "#a3a19b")
    for x, y in ((160, 115), (160, 255), (240, 115), (240, 255)):
        t.ship(x, y, 120, 0, "#7d868d", cargo=False)
    t.helipad(330, 366, 20)
    t.hall(90, 366, 110, 36)


@scene()
def anchorage(t: Tile) -> None:
    t.water(whole(t), SEA)
    for _ in range(13):
        column, row = len(t.things) % 4, len(t.things) // 4
        t.ship(
            60 + column * 92 + t.rng.uniform(-16, 16),
            60 + row * 92 + t.rng.uniform(-16, 16),
            t.rng.uniform(38, 62),
            115,
            "#5b4a44",
        )


@scene(
    "Ships are packed so densely in the upper half of the basin that they cannot be told apart.",
    "A crowded marina with a group of ships at the top and a single pier at the bottom.",
    "A pier and a basin crowded with ships.",
)
def crowded_basin(t: Tile) -> None:
    t.water(whole(t))
    for row in range(9):
        for column in range(26):
            t.ship(20 + column * 14 + row % 2 * 5, 20 + row * 19, 16, t.rng.uniform(-9, 9))
    t.things.clear()
    t.add("ship", rounded(10, 8, 388, 184, 0), crowd=True)
    t.pier(40, 320, 360, 334)


# Airports


@scene(
    "Eight planes are parked nose first along an airport terminal.",
    "Planes stand side by side at the gates of a terminal.",
    "An airport apron with eight white planes and four large vehicles.",
    "Parked planes in a row on pale concrete.",
    width=480,
    height=360,
)
def terminal_row(t: Tile) -> None:
    t.ground(APRON, 30, 0.05)
    t.hall(240, 55, 440, 60)
    for at in range(8):
        t.plane(50 + at * 55, 128, 50, 0)
    for x in (80, 190, 300, 410):
        t.truck(x, 205, 90, 22)
    t.line([(0, 260), (480, 260)], "#d8c65a", 1.5)
    t.shape(rounded(0, 300, 480, 360, 0), "#6b6e72")
    t.dashes([(0, 330), (480, 330)], "#f0efe6", 14, 2)


@scene(
    "Two planes in a line on a runway.",
    "A gray runway with two white planes and grass on both sides.",
    "Two planes wait on a straight runway.",
)
def runway(t: Tile) -> None:
    t.ground("#86a065")
    t.shape(rounded(150, 0, 250, 400, 0), "#63666a")
    t.dashes([(200, 0), (200, 400)], "#f0efe6", 14, 2.4)
    t.plane(200, 110, 66, 0)
    t.plane(200, 300, 66, 0)


@scene(
    "Rows of old planes are stored on dry desert ground.",
    "A desert storage yard with row after row of parked planes.",
    "Planes of the same size stand in rows on pale sand.",
    "A plane storage area in the desert, with north at the top.",
)
def desert_storage(t: Tile) -> None:
    t.ground(SAND, 80, 0.06)
    for row in range(6):
        for column in range(7):
            if (row, column) in ((0, 6), (2, 0), (3, 4), (5, 5), (5, 6)):
                continue
            t.plane(38 + column * 54, 40 + row * 63, 46, 180 if row % 2 else 0, "#e4e0d4")


@scene(
    "A small airfield with a grass runway, one hangar and three light planes.",
    "Three small planes are parked beside a hangar on a grass airfield.",
    "Light planes stand next to a pale strip mown into the grass; north is at the top.",
    "The hangar lies to the east of the parked planes.",
)
def grass_airfield(t: Tile) -> None:
    t.ground(GRASS)
    t.line([(0, 330), (400, 250)], "#a3b37b", 56)
    t.hall(310, 110, 80, 60, "#b5b9ba")
    for x in (90, 150, 210):
        t.plane(x, 120, 40, 90)
    t.grove(10, 10, 390, 50, 24)


@scene(
    "Twelve planes surround a long terminal pier on both sides.",
    "An airport pier with planes at every gate, six on the left and six on the right.",
    "Planes are lined up on both sides of a terminal building.",
    "Twelve planes at a terminal, seen from straight above.",
)
def terminal_pier(t: Tile) -> None:
    t.ground(APRON, 30, 0.05)
    t.hall(200, 200, 52, 370)
    for row in range(6):
        t.plane(132, 40 + row * 64, 52, 90)
        t.plane(268, 40 + row * 64, 52, 270)
    for y in (70, 200, 330):
        t.truck(70, y, 0, 22)


@scene(
    "A red helicopter stands on a round helipad.",
    "A single helicopter on a marked landing pad surrounded by grass.",
    "One helicopter is parked on a gray circle marked with an H.",
)
def helipad(t: Tile) -> None:
    t.ground(GRASS)
    t.road([(200, 400), (200, 240)], 20, middle=False)
    t.helipad(200, 180, 85)
    t.helicopter(200, 175, 110, 30)
    t.grove(10, 10, 120, 120, 10)


@scene(
    "Four helicopters are parked in a row next to a hangar.",
    "A heliport with four helicopters and two large vehicles.",
    "Helicopters stand in a line on concrete, with two large vehicles nearby.",
)
def heliport(t: Tile) -> None:
    t.ground(APRON, 30, 0.05)
    t.hall(200, 60, 340, 70)
    for at in range(4):
        t.helicopter(70 + at * 88, 200, 72, 0, t.rng.choice(("#c9422f", "#d9b13f", "#3f659a")))
    t.truck(120, 320, 90)
    t.truck(280, 320, 90)


@scene(
    "A large white plane with large vehicles around it on an airport apron.",
    "One plane is serviced by five large vehicles.",
    "Large vehicles surround a parked plane on gray concrete.",
)
def serviced_plane(t: Tile) -> None:
    t.ground("#9b9d9c", 30, 0.05)
    t.plane(200, 195, 260, 0)
    for x, y, angle in ((100, 120, 135), (300, 120, 225), (95, 300, 45), (305, 310, 315), (255, 60, 180)):
        t.truck(x, y, angle, 30)


# Parking lots and roads


@scene(
    "A large parking lot of a shopping mall, almost full.",
    "Row after row of small vehicles parked beside a large flat roof.",
    "A mall parking lot with small vehicles in long straight rows.",
    "Small vehicles fill most of the bays of a wide parking lot.",
)
def mall_parking(t: Tile) -> None:
    t.ground(ASPHALT, 30, 0.04)
    t.hall(200, 45, 380, 70)
    for row, cars in enumerate((31, 34, 29, 33)):
        for half in (0, 1):
            t.bays(18, 100 + row * 74 + half * 16, 36, cars - 5 * half)
    t.trees((30, 158), (370, 158), (30, 232), (370, 232), size=7)


@scene(
    "A parking lot where about half of the bays are empty.",
    "Small vehicles are spread over a half empty parking lot.",
    "A parking lot with trees along its top edge.",
)
def half_empty_lot(t: Tile) -> None:
    t.ground(ASPHALT, 30, 0.04)
    t.shape(rounded(0, 0, 400, 60, 0), GRASS)
    t.grove(10, 15, 390, 45, 20)
    for row, cars in enumerate((8, 5, 9, 6, 7)):
        t.bays(40, 90 + row * 60, 32, cars)


@scene(
    "Large vehicles are parked in two long rows at a depot.",
    "A truck depot with two rows of large vehicles and a warehouse.",
    "Large vehicles stand side by side next to a warehouse with a flat roof.",
)
def truck_depot(t: Tile) -> None:
    t.ground("#8f8f8b", 30, 0.05)
    t.hall(200, 60, 360, 90, "#d3d5d2")
    for at in range(14):
        t.truck(38 + at * 25, 170, 0, 44)
    for at in range(12):
        t.truck(62 + at * 25, 300, 180, 44)


@scene(
    "A bus depot with buses parked in slanted bays.",
    "Yellow buses stand in a slanted row next to a few small vehicles.",
    "A row of yellow buses and a short row of small vehicles.",
)
def bus_depot(t: Tile) -> None:
    t.ground(ASPHALT, 30, 0.04)
    for at in range(15):
        t.truck(40 + at * 23, 130, 25, 38, "#d9b13f")
    t.bays(60, 270, 24, 7)
    t.hall(320, 350, 120, 60)


@scene(
    "A crowded overflow lot where the small vehicles are too dense to count.",
    "A field covered with small vehicles parked next to a road.",
    "A dense crowd of small vehicles on grass, and a road with two large vehicles.",
)
def overflow_lot(t: Tile) -> None:
    t.ground(GRASS)
    for row in range(16):
        for column in range(44):
            t.car(18 + column * 8.3, 20 + row * 14.5 + t.rng.uniform(-2, 2), t.rng.uniform(-8, 8), 11)
    t.things.clear()
    t.add("small vehicle", rounded(10, 10, 390, 252, 0), crowd=True)
    t.road([(0, 330), (400, 330)], 36)
    t.truck(110, 321, 270, 38)
    t.truck(300, 340, 90, 38)


@scene(
    "A straight street with houses and small vehicles parked on both sides.",
    "Small vehicles are parked along a street between two rows of houses.",
    "A residential street with houses, trees and parked small vehicles.",
)
def street(t: Tile) -> None:
    t.ground(GRASS)
    t.road([(0, 200), (400, 200)], 44)
    for x in (40, 120, 200, 280, 360):
        t.house(x, 105, 52, 44)
        t.house(x, 300, 52, 44)
        t.trees((x + 38, 145), (x - 36, 262))
    for x in (30, 62, 150, 182, 262, 330):
        t.car(x, 184, 90)
    for x in (90, 122, 210, 300, 372):
        t.car(x, 216, 270)


@scene(
    "Four roads meet at a roundabout with a green center.",
    "A roundabout with a round lawn in the middle and four small vehicles on the roads.",
    "A single roundabout connects four roads.",
)
def roundabout(t: Tile) -> None:
    t.ground(GRASS)
    t.road([(200, 0), (200, 400)], 34)
    t.road([(0, 200), (400, 200)], 34)
    t.circle(200, 200, 86)
    t.car(190, 60, 180)
    t.car(210, 350, 0)
    t.car(60, 208, 90)
    t.car(262, 172, 330)
    t.grove(20, 20, 120, 120, 9)
    t.grove(290, 290, 380, 380, 9)


@scene(
    "Two roundabouts are connected by a short straight road.",
    "A road with a roundabout at each end, between green fields.",
    "Two small roundabouts in farmland.",
)
def two_roundabouts(t: Tile) -> None:
    t.ground(FIELD)
    t.road([(0, 120), (400, 280)], 26)
    t.circle(95, 158, 46)
    t.circle(305, 242, 46)
    for x, y, angle in ((30, 128, 112), (190, 190, 292), (210, 208, 112), (378, 265, 292)):
        t.car(x, y, angle)
    t.trees((60, 300), (90, 320), (330, 90))


@scene(
    "A busy highway with traffic in both directions.",
    "Small vehicles and large vehicles fill the lanes of a wide highway.",
    "A highway crosses the tile from left to right.",
)
def highway(t: Tile) -> None:
    t.ground("#8da668")
    t.shape(rounded(0, 140, 400, 260, 0), ASPHALT)
    t.shape(rounded(0, 197, 400, 203, 0), "#8fae6a")
    for y in (160, 180, 220, 240):
        t.dashes([(0, y), (400, y)], "#e8e6d8", 9)
    for lane, (y, angle) in enumerate(((150, 270), (170, 270), (189, 270), (211, 90), (230, 90), (250, 90))):
        for x in range(25 + lane * 13, 400, 78):
            if (x // 13 + lane) % 5 == 2:
                t.truck(x, y, angle, 36)
            else:
                t.car(x, y, angle, 13)
    t.grove(10, 20, 390, 100, 30)


@scene(
    "A bridge carries a road across a wide river.",
    "A single bridge over brown water, with trees on both banks.",
    "A road bridge crosses the river from the top to the bottom; north is at the top.",
    "A few small vehicles drive over the bridge that links the north bank and the south bank.",
)
def river_bridge(t: Tile) -> None:
    t.ground(GRASS)
    t.water(rounded(0, 120, 400, 280, 0), "#7d7a5c")
    t.road([(200, 0), (200, 400)], 30)
    t.bridge(200, 200, 34, 176, 0)
    t.car(192, 150, 180)
    t.car(208, 230, 0)
    t.car(208, 340, 0)
    t.grove(10, 20, 150, 100, 18)
    t.grove(250, 300, 390, 385, 18)


@scene(
    "Three bridges cross a river next to each other.",
    "A river with three parallel bridges and two ships.",
    "Two ships on a river that three bridges cross.",
    "Three straight bridges link the two banks of a river in a town.",
)
def three_bridges(t: Tile) -> None:
    t.ground("#a3a18f")
    t.water(rounded(0, 130, 400, 270, 0))
    for x, w in ((70, 24), (200, 32), (330, 24)):
        t.road([(x, 0), (x, 400)], w - 4)
        t.bridge(x, 200, w, 160, 0)
    t.ship(135, 200, 56, 90)
    t.ship(265, 215, 44, 270)
    for x in (20, 125, 265, 380):
        for y in (40, 95, 310, 365):
            t.house(x, y, 46, 34)


@scene(
    "A ship on a wide canal that a bridge crosses.",
    "One long ship sails along a canal toward the top of the tile.",
    "A canal with a single bridge and a single ship.",
)
def canal(t: Tile) -> None:
    t.ground(FIELD)
    t.water(rounded(150, 0, 250, 400, 0))
    t.road([(0, 290), (400, 290)], 22)
    t.bridge(200, 290, 26, 116, 90)
    t.ship(200, 130, 96, 0, "#6b3b34")
    t.grove(20, 20, 120, 120, 12)
    t.truck(60, 286, 90, 30)


# Industry


@scene(
    "A tank farm with round white storage tanks in straight rows.",
    "Rows of round storage tanks on bare ground.",
    "White storage tanks of the same size fill the tile.",
    "A fuel depot with storage tanks in a regular grid.",
)
def tank_farm(t: Tile) -> None:
    t.ground("#b8a98a", 60, 0.06)
    for row in range(5):
        for column in range(5):
            if (row, column) not in ((4, 4), (0, 2)):
                t.tank(52 + column * 74, 52 + row * 74, 24)


@scene(
    "A refinery with nine storage tanks of different sizes.",
    "Large and small storage tanks stand among pipes, and three large vehicles use a service road.",
    "Nine round tanks of a refinery.",
)
def refinery(t: Tile) -> None:
    t.ground("#a7a196", 60, 0.06)
    for y in (205, 213, 221):
        t.line([(0, y), (400, y)], "#c9c7c0", 2)
    for x, y, r in (
        (75, 90, 52),
        (205, 85, 46),
        (325, 90, 40),
        (60, 290, 34),
        (150, 285, 26),
        (220, 300, 26),
        (285, 285, 20),
        (335, 290, 18),
        (370, 330, 14),
    ):
        t.tank(x, y, r)
    t.road([(0, 365), (400, 365)], 24)
    for x in (80, 190, 320):
        t.truck(x, 365, 90, 34)


@scene(
    "Two storage tanks stand side by side on a grassy site.",
    "A pair of round tanks surrounded by grass.",
    "Two storage tanks and a narrow access road.",
)
def two_tanks(t: Tile) -> None:
    t.ground(GRASS)
    t.road([(200, 400), (200, 260), (400, 260)], 16, middle=False)
    t.tank(130, 160, 62)
    t.tank(285, 160, 50, "#b9c3c6")
    t.grove(10, 300, 150, 390, 14)


@scene(
    "A tanker is docked at an oil terminal with six storage tanks.",
    "Six round tanks on the shore next to a pier with one ship.",
    "An oil terminal: a long pier, a ship and a group of storage tanks.",
)
def oil_terminal(t: Tile) -> None:
    t.water(whole(t), SEA)
    t.shape(rounded(0, 0, 190, 400, 0), "#aca38e")
    for x, y in ((55, 70), (135, 70), (55, 160), (135, 160), (55, 250), (135, 250)):
        t.tank(x, y, 32)
    t.pier(188, 190, 330, 204)
    t.ship(300, 158, 150, 90, "#7b2f2c")
    t.truck(130, 340, 90, 34)


# Sports


@scene(
    "Six blue tennis courts lie next to each other at a tennis club.",
    "A tennis club with two rows of three courts.",
    "Blue tennis courts, a small clubhouse and trees.",
)
def tennis_club(t: Tile) -> None:
    t.ground(GRASS)
    for y in (115, 290):
        for x in (80, 170, 260):
            t.court(x, y, 145, 0)
    t.house(350, 90, 56, 70)
    t.grove(325, 200, 385, 385, 12)


@scene(
    "Two clay tennis courts next to a swimming pool.",
    "A hotel garden with a swimming pool and two tennis courts.",
    "A blue pool between two tennis courts and a large roof.",
)
def hotel_garden(t: Tile) -> None:
    t.ground(GRASS)
    t.hall(200, 50, 300, 70, "#c2b8a8")
    t.court(80, 265, 150, 0, "#4f8a4c")
    t.court(172, 265, 150, 0, "#4f8a4c")
    t.pool(305, 230, 90, 50, 0, 22)
    t.grove(240, 310, 385, 385, 14)


@scene(
    "A school with a ground track field and a basketball court.",
    "A red ground track field next to a school building.",
    "A ground track field and one basketball court beside a large flat roof.",
)
def school(t: Tile) -> None:
    t.ground(GRASS)
    t.track(125, 205, 310)
    t.hall(315, 90, 120, 100)
    t.hoops(315, 250, 120, 0)
    t.grove(250, 340, 390, 385, 10)


@scene(
    "Four baseball diamonds arranged like the leaves of a clover.",
    "Four baseball fields meet around a small central square.",
    "A sports complex with four baseball diamonds, one in each corner.",
)
def baseball_complex(t: Tile) -> None:
    t.ground("#8aa866")
    for x, y, angle in ((182, 182, 315), (218, 182, 45), (182, 218, 225), (218, 218, 135)):
        t.diamond(x, y, 165, angle)
    t.shape(rounded(188, 188, 212, 212, 4), "#cfc9ba")


@scene(
    "Three basketball courts side by side and one tennis court.",
    "A playground with three orange basketball courts.",
    "Three basketball courts in a row and a blue tennis court.",
)
def playground(t: Tile) -> None:
    t.ground("#9aa39b", 30, 0.05)
    for x in (80, 190, 300):
        t.hoops(x, 120, 150, 0)
    t.court(190, 305, 150, 90)
    t.trees((40, 260), (40, 330), (350, 260), (350, 340))


@scene(
    "A stadium with a ground track field, a soccer field inside it and a parking lot.",
    "A soccer field surrounded by a red ground track field.",
    "A ground track field with a soccer field inside, next to parked small vehicles.",
    "North is at the top of this tile with a stadium and its parking lot.",
)
def stadium(t: Tile) -> None:
    t.ground(GRASS)
    t.shape(rounded(290, 0, 400, 400, 0), ASPHALT)
    t.track(145, 200, 360, 0, soccer=True)
    for at, cars in enumerate((7, 8, 5, 8, 6)):
        t.bays(300, 20 + at * 76, 9, cars)


@scene(
    "A sports park with four tennis courts, two basketball courts, a baseball diamond and a soccer field.",
    "Courts and fields for several sports lie close together.",
    "A soccer field and a baseball diamond next to smaller courts.",
)
def sports_park(t: Tile) -> None:
    t.ground(GRASS)
    t.pitch(85, 130, 210, 0)
    t.diamond(285, 190, 165, 0)
    for at in range(4):
        t.court(38 + at * 52, 325, 92, 0)
    t.hoops(275, 320, 96, 0)
    t.hoops(345, 320, 96, 0)


@scene(
    "A green soccer field beside a parking lot with a few small vehicles.",
    "One soccer field with white lines, and a short row of parked small vehicles.",
    "A soccer field, a row of trees and nine small vehicles.",
)
def soccer_ground(t: Tile) -> None:
    t.ground(GRASS)
    t.pitch(150, 205, 320, 0)
    t.grove(275, 15, 290, 390, 16)
    t.shape(rounded(315, 60, 400, 340, 0), ASPHALT)
    for at, cars in enumerate((4, 3, 2)):
        t.bays(325, 90 + at * 80, 7, cars)


# Houses


@scene(
    "A suburb with detached houses, gardens and swimming pools.",
    "Seven gardens have a swimming pool, and small vehicles stand in the driveways.",
    "Houses with blue swimming pools along a quiet street.",
)
def suburb(t: Tile) -> None:
    t.ground(GRASS)
    t.road([(0, 200), (400, 200)], 30, middle=False)
    for at, x in enumerate((50, 130, 210, 290, 365)):
        t.house(x, 130, 54, 46)
        t.house(x, 272, 54, 46)
        if at in (0, 2, 3):
            t.pool(x, 60, 34, 20, t.rng.choice((0, 90)), 8)
        else:
            t.trees((x - 12, 50), (x + 14, 66))
        if at in (0, 1, 3, 4):
            t.pool(x, 345, 34, 20, 0, 8)
        else:
            t.trees((x - 12, 340), (x + 14, 356))
    for x in (28, 92, 172, 248, 332):
        t.car(x, 172, 0)
    for x in (90, 170, 250, 328):
        t.car(x, 229, 180)


@scene(
    "A dense residential area with rows of small houses.",
    "Narrow streets with small vehicles parked between tightly packed roofs.",
    "Closely spaced houses along two parallel streets.",
)
def dense_housing(t: Tile) -> None:
    t.ground("#9c9a86")
    for y in (110, 290):
        t.road([(0, y), (400, y)], 30, middle=False)
        for x in range(22, 400, 36):
            t.house(x, y - 44, 31, 40)
            t.house(x, y + 44, 31, 40)
        for at, x in enumerate(range(14, 400, 24)):
            if at % 7 != 3:
                t.car(x, y - 9 if at % 2 else y + 9, 90)
    t.grove(10, 195, 390, 206, 14, 6)


@scene(
    "A beach resort with two swimming pools and a tennis court.",
    "Two pools of a resort close to a sandy beach.",
    "A resort between palm trees and the sea, with north at the top.",
    "The beach runs along the west side of the resort.",
)
def resort(t: Tile) -> None:
    t.ground(GRASS)
    t.water(rounded(0, 0, 90, 400, 0), "#3f8fa6")
    t.shape(rounded(88, 0, 140, 400, 0), SAND)
    t.hall(300, 60, 160, 70, "#d8cfbf")
    t.pool(215, 180, 80, 44, 0, 20)
    t.pool(325, 180, 56, 44, 0, 10)
    t.court(320, 310, 130, 90)
    t.grove(150, 250, 235, 385, 18)


@scene(
    "Apartment blocks around a courtyard with a basketball court.",
    "Four apartment blocks with small vehicles parked between them.",
    "Long flat roofs, a basketball court and two rows of parked small vehicles.",
)
def apartments(t: Tile) -> None:
    t.ground("#98a57c")
    t.hall(200, 50, 360, 50)
    t.hall(200, 355, 360, 50)
    t.hall(50, 200, 50, 190)
    t.hall(355, 200, 50, 190)
    t.hoops(200, 205, 110, 90)
    t.shape(rounded(110, 100, 310, 125, 0), ASPHALT)
    t.shape(rounded(110, 285, 310, 310, 0), ASPHALT)
    t.bays(120, 104, 18, 8)
    t.bays(120, 290, 18, 6)


# Open country


@scene(
    "Green and yellow fields divided by straight tracks.",
    "Farmland with rectangular fields of different colors.",
    "A patchwork of fields without any buildings.",
    "Crops grow in neat rectangular plots.",
)
def farmland(t: Tile) -> None:
    t.ground(FIELD)
    colours = ("#a7b45c", "#8a9c4e", "#c6b66a", "#7f8f4a", "#b49a62", "#94a95c")
    for column in range(4):
        for row in range(3):
            colour = colours[(column * 5 + row * 2) % len(colours)]
            x, y = column * 100, row * 134
            t.shape(rounded(x + 3, y + 3, x + 97, y + 131, 0), colour)
            for line in range(8, 126, 9):
                t.line([(x + 3, y + line), (x + 97, y + line)], light(colour, 0.1), 1)


@scene(
    "Round irrigated fields on dry ground with one large vehicle on a track.",
    "Three circular crop fields in an arid region.",
    "Circular fields watered by pivots, and a dusty track.",
)
def pivot_fields(t: Tile) -> None:
    t.ground("#c9b78d", 80, 0.06)
    for x, y, r in ((110, 110, 92), (300, 120, 84), (150, 300, 84)):
        t.shape(ring(x, y, r, r), "#6f8f45")
        t.line([(x, y), (x + r * 0.8, y - r * 0.6)], "#dfe6cf", 1.2)
    t.line([(240, 400), (250, 210), (400, 215)], "#ddd0ab", 9)
    t.truck(246, 300, 4, 30, "#eef0ef")


@scene(
    "Dense green forest with a narrow river.",
    "A river winds through an unbroken forest.",
    "Treetops on both sides of a narrow dark river.",
)
def forest_river(t: Tile) -> None:
    t.ground("#42693a", 80, 0.12)
    t.grove(0, 0, 400, 400, 420, 11)
    t.line([(0, 120), (90, 150), (170, 130), (240, 210), (310, 230), (400, 300)], "#3a6370", 26)


@scene(
    "A small bridge crosses a stream in a park.",
    "A winding stream with one bridge between lawns and trees.",
    "A park with a stream, lawns and a narrow bridge.",
)
def park_stream(t: Tile) -> None:
    t.ground("#86a862")
    t.line([(0, 90), (90, 140), (200, 200), (300, 210), (400, 290)], WATER, 34)
    t.line([(200, 0), (200, 400)], "#d9cfb8", 9)
    t.bridge(200, 200, 14, 62, 0)
    t.grove(20, 230, 160, 380, 18)
    t.grove(250, 20, 385, 130, 16)


@scene(
    "A solar farm with a gravel track and one large vehicle.",
    "Dark solar panels in long rows on dry grass.",
    "Rows of solar panels on both sides of a straight gravel track.",
)
def solar_farm(t: Tile) -> None:
    t.ground("#a9a26d")
    for row in range(13):
        if row == 6:
            continue
        for part in (0, 1):
            t.shape(
                rounded(20 + part * 186, 18 + row * 29, 194 + part * 186, 34 + row * 29, 0),
                "#2a3a5c",
                "#8fa0b8",
                0.8,
            )
    t.line([(0, 200), (400, 200)], "#cfc5a2", 14)
    t.truck(300, 200, 90, 30, "#eef0ef")
