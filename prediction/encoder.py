"""From a text to the token ids that a model reads, and the texts that cannot be read."""

from tokenizers import Tokenizer

from errors import InvalidText
from prediction.types import Encoded


class TextEncoder:
    """A tokenizer.json with the model's limit. Raises an exception of tokenizers' if it cannot be read."""

    def __init__(self, tokenizer_json: str, max_length: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self.vocabulary: int = self._tokenizer.get_vocab_size()
        unknown = getattr(self._tokenizer.model, "unk_token", None) or "[UNK]"
        self._unknown_id = self._tokenizer.token_to_id(unknown)

    def encode(self, text: str) -> Encoded:
        """Check and tokenize one text. Raises InvalidText (also a ValueError) that says what to change."""
        if not isinstance(text, str):
            raise InvalidText(f"text must be a string, not {type(text).__name__}")
        if not text.strip():
            raise InvalidText("text is empty: give a sentence")
        if "\0" in text:
            raise InvalidText(
                f"text has a NUL character at position {text.index(chr(0))}: remove it"
            )
        try:
            encoding = self._tokenizer.encode(text)
        except TypeError:  # the tokenizer wants UTF-8, which has no lone surrogates
            raise InvalidText(
                "text has half of a surrogate pair, which is no character: remove it"
            ) from None
        if sum(encoding.special_tokens_mask) == len(encoding.ids):
            raise InvalidText("text has only invisible characters: give a sentence")
        ids = encoding.ids
        unknown = sum(token == self._unknown_id for token in ids)
        return Encoded(text, ids, unknown, bool(encoding.overflowing))
