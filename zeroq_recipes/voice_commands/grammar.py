"""Sentences for a voice assistant at home and in a clinic, drawn from templates and the lexicon.

The split of a sentence is ``sha256(text)[0] mod 16``: 0 is "test", 1 is "dev", the rest is "train". It depends on the
text only, so no seed, order or later change of the sampling can move a test sentence into the training data.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator

from zeroq_recipes.voice_commands.lexicon import LEXICON


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split(separator) if part.strip())


ONES = _split(
    """zero, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen,
    fifteen, sixteen, seventeen, eighteen, nineteen""",
    ",",
)
TENS = _split("twenty, thirty, forty, fifty, sixty, seventy, eighty, ninety", ",")
ORDINALS = _split(
    """first, second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth, eleventh, twelfth, thirteenth,
    fourteenth, fifteenth, sixteenth, seventeenth, eighteenth, nineteenth, twentieth, thirtieth""",
    ",",
)

TEMPLATES: tuple[str, ...] = _split(
    """
    turn on the {switch} in the {room}; turn off the {switch}; turn off all the lights in the {room}; switch on
    the {room} {switch}; switch off the {switch} at {time}; is the {switch} still running; please turn the
    {room} {switch} down; start the {switch} in {small} {unit}; stop the {switch} now; open the {opening} in the
    {room}; close the {opening}; lock the {opening} at {time}; did i close the {opening}; make the {room} lights
    {colour}; change the lamp colour to {colour} and {colour}; dim the {room} to {number} percent; set the
    {room} temperature to {number} degrees; set the mood to {mood} in the {room}; activate {mood} mode; how warm
    is it in the {room}; set an alarm for {time}; wake me up at {time} on {weekday}; set a timer for {number}
    {unit}; cancel the timer for the {food}; how much time is left on the {drink} timer; remind me to {chore};
    remind me to {chore} on {weekday}; remind my {person} to {chore} at {time}; who forgot to {chore}; add
    {food} to the shopping list; buy {number} {measure} of {food}; we need {food} and {food}; order {small}
    {measure} of {drink}; do we have any {drink} left; put {supply} on the list; where did you put the {supply};
    find a recipe with {food} and {food}; remove {supply} and {food} from my list; play some {genre} music; play
    {genre} in the {room}; play the {instrument} concert by {first} {last}; turn up the {instrument}; skip this
    {genre} song; call {first} {last}; call my {person}; send a message to {first}; tell {first} that dinner is
    ready; text {first} {last} that i am late; read the last message from {first}; invite {first} and {first} to
    the {event}; what is the weather in {city}; will there be {weather} in {city} on {weekday}; is {weather}
    expected tomorrow; book a {transport} to {city}; when does the next {transport} leave for {city}; how far is
    it from {city} to {city}; take me to the {place}; find the nearest {place}; is the {place} open on
    {weekday}; the {place} is on {street} {road}; my address is {number} {street} {road}; meet {first} at the
    {place} at {time}; schedule a {event} on {date}; move the {event} to {weekday} at {time}; cancel the {event}
    on {date}; when is the {event} with {first} {last}; my {person} arrives on {date}; her birthday is {date};
    what did i plan for {weekday} {daytime}; wake the children before {daytime}; it happened in {month} {year};
    how do you say {animal} in {language}; translate this letter into {language}; teach me {language} words
    about {topic}; tell me a story about {topic}; show me a film about {topic} and {topic}; read the news about
    {topic}; feed the {animal} at {time}; the {animal} is in the {room}; take the {animal} to the vet on
    {weekday}; what is {number} plus {number}; what is {number} times {small}; divide {number} by {small}; my
    phone number is {digits}; the code is {digits}; room number {number}; bed {small} in ward {number}; the
    patient has {symptom}; the patient reports {symptom} and {symptom}; patient {last} complains of {symptom}; i
    have had {symptom} for {small} {unit}; my {side} {body} hurts; there is a pain in my {body}; the {body} is
    swollen since {weekday}; examine the {side} {body}; the {person} suffers from {condition}; does {first}
    {last} have {condition}; any history of {condition} or {condition}; give {number} {dose} of {drug}; take the
    {drug} {form} twice a day; she is allergic to {drug}; refill the {drug} prescription; increase the {drug} to
    {number} {dose}; he takes {drug} and {drug}; apply the {form} to the {side} {body}; measure the {test};
    record the {test} as {number}; check the {test} of patient {last}; the {test} is normal; prepare the {scan}
    for {first} {last}; the {scan} is on {date}; order a {scan} of the {body}; transfer the patient to
    {department}; call the {staff} in {department}; page doctor {last} in {department}; the {staff} will see you
    at {time}; doctor {last} is on leave until {date}; where is the {staff}; ask the {staff} about the {drug};
    the {department} is on floor {small}; nurse {last} is on duty this {daytime}; book an appointment with
    doctor {last} on {weekday}; good {daytime} doctor {last}; admit {first} {last} on {date}
    """,
    ";",
)
_GLUE_WORDS = sorted({w for t in TEMPLATES for w in re.sub(r"\{\w+\}", " ", t).split() if len(w) > 2})
_ALL_TERMS = tuple(dict.fromkeys([*(term for terms in LEXICON.values() for term in terms), *_GLUE_WORDS]))


def number_words(value: int) -> str:
    """Return a number from 0 to 999 in words, without "and"."""
    if value < 20:
        return ONES[value]
    if value < 100:
        return TENS[value // 10 - 2] + (f" {ONES[value % 10]}" if value % 10 else "")
    return f"{ONES[value // 100]} hundred" + (f" {number_words(value % 100)}" if value % 100 else "")


def _ordinal(day: int) -> str:
    if day <= 20:
        return ORDINALS[day - 1]
    return "thirtieth" if day == 30 else f"{'thirty' if day > 30 else 'twenty'} {ORDINALS[day % 10 - 1]}"


def _time(rng: random.Random) -> str:
    hour = number_words(rng.randint(1, 12))
    return rng.choice(
        (
            f"{hour} o'clock",
            f"half past {hour}",
            f"quarter to {hour}",
            f"{hour} {number_words(rng.randint(10, 59))}",
        )
    )


def _year(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return f"nineteen {number_words(rng.randint(20, 99))}"
    return f"twenty {number_words(rng.randint(10, 29))}"


_SPECIAL: dict[str, Callable[[random.Random], str]] = {
    "small": lambda rng: number_words(rng.randint(2, 12)),
    "number": lambda rng: number_words(rng.randint(2, 99) if rng.random() < 0.8 else rng.randint(100, 999)),
    "digits": lambda rng: " ".join(ONES[rng.randint(0, 9)] for _ in range(rng.randint(4, 7))),
    "time": _time,
    "year": _year,
    "date": lambda rng: f"{rng.choice(LEXICON['month'])} {_ordinal(rng.randint(1, 31))}",
}


def expand(template: str, rng: random.Random) -> str:
    """Return a sentence: each {category} of the template is replaced by a random term of that category."""

    def choose(match: re.Match[str]) -> str:
        name = match.group(1)
        return _SPECIAL[name](rng) if name in _SPECIAL else rng.choice(LEXICON[name])

    return re.sub(r"\{(\w+)\}", choose, template)


def phrase(rng: random.Random) -> str:
    """Return one to three terms of the whole lexicon, or numbers; the curriculum starts with such phrases."""
    terms = []
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        if rng.random() < 0.15:
            terms.append(_SPECIAL[rng.choice(sorted(_SPECIAL))](rng))
        else:
            terms.append(rng.choice(_ALL_TERMS))
    return " ".join(terms[:2] if sum(map(len, terms)) > 28 else terms)


def split_of(text: str) -> str:
    """Return "train", "dev" or "test" from the SHA-256 of the sentence."""
    return {0: "test", 1: "dev"}.get(hashlib.sha256(text.encode()).digest()[0] % 16, "train")


def sentences(split: str, seed: int, *, short: bool = False) -> Iterator[str]:
    """Yield sentences of one split without end; the same seed gives the same sequence."""
    rng = random.Random(f"{seed}/{split}/{short}")
    while True:
        text = phrase(rng) if short else expand(rng.choice(TEMPLATES), rng)
        if split_of(text) == split:
            yield text


def vocabulary() -> frozenset[str]:
    """Return every word that the grammar can produce."""
    fixed = " ".join(re.sub(r"\{\w+\}", " ", template) for template in TEMPLATES)
    spoken = "hundred o'clock half past quarter to"
    words = [*ONES, *TENS, *ORDINALS, *fixed.split(), *spoken.split()]
    for terms in LEXICON.values():
        words.extend(" ".join(terms).split())
    return frozenset(words)
