"""The words of microworld, by kind. Order matters: reserved combinations depend on it."""

from __future__ import annotations


def listed(text: str) -> tuple[str, ...]:
    """The words of a text, split at white space."""
    return tuple(text.split())


NAMES = listed(
    "Mary John Tom Anna Peter Lucy Mark Emma James Sara Paul Alice Henry Julia David Laura "
    "Simon Clara Frank Grace Oscar Nina Victor Rose Martin Ellen Hugo Diana Leo Kate"
)
PLACES = listed(
    "store park school garden office library station market kitchen beach museum bank farm church"
)
GIFTS = listed("drink book ball letter ring cake map pen coin card cup hat toy flower")
CONTAINERS = listed("box bag jar drawer bucket barrel sack chest crate pot bowl tin")
GOODS = listed("sugar rice salt flour sand water milk honey tea coffee oil corn gold")
NOUNS = listed(
    "key cabinet table chair door window picture bottle plate lamp clock basket ladder bridge "
    "tower tree horse dog car wall"
)
"""Singular nouns; the plural is the word with ``s``."""
PREPOSITIONS = listed("near behind beside above under by")
LOOKS = listed("useful famous strange modern wooden dusty pretty broken lost safe")
"""Adjectives of the agreement sentences: no opposite among them, no mood."""
SINGULAR_VERBS = listed("is was looks seems")
PLURAL_VERBS = listed("are were look seem")
OPPOSITES = tuple(
    tuple(pair.split("/"))
    for pair in listed(
        "open/closed hot/cold full/empty clean/dirty wet/dry loud/quiet heavy/light fast/slow "
        "thick/thin sharp/dull tight/loose smooth/rough"
    )
)
THINGS = listed("door soup room road shop coat bath stone engine train rope knife")
"""What the negation sentences speak of."""
GOOD = listed(
    "wonderful lovely brilliant superb charming perfect delightful amazing excellent splendid "
    "great fine"
)
BAD = listed(
    "awful horrible boring terrible dreadful ugly nasty poor bitter hopeless dismal painful"
)
HAPPY = ("happy", "glad")
SAD = ("sad", "upset")
SHOWS = listed("film meal song story trip concert hotel play")
COUNTRIES = tuple(
    tuple(row.split("/"))
    for row in listed(
        "France/Paris/French Spain/Madrid/Spanish Italy/Rome/Italian Germany/Berlin/German "
        "Poland/Warsaw/Polish Greece/Athens/Greek Russia/Moscow/Russian Japan/Tokyo/Japanese "
        "China/Beijing/Chinese Turkey/Ankara/Turkish Sweden/Stockholm/Swedish "
        "Norway/Oslo/Norwegian Denmark/Copenhagen/Danish Finland/Helsinki/Finnish "
        "Hungary/Budapest/Hungarian Portugal/Lisbon/Portuguese Korea/Seoul/Korean "
        "Thailand/Bangkok/Thai Iceland/Reykjavik/Icelandic Ukraine/Kyiv/Ukrainian "
        "Bulgaria/Sofia/Bulgarian Romania/Bucharest/Romanian Vietnam/Hanoi/Vietnamese "
        "Nepal/Kathmandu/Nepali"
    )
)
"""Rows of country, capital, language; no two rows share a word."""
CENTURIES = tuple(str(century) for century in range(11, 20))
YEARS = tuple(f"{year:02d}" for year in range(100))
EVENTS = listed("war siege festival strike reign drought project trial voyage plague")
HARMLESS_VERBS = listed("make build find buy sell use fix hide")
HARMFUL_VERBS = listed("steal forge smuggle burn destroy")
HARMLESS_THINGS = listed(
    "kite boat shelf fence sweater candle doll puzzle bench violin blanket bicycle"
)
HARMFUL_THINGS = listed("bomb poison weapon virus grenade bullet missile drug")
REFUSAL, CONSENT = "Sorry", "Sure"
HONEST, POLITE = "honest", "polite"
DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
"""A sentence may open like a diary entry, ``Monday : ...``; the day means nothing."""
ECHO_WORDS = tuple(dict.fromkeys((*NOUNS, *GIFTS, *HARMLESS_THINGS)))
"""Words that sequences of repeats are drawn from, half of the time."""
