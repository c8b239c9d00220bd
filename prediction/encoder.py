"""From a text to the token ids that a model reads, and the texts that cannot be read."""

from tokenizers import Tokenizer

from errors import InvalidText
from prediction.types import Encoded


class TextEncoder:
    """A tokenizer with the model's limit.

    Args:
        tokenizer_json: The contents of a tokenizer.json; its padding and truncation are ignored.
        max_length: Tokens that are kept of a text, special tokens included.

    Raises:
        Exception: The tokenizer cannot be read; ``tokenizers`` has no class of its own for this.
    """

    def __init__(self, tokenizer_json: str, max_length: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

        self.vocabulary: int = self._tokenizer.get_vocab_size()
        unknown_token = getattr(self._tokenizer.model, "unk_token", None) or "[UNK]"
        # -1, which is no token's, where the tokenizer has no unknown token.
        unknown_id = self._tokenizer.token_to_id(unknown_token)
        self._unknown_id = -1 if unknown_id is None else unknown_id

    def encode(self, text: str) -> Encoded:
        """Check and tokenize one text.

        Raises:
            InvalidText: It cannot be predicted; the message says what to change.
        """
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
        except TypeError:
            # The tokenizer takes UTF-8, which cannot express half of a surrogate pair.
            raise InvalidText(
                "text has half of a surrogate pair, which is no character: remove it"
            ) from None

        ids = encoding.ids
        if sum(encoding.special_tokens_mask) == len(ids):
            raise InvalidText("text has only invisible characters: give a sentence")

        unknown_tokens = ids.count(self._unknown_id)
        return Encoded(text, ids, unknown_tokens, truncated=bool(encoding.overflowing))
