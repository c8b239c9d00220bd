"""What simulated traffic says: the sentences that a model knows, and four kinds of others."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from corpus.format import FILES, IN_DOMAIN, OUT_OF_DOMAIN, read_file
from errors import ColaError

SYSTEMS = ("nginx", "kubelet", "postgres", "sshd", "redis", "haproxy", "celery", "systemd")
EVENTS = (
    "ERROR connection reset by peer (errno={n})",
    "retry {n}/5: upstream timed out after {n}00ms",
    "OOMKilled pod/api-{n}f9c exit_code=137",
    "GET /v2/items/{n}?page=3 HTTP/1.1 502 -",
    "TICKET-{n}: pls fix asap, cust. can't login!!",
    "SELECT * FROM t WHERE id={n}; -- slow query",
    "deadlock detected: pid {n} waits for ShareLock",
)

# Subjects, verbs, objects and places of each language.
OTHER_LANGUAGES = (
    (
        ("Der Nachbar", "Die alte Lehrerin", "Das Kind", "Mein Bruder", "Ihre Tante"),
        ("kauft heute", "vergisst immer", "sucht seit gestern", "verkauft leider", "malt gern"),
        ("das grüne Fahrrad", "den Schlüssel", "eine Karte", "die Bücher", "ein Bild"),
        ("im Garten.", "am Bahnhof.", "für das Konzert.", "hinter dem Haus.", "in der Stadt."),
    ),
    (
        ("El vecino", "La profesora", "Mi hermana", "El niño pequeño", "Su tía"),
        ("compró ayer", "siempre olvida", "quiere vender", "busca todavía", "pinta a veces"),
        ("la bicicleta verde", "las llaves", "una entrada", "los libros", "un cuadro"),
        (
            "en el jardín.",
            "en la estación.",
            "para el concierto.",
            "detrás de la casa.",
            "en la ciudad.",
        ),
    ),
    (
        ("Le voisin", "La vieille maîtresse", "Mon frère", "L'enfant", "Sa tante"),
        (
            "achète aujourd'hui",
            "oublie toujours",
            "cherche depuis hier",
            "vend hélas",
            "peint parfois",
        ),
        ("le vélo vert", "la clé", "un billet", "les livres", "un tableau"),
        ("dans le jardin.", "à la gare.", "pour le concert.", "derrière la maison.", "en ville."),
    ),
)


def read_sentences(folder: Path) -> list[str]:
    """Return the sentences of a corpus's validation splits.

    Raises:
        ColaError: There are none, or a file is malformed.
    """
    names = [FILES[split] for split in (IN_DOMAIN, OUT_OF_DOMAIN)]
    paths = [folder / name for name in names if (folder / name).is_file()]
    if not paths:
        raise ColaError(
            f"{folder} holds none of {', '.join(names)}: give the corpus's folder with --corpus"
        )
    return [sentence.text for path in paths for sentence in read_file(path)]


def sentences(kind: str, normal: list[str], seed: int = 0) -> Iterator[str]:
    """Yield sentences of one kind for ever; the same seed gives the same ones."""
    return KINDS[kind](normal, random.Random(seed))


def _normal(normal: list[str], rng: random.Random) -> Iterator[str]:
    while True:
        yield from rng.sample(normal, len(normal))


def _shuffled(normal: list[str], rng: random.Random) -> Iterator[str]:
    for sentence in _normal(normal, rng):
        words = sentence.rstrip(".!?").split()
        rng.shuffle(words)
        yield " ".join(words)


def _long(normal: list[str], rng: random.Random) -> Iterator[str]:
    while True:
        yield " ".join(rng.sample(normal, min(len(normal), rng.randint(6, 16))))


def _domain(normal: list[str], rng: random.Random) -> Iterator[str]:
    while True:
        event = rng.choice(EVENTS).format(n=rng.randint(1, 99_999))
        yield f"{rng.choice(SYSTEMS)}[{rng.randint(100, 9999)}]: {event}"


def _language(normal: list[str], rng: random.Random) -> Iterator[str]:
    while True:
        yield " ".join(rng.choice(part) for part in rng.choice(OTHER_LANGUAGES))


KINDS: dict[str, Callable[[list[str], random.Random], Iterator[str]]] = {
    "normal": _normal,
    "domain": _domain,
    "shuffled": _shuffled,
    "long": _long,
    "language": _language,
}
"""What yields the sentences of each kind, from the normal ones."""
