"""Phenomena of argument structure: what a verb or adjective selects. Reads and writes nothing."""

from corpus.grammar import Paradigm, bad, framed, good, phenomenon
from corpus.lexicon import Words, a


@phenomenon()
def transitivity(w: Words) -> Paradigm:
    """Give verbs an object that they need or do not take, and leave it out."""
    subject, intransitive = w.anyone(), w.verb("unergative").past
    action = w.strict_action()
    verb, object_ = w.pick(
        (
            (action.verb.past, f"the {action.object.sg}"),
            (w.verb("strict_person").past, w.somebody(1)[0]),
        )
    )
    tail = w.pick(("", f" in the {w.noun('place').sg}", " again"))

    # These verbs cannot do without an object, or cannot take one.
    return framed(
        w,
        [
            good(f"{subject} {verb} {object_}{tail}"),
            good(f"{subject} {intransitive}{tail}"),
            bad(f"{subject} {verb}{tail}"),
            bad(f"{subject} {intransitive} {object_}{tail}"),
        ],
    )


@phenomenon()
def dative_alternation(w: Words) -> Paradigm:
    """Use verbs with two objects, and with one and a prepositional phrase."""
    subject, (receiver,) = w.anyone(), w.somebody(1)
    theme = f"the {w.noun('text').sg}"
    if w.chance(0.2):
        verb, event = w.verb("no_to_dative").past, w.noun("event").sg
        measure = w.pick(("a fortune", "an hour", "a whole week"))
        return framed(
            w,
            [
                good(f"the {event} {verb} {receiver} {measure}"),
                bad(f"the {event} {verb} {measure} to {receiver}"),
            ],
        )
    both, only_to, only_for = (w.verb(kind).past for kind in ("dative", "to_dative", "for_dative"))

    # Some verbs allow both orders, some the one with a preposition only, and each has one
    # preposition for its receiver (Levin 1993).
    return framed(
        w,
        [
            good(f"{subject} {both} {receiver} {theme}"),
            good(f"{subject} {both} {theme} to {receiver}"),
            good(f"{subject} {only_to} {theme} to {receiver}"),
            bad(f"{subject} {only_to} {receiver} {theme}"),
            good(f"{subject} {only_for} {theme} for {receiver}"),
            bad(f"{subject} {only_for} {theme} to {receiver}"),
            bad(f"{subject} {both} {theme} {w.name()}"),
        ],
    )


@phenomenon()
def causative_alternation(w: Words) -> Paradigm:
    """Use verbs with and without a causer."""
    agent, thing = w.anyone(), f"the {w.noun('breakable').sg}"
    if w.chance(0.4):
        thing = f"the {w.adjective('thing')} {thing.removeprefix('the ')}"
    both, no_agent, needs_agent = (
        w.verb(kind).past for kind in ("alternating", "unaccusative", "destructive")
    )
    tail = w.pick(("", f" in the {w.noun('place').sg}"))

    # Verbs of change such as 'break' go with and without a causer; 'vanish' has none and
    # 'destroy' needs one (Levin 1993).
    return framed(
        w,
        [
            good(f"{agent} {both} {thing}{tail}"),
            good(f"{thing} {both}{tail}"),
            good(f"{thing} {no_agent}{tail}"),
            good(f"{agent} {needs_agent} {thing}{tail}"),
            bad(f"{agent} {no_agent} {thing}{tail}"),
            bad(f"{thing} {needs_agent}{tail}"),
        ],
    )


@phenomenon()
def passive(w: Words) -> Paradigm:
    """Form passives of verbs that have one, and of verbs that have none."""
    agent, verb, object_ = (w.anyone(), w.verb("monotransitive"), f"the {w.noun('device').sg}")
    if w.chance(0.6):
        return framed(
            w,
            [
                good(f"{object_} was {verb.participle} by {agent}"),
                good(f"{agent} was {verb.ing} {object_}"),
                bad(f"{object_} was {verb.ing} by {agent}"),
                bad(f"{agent} was {verb.participle} {object_}"),
            ],
        )
    patient, other = w.somebody(2)
    transitive, intransitive = w.verb("strict_person"), w.verb("unergative")

    # Only a verb with an object has a passive, and only the participle forms it.
    return framed(
        w,
        [
            good(f"{patient} was {transitive.participle} by {other}"),
            good(f"{patient} {intransitive.past} near {other}"),
            bad(f"{patient} was {intransitive.participle} by {other}"),
            bad(f"{patient} {transitive.past} by {other}"),
        ],
    )


@phenomenon()
def control_raising(w: Words) -> Paradigm:
    """Put expletives under verbs that raise their subject and verbs that select it."""
    someone, other = w.anyone(), w.somebody(1)[0]
    verb, event = (
        w.verb("unergative").base,
        f"{a(w.noun('event').sg)} in the {w.noun('place').sg}",
    )
    raising, control = w.pick(
        (
            (w.verb("raising").past, w.verb("control").past),
            (f"is {w.adjective('raising')}", f"is {w.adjective('control')}"),
        )
    )
    subject_paradigm = [
        good(f"there {raising} to be {event}"),
        good(f"{someone} {control} to {verb}"),
        good(f"{someone} {raising} to {verb}"),
        bad(f"there {control} to be {event}"),
    ]
    person, verb = f"{w.noun('person').a} in the {w.noun('place').sg}", w.verb("unergative").base
    swapped_paradigm = [
        good(f"there {raising} to be {person} who {control} to {verb}"),
        bad(f"there {control} to be {person} who {raising} to {verb}"),
    ]
    expect, persuade = w.verb("object_raising").past, w.verb("object_control").past
    object_paradigm = [
        good(f"{someone} {expect} there to be {event}"),
        good(f"{someone} {expect} {other} to {verb}"),
        good(f"{someone} {persuade} {other} to {verb}"),
        bad(f"{someone} {persuade} there to be {event}"),
    ]

    # 'seem' has no subject of its own, so that 'there' or 'it' may stand there; 'try' needs
    # somebody who tries.
    return framed(w, w.pick((subject_paradigm, swapped_paradigm, object_paradigm)))


@phenomenon()
def verb_particle(w: Words) -> Paradigm:
    """Separate a verb from its particle; a pronoun must stand between them."""
    someone, noun = w.anyone(), w.thing()
    separable, fixed = w.verb("separable"), w.verb("prepositional")
    object_, pronoun = w.pick(((f"the {noun.sg}", "it"), (f"the {noun.pl}", "them")))
    verb, particle = separable.past, separable.particle
    look, at = fixed.past, fixed.particle

    # A full object stands on either side of the particle, a pronoun before it only; a preposition
    # never leaves its object.
    return framed(
        w,
        [
            good(f"{someone} {verb} {particle} {object_}"),
            good(f"{someone} {verb} {object_} {particle}"),
            good(f"{someone} {verb} {pronoun} {particle}"),
            good(f"{someone} {look} {at} {pronoun}"),
            good(
                f"{'this was' if pronoun == 'it' else 'these were'} {object_} "
                f"that {someone} {look} {at}"
            ),
            bad(f"{someone} {verb} {particle} {pronoun}"),
            bad(f"{someone} {look} {pronoun} {at}"),
            bad(f"{someone} {look} {object_} {at}"),
        ],
    )


@phenomenon()
def clause_selection(w: Words) -> Paradigm:
    """Give verbs the kind of clause that they select, or another one."""
    someone, clause, action = w.anyone(), w.clause(), w.strict_action()
    object_ = f"the {action.object.sg}"
    # `say` and `report` take questions as well
    think = next(verb.past for verb in w.verbs("think", 3) if verb.base not in ("say", "report"))
    wonder, know = w.verb("wonder").past, w.verb("know").past
    finite = [
        good(f"{someone} {think} that {clause}"),
        good(f"{someone} {wonder} whether {clause}"),
        good(f"{someone} {know} that {clause}"),
        bad(f"{someone} {think} whether {clause}"),
        bad(f"{someone} {wonder} that {clause}"),
    ]
    enjoy, want = w.verb("enjoy").past, w.verb("want").past
    infinite = [
        good(f"{someone} {enjoy} {action.verb.ing} {object_}"),
        good(f"{someone} {want} to {action.verb.base} {object_}"),
        bad(f"{someone} {enjoy} to {action.verb.base} {object_}"),
        bad(f"{someone} {want} {action.verb.ing} {object_}"),
    ]

    # Each verb selects the kind of clause that may follow: a statement, a question, an infinitive.
    return framed(w, w.pick((finite, infinite)), that_only=True)
