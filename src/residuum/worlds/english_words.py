"""Word lists for the tasks in ordinary English: words that are likely to be one token."""

from __future__ import annotations

from residuum.worlds.words import listed

NAMES = listed(
    "Mary John Tom James Robert Michael David Paul Mark George Kevin Brian Jason Ryan Eric "
    "Jacob Adam Peter Kyle Alice Sarah Anna Laura Emily Kate Rachel Jessica Amy Lisa Maria "
    "Andrew Daniel Richard Thomas Matthew Anthony Steven Scott Simon Martin"
)
PLACES = listed(
    "store park school garden office library station market restaurant hospital house church "
    "beach museum"
)
GIFTS = listed("drink book ball letter ring computer bone basketball kiss snack")
EVENTS = listed(
    "war conflict campaign siege project reign dispute expedition festival strike famine "
    "rebellion treaty investigation"
)
CENTURIES = tuple(str(century) for century in range(11, 18))
COUNTRIES = tuple(
    tuple(row.split("/"))
    for row in listed(
        "France/Paris/French Germany/Berlin/German Italy/Rome/Italian Spain/Madrid/Spanish "
        "Japan/Tokyo/Japanese Russia/Moscow/Russian China/Beijing/Chinese "
        "Poland/Warsaw/Polish Greece/Athens/Greek Sweden/Stockholm/Swedish "
        "Portugal/Lisbon/Portuguese Hungary/Budapest/Hungarian Norway/Oslo/Norwegian "
        "Denmark/Copenhagen/Danish Finland/Helsinki/Finnish Thailand/Bangkok/Thai"
    )
)
NOUNS = listed(
    "key book picture table chair door window letter box report car player student teacher "
    "doctor author lawyer guard"
)
PREPOSITIONS = ("near", "behind", "beside", "with", "by")
PLURAL_VERBS = (" are", " were", " have", " do")
SINGULAR_VERBS = (" is", " was", " has", " does")
ARGUMENTS = listed(
    "load size files last port result image value order names text data mode index table code "
    "time field color path count user line page item model state level group shape"
)
FUNCTIONS = ("run", "load", "test", "build", "make", "send", "check", "parse", "open", "call")
TOPICS = listed(
    "oil crime dark population column unit street winter music paper water engine garden "
    "science bridge farm coffee north market forest stone silver history summer"
)
