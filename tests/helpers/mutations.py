"""Bytes as they get damaged: flipped, changed, cut out, doubled, put in, moved, cut short."""

from hypothesis import strategies as st

_LIKELY = [bytes([byte]) for byte in b"0123456789\t\n\r -+.:,|(eEaf\x00\xff"]
_PIECES = st.sampled_from(_LIKELY) | st.binary(min_size=1, max_size=9)
_KINDS = ("flip", "change", "take", "double", "put", "move", "cut", "take line", "swap lines")

# Where is counted round and round, and so fits a file of any length.
_WHERE = st.integers(0, 2**32)
mutations = st.lists(
    st.tuples(st.sampled_from(_KINDS), _WHERE, _WHERE, st.integers(1, 40), _PIECES),
    min_size=1,
    max_size=3,
)


def mutate(content, changes):
    """Returns the bytes with the changes that `mutations` has drawn, one after the other."""
    for kind, place, other, length, piece in changes:
        if kind.endswith(("line", "lines")):
            lines = content.splitlines(keepends=True) or [b""]
            one, two = place % len(lines), other % len(lines)
            if kind == "take line":
                del lines[one]
            else:
                lines[one], lines[two] = lines[two], lines[one]
            content = b"".join(lines)
            continue
        place, other = place % (len(content) + 1), other % (len(content) + 1)
        before, part, after = content[:place], content[place:][:length], content[place + length :]
        if kind == "flip" and part:
            after = content[place + 1 :]
            part = bytes([part[0] ^ 1 << other % 8])
        elif kind == "change":
            part, after = piece, content[place + len(piece) :]
        elif kind == "take":
            part = b""
        elif kind == "double":
            part += part
        elif kind == "put":
            part = piece + part
        elif kind == "move":
            rest = before + after
            before, after = rest[:other], rest[other:]
        elif kind == "cut":
            part = after = b""
        content = before + part + after
    return content
