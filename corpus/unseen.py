"""Phenomena that the training file does not have: the out-of-domain split is made of them."""

from corpus.grammar import Paradigm, bad, framed, good, phenomenon
from corpus.lexicon import Words, a

RESULTS = (
    ("hammered", "metal", "flat"),
    ("wiped", "table", "clean"),
    ("rubbed", "counter", "dry"),
    ("scrubbed", "floor", "clean"),
    ("licked", "spoon", "clean"),
    ("swept", "porch", "clean"),
    ("pounded", "dough", "flat"),
)


@phenomenon(in_training=False)
def there_agreement(w: Words) -> Paradigm:
    """Make the verb agree with the noun phrase behind 'there'."""
    noun, where = (w.thing(), f"{w.pick(('in', 'near', 'outside'))} the {w.noun('place').sg}")
    one = w.pick((noun.a, f"another {noun.sg}", f"only one {noun.sg}"))
    many = w.pick((f"two {noun.pl}", f"several {noun.pl}", f"many {noun.pl}"))
    singular, plural = w.pick(
        (("is", "are"), ("was", "were"), ("seems to be", "seem to be"), ("has been", "have been"))
    )

    # The verb agrees with the noun phrase behind it, since 'there' has no number.
    return framed(
        w,
        [
            good(f"there {singular} {one} {where}"),
            good(f"there {plural} {many} {where}"),
            bad(f"there {plural} {one} {where}"),
            bad(f"there {singular} {many} {where}"),
        ],
    )


@phenomenon(in_training=False)
def adjunct_island(w: Words) -> Paradigm:
    """Question something inside an adjunct clause."""
    one, other, verb, action = (w.anyone(), w.name(), w.verb("unergative"), w.strict_action())
    link = w.pick(("because", "before", "after", "while"))
    object_, past = f"the {action.object.sg}", action.verb.past
    what = w.pick(("what", f"which {action.object.sg}"))

    # Nothing leaves a clause that is an adjunct (Huang 1982).
    return [
        good(f"what did {other} {action.verb.base} {link} {one} {verb.past}?"),
        good(f"did {one} {verb.base} {link} {other} {past} {object_}?"),
        good(f"who {verb.past} {link} {other} {past} {object_}?"),
        bad(f"{what} did {one} {verb.base} {link} {other} {past}?"),
        bad(f"{what} {verb.past} {link} {other} {past}?"),
    ]


@phenomenon(in_training=False)
def complex_np_island(w: Words) -> Paradigm:
    """Question something inside a noun phrase with a clause."""
    one, other, action = w.anyone(), w.name(), w.strict_action()
    claim, adjective = w.noun("claim").sg, w.adjective("thing")
    hear = w.pick(("hear", "deny", "repeat"))
    heard = {"hear": "heard", "deny": "denied", "repeat": "repeated"}[hear]
    object_, past = f"the {action.object.sg}", action.verb.past

    # Nothing leaves a clause inside a noun phrase; out of the same clause behind a verb it may
    # (Ross 1967).
    return w.pick(
        (
            [
                good(f"what did {one} {hear} that {other} {past}?"),
                good(f"did {one} {hear} the {claim} that {other} {past} {object_}?"),
                bad(f"what did {one} {hear} the {claim} that {other} {past}?"),
            ],
            [
                good(f"{object_} that {one} {heard} that {other} {past} was {adjective}"),
                good(f"{one} {heard} the {claim} that {other} {past} {object_}"),
                bad(
                    f"{object_} that {one} {heard} the {claim} that {other} {past} was {adjective}"
                ),
            ],
        )
    )


@phenomenon(in_training=False)
def left_branch(w: Words) -> Paradigm:
    """Question a modifier away from its noun."""
    one, action = w.anyone(), w.strict_action()
    verb, noun, adjective = action.verb, action.object, w.adjective("thing")
    owner = w.noun("person").sg

    # A modifier is not questioned without its noun (Ross 1967).
    return w.pick(
        (
            [
                good(f"whose {noun.sg} did {one} {verb.base}?"),
                good(f"did {one} {verb.base} the {owner}'s {noun.sg}?"),
                bad(f"whose did {one} {verb.base} {noun.sg}?"),
            ],
            [
                good(f"how {adjective} {noun.a} did {one} {verb.base}?"),
                good(f"how {adjective} was the {noun.sg} that {one} {verb.past}?"),
                bad(f"how {adjective} did {one} {verb.base} {noun.a}?"),
            ],
            [
                good(f"how many {noun.pl} did {one} {verb.base}?"),
                good(f"which {noun.sg} did {one} {verb.base}?"),
                bad(f"how many did {one} {verb.base} {noun.pl}?"),
                bad(f"which did {one} {verb.base} {noun.sg}?"),
            ],
        )
    )


@phenomenon(in_training=False)
def tough_movement(w: Words) -> Paradigm:
    """Use adjectives that take the object of a clause as their subject, and others."""
    someone, action = w.anyone(), w.strict_action()
    easy, eager = w.adjective("tough"), w.adjective("control")
    verb, object_ = action.verb.base, f"the {action.object.sg}"

    # 'tough' lets the object of the infinitive be its subject; 'eager' has a subject of its own.
    return framed(
        w,
        [
            good(f"{object_} was {easy} to {verb}"),
            good(f"it was {easy} to {verb} {object_}"),
            good(f"{someone} was {eager} to {verb} {object_}"),
            bad(f"{object_} was {easy} to {verb} it"),
            bad(f"{someone} was {eager} to {verb}"),
            bad(f"{someone} was {easy} to {verb} {object_}"),
        ],
    )


@phenomenon(in_training=False)
def resultatives(w: Words) -> Paradigm:
    """Say what a verb's object has become."""
    shape, noun, result = w.pick(RESULTS)
    someone, see = w.anyone(), w.pick(("described", "mentioned", "recalled", "admired"))
    name, reflexive = w.pick(
        ((w.names("man", 1)[0], "himself"), (w.names("woman", 1)[0], "herself"))
    )
    shout = w.pick(("shouted", "screamed", "yelled"))
    transitive = [
        good(f"{someone} {shape} the {noun} {result}"),
        good(f"{someone} {see} the {result} {noun}"),
        bad(f"{someone} {see} the {noun} {result}"),
    ]
    reflexive_needed = [
        good(f"{name} {shout} {reflexive} hoarse"),
        good(f"{name} {shout} until everybody was hoarse"),
        bad(f"{name} {shout} hoarse"),
    ]

    # The result is said of the object: a verb without one needs a reflexive for it.
    return framed(w, w.pick((transitive, reflexive_needed)))


@phenomenon(in_training=False)
def locative_inversion(w: Words) -> Paradigm:
    """Put a place first and the subject last."""
    place, person, action = w.noun("place").sg, w.noun("person").sg, w.action()
    motion, position = w.verb("motion").past, w.verb("position").past
    verb, preposition = w.pick(((motion, "into"), (position, "in")))
    pronoun = w.pick(("he", "she", "they"))
    subject = w.pick((a(person), f"the {person}", f"the {w.adjective('person')} {person}"))

    # A place in front lets an intransitive verb stand before its subject, not a transitive one.
    return framed(
        w,
        [
            good(f"{preposition} the {place} {verb} {subject}"),
            good(f"{pronoun} {verb} {preposition} the {place}"),
            good(f"{subject} {action.verb.past} the {action.object.sg} in the {place}"),
            bad(f"{preposition} the {place} {verb} {pronoun}"),
            bad(f"in the {place} {action.verb.past} {subject} the {action.object.sg}"),
        ],
        that_only=True,
    )


@phenomenon(in_training=False)
def tag_questions(w: Words) -> Paradigm:
    """Add tags that agree with their sentence in verb, polarity and pronoun."""
    (name, right, wrong) = w.pick(
        ((w.names("man", 1)[0], "he", "she"), (w.names("woman", 1)[0], "she", "he"))
    )
    action = w.action()
    verb, object_ = action.verb, f"the {action.object.sg}"
    statements = [
        (f"{name} {verb.past} {object_}", "didn't"),
        (f"{name} has {verb.participle} {object_}", "hasn't"),
        (f"{name} is {verb.ing} {object_}", "isn't"),
        (f"{name} will {verb.base} {object_}", "won't"),
        (f"{name} can {verb.base} {object_}", "can't"),
    ]
    (first, tag), (second, other_tag) = w.rng.sample(statements, 2)

    # The tag repeats the auxiliary, turns the polarity round and takes the subject's pronoun.
    return [
        good(f"{first}, {tag} {right}?"),
        good(f"{second}, {other_tag} {right}?"),
        bad(f"{first}, {other_tag} {right}?"),
        bad(f"{first}, {tag} {wrong}?"),
    ]


@phenomenon(in_training=False)
def adverb_placement(w: Words) -> Paradigm:
    """Put adverbs where they may stand, and between a verb and its object."""
    someone, adverb, action = w.anyone(), w.adverb("manner"), w.action()
    verb, object_ = action.verb, f"the {action.object.sg}"
    sleep = w.verb("unergative").past

    # Nothing stands between a verb and its object.
    return framed(
        w,
        [
            good(f"{someone} {adverb} {verb.past} {object_}"),
            good(f"{someone} {verb.past} {object_} {adverb}"),
            good(f"{someone} {sleep} {adverb} in the {w.noun('place').sg}"),
            good(f"{someone} has {adverb} {verb.participle} {object_}"),
            bad(f"{someone} {verb.past} {adverb} {object_}"),
            bad(f"{someone} has {verb.participle} {adverb} {object_}"),
        ],
    )


@phenomenon(in_training=False)
def correlatives(w: Words) -> Paradigm:
    """Pair 'either' with 'or' and 'neither' with 'nor', and mix them up."""
    (one, other), action, verb = w.somebody(2), w.action(), w.verb("unergative").past
    predicate = w.pick((verb, f"{action.verb.past} the {action.object.sg}"))
    first, second = w.rng.sample((("both", "and"), ("either", "or"), ("neither", "nor")), 2)

    # 'either' goes with 'or', 'neither' with 'nor', 'both' with 'and'.
    return framed(
        w,
        [
            good(f"{first[0]} {one} {first[1]} {other} {predicate}"),
            good(f"{second[0]} {one} {second[1]} {other} {predicate}"),
            bad(f"{first[0]} {one} {second[1]} {other} {predicate}"),
            bad(f"{second[0]} {one} {first[1]} {other} {predicate}"),
        ],
        that_only=True,
    )
