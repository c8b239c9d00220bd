"""From a text to the token ids that a model reads, and the texts that cannot be read."""

from collections.abc import Sequence

from tokenizers import Encoding, Tokenizer

from errors import InvalidText
from prediction.types import Encoded

# Characters of a long text that are tokenized first. Few texts need more for their 128 tokens.
FIRST_READ = 2_000

# A word of more characters than this is one unknown token, wherever it ends.
LONGEST_WORD = 200


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

        # A text that says "[SEP]" is about five characters, not the end of a sentence.
        self._tokenizer.encode_special_tokens = True

        # Words are tokenized one by one by WordPiece, and one of over 100 characters is unknown.
        self._reads_word_by_word = type(self._tokenizer.model).__name__ == "WordPiece"

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
            encoding = self._encode_beginning(text)
        except (TypeError, UnicodeEncodeError):
            # The tokenizer takes UTF-8, which cannot express half of a surrogate pair; that is also
            # what ``input_files.open_input`` makes of a byte that is not UTF-8.
            raise InvalidText(
                "text has bytes that are not UTF-8, or half of a surrogate pair: give it as UTF-8"
            ) from None

        ids = encoding.ids
        if sum(encoding.special_tokens_mask) == len(ids):
            raise InvalidText("text has only invisible characters: give a sentence")

        unknown_tokens = ids.count(self._unknown_id)
        return Encoded(text, ids, unknown_tokens, truncated=bool(encoding.overflowing))

    def encode_each(self, texts: Sequence[str]) -> list[Encoded | InvalidText]:
        """Check and tokenize texts, in order; a text that is refused gives its error instead."""
        return [self._encode_or_refuse(text) for text in texts]

    def _encode_or_refuse(self, text: str) -> Encoded | InvalidText:
        try:
            return self.encode(text)
        except InvalidText as error:
            return error

    def _encode_beginning(self, text: str) -> Encoding:
        """Tokenize a text without reading far more of it than is kept.

        The tokens are those of the whole text: the beginning is only enough if it ends well behind
        the last token that is kept, so that the word of that token is complete or too long anyway.
        """
        length = FIRST_READ

        # Half of a surrogate pair is refused wherever it is.
        if length < len(text):
            text.encode()

        while self._reads_word_by_word and length < len(text):
            encoding = self._tokenizer.encode(text[:length])
            last_end = max(end for _, end in encoding.offsets)
            if encoding.overflowing and last_end + LONGEST_WORD < length:
                return encoding
            length *= 4

        return self._tokenizer.encode(text)
